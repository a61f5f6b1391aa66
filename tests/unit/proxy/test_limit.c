/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/limit.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>

#define SECOND UINT64_C(1000000000)

START_TEST(test_rate)
{
	struct rate rate = {0};
	uint64_t now = 100 * SECOND;

	ck_assert(rate_take(&rate, 0, now)); /* no limit */
	for (int i = 0; i < 10; i++)
		ck_assert(rate_take(&rate, 10, now));
	ck_assert(!rate_take(&rate, 10, now));
	ck_assert(!rate_take(&rate, 10, now + SECOND / 10 - 1));
	ck_assert(rate_take(&rate, 10, now + SECOND / 10));
	ck_assert(!rate_take(&rate, 10, now + SECOND / 10));
	now += 60 * SECOND; /* rest is not saved up beyond a second's worth */
	for (int i = 0; i < 10; i++)
		ck_assert(rate_take(&rate, 10, now));
	ck_assert(!rate_take(&rate, 10, now));
}
END_TEST

START_TEST(test_rate_of_one)
{
	struct rate rate = {0};

	ck_assert(rate_take(&rate, 1, 5 * SECOND));
	ck_assert(!rate_take(&rate, 1, 6 * SECOND - 1));
	ck_assert(rate_take(&rate, 1, 6 * SECOND));
}
END_TEST

#define THREADS 4
#define TRIES 20000

static struct rate shared;
static atomic_uint passed;

static void *run_tries(void *argument)
{
	for (unsigned i = 0; i < TRIES; i++)
		if (rate_take(&shared, 1000, 7 * SECOND))
			atomic_fetch_add(&passed, 1);
	return NULL;
}

START_TEST(test_rate_of_many_threads)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_tries, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(passed, 1000);
}
END_TEST

static struct limits *make(void)
{
	struct limits *limits = NULL;

	ck_assert_int_eq(limits_new(&limits, NULL), 0);
	return limits;
}

START_TEST(test_names)
{
	CLEANUP(limits_free) struct limits *limits = make();
	uint64_t now = 3 * SECOND;

	ck_assert_int_eq(limits_take(limits, "a.test", 2, 0, now), LIMIT_NONE);
	ck_assert_int_eq(limits_take(limits, "a.test", 2, 0, now), LIMIT_NONE);
	ck_assert_int_eq(limits_take(limits, "a.test", 2, 0, now), LIMIT_NAME_HANDSHAKES);
	ck_assert_int_eq(limits_take(limits, "b.test", 2, 0, now), LIMIT_NONE);
	limits_release(limits, "a.test");
	ck_assert_int_eq(limits_take(limits, "a.test", 2, 1, now), LIMIT_NONE);
	limits_release(limits, "a.test");
	ck_assert_int_eq(limits_take(limits, "a.test", 2, 1, now), LIMIT_NAME_RATE);
	ck_assert_int_eq(limits_take(limits, "a.test", 2, 1, now + SECOND), LIMIT_NONE);
	ck_assert_int_eq(limits_take(limits, "a.test", 1, 1, now + 9 * SECOND), LIMIT_NAME_HANDSHAKES); /* refused ones cost no rate */
	limits_release(limits, "a.test");
	limits_release(limits, "a.test");
	ck_assert_int_eq(limits_take(limits, "a.test", 1, 1, now + 9 * SECOND), LIMIT_NONE);
}
END_TEST

static enum limit take_numbered(struct limits *limits, unsigned number, uint32_t max, uint32_t rate, uint64_t now)
{
	char name[32];

	snprintf(name, sizeof(name), "n%u.test", number);
	return limits_take(limits, name, max, rate, now);
}

START_TEST(test_table_is_bounded)
{
	CLEANUP(limits_free) struct limits *limits = make();

	for (unsigned i = 0; i < LIMITS_NAMES_MAX; i++)
		ck_assert_int_eq(take_numbered(limits, i, 1, 0, SECOND), LIMIT_NONE);
	ck_assert_int_eq(take_numbered(limits, LIMITS_NAMES_MAX, 1, 0, SECOND), LIMIT_NAME_HANDSHAKES); /* all are busy */
	limits_release(limits, "n9.test");
	ck_assert_int_eq(take_numbered(limits, LIMITS_NAMES_MAX, 1, 0, SECOND), LIMIT_NONE); /* n9 has made room */
	ck_assert_int_eq(take_numbered(limits, 8, 1, 0, SECOND), LIMIT_NAME_HANDSHAKES);     /* its neighbour is known */
}
END_TEST

START_TEST(test_idle_names_are_forgotten)
{
	CLEANUP(limits_free) struct limits *limits = make();

	for (unsigned i = 0; i < 3 * LIMITS_NAMES_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%u.test", i);
		ck_assert_int_eq(limits_take(limits, name, 0, 1, SECOND + 2 * SECOND * i), LIMIT_NONE);
		limits_release(limits, name);
	}
	for (unsigned i = 0; i < LIMITS_NAMES_MAX; i++) /* used up within one second: none is idle, and none is forgotten */
		ck_assert_int_eq(take_numbered(limits, i, 0, 1, UINT64_C(1) << 60), LIMIT_NONE);
	ck_assert_int_eq(take_numbered(limits, LIMITS_NAMES_MAX, 0, 1, UINT64_C(1) << 60), LIMIT_NAME_HANDSHAKES);
	ck_assert_int_eq(take_numbered(limits, 7, 0, 1, UINT64_C(1) << 60), LIMIT_NAME_RATE);
}
END_TEST

START_TEST(test_notes)
{
	CLEANUP(limits_free) struct limits *limits = make();

	ck_assert_uint_eq(limits_note(limits, LIMIT_RATE, 0), 1);
	ck_assert_uint_eq(limits_note(limits, LIMIT_RATE, SECOND - 1), 0);
	ck_assert_uint_eq(limits_note(limits, LIMIT_NAME_RATE, SECOND - 1), 1);
	ck_assert_uint_eq(limits_note(limits, LIMIT_RATE, SECOND - 1), 0);
	ck_assert_uint_eq(limits_note(limits, LIMIT_RATE, SECOND), 3);
	ck_assert_uint_eq(limits_note(limits, LIMIT_RATE, 9 * SECOND), 1);
}
END_TEST

UNIT_MAIN("proxy/limit", test_rate, test_rate_of_one, test_rate_of_many_threads, test_names, test_table_is_bounded,
          test_idle_names_are_forgotten, test_notes)
