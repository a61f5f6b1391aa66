/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wheel.h"

static void ring_init(struct wheel_item *head)
{
	head->prev = head->next = head;
}

static void ring_add(struct wheel_item *head, struct wheel_item *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

static void ring_cut(struct wheel_item *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	item->prev = item->next = NULL;
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		ring_init(&wheel->slots[i]);
	wheel->count = 0;
	wheel->tick = now_ms / WHEEL_TICK_MS;
}

/* In the slot of the tick at whose end it is due; never in one that is done already. */
static void wheel_place(struct wheel *wheel, struct wheel_item *item)
{
	uint64_t tick = item->due / WHEEL_TICK_MS + 1;

	if (tick <= wheel->tick)
		tick = wheel->tick + 1;
	ring_add(&wheel->slots[tick % WHEEL_SLOTS], item);
}

void wheel_set(struct wheel *wheel, struct wheel_item *item, uint64_t due_ms)
{
	wheel_clear(wheel, item);
	item->due = due_ms;
	wheel_place(wheel, item);
	wheel->count++;
}

void wheel_clear(struct wheel *wheel, struct wheel_item *item)
{
	if (item->next == NULL)
		return;
	ring_cut(item);
	wheel->count--;
}

/* The ring is emptied into one of our own first: fn may cut any item out of either. */
static void run_slot(struct wheel *wheel, struct wheel_item *slot, uint64_t now_ms,
                     void (*fn)(struct wheel_item *item, void *context), void *context)
{
	struct wheel_item ring;

	ring_init(&ring);
	while (slot->next != slot) {
		struct wheel_item *item = slot->next;

		ring_cut(item);
		ring_add(&ring, item);
	}
	while (ring.next != &ring) {
		struct wheel_item *item = ring.next;

		ring_cut(item);
		if (item->due > now_ms) {
			wheel_place(wheel, item); /* a later round */
			continue;
		}
		wheel->count--;
		fn(item, context);
	}
}

void wheel_run(struct wheel *wheel, uint64_t now_ms, void (*fn)(struct wheel_item *item, void *context), void *context)
{
	uint64_t now = now_ms / WHEEL_TICK_MS;

	if (now > wheel->tick + WHEEL_SLOTS)
		wheel->tick = now - WHEEL_SLOTS; /* every slot once is enough */
	while (wheel->tick < now) {
		wheel->tick++;
		run_slot(wheel, &wheel->slots[wheel->tick % WHEEL_SLOTS], now_ms, fn, context);
	}
}
