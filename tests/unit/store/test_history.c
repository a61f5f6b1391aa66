/* SPDX-License-Identifier: Apache-2.0 */
/* Asking history: walks over changes, states then and now, revisions of one object and of one actor. */
#include "opened.h"

#include "store/store_history.h"

static uint64_t put(const char *id, const char *body)
{
	return put_alone(writer, KIND_UPSTREAM, id, "", true, body).revision.number;
}

static uint64_t delete(const char *id)
{
	struct store_revision revision;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(store_delete(writer, KIND_UPSTREAM, id, &test_error));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	return revision.revision.number;
}

/* What a walk passes: "REVISION:ID " of each. */
struct passed {
	char text[512];
	size_t len, max;
};

static int on_change(const struct store_change *change, void *context)
{
	struct passed *passed = context;

	if (passed->max-- == 0)
		return 1;
	ck_assert_int_eq(change->kind, KIND_UPSTREAM);
	passed->len += (size_t)snprintf(passed->text + passed->len, sizeof(passed->text) - passed->len, "%d:%s ", (int)change->revision,
	                                change->id);
	return 0;
}

static const char *walked(uint64_t from, uint64_t to, bool once)
{
	static struct passed passed;
	struct store_walk walk = {.at = {.revision = from}, .to = to, .looks = 1000};

	passed = (struct passed){.max = 1000};
	if (once)
		OK(store_walk_changed(reader, from, &walk, on_change, &passed, &test_error));
	else
		OK(store_walk_changes(reader, &walk, on_change, &passed, &test_error));
	ck_assert(walk.ended);
	return passed.text;
}

START_TEST(test_walks)
{
	uint64_t base = put("a", "1");
	char expected[128];

	put("b", "1");
	put("a", "2");
	delete ("b");
	put("b", "2");
	snprintf(expected, sizeof(expected), "%d:b %d:a %d:b %d:b ", (int)base + 1, (int)base + 2, (int)base + 3, (int)base + 4);
	ck_assert_str_eq(walked(base, base + 4, false), expected);
	/* Once: where it changed first after the beginning, whether it was there or not. */
	snprintf(expected, sizeof(expected), "%d:b %d:a ", (int)base + 1, (int)base + 2);
	ck_assert_str_eq(walked(base, base + 4, true), expected);
	snprintf(expected, sizeof(expected), "%d:a %d:b ", (int)base + 2, (int)base + 3);
	ck_assert_str_eq(walked(base + 1, base + 4, true), expected);
	snprintf(expected, sizeof(expected), "%d:b ", (int)base + 4);
	ck_assert_str_eq(walked(base + 3, base + 4, true), expected);
	ck_assert_str_eq(walked(base + 4, base + 4, true), "");
}
END_TEST

START_TEST(test_walk_in_steps)
{
	uint64_t base = put("a", "1");
	struct store_walk walk = {.at = {.revision = base}, .to = base + 3, .looks = 1};
	struct passed passed = {.max = 1000};
	char expected[64];

	for (int i = 0; i < 3; i++)
		put("a", i % 2 == 0 ? "x" : "y");
	for (int i = 0; i < 3; i++) {
		ck_assert(!walk.ended);
		walk.looks = 1;
		OK(store_walk_changes(reader, &walk, on_change, &passed, &test_error));
		ck_assert_uint_eq(walk.at.revision, base + 1 + (uint64_t)i);
	}
	walk.looks = 1;
	OK(store_walk_changes(reader, &walk, on_change, &passed, &test_error));
	ck_assert(walk.ended);
	snprintf(expected, sizeof(expected), "%d:a %d:a %d:a ", (int)base + 1, (int)base + 2, (int)base + 3);
	ck_assert_str_eq(passed.text, expected);
	/* Who stops has not passed what it stopped at. */
	walk = (struct store_walk){.at = {.revision = base}, .to = base + 3, .looks = 100};
	passed = (struct passed){.max = 1};
	OK(store_walk_changes(reader, &walk, on_change, &passed, &test_error));
	ck_assert(!walk.ended && walk.at.revision == base + 1);
}
END_TEST

