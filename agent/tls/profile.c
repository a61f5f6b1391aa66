/* SPDX-License-Identifier: Apache-2.0 */
/* Crypto profiles. The options are first turned into their meaning (defaults filled in, names of suites and groups
 * found), and that meaning is what is hashed and what is built, so that the digest cannot say less than the context
 * does. */
#include "tls/profile.h"

#include "base/buf.h"
#include "crypto/crypto.h"
#include "model/suites.h"
#include "tls/hello_hook.h"
#include "tls/tls_impl.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX 64
#define OPTIONS_CHOSEN SSL_OP_CIPHER_SERVER_PREFERENCE

DEFINE_CLEANUP(SSL_CTX, SSL_CTX_free);

struct profile {
	atomic_uint count;
	struct digest digest;
	SSL_CTX *ctx;
	uint16_t min, max;
	uint64_t options;
	size_t groups_len;
	int groups[LIST_MAX];
};

/* What the options ask for, in full. */
struct meaning {
	uint16_t min, max;
	bool server_preference;
	const struct suite *suites[LIST_MAX]; /* of both kinds, in order of preference */
	size_t suites_len;
	const struct group *groups[LIST_MAX];
	size_t groups_len;
	struct buf alpn; /* wire form of RFC 7301: u8 length, name */
};

/* Sound suites where none are named: forward secrecy and AEAD alone. */
static const uint16_t default_suites12[] = {0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8};
static const uint16_t default_suites13[] = {0x1301, 0x1302, 0x1303};
static const uint32_t default_groups[] = {29, 23, 24, 25}; /* X25519, P-256, P-384, P-521 */

static void meaning_deinit(struct meaning *meaning)
{
	buf_deinit(&meaning->alpn);
}
DEFINE_CLEANUP_VALUE(struct meaning, meaning_deinit);

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

static void add_suites(struct meaning *meaning, const uint16_t *codes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		meaning->suites[meaning->suites_len++] = suite_find_code(codes[i]);
}

/* A list that names no suite of TLS 1.3 leaves that version its three, as everywhere else (Go has no say there either);
 * a list without a suite for an older version of the range allows that version nothing and is refused. */
static int read_suites(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	bool has12 = false, has13 = false;

	if (options->n_cipher_suites > LIST_MAX - ARRAY_LEN(default_suites13))
		return error_set(err, E_TOO_LARGE, "/cipher_suites: too many");
	for (size_t i = 0; i < options->n_cipher_suites; i++) {
		const struct suite *suite = suite_find_code(options->cipher_suites[i]);

		if (suite == NULL || suite->openssl == NULL)
			return error_set(err, E_INVALID, "/cipher_suites/%zu: this OpenSSL lacks suite 0x%04x", i,
			                 options->cipher_suites[i]);
		has12 = has12 || !suite->tls13;
		has13 = has13 || suite->tls13;
		meaning->suites[meaning->suites_len++] = suite;
	}
	if (!has13 && meaning->max == TLS1_3_VERSION)
		add_suites(meaning, default_suites13, ARRAY_LEN(default_suites13));
	if (options->n_cipher_suites == 0 && meaning->min < TLS1_3_VERSION)
		add_suites(meaning, default_suites12, ARRAY_LEN(default_suites12));
	else if (!has12 && meaning->min < TLS1_3_VERSION)
		return error_set(err, E_INVALID, "/cipher_suites: no suite for %s", version_name(meaning->min));
	return 0;
}

