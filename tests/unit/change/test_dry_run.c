/* SPDX-License-Identifier: Apache-2.0 */
/* Dry runs: the answers and refusals of a write, and no trace of it. */
#include "fixture.h"

static const char upstream[] = "{\"nodes\": {\"127.0.0.1:80\": 1}}";
static const char upstream_two[] = "{\"nodes\": {\"127.0.0.1:81\": 1}}";
static const char listener[] = "{\"bind\": \"127.0.0.1:443\", \"upstream\": \"u\"}";

static struct outcome try_request(struct change_request *request)
{
	uint64_t before = head_number();
	unsigned seen = commits;
	struct outcome outcome;

	request->dry_run = true;
	outcome = submit(request);
	ck_assert_uint_eq(head_number(), before);
	ck_assert_uint_eq(commits, seen);
	ck_assert_str_eq(outcome.etag, "");
	ck_assert_str_eq(outcome.selectors, "");
	if (outcome.code == 0)
		ck_assert_uint_eq(outcome.revision.revision.number, before);
	return outcome;
}

static struct outcome try(enum change_op op, enum kind kind, const char *id, const char *text)
{
	return try_request(make_request(op, kind, id, text != NULL ? json_text(text) : NULL));
}

static bool exists(enum kind kind, const char *id)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};

	return store_get(test_reader, kind, id, 0, &row, NULL) == 0;
}

static const char *node_of(const json_t *answer)
{
	return json_object_iter_key(json_object_iter(json_object_get(answer, "nodes")));
}

START_TEST(test_create_and_replace)
{
	CLEANUP(outcome_deinit) struct outcome fresh = try(CHANGE_PUT, KIND_UPSTREAM, "u", upstream);
	CLEANUP(outcome_deinit) struct outcome other = {0}, same = {0}, made = {0};

	ACCEPTED(fresh);
	ck_assert(fresh.changed && fresh.created);
	ck_assert_str_eq(node_of(fresh.answer), "127.0.0.1:80");
	ck_assert_ptr_null(json_object_get(fresh.answer, "version"));
	ck_assert_ptr_null(json_object_get(fresh.answer, "uid"));
	ck_assert_str_eq(json_string_value(json_object_get(fresh.answer, "id")), "u");
	ck_assert(!exists(KIND_UPSTREAM, "u"));

	must(CHANGE_PUT, KIND_UPSTREAM, "u", upstream);
	other = try(CHANGE_PUT, KIND_UPSTREAM, "u", upstream_two);
	ACCEPTED(other);
	ck_assert(other.changed && !other.created);
	ck_assert_str_eq(node_of(other.answer), "127.0.0.1:81");
	ck_assert_ptr_nonnull(json_object_get(other.answer, "uid"));
	ck_assert_ptr_null(json_object_get(other.answer, "version"));

	same = try(CHANGE_PUT, KIND_UPSTREAM, "u", upstream);
	ACCEPTED(same);
	ck_assert(!same.changed && !same.created);

	made = try(CHANGE_CREATE, KIND_UPSTREAM, "", upstream);
	ACCEPTED(made);
	ck_assert(made.created);
	ck_assert_ptr_null(json_object_get(made.answer, "id"));
}
END_TEST

START_TEST(test_patch_and_delete)
{
	CLEANUP(outcome_deinit) struct outcome patched = {0}, gone = {0};

	must(CHANGE_PUT, KIND_UPSTREAM, "u", upstream);
	patched = try(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"desc\": \"new\"}");
	ACCEPTED(patched);
	ck_assert(patched.changed && !patched.created);
	ck_assert_str_eq(json_string_value(json_object_get(patched.answer, "desc")), "new");
	gone = try(CHANGE_DELETE, KIND_UPSTREAM, "u", NULL);
	ACCEPTED(gone);
	ck_assert(gone.changed && !gone.created);
	ck_assert_ptr_null(gone.answer);
	ck_assert(exists(KIND_UPSTREAM, "u"));
}
END_TEST

