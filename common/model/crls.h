/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: the CRLs of a bundle at the JSON edge: read, judged, shown. */
#pragma once

#include "crypto/crl.h"
#include "model/certs.h"
#include "model/fields.h"

/* DER copies, malloc'd. Each must be signed by one of the CAs (none loaded: that is not asked). E_SYNTAX, E_INVALID, E_TOO_LARGE;
 * E_NOT_FOUND: none of them signed it; the text names the CRL by number. */
int crls_read_pem(struct bytes pem, size_t max, const struct cert_list *cas, size_t *ret_count, ProtobufCBinaryData **ret,
                  struct error *err) MUST_USE;
/* Warnings: stale, not yet valid, a CA that has none while others have. What does not parse is left out. */
void crls_find(const ProtobufCBinaryData *crls, size_t count, const struct cert_list *cas, const char *pointer,
               const struct resource_limits *limits, struct findings *findings);
json_t *crl_render(struct field_output *out, const ProtobufCBinaryData *crl);