static int read_groups(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	bool given = options->n_curve_preferences > 0;
	const uint32_t *ids = given ? options->curve_preferences : default_groups;
	size_t count = given ? options->n_curve_preferences : ARRAY_LEN(default_groups);

	if (count > LIST_MAX)
		return error_set(err, E_TOO_LARGE, "/curve_preferences: too many");
	for (size_t i = 0; i < count; i++) {
		const struct group *group = group_find_id(ids[i]);

		if (group == NULL || group->openssl == NULL)
			return error_set(err, E_INVALID, "/curve_preferences/%zu: this OpenSSL lacks group %u", i, ids[i]);
		meaning->groups[meaning->groups_len++] = group;
	}
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

static int meaning_read(const Tlsplane__TlsOptions *options, struct meaning *meaning, struct error *err)
{
	int r = read_versions(options, meaning, err);

	if (r == 0)
		r = read_suites(options, meaning, err);
	if (r == 0)
		r = read_groups(options, meaning, err);
	if (r == 0)
		r = read_alpn(options, meaning, err);
	meaning->server_preference = !options->has_prefer_server_ciphers || options->prefer_server_ciphers;
	return r;
}

static int meaning_digest(const struct meaning *meaning, struct digest *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf bytes = BUF_NULL;

	buf_put_str(&bytes, "tlsplane/profile/v1");
	buf_put_u8(&bytes, 0);
	buf_put_u16(&bytes, meaning->min);
	buf_put_u16(&bytes, meaning->max);
	buf_put_u8(&bytes, meaning->server_preference);
	buf_put_u16(&bytes, (uint16_t)meaning->suites_len);
	for (size_t i = 0; i < meaning->suites_len; i++)
		buf_put_u16(&bytes, meaning->suites[i]->code);
	buf_put_u16(&bytes, (uint16_t)meaning->groups_len);
	for (size_t i = 0; i < meaning->groups_len; i++)
		buf_put_u16(&bytes, meaning->groups[i]->id);
	buf_put_lv(&bytes, meaning->alpn.data, meaning->alpn.len);
	if (bytes.failed)
		return error_nomem(err);
	return crypto_sha256(BYTES(bytes.data, bytes.len), ret->bytes, err);
}

int profile_compute_digest(const Tlsplane__TlsOptions *options, struct digest *ret, struct error *err)
{
	CLEANUP(meaning_deinit) struct meaning meaning = {0};
	int r = meaning_read(options, &meaning, err);

	return r == 0 ? meaning_digest(&meaning, ret, err) : r;
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

static int set_groups(SSL_CTX *ctx, const struct meaning *meaning, struct profile *profile, struct error *err)
{
	for (size_t i = 0; i < meaning->groups_len; i++)
		profile->groups[profile->groups_len++] = meaning->groups[i]->nid;
	if (SSL_CTX_set1_groups(ctx, profile->groups, (int)profile->groups_len) != 1)
		return crypto_error(err, "/curve_preferences");
	return 0;
}

/* The server's order decides. No overlap ends the handshake (RFC 7301 3.2, and ALPACA). */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in,
                   unsigned in_len, void *arg)
{
	const struct buf *own = arg;
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, ret_len, own->data, (unsigned)own->len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void on_free_alpn(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
	struct buf *own = pointer;

	if (own != NULL)
		buf_deinit(own);
	free(own);
}

static int alpn_index;
static pthread_once_t alpn_once = PTHREAD_ONCE_INIT;

static void make_alpn_index(void)
{
	alpn_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_free_alpn);
}

/* The list belongs to the context, not to the profile: a handshake in flight may outlive the profile. */
static int set_alpn(SSL_CTX *ctx, struct meaning *meaning, struct error *err)
{
	struct buf *own;

	if (meaning->alpn.len == 0)
		return 0;
	pthread_once(&alpn_once, make_alpn_index);
	own = malloc(sizeof(*own));
	if (own == NULL)
		return error_nomem(err);
	if (alpn_index < 0 || SSL_CTX_set_ex_data(ctx, alpn_index, own) != 1) {
		free(own);
		return crypto_error(err, "/alpn_protocols");
	}
	*own = meaning->alpn;
	meaning->alpn = BUF_NULL;
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, own);
	return 0;
}

static int build_context(struct profile *profile, struct meaning *meaning, struct error *err)
{
	CLEANUP(SSL_CTX_free) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int r;

	if (ctx == NULL)
		return crypto_error(err, "make a context");
	tls_set_always(ctx);
	hello_hook_install(ctx);
	/* Before 1.2 signatures are SHA-1, which level 1 and up forbid. */
	SSL_CTX_set_security_level(ctx, meaning->min < TLS1_2_VERSION ? 0 : 2);
	SSL_CTX_set_options(ctx, profile->options);
	if (SSL_CTX_set_min_proto_version(ctx, meaning->min) != 1 || SSL_CTX_set_max_proto_version(ctx, meaning->max) != 1)
		return crypto_error(err, "/min_version");
	r = set_suites(ctx, meaning, err);
	if (r == 0)
		r = set_groups(ctx, meaning, profile, err);
	if (r == 0)
		r = set_alpn(ctx, meaning, err);
	if (r == 0)
		profile->ctx = TAKE_PTR(ctx);
	return r;
}

int profile_new(const Tlsplane__TlsOptions *options, struct profile **ret, struct error *err)
{
	CLEANUP(meaning_deinit) struct meaning meaning = {0};
	CLEANUP(profile_unref) struct profile *profile = NULL;
	int r = meaning_read(options, &meaning, err);

	if (r < 0)
		return r;
	profile = calloc(1, sizeof(*profile));
	if (profile == NULL)
		return error_nomem(err);
	atomic_init(&profile->count, 1);
	profile->min = meaning.min;
	profile->max = meaning.max;
	profile->options = meaning.server_preference ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0;
	r = meaning_digest(&meaning, &profile->digest, err);
	if (r == 0)
		r = build_context(profile, &meaning, err);
	if (r == 0)
		*ret = TAKE_PTR(profile);
	return r;
}

struct profile *profile_ref(struct profile *profile)
{
	atomic_fetch_add_explicit(&profile->count, 1, memory_order_relaxed);
	return profile;
}

struct profile *profile_unref(struct profile *profile)
{
	if (profile == NULL || atomic_fetch_sub_explicit(&profile->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	SSL_CTX_free(profile->ctx);
	free(profile);
	return NULL;
}

const struct digest *profile_digest(const struct profile *profile)
{
	return &profile->digest;
}

int profile_put_on(const struct profile *profile, SSL *ssl, uint16_t min, uint16_t max, struct error *err)
{
	uint16_t low = min > profile->min ? min : profile->min;
	uint16_t high = max != 0 && max < profile->max ? max : profile->max;

	if (low > high)
		return error_set(err, E_INVALID, "/ssl_protocols: no version left of the TLS options' %s to %s",
		                 version_name(profile->min), version_name(profile->max));
	if (SSL_set_SSL_CTX(ssl, profile->ctx) == NULL || SSL_set_min_proto_version(ssl, low) != 1 ||
	    SSL_set_max_proto_version(ssl, high) != 1 ||
	    SSL_set1_groups(ssl, (int *)(uintptr_t)profile->groups, (int)profile->groups_len) != 1 ||
	    SSL_set_num_tickets(ssl, 0) != 1)
		return crypto_error(err, "put a profile on a handshake");
	SSL_clear_options(ssl, OPTIONS_CHOSEN & ~profile->options);
	SSL_set_options(ssl, TLS_OPTIONS_ALWAYS | profile->options);
	return 0;
}
