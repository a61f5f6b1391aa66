/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/root.h"

#include "holding.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#define READERS 3
#define PUBLICATIONS 3000

static struct roots *roots;
static atomic_bool over;

/* Reads through the whole snapshot: a sanitizer tells if it was freed meanwhile. */
static void *read_on(void *argument)
{
	unsigned reader = *(unsigned *)argument;
	uint64_t last = 0;

	while (!atomic_load(&over)) {
		const struct root *root = roots_acquire(roots, reader);
		uint64_t number = snapshot_revision(root->snapshot).number;

		ck_assert_uint_ge(number, last); /* never back */
		last = number;
		ck_assert_ptr_nonnull(snapshot_find_options(root->snapshot, NULL));
		roots_release(roots, reader);
	}
	return NULL;
}

START_TEST(test_readers)
{
	uv_loop_t loop;
	struct holding holding;
	pthread_t threads[READERS];
	unsigned numbers[READERS];
	struct snapshot *snapshot;

	uv_loop_init(&loop);
	holding_init(&holding, &loop);
	ck_assert_int_eq(roots_new(READERS, &roots, NULL), 0);
	ck_assert_ptr_null(roots_acquire(roots, 0));
	roots_release(roots, 0);
	holding_begin(&holding, NULL);
	holding_put_options(&holding, "modern", NULL);
	roots_publish(roots, holding_finish(&holding), NULL, 0);
	for (unsigned i = 0; i < READERS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, read_on, &numbers[i]);
	}
	for (int i = 0; i < PUBLICATIONS; i++) {
		holding_begin(&holding, roots_current(roots)->snapshot);
		holding_put_options(&holding, "modern", NULL);
		snapshot = holding_finish(&holding);
		roots_publish(roots, snapshot, NULL, 0);
		roots_reclaim(roots);
	}
	atomic_store(&over, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert(roots_reclaim(roots));
	roots_free(roots);
	holding_deinit(&holding);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}
END_TEST

/* What a reader holds stays, and is not counted as reclaimed. */
START_TEST(test_held)
{
	uv_loop_t loop;
	struct holding holding;
	const struct root *held;

	uv_loop_init(&loop);
	holding_init(&holding, &loop);
	ck_assert_int_eq(roots_new(1, &roots, NULL), 0);
	for (int i = 0; i < 2; i++) {
		holding_begin(&holding, NULL);
		holding_put_options(&holding, "modern", NULL);
		roots_publish(roots, holding_finish(&holding), NULL, 0);
		if (i == 0)
			held = roots_acquire(roots, 0);
	}
	ck_assert(!roots_reclaim(roots));
	ck_assert_uint_eq(snapshot_revision(held->snapshot).number, 1);
	roots_release(roots, 0);
	ck_assert(roots_reclaim(roots));
	ck_assert_uint_eq(snapshot_revision(roots_current(roots)->snapshot).number, 2);
	roots_free(roots);
	holding_deinit(&holding);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}
END_TEST

UNIT_MAIN("proxy/root", test_readers, test_held)
