/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wheel.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS 500

struct probe {
	struct wheel_item item;
	uint64_t fired;
};

static struct wheel wheel;
static uint64_t now;
static struct probe probes[ITEMS];

static void on_due(struct wheel_item *item, void *context)
{
	((struct probe *)item)->fired = now;
}

/* Each fires after its time, at most a tick late, and once; what is cleared never does. */
START_TEST(test_fires)
{
	uint64_t start = 1234567;

	wheel_init(&wheel, start);
	srand(1);
	for (int i = 0; i < ITEMS; i++)
		wheel_set(&wheel, &probes[i].item, start + (uint64_t)(rand() % 40000)); /* several rounds */
	for (int i = 0; i < ITEMS; i += 5)
		wheel_set(&wheel, &probes[i].item, start + (uint64_t)(rand() % 40000));
	for (int i = 1; i < ITEMS; i += 5)
		wheel_clear(&wheel, &probes[i].item);
	for (now = start; now < start + 41000; now += 7)
		wheel_run(&wheel, now, on_due, NULL);
	ck_assert_uint_eq(wheel.count, 0);
	for (int i = 0; i < ITEMS; i++) {
		uint64_t due = probes[i].item.due;

		if (i % 5 == 1) {
			ck_assert_uint_eq(probes[i].fired, 0);
		} else {
			ck_assert_uint_ge(probes[i].fired, due);
			ck_assert_uint_le(probes[i].fired, due + 2 * WHEEL_TICK_MS);
		}
	}
}
END_TEST

static void on_due_again(struct wheel_item *item, void *context)
{
	struct probe *probe = (struct probe *)item;

	if (++probe->fired < 3)
		wheel_set(&wheel, item, now + 100);
	else
		wheel_clear(&wheel, &probes[1].item); /* of the same slot, maybe of this very run */
}

START_TEST(test_changes_while_running)
{
	memset(probes, 0, sizeof(probes));
	wheel_init(&wheel, 0);
	wheel_set(&wheel, &probes[0].item, 10);
	wheel_set(&wheel, &probes[1].item, 100000);
	for (now = 0; now < 2000; now += 10)
		wheel_run(&wheel, now, on_due_again, NULL);
	ck_assert_uint_eq(probes[0].fired, 3);
	ck_assert_uint_eq(wheel.count, 0);
}
END_TEST

/* After a long sleep everything overdue fires at once. */
START_TEST(test_long_sleep)
{
	memset(probes, 0, sizeof(probes));
	wheel_init(&wheel, 0);
	for (int i = 0; i < 100; i++)
		wheel_set(&wheel, &probes[i].item, (uint64_t)i * 300);
	now = 10 * 1000 * 1000;
	wheel_run(&wheel, now, on_due, NULL);
	ck_assert_uint_eq(wheel.count, 0);
}
END_TEST

UNIT_MAIN("proxy/wheel", test_fires, test_changes_while_running, test_long_sleep)
