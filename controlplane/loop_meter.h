/* SPDX-License-Identifier: Apache-2.0 */
/* How long each turn of a loop kept everything else on it waiting: from the moment that something was ready to the moment that the loop
 * waits again. By the clock on the wall, which also counts what a lock, a disk or a machine without a free core took; and the processor's
 * time alone, which is what our own code costs. */
#pragma once

#include "base/durations.h"
#include "base/macros.h"

#include <uv.h>

struct loop_meter {
	uv_prepare_t prepare;
	uint64_t waited_at, idle, cpu; /* when the loop began to wait last; how long it had waited, and worked, in all until then */
	struct durations turns, cpu_turns;
};

/* Right after uv_loop_init; the loop runs no longer for it. */
void loop_meter_start(struct loop_meter *meter, uv_loop_t *loop);
void loop_meter_close(struct loop_meter *meter); /* the handle closes with the loop's next turn */
