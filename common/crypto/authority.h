/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate authority of the channel: P-256, SPIFFE URIs. Used by the control plane to issue, by the agent to ask. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "crypto/cert.h"
#include "crypto/key.h"

#include <openssl/types.h>
#include <stdint.h>

#define AUTHORITY_BACKDATE 60 /* seconds; clocks differ a little at enrolment */
#define AUTHORITY_AGENT_LIFE (90 * 86400)
#define AUTHORITY_CA_LIFE (10 * 365 * 86400)

/* A new CA certificate and key for the trust domain (lower-case letters, digits, ".", "-", "_"). References in *ret_*. */
int authority_make_ca(const char *trust_domain, int64_t now, X509 **ret_cert, EVP_PKEY **ret_key, struct error *err) MUST_USE;

enum authority_role { AUTHORITY_CONTROLPLANE, AUTHORITY_AGENT };

/* Issues for `subject` (only its public key is taken). agent_id only for AUTHORITY_AGENT. Valid from now -
 * AUTHORITY_BACKDATE to now + lifetime, but no longer than the CA; E_INVALID when that has expired. */
int authority_issue(X509 *ca, EVP_PKEY *ca_key, enum authority_role role, const char *agent_id, EVP_PKEY *subject, int64_t now,
                    int64_t lifetime, X509 **ret, struct error *err) MUST_USE;

/* A server's certificate for people and programs with a web client, without a SPIFFE name: no role on the channel. names: host
 * names and IP addresses, NULL at their end, at least one. E_INVALID: one is neither. The rest as above. */
int authority_issue_server(X509 *ca, EVP_PKEY *ca_key, const char *const *names, EVP_PKEY *subject, int64_t now, int64_t lifetime,
                           X509 **ret, struct error *err) MUST_USE;

int authority_make_csr(EVP_PKEY *key, struct buf *out, struct error *err) MUST_USE;
/* Checks the CSR's own signature (proof of possession); P-256 only, as key_generate makes. *ret: a reference. */
int authority_read_csr(struct bytes der, EVP_PKEY **ret, struct error *err) MUST_USE;

/* From the trust domain in the CA's own URI name ("spiffe://TRUST-DOMAIN"). domain must hold 256. */
int authority_trust_domain(X509 *ca, char domain[256], struct error *err) MUST_USE;
/* Splits "spiffe://TRUST-DOMAIN/controlplane" or ".../agent/ID" of a verified certificate: exactly one URI name, this trust domain,
 * else E_FORBIDDEN. agent_id must hold 65; "" for the control plane. */
int authority_read_identity(X509 *cert, const char *trust_domain, enum authority_role *ret_role, char agent_id[65],
                            struct error *err) MUST_USE;

int authority_encode_cert(X509 *cert, struct buf *out, struct error *err) MUST_USE; /* DER */
