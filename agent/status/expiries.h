/* SPDX-License-Identifier: Apache-2.0 */
/* The SSL objects whose certificates end soonest, for gauges. Up to some ten thousand objects the list is exact whenever it is asked for;
 * over more, a walk goes on from question to question, so that none keeps the main loop: what has come since may be missing for some
 * minutes then, what is shown is always true. */
#pragma once

#include "model/object.h"
#include "snapshot/snapshot.h"

#include <stddef.h>
#include <stdint.h>

#define EXPIRIES_MAX 1000

struct expiry {
	uint64_t not_after; /* unix seconds */
	char id[ID_MAX + 1];
};

/* Starts as zeros. */
struct expiries {
	size_t len;
	unsigned part;                     /* of the walk, next */
	struct expiry items[EXPIRIES_MAX]; /* by not_after, then by id */
};

/* As it is now. Walks for budget_ns at most, and a portion at least. Main thread. */
void expiries_refresh(struct expiries *expiries, const struct snapshot *snapshot, uint64_t budget_ns);
