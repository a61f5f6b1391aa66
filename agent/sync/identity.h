/* SPDX-License-Identifier: Apache-2.0 */
/* Who this agent is to the control plane: a key that never leaves this machine, the certificate for it, the one CA
 * that it trusts. Files in the data directory: agent.key (PKCS#8 DER, 0600), agent.crt, ca.crt (PEM); while renewing
 * also next.key and next.crt.
 *
 *   no key --key made, durable--> KEYED --Enroll, reply checked, stored--> ENROLLED
 *   ENROLLED --half the life is over: next.key made, durable, Renew, reply checked, next.crt stored--> RENEWING
 *   RENEWING --the next certificate has connected--> ENROLLED with it
 *
 * A key is durable before anything is asked for it, and asked for again after a crash, so that a token that was used is
 * not lost. While RENEWING both count, whichever the control plane knows. Expiry is not looked at here: an expired
 * certificate still renews. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

struct identity;

/* What a token file holds: "tlsplane1.ID.SECRET.CASHA256": secret base64url, hash of the CA certificate in hex. */
struct join_token {
	char id[65];
	uint8_t secret[128];
	size_t secret_len;
	uint8_t ca_sha256[32];
};

int join_token_parse(const char *text, struct join_token *ret,
                     struct error *err) MUST_USE; /* E_SYNTAX; never quotes it */
/* path NULL: none was given, E_NOT_FOUND. As above; E_IO, E_TOO_LARGE. */
int join_token_read(const char *path, struct join_token *ret, struct error *err) MUST_USE;
void join_token_wipe(struct join_token *token);
DEFINE_CLEANUP_VALUE(struct join_token, join_token_wipe);

/* Reads what is there. E_CORRUPT: files that don't fit each other; E_IO. */
int identity_open(const char *dir, struct identity **ret, struct error *err) MUST_USE;
struct identity *identity_free(struct identity *identity); /* NULL allowed */
DEFINE_CLEANUP(struct identity, identity_free);

bool identity_is_enrolled(const struct identity *identity);
const char *identity_agent_id(const struct identity *identity);     /* "" before enrolment */
const char *identity_trust_domain(const struct identity *identity); /* "" before enrolment */
X509 *identity_ca(const struct identity *identity);                 /* borrowed; NULL before enrolment */
bool identity_has_next(const struct identity *identity);            /* a renewed certificate waits to connect */
/* The pair to connect with: the next one, or the one in use. Borrowed. */
X509 *identity_certificate(const struct identity *identity, bool next);
EVP_PKEY *identity_key(const struct identity *identity, bool next);
int64_t identity_not_after(const struct identity *identity); /* unix seconds; 0 before enrolment */
bool identity_is_expired(const struct identity *identity, int64_t now);
/* Half of the life is over and no next one waits. */
bool identity_is_renewal_due(const struct identity *identity, int64_t now);

/* The request for the enrolment key, which is made and stored if there is none. Appends DER. */
int identity_make_enroll_csr(struct identity *identity, struct buf *csr, struct error *err) MUST_USE;
/* E_FORBIDDEN, E_INVALID: not what was asked for (key, CA, identity). Stores and uses it. */
int identity_accept_enroll(struct identity *identity, const struct join_token *token,
                           const Tlsplane__EnrollReply *reply, struct error *err) MUST_USE;
int identity_make_renew_csr(struct identity *identity, struct buf *csr, struct error *err) MUST_USE;
int identity_accept_renew(struct identity *identity, const Tlsplane__RenewReply *reply, struct error *err) MUST_USE;
/* The next one has connected: it is the one in use from now on. */
int identity_promote(struct identity *identity, struct error *err) MUST_USE;
