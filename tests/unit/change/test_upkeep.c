/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer thread does between the changes: history is cut as far as the loop allows and no further, a store of an earlier release
 * is filled, keys leave the files before it is said, and none of it holds up a change or a close. */
#include "fixture.h"

#include "store/store_history.h"
#include "store/store_lists.h"

#include <sqlite3.h>

/* How far the loop allows history to be cut. */
static uint64_t allowed, asked;

static uint64_t on_prune(uint64_t floor, void *owner)
{
	asked = floor;
	return floor < allowed ? floor : allowed;
}

static void start_with(uint64_t revisions)
{
	struct store_config store_config = {.dir = test_dir, .trust_domain = "test.example"};
	struct change_config config = {.loop = &test_loop,
	                               .limits = {.rsa_bits_max = 4096},
	                               .on_commit = on_commit,
	                               .on_prune = on_prune,
	                               .history_revisions = revisions};

	asked = 0;
	OK(store_open(&store_config, &test_store, &test_error));
	OK(store_reader_open(test_store, &test_reader, &test_error));
	ck_assert_int_eq(uv_loop_init(&test_loop), 0);
	config.store = test_store;
	OK(change_engine_start(&config, &test_engine, &test_error));
}

static void put_upstream(unsigned port)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"nodes\": {\"127.0.0.1:%u\": 1}}", port);
	must(CHANGE_PUT, KIND_UPSTREAM, "u", text);
}

static uint64_t floor_now(void)
{
	uint64_t floor = 0;

	OK(store_floor(test_reader, &floor, &test_error));
	return floor;
}

static void turn(unsigned ms)
{
	uv_run(&test_loop, UV_RUN_NOWAIT);
	usleep(ms * 1000);
}

static sqlite3 *open_database(const char *sql)
{
	sqlite3 *handle = NULL;
	char path[96];

	snprintf(path, sizeof(path), "%s/store.db", test_dir);
	ck_assert_int_eq(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
	return handle;
}

START_TEST(test_cut_as_far_as_allowed)
{
	uint64_t head;

	for (unsigned i = 1; i <= 20; i++)
		put_upstream(i);
	head = head_number();
	stop_engine();

	allowed = head - 10;
	start_with(3);
	for (int i = 0; i < 1000 && floor_now() < head - 10; i++)
		turn(5);
	ck_assert_uint_eq(asked, head - 3);
	ck_assert_uint_eq(floor_now(), head - 10); /* somebody is still being sent what was then */
	for (int i = 0; i < 20; i++)
		turn(5);
	ck_assert_uint_eq(floor_now(), head - 10);
	stop_engine();

	allowed = UINT64_MAX;
	start_with(3);
	for (int i = 0; i < 1000 && floor_now() < head - 3; i++)
		turn(5);
	ck_assert_uint_eq(floor_now(), head - 3);
	put_upstream(99);
}
END_TEST

/* Nobody on the loop answers: nothing is cut. */
START_TEST(test_not_before_the_loop_answers)
{
	for (unsigned i = 1; i <= 20; i++)
		put_upstream(i);
	stop_engine();
	allowed = UINT64_MAX;
	start_with(3);
	usleep(300000);
	ck_assert_uint_eq(floor_now(), 0);
	ck_assert_uint_eq(asked, 0);
	for (int i = 0; i < 1000 && floor_now() == 0; i++)
		turn(5);
	ck_assert_uint_eq(floor_now(), asked);
}
END_TEST

static int count_row(const struct store_row *row, void *context)
{
	++*(size_t *)context;
	return 0;
}

START_TEST(test_an_earlier_store_is_filled)
{
	struct store_lister lister = {.kind = KIND_UPSTREAM, .status = -1, .order = STORE_BY_ID, .looks = 1000};
	size_t found = 0;
	int code = E_UNAVAILABLE;

	lister.terms[lister.terms_len++] = (struct store_term){.name = FACET_LABEL, .numbers = {facet_hash("dc", "x")}, .len = 1};
	for (unsigned i = 0; i < 50; i++) {
		char id[16];

		snprintf(id, sizeof(id), "u%u", i);
		must(CHANGE_PUT, KIND_UPSTREAM, id, "{\"nodes\": {\"127.0.0.1:1\": 1}, \"labels\": {\"dc\": \"x\"}}");
	}
	stop_engine();
	sqlite3_close(open_database("DELETE FROM facet; UPDATE object SET facets = NULL; DELETE FROM meta WHERE key LIKE 'facets%';"));
	start_with(0);
	lister.revision = head_number();
	for (int i = 0; i < 1000 && code == E_UNAVAILABLE; i++) {
		if (i == 1)
			put_upstream(1); /* changes pass meanwhile */
		turn(2);
		code = store_find(test_reader, &lister, count_row, &found, &test_error);
	}
	ck_assert_int_eq(code, 0);
	ck_assert_uint_eq(found, 50);
}
END_TEST

/* Erasing ---------------------------------------------------------------------------------------------------------- */

static void purge(struct outcome *outcome)
{
	struct change_request *request = make_request(CHANGE_DELETE, KIND_SSL, "s", NULL);

	request->purge_keys = true;
	*outcome = (struct outcome){.done = false};
	change_submit(test_engine, request, on_done, outcome);
}

static void put_keys(void)
{
	struct made_pair pair = make_ec_pair("DNS:a.test");
	struct outcome outcome = put_ssl("s", &pair, "a.test", true, NULL);

	ck_assert_int_eq(outcome.code, 0);
	outcome_deinit(&outcome);
	pair_deinit(&pair);
}

START_TEST(test_said_when_nobody_reads_it)
{
	struct outcome first, second;
	sqlite3 *reading;

	put_keys();
	reading = open_database("BEGIN; SELECT count(*) FROM object;");
	purge(&first);
	for (int i = 0; i < 60; i++)
		turn(5);
	ck_assert(!first.done);
	put_upstream(7); /* others are answered */
	put_keys();
	purge(&second);
	for (int i = 0; i < 20; i++)
		turn(5);
	ck_assert(!first.done && !second.done);
	sqlite3_close(reading);
	wait_done(&first.done);
	wait_done(&second.done);
	ck_assert(first.code == 0 && second.code == 0 && first.changed && second.changed);
	outcome_deinit(&first);
	outcome_deinit(&second);
}
END_TEST

START_TEST(test_a_close_does_not_wait)
{
	struct outcome outcome;
	sqlite3 *reading;
	uint64_t begun;

	put_keys();
	reading = open_database("BEGIN; SELECT count(*) FROM object;");
	purge(&outcome);
	for (int i = 0; i < 20; i++)
		turn(5);
	ck_assert(!outcome.done);
	begun = uv_hrtime();
	stop_engine();
	ck_assert_uint_lt(uv_hrtime() - begun, UINT64_C(5000000000));
	ck_assert(outcome.done);
	ck_assert_int_eq(outcome.code, E_UNAVAILABLE);
	outcome_deinit(&outcome);
	sqlite3_close(reading);
	start_with(0);
	purge(&outcome); /* again: that it is deleted is no obstacle */
	wait_done(&outcome.done);
	ck_assert(outcome.code == 0 && !outcome.changed && !outcome.created);
	outcome_deinit(&outcome);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("upkeep");
	TCase *tcase = tcase_create("upkeep");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, test_cut_as_far_as_allowed);
	tcase_add_test(tcase, test_not_before_the_loop_answers);
	tcase_add_test(tcase, test_an_earlier_store_is_filled);
	tcase_add_test(tcase, test_said_when_nobody_reads_it);
	tcase_add_test(tcase, test_a_close_does_not_wait);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
