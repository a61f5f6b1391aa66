/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/crypto and common/model: text of PEM blocks, all of one type (RFC 7468). */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

struct pem_type {
	const char *label; /* "CERTIFICATE" */
	const char *noun, *plural; /* with its article: "a certificate", "certificates" */
};

extern const struct pem_type pem_certificate, pem_crl;

/* The DER of each block, in order, to fn, whose other than 0 ends it. Text around blocks is skipped as OpenSSL does; a block of another
 * label, broken base64 or no block at all is E_SYNTAX; more than max blocks E_TOO_LARGE. */
int pem_each(const char *pem, size_t len, const struct pem_type *type, size_t max,
             int (*fn)(struct bytes der, void *context, struct error *err), void *context, struct error *err) MUST_USE;
void pem_put(struct bytes der, const struct pem_type *type, struct buf *out); /* one block, 64 columns, newline at the end */
