/* SPDX-License-Identifier: Apache-2.0 */
/* Rolling back against changes that come in between, lost states and refusals; what it restores is told by the end-to-end tests. */
#include "fixture.h"

#include "store/store_history.h"

static void put_upstream(const char *id, int port)
{
	char text[64];

	snprintf(text, sizeof(text), "{\"nodes\": {\"127.0.0.1:%d\": 1}}", port);
	must(CHANGE_PUT, KIND_UPSTREAM, id, text);
}

static struct change_request *make_rollback(uint64_t number)
{
	struct change_request *request = change_request_new(0);

	ck_assert_ptr_nonnull(request);
	request->rollback.number = number;
	snprintf(request->actor, sizeof(request->actor), "tester");
	return request;
}

static bool exists(const char *id)
{
	struct store_row row = {0};
	int code = store_get(test_reader, KIND_UPSTREAM, id, 0, &row, &test_error);

	store_row_deinit(&row);
	return code == 0;
}

START_TEST(test_all_of_it)
{
	CLEANUP(outcome_deinit) struct outcome done = {0}, again = {0};
	uint64_t target;

	put_upstream("a", 1);
	put_upstream("b", 1);
	target = head_number();
	put_upstream("a", 2);
	put_upstream("c", 1);
	must(CHANGE_DELETE, KIND_UPSTREAM, "b", NULL);
	done = submit(make_rollback(target));
	ACCEPTED(done);
	ck_assert(done.changed && exists("a") && exists("b") && !exists("c"));
	ck_assert_uint_eq(done.revision.changes, 3);
	ck_assert_int_eq(strncmp(done.revision.summary, "rollback to ", 12), 0);
	again = submit(make_rollback(target));
	ACCEPTED(again);
	ck_assert(!again.changed);
}
END_TEST

/* What is committed after a rollback has looked and before it runs is rolled back too. */
START_TEST(test_against_changes)
{
	unsigned between = 0;

	for (int round = 0; round < 60; round++) {
		CLEANUP(outcome_deinit) struct outcome put = {0}, back = {0};
		char id[32];
		uint64_t target;

		put_upstream("base", round + 1);
		target = head_number();
		for (int i = 0; i < 5; i++) { /* so that looking takes a moment */
			snprintf(id, sizeof(id), "more%d", i);
			put_upstream(id, round + 1);
		}
		snprintf(id, sizeof(id), "late%d", round);
		change_submit(test_engine, make_rollback(target), on_done, &back);
		change_submit(test_engine, make_request(CHANGE_PUT, KIND_UPSTREAM, id, json_text("{\"nodes\": {\"127.0.0.1:1\": 1}}")),
		              on_done, &put);
		wait_done(&back.done);
		wait_done(&put.done);
		ACCEPTED(back);
		ACCEPTED(put);
		between += put.revision.revision.number < back.revision.revision.number;
		ck_assert(exists(id) == (put.revision.revision.number > back.revision.revision.number));
	}
	ck_assert_msg(between > 0, "no change came in between");
}
END_TEST

START_TEST(test_named)
{
	CLEANUP(outcome_deinit) struct outcome done = {0}, unknown = {0}, preset = {0};
	struct change_request *request;
	uint64_t target;

	put_upstream("a", 1);
	put_upstream("b", 1);
	target = head_number();
	put_upstream("a", 2);
	put_upstream("b", 2);
	request = make_request(CHANGE_PUT, KIND_UPSTREAM, "a", NULL);
	request->rollback.number = target;
	done = submit(request);
	ACCEPTED(done);
	ck_assert_uint_eq(done.revision.changes, 1);

	request = make_request(CHANGE_PUT, KIND_UPSTREAM, "never", NULL);
	request->rollback.number = target;
	snprintf(request->items[0].pointer, sizeof(request->items[0].pointer), "/objects/0");
	unknown = submit(request);
	REFUSED(E_INVALID, "not-found /objects/0", unknown);

	request = make_request(CHANGE_PUT, KIND_TLS_OPTIONS, "modern", NULL);
	request->rollback.number = target;
	preset = submit(request);
	REFUSED(E_CONFLICT, "read-only", preset);
}
END_TEST

START_TEST(test_refusals)
{
	CLEANUP(outcome_deinit) struct outcome future = {0}, epoch = {0}, head = {0};
	struct change_request *request = make_rollback(1);
	struct store_revision row;

	put_upstream("a", 1);
	future = submit(make_rollback(999));
	ck_assert_int_eq(future.code, E_NOT_FOUND);
	request->rollback.epoch = 99;
	epoch = submit(request);
	ck_assert_int_eq(epoch.code, E_NOT_FOUND);
	request = make_rollback(1);
	request->if_match_head = strdup("\"1-1\"");
	head = submit(request);
	ck_assert_int_eq(head.code, E_PRECONDITION);
	ck_assert(exists("a"));
	OK(store_head(test_reader, &row, &test_error));
	ck_assert_str_eq(row.summary, "put upstreams/a");
}
END_TEST

/* Presets are in revision 1 and agents anywhere: neither is taken back. */
START_TEST(test_what_stays)
{
	CLEANUP(outcome_deinit) struct outcome done = {0};
	struct store_row row = {0};

	must(CHANGE_CREATE, KIND_JOIN_TOKEN, "", "{}");
	put_upstream("a", 1);
	done = submit(make_rollback(1));
	ACCEPTED(done);
	ck_assert_uint_eq(done.revision.changes, 1);
	OK(store_get(test_reader, KIND_TLS_OPTIONS, "modern", 0, &row, &test_error));
	store_row_deinit(&row);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rollback");
	TCase *tcase = tcase_create("rollback");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, test_all_of_it);
	tcase_add_test(tcase, test_against_changes);
	tcase_add_test(tcase, test_named);
	tcase_add_test(tcase, test_refusals);
	tcase_add_test(tcase, test_what_stays);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
