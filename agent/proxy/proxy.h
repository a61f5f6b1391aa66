/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane: workers (one thread and loop each) that accept, handshake and relay, and the sockets that outlive
 * listener objects. This interface belongs to the main thread. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "snapshot/snapshot.h"

#include <stdint.h>
#include <uv.h>

struct proxy;

struct proxy_config {
	uv_loop_t *loop; /* main */
	unsigned workers;
	struct site_cache *sites;
	struct trust_cache *trusts;
	/* On the main loop, whenever a listener's socket becomes or stops being degraded: reason NULL when it is well. */
	void (*on_listener_state)(const char *listener_id, const char *reason, void *owner);
	/* On the main loop: an SSL object of the published snapshot could not be made ready for a handshake. May come again. NULL: not told. */
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

struct proxy_counters {
	uint64_t connections_accepted, connections_open, connections_refused;
	uint64_t handshakes_ok, handshakes_failed, handshakes_timed_out;
	uint64_t handshakes_tls12, handshakes_tls13;
	uint64_t failures_sni, failures_client_cert, failures_protocol, failures_site; /* by cause */
	uint64_t upstream_failures;
	uint64_t bytes_in, bytes_out;
};
void proxy_read_counters(const struct proxy *proxy, struct proxy_counters *ret); /* sums of all workers */
/* Per listener: open connections; -1 when it has no bound socket. */
int64_t proxy_listener_connections(const struct proxy *proxy, const char *listener_id);
