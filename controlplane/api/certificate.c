/* SPDX-License-Identifier: Apache-2.0 */
#include "api/certificate.h"

#include "base/log.h"
#include "crypto/authority.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "model/body.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <time.h>

#define LIFE_SECONDS (90 * 86400)
#define PAIRS_MAX 8

struct pair {
	X509 *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY *key;
};

struct shown { /* what a handshake is given */
	struct pair pairs[PAIRS_MAX];
	size_t len;
};

struct certificate {
	struct certificate_config config;
	X509 *ca;
	EVP_PKEY *ca_key;
	struct shown own, object; /* object.len 0: never a good one */
	int64_t issued_at;        /* own, unix seconds */
	bool looked;
	uint64_t version; /* of the object when looked at; 0: it was not there */
};

static void shown_deinit(struct shown *shown)
{
	for (size_t i = 0; i < shown->len; i++) {
		X509_free(shown->pairs[i].leaf);
		sk_X509_pop_free(shown->pairs[i].chain, X509_free);
		EVP_PKEY_free(shown->pairs[i].key);
	}
	*shown = (struct shown){.len = 0};
}
DEFINE_CLEANUP_VALUE(struct shown, shown_deinit);

/* The internal CA's ------------------------------------------------------------------------------------------------- */

static int issue(struct certificate *certificate, struct error *err)
{
	int64_t now = (int64_t)time(NULL);
	CLEANUP(shown_deinit) struct shown made = {.len = 1};
	int r = key_generate(&made.pairs[0].key, err);

	if (r == 0)
		r = authority_issue_server(certificate->ca, certificate->ca_key, certificate->config.names, made.pairs[0].key, now,
		                           LIFE_SECONDS, &made.pairs[0].leaf, err);
	if (r < 0)
		return error_prefix(err, r, "admin API's certificate");
	shown_deinit(&certificate->own);
	certificate->own = made;
	made = (struct shown){.len = 0};
	certificate->issued_at = now;
	return 0;
}

/* At half of its life, and when the clock was set back before it. Every handshake tries again: it
 * takes a quarter of a millisecond, and the front tells refusals once a second. */
static void renew(struct certificate *certificate)
{
	const int64_t now = (int64_t)time(NULL);
	struct error err = ERROR_NULL;

	if (now >= certificate->issued_at - AUTHORITY_BACKDATE && now < certificate->issued_at + LIFE_SECONDS / 2)
		return;
	if (issue(certificate, &err) < 0)
		log_event(LOG_ERROR, "admin certificate not renewed", LOG_ERR(&err));
	else
		log_event(LOG_INFO, "admin certificate renewed");
}

/* The object's ------------------------------------------------------------------------------------------------------ */

static int read_chain(const Tlsplane__Pair *body, struct pair *pair, struct error *err)
{
	int r = body->n_chain > 0 ? 0 : error_set(err, E_CORRUPT, "no certificate");

	if (r == 0)
		r = cert_parse(BYTES(body->chain[0].data, body->chain[0].len), &pair->leaf, err);
	if (r == 0 && (pair->chain = sk_X509_new_null()) == NULL)
		r = error_nomem(err);
	for (size_t i = 1; i < body->n_chain && r == 0; i++) {
		X509 *cert = NULL;

		r = cert_parse(BYTES(body->chain[i].data, body->chain[i].len), &cert, err);
		if (r == 0 && sk_X509_push(pair->chain, cert) == 0) {
			X509_free(cert);
			r = error_nomem(err);
		}
	}
	return r;
}

static int read_pairs(const Tlsplane__Ssl *body, const Tlsplane__Secret *secret, struct shown *shown, struct error *err)
{
	int r = 0;

	if (body->client_type)
		return error_set(err, E_INVALID, "it is of type client");
	if (body->n_pairs == 0 || body->n_pairs > PAIRS_MAX || body->n_pairs != secret->n_keys)
		return error_set(err, E_CORRUPT, "%zu certificates with %zu keys", body->n_pairs, secret->n_keys);
	for (size_t i = 0; i < body->n_pairs && r == 0; i++) {
		struct pair *pair = &shown->pairs[shown->len++];
		const Tlsplane__PrivateKey *key = secret->keys[i];

		r = read_chain(body->pairs[i], pair, err);
		if (r == 0)
			r = key_load((enum cert_key_type)key->key_type, BYTES(key->data.data, key->data.len), pair->leaf, &pair->key, err);
	}
	return r;
}

