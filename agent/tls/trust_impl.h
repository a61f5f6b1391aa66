/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: what an auth profile is made of (trust.c), and how it judges (trust_judge.c, trust_facts.c). */
#pragma once

#include "base/macros.h"
#include "channel.pb-c.h"
#include "tls/trust.h"

#include <openssl/x509.h>
#include <stdatomic.h>

/* Shared by all trusts whose bundles have it: one with 50,000 entries takes 30 ms to parse, and 8 MiB. */
struct trust_crl {
	atomic_uint count;
	X509_CRL *crl; /* owned */
	uint8_t issuer_sha256[32];
};

struct trust {
	atomic_uint count;
	struct digest digest;
	bool demand, verify;
	bool allow_stale_crls, map_identity, keep_on_tighten;
	uint32_t depth;
	X509_STORE *store;                    /* anchors and CRLs; a new store looks nothing up by itself, so no system CA is in reach */
	STACK_OF(X509_NAME) * names;          /* subjects of the anchors, each once; NULL: none are sent */
	size_t names_bytes;                   /* of their DER */
	struct trust_crl **crls;              /* a reference each: those of the store, to be asked without a chain */
	size_t crls_len;
	const Tlsplane__ClientAuth *parts[2]; /* owned; allow, pins, deny lists alone */
	size_t parts_len;
};

bool trust_denies(const struct trust *trust, struct bytes serial, const uint8_t spki[32]);
/* One pin of each part that has pins. */
bool trust_fits_pins(const struct trust *trust, const uint8_t spki[32]);
/* A verified chain that is known by its facts alone, today: E_FORBIDDEN with the cause. */
int trust_judge_facts(const struct trust *trust, const struct facts *facts, enum seat_cause *ret_cause, struct error *err) MUST_USE;
/* A leaf that nobody verified. E_FORBIDDEN with the cause. */
int trust_judge_unverified(const struct trust *trust, X509 *leaf, enum seat_cause *ret_cause, struct error *err) MUST_USE;
