/* SPDX-License-Identifier: Apache-2.0 */
/* Audit rows of writes that were refused before the change layer saw them. Nobody waits for them, so they are bounded: so many under way,
 * so many per minute without a name; one row sums up what was left out, when the minute is over. Internal to access. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "change/change.h"

#include <stdbool.h>
#include <uv.h>

struct refusals;

#define REFUSALS_UNNAMED_MAX 60   /* rows per window */
#define REFUSALS_PENDING_MAX 1024 /* rows under way */

/* window_ms 0: a minute. */
int refusals_start(uv_loop_t *loop, struct change_engine *changes, uint64_t window_ms, struct refusals **ret,
                   struct error *err) MUST_USE;
/* Writes what is summed up; on_closed once, when nothing is under way. */
void refusals_close(struct refusals *refusals, void (*on_closed)(void *owner), void *owner);
void refusals_note(struct refusals *refusals, const struct change_caller *caller, bool named, const char *action, const char *outcome);
