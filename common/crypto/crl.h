/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate revocation lists (RFC 5280 5): what is accepted is what OpenSSL's chain verification, as the agent runs it, can judge by. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

DEFINE_CLEANUP(X509_CRL, X509_CRL_free);

/* Splits PEM text into the DER of its X509 CRL blocks, as cert_each_pem. */
int crl_each_pem(const char *pem, size_t len, size_t max, int (*fn)(struct bytes der, void *context, struct error *err),
                 void *context, struct error *err) MUST_USE;
void crl_put_pem(struct bytes der, struct buf *out);

/* Exactly one CRL, no trailing bytes. E_SYNTAX: it is none; E_INVALID: it is one that would not be judged as its issuer means it: a delta
 * CRL, an indirect one, one for some reasons or attribute certificates only, an unknown critical extension, a time that is none.
 * *ret: a reference. */
int crl_parse(struct bytes der, X509_CRL **ret, struct error *err) MUST_USE;

/* By name, the right to sign CRLs, and signature. */
bool crl_is_issued_by(X509_CRL *crl, X509 *ca);

/* Of a parsed one; the string is owned. */
struct crl_info {
	char *issuer; /* RFC 2253, UTF-8 */
	int64_t this_update;
	int64_t next_update; /* INT64_MAX: it names none, and never becomes stale */
	size_t revoked;
};

/* *ret must be zeroed. */
int crl_info_read(X509_CRL *crl, struct crl_info *ret, struct error *err) MUST_USE;
void crl_info_deinit(struct crl_info *info);
DEFINE_CLEANUP_VALUE(struct crl_info, crl_info_deinit);