START_TEST(test_states)
{
	struct store_row then = {0}, now = {0};
	uint64_t first = put("a", "1"), second;
	bool exists = true;

	OK(store_get_state(reader, KIND_UPSTREAM, "a", first - 1, &then, &exists, &test_error));
	ck_assert(!exists);
	ck_assert_int_eq(test_error.code, 0); /* absence is no error */
	OK(store_get_state(reader, KIND_UPSTREAM, "a", 0, &then, &exists, &test_error));
	ck_assert(!exists);
	second = put("a", "2");
	OK(store_get_state(reader, KIND_UPSTREAM, "a", first, &then, &exists, &test_error));
	ck_assert(exists && then.from_revision == first && then.to_revision == second);
	OK(store_get_state(reader, KIND_UPSTREAM, "a", second, &now, &exists, &test_error));
	ck_assert(exists && !store_states_are_equal(&then, &now));
	store_row_deinit(&now);
	put("a", "1");
	OK(store_get(reader, KIND_UPSTREAM, "a", 0, &now, &test_error));
	ck_assert(store_states_are_equal(&then, &now));
	ck_assert(!store_is_purged(&now)); /* it never had a secret */
	store_row_deinit(&then);
	store_row_deinit(&now);
}
END_TEST

static void check_found(struct store_revision_filter filter, size_t max, size_t expected, const uint64_t *numbers)
{
	struct store_revision rows[16];
	size_t count = 99;

	OK(store_find_revisions(reader, &filter, rows, max, &count, &test_error));
	ck_assert_uint_eq(count, expected);
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(rows[i].revision.number, numbers[i]);
}

START_TEST(test_revisions_of_an_object)
{
	uint64_t one = put("a", "1"), two, gone, again;

	put("b", "1");
	two = put("a", "2");
	gone = delete ("a");
	put("b", "2");
	again = put("a", "3");
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a"}, 16, 4, (uint64_t[]){again, gone, two, one});
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a"}, 3, 3, (uint64_t[]){again, gone, two});
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a", .before = again}, 16, 3, (uint64_t[]){gone, two, one});
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a", .before = gone}, 16, 2, (uint64_t[]){two, one});
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a", .before = two}, 16, 1, (uint64_t[]){one});
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a", .before = one}, 16, 0, NULL);
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a", .actor = "tester"}, 16, 4,
	            (uint64_t[]){again, gone, two, one});
	check_found((struct store_revision_filter){.kind = KIND_UPSTREAM, .id = "a", .actor = "other"}, 16, 0, NULL);
	check_found((struct store_revision_filter){.kind = KIND_SSL, .id = "a"}, 16, 0, NULL);
}
END_TEST

START_TEST(test_revisions_in_order)
{
	uint64_t first = put("a", "1"), second = put("a", "2"), third = put("a", "3");

	check_found((struct store_revision_filter){.actor = "tester"}, 16, 3, (uint64_t[]){third, second, first});
	check_found((struct store_revision_filter){.actor = "tester", .before = third}, 1, 1, (uint64_t[]){second});
	check_found((struct store_revision_filter){.actor = "nobody"}, 16, 0, NULL);
	check_found((struct store_revision_filter){.is_forward = true, .after = first}, 16, 2, (uint64_t[]){second, third});
	check_found((struct store_revision_filter){.is_forward = true, .after = first - 1, .actor = "tester"}, 2, 2,
	            (uint64_t[]){first, second});
	check_found((struct store_revision_filter){.is_forward = true, .after = UINT64_MAX}, 16, 0, NULL);
}
END_TEST

START_TEST(test_title)
{
	struct store_revision revision;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	store_revision_entitle(writer, "rollback to 7: ");
	OK(put_object(writer, KIND_UPSTREAM, "a", "", true, "1"));
	OK(put_object(writer, KIND_UPSTREAM, "b", "", true, "1"));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	ck_assert_str_eq(revision.summary, "rollback to 7: put upstreams/a, put upstreams/b");
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "a", "", true, "2"));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	ck_assert_str_eq(revision.summary, "put upstreams/a"); /* a title is of one revision */
}
END_TEST

START_TEST(test_kept)
{
	uint64_t floor = 99;

	OK(store_floor(reader, &floor, &test_error));
	ck_assert_uint_eq(floor, 0);
	OK(store_check_kept(reader, 0, &test_error));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store/history");
	TCase *all = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_walks);
	tcase_add_test(all, test_walk_in_steps);
	tcase_add_test(all, test_states);
	tcase_add_test(all, test_revisions_of_an_object);
	tcase_add_test(all, test_revisions_in_order);
	tcase_add_test(all, test_title);
	tcase_add_test(all, test_kept);
	suite_add_tcase(suite, all);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
