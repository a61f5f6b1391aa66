/* SPDX-License-Identifier: Apache-2.0 */
/* A place to connect to: one bound address. It is what all workers share of a listener before the ClientHello is read:
 * limit, deadline, the count of connections. Survives every change of listener objects. */
#pragma once

#include "base/macros.h"

#include <stdatomic.h>
#include <stdint.h>

struct point {
	atomic_uint count;
	char address[80]; /* canonical, constant */
	atomic_uint max_connections;
	atomic_uint handshake_timeout_ms;
	_Atomic int64_t connections;
	atomic_uint sockets; /* workers' sockets still open */
};

struct point *point_new(const char *address); /* NULL without memory */
struct point *point_ref(struct point *point);
struct point *point_unref(struct point *point); /* NULL allowed; returns NULL */
