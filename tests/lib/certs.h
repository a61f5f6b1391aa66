/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, made with OpenSSL alone so that they can be wrong in every way. Failures abort: a test can't go on. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "RSA" (2048), "RSA:1024", "P-256", "secp256k1", "ED25519", ... A reference. */
EVP_PKEY *certs_make_key(const char *type);

struct certs_spec {
	const char *common_name; /* NULL: empty subject */
	EVP_PKEY *key;           /* subject's; borrowed */
	X509 *issuer;            /* NULL: self-signed */
	EVP_PKEY *issuer_key;
	int64_t not_before, not_after; /* both 0: yesterday and tomorrow */
	const char *extensions[8];     /* "NAME=VALUE" as in x509v3_config(5); NULL ends */
};

/* A reference. */
X509 *certs_make(const struct certs_spec *spec);

/* malloced, zero-terminated. traditional: PKCS#1 or SEC1 instead of PKCS#8. */
char *certs_key_pem(EVP_PKEY *key, bool traditional);
char *certs_pem(X509 *cert);
/* malloced DER; *ret_len its length. */
uint8_t *certs_der(X509 *cert, size_t *ret_len);
