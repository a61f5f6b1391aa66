/* SPDX-License-Identifier: Apache-2.0 */
/* When keys come and go: a table of situations, then whole lives under a clock that this test moves. */
#include "publish/ticket_rules.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD 1000 /* lead 250, grace 500 */
#define START 1000000

/* One key in short: when made and promoted (0: not), relative to START; the ends follow from these. */
struct short_key {
	int64_t made, from;
	bool lost;
};

struct row {
	const char *what;
	struct short_key keys[3];
	size_t len;
	int64_t now;
	bool held;
	enum ticket_act act;
	size_t key;
	bool forced;
};

static const struct row rows[] = {
	{"an empty set", {{0}}, 0, 0, false, TICKET_MAKE, 0, false},
	{"the first key, held by nobody yet", {{0, 0, false}}, 1, 0, false, TICKET_PROMOTE, 0, false},
	{"a fresh one", {{0, 1, false}}, 1, 2, true, TICKET_WAIT, 0, false},
	{"just before the next is made", {{0, 1, false}}, 1, 750, true, TICKET_WAIT, 0, false},
	{"the next is made", {{0, 1, false}}, 1, 751, true, TICKET_MAKE, 0, false},
	{"made, not due", {{0, 1, false}, {751, 0, false}}, 2, 1000, true, TICKET_WAIT, 0, false},
	{"due and held", {{0, 1, false}, {751, 0, false}}, 2, 1001, true, TICKET_PROMOTE, 1, false},
	{"due, not held", {{0, 1, false}, {751, 0, false}}, 2, 1001, false, TICKET_WAIT, 0, false},
	{"held late", {{0, 1, false}, {751, 0, false}}, 2, 1400, true, TICKET_PROMOTE, 1, false},
	{"the last second of the wait", {{0, 1, false}, {751, 0, false}}, 2, 1500, false, TICKET_WAIT, 0, false},
	{"by time", {{0, 1, false}, {751, 0, false}}, 2, 1501, false, TICKET_PROMOTE, 1, true},
	{"made late, as after a stop: the wait begins then", {{0, 1, false}, {1800, 0, false}}, 2, 1900, false, TICKET_WAIT, 0, false},
	{"made late, by time", {{0, 1, false}, {1700, 0, false}}, 2, 1999, false, TICKET_WAIT, 0, false},
	{"nothing encrypts any more: at once", {{0, 1, false}, {1900, 0, false}}, 2, 2001, false, TICKET_PROMOTE, 1, false},
	{"nothing encrypts, none is there", {{0, 1, false}}, 1, 2001, false, TICKET_MAKE, 0, false},
	{"no longer good for anything", {{0, 1, false}, {5, 87000, false}}, 2, 1 + 2000 + 86400, true, TICKET_DROP, 0, false},
	{"lost ones first", {{0, 1, false}, {751, 0, true}}, 2, 1001, true, TICKET_DROP, 1, false},
	{"the current one lost", {{0, 1, true}}, 1, 2, true, TICKET_DROP, 0, false},
	{"the current one lost and dropped, the next is known to its holders", {{751, 0, false}}, 1, 800, false, TICKET_PROMOTE, 0, false},
	{"the clock was set back a little", {{0, 500, false}}, 1, -400, true, TICKET_WAIT, 0, false},
	{"the clock was set back by more than a period", {{0, 5000, false}}, 1, 0, true, TICKET_MAKE, 0, false},
	{"set back, the next is there", {{0, 5000, false}, {0, 0, false}}, 2, 0, true, TICKET_PROMOTE, 1, false},
	{"set back, the next was made in what is the future now", {{0, 5000, false}, {4750, 0, false}}, 2, 600, false, TICKET_PROMOTE, 1, true},
	{"set back, those of the future go once another encrypts", {{0, 5000, false}, {0, 1, false}}, 2, 2, true, TICKET_WAIT, 0, false},
	{"those that were made in it", {{5000, 5001, false}, {0, 1, false}}, 2, 2, true, TICKET_DROP, 0, false},
	{"one that is little ahead stays", {{900, 901, false}, {0, 1, false}}, 2, 2, true, TICKET_WAIT, 0, false},
};

static struct store_ticket_key expand(const struct short_key *brief)
{
	struct store_ticket_key key = {.lost = brief->lost};

	ticket_rules_make(&key, (uint64_t)(START + brief->made), PERIOD);
	if (brief->from != 0)
		ticket_rules_promote(&key, (uint64_t)(START + brief->from), PERIOD);
	return key;
}

START_TEST(test_table)
{
	const struct row *row = &rows[_i];
	struct store_ticket_key keys[3];
	struct ticket_step step;

	for (size_t i = 0; i < row->len; i++)
		keys[i] = expand(&row->keys[i]);
	step = ticket_rules_next(keys, row->len, (uint64_t)(START + row->now), PERIOD, row->held);
	ck_assert_msg(step.act == row->act, "%s: %d", row->what, (int)step.act);
	if (row->act == TICKET_DROP || row->act == TICKET_PROMOTE)
		ck_assert_msg(step.key == row->key, "%s: key %zu", row->what, step.key);
	ck_assert_msg(step.forced == row->forced, "%s: forced", row->what);
}
END_TEST

