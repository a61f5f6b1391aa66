/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets by address, as the main thread keeps them. They belong to addresses, not to listener objects: whatever
 * listener a snapshot puts on an address, its socket goes on.
 *
 *     WANTED --bound--> BOUND --no listener wants it--> RETIRING --workers have closed it--> gone, or WANTED again
 *       |  \--taken: degraded, again with back-off
 *       \--no listener wants it--> gone
 *
 * A listener that moves keeps the address it had until its new one is bound: that spot stays BOUND, and the root
 * carries an alias. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "proxy/proxy.h"
#include "proxy/root.h"
#include "proxy/worker.h"

#include <stdint.h>
#include <uv.h>

struct sockets;

struct sockets_config {
	uv_loop_t *loop;
	struct worker **workers; /* borrowed */
	unsigned workers_len;
	void (*on_listener_state)(const char *listener_id, const char *reason, void *owner);
	void *owner;
};

int sockets_new(const struct sockets_config *config, struct sockets **ret, struct error *err) MUST_USE;
/* Stops retrying and frees when the loop has closed the timer; the workers must not serve any more. */
void sockets_close(struct sockets *sockets, void (*on_closed)(void *owner), void *owner);

/* Before the swap: the aliases that the new root needs. On failure to allocate there are none, and old addresses of
 * moved listeners refuse until the new ones are bound. *ret_aliases is the caller's. */
size_t sockets_make_aliases(struct sockets *sockets, const struct snapshot *snapshot, struct alias **ret_aliases);
/* After the swap: opens, updates, retires. */
void sockets_follow(struct sockets *sockets, const struct snapshot *snapshot);
/* Some worker has closed its last socket of a point: what waits for that goes on. */
void sockets_on_news(struct sockets *sockets);

/* Where a listener is to be reached now: at its own address, or at the one that it keeps until that is bound. NULL: nowhere. Borrowed. */
const char *sockets_find_address(const struct sockets *sockets, const char *listener_id);
/* Of a listener, all its addresses together. False: no bound socket. */
bool sockets_read(const struct sockets *sockets, const char *listener_id, struct proxy_listener_counters *ret);
