/* SPDX-License-Identifier: Apache-2.0 */
/* Auth profiles: how they are made, kept and put on a handshake. The store has the given anchors and CRLs and nothing else. No partial
 * chains: a path must end in a self-signed anchor. */
#include "tls/trust.h"

#include "base/buf.h"
#include "base/memory.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "model/body.h"
#include "tls/anchors.h"
#include "tls/facts.h"
#include "tls/lru.h"
#include "tls/trust_impl.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

/* More make the CertificateRequest too long for many clients; a client that gets fewer names than there are may send
 * none of its certificates, so beyond the cap no name at all is sent, which RFC 8446 4.2.4 defines as "any". */
#define CA_NAMES_MAX 32
#define CA_NAMES_BYTES_MAX (16 * 1024) /* of their DER; on the wire they have at most 65535 together, or no handshake succeeds */

typedef STACK_OF(X509_NAME) X509_NAMES;

static void *names_free(X509_NAMES *names)
{
	sk_X509_NAME_pop_free(names, X509_NAME_free);
	return NULL;
}
DEFINE_CLEANUP(X509_NAMES, names_free);

#define CRLS_MAX 64

struct trust_cache {
	struct lru lru;
	struct lru crls; /* by SHA-256 of their DER */
};

static struct trust_crl *crl_ref(struct trust_crl *crl)
{
	atomic_fetch_add_explicit(&crl->count, 1, memory_order_relaxed);
	return crl;
}

