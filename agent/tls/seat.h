/* SPDX-License-Identifier: Apache-2.0 */
/* Seat: what one server-side SSL needs of its own beyond what OpenSSL keeps: its auth profile, its ticket keys, and what is known of its
 * peer. Filled inside the ClientHello callback, read by the callbacks for certificates and tickets, and by whoever judges the connection
 * again later. Lives in the connection, outlives the SSL. One thread. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/object.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACTS_CHAIN_MAX 8

/* One certificate of the verified chain, as a ticket carries it (a resumed session has no chain). */
struct facts_cert {
	uint8_t issuer_sha256[32]; /* of the issuer's name, DER */
	uint8_t spki_sha256[32];
	uint8_t serial_len, serial[20]; /* big-endian, no leading zero */
};

/* What a full handshake found out; goes into the ticket's application data. */
struct facts {
	uint64_t handshake_at; /* unix seconds, of the full handshake */
	uint64_t not_after;    /* the earliest of the chain; 0: no verified peer */
	uint8_t chain_len;     /* 0: no verified peer */
	bool too_long;         /* more than FACTS_CHAIN_MAX: never resumed */
	struct facts_cert chain[FACTS_CHAIN_MAX]; /* leaf first, anchor last */
};

enum seat_cause { SEAT_CAUSE_NONE, SEAT_CAUSE_NO_CERTIFICATE, SEAT_CAUSE_UNVERIFIED, SEAT_CAUSE_REVOKED, SEAT_CAUSE_DENIED, SEAT_CAUSE_PIN,
	SEAT_CAUSE_NOT_ALLOWED };

struct trust;
struct ticket_sets;
struct ticket_set;
struct ticket_key;

struct seat {
	struct trust *trust;            /* a reference, or NULL: clients are not asked */
	struct ticket_sets *sets;       /* a reference, or NULL; until the handshake is over, as are the two below */
	const struct ticket_set *set;   /* within sets; NULL: no tickets */
	const struct ticket_key *key;   /* within set: encrypts for this handshake; NULL: none is issued */
	uint32_t lifetime_s, tickets;   /* of sessions, from the full handshake on; how many per handshake */
	uint64_t handshake_at;          /* unix seconds, of the full handshake, as far as it is known */
	struct facts *facts;            /* owned: of the verified peer; NULL: there is none. On the heap, since most connections have none */
	enum seat_cause cause;          /* why the peer's certificate was refused */
	char *why;                      /* owned: the same for people; names no bytes of the certificate; NULL: no cause, or no memory */
	X509 *refused;                  /* a reference: the certificate that was refused, unverified, for the log; NULL: none */
	bool offered_ticket;            /* a ticket was there */
	bool ignored_ticket;            /* and was not taken: once settled */
};

/* The SSL finds its seat from now on; borrowed. E_NOMEM. */
int seat_set(struct seat *seat, SSL *ssl) MUST_USE;
struct seat *seat_of(const SSL *ssl); /* NULL: none */
/* After SSL_do_handshake has ended, well or not; once. Of a resumed session the facts are taken from its ticket: before this they are only
 * known of full handshakes, so that a ticket that was readable but not taken leaves no trace. The ticket keys go: a connection that stays
 * open for months must not keep keys that have been retired. A missing certificate becomes the cause here; openssl_error:
 * ERR_peek_last_error(), 0 after success. */
void seat_settle(struct seat *seat, const SSL *ssl, unsigned long openssl_error);
void seat_take_facts(struct seat *seat, const SSL *ssl); /* of the session that is resumed; what can't be had is no verified peer */
int seat_set_facts(struct seat *seat, const struct facts *facts) MUST_USE; /* copies; E_NOMEM: none, then */
void seat_deinit(struct seat *seat);  /* zeroed allowed */