/* What a write refuses, its dry run refuses in the same words. */
START_TEST(test_refusals)
{
	static const struct {
		enum change_op op;
		enum kind kind;
		const char *id, *text;
		int code;
	} rows[] = {
		{CHANGE_PUT, KIND_UPSTREAM, "u", "{\"nodes\": 7}", E_INVALID},
		{CHANGE_PUT, KIND_LISTENER, "l", "{\"bind\": \"127.0.0.1:443\", \"upstream\": \"nobody\"}", E_INVALID},
		{CHANGE_PUT, KIND_LISTENER, "twin", listener, E_CONFLICT},
		{CHANGE_DELETE, KIND_UPSTREAM, "u", NULL, E_CONFLICT},
		{CHANGE_PATCH, KIND_UPSTREAM, "nobody", "{}", E_NOT_FOUND},
		{CHANGE_PUT, KIND_TLS_OPTIONS, "modern", "{}", E_CONFLICT},
	};

	must(CHANGE_PUT, KIND_UPSTREAM, "u", upstream);
	must(CHANGE_PUT, KIND_LISTENER, "main", listener);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(outcome_deinit) struct outcome tried = try(rows[i].op, rows[i].kind, rows[i].id, rows[i].text);
		CLEANUP(outcome_deinit) struct outcome done = change(rows[i].op, rows[i].kind, rows[i].id, rows[i].text);

		ck_assert_int_eq(tried.code, rows[i].code);
		ck_assert(!tried.changed);
		ck_assert_int_eq(done.code, tried.code);
		ck_assert_str_eq(done.text, tried.text);
		ck_assert_str_eq(done.findings, tried.findings);
	}
}
END_TEST

START_TEST(test_strict_and_conditions)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.test");
	struct change_request *request =
		make_request(CHANGE_PUT, KIND_SSL, "s", ssl_document(&pair, "b.test", true, NULL));
	CLEANUP(outcome_deinit) struct outcome lenient = try_request(request), strict = {0}, wrong = {0};

	ACCEPTED(lenient);
	ck_assert_uint_eq(lenient.warnings, 1);
	ck_assert(!exists(KIND_SSL, "s"));
	request = make_request(CHANGE_PUT, KIND_SSL, "s", ssl_document(&pair, "b.test", true, NULL));
	request->strict = true;
	strict = try_request(request);
	ck_assert_int_eq(strict.code, E_INVALID);
	request = make_request(CHANGE_PUT, KIND_UPSTREAM, "u", json_text(upstream));
	request->if_match = strdup("\"1-1\"");
	wrong = try_request(request);
	ck_assert_int_eq(wrong.code, E_PRECONDITION);
}
END_TEST

START_TEST(test_many_items)
{
	struct change_request *request = change_request_new(2);
	CLEANUP(outcome_deinit) struct outcome outcome = {0};

	for (size_t i = 0; i < 2; i++)
		request->items[i].op = CHANGE_PUT;
	request->items[0].kind = KIND_LISTENER;
	request->items[0].document = json_text(listener);
	strcpy(request->items[0].id, "l");
	request->items[1].kind = KIND_UPSTREAM;
	request->items[1].document = json_text(upstream);
	strcpy(request->items[1].id, "u");
	outcome = try_request(request);
	ACCEPTED(outcome);
	ck_assert(outcome.changed);
	ck_assert(!exists(KIND_LISTENER, "l") && !exists(KIND_UPSTREAM, "u"));
}
END_TEST

static struct change_request *make_bulk(size_t count)
{
	struct change_request *request = change_request_new(count);

	ck_assert_ptr_nonnull(request);
	for (size_t i = 0; i < count; i++) {
		request->items[i].op = CHANGE_PUT;
		request->items[i].kind = KIND_UPSTREAM;
		request->items[i].document = json_text(upstream);
		snprintf(request->items[i].id, sizeof(request->items[i].id), "u%zu", i);
	}
	request->dry_run = true;
	return request;
}

