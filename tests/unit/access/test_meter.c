/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of fixed size: buckets, windows, sources, and what happens when more come than there is room for. */
#include "access/meter.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct meter *make(void)
{
	struct meter *meter = calloc(1, sizeof(*meter));

	ck_assert_ptr_nonnull(meter);
	meter->hash_key = (struct hash_key){1, 2};
	return meter;
}

static void number_key(uint32_t number, uint8_t key[METER_KEY_LEN])
{
	memset(key, 0, METER_KEY_LEN);
	memcpy(key, &number, sizeof(number));
}

static unsigned take(struct meter *meter, const uint8_t key[METER_KEY_LEN], unsigned count, uint64_t now)
{
	unsigned taken = 0;
	bool is_new;

	for (unsigned i = 0; i < count; i++) {
		struct meter_entry *entry = meter_find(meter, key, now, &is_new);

		taken += meter_take(entry, is_new, 10, 20, now);
	}
	return taken;
}

START_TEST(a_bucket_fills_at_its_rate)
{
	struct meter *meter = make();
	uint8_t key[METER_KEY_LEN], other[METER_KEY_LEN];

	number_key(1, key);
	number_key(2, other);
	ck_assert_uint_eq(take(meter, key, 50, 1000), 20);
	ck_assert_uint_eq(take(meter, other, 5, 1000), 5);
	ck_assert_uint_eq(take(meter, key, 50, 1099), 0);
	ck_assert_uint_eq(take(meter, key, 50, 1100), 1);
	ck_assert_uint_eq(take(meter, key, 50, 2100), 10);
	ck_assert_uint_eq(take(meter, key, 50, 1000000), 20);
	ck_assert_uint_eq(take(meter, key, 50, UINT64_MAX / 2), 20); /* no overflow */
	free(meter);
}
END_TEST

START_TEST(a_window_counts_from_its_first)
{
	struct meter *meter = make();
	uint8_t key[METER_KEY_LEN];
	bool is_new;

	number_key(7, key);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_eq(meter_count(meter_find(meter, key, 500 + i, &is_new), 10, 60000, 500 + i), 0);
	ck_assert_uint_eq(meter_count(meter_find(meter, key, 10500, &is_new), 10, 60000, 10500), 50000);
	ck_assert_uint_eq(meter_count(meter_find(meter, key, 60499, &is_new), 10, 60000, 60499), 1);
	ck_assert_uint_eq(meter_count(meter_find(meter, key, 60500, &is_new), 10, 60000, 60500), 0);
	free(meter);
}
END_TEST

/* A million keys cost no memory; one that keeps coming keeps its place. */
START_TEST(strangers_make_room_for_each_other)
{
	struct meter *meter = make();
	uint8_t busy[METER_KEY_LEN], key[METER_KEY_LEN];
	bool is_new;

	number_key(UINT32_MAX, busy);
	meter_find(meter, busy, 0, &is_new)->mark = 42;
	ck_assert(is_new);
	for (uint32_t i = 0; i < 1000000; i++) {
		number_key(i, key);
		(void)meter_find(meter, key, i, &is_new);
		if (i % 100 == 0) {
			ck_assert_uint_eq(meter_find(meter, busy, i, &is_new)->mark, 42);
			ck_assert(!is_new);
		}
	}
	number_key(3, key);
	(void)meter_find(meter, key, 1000000, &is_new);
	ck_assert(is_new);
	free(meter);
}
END_TEST

static bool is_same_source(const char *a, const char *b)
{
	uint8_t key_a[METER_KEY_LEN], key_b[METER_KEY_LEN];

	meter_source_key(a, key_a);
	meter_source_key(b, key_b);
	return memcmp(key_a, key_b, METER_KEY_LEN) == 0;
}

START_TEST(sources)
{
	ck_assert(is_same_source("192.0.2.1:80", "192.0.2.1:65535"));
	ck_assert(!is_same_source("192.0.2.1:80", "192.0.2.2:80"));
	ck_assert(is_same_source("[2001:db8:1:2::1]:80", "[2001:db8:1:2:ffff::9]:81"));
	ck_assert(!is_same_source("[2001:db8:1:2::1]:80", "[2001:db8:1:3::1]:80"));
	ck_assert(!is_same_source("[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.2]:80"));
	ck_assert(is_same_source("unix:uid=1000,pid=7", "unix:uid=1000,pid=8")); /* a process is made in no time */
	ck_assert(!is_same_source("unix:uid=1000,pid=7", "unix:uid=0,pid=7"));
	ck_assert(is_same_source("", ""));
	ck_assert(is_same_source("-", "-"));
}
END_TEST

UNIT_MAIN("access/meter", a_bucket_fills_at_its_rate, a_window_counts_from_its_first, strangers_make_room_for_each_other, sources)
