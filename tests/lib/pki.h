/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, made with OpenSSL alone. Whatever fails aborts the test program. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pki_cert {
	X509 *cert;
	EVP_PKEY *key;
	char *pem;     /* the certificate */
	char *key_pem; /* PKCS#8 */
};

struct pki_spec {
	const char *name; /* common name; NULL: "test" */
	const char *sans; /* as in openssl.cnf: "DNS:a.test,IP:127.0.0.1"; NULL: none */
	const char
		*key; /* "P-256" (NULL), "P-384", "P-521", "secp256k1", "Ed25519", "RSA-2048", "RSA-PSS-2048", "DSA-2048" ... */
	const struct pki_cert *issuer; /* NULL: self-signed */
	const struct pki_cert *reuse;  /* take its key instead of making one */
	const char *usage;             /* extended key usage, "clientAuth"; NULL: none */
	const char *digest;            /* NULL: SHA256 */
	bool is_ca;
	int64_t not_before, not_after; /* seconds from now; both 0: an hour ago to 90 days ahead */
	const void *dns_raw;           /* one dNSName of these bytes instead of sans */
	size_t dns_raw_len;
	unsigned rsa_exponent; /* 0: 65537 */
	bool explicit_curve;
};

struct pki_cert *pki_make(const struct pki_spec *spec);
struct pki_cert *pki_free(struct pki_cert *cert); /* NULL allowed; returns NULL */

/* Several PEM texts in one; malloc'd. A NULL ends the list. */
char *pki_join(const char *first, ...) __attribute__((sentinel));
