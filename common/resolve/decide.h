/* SPDX-License-Identifier: Apache-2.0 */
/* The decision at a ClientHello: which route, SSL object, options, client rules and upstream answer, and why. The same code decides in the
 * agent, over its snapshot, and explains in GET /v1/resolve, over the store as one agent would hold it. Pure: lookups come in as a table,
 * nothing is allocated, OpenSSL is not known here.
 *
 *   listener --name, listener--> route, or none --reject, allow_clients--> refuse
 *      |                           |--passthrough--> upstream
 *      |                           `--terminate--> base options (route's, else listener's, else default's): sni_strict, default_ssl
 *      `-- SSL object (exact, "*.rest", "*", default_ssl, none: generated) --> options chosen whole: the object's, else the base
 *                                  --> client rules joined, versions narrowed --> upstream, upstream_tls
 *
 * Nothing falls back: a reference that is not held, an empty range of versions, an object that can't be read refuse. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/cidr.h"
#include "model/object.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What lookups return. All borrowed from the source for as long as it stands. `handle` is the source's own. */
struct decide_listener {
	const char *id;
	const Tlsplane__Listener *body;
	const void *handle;
};
struct decide_route {
	const char *id; /* NULL: none */
	const Tlsplane__Route *body;
	const void *handle;
};
struct decide_ssl {
	const char *id; /* NULL: the generated certificate */
	const char *tls_options;            /* or NULL */
	const Tlsplane__ClientAuth *client; /* or NULL */
	uint16_t min, max;                  /* of ssl_protocols; 0: none */
	const void *handle;
};
struct decide_options {
	const char *id;
	const Tlsplane__TlsOptions *body;
	const void *handle;
};
struct decide_bundle {
	const char *id;
	const Tlsplane__CaBundle *body;
	const void *handle;
};
struct decide_upstream {
	const char *id;
	const Tlsplane__Upstream *body;
	const void *handle;
};
struct decide_upstream_tls {
	const char *id; /* NULL: the built-in one */
	const Tlsplane__UpstreamTls *body; /* or NULL with id NULL */
	const void *handle;
};

#define DECIDE_DEFAULT "default" /* id of the TLS options, and of the upstream TLS, of those that name none */

/* Lookups: 0, or E_NOT_FOUND, or why what was found can't be used (E_INVALID, E_SYNTAX, E_CORRUPT, E_CRYPTO: ret->id is set all the same),
 * or E_NOMEM. Any other code means that the source can't be read at all: decide returns it as it is. */
struct decide_source {
	/* Under exactly this key ("www.example", "*.example", "*"): the best by rank (uid_is_better). */
	int (*best_ssl)(void *context, struct bytes key, struct decide_ssl *ret, struct error *err);
	int (*find_ssl)(void *context, const char *id, struct decide_ssl *ret, struct error *err);
	/* Under exactly this pattern, among those for this listener: those that name it before those for all, then by rank. */
	int (*best_route)(void *context, struct bytes pattern, const char *listener_id, struct decide_route *ret,
	                  struct error *err);
	int (*find_options)(void *context, const char *id, struct decide_options *ret, struct error *err); /* NULL id: default, modern */
	int (*find_bundle)(void *context, const char *id, struct decide_bundle *ret, struct error *err);
	int (*find_upstream)(void *context, const char *id, struct decide_upstream *ret, struct error *err);
	/* id is never NULL; E_NOT_FOUND for DECIDE_DEFAULT: the built-in one. */
	int (*find_upstream_tls)(void *context, const char *id, struct decide_upstream_tls *ret, struct error *err);
	void *context;
};

bool decide_route_is_for(const Tlsplane__Route *route, const char *listener_id, bool *ret_names_it);

/* How a name was matched. */
enum decide_level {
	DECIDE_LEVEL_NONE,      /* no route: the listener itself; no SSL object: the generated certificate */
	DECIDE_LEVEL_EXACT,
	DECIDE_LEVEL_ONE_LABEL, /* "*.rest" */
	DECIDE_LEVEL_ANY_DEPTH, /* "**.rest", routes alone */
	DECIDE_LEVEL_ANY,       /* "*" */
	DECIDE_LEVEL_NO_NAME,   /* "", routes alone */
	DECIDE_LEVEL_DEFAULT,   /* default_ssl, SSL objects alone */
};

