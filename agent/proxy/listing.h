/* SPDX-License-Identifier: Apache-2.0 */
/* A list of the open connections: asked for on the main loop, one part filled by each worker, gathered when all are in.
 *
 *     asked --worker walks its connections, some per turn--> filled, or failed (no memory)
 *     all parts filled or failed, or their workers ended: done, once */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "proxy/proxy.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define LISTING_MAX 10000

struct listing;
struct conn;

/* One worker's; written by its thread until it is finished. */
struct listing_part {
	struct listing *listing;
	struct listing_part *next; /* of the worker that it waits for */
	struct proxy_conn_info *items;
	size_t count, cap;
	bool failed;
};

struct listing {
	struct listing *next; /* the proxy's list */
	atomic_uint left;     /* parts not finished */
	atomic_size_t room;   /* connections that it still wants, from whichever worker */
	void (*done)(const struct proxy_conn_list *list, void *context);
	void *context;
	unsigned parts_len;
	struct listing_part parts[];
};

/* Main thread. */
int listing_new(unsigned workers, size_t limit, struct listing **ret, struct error *err) MUST_USE;
bool listing_is_ready(struct listing *listing);
void listing_finish(struct listing *listing, uint64_t total); /* calls done, frees */

/* A worker, or the main thread in the place of one that has ended. */
bool listing_part_add(struct listing_part *part, const struct conn *conn); /* false: it wants no more */
void listing_part_end(struct listing_part *part, uv_async_t *news);        /* part is not touched after */
