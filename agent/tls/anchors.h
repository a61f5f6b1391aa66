/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: trust anchors and CRLs, from DER into an X509_STORE. Whatever enters a store is complete: nothing is written to it once
 * threads share it. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"

#include <openssl/x509.h>
#include <stdint.h>

/* ret (may be NULL): a reference; the store may hold an equal one instead. E_SYNTAX; E_NOMEM. */
int anchors_add_cert(X509_STORE *store, const ProtobufCBinaryData *der, X509 **ret, struct error *err) MUST_USE;
int anchors_add_crl(X509_STORE *store, const ProtobufCBinaryData *der, struct error *err) MUST_USE;
int anchors_parse_crl(const ProtobufCBinaryData *der, X509_CRL **ret, struct error *err) MUST_USE; /* fit to be shared by threads */

/* The system's CAs, read once for all profiles until the file changes. file NULL: Debian's. The stamp, never 0, is another whenever they
 * may be others. E_UNAVAILABLE: not readable, or no certificate in it. */
int anchors_look_at_system(const char *file, uint64_t *ret_stamp, struct error *err) MUST_USE;
int anchors_add_system(X509_STORE *store, const char *file, uint64_t *ret_stamp, struct error *err) MUST_USE;

/* For X509_STORE_CTX_set_verify_cb: a CRL past its next update still says who was revoked. */
int anchors_let_stale_crls_pass(int ok, X509_STORE_CTX *ctx);
