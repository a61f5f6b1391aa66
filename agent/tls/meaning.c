/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/meaning.h"

#include "crypto/crypto.h"
#include "model/effective.h"

#include <openssl/ssl.h>
#include <string.h>

#define MEANING_GIVEN_MAX (MEANING_LIST_MAX - 9) /* leaves room for what stands for what is not given */

void meaning_deinit(struct meaning *meaning)
{
	buf_deinit(&meaning->alpn);
}

static int read_versions(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	uint32_t min = options->has_min_version ? options->min_version : TLS1_3_VERSION;
	uint32_t max = options->has_max_version ? options->max_version : TLS1_3_VERSION;

	if (version_name(min) == NULL)
		return error_set(err, E_INVALID, "/min_version: unknown version 0x%04x", min);
	if (version_name(max) == NULL)
		return error_set(err, E_INVALID, "/max_version: unknown version 0x%04x", max);
	if (min > max)
		return error_set(err, E_INVALID, "/min_version: %s is above max_version %s", version_name(min),
		                 version_name(max));
	meaning->min = (uint16_t)min;
	meaning->max = (uint16_t)max;
	return 0;
}

/* A list without a suite for an older version of the range allows that version nothing and is refused. */
static int read_suites(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	bool has12 = options->n_cipher_suites == 0;

	if (options->n_cipher_suites > MEANING_GIVEN_MAX)
		return error_set(err, E_TOO_LARGE, "/cipher_suites: too many");
	for (size_t i = 0; i < options->n_cipher_suites; i++) {
		const struct suite *suite = suite_find_code(options->cipher_suites[i]);

		if (suite == NULL || suite->openssl == NULL)
			return error_set(err, E_INVALID, "/cipher_suites/%zu: this OpenSSL lacks suite 0x%04x", i,
			                 options->cipher_suites[i]);
		has12 = has12 || !suite->tls13;
	}
	if (!has12 && meaning->min < TLS1_3_VERSION)
		return error_set(err, E_INVALID, "/cipher_suites: no suite for %s", version_name(meaning->min));
	meaning->suites_len =
	    suites_in_force(options->cipher_suites, options->n_cipher_suites, meaning->min, meaning->max, meaning->suites);
	return 0;
}

static int read_groups(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	if (options->n_curve_preferences > MEANING_GIVEN_MAX)
		return error_set(err, E_TOO_LARGE, "/curve_preferences: too many");
	for (size_t i = 0; i < options->n_curve_preferences; i++) {
		const struct group *group = group_find_id(options->curve_preferences[i]);

		if (group == NULL || group->openssl == NULL)
			return error_set(err, E_INVALID, "/curve_preferences/%zu: this OpenSSL lacks group %u", i,
			                 options->curve_preferences[i]);
	}
	meaning->groups_len = groups_in_force(options->curve_preferences, options->n_curve_preferences, meaning->groups);
	return 0;
}

static int read_alpn(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	for (size_t i = 0; i < options->n_alpn_protocols; i++) {
		size_t len = strlen(options->alpn_protocols[i]);

		if (len == 0 || len > 255)
			return error_set(err, E_INVALID, "/alpn_protocols/%zu: must be 1 to 255 bytes", i);
		buf_put_u8(&meaning->alpn, (uint8_t)len);
		buf_put(&meaning->alpn, options->alpn_protocols[i], len);
	}
	if (meaning->alpn.failed)
		return error_nomem(err);
	if (meaning->alpn.len > UINT16_MAX)
		return error_set(err, E_TOO_LARGE, "/alpn_protocols: too long");
	return 0;
}

int meaning_read(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	int r = read_versions(options, meaning, err);

	if (r == 0)
		r = read_suites(options, meaning, err);
	if (r == 0)
		r = read_groups(options, meaning, err);
	if (r == 0)
		r = read_alpn(options, meaning, err);
	meaning->server_preference = effective_prefer_server_ciphers(options);
	return r;
}

/* "A:B:C" of one kind of suite. */
static void join_suites(const struct meaning *meaning, bool tls13, struct buf *list)
{
	for (size_t i = 0; i < meaning->suites_len; i++)
		if (meaning->suites[i]->tls13 == tls13)
			buf_printf(list, "%s%s", list->len > 0 ? ":" : "", meaning->suites[i]->openssl);
}

static bool context_has_suite(const SSL_CTX *ctx, uint16_t code)
{
	const STACK_OF(SSL_CIPHER) *held = SSL_CTX_get_ciphers(ctx);

	for (int i = 0; i < sk_SSL_CIPHER_num(held); i++)
		if (SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(held, i)) == code)
			return true;
	return false;
}

/* OpenSSL drops in silence what it doesn't know or allow; so what was asked is compared with what is there. */
static int check_suites(const SSL_CTX *ctx, const struct meaning *meaning, bool complete, struct error *err)
{
	size_t held = (size_t)sk_SSL_CIPHER_num(SSL_CTX_get_ciphers(ctx));

	for (size_t i = 0; i < meaning->suites_len; i++)
		if (!context_has_suite(ctx, meaning->suites[i]->code))
			return error_set(err, E_INVALID, "/cipher_suites: OpenSSL did not take %s", meaning->suites[i]->iana);
	if (complete && held != meaning->suites_len)
		return error_set(err, E_INVALID, "/cipher_suites: OpenSSL holds %zu suites instead of %zu", held,
		                 meaning->suites_len);
	return 0;
}

static int set_suites(SSL_CTX *ctx, const struct meaning *meaning, struct error *err)
{
	CLEANUP(buf_deinit) struct buf list12 = BUF_NULL;
	CLEANUP(buf_deinit) struct buf list13 = BUF_NULL;

	join_suites(meaning, false, &list12);
	join_suites(meaning, true, &list13);
	if (buf_cstr(&list12) == NULL || buf_cstr(&list13) == NULL)
		return error_nomem(err);
	/* OpenSSL takes no empty list for TLS 1.2; its own stays then, out of reach, since the range of versions is 1.3
	 * alone. */
	if (SSL_CTX_set_ciphersuites(ctx, buf_cstr(&list13)) != 1 ||
	    (list12.len > 0 && SSL_CTX_set_cipher_list(ctx, buf_cstr(&list12)) != 1))
		return crypto_error(err, "/cipher_suites");
	return check_suites(ctx, meaning, list12.len > 0, err);
}

void meaning_list_groups(const struct meaning *meaning, int nids[MEANING_LIST_MAX])
{
	for (size_t i = 0; i < meaning->groups_len; i++)
		nids[i] = meaning->groups[i]->nid;
}

int meaning_put_on(const struct meaning *meaning, SSL_CTX *ctx, struct error *err)
{
	int nids[MEANING_LIST_MAX], r;

	/* Before 1.2 signatures are SHA-1, which level 1 and up forbid. */
	SSL_CTX_set_security_level(ctx, meaning->min < TLS1_2_VERSION ? 0 : 2);
	if (SSL_CTX_set_min_proto_version(ctx, meaning->min) != 1 || SSL_CTX_set_max_proto_version(ctx, meaning->max) != 1)
		return crypto_error(err, "/min_version");
	r = set_suites(ctx, meaning, err);
	if (r < 0)
		return r;
	meaning_list_groups(meaning, nids);
	return SSL_CTX_set1_groups(ctx, nids, (int)meaning->groups_len) == 1 ? 0 : crypto_error(err, "/curve_preferences");
}
