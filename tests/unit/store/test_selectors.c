/* SPDX-License-Identifier: Apache-2.0 */
/* What agents hold, against a model that keeps every snapshot whole: random changes, then random differences between
 * two revisions. */
#include "fixture.h"

#define IDS 10
#define REVISIONS 250
#define OBJECTS (IDS * 2)

static const char *const selectors[] = {"", "a=1", "a=2", "b=1"};
#define SELECTORS 4

/* One object in one snapshot; version 0: not there, or held by nobody. */
struct held {
	uint64_t version;
	int selector;
	bool exists; /* in the store, held or not */
};

static struct held history[REVISIONS + 2][OBJECTS];
static struct digest heads[REVISIONS + 2][SELECTORS];
static uint32_t seed;

static unsigned roll(unsigned below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static enum kind kind_of(int object)
{
	return object < IDS ? KIND_UPSTREAM : KIND_CA_BUNDLE;
}

static int object_of(const struct object_view *view)
{
	int number = atoi(view->id + 1);

	return view->kind == KIND_UPSTREAM ? number : number + IDS;
}

static void change_one(struct store_writer *writer, struct held *now, int object, uint64_t revision, const char *body)
{
	int selector = (int)roll(SELECTORS);
	bool enabled = roll(5) != 0;
	char id[8];

	snprintf(id, sizeof(id), "o%d", object % IDS);
	if (now[object].exists && roll(4) == 0) {
		OK(store_delete(writer, kind_of(object), id, &test_error));
		now[object] = (struct held){0};
		return;
	}
	OK(put_object(writer, kind_of(object), id, selectors[selector], enabled, body));
	now[object] = (struct held){enabled ? revision : 0, selector, true};
}

static int collect_digest(const struct store_selector *selector, void *context)
{
	struct digest *digests = context;

	for (int i = 0; i < SELECTORS; i++)
		if (strcmp(selectors[i], selector->selector) == 0)
			digests[i] = selector->digest;
	return 0;
}

/* Presets make revision 1; numbers go on from there. */
static void make_history(struct store *store, struct store_reader *reader)
{
	struct store_writer *writer = NULL;
	struct store_revision revision;
	char body[32];

	OK(store_writer_open(store, &writer, &test_error));
	for (uint64_t n = 2; n <= REVISIONS; n++) {
		bool taken[OBJECTS] = {false};
		unsigned count = 1 + roll(4);

		memcpy(history[n], history[n - 1], sizeof(history[n]));
		OK(store_write_begin(writer, &test_error));
		OK(store_revision_begin(writer, &test_author, &test_error));
		ck_assert_uint_eq(store_revision_next(writer).number, n);
		for (unsigned i = 0; i < count; i++) {
			int object = (int)roll(OBJECTS);

			if (taken[object])
				continue;
			taken[object] = true;
			snprintf(body, sizeof(body), "%d at %d", object, (int)n);
			change_one(writer, history[n], object, n, body);
		}
		OK(store_revision_end(writer, &revision, &test_error));
		OK(store_write_commit(writer, &test_error));
		OK(store_each_selector(reader, collect_digest, heads[n], &test_error));
	}
	store_writer_close(writer);
}

struct scan {
	uint64_t versions[OBJECTS]; /* the snapshot as known so far */
	struct digest sum;
	int64_t last;
	size_t rows;
};

static int on_row(const struct store_row *row, void *context)
{
	struct scan *scan = context;
	struct digest digest;

	if (row->state.object.kind == KIND_TLS_OPTIONS) { /* presets */
		scan->last = row->row_id;
		scan->rows++;
		return 0;
	}
	ck_assert_int_gt(row->row_id, scan->last);
	scan->last = row->row_id;
	scan->rows++;
	ck_assert_uint_eq(scan->versions[object_of(&row->state.object)], 0);
	scan->versions[object_of(&row->state.object)] = row->state.object.version;
	OK(object_digest(&row->state.object, &digest, &test_error));
	digest_add(&scan->sum, &digest);
	return 0;
}

static void assert_snapshot(const uint64_t *versions, uint64_t revision, int selector)
{
	for (int object = 0; object < OBJECTS; object++) {
		const struct held *held = &history[revision][object];
		uint64_t expected = held->selector == selector ? held->version : 0;

		ck_assert_msg(versions[object] == expected, "revision %d, selector %s, object %d: version %d, not %d",
		              (int)revision, selectors[selector], object, (int)versions[object], (int)expected);
	}
}

START_TEST(test_scan_selector)
{
	struct store *store = open_store();
	struct store_reader *reader = NULL;

	seed = (uint32_t)_i + 7;
	OK(store_reader_open(store, &reader, &test_error));
	make_history(store, reader);
	for (int round = 0; round < 150; round++) {
		uint64_t revision = round == 0 ? REVISIONS : 2 + roll(REVISIONS - 1);

		for (int selector = 0; selector < SELECTORS; selector++) {
			struct scan scan = {0};
			size_t before;

			do { /* in pages of 3 */
				before = scan.rows;
				OK(store_scan_selector(reader, selectors[selector], revision, scan.last, 3, on_row, &scan,
				                       &test_error));
				ck_assert_uint_le(scan.rows, before + 3);
			} while (scan.rows > before);
			assert_snapshot(scan.versions, revision, selector);
			if (selector != 0) /* "" has the presets too */
				ck_assert(digest_is_equal(&scan.sum, &heads[revision][selector]));
		}
	}
	store_reader_close(reader);
	store_close(store);
}
END_TEST

static int on_removed(const struct store_row *row, void *context)
{
	struct scan *scan = context;
	int object = object_of(&row->state.object);

	ck_assert_uint_ne(scan->versions[object], 0); /* and each once */
	scan->versions[object] = 0;
	return 0;
}

static int on_put(const struct store_row *row, void *context)
{
	struct scan *scan = context;

	ck_assert_int_gt(row->row_id, scan->last);
	scan->last = row->row_id;
	scan->versions[object_of(&row->state.object)] = row->state.object.version;
	return 0;
}

START_TEST(test_scan_changes)
{
	struct store *store = open_store();
	struct store_reader *reader = NULL;

	seed = (uint32_t)_i + 100;
	OK(store_reader_open(store, &reader, &test_error));
	make_history(store, reader);
	for (int round = 0; round < 400; round++) {
		uint64_t from = 2 + roll(REVISIONS - 1), to = from + roll((unsigned)(REVISIONS - from) + 1);

		for (int selector = 0; selector < SELECTORS; selector++) {
			struct store_removals removals = {.from = from, .to = to};
			struct scan scan = {0};

			for (int object = 0; object < OBJECTS; object++)
				if (history[from][object].selector == selector)
					scan.versions[object] = history[from][object].version;
			while (!removals.ended) { /* in pages of any size */
				size_t looks = removals.looks = 1 + roll(5);
				int64_t before = removals.after;

				OK(store_scan_removals(reader, selectors[selector], &removals, on_removed, &scan, &test_error));
				ck_assert(removals.looks <= looks && (removals.ended || removals.after != before));
			}
			OK(store_scan_puts(reader, selectors[selector], from, to, on_put, &scan, &test_error));
			assert_snapshot(scan.versions, to, selector);
		}
	}
	store_reader_close(reader);
	store_close(store);
}
END_TEST

static int collect_name(const struct store_selector *selector, void *context)
{
	strcat(context, selector->selector);
	strcat(context, ";");
	return 0;
}

static int collect_id(const char *id, void *context)
{
	strcat(context, id);
	strcat(context, ";");
	return 0;
}

START_TEST(test_since)
{
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	struct store_reader *reader = NULL;
	char seen[256] = "";
	uint64_t first;

	OK(store_writer_open(store, &writer, &test_error));
	OK(store_reader_open(store, &reader, &test_error));
	first = put_alone(writer, KIND_UPSTREAM, "u", "a=1", true, "one").revision.number;
	put_alone(writer, KIND_UPSTREAM, "u", "a=2", true, "one");
	put_alone(writer, KIND_AGENT, "agent", "", true, "one");
	put_alone(writer, KIND_AGENT, "agent", "", true, "two");
	OK(store_each_selector_since(reader, first, collect_name, seen, &test_error));
	ck_assert_str_eq(seen, "a=1;a=2;"); /* an agent is in nobody's holding */
	seen[0] = 0;
	OK(store_each_selector_since(reader, first + 1, collect_name, seen, &test_error));
	ck_assert_str_eq(seen, "");
	OK(store_each_id_since(reader, KIND_AGENT, first, collect_id, seen, &test_error));
	ck_assert_str_eq(seen, "agent;agent;");
	seen[0] = 0;
	OK(store_each_id_since(reader, KIND_UPSTREAM, first, collect_id, seen, &test_error));
	ck_assert_str_eq(seen, "u;");
	store_reader_close(reader);
	store_writer_close(writer);
	store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("selectors");
	TCase *tcase = tcase_create("selectors");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_add_loop_test(tcase, test_scan_selector, 0, 2);
	tcase_add_loop_test(tcase, test_scan_changes, 0, 3);
	tcase_add_test(tcase, test_since);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
