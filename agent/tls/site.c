/* SPDX-License-Identifier: Apache-2.0 */
/* Sites: from the stored bytes to certificates and keys that OpenSSL can use, and onto the SSL of a handshake. */
#include "tls/site.h"

#include "base/memory.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "model/body.h"
#include "tls/intermediates.h"
#include "tls/site_parse.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define SELF_SIGNED_NAME "tlsplane default"
#define SELF_SIGNED_DAYS 3650

_Static_assert((int)TLSPLANE__KEY_TYPE__KEY_RSA == (int)CERT_KEY_RSA &&
                   (int)TLSPLANE__KEY_TYPE__KEY_ED25519 == (int)CERT_KEY_ED25519 &&
                   (int)TLSPLANE__KEY_TYPE__KEY_EC_P256 == (int)CERT_KEY_EC_P256 &&
                   (int)TLSPLANE__KEY_TYPE__KEY_EC_P384 == (int)CERT_KEY_EC_P384 &&
                   (int)TLSPLANE__KEY_TYPE__KEY_EC_P521 == (int)CERT_KEY_EC_P521,
               "key types on the wire and in memory have the same numbers");

struct site *site_alloc(size_t pairs)
{
	struct site *site = calloc(1, sizeof(*site) + pairs * sizeof(struct site_pair));

	if (site != NULL) {
		atomic_init(&site->count, 1);
		site->pairs_len = pairs;
	}
	return site;
}

struct site *site_ref(struct site *site)
{
	atomic_fetch_add_explicit(&site->count, 1, memory_order_relaxed);
	return site;
}