static struct trust_crl *crl_unref(struct trust_crl *crl)
{
	if (crl == NULL || atomic_fetch_sub_explicit(&crl->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	X509_CRL_free(crl->crl);
	free(crl);
	return NULL;
}
DEFINE_CLEANUP(struct trust_crl, crl_unref);

static void lru_trust_ref(void *value)
{
	trust_ref(value);
}

static void lru_trust_unref(void *value)
{
	trust_unref(value);
}

static bool lru_trust_is_used(const void *value)
{
	const struct trust *trust = value;

	return atomic_load_explicit(&trust->count, memory_order_acquire) > 1;
}

static void lru_crl_ref(void *value)
{
	crl_ref(value);
}

static void lru_crl_unref(void *value)
{
	crl_unref(value);
}

static bool lru_crl_is_used(const void *value)
{
	const struct trust_crl *crl = value;

	return atomic_load_explicit(&crl->count, memory_order_acquire) > 1;
}

static const struct lru_ops trust_ops = {lru_trust_ref, lru_trust_unref, lru_trust_is_used};
static const struct lru_ops crl_ops = {lru_crl_ref, lru_crl_unref, lru_crl_is_used};

int trust_cache_new(size_t max_entries, struct trust_cache **ret, struct error *err)
{
	struct trust_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return error_nomem(err);
	if (lru_init(&cache->lru, max_entries > 0 ? max_entries : 1, &trust_ops) < 0 || lru_init(&cache->crls, CRLS_MAX, &crl_ops) < 0) {
		trust_cache_free(cache);
		return error_nomem(err);
	}
	*ret = cache;
	return 0;
}

struct trust_cache *trust_cache_free(struct trust_cache *cache)
{
	if (cache != NULL) {
		lru_deinit(&cache->lru);
		lru_deinit(&cache->crls);
	}
	free(cache);
	return NULL;
}

void trust_cache_sweep(struct trust_cache *cache)
{
	lru_sweep(&cache->lru);
	lru_sweep(&cache->crls);
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
	for (size_t i = 0; i < trust->crls_len; i++)
		crl_unref(trust->crls[i]);
	free(trust->crls);
	for (size_t i = 0; i < trust->parts_len; i++)
		body_free((ProtobufCMessage *)(uintptr_t)trust->parts[i]);
	free(trust);
	return NULL;
}

const struct digest *trust_digest(const struct trust *trust)
{
	static const struct digest zeros = DIGEST_NULL;

	return trust != NULL ? &trust->digest : &zeros;
}

bool trust_keeps_on_tighten(const struct trust *trust)
{
	return trust != NULL && trust->keep_on_tighten;
}

bool trust_maps_identity(const struct trust *trust)
{
	return trust != NULL && trust->map_identity;
}

/* A part's own words as bytes: only what stands in the digest, or all that is judged. */
static int encode_part(const Tlsplane__ClientAuth *part, bool digested, struct buf *ret, struct error *err)
{
	Tlsplane__ClientAuth words = TLSPLANE__CLIENT_AUTH__INIT;

	words.n_allow = part->n_allow;
	words.allow = part->allow;
	words.n_pins = part->n_pins;
	words.pins = part->pins;
	if (!digested) {
		words.n_deny_serials = part->n_deny_serials;
		words.deny_serials = part->deny_serials;
		words.n_deny_spkis = part->n_deny_spkis;
		words.deny_spkis = part->deny_spkis;
	}
	return body_encode(&words.base, ret, err);
}

static int digest_part(const Tlsplane__ClientAuth *part, struct buf *bytes, struct error *err)
{
	CLEANUP(buf_deinit) struct buf words = BUF_NULL;
	int r = encode_part(part, true, &words, err);

	buf_put_lv(bytes, words.data, words.len);
	return r;
}

static int trust_compute_digest(const struct decide_client *client, struct digest *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf bytes = BUF_NULL;

	buf_put_str(&bytes, "tlsplane/trust/v2");
	buf_put_u8(&bytes, 0);
	buf_put_u8(&bytes, (uint8_t)((client->demand ? 1 : 0) | (client->verify ? 2 : 0)));
	buf_put_u32(&bytes, client->depth);
	buf_put_u32(&bytes, (uint32_t)client->anchors_len);
	for (size_t i = 0; i < client->anchors_len; i++)
		buf_put_lv(&bytes, client->anchors[i].data, client->anchors[i].len);
	for (size_t i = 0; i < client->parts_len; i++) {
		int r = digest_part(client->parts[i], &bytes, err);

		if (r < 0)
			return r;
	}
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

static bool names_are_too_many(const struct trust *trust)
{
	return sk_X509_NAME_num(trust->names) > CA_NAMES_MAX || trust->names_bytes > CA_NAMES_BYTES_MAX;
}

static int trust_add_name(struct trust *trust, const X509 *cert, struct error *err)
{
	X509_NAME *name = X509_get_subject_name(cert);

	if (trust->names == NULL || names_are_too_many(trust) || names_have(trust->names, name))
		return 0;
	name = X509_NAME_dup(name);
	if (name == NULL || sk_X509_NAME_push(trust->names, name) == 0) {
		X509_NAME_free(name);
		return error_nomem(err);
	}
	trust->names_bytes += (size_t)i2d_X509_NAME(name, NULL);
	return 0;
}

static int trust_add_anchor(struct trust *trust, const ProtobufCBinaryData *der, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	int r = anchors_add_cert(trust->store, der, &cert, err);

	return r == 0 ? trust_add_name(trust, cert, err) : r;
}

static int crl_new(const ProtobufCBinaryData *der, struct trust_crl **ret, struct error *err)
{
	CLEANUP(crl_unref) struct trust_crl *crl = calloc(1, sizeof(*crl));
	uint64_t failures = memory_failures();
	int r;

	if (crl == NULL)
		return error_nomem(err);
	atomic_init(&crl->count, 1);
	r = anchors_parse_crl(der, &crl->crl, err);
	if (r == 0)
		r = facts_hash_name(X509_CRL_get_issuer(crl->crl), crl->issuer_sha256, err);
	r = memory_judge(failures, r, err);
	if (r == 0)
		*ret = TAKE_PTR(crl);
	return r;
}

/* A reference in *ret. */
static int get_crl(struct trust_cache *cache, const ProtobufCBinaryData *der, struct trust_crl **ret, struct error *err)
{
	struct trust_crl *crl;
	struct digest key;
	uint64_t drops;
	int r = crypto_sha256(BYTES(der->data, der->len), key.bytes, err);

	if (r < 0)
		return r;
	crl = lru_find(&cache->crls, &key, &drops);
	if (crl == NULL) {
		r = crl_new(der, &crl, err);
		if (r < 0)
			return r;
		lru_put(&cache->crls, &key, crl, drops);
	}
	*ret = crl;
	return 0;
}

static int trust_add_crl(struct trust *trust, struct trust_cache *cache, const ProtobufCBinaryData *der, struct error *err)
{
	struct trust_crl **place = &trust->crls[trust->crls_len];
	int r = get_crl(cache, der, place, err);

	if (r < 0)
		return r;
	trust->crls_len++;
	return X509_STORE_add_crl(trust->store, (*place)->crl) == 1 ? 0 : crypto_error(err, "add a CRL");
}

static int add_crls(struct trust *trust, struct trust_cache *cache, const struct decide_client *client, struct error *err)
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(client->bundles); i++)
		count += client->bundles[i].body != NULL ? client->bundles[i].body->n_crls : 0;
	if (count == 0)
		return 0;
	trust->crls = calloc(count, sizeof(*trust->crls));
	if (trust->crls == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < ARRAY_LEN(client->bundles); i++) {
		const Tlsplane__CaBundle *body = client->bundles[i].body;

		for (size_t j = 0; body != NULL && j < body->n_crls; j++) {
			int r = trust_add_crl(trust, cache, &body->crls[j], err);

			if (r < 0)
				return error_prefix(err, r, "CA bundle %s: CRL %zu", client->bundles[i].id, j);
		}
	}
	return 0;
}

static int add_anchors(struct trust *trust, const struct decide_client *client, struct error *err)
{
	for (size_t i = 0; i < client->anchors_len; i++) {
		int r = trust_add_anchor(trust, &client->anchors[i], err);

		if (r < 0)
			return error_prefix(err, r, "client CA %zu", i);
	}
	return 0;
}

/* A copy: the trust outlives the snapshot. Allow rules where nobody is verified could only be met by luck: nobody passes, not even who
 * shows nothing. */
static int add_part(struct trust *trust, const Tlsplane__ClientAuth *part, struct error *err)
{
	CLEANUP(buf_deinit) struct buf words = BUF_NULL;
	ProtobufCMessage *copy;
	int r = encode_part(part, false, &words, err);

	if (r == 0)
		r = body_decode(&tlsplane__client_auth__descriptor, BYTES(words.data, words.len), &copy, err);
	if (r != 0)
		return r;
	trust->parts[trust->parts_len++] = (Tlsplane__ClientAuth *)copy;
	if (part->n_allow > 0 && !trust->verify)
		trust->demand = true;
	return 0;
}

static int trust_fill(struct trust *trust, struct trust_cache *cache, const struct decide_client *client, struct error *err)
{
	int r = trust_compute_digest(client, &trust->digest, err);

	if (r == 0)
		r = add_anchors(trust, client, err);
	if (r == 0)
		r = add_crls(trust, cache, client, err);
	for (size_t i = 0; i < client->parts_len && r == 0; i++)
		r = add_part(trust, client->parts[i], err);
	return r;
}

static int trust_new(struct trust_cache *cache, const struct decide_client *client, struct trust **ret, struct error *err)
{
	CLEANUP(trust_unref) struct trust *trust = calloc(1, sizeof(*trust));
	uint64_t failures = memory_failures();
	int r;

	if (trust == NULL)
		return error_nomem(err);
	atomic_init(&trust->count, 1);
	trust->demand = client->demand;
	trust->verify = client->verify;
	trust->depth = client->depth;
	trust->allow_stale_crls = client->allow_stale_crls;
	trust->map_identity = client->map_identity;
	trust->keep_on_tighten = client->keep_on_tighten;
	trust->store = X509_STORE_new();
	if (client->send_ca_names)
		trust->names = sk_X509_NAME_new_null();
	if (trust->store == NULL || (client->send_ca_names && trust->names == NULL))
		return error_nomem(err);
	r = memory_judge(failures, trust_fill(trust, cache, client, err), err);
	if (r == 0)
		*ret = TAKE_PTR(trust);
	return r;
}

int trust_cache_get(struct trust_cache *cache, const struct digest *key, const struct decide_client *client, struct trust **ret,
                    struct error *err)
{
	struct trust *trust;
	uint64_t drops;
	int r;

