/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream/health.h"

#include "unit.h"

static const struct health_rules rules = {.max_fails = 3, .timeout_ms = 100, .probe_ms = 500};

static struct health make_down(uint64_t now)
{
	struct health health = {0};

	for (unsigned i = 0; i < rules.max_fails; i++)
		health_on_failure(&health, &rules, now);
	return health;
}

START_TEST(in_a_row)
{
	struct health health = {0};

	ck_assert(!health_on_failure(&health, &rules, 1));
	ck_assert(!health_on_failure(&health, &rules, 2));
	ck_assert(!health_on_success(&health)); /* begins to count anew */
	ck_assert(!health_on_failure(&health, &rules, 3));
	ck_assert(!health_on_failure(&health, &rules, 4));
	ck_assert(health_allows(&health, 4));
	ck_assert(health_on_failure(&health, &rules, 5));
	ck_assert(!health_allows(&health, 5));
	ck_assert(!health_allows(&health, 104));
	ck_assert(health_allows(&health, 105));
}
END_TEST

START_TEST(one_probe)
{
	struct health health = make_down(1000);

	ck_assert(health_allows(&health, 1100));
	health_on_pick(&health, &rules, 1100);
	ck_assert(!health_allows(&health, 1100)); /* the others pass it over */
	ck_assert(!health_allows(&health, 1599));
	ck_assert(!health_on_failure(&health, &rules, 1200)); /* down already */
	ck_assert(!health_allows(&health, 1299));
	ck_assert(health_allows(&health, 1300));
	health_on_pick(&health, &rules, 1300);
	ck_assert(health_on_success(&health));
	ck_assert(health_allows(&health, 1301));
	ck_assert(!health_on_failure(&health, &rules, 1302)); /* whole again: one failure is one */
}
END_TEST

/* The client of the probe went away before there was a verdict. */
START_TEST(probe_without_a_word)
{
	struct health health = make_down(1000);

	health_on_pick(&health, &rules, 1100);
	ck_assert(!health_allows(&health, 1599));
	ck_assert(health_allows(&health, 1600));
}
END_TEST

/* Picked because all are down: that is no probe, and moves nothing. */
START_TEST(pick_while_down)
{
	struct health health = make_down(1000);

	health_on_pick(&health, &rules, 1050);
	ck_assert(health_allows(&health, 1100));
}
END_TEST

START_TEST(never_down)
{
	const struct health_rules never = {.max_fails = 0, .timeout_ms = 100, .probe_ms = 100};
	struct health health = {0};

	for (unsigned i = 0; i < 1000; i++)
		ck_assert(!health_on_failure(&health, &never, i));
	ck_assert(health_allows(&health, 1000));
}
END_TEST

UNIT_MAIN("upstream/health", in_a_row, one_probe, probe_without_a_word, pick_while_down, never_down)
