/* SPDX-License-Identifier: Apache-2.0 */
/* How long something took, over and over: counts by upper bound, the sum, the longest. Written by one thread at a time, read by any
 * (each number by itself is right; together they may be one apart). Zeroed: nothing has happened yet. */
#pragma once

#include "base/buf.h"

#include <stdatomic.h>
#include <stdint.h>

#define DURATIONS_BOUNDS 9

struct durations {
	atomic_uint_least64_t counts[DURATIONS_BOUNDS + 1]; /* up to each bound, not counted in those before; the last: longer than all */
	atomic_uint_least64_t sum_ns;
	atomic_uint_least64_t longest_ns;
};

void durations_note(struct durations *durations, uint64_t ns);
/* A histogram `name`_seconds, and a gauge `name`_longest_seconds, in the Prometheus text format. what: "Time that ..." */
void durations_format(const struct durations *durations, const char *name, const char *what, struct buf *out);
