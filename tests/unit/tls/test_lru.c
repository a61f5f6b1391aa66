/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/lru.h"

#include "unit.h"

struct value {
	int count;
};

static void value_ref(void *value)
{
	((struct value *)value)->count++;
}

static void value_unref(void *value)
{
	((struct value *)value)->count--;
}

static bool value_is_used(const void *value)
{
	return ((const struct value *)value)->count > 1;
}

static const struct lru_ops ops = {value_ref, value_unref, value_is_used};

static struct digest key_of(int number)
{
	return (struct digest){{(uint8_t)number, 0, 0, 0, 0, 0, 0, 0, (uint8_t)(number >> 8)}}; /* many share a bucket */
}

static struct value *find(struct lru *lru, int number)
{
	struct digest key = key_of(number);
	uint64_t drops;
	struct value *value = lru_find(lru, &key, &drops);

	if (value != NULL)
		value_unref(value);
	return value;
}

static void put(struct lru *lru, int number, struct value *value)
{
	struct digest key = key_of(number);
	uint64_t drops;

	ck_assert_ptr_null(lru_find(lru, &key, &drops));
	lru_put(lru, &key, value, drops);
}

START_TEST(test_bound)
{
	struct value values[4] = {0};
	struct lru lru;

	ck_assert_int_eq(lru_init(&lru, 3, &ops), 0);
	for (int i = 0; i < 3; i++)
		put(&lru, i * 256, &values[i]);
	ck_assert_ptr_eq(find(&lru, 0), &values[0]); /* the oldest is 256 now */
	put(&lru, 3 * 256, &values[3]);
	ck_assert_ptr_null(find(&lru, 256));
	ck_assert_int_eq(values[1].count, 0);
	ck_assert_ptr_eq(find(&lru, 0), &values[0]);
	ck_assert_ptr_eq(find(&lru, 512), &values[2]);
	ck_assert_uint_eq(lru.count, 3);
	lru_deinit(&lru);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(values[i].count, 0);
}
END_TEST

/* What was read before a drop must not come back by a put after it. */
START_TEST(test_drop)
{
	struct value value = {0}, other = {0};
	struct digest key = key_of(1);
	struct lru lru;
	uint64_t drops;

	ck_assert_int_eq(lru_init(&lru, 2, &ops), 0);
	ck_assert_ptr_null(lru_find(&lru, &key, &drops));
	lru_drop(&lru, &key);
	lru_put(&lru, &key, &value, drops);
	ck_assert_ptr_null(find(&lru, 1));
	put(&lru, 1, &value);
	ck_assert_ptr_eq(lru_find(&lru, &key, &drops), &value);
	lru_put(&lru, &key, &other, drops); /* the first stays */
	ck_assert_ptr_eq(find(&lru, 1), &value);
	lru_drop(&lru, &key);
	ck_assert_int_eq(value.count, 1); /* ours */
	ck_assert_uint_eq(lru.count, 0);
	lru_deinit(&lru);
}
END_TEST

/* What somebody uses stays, in its order; the rest can be put again. */
START_TEST(test_sweep)
{
	struct value values[5] = {0};
	struct lru lru;

	ck_assert_int_eq(lru_init(&lru, 5, &ops), 0);
	lru_sweep(&lru);
	for (int i = 0; i < 5; i++)
		put(&lru, i * 256, &values[i]);
	value_ref(&values[1]);
	value_ref(&values[3]);
	lru_sweep(&lru);
	ck_assert_uint_eq(lru.count, 2);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(values[i].count, i % 2 == 1 ? 2 : 0);
		ck_assert_ptr_eq(find(&lru, i * 256), i % 2 == 1 ? &values[i] : NULL);
	}
	put(&lru, 0, &values[0]);
	value_unref(&values[1]);
	value_unref(&values[3]);
	lru_sweep(&lru);
	ck_assert_uint_eq(lru.count, 0);
	ck_assert_ptr_null(lru.newest);
	ck_assert_ptr_null(lru.oldest);
	lru_deinit(&lru);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(values[i].count, 0);
}
END_TEST

UNIT_MAIN("tls/lru", test_bound, test_drop, test_sweep)
