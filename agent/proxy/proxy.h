/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane: workers (one thread and loop each) that accept, handshake and relay, and the sockets that outlive
 * listener objects. This interface belongs to the main thread. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "snapshot/snapshot.h"
#include "tls/tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct proxy;

struct proxy_config {
	uv_loop_t *loop; /* main */
	unsigned workers;
	struct site_cache *sites;
	struct trust_cache *trusts;
	struct origin_cache *origins;
	/* On the main loop, whenever a listener's socket becomes or stops being degraded: reason NULL when it is well. */
	void (*on_listener_state)(const char *listener_id, const char *reason, void *owner);
	/* On the main loop: an SSL object of the published snapshot could not be made ready for a handshake. May come
	 * again. NULL: not told. */
	void (*on_site_failure)(const char *ssl_id, const char *reason, void *owner);
	void *owner;
};

/* After a failure the loop may have handles of ours left to close: run it once more. */
int proxy_start(const struct proxy_config *config, struct proxy **ret, struct error *err) MUST_USE;

/* The swap: workers see `snapshot` from their next ClientHello on. Opens sockets of new addresses, retires those no
 * listener wants any more (a listener that moves keeps its old address until the new one is bound), retries taken ports
 * with back-off by itself. Takes the snapshot over; frees the one before when no worker can see it. Cannot fail: what
 * the world refuses is reported as degraded. */
void proxy_publish(struct proxy *proxy, struct snapshot *snapshot);
/* The one published last; borrowed, main thread; NULL before the first. */
const struct snapshot *proxy_snapshot(const struct proxy *proxy);

/* Stops accepting, lets connections drain for at most grace_ms, joins the threads, then on_closed. */
void proxy_close(struct proxy *proxy, uint64_t grace_ms, void (*on_closed)(void *owner));

/* New ticket keys for all workers, from their next ClientHello on. References sets. Before the first call no tickets
 * are issued. */
void proxy_set_tickets(struct proxy *proxy, struct ticket_sets *sets);

struct proxy_counters {
	uint64_t connections_accepted, connections_open, connections_refused;
	uint64_t handshakes_ok, handshakes_failed, handshakes_timed_out;
	/* failed handshakes by cause */
	uint64_t failures_sni, failures_client_cert, failures_protocol, failures_site, failures_address, failures_rejected, failures_limit,
		failures_proxy_header, failures_size;
	uint64_t passthrough; /* connections handed on unopened */
	uint64_t tickets_ignored; /* offered, and a full handshake made instead */
	/* limits hit */
	uint64_t limit_connections, limit_handshakes, limit_handshake_rate, limit_name_handshakes, limit_name_rate;
	uint64_t closed_on_tighten;
	/* connections for which no node could be had, and failed tries by cause */
	uint64_t upstream_failures;
	uint64_t upstream_connect_failures, upstream_tls_failures[8]; /* by enum origin_cause; NONE: timeout */
	uint64_t upstream_tls_ok, upstream_tls_resumed, upstream_tls_permissive;
	uint64_t bytes_in, bytes_out;
};
void proxy_read_counters(const struct proxy *proxy, struct proxy_counters *ret); /* sums of all workers */

/* Good handshakes with clients by what was agreed; code points of IANA, group 0: none. */
struct proxy_agreed {
	uint16_t version, suite, group;
	bool resumed;
	uint64_t count;
};
#define PROXY_AGREED_MAX 256 /* combinations kept per worker; what comes after counts as {0, 0, 0} */
void proxy_each_agreed(const struct proxy *proxy, void (*fn)(const struct proxy_agreed *agreed, void *context), void *context);

/* Which leaf does a listener show? A real handshake of the agent with its own socket, left out of counters and
 * limits, past PROXY headers and allow_clients. sni "": none. done comes once, from the main loop, never from inside
 * the call; also when the proxy closes. E_NOT_FOUND: the listener has no bound socket; E_RATE: too many at once
 * (PROXY_PROBES_MAX); E_CLOSED, E_NOMEM, E_IO, E_CRYPTO. */
#define PROXY_PROBES_MAX 8
enum proxy_probe_key { PROXY_PROBE_RSA, PROXY_PROBE_ECDSA, PROXY_PROBE_ED25519 }; /* what the client can verify */
struct proxy_probed {
	bool has_leaf;
	uint8_t sha256[32]; /* of its DER */
	char reason[160];   /* why there is none */
};
int proxy_probe(struct proxy *proxy, const char *listener_id, const char *sni, enum proxy_probe_key key,
                void (*done)(const struct proxy_probed *result, void *context), void *context, struct error *err) MUST_USE;

/* Per listener. False: it has no bound socket. */
struct proxy_listener_counters {
	int64_t connections; /* open */
	uint64_t accepted, handshakes_ok, handshakes_failed, refused;
};
bool proxy_listener_read(const struct proxy *proxy, const char *listener_id, struct proxy_listener_counters *ret);

/* Open connections as they are now, newest first per worker. All texts are safe to show. */
struct proxy_conn_info {
	uint64_t id;                 /* of this connection, unique while the process runs; in its log lines too */
	char peer[72], via[72];      /* after PROXY protocol; via: who sent the header, or "" */
	const char *state;           /* "handshake", "connect", "upstream_handshake", "relay", "passthrough", "closing" */
	char listener[80];           /* address of the socket */
	char sni[254], route[65], ssl[65], upstream[65], node[80];
	uint64_t since_ms;           /* age */
	uint16_t version, suite, group; /* 0: no TLS (yet) */
	char alpn[64];
	bool resumed;
	bool has_certificate, verified; /* of the client */
	char subject[512], identity[1025];
	uint8_t certificate_sha256[32], spki_sha256[32];
	uint16_t upstream_version, upstream_suite; /* 0: plain */
	bool upstream_resumed;
	uint64_t bytes_in, bytes_out;
};
struct proxy_conn_list {
	struct proxy_conn_info *items; /* owned by the list */
	size_t count;
	uint64_t total; /* open connections, listed or not */
};
/* Asks all workers; done comes once, on the main loop, also when the proxy closes meanwhile; list is borrowed for
 * the call, NULL without memory. limit: at most 10,000. E_NOMEM, E_CLOSED. */
int proxy_list_connections(struct proxy *proxy, size_t limit, void (*done)(const struct proxy_conn_list *list, void *context),
                           void *context, struct error *err) MUST_USE;