	if (!client->ask) {
		*ret = NULL;
		return 0;
	}
	trust = lru_find(&cache->lru, key, &drops);
	if (trust == NULL) {
		r = trust_new(cache, client, &trust, err);
		if (r < 0)
			return r;
		lru_put(&cache->lru, key, trust, drops);
	}
	*ret = trust;
	return 0;
}

static int put_names(const struct trust *trust, SSL *ssl)
{
	CLEANUP(names_free) X509_NAMES *copy = NULL;

	if (trust->names == NULL || names_are_too_many(trust))
		return 0;
	copy = sk_X509_NAME_deep_copy(trust->names, (sk_X509_NAME_copyfunc)X509_NAME_dup, X509_NAME_free);
	if (copy == NULL)
		return E_NOMEM;
	SSL_set_client_CA_list(ssl, TAKE_PTR(copy));
	return 0;
}

int trust_put_on(struct trust *trust, SSL *ssl, struct seat *seat, struct error *err)
{
	if (trust == NULL) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER | (trust->demand ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	if (SSL_set1_verify_cert_store(ssl, trust->store) != 1)
		return crypto_error(err, "put client trust on a handshake");
	if (put_names(trust, ssl) < 0)
		return error_nomem(err);
	trust_unref(seat->trust);
	seat->trust = trust_ref(trust);
	return 0;
}

void trust_take_off(SSL *ssl)
{
	(void)SSL_set1_verify_cert_store(ssl, NULL);
}