static int load(const struct store *store, const struct store_row *row, struct shown *ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	CLEANUP(body_free_secret) ProtobufCMessage *secret = NULL;
	CLEANUP(secret_free) struct secret *opened = NULL;
	CLEANUP(shown_deinit) struct shown shown = {.len = 0};
	int r = row->state.enabled ? 0 : error_set(err, E_INVALID, "its status is 0");

	if (r == 0)
		r = body_decode(&tlsplane__ssl__descriptor, row->state.object.body, &body, err);
	if (r == 0)
		r = store_open_secret(store, row, &opened, err);
	if (r == 0)
		r = body_decode(&tlsplane__secret__descriptor, BYTES(opened->data, opened->len), &secret, err);
	if (r == 0)
		r = read_pairs((const Tlsplane__Ssl *)body, (const Tlsplane__Secret *)secret, &shown, err);
	if (r < 0)
		return r;
	*ret = shown;
	shown = (struct shown){.len = 0};
	return 0;
}

static void tell(const struct certificate *certificate, const struct error *why)
{
	const char *now = certificate->object.len > 0 ? "the last good one" : "the internal CA's";

	if (why == NULL)
		log_event(LOG_INFO, "admin certificate taken", LOG_STR("ssl", certificate->config.ssl_id),
		          LOG_U64("version", certificate->version));
	else
		log_event(LOG_WARNING, "admin certificate cannot be taken", LOG_STR("ssl", certificate->config.ssl_id),
		          LOG_STR("shown", now), LOG_ERR(why));
}

void certificate_follow(struct certificate *certificate, struct store_reader *reader)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	struct shown shown = {.len = 0};
	struct error err = ERROR_NULL;
	uint64_t version = 0;
	int r;

	if (certificate->config.ssl_id == NULL)
		return;
	r = store_get(reader, KIND_SSL, certificate->config.ssl_id, 0, &row, &err);
	if (r == 0)
		version = row.state.object.version;
	if (certificate->looked && version == certificate->version && (r == 0 || r == E_NOT_FOUND))
		return;
	if (r == 0)
		r = load(certificate->config.store, &row, &shown, &err);
	certificate->looked = r == 0 || err.code == E_NOT_FOUND || err.code == E_INVALID; /* else the next look may help */
	certificate->version = version;
	if (r == 0) {
		shown_deinit(&certificate->object);
		certificate->object = shown;
	}
	tell(certificate, r == 0 ? NULL : &err);
}

/* ------------------------------------------------------------------------------------------------------------------- */

int certificate_put(SSL *ssl, void *owner, struct error *err)
{
	struct certificate *certificate = owner;
	const struct shown *shown = &certificate->object;

	if (shown->len == 0) {
		renew(certificate);
		shown = &certificate->own;
	}
	for (size_t i = 0; i < shown->len; i++) {
		const struct pair *pair = &shown->pairs[i];

		if (SSL_use_cert_and_key(ssl, pair->leaf, pair->key, pair->chain, 1) != 1)
			return crypto_error(err, "put certificate %zu on a handshake", i);
	}
	return 0;
}

int certificate_new(const struct certificate_config *config, struct certificate **ret, struct error *err)
{
	CLEANUP(certificate_free) struct certificate *certificate = calloc(1, sizeof(*certificate));
	int r;

	if (certificate == NULL)
		return error_nomem(err);
	certificate->config = *config;
	r = store_load_ca(config->store, &certificate->ca, &certificate->ca_key, err);
	if (r == 0)
		r = issue(certificate, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(certificate);
	return 0;
}

struct certificate *certificate_free(struct certificate *certificate)
{
	if (certificate == NULL)
		return NULL;
	shown_deinit(&certificate->own);
	shown_deinit(&certificate->object);
	X509_free(certificate->ca);
	EVP_PKEY_free(certificate->ca_key);
	free(certificate);
	return NULL;
}
