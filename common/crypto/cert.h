/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: from PEM or DER to facts. Parsing bounded by the caller's limits; nothing here trusts its input. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

DEFINE_CLEANUP(X509, X509_free);
DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);

/* Splits PEM text into the DER of its CERTIFICATE blocks, in order, calling fn for each. Text around blocks is skipped as OpenSSL
 * does; a block of another label, broken base64 or no block at all is E_SYNTAX; more than max blocks E_TOO_LARGE. */
int cert_each_pem(const char *pem, size_t len, size_t max, int (*fn)(struct bytes der, void *context, struct error *err),
                  void *context, struct error *err) MUST_USE;
void cert_put_pem(struct bytes der, struct buf *out); /* appends one block, 64 columns, newline at the end */

/* Exactly one certificate, no trailing bytes. *ret: a reference. Its extensions have been read, so that nothing is
 * written to it any more: threads may share it. */
int cert_parse(struct bytes der, X509 **ret, struct error *err) MUST_USE;

enum cert_key_type { CERT_KEY_OTHER, CERT_KEY_RSA, CERT_KEY_EC_P256, CERT_KEY_EC_P384, CERT_KEY_EC_P521, CERT_KEY_ED25519 };

/* Which of them key is; NULL (undecodable) is CERT_KEY_OTHER. ret_name (may be NULL): static, for people, as in
 * cert_info.key_name. */
enum cert_key_type cert_key_type_of(EVP_PKEY *key, const char **ret_name);

struct cert_name { /* a subject alternative name */
	enum { CERT_NAME_DNS, CERT_NAME_IP, CERT_NAME_EMAIL, CERT_NAME_URI } type;
	char *text; /* as in the certificate, IP in text form; what is not printable ASCII as \HH: safe to show */
};

/* What the API shows and validation asks. All strings owned; times unix seconds (negative before 1970). */
struct cert_info {
	char *subject, *issuer; /* RFC 2253, UTF-8 */
	char *common_name;      /* or NULL */
	char *serial;           /* lower-case hex */
	char *signature_algorithm;
	struct cert_name *names;
	size_t names_len;
	int64_t not_before, not_after;
	enum cert_key_type key_type;
	const char *key_name; /* "RSA", "EC P-256", "Ed25519", or OpenSSL's name of what is not allowed; static */
	uint32_t key_bits;
	uint64_t rsa_exponent; /* 0 when not RSA; UINT64_MAX when larger */
	bool has_explicit_curve;
	bool is_ca;            /* basicConstraints CA:TRUE, or a version 1 self-signed root */
	bool is_self_issued;
	bool san_has_nul;      /* an alternative name or the common name has an embedded NUL: refuse */
	bool must_staple;      /* the TLS feature extension asks for status_request (RFC 7633) */
	bool may_serve;        /* extendedKeyUsage absent, or has serverAuth or any */
	bool may_connect;      /* the same with clientAuth */
	uint8_t sha256[32], spki_sha256[32];
};

/* *ret must be zeroed. E_INVALID: a part that must be understood (a time, an extension, a name) is malformed. */
int cert_info_read(X509 *cert, struct cert_info *ret, struct error *err) MUST_USE;
void cert_info_deinit(struct cert_info *info);
DEFINE_CLEANUP_VALUE(struct cert_info, cert_info_deinit);

/* A name in RFC 2253, UTF-8, malloc'd. what: for the error. */
int cert_read_name(const X509_NAME *name, const char *what, char **ret, struct error *err) MUST_USE;
/* Unix seconds. E_INVALID: it is NULL, or no time. */
int cert_read_time(const ASN1_TIME *time, const char *what, int64_t *ret, struct error *err) MUST_USE;
bool cert_is_issued_by(X509 *cert, X509 *issuer); /* name, key id and signature */
int cert_spki_sha256(X509 *cert, uint8_t digest[32], struct error *err) MUST_USE;