/* Who brought something in. */
enum decide_from { DECIDE_FROM_NONE, DECIDE_FROM_SSL, DECIDE_FROM_ROUTE, DECIDE_FROM_LISTENER, DECIDE_FROM_UPSTREAM, DECIDE_FROM_DEFAULT };

enum decide_outcome { DECIDE_REFUSE, DECIDE_TERMINATE, DECIDE_PASSTHROUGH };

/* Why refused: for counters, logs, answers. */
enum decide_cause {
	DECIDE_CAUSE_NONE,
	DECIDE_CAUSE_REJECTED, /* a route's mode */
	DECIDE_CAUSE_ADDRESS,  /* allow_clients */
	DECIDE_CAUSE_NAME,     /* no certificate for the name, and sni_strict; no route and no upstream at the listener */
	DECIDE_CAUSE_VERSION,  /* no version is left of the range */
	DECIDE_CAUSE_BROKEN,   /* something referred to is not held, or can't be used */
};

/* The client rules of both parties, joined. `parts`: whose allow, pins and deny lists must each hold: the object's, then the options'. */
struct decide_client {
	bool ask, demand, verify;
	uint32_t depth;
	const ProtobufCBinaryData *anchors;
	size_t anchors_len;
	enum decide_from anchors_from;      /* SSL or DEFAULT (the chosen options); NONE: no anchors, and with verify nobody passes */
	struct decide_bundle bundles[2];    /* [i]: named by parts[i]; id NULL: none. Their CRLs all count */
	const Tlsplane__ClientAuth *parts[2];
	size_t parts_len;
	bool allow_stale_crls, send_ca_names, map_identity, keep_on_tighten;
};

struct decision {
	enum decide_outcome outcome;
	enum decide_cause cause;
	uint8_t alert; /* TLS alert of a refusal */
	struct error why; /* of a refusal */

	struct decide_listener listener;
	struct decide_route route;
	enum decide_level route_level;

	/* terminate: from here on */
	struct decide_options base; /* sni_strict and default_ssl are read from it */
	enum decide_from base_from; /* ROUTE, LISTENER, DEFAULT */
	struct decide_ssl ssl;
	enum decide_level ssl_level;
	struct decide_options options;
	enum decide_from options_from; /* SSL, or as base_from */
	uint16_t min, max; /* versions */
	struct decide_client client;

	/* terminate and passthrough */
	struct decide_upstream upstream;
	enum decide_from upstream_from; /* ROUTE, LISTENER */
	bool upstream_speaks_tls; /* never with passthrough */
	struct decide_upstream_tls upstream_tls;
	enum decide_from upstream_tls_from; /* ROUTE, UPSTREAM, DEFAULT (the object), NONE: built in */
};

struct decide_input {
	struct decide_listener listener;
	struct bytes name; /* normalised (name_normalise_sni); empty: no SNI */
	struct ip client;  /* after PROXY protocol; len 0: not known, which no allow_clients lets pass */
	bool any_client;   /* all allow_clients let pass */
};

/* 0 with *ret, whatever the outcome; else there is none: E_NOMEM, or the source's own code. */
int decide(const struct decide_source *source, const struct decide_input *input, struct decision *ret) MUST_USE;

/* For tests and for the agent, which joins again when open connections are judged. */
int decide_join_client(const struct decide_source *source, const struct decide_ssl *ssl, const struct decide_options *options,
                       struct decide_client *ret, struct error *err) MUST_USE;

/* Defaults in one place, so that resolve shows what the agent does. */
struct decide_tickets {
	bool enabled;
	uint32_t count, lifetime_s;
};
struct decide_tickets decide_tickets_of(const Tlsplane__TlsOptions *options);
uint32_t decide_handshake_timeout_ms_of(const Tlsplane__TlsOptions *options);
/* What the server answers to this list of protocols (RFC 7301): index into options->alpn_protocols; -1: nothing is answered (the options
 * have none, or the client offers none); E_NOT_FOUND: none in common, which ends the handshake. */
int decide_alpn(const Tlsplane__TlsOptions *options, const char *const *offered, size_t count);
