/* SPDX-License-Identifier: Apache-2.0 */
/* Over made-up objects: the lookups that it asks for are this file's own. */
#include "status/expiries.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#define OBJECTS 5000

static struct {
	struct entry entry;
	char id[16];
	bool gone;
} objects[OBJECTS];

const struct entry *snapshot_find(const struct snapshot *snapshot, enum kind kind, const char *id)
{
	int i = atoi(id + 1);

	return objects[i].gone ? NULL : &objects[i].entry;
}

int snapshot_each_ssl(const struct snapshot *snapshot, unsigned part,
                      int (*fn)(const struct entry *entry, void *context), void *context)
{
	for (unsigned i = part; i < OBJECTS; i += SNAPSHOT_PARTS)
		if (!objects[i].gone && fn(&objects[i].entry, context) != 0)
			return 1;
	return 0;
}

static struct expiries expiries;

/* Every tenth says nothing; some ends are shared. */
static void make(void)
{
	expiries = (struct expiries){0};
	for (int i = 0; i < OBJECTS; i++) {
		snprintf(objects[i].id, sizeof(objects[i].id), "s%d", i);
		objects[i].gone = false;
		objects[i].entry.id = objects[i].id;
		objects[i].entry.not_after = i % 10 == 0 ? 0 : 1000 + (uint64_t)(i * 37 % 2500);
	}
}

/* Each one is as it is, in order, and nobody who stands outside comes before the last. */
static void check_exact(void)
{
	bool listed[OBJECTS] = {false};

	ck_assert_uint_eq(expiries.len, EXPIRIES_MAX);
	for (size_t i = 0; i < expiries.len; i++) {
		int at = atoi(expiries.items[i].id + 1);

		ck_assert(!listed[at] && !objects[at].gone);
		listed[at] = true;
		ck_assert_uint_eq(expiries.items[i].not_after, objects[at].entry.not_after);
		ck_assert(i == 0 || expiries.items[i - 1].not_after <= expiries.items[i].not_after);
	}
	for (int i = 0; i < OBJECTS; i++)
		ck_assert(listed[i] || objects[i].gone || objects[i].entry.not_after == 0 ||
		          objects[i].entry.not_after >= expiries.items[EXPIRIES_MAX - 1].not_after);
}

START_TEST(exact_with_time)
{
	make();
	expiries_refresh(&expiries, NULL, UINT32_MAX);
	check_exact();
	for (int i = 0; i < OBJECTS; i += 3) {
		objects[i].gone = i % 2 == 0;
		if (i % 10 != 0)
			objects[i].entry.not_after += 700;
	}
	expiries_refresh(&expiries, NULL, UINT32_MAX);
	check_exact();
}
END_TEST

/* In small steps it comes to the same, and on the way it shows nothing that is not. */
START_TEST(exact_in_the_end)
{
	make();
	for (int i = 0; i < SNAPSHOT_PARTS; i++)
		expiries_refresh(&expiries, NULL, 0);
	check_exact();
	objects[atoi(expiries.items[0].id + 1)].gone = true;
	objects[atoi(expiries.items[1].id + 1)].entry.not_after = 90000;
	expiries_refresh(&expiries, NULL, 0);
	for (size_t i = 0; i < expiries.len; i++)
		ck_assert(!objects[atoi(expiries.items[i].id + 1)].gone);
	for (int i = 0; i < SNAPSHOT_PARTS; i++)
		expiries_refresh(&expiries, NULL, 0);
	check_exact();
}
END_TEST

UNIT_MAIN("status/expiries", exact_with_time, exact_in_the_end)