/* Of two large ones at once the second is sent away; then there is room again. Small ones and writes are not held up. */
START_TEST(test_one_large_at_a_time)
{
	struct outcome large[2] = {0}, small = {0}, write = {0}, again = {0};

	for (size_t i = 0; i < 2; i++)
		change_submit(test_engine, make_bulk(CHANGE_DRY_ITEMS_MAX + 1), on_done, &large[i]);
	change_submit(test_engine, make_bulk(CHANGE_DRY_ITEMS_MAX), on_done, &small);
	change_submit(test_engine, make_request(CHANGE_PUT, KIND_UPSTREAM, "w", json_text(upstream)), on_done, &write);
	while (!large[0].done || !large[1].done || !small.done || !write.done)
		uv_run(&test_loop, UV_RUN_ONCE);
	ck_assert_int_eq(large[0].code == 0 ? large[1].code : large[0].code, E_UNAVAILABLE);
	ck_assert(large[0].code == 0 || large[1].code == 0);
	ck_assert_int_eq(small.code, 0);
	ck_assert_int_eq(write.code, 0);
	again = submit(make_bulk(CHANGE_DRY_ITEMS_MAX + 1));
	ck_assert_int_eq(again.code, 0);
	ck_assert(exists(KIND_UPSTREAM, "w") && !exists(KIND_UPSTREAM, "u0"));
	for (size_t i = 0; i < 2; i++)
		outcome_deinit(&large[i]);
	outcome_deinit(&small);
	outcome_deinit(&write);
	outcome_deinit(&again);
}
END_TEST

/* Dry runs between writes in one queue: every write stands, with a revision of its own. */
START_TEST(test_between_writes)
{
	struct outcome outcomes[40] = {0};
	uint64_t before = head_number();

	for (size_t i = 0; i < 40; i++) {
		char id[16];
		struct change_request *request;

		snprintf(id, sizeof(id), "%c%zu", i % 2 == 0 ? 'w' : 'd', i);
		request = make_request(CHANGE_PUT, KIND_UPSTREAM, id, json_text(upstream));
		request->dry_run = i % 2 == 1;
		change_submit(test_engine, request, on_done, &outcomes[i]);
	}
	for (size_t i = 0; i < 40; i++) {
		wait_done(&outcomes[i].done);
		ACCEPTED(outcomes[i]);
		ck_assert(outcomes[i].changed);
		outcome_deinit(&outcomes[i]);
	}
	ck_assert_uint_eq(head_number(), before + 20);
	ck_assert(exists(KIND_UPSTREAM, "w38") && !exists(KIND_UPSTREAM, "d39"));
}
END_TEST

/* A key that was only tried is free: what comes under it next is done. */
START_TEST(test_no_receipt)
{
	struct change_request *request = make_request(CHANGE_PUT, KIND_UPSTREAM, "u", json_text(upstream));
	CLEANUP(outcome_deinit) struct outcome tried = {0}, done = {0};
	const uint8_t token[32] = {1}, digest[32] = {2};

	request->receipt = change_receipt_new(token, "key", digest);
	tried = try_request(request);
	ACCEPTED(tried);
	request = make_request(CHANGE_PUT, KIND_UPSTREAM, "u", json_text(upstream));
	request->receipt = change_receipt_new(token, "key", digest);
	done = submit(request);
	ACCEPTED(done);
	ck_assert(done.changed && done.created);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dry_run");
	TCase *tcase = tcase_create("dry_run");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, test_create_and_replace);
	tcase_add_test(tcase, test_patch_and_delete);
	tcase_add_test(tcase, test_refusals);
	tcase_add_test(tcase, test_strict_and_conditions);
	tcase_add_test(tcase, test_many_items);
	tcase_add_test(tcase, test_one_large_at_a_time);
	tcase_add_test(tcase, test_between_writes);
	tcase_add_test(tcase, test_no_receipt);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
