/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/backoff.h"
#include "unit.h"

START_TEST(doubles_up_to_the_bound)
{
	struct backoff backoff = {.addresses = 1};
	uint64_t before = 0;

	for (int i = 0; i < 40; i++) {
		uint64_t delay = backoff_fail(&backoff, UINT32_MAX, 0);

		ck_assert_uint_ge(delay + 1, before);
		ck_assert_uint_le(delay, BACKOFF_MAX_MS);
		ck_assert(i > 0 || delay < BACKOFF_MIN_MS);
		before = delay;
	}
	ck_assert_uint_ge(before, BACKOFF_MAX_MS - 1);
	ck_assert_uint_eq(backoff_fail(&backoff, 0, 0), 0);
}
END_TEST

START_TEST(tries_the_others_first)
{
	struct backoff backoff = {.addresses = 3};

	ck_assert_uint_eq(backoff_address(&backoff), 0);
	ck_assert_uint_lt(backoff_fail(&backoff, UINT32_MAX, 0), BACKOFF_MIN_MS / 4);
	ck_assert_uint_eq(backoff_address(&backoff), 1);
	ck_assert_uint_lt(backoff_fail(&backoff, UINT32_MAX, 0), BACKOFF_MIN_MS / 4);
	ck_assert_uint_eq(backoff_address(&backoff), 2);
	ck_assert_uint_ge(backoff_fail(&backoff, UINT32_MAX, 0), BACKOFF_MIN_MS / 2);
	ck_assert_uint_eq(backoff_address(&backoff), 0);
}
END_TEST

START_TEST(success_stays_with_its_address)
{
	struct backoff backoff = {.addresses = 3};

	for (int i = 0; i < 7; i++)
		(void)backoff_fail(&backoff, 1, 0);
	ck_assert_uint_eq(backoff_address(&backoff), 1);
	backoff_reset(&backoff);
	ck_assert_uint_eq(backoff_address(&backoff), 1);
	ck_assert_uint_lt(backoff_fail(&backoff, UINT32_MAX, 0), BACKOFF_MIN_MS / 4);
	ck_assert_uint_eq(backoff_address(&backoff), 2);
}
END_TEST

START_TEST(what_the_peer_asks_is_the_least)
{
	struct backoff backoff = {.addresses = 2};

	ck_assert_uint_ge(backoff_fail(&backoff, 0, 3000), 3000);
	ck_assert_uint_gt(backoff_fail(&backoff, UINT32_MAX, 3000), 3000);
}
END_TEST

UNIT_MAIN("sync/backoff", doubles_up_to_the_bound, tries_the_others_first, success_stays_with_its_address,
          what_the_peer_asks_is_the_least)
