/* SPDX-License-Identifier: Apache-2.0 */
/* Issuing for the channel. Identities are SPIFFE ids in a URI name: spiffe://TRUST-DOMAIN for the CA, .../controlplane
 * and .../agent/ID below it; subjects are for people only. */
#include "crypto/authority.h"

#include "crypto/crypto.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define URI_SCHEME "spiffe://"
#define URI_CONTROLPLANE "controlplane"
#define URI_AGENT "agent/"
#define SERIAL_LEN 16
#define TRUST_DOMAIN_MAX 255
#define AGENT_ID_MAX 64
#define SERVER_NAME_MAX 253
#define COMMON_NAME_MAX 64 /* X.520's upper bound */

DEFINE_CLEANUP(X509_REQ, X509_REQ_free);
DEFINE_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free);

static bool text_is_made_of(const char *text, size_t len, size_t max, const char *allowed)
{
	return len > 0 && len <= max && strspn(text, allowed) >= len;
}

static bool is_trust_domain(const char *text, size_t len)
{
	return text_is_made_of(text, len, TRUST_DOMAIN_MAX, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
}

static bool is_agent_id(const char *text, size_t len)
{
	return text_is_made_of(text, len, AGENT_ID_MAX,
	                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") &&
	       text[0] != '.' && text[0] != '-';
}

/* Issuing ---------------------------------------------------------------------------------------------------------- */

struct extension {
	int nid;
	const char *value; /* as in openssl.cnf, x509v3_config(5) */
};

static int add_extensions(X509 *cert, X509 *issuer, const struct extension *rows, size_t count, struct error *err)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	for (size_t i = 0; i < count; i++) {
		X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, rows[i].nid, rows[i].value);
		int ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;

		X509_EXTENSION_free(extension);
		if (!ok)
			return crypto_error(err, "certificate extension %s", OBJ_nid2sn(rows[i].nid));
	}
	return 0;
}

/* 127 random bits: positive, and never the same twice (RFC 5280 4.1.2.2). */
static int set_serial(X509 *cert, struct error *err)
{
	uint8_t random[SERIAL_LEN];
	int r = crypto_random(random, sizeof(random), err);

	if (r < 0)
		return r;
	random[0] = (uint8_t)((random[0] & 0x7f) | 0x40);
	if (ASN1_STRING_set(X509_get_serialNumber(cert), random, sizeof(random)) != 1)
		return error_nomem(err);
	return 0;
}

static int set_times(X509 *cert, int64_t not_before, int64_t not_after, struct error *err)
{
	if (ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)not_after) == NULL)
		return crypto_error(err, "certificate times");
	return 0;
}

static int add_name(X509_NAME *name, const char *field, const char *text, struct error *err)
{
	if (X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const unsigned char *)text, -1, -1, 0) != 1)
		return crypto_error(err, "certificate subject");
	return 0;
}

/* A version 3 certificate for key with everything but issuer, extensions and signature. */
static int start_cert(const char *common_name, EVP_PKEY *key, int64_t not_before, int64_t not_after, X509 **ret,
                      struct error *err)
{
	CLEANUP(X509_free) X509 *cert = X509_new();
	int r;

	if (cert == NULL)
		return error_nomem(err);
	if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_pubkey(cert, key) != 1)
		return crypto_error(err, "make certificate");
	r = set_serial(cert, err);
	if (r == 0)
		r = set_times(cert, not_before, not_after, err);
	if (r == 0)
		r = add_name(X509_get_subject_name(cert), "O", "tlsplane", err);
	if (r == 0)
		r = add_name(X509_get_subject_name(cert), "CN", common_name, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(cert);
	return 0;
}

static int sign_cert(X509 *cert, EVP_PKEY *key, struct error *err)
{
	/* Ed25519, which a brought CA may have, hashes by itself. */
	const EVP_MD *md = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();

	return X509_sign(cert, key, md) > 0 ? 0 : crypto_error(err, "sign certificate");
}

static int finish_ca(X509 *cert, EVP_PKEY *key, const char *uri, struct error *err)
{
	const struct extension rows[] = {
	    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	    {NID_key_usage, "critical,keyCertSign,cRLSign"},
	    {NID_subject_key_identifier, "hash"},
	    {NID_subject_alt_name, uri},
	};
	int r;

	if (X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1)
		return crypto_error(err, "make certificate");
	r = add_extensions(cert, cert, rows, ARRAY_LEN(rows), err);
	return r < 0 ? r : sign_cert(cert, key, err);
}

int authority_make_ca(const char *trust_domain, int64_t now, X509 **ret_cert, EVP_PKEY **ret_key, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	char uri[sizeof("URI:" URI_SCHEME) + TRUST_DOMAIN_MAX];
	int r;

	if (!is_trust_domain(trust_domain, strlen(trust_domain)))
		return error_set(err, E_INVALID, "a trust domain has 1 to 255 lower-case letters, digits, '.', '-' or '_'");
	snprintf(uri, sizeof(uri), "URI:" URI_SCHEME "%s", trust_domain);
	r = key_generate(&key, err);
	if (r == 0)
		r = start_cert("tlsplane channel CA", key, now - AUTHORITY_BACKDATE, now + AUTHORITY_CA_LIFE, &cert, err);
	if (r == 0)
		r = finish_ca(cert, key, uri, err);
	if (r < 0)
		return r;
	*ret_cert = TAKE_PTR(cert);
	*ret_key = TAKE_PTR(key);
	return 0;
}