/* A set under a clock. */
struct life {
	struct store_ticket_key keys[TICKET_KEYS_MAX + 2];
	size_t len;
	uint64_t made, promoted, forced, last_promotion;
};

static const struct store_ticket_key *current_of(const struct life *life, uint64_t now)
{
	for (size_t i = life->len; i > 0; i--) {
		if (life->keys[i - 1].encrypt_from != 0)
			return life->keys[i - 1].encrypt_until > now ? &life->keys[i - 1] : NULL;
	}
	return NULL;
}

static void live(struct life *life, uint64_t now, uint64_t period, bool held)
{
	for (unsigned steps = 0;; steps++) {
		struct ticket_step step = ticket_rules_next(life->keys, life->len, now, period, held);

		ck_assert_uint_lt(steps, 100); /* it comes to rest */
		if (step.act == TICKET_WAIT)
			break;
		if (step.act == TICKET_MAKE) {
			life->keys[life->len] = (struct store_ticket_key){.number = ++life->made};
			ticket_rules_make(&life->keys[life->len++], now, period);
			held = false;
		} else if (step.act == TICKET_PROMOTE) {
			ticket_rules_promote(&life->keys[step.key], now, period);
			life->promoted++;
			life->forced += step.forced;
			life->last_promotion = now;
		} else {
			memmove(&life->keys[step.key], &life->keys[step.key + 1], (--life->len - step.key) * sizeof(life->keys[0]));
		}
		ck_assert_uint_le(life->len, TICKET_KEYS_MAX + 1);
	}
	ck_assert_uint_le(life->len, TICKET_KEYS_MAX);
	ck_assert_ptr_nonnull(current_of(life, now));
}

static const uint64_t periods[] = {1, 2, 3, 4, 5, 60, 43200};

/* However it is asked, there is a key that encrypts, and promotions come once a period. */
START_TEST(test_lives)
{
	uint64_t period = periods[_i], step = period < 60 ? 1 : period / 60, end = START + 40 * period;
	struct life prompt = {0}, mute = {0};

	for (uint64_t now = START; now < end; now += step) {
		live(&prompt, now, period, true);
		live(&mute, now, period, false);
	}
	ck_assert_uint_ge(prompt.promoted, 39);
	ck_assert_uint_le(prompt.promoted, 41);
	ck_assert_uint_eq(prompt.forced, 0);
	ck_assert_uint_ge(mute.promoted, 18); /* a period and half of one each; with periods of a second twice as long */
	if (period > 1) /* else the wait ends when the key does, and then nobody is waited for */
		ck_assert_uint_eq(mute.forced, mute.promoted - 1);
}
END_TEST

/* Asked again and again without time passing, nothing comes of it: a restart makes no keys. */
START_TEST(test_rest)
{
	struct life life = {0};

	for (int i = 0; i < 50; i++)
		live(&life, START, PERIOD, false);
	ck_assert_uint_eq(life.made, 1);
	for (int i = 0; i < 50; i++)
		live(&life, START + 800, PERIOD, false);
	ck_assert_uint_eq(life.made, 2);
	ck_assert_uint_eq(life.promoted, 1);
}
END_TEST

/* Keys of a short period outlive it by a day: the bound drops the oldest. */
START_TEST(test_bound)
{
	struct life life = {0};

	for (uint64_t now = START; now < START + 200; now++)
		live(&life, now, 2, true);
	ck_assert_uint_eq(life.len, TICKET_KEYS_MAX);
	ck_assert_uint_eq(life.keys[0].number, life.made - TICKET_KEYS_MAX + 1);
}
END_TEST

/* A long stop: the old ones are gone, one new one serves at once. */
START_TEST(test_long_stop)
{
	struct life life = {0};

	live(&life, START, PERIOD, true);
	live(&life, START + 10 * 86400, PERIOD, false);
	ck_assert_uint_eq(life.len, 1);
	ck_assert_uint_eq(life.made, 2);
	ck_assert_uint_eq(life.last_promotion, START + 10 * 86400);
}
END_TEST

/* Each ticket can be read for as long as its session may live. */
START_TEST(test_ends)
{
	struct store_ticket_key key = {0};

	ticket_rules_make(&key, START, PERIOD);
	ck_assert_uint_eq(key.encrypt_from, 0);
	ck_assert_uint_ge(key.encrypt_until, START + 250 + 500 + 2 * PERIOD); /* promoted by time, elsewhere, it is still good here */
	ticket_rules_promote(&key, START + 250, PERIOD);
	ck_assert_uint_eq(key.encrypt_from, START + 250);
	ck_assert_uint_eq(key.encrypt_until, START + 250 + 2 * PERIOD);
	ck_assert_uint_eq(key.decrypt_until, key.encrypt_until + 86400);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ticket_rules");
	TCase *tcase = tcase_create("ticket_rules");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, test_table, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_loop_test(tcase, test_lives, 0, (int)(sizeof(periods) / sizeof(periods[0])));
	tcase_add_test(tcase, test_rest);
	tcase_add_test(tcase, test_bound);
	tcase_add_test(tcase, test_long_stop);
	tcase_add_test(tcase, test_ends);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
