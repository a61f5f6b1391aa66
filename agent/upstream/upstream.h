/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream: nodes with weights, their resolved addresses, and the choice among them. Names are resolved asynchronously
 * on the main loop, the last good answer is kept, a start without DNS is fine. Workers pick under a short lock. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

struct upstream; /* atomic count; survives snapshots while its object's body is the same */

/* on_state: on the main loop, whenever a name stops or starts resolving, the last node that is up goes down or one
 * comes back: reason NULL when all is well. */
struct upstream_events {
	void (*on_state)(struct upstream *upstream, const char *reason, void *owner);
	void *owner;
};

#define UPSTREAM_NODES_MAX 64

/* loop: the main one; DNS starts at once for names (IP addresses need none). id is copied, events too (NULL: nobody
 * listens). E_TOO_LARGE: more nodes than UPSTREAM_NODES_MAX; E_IO, E_NOMEM. */
int upstream_new(uv_loop_t *loop, const char *id, const Tlsplane__Upstream *body, const struct upstream_events *events,
                 struct upstream **ret, struct error *err) MUST_USE;
struct upstream *upstream_ref(struct upstream *upstream);
/* The last unref may come from any thread; what stands on the main loop is closed there by upstream_retire, which comes
 * before it. */
struct upstream *upstream_unref(struct upstream *upstream); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(struct upstream, upstream_unref);
void upstream_retire(struct upstream *upstream); /* main loop: stop resolving; no more events */
const char *upstream_id(const struct upstream *upstream);
uint32_t upstream_connect_timeout_ms(const struct upstream *upstream);

/* Where a connection stands in its tries; starts as zeros. */
struct upstream_attempt {
	uint64_t tried; /* bit per node */
	uint8_t node;   /* the node picked last */
	uint8_t first;  /* its address that was tried first */
	uint8_t next;   /* how many of its addresses were tried; 0: no node picked yet */
};

/* Any thread. The next address: first the other addresses of the node picked last, then the next node by smooth
 * weighted round robin; each is tried once per connection. E_UNAVAILABLE: none left or none resolved. */
int upstream_pick(struct upstream *upstream, struct upstream_attempt *attempt, struct sockaddr_storage *ret_address,
                  socklen_t *ret_len) MUST_USE;
/* The host and port of the node picked last, as written; borrowed. */
const char *upstream_picked_host(const struct upstream *upstream, const struct upstream_attempt *attempt,
                                 uint16_t *ret_port);
/* Any thread: what became of the address picked last: connected false also when TLS with it failed. A node keeps to the
 * address that works. Passive health: max_fails failures in a row (of all addresses of a node) mark it down for
 * fail_timeout; then one connection may try it, the others pass it over until that one has succeeded. A connection that
 * has no other node left tries those that are down all the same; when all are, the upstream is reported (on_state, main
 * loop). A node of weight 0 is never picked. */
void upstream_report(struct upstream *upstream, const struct upstream_attempt *attempt, bool connected);
/* Sums since the upstream was made, for metrics. */
void upstream_read_counts(struct upstream *upstream, uint64_t *ret_connected, uint64_t *ret_failed);
/* Nodes that may be picked, and how many of them are down now. */
void upstream_read_health(struct upstream *upstream, size_t *ret_nodes, size_t *ret_down);
