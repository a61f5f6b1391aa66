/* SPDX-License-Identifier: Apache-2.0 */
/* Session tickets under the fleet's keys (RFC 5077, RFC 8446 4.6.1). The keys of one selector's SSL objects encrypt and decrypt their
 * sessions and nobody else's; which of them are promoted or retired is the control plane's word (channel.proto, TicketKeys).
 *
 *   issue:  the newest promoted key that may still encrypt; none: no ticket
 *   accept: any key of the same set that may still decrypt, session-id context equal (OpenSSL), then the application data is judged:
 *           age of the full handshake under the cap, chain not expired, nothing in it revoked or denied under today's rules
 *
 * A ticket that is not taken means a full handshake, never a failure. All values are immutable and counted. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "tls/seat.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

struct ticket_sets; /* atomic count; any thread */
struct ticket_set;

#define TICKET_NAME_LEN 16
#define TICKET_SECRET_LEN 64
#define TICKET_KEYS_MAX 32

/* Copies; the keys are wiped on the last unref. E_INVALID: a key of another length, too many, a selector twice. */
int ticket_sets_new(const Tlsplane__TicketKeys *keys, struct ticket_sets **ret, struct error *err) MUST_USE;
struct ticket_sets *ticket_sets_ref(struct ticket_sets *sets);
struct ticket_sets *ticket_sets_unref(struct ticket_sets *sets); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(struct ticket_sets, ticket_sets_unref);
const struct ticket_set *ticket_sets_find(const struct ticket_sets *sets, const char *selector); /* NULL: none */

/* On the context that makes SSLs (front): OpenSSL asks that one, whatever context the SSL has moved to. */
int tickets_install(SSL_CTX *front, struct error *err) MUST_USE;
/* Inside the ClientHello callback, after profile_put_on: tickets on or off, their number; the seat gets a reference to sets. enabled false,
 * sets NULL or no set for the selector: neither issued nor taken. */
struct ticket_rules {
	bool enabled;
	uint32_t count, lifetime_s;
	struct ticket_sets *sets;
	const char *selector;
};
int tickets_put_on(const struct ticket_rules *rules, SSL *ssl, struct seat *seat, struct error *err) MUST_USE;
