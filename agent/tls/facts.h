/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: what a ticket carries of the full handshake, as bytes and back. Pure; the reader takes exactly what the writer writes.
 *
 *   u8 1 | u64 handshake_at | u64 not_after | u8 flags (1: too long) | u8 chain_len | chain_len times:
 *   32 bytes issuer | 32 bytes SPKI | u8 serial_len | serial */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "tls/seat.h"

#include <openssl/x509.h>

#define FACTS_ENCODED_MAX (1 + 8 + 8 + 1 + 1 + FACTS_CHAIN_MAX * (32 + 32 + 1 + 20))

size_t facts_encode(const struct facts *facts, uint8_t ret[FACTS_ENCODED_MAX]); /* the length */
/* E_SYNTAX: of another version, cut short, bytes behind, or a number out of its range. */
int facts_decode(struct bytes encoded, struct facts *ret) MUST_USE;

struct bytes facts_serial_of(const X509 *cert); /* big-endian, without leading zeros; borrowed */
/* E_TOO_LARGE: its serial is longer than RFC 5280 4.1.2.2 allows, and than facts can hold; the rest of *ret is filled. */
int facts_read_cert(X509 *cert, struct facts_cert *ret, struct error *err) MUST_USE;
/* chain_len, chain, not_after and too_long of a verified chain; handshake_at stays. */
int facts_read_chain(const STACK_OF(X509) * chain, struct facts *facts, struct error *err) MUST_USE;
int facts_hash_name(const X509_NAME *name, uint8_t ret[32], struct error *err) MUST_USE;
