/* SPDX-License-Identifier: Apache-2.0 */
/* The decision at the ClientHello (resolve/decide.h over the published snapshot), and everything that follows from it
 * put on the SSL explicitly.
 *
 *     undecided --first hello--> refused: the SSL fails, `cause` and context->error say why
 *         |    \--passthrough--> decided: the SSL stops without an alert or a byte sent, SSL_get_error says
 *         |                      SSL_ERROR_WANT_CLIENT_HELLO_CB; free it, hand the raw bytes on
 *         \--terminate--> decided
 *     decided --hello after HelloRetryRequest, same SNI and ALPN bytes--> decided
 *            \--other bytes: illegal_parameter--> refused
 *
 * Nothing falls back: what cannot be built refuses the connection. */
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "base/macros.h"
#include "model/cidr.h"
#include "model/kind.h"
#include "model/name.h"
#include "model/object.h"
#include "proxy/failures.h"
#include "proxy/root.h"
#include "tls/hello_hook.h"
#include "tls/origin.h"
#include "tls/seat.h"
#include "tls/site.h"
#include "tls/tickets.h"
#include "tls/trust.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a hello was refused, for the counters. */
enum hello_cause {
	HELLO_CAUSE_NONE,
	HELLO_CAUSE_SNI,      /* hostile, unknown under sni_strict, or nothing serves it here */
	HELLO_CAUSE_PROTOCOL, /* no version left, a second hello that asks for something else */
	HELLO_CAUSE_SITE,     /* the configuration can't serve it: something is missing or broken */
	HELLO_CAUSE_REJECTED, /* a route's mode */
	HELLO_CAUSE_ADDRESS,  /* allow_clients */
};

/* What a worker lends to its hellos; borrowed. */
struct hello_context {
	struct roots *roots;
	unsigned reader; /* its hazard slot */
	struct site_cache *sites;
	struct trust_cache *trusts;
	struct ticket_sets *tickets; /* the worker's reference, exchanged between hellos; NULL: no tickets yet */
	struct site *fallback;       /* the generated certificate */
	struct failures *failures;
	struct hash_key hash_key; /* secret: pins cannot be forged */
	struct error error;       /* why the last refused hello was refused */
};

/* Limits per server name, of the chosen options; 0: none. */
struct hello_limits {
	uint32_t max_handshakes, handshakes_per_second;
	const char *bucket; /* within the hello: the name; "" for all that no route and no SSL object matched */
};

struct hello {
	struct hello_hook hook;
	struct hello_context *context;
	const char *address; /* of the socket; borrowed */
	struct ip client;    /* after PROXY protocol */
	bool any_client;     /* whatever allow_clients say: set after hello_init */

	bool decided;
	uint64_t pinned_sni, pinned_alpn;
	enum hello_cause cause;
	char name[NAME_MAX_LEN + 1]; /* normalised, safe to show; "" for none; from the hello on, also when refused */
	/* What was chosen, for logs and the connection view, also when refused; "" for none (ssl: the generated
	 * certificate). */
	char route[ID_MAX + 1], ssl[ID_MAX + 1];

	/* Valid once decided. */
	bool passthrough;                 /* only upstream, send_proxy_protocol and the ids matter then */
	struct upstream *upstream;        /* a reference; TAKE_PTR allowed */
	uint8_t send_proxy_protocol;      /* 0: none, 1, 2 */
	struct origin_profile *origin;    /* a reference, or NULL: the upstream is spoken to in plain TCP */
	struct site *origin_site;         /* a reference: client certificate for the origin, or NULL */
	struct digest origin_site_digest; /* of its object; for origin_target.client_digest */
	uint32_t handshake_timeout_ms;    /* of the client's handshake, from accept on */
	struct hello_limits limits;
	struct seat seat; /* of the SSL; must stay as long as it, and serves hello_judge after it */
};

/* client: ip_from_sockaddr of the peer, or what the PROXY header said. */
void hello_init(struct hello *hello, struct hello_context *context, const char *address, const struct ip *client);
void hello_deinit(struct hello *hello);

/* Decides again, over the snapshot published now, for an open connection. 0: it may stay, which holds also for what
 * can't be decided any more (no certificate for the name, a listener gone). E_FORBIDDEN with the reason: it would be
 * refused by a route's mode, allow_clients or the client rules (unless their on_tighten keeps it). Any other code: it is
 * not known (no memory, client rules that can't be built); close it all the same. ssl, seat: of the connection; NULL:
 * passthrough, which no rules have verified: it goes when a certificate is demanded now. Not inside a ClientHello
 * callback. Costs a decision, and where the client rules are others than before, a verification. */
int hello_judge(struct hello_context *context, const char *address, const char *name, const struct ip *client,
                const SSL *ssl, struct seat *seat, struct error *why) MUST_USE;
