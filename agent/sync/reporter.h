/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the list of degraded objects true and tells the control plane: changes that come together at once, the whole
 * list after each connect. What others notice is set here; that a CRL has become stale, and that the system's CAs are
 * missing or there again, the reporter notices itself, by the clock: after each swap, when the next CRL ends, a few
 * seconds after it found CAs missing, and once a minute, because clocks jump. Main loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "snapshot/snapshot.h"
#include "sync/announce.h"
#include "sync/degraded.h"

#include <uv.h>

struct reporter_ports {
	struct sender sender;                           /* E_CLOSED: not connected, which is no mistake */
	const struct snapshot *(*current)(void *owner); /* the published one; NULL: none */
	uint64_t (*now)(void *owner);                   /* unix seconds */
	void *owner;
};

struct reporter {
	struct degraded degraded;
	struct reporter_ports ports;
	uv_timer_t soon, clock;
	unsigned open; /* timers */
	bool closing;
	void (*on_closed)(void *owner);
	void *closed_owner;
};

void reporter_start(struct reporter *reporter, uv_loop_t *loop, struct hash_key hash_key,
                    const struct reporter_ports *ports);
/* reason NULL: all is well with it. */
void reporter_set(struct reporter *reporter, enum kind kind, const char *id, const char *reason);
/* The same for an upstream, unless it has been replaced: that one is nobody's worry. */
void reporter_set_upstream(struct reporter *reporter, const struct upstream *upstream, const char *reason);
/* before: the published one, or NULL. Forgets what is gone, or made anew and has not failed yet. */
void reporter_before_swap(struct reporter *reporter, const struct snapshot *before, const struct snapshot *after);
void reporter_after_swap(struct reporter *reporter);
void reporter_send(struct reporter *reporter);         /* the whole list, now */
void reporter_send_changes(struct reporter *reporter); /* now, if there are any */
/* Nothing is sent any more; on_closed once, from the loop. The list can be read until reporter_deinit. */
void reporter_close(struct reporter *reporter, void (*on_closed)(void *owner), void *owner);
void reporter_deinit(struct reporter *reporter); /* of a zeroed one: nothing */
