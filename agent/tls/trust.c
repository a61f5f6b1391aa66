/* SPDX-License-Identifier: Apache-2.0 */
/* Auth profiles: a store with the given anchors and nothing else (a new X509_STORE looks nothing up by itself, so no
 * system CA is in reach), a depth, and the names that the CertificateRequest carries. No partial chains: a path must
 * end in a self-signed anchor. */
#include "tls/trust.h"

#include "base/buf.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "tls/lru.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>

/* More make the CertificateRequest too long for many clients; a client that gets fewer names than there are may send
 * none of its certificates, so beyond the cap no name at all is sent, which RFC 8446 4.2.4 defines as "any". */
#define CA_NAMES_MAX 32

typedef STACK_OF(X509_NAME) X509_NAMES;

static void *names_free(X509_NAMES *names)
{
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	return NULL;
}
DEFINE_CLEANUP(X509_NAMES, names_free);

struct trust {
	atomic_uint count;
	struct digest digest;
	uint32_t depth;
	X509_STORE *store;
	X509_NAMES *names; /* subjects of the anchors, each once */
};

struct trust_cache {
	struct lru lru;
};

static void lru_trust_ref(void *value)
{
	trust_ref(value);
}

static void lru_trust_unref(void *value)
{
	trust_unref(value);
}

static const struct lru_ops trust_ops = {lru_trust_ref, lru_trust_unref};

int trust_cache_new(size_t max_entries, struct trust_cache **ret, struct error *err)
{
	struct trust_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return error_nomem(err);
	if (lru_init(&cache->lru, max_entries > 0 ? max_entries : 1, &trust_ops) < 0) {
		free(cache);
		return error_nomem(err);
	}
	*ret = cache;
	return 0;
}

struct trust_cache *trust_cache_free(struct trust_cache *cache)
{
	if (cache != NULL)
		lru_deinit(&cache->lru);
	free(cache);
	return NULL;
}

struct trust *trust_ref(struct trust *trust)
{
	atomic_fetch_add_explicit(&trust->count, 1, memory_order_relaxed);
	return trust;
}

struct trust *trust_unref(struct trust *trust)
{
	if (trust == NULL || atomic_fetch_sub_explicit(&trust->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	X509_STORE_free(trust->store);
	names_free(trust->names);
	free(trust);
	return NULL;
}

const struct digest *trust_digest(const struct trust *trust)
{
	static const struct digest zeros = DIGEST_NULL;

	return trust != NULL ? &trust->digest : &zeros;
}

static int trust_compute_digest(const struct trust_rules *rules, struct digest *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf bytes = BUF_NULL;

	buf_put_str(&bytes, "tlsplane/trust/v1");
	buf_put_u8(&bytes, 0);
	buf_put_u32(&bytes, rules->depth);
	for (size_t i = 0; i < rules->anchors.count; i++)
		buf_put_lv(&bytes, rules->anchors.certs[i].data, rules->anchors.certs[i].len);
	if (bytes.failed)
		return error_nomem(err);
	return crypto_sha256(BYTES(bytes.data, bytes.len), ret->bytes, err);
}

static bool names_have(const X509_NAMES *names, const X509_NAME *name)
{
	for (int i = 0; i < sk_X509_NAME_num(names); i++)
		if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0)
			return true;
	return false;
}

static int trust_add_name(struct trust *trust, const X509 *cert, struct error *err)
{
	X509_NAME *name = X509_get_subject_name(cert);

	if (sk_X509_NAME_num(trust->names) > CA_NAMES_MAX || names_have(trust->names, name))
		return 0;
	name = X509_NAME_dup(name);
	if (name == NULL || sk_X509_NAME_push(trust->names, name) == 0) {
		X509_NAME_free(name);
		return error_nomem(err);
	}
	return 0;
}

static int trust_add_anchor(struct trust *trust, const ProtobufCBinaryData *der, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	int r = cert_parse(BYTES(der->data, der->len), &cert, err);

	if (r < 0)
		return r;
	X509_check_purpose(cert, -1, 0); /* reads the extensions now, so that nothing is written once it is shared */
	if (X509_STORE_add_cert(trust->store, cert) != 1)
		return crypto_error(err, "add a trust anchor");
	return trust_add_name(trust, cert, err);
}

static int trust_new(const struct trust_rules *rules, struct trust **ret, struct error *err)
{
	CLEANUP(trust_unref) struct trust *trust = calloc(1, sizeof(*trust));
	int r;

	if (trust == NULL)
		return error_nomem(err);
	atomic_init(&trust->count, 1);
	trust->depth = rules->depth;
	trust->store = X509_STORE_new();
	trust->names = sk_X509_NAME_new_null();
	if (trust->store == NULL || trust->names == NULL)
		return error_nomem(err);
	r = trust_compute_digest(rules, &trust->digest, err);
	for (size_t i = 0; i < rules->anchors.count && r == 0; i++) {
		r = trust_add_anchor(trust, &rules->anchors.certs[i], err);
		if (r < 0)
			r = error_prefix(err, r, "client CA %zu", i);
	}
	if (r == 0)
		*ret = TAKE_PTR(trust);
	return r;
}

/* source is a hash, so the depth can be folded in without one more. */
static struct digest cache_key(const struct trust_rules *rules)
{
	struct digest key = rules->source;

	for (int i = 0; i < 4; i++)
		key.bytes[DIGEST_LEN - 1 - i] ^= (uint8_t)(rules->depth >> (8 * i));
	return key;
}

int trust_cache_get(struct trust_cache *cache, const struct trust_rules *rules, struct trust **ret, struct error *err)
{
	struct trust *trust;
	struct digest key;
	uint64_t drops;
	int r;

	if (!rules->require) {
		*ret = NULL;
		return 0;
	}
	key = cache_key(rules);
	trust = lru_find(&cache->lru, &key, &drops);
	if (trust == NULL) {
		r = trust_new(rules, &trust, err);
		if (r < 0)
			return r;
		lru_put(&cache->lru, &key, trust, drops);
	}
	*ret = trust;
	return 0;
}

static int put_names(const struct trust *trust, SSL *ssl)
{
	CLEANUP(names_free) X509_NAMES *copy = NULL;

	if (sk_X509_NAME_num(trust->names) > CA_NAMES_MAX)
		return 0;
	copy = sk_X509_NAME_deep_copy(trust->names, (sk_X509_NAME_copyfunc)X509_NAME_dup, X509_NAME_free);
	if (copy == NULL)
		return E_NOMEM;
	SSL_set_client_CA_list(ssl, TAKE_PTR(copy));
	return 0;
}

int trust_put_on(const struct trust *trust, SSL *ssl, struct error *err)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (trust == NULL) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	if (SSL_set1_verify_cert_store(ssl, trust->store) != 1 ||
	    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1 ||
	    X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_CLIENT) != 1)
		return crypto_error(err, "put client trust on a handshake");
	X509_VERIFY_PARAM_set_depth(param, (int)trust->depth);
	return put_names(trust, ssl) < 0 ? error_nomem(err) : 0;
}