static const struct role_row {
	const char *eku;
} role_rows[] = {
    [AUTHORITY_CONTROLPLANE] = {"serverAuth"},
    [AUTHORITY_AGENT] = {"clientAuth"},
};

static int finish_issued(X509 *cert, X509 *ca, EVP_PKEY *ca_key, enum authority_role role, const char *uri,
                         struct error *err)
{
	const struct extension rows[] = {
	    {NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
	    {NID_ext_key_usage, role_rows[role].eku},     {NID_subject_key_identifier, "hash"},
	    {NID_subject_alt_name, uri},                  {NID_authority_key_identifier, "keyid"},
	};
	/* A brought CA may have no key identifier to point to. */
	size_t count = X509_get0_subject_key_id(ca) != NULL ? ARRAY_LEN(rows) : ARRAY_LEN(rows) - 1;
	int r;

	if (X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1)
		return crypto_error(err, "make certificate");
	r = add_extensions(cert, ca, rows, count, err);
	return r < 0 ? r : sign_cert(cert, ca_key, err);
}

static int read_ca_end(X509 *ca, int64_t now, int64_t *ret, struct error *err)
{
	int r = cert_read_time(X509_get0_notAfter(ca), "the CA certificate's notAfter", ret, err);

	if (r < 0)
		return r;
	if (*ret <= now)
		return error_set(err, E_INVALID, "the CA certificate has expired");
	return 0;
}

int authority_issue(X509 *ca, EVP_PKEY *ca_key, enum authority_role role, const char *agent_id, EVP_PKEY *subject,
                    int64_t now, int64_t lifetime, X509 **ret, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	const char *name = role == AUTHORITY_AGENT ? agent_id : URI_CONTROLPLANE;
	char trust_domain[TRUST_DOMAIN_MAX + 1], uri[TRUST_DOMAIN_MAX + AGENT_ID_MAX + 32];
	int64_t end = 0;
	int r;

	if (role == AUTHORITY_AGENT && (agent_id == NULL || !is_agent_id(agent_id, strlen(agent_id))))
		return error_set(err, E_INVALID, "an agent id has 1 to 64 letters, digits, '.', '-' or '_'");
	r = authority_trust_domain(ca, trust_domain, err);
	if (r == 0)
		r = read_ca_end(ca, now, &end, err);
	if (r < 0)
		return r;
	snprintf(uri, sizeof(uri), "URI:" URI_SCHEME "%s/%s%s", trust_domain, role == AUTHORITY_AGENT ? URI_AGENT : "",
	         name);
	if (now + lifetime < end)
		end = now + lifetime;
	r = start_cert(name, subject, now - AUTHORITY_BACKDATE, end, &cert, err);
	if (r == 0)
		r = finish_issued(cert, ca, ca_key, role, uri, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(cert);
	return 0;
}

/* "DNS:NAME" or "IP:ADDRESS" behind what is there. */
static int add_server_name(const char *name, struct buf *out, struct error *err)
{
	unsigned char address[16];
	size_t len = strlen(name);
	bool is_ip = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;

	if (!is_ip &&
	    (!text_is_made_of(name, len, SERVER_NAME_MAX, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ||
	     name[0] == '.' || name[0] == '-'))
		return error_set(err, E_INVALID, "a server's name has 1 to %d letters, digits, '.', '-' or '_'", SERVER_NAME_MAX);
	buf_printf(out, "%s%s:%s", out->len > 0 ? "," : "", is_ip ? "IP" : "DNS", name);
	return 0;
}

int authority_issue_server(X509 *ca, EVP_PKEY *ca_key, const char *const *names, EVP_PKEY *subject, int64_t now,
                           int64_t lifetime, X509 **ret, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	CLEANUP(buf_deinit) struct buf san = BUF_NULL;
	char common_name[COMMON_NAME_MAX + 1];
	int64_t end = 0;
	int r = read_ca_end(ca, now, &end, err);

	for (size_t i = 0; names[i] != NULL && r == 0; i++)
		r = add_server_name(names[i], &san, err);
	if (r < 0)
		return r;
	if (buf_cstr(&san) == NULL)
		return error_nomem(err);
	snprintf(common_name, sizeof(common_name), "%s", names[0]);
	r = start_cert(common_name, subject, now - AUTHORITY_BACKDATE, now + lifetime < end ? now + lifetime : end, &cert, err);
	if (r == 0)
		r = finish_issued(cert, ca, ca_key, AUTHORITY_CONTROLPLANE, (const char *)san.data, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(cert);
	return 0;
}

/* Requests --------------------------------------------------------------------------------------------------------- */

int authority_make_csr(EVP_PKEY *key, struct buf *out, struct error *err)
{
	CLEANUP(X509_REQ_free) X509_REQ *request = X509_REQ_new();
	unsigned char *der = NULL;
	int len;

	if (request == NULL)
		return error_nomem(err);
	if (X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 || X509_REQ_set_pubkey(request, key) != 1 ||
	    X509_REQ_sign(request, key, EVP_sha256()) <= 0)
		return crypto_error(err, "make certificate request");
	len = i2d_X509_REQ(request, &der);
	if (len < 0)
		return crypto_error(err, "encode certificate request");
	buf_put(out, der, (size_t)len);
	OPENSSL_free(der);
	return out->failed ? error_nomem(err) : 0;
}

int authority_read_csr(struct bytes der, EVP_PKEY **ret, struct error *err)
{
	CLEANUP(X509_REQ_free) X509_REQ *request = NULL;
	const unsigned char *at = der.data;
	EVP_PKEY *key;

	if (der.data != NULL && der.len <= INT_MAX)
		request = d2i_X509_REQ(NULL, &at, (long)der.len);
	ERR_clear_error();
	if (request == NULL || at != der.data + der.len)
		return error_set(err, E_SYNTAX, "not a certificate request (PKCS#10)");
	key = X509_REQ_get0_pubkey(request);
	if (cert_key_type_of(key, NULL) != CERT_KEY_EC_P256) /* before verifying: a huge RSA key would make that dear */
		return error_set(err, E_INVALID, "the certificate request's key is not EC P-256");
	if (X509_REQ_verify(request, key) != 1) {
		ERR_clear_error();
		return error_set(err, E_INVALID, "the certificate request's signature is wrong");
	}
	if (EVP_PKEY_up_ref(key) != 1)
		return crypto_error(err, "certificate request");
	*ret = key;
	return 0;
}

/* Identities ------------------------------------------------------------------------------------------------------- */

/* The one URI name of cert behind "spiffe://". uri must hold `size`. False: none, several, another scheme, NUL inside,
 * too long. */
static bool read_only_uri(X509 *cert, char *uri, size_t size)
{
	CLEANUP(GENERAL_NAMES_free) GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	const ASN1_IA5STRING *found = NULL;
	size_t scheme = strlen(URI_SCHEME), len;
	const char *text;

	ERR_clear_error();
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_URI)
			continue;
		if (found != NULL)
			return false;
		found = name->d.uniformResourceIdentifier;
	}
	if (found == NULL)
		return false;
	text = (const char *)ASN1_STRING_get0_data(found);
	len = (size_t)ASN1_STRING_length(found);
	if (len < scheme || memcmp(text, URI_SCHEME, scheme) != 0 || len - scheme >= size || memchr(text, 0, len) != NULL)
		return false;
	memcpy(uri, text + scheme, len - scheme);
	uri[len - scheme] = 0;
	return true;
}

int authority_trust_domain(X509 *ca, char domain[256], struct error *err)
{
	char found[TRUST_DOMAIN_MAX + 1];

	if (!read_only_uri(ca, found, sizeof(found)) || !is_trust_domain(found, strlen(found)))
		return error_set(err, E_INVALID, "the CA certificate has no single URI name \"spiffe://TRUST-DOMAIN\"");
	memcpy(domain, found, strlen(found) + 1);
	return 0;
}

int authority_read_identity(X509 *cert, const char *trust_domain, enum authority_role *ret_role, char agent_id[65],
                            struct error *err)
{
	char uri[TRUST_DOMAIN_MAX + AGENT_ID_MAX + 32];
	size_t domain = strlen(trust_domain), agent = strlen(URI_AGENT);
	const char *path;

	if (!read_only_uri(cert, uri, sizeof(uri)))
		return error_set(err, E_FORBIDDEN, "the peer's certificate has no single spiffe:// name");
	if (strncmp(uri, trust_domain, domain) != 0 || uri[domain] != '/')
		return error_set(err, E_FORBIDDEN, "the peer's certificate is of another trust domain");
	path = uri + domain + 1;
	if (strcmp(path, URI_CONTROLPLANE) == 0) {
		*ret_role = AUTHORITY_CONTROLPLANE;
		agent_id[0] = 0;
		return 0;
	}
	if (strncmp(path, URI_AGENT, agent) != 0 || !is_agent_id(path + agent, strlen(path + agent)))
		return error_set(err, E_FORBIDDEN, "the peer's certificate names neither control plane nor agent");
	*ret_role = AUTHORITY_AGENT;
	memcpy(agent_id, path + agent, strlen(path + agent) + 1);
	return 0;
}

int authority_encode_cert(X509 *cert, struct buf *out, struct error *err)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);

	if (len < 0)
		return crypto_error(err, "encode certificate");
	buf_put(out, der, (size_t)len);
	OPENSSL_free(der);
	return out->failed ? error_nomem(err) : 0;
}