struct site *site_unref(struct site *site)
{
	if (site == NULL || atomic_fetch_sub_explicit(&site->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	for (size_t i = 0; i < site->pairs_len; i++) {
		X509_free(site->pairs[i].leaf);
		EVP_PKEY_free(site->pairs[i].key);
		sk_X509_pop_free(site->pairs[i].chain, X509_free);
	}
	body_free((ProtobufCMessage *)site->client);
	free(site->tls_options);
	free(site);
	return NULL;
}

static int parse_chain(const Tlsplane__Pair *body, struct intermediates *shared, struct site_pair *pair,
                       struct error *err)
{
	if (body->n_chain < 2)
		return 0;
	pair->chain = sk_X509_new_reserve(NULL, (int)body->n_chain - 1);
	if (pair->chain == NULL)
		return error_nomem(err);
	for (size_t i = 1; i < body->n_chain; i++) {
		X509 *cert = NULL;
		int r = intermediates_take(shared, BYTES(body->chain[i].data, body->chain[i].len), &cert, err);

		if (r < 0)
			return error_prefix(err, r, "certificate %zu of the chain", i);
		sk_X509_push(pair->chain, cert); /* has its room */
	}
	return 0;
}

static int parse_pair(const Tlsplane__Pair *body, const Tlsplane__PrivateKey *key, struct intermediates *shared,
                      struct site_pair *pair, struct error *err)
{
	int r;

	if (body->n_chain == 0)
		return error_set(err, E_CORRUPT, "no certificate");
	if (body->key_type != key->key_type)
		return error_set(err, E_CORRUPT, "the key is of another type than the certificate");
	r = cert_parse(BYTES(body->chain[0].data, body->chain[0].len), &pair->leaf, err);
	if (r == 0)
		r = parse_chain(body, shared, pair, err);
	if (r == 0)
		r = key_load((enum cert_key_type)key->key_type, BYTES(key->data.data, key->data.len), pair->leaf, &pair->key,
		             err);
	return r;
}

static int parse_pairs(const Tlsplane__Ssl *body, const Tlsplane__Secret *secret, struct intermediates *shared,
                       struct site *site, struct error *err)
{
	if (body->n_pairs == 0 || body->n_pairs != secret->n_keys)
		return error_set(err, E_CORRUPT, "%zu certificates with %zu keys", body->n_pairs, secret->n_keys);
	for (size_t i = 0; i < body->n_pairs; i++) {
		int r = parse_pair(body->pairs[i], secret->keys[i], shared, &site->pairs[i], err);

		if (r < 0)
			return error_prefix(err, r, "pair %zu", i);
	}
	return 0;
}

/* The object's own words: what it says besides its pairs. `client` moves over from the body. */
static int take_words(Tlsplane__Ssl *body, struct site *site, struct error *err)
{
	if (body->tls_options != NULL) {
		site->tls_options = strdup(body->tls_options);
		if (site->tls_options == NULL)
			return error_nomem(err);
	}
	site->client = body->client;
	body->client = NULL;
	for (size_t i = 0; i < body->n_ssl_protocols; i++) {
		uint16_t version = (uint16_t)body->ssl_protocols[i];

		if (site->min == 0 || version < site->min)
			site->min = version;
		if (version > site->max)
			site->max = version;
	}
	return 0;
}

static int open_secret(const struct keyring *keyring, const struct site_source *source, ProtobufCMessage **ret,
                       struct error *err)
{
	CLEANUP(secret_free) struct secret *plain = NULL;
	int r = keyring_open(keyring, source->aad, source->sealed, &plain, err);

	return r == 0 ? body_decode(&tlsplane__secret__descriptor, BYTES(plain->data, plain->len), ret, err) : r;
}

int site_new(const struct keyring *keyring, const struct site_source *source, struct intermediates *shared,
             struct site **ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	CLEANUP(body_free_secret) ProtobufCMessage *secret = NULL;
	CLEANUP(site_unref) struct site *site = NULL;
	uint64_t failures = memory_failures();
	int r = body_decode(&tlsplane__ssl__descriptor, source->body, &body, err);

	if (r == 0)
		r = open_secret(keyring, source, &secret, err);
	if (r != 0)
		return memory_judge(failures, r, err);
	site = site_alloc(((Tlsplane__Ssl *)body)->n_pairs);
	if (site == NULL)
		return error_nomem(err);
	r = parse_pairs((Tlsplane__Ssl *)body, (Tlsplane__Secret *)secret, shared, site, err);
	if (r == 0)
		r = take_words((Tlsplane__Ssl *)body, site, err);
	r = memory_judge(failures, r, err);
	if (r == 0)
		*ret = TAKE_PTR(site);
	return r;
}

static int fill_self_signed(X509 *cert, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(cert);
	uint64_t serial = 0;

	if (crypto_random(&serial, sizeof(serial), NULL) < 0)
		return 0;
	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -86400) != NULL &&
	       X509_time_adj_ex(X509_getm_notAfter(cert), SELF_SIGNED_DAYS, 0, NULL) != NULL &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)SELF_SIGNED_NAME, -1, -1, 0) ==
	           1 &&
	       X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

int site_new_self_signed(struct site **ret, struct error *err)
{
	CLEANUP(site_unref) struct site *site = site_alloc(1);
	struct site_pair *pair;
	int r;

	if (site == NULL)
		return error_nomem(err);
	pair = &site->pairs[0];
	r = key_generate(&pair->key, err);
	if (r < 0)
		return r;
	pair->leaf = X509_new();
	if (pair->leaf == NULL || fill_self_signed(pair->leaf, pair->key) != 1)
		return crypto_error(err, "make the default certificate");
	X509_check_purpose(pair->leaf, -1, 0);
	*ret = TAKE_PTR(site);
	return 0;
}

int site_put_on(const struct site *site, SSL *ssl, struct error *err)
{
	for (size_t i = 0; i < site->pairs_len; i++) {
		const struct site_pair *pair = &site->pairs[i];

		if (SSL_use_cert_and_key(ssl, pair->leaf, pair->key, pair->chain, 1) != 1)
			return crypto_error(err, "put certificate %zu on a handshake", i);
	}
	return 0;
}

const char *site_tls_options(const struct site *site)
{
	return site->tls_options;
}

const Tlsplane__ClientAuth *site_client(const struct site *site)
{
	return site->client;
}

uint16_t site_min_version(const struct site *site)
{
	return site->min;
}

uint16_t site_max_version(const struct site *site)
{
	return site->max;
}
