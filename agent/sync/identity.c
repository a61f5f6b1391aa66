/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/identity.h"

#include "base/file.h"
#include "base/secret.h"
#include "crypto/authority.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_MAX 65536

/* A key and the certificate for it; certificate NULL: not answered yet. */
struct pair {
	EVP_PKEY *key;
	X509 *certificate;
};

struct identity {
	char dir[PATH_MAX - 32];
	struct pair now, next;
	X509 *ca;
	char agent_id[65];
	char trust_domain[256];
};

static void pair_clear(struct pair *pair)
{
	EVP_PKEY_free(pair->key);
	X509_free(pair->certificate);
	*pair = (struct pair){0};
}

static void make_path(const struct identity *identity, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", identity->dir, name);
}

/* A file that is not there leaves *ret NULL. */
static int read_key(const struct identity *identity, const char *name, EVP_PKEY **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = {.sensitive = true};
	char path[PATH_MAX];
	int r;

	make_path(identity, name, path);
	r = file_load(path, FILE_MAX, &der, err);
	if (r == E_NOT_FOUND)
		return 0;
	if (r == 0)
		r = key_decode(BYTES(der.data, der.len), ret, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

static int parse_block(struct bytes der, void *context, struct error *err)
{
	return cert_parse(der, context, err);
}

static int read_certificate(const struct identity *identity, const char *name, X509 **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf pem = BUF_NULL;
	char path[PATH_MAX];
	int r;

	make_path(identity, name, path);
	r = file_load(path, FILE_MAX, &pem, err);
	if (r == E_NOT_FOUND)
		return 0;
	if (r == 0)
		r = cert_each_pem((const char *)pem.data, pem.len, 1, parse_block, ret, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

static int write_key(const struct identity *identity, const char *name, EVP_PKEY *key, struct error *err)
{
	CLEANUP(secret_free) struct secret *der = NULL;
	char path[PATH_MAX];
	int r = key_encode(key, &der, err);

	if (r < 0)
		return r;
	make_path(identity, name, path);
	return file_replace(path, 0600, BYTES(der->data, der->len), err);
}

static int write_certificate(const struct identity *identity, const char *name, X509 *certificate, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL, pem = BUF_NULL;
	char path[PATH_MAX];
	int r = authority_encode_cert(certificate, &der, err);

	if (r < 0)
		return r;
	cert_put_pem(BYTES(der.data, der.len), &pem);
	if (pem.failed)
		return error_nomem(err);
	make_path(identity, name, path);
	return file_replace(path, 0600, BYTES(pem.data, pem.len), err);
}

static bool is_pair(const struct pair *pair)
{
	return pair->key != NULL && pair->certificate != NULL &&
	       EVP_PKEY_eq(X509_get0_pubkey(pair->certificate), pair->key) == 1;
}

/* Of the CA, for `key`, an agent of its trust domain. */
static int check_certificate(X509 *certificate, EVP_PKEY *key, X509 *ca, char trust_domain[256], char agent_id[65],
                             struct error *err)
{
	enum authority_role role;
	int r;

	if (EVP_PKEY_eq(X509_get0_pubkey(certificate), key) != 1)
		return error_set(err, E_FORBIDDEN, "the certificate is for another key");
	if (!cert_is_issued_by(certificate, ca))
		return error_set(err, E_FORBIDDEN, "the certificate is of another CA");
	r = authority_trust_domain(ca, trust_domain, err);
	if (r == 0)
		r = authority_read_identity(certificate, trust_domain, &role, agent_id, err);
	if (r == 0 && role != AUTHORITY_AGENT)
		r = error_set(err, E_FORBIDDEN, "the certificate is not an agent's");
	return r;
}

/* The renamings of identity_promote may have been cut short between key and certificate. */
static int finish_promotion(struct identity *identity, struct error *err)
{
	struct pair mixed = {identity->now.key, identity->next.certificate};
	char from[PATH_MAX], to[PATH_MAX];
	int r;

	if (is_pair(&identity->now) || !is_pair(&mixed))
		return 0;
	make_path(identity, "next.crt", from);
	make_path(identity, "agent.crt", to);
	r = file_rename(from, to, err);
	if (r < 0)
		return r;
	X509_free(identity->now.certificate);
	identity->now.certificate = TAKE_PTR(identity->next.certificate);
	return 0;
}

static int read_files(struct identity *identity, struct error *err)
{
	int r = read_key(identity, "agent.key", &identity->now.key, err);

	if (r == 0)
		r = read_certificate(identity, "agent.crt", &identity->now.certificate, err);
	if (r == 0)
		r = read_certificate(identity, "ca.crt", &identity->ca, err);
	if (r == 0)
		r = read_key(identity, "next.key", &identity->next.key, err);
	if (r == 0)
		r = read_certificate(identity, "next.crt", &identity->next.certificate, err);
	if (r == 0)
		r = finish_promotion(identity, err);
	return r;
}

static int check_files(struct identity *identity, struct error *err)
{
	if (!is_pair(&identity->next)) { /* an answer to an older key is of no use */
		X509_free(identity->next.certificate);
		identity->next.certificate = NULL;
	}
	if (identity->now.certificate == NULL)
		return 0;
	if (identity->now.key == NULL || identity->ca == NULL)
		return error_set(err, E_CORRUPT, "%s: agent.crt without agent.key or ca.crt", identity->dir);
	if (check_certificate(identity->now.certificate, identity->now.key, identity->ca, identity->trust_domain,
	                      identity->agent_id, err) < 0)
		return error_prefix(err, E_CORRUPT, "%s/agent.crt", identity->dir);
	return 0;
}

int identity_open(const char *dir, struct identity **ret, struct error *err)
{
	CLEANUP(identity_free) struct identity *identity = calloc(1, sizeof(*identity));
	int r;

	if (identity == NULL)
		return error_nomem(err);
	if (snprintf(identity->dir, sizeof(identity->dir), "%s", dir) >= (int)sizeof(identity->dir))
		return error_set(err, E_INVALID, "data directory: the path is too long");
	r = read_files(identity, err);
	if (r == 0)
		r = check_files(identity, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(identity);
	return 0;
}

struct identity *identity_free(struct identity *identity)
{
	if (identity != NULL) {
		pair_clear(&identity->now);
		pair_clear(&identity->next);
		X509_free(identity->ca);
		free(identity);
	}
	return NULL;
}

bool identity_is_enrolled(const struct identity *identity)
{
	return identity->now.certificate != NULL;
}

const char *identity_agent_id(const struct identity *identity)
{
	return identity->agent_id;
}

const char *identity_trust_domain(const struct identity *identity)
{
	return identity->trust_domain;
}

X509 *identity_ca(const struct identity *identity)
{
	return identity->ca;
}

bool identity_has_next(const struct identity *identity)
{
	return identity->next.certificate != NULL;
}

X509 *identity_certificate(const struct identity *identity, bool next)
{
	return next ? identity->next.certificate : identity->now.certificate;
}

EVP_PKEY *identity_key(const struct identity *identity, bool next)
{
	return next ? identity->next.key : identity->now.key;
}

/* 0, which is long ago: it is no time. */
static int64_t to_unix(const ASN1_TIME *time)
{
	int64_t at = 0;

	return cert_read_time(time, "", &at, NULL) == 0 ? at : 0;
}

int64_t identity_not_after(const struct identity *identity)
{
	return identity->now.certificate != NULL ? to_unix(X509_get0_notAfter(identity->now.certificate)) : 0;
}

bool identity_is_expired(const struct identity *identity, int64_t now)
{
	return identity_is_enrolled(identity) && now > identity_not_after(identity);
}

bool identity_is_renewal_due(const struct identity *identity, int64_t now)
{
	int64_t from;

	if (!identity_is_enrolled(identity) || identity_has_next(identity))
		return false;
	from = to_unix(X509_get0_notBefore(identity->now.certificate));
	return now >= from + (identity_not_after(identity) - from) / 2;
}

/* The key of `pair`, made and durable if there is none, and the request for it. */
static int make_csr(struct identity *identity, struct pair *pair, const char *name, struct buf *csr, struct error *err)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	int r;

	if (pair->key == NULL) {
		r = key_generate(&key, err);
		if (r == 0)
			r = write_key(identity, name, key, err);
		if (r < 0)
			return r;
		pair->key = TAKE_PTR(key);
	}
	return authority_make_csr(pair->key, csr, err);
}

int identity_make_enroll_csr(struct identity *identity, struct buf *csr, struct error *err)
{
	assert(!identity_is_enrolled(identity));
	return make_csr(identity, &identity->now, "agent.key", csr, err);
}

int identity_make_renew_csr(struct identity *identity, struct buf *csr, struct error *err)
{
	return make_csr(identity, &identity->next, "next.key", csr, err);
}

static struct bytes from_field(ProtobufCBinaryData field)
{
	return BYTES(field.data, field.len);
}

int identity_accept_enroll(struct identity *identity, const struct join_token *token,
                           const Tlsplane__EnrollReply *reply, struct error *err)
{
	CLEANUP(X509_free) X509 *certificate = NULL, *ca = NULL;
	char trust_domain[256], agent_id[65];
	uint8_t hash[SHA256_LEN];
	int r;

	r = crypto_sha256(from_field(reply->ca), hash, err);
	if (r == 0 && memcmp(hash, token->ca_sha256, sizeof(hash)) != 0)
		r = error_set(err, E_FORBIDDEN, "the CA is not the one that the join token names");
	if (r == 0)
		r = cert_parse(from_field(reply->ca), &ca, err);
	if (r == 0)
		r = cert_parse(from_field(reply->certificate), &certificate, err);
	if (r == 0)
		r = check_certificate(certificate, identity->now.key, ca, trust_domain, agent_id, err);
	if (r == 0 && strcmp(agent_id, reply->agent_id) != 0)
		r = error_set(err, E_FORBIDDEN, "the certificate is for another agent");
	if (r == 0)
		r = write_certificate(identity, "ca.crt", ca, err);
	if (r == 0)
		r = write_certificate(identity, "agent.crt", certificate, err); /* last: it is what makes the agent enrolled */
	if (r < 0)
		return r;
	identity->ca = TAKE_PTR(ca);
	identity->now.certificate = TAKE_PTR(certificate);
	memcpy(identity->trust_domain, trust_domain, sizeof(trust_domain));
	memcpy(identity->agent_id, agent_id, sizeof(agent_id));
	return 0;
}

int identity_accept_renew(struct identity *identity, const Tlsplane__RenewReply *reply, struct error *err)
{
	CLEANUP(X509_free) X509 *certificate = NULL;
	char trust_domain[256], agent_id[65];
	int r;

	if (identity->next.key == NULL)
		return error_set(err, E_PROTOCOL, "a certificate that was not asked for");
	r = cert_parse(from_field(reply->certificate), &certificate, err);
	if (r == 0)
		r = check_certificate(certificate, identity->next.key, identity->ca, trust_domain, agent_id, err);
	if (r == 0 && strcmp(agent_id, identity->agent_id) != 0)
		r = error_set(err, E_FORBIDDEN, "the certificate is for another agent");
	if (r == 0)
		r = write_certificate(identity, "next.crt", certificate, err);
	if (r < 0)
		return r;
	X509_free(identity->next.certificate);
	identity->next.certificate = TAKE_PTR(certificate);
	return 0;
}

int identity_promote(struct identity *identity, struct error *err)
{
	static const char *const names[][2] = {{"next.key", "agent.key"}, {"next.crt", "agent.crt"}};
	char from[PATH_MAX], to[PATH_MAX];

	assert(identity_has_next(identity));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int r;

		make_path(identity, names[i][0], from);
		make_path(identity, names[i][1], to);
		r = file_rename(from, to, err);
		if (r < 0 && r != E_NOT_FOUND) /* not found: done by a call that failed at the other */
			return r;
	}
	pair_clear(&identity->now);
	identity->now = identity->next;
	identity->next = (struct pair){0};
	return 0;
}
