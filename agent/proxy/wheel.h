/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines of one worker: a hashed timer wheel, so that setting and clearing one costs a few pointer moves and a
 * connection needs no timer of its own. A deadline fires up to WHEEL_TICK_MS late. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_TICK_MS 50
#define WHEEL_SLOTS 256

struct wheel_item {
	struct wheel_item *prev, *next; /* NULL: not in a wheel */
	uint64_t due;
};

struct wheel {
	struct wheel_item slots[WHEEL_SLOTS]; /* heads of rings */
	size_t count;
	uint64_t tick; /* done up to here */
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
void wheel_set(struct wheel *wheel, struct wheel_item *item, uint64_t due_ms); /* again: moves it */
void wheel_clear(struct wheel *wheel, struct wheel_item *item);
/* Calls fn for each item that is due, which is out of the wheel by then. fn may set and clear any item. */
void wheel_run(struct wheel *wheel, uint64_t now_ms, void (*fn)(struct wheel_item *item, void *context), void *context);
