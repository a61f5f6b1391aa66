/* SPDX-License-Identifier: Apache-2.0 */
/* Origin profile: how the agent speaks TLS to the nodes of an upstream: versions, suites, groups, ALPN, trust, what of the certificate is
 * verified. One SSL_CTX per upstream_tls object in one state; finished before it is published, never changed after; CAs of the
 * machine alone are looked at again (origin_profile_refresh).
 * Pins hold besides all else, also under DISABLED. Allow rules stand in place of the name.
 *
 * What fails to verify under ENFORCED ends the handshake; under PERMISSIVE it is told and the handshake goes on. Sessions are reused within
 * one identity alone: everything that decides whom we talk to and as whom (profile, client certificate, node, SNI, name to verify) is the
 * key. A profile whose parts are missing (system CAs not readable) refuses each handshake and says why, until they are there. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/object.h"
#include "tls/site.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct origin_profile; /* atomic count; any thread */

/* body NULL: the built-in one (TLS 1.2 and 1.3, system CAs, ENFORCED ALL). bundle: what ca_bundle names, or NULL. digest: of everything it
 * is made of (the object's and the bundle's digests hashed together). system_ca_file: NULL for Debian's. E_INVALID, E_SYNTAX: can't be
 * built; E_NOMEM. */
int origin_profile_new(const Tlsplane__UpstreamTls *body, const Tlsplane__CaBundle *bundle, const struct digest *digest,
                       const char *system_ca_file, struct origin_profile **ret, struct error *err) MUST_USE;
struct origin_profile *origin_profile_ref(struct origin_profile *profile);
struct origin_profile *origin_profile_unref(struct origin_profile *profile); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(struct origin_profile, origin_profile_unref);
uint32_t origin_profile_timeout_ms(const struct origin_profile *profile);
/* False: it refuses all, and why. Any thread. */
bool origin_profile_is_usable(struct origin_profile *profile, struct error *why);
/* Looks again at what belongs to the machine: what was missing is mended, what has changed holds from the next handshake on. One thread. */
void origin_profile_refresh(struct origin_profile *profile);

/* Sessions with origins, bounded, shared by all workers. */
struct origin_cache;
int origin_cache_new(size_t max_sessions, struct origin_cache **ret, struct error *err) MUST_USE;
struct origin_cache *origin_cache_free(struct origin_cache *cache);
DEFINE_CLEANUP(struct origin_cache, origin_cache_free);

enum origin_cause { ORIGIN_CAUSE_NONE, ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_NAME, ORIGIN_CAUSE_PIN, ORIGIN_CAUSE_REVOKED, ORIGIN_CAUSE_ALERT,
	ORIGIN_CAUSE_PROTOCOL, ORIGIN_CAUSE_PROFILE };

/* One handshake with one node; lives in the connection as long as its SSL. */
struct origin_seat {
	const struct origin_profile *profile; /* a reference */
	struct origin_cache *cache;           /* borrowed; NULL: no reuse */
	struct digest identity;
	uint64_t verified_at;                 /* of this handshake, should it be a full one; unix seconds */
	uint64_t offered_verified_at;         /* of the full handshake that the session offered stems from */
	char verify_name[256];                /* "" none */
	bool verify_is_ip;
	bool failed_permissive;               /* something did not verify and was let pass */
	enum origin_cause cause;              /* what did not verify, or why it failed */
	struct error why;
};

struct origin_target {
	const char *host;         /* of the node, as written: name or address */
	uint16_t port;
	const char *inbound_name; /* the client's server name; "" or NULL: none */
	struct site *client;      /* client certificate, or NULL; referenced */
	const struct digest *client_digest; /* of its object; NULL without */
};

/* An SSL in connect state, all set but its BIO. seat is filled and must stay where it is while the SSL lives. E_INVALID: no handshake is
 * possible (seat->why, which err may be). An SSL that is freed without SSL_shutdown or SSL_set_shutdown takes its session out of use. */
int origin_ssl_new(struct origin_profile *profile, struct origin_cache *cache, const struct origin_target *target,
                   struct origin_seat *seat, SSL **ret, struct error *err) MUST_USE;
/* After SSL_do_handshake failed: fills cause and why from OpenSSL's queue and the verdict. */
void origin_explain(struct origin_seat *seat, const SSL *ssl, int ssl_error);
void origin_seat_deinit(struct origin_seat *seat); /* zeroed allowed */
