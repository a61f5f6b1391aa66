/* SPDX-License-Identifier: Apache-2.0 */
/* A place to connect to: one bound address. It is what all workers share of a listener before the ClientHello is read: limits, deadline,
 * who sends PROXY headers, counts. Survives every change of listener objects. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/cidr.h"
#include "proxy/limit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Address ranges as a counted, immutable value. */
struct ranges;
int ranges_new(Tlsplane__IpRange *const *ranges, size_t count, struct ranges **ret) MUST_USE; /* none: *ret is NULL. E_NOMEM */
struct ranges *ranges_ref(struct ranges *ranges);                                              /* NULL allowed */
struct ranges *ranges_unref(struct ranges *ranges);                                            /* NULL allowed; returns NULL */

struct point {
	atomic_uint count;
	char address[80]; /* canonical, constant */
	atomic_uint max_connections, max_handshakes, handshakes_per_second; /* the latter two 0: no limit */
	atomic_uint handshake_timeout_ms;
	_Atomic int64_t connections;
	_Atomic int64_t handshakes; /* under way */
	struct rate rate;           /* of handshakes */
	_Atomic uint64_t accepted, handshakes_ok, handshakes_failed, refused;
	atomic_uint sockets; /* workers' sockets still open */

	atomic_bool has_senders; /* so that a point without them needs no lock */
	pthread_mutex_t lock;    /* guards senders */
	struct ranges *senders;  /* a reference: who must send a PROXY header and is believed */
};

struct point *point_new(const char *address); /* NULL without memory */
struct point *point_ref(struct point *point);
struct point *point_unref(struct point *point); /* NULL allowed; returns NULL */

void point_set_senders(struct point *point, struct ranges *senders); /* references; NULL: nobody */
bool point_is_sender(struct point *point, const struct ip *ip);

static inline void point_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
