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
	const X509_NAME *subject; /* whole, in place of name; NULL: none */
	const char *key_usage;    /* "critical,keyCertSign"; NULL: none */
	const char *tls_feature;  /* "status_request"; NULL: none */
};

struct pki_cert *pki_make(const struct pki_spec *spec);
struct pki_cert *pki_free(struct pki_cert *cert); /* NULL allowed; returns NULL */

struct pki_crl_spec {
	const struct pki_cert *issuer;     /* its name, and unless signer is given its key */
	const struct pki_cert *signer;     /* or NULL */
	const struct pki_cert *revoked[4]; /* NULL ends */
	int64_t this_update, next_update;  /* seconds from now; both 0: an hour ago to a day ahead */
	bool has_no_next_update;
	const char *extensions[3];         /* "NAME=VALUE" as in x509v3_config(5) */
	const char *entry_extension;       /* of the first entry, the same; NULL: none */
};

/* PEM, malloc'd. */
char *pki_make_crl(const struct pki_crl_spec *spec);

/* Several PEM texts in one; malloc'd. A NULL ends the list. */
char *pki_join(const char *first, ...) __attribute__((sentinel));
