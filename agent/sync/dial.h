/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to reach host:port: the name resolved in the uv pool, its addresses tried in order. Main loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdint.h>
#include <uv.h>

struct dial;

/* on_done is called exactly once, from the loop, also after dial_cancel: fd connected and the caller's to close, or -1
 * with why (E_CLOSED: cancelled). The dial's memory goes right after. */
int dial_start(uv_loop_t *loop, const char *host, uint16_t port,
               void (*on_done)(int fd, const struct error *why, void *owner), void *owner, struct dial **ret,
               struct error *err) MUST_USE;
void dial_cancel(struct dial *dial);
