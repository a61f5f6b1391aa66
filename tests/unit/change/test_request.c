/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: what they answer, preconditions, patches, several items at once, no-ops, and many of them in few commits.
 */
#include "fixture.h"

#include <signal.h>
#include <sys/resource.h>

static const char upstream[] = "{\"nodes\": {\"127.0.0.1:80\": 1}}";
static const char upstream_two[] = "{\"nodes\": {\"127.0.0.1:81\": 1}}";

START_TEST(test_put_and_delete)
{
	CLEANUP(outcome_deinit) struct outcome first = change(CHANGE_PUT, KIND_UPSTREAM, "u", upstream);
	CLEANUP(outcome_deinit) struct outcome second = {0}, same = {0}, gone = {0};
	struct store_row row;
	char etag[64];

	ACCEPTED(first);
	ck_assert(first.changed && first.created);
	ck_assert_str_eq(first.selectors, ";");
	ck_assert_str_eq(commit_touched, ";");
	ck_assert_uint_eq(commit_head.revision.number, first.revision.revision.number);
	ck_assert(!commit_agents_changed);
	ck_assert_str_eq(json_string_value(json_object_get(first.answer, "id")), "u");
	OK(store_get(test_reader, KIND_UPSTREAM, "u", 0, &row, &test_error));
	change_format_etag(&row.state.object, etag);
	ck_assert_str_eq(etag, first.etag);
	store_row_deinit(&row);

	same = change(CHANGE_PUT, KIND_UPSTREAM, "u", upstream);
	ACCEPTED(same);
	ck_assert(!same.changed && !same.created);
	ck_assert_uint_eq(same.revision.revision.number, first.revision.revision.number);
	ck_assert_str_eq(same.etag, first.etag);
	ck_assert_ptr_nonnull(same.answer);
	ck_assert_str_eq(same.selectors, ";"); /* a wait that failed is asked again so */
	ck_assert_int_eq(revision_compare(same.standing, first.revision.revision), 0);

	second = change(CHANGE_PUT, KIND_UPSTREAM, "u", upstream_two);
	ACCEPTED(second);
	ck_assert(second.changed && !second.created);
	ck_assert_uint_eq(second.revision.revision.number, first.revision.revision.number + 1);
	ck_assert_str_ne(second.etag, first.etag);

	gone = change(CHANGE_DELETE, KIND_UPSTREAM, "u", NULL);
	ACCEPTED(gone);
	ck_assert(gone.changed);
	ck_assert_ptr_null(gone.answer);
	must_fail(E_NOT_FOUND, "not-found", CHANGE_DELETE, KIND_UPSTREAM, "u", NULL);
}
END_TEST

START_TEST(test_create)
{
	CLEANUP(outcome_deinit) struct outcome first = change(CHANGE_CREATE, KIND_UPSTREAM, "", upstream);
	CLEANUP(outcome_deinit) struct outcome second = change(CHANGE_CREATE, KIND_UPSTREAM, "", upstream);
	const char *id;

	ACCEPTED(first);
	ACCEPTED(second);
	ck_assert(first.created && second.created);
	id = json_string_value(json_object_get(first.answer, "id"));
	ck_assert_uint_eq(strlen(id), 16);
	ck_assert_str_ne(id, json_string_value(json_object_get(second.answer, "id")));
}
END_TEST

START_TEST(test_invalid)
{
	uint64_t before = head_number();

	must_fail(E_INVALID, " /nodes ", CHANGE_PUT, KIND_UPSTREAM, "u", "{}");
	must_fail(E_INVALID, " /nonsense ", CHANGE_PUT, KIND_UPSTREAM, "u",
	          "{\"nodes\": {\"127.0.0.1:80\": 1}, \"nonsense\": 1}");
	must_fail(E_CONFLICT, "read-only", CHANGE_PUT, KIND_TLS_OPTIONS, "modern", "{}");
	must_fail(E_CONFLICT, "read-only", CHANGE_DELETE, KIND_TLS_OPTIONS, "old", NULL);
	must_fail(E_CONFLICT, "read-only", CHANGE_PATCH, KIND_TLS_OPTIONS, "krakend", "{}");
	must_fail(E_METHOD, "not-writable", CHANGE_PUT, KIND_AGENT, "a", "{}");
	must_fail(E_NOT_FOUND, "not-found", CHANGE_PATCH, KIND_AGENT, "a", "{}");
	ck_assert_uint_eq(head_number(), before);
	ck_assert_uint_eq(commits, 0);
}
END_TEST

static struct outcome change_if(enum change_op op, const char *if_match, bool create_only, const char *text)
{
	struct change_request *request =
		make_request(op, KIND_UPSTREAM, "u", text != NULL ? json_text(text) : NULL);

	request->if_match = if_match != NULL ? strdup(if_match) : NULL;
	request->create_only = create_only;
	return submit(request);
}

static struct outcome put_if(const char *if_match, bool create_only, const char *text)
{
	return change_if(CHANGE_PUT, if_match, create_only, text);
}

/* If-None-Match: * is never without effect. */
START_TEST(test_only_if_absent)
{
	CLEANUP(outcome_deinit) struct outcome first = put_if(NULL, true, upstream), patched = {0}, deleted = {0};

	ACCEPTED(first);
	patched = change_if(CHANGE_PATCH, NULL, true, "{\"desc\": \"x\"}");
	REFUSED(E_EXISTS, "exists", patched);
	deleted = change_if(CHANGE_DELETE, NULL, true, NULL);
	REFUSED(E_EXISTS, "exists", deleted);
}
END_TEST

START_TEST(test_preconditions)
{
	CLEANUP(outcome_deinit) struct outcome missing = put_if("*", false, upstream);
	CLEANUP(outcome_deinit) struct outcome first = put_if(NULL, true, upstream);
	CLEANUP(outcome_deinit) struct outcome again = put_if(NULL, true, upstream_two);
	CLEANUP(outcome_deinit) struct outcome stale = put_if("\"1-1\"", false, upstream_two);
	CLEANUP(outcome_deinit) struct outcome any = put_if(" * ", false, upstream_two);
	CLEANUP(outcome_deinit) struct outcome listed = {0}, weak = {0}, junk = {0};
	char list[200];

	REFUSED(E_PRECONDITION, "precondition-failed", missing);
	ACCEPTED(first);
	REFUSED(E_EXISTS, "exists", again);
	REFUSED(E_PRECONDITION, "precondition-failed", stale);
	ACCEPTED(any);
	snprintf(list, sizeof(list), "\"x\", W/\"y\" ,%s", any.etag);
	listed = put_if(list, false, upstream);
	ACCEPTED(listed);
	snprintf(list, sizeof(list), "W/%s", listed.etag);
	weak = put_if(list, false, upstream_two);
	REFUSED(E_PRECONDITION, "precondition-failed", weak);
	junk = put_if("junk", false, upstream_two);
	REFUSED(E_PRECONDITION, "precondition-failed", junk);
}
END_TEST

START_TEST(test_patch)
{
	CLEANUP(outcome_deinit) struct outcome patched = {0};

	must(CHANGE_PUT, KIND_UPSTREAM, "u",
	     "{\"nodes\": {\"127.0.0.1:80\": 1}, \"desc\": \"one\", \"labels\": {\"team\": \"a\"}}");
	patched = change(CHANGE_PATCH, KIND_UPSTREAM, "u",
	                 "{\"desc\": null, \"nodes\": {\"127.0.0.1:80\": null, \"127.0.0.1:90\": 2}}");
	ACCEPTED(patched);
	ck_assert_ptr_null(json_object_get(patched.answer, "desc"));
	ck_assert_ptr_nonnull(json_object_get(patched.answer, "labels"));
	must_fail(E_INVALID, "/nodes", CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"nodes\": null}");
	must_fail(E_NOT_FOUND, "not-found", CHANGE_PATCH, KIND_UPSTREAM, "none", "{}");
	patched = (outcome_deinit(&patched), change(CHANGE_PATCH, KIND_UPSTREAM, "u", "{}"));
	ACCEPTED(patched);
	ck_assert(!patched.changed);
}
END_TEST

struct apply_item {
	enum change_op op;
	enum kind kind;
	const char *id;
	const char *text;
};

static struct outcome apply(const struct apply_item *items, size_t count)
{
	struct change_request *request = change_request_new(count);

	for (size_t i = 0; i < count; i++) {
		struct change_item *item = &request->items[i];

		item->op = items[i].op;
		item->kind = items[i].kind;
		snprintf(item->id, sizeof(item->id), "%s", items[i].id);
		snprintf(item->pointer, sizeof(item->pointer), "/put/%zu", i);
		item->document = items[i].text != NULL ? json_text(items[i].text) : NULL;
	}
	return submit(request);
}

#define LISTENER(bind, upstream) "{\"bind\": \"" bind "\", \"upstream\": \"" upstream "\"}"

START_TEST(test_apply)
{
	/* The referrer stands before its target, and the old pair goes. */
	const struct apply_item first[] = {
		{CHANGE_PUT, KIND_LISTENER, "l", LISTENER("127.0.0.1:8443", "u")},
		{CHANGE_PUT, KIND_UPSTREAM, "u", upstream},
	};
	const struct apply_item second[] = {
		{CHANGE_DELETE, KIND_UPSTREAM, "u", NULL},
		{CHANGE_PUT, KIND_LISTENER, "l", LISTENER("127.0.0.1:8443", "v")},
		{CHANGE_PUT, KIND_UPSTREAM, "v", upstream_two},
	};
	CLEANUP(outcome_deinit) struct outcome one = apply(first, 2);
	CLEANUP(outcome_deinit) struct outcome two = apply(second, 3);

	ACCEPTED(one);
	ck_assert_uint_eq(one.revision.changes, 2);
	ACCEPTED(two);
	ck_assert_uint_eq(two.revision.changes, 3);
	ck_assert_uint_eq(two.revision.revision.number, one.revision.revision.number + 1);
}
END_TEST

START_TEST(test_apply_refused_whole)
{
	const struct apply_item broken[] = {
		{CHANGE_PUT, KIND_UPSTREAM, "u", upstream},
		{CHANGE_PUT, KIND_UPSTREAM, "v", "{\"nodes\": 7}"},
		{CHANGE_PUT, KIND_LISTENER, "l", "{\"bind\": \"nowhere\", \"upstream\": \"u\"}"},
	};
	const struct apply_item twice[] = {
		{CHANGE_PUT, KIND_UPSTREAM, "u", upstream},
		{CHANGE_PUT, KIND_UPSTREAM, "w", upstream},
		{CHANGE_DELETE, KIND_UPSTREAM, "u", NULL},
	};
	const struct apply_item dangling[] = {
		{CHANGE_PUT, KIND_UPSTREAM, "u", upstream},
		{CHANGE_PUT, KIND_LISTENER, "l", LISTENER("127.0.0.1:8443", "none")},
		{CHANGE_PUT, KIND_LISTENER, "m", LISTENER("127.0.0.1:8444", "nothing")},
	};
	const struct apply_item missing[] = {
		{CHANGE_PUT, KIND_UPSTREAM, "u", upstream},
		{CHANGE_DELETE, KIND_UPSTREAM, "none", NULL},
	};
	CLEANUP(outcome_deinit) struct outcome one = apply(broken, 3);
	CLEANUP(outcome_deinit) struct outcome two = apply(twice, 3);
	CLEANUP(outcome_deinit) struct outcome three = apply(dangling, 3);
	CLEANUP(outcome_deinit) struct outcome four = apply(missing, 2);
	uint64_t count;

	REFUSED(E_INVALID, " /put/1/nodes ", one);
	REFUSED(E_INVALID, " /put/2/bind ", one);
	REFUSED(E_INVALID, "duplicate /put/2 ", two);
	REFUSED(E_INVALID, "reference-missing /put/1/upstream upstreams/none", three);
	REFUSED(E_INVALID, "reference-missing /put/2/upstream upstreams/nothing", three);
	REFUSED(E_NOT_FOUND, "not-found /put/1 ", four);
	OK(store_count(test_reader, KIND_UPSTREAM, &count, &test_error));
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(commits, 0);
}
END_TEST

START_TEST(test_apply_nothing)
{
	CLEANUP(outcome_deinit) struct outcome none = apply(NULL, 0);

	ACCEPTED(none);
	ck_assert(!none.changed);
}
END_TEST

/* Those that wait together share commits; each has its own revision, and the refused ones harm nobody. */
START_TEST(test_group_commit)
{
	enum { MANY = 300 };
	struct outcome *outcomes = calloc(MANY, sizeof(*outcomes));
	char id[16];
	uint64_t before = head_number(), last = before, seen = 0;

	for (int i = 0; i < MANY; i++) {
		struct change_request *request;

		snprintf(id, sizeof(id), "u%d", i);
		request = i % 10 == 9 ? make_request(CHANGE_DELETE, KIND_UPSTREAM, "none", NULL)
		                      : make_request(CHANGE_PUT, KIND_UPSTREAM, id, json_text(upstream));
		change_submit(test_engine, request, on_done, &outcomes[i]);
	}
	ck_assert_uint_eq(change_engine_pending(test_engine), MANY);
	while (change_engine_pending(test_engine) > 0)
		uv_run(&test_loop, UV_RUN_ONCE);
	for (int i = 0; i < MANY; i++) {
		ck_assert(outcomes[i].done);
		if (i % 10 == 9) {
			ck_assert_int_eq(outcomes[i].code, E_NOT_FOUND);
			continue;
		}
		ACCEPTED(outcomes[i]);
		seen++;
		if (outcomes[i].revision.revision.number > last)
			last = outcomes[i].revision.revision.number;
		outcome_deinit(&outcomes[i]);
	}
	ck_assert_uint_eq(last, before + seen);
	ck_assert_uint_eq(head_number(), last);
	ck_assert_uint_lt(commits, MANY / 2);
	free(outcomes);
}
END_TEST

/* What was submitted before the close is answered. */
START_TEST(test_close_finishes)
{
	struct outcome outcomes[20] = {0};
	char id[16];

	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "u%d", i);
		change_submit(test_engine, make_request(CHANGE_PUT, KIND_UPSTREAM, id, json_text(upstream)), on_done,
		              &outcomes[i]);
	}
	stop_engine();
	for (int i = 0; i < 20; i++) {
		ACCEPTED(outcomes[i]);
		outcome_deinit(&outcomes[i]);
	}
	start_engine();
	must(CHANGE_DELETE, KIND_UPSTREAM, "u19", NULL);
}
END_TEST

START_TEST(test_agent_status_is_lazy)
{
	struct store_agent_status status = {.id = "agent-1", .last_seen = 1}, got;

	change_agent_status(test_engine, &status); /* no such agent: dropped in silence */
	status.last_seen = 2;
	change_agent_status(test_engine, &status);
	stop_engine();
	start_engine();
	ck_assert_int_eq(store_get_agent_status(test_reader, "agent-1", &got, &test_error), E_NOT_FOUND);
}
END_TEST

/* A limit on file size stands for the full disk: all of the commit fails, nothing of it is seen, and the next works by
 * itself. */
START_TEST(test_commit_fails)
{
	const struct rlimit limit = {16 * 1024, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct outcome outcomes[10] = {0};
	uint64_t before, count;
	char id[16];

	signal(SIGXFSZ, SIG_IGN);
	must(CHANGE_PUT, KIND_UPSTREAM, "first", upstream);
	before = head_number();
	commits = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 10; i++) {
		snprintf(id, sizeof(id), "u%d", i);
		change_submit(test_engine, make_request(CHANGE_PUT, KIND_UPSTREAM, id, json_text(upstream)), on_done,
		              &outcomes[i]);
	}
	for (int i = 0; i < 10; i++) {
		wait_done(&outcomes[i].done);
		ck_assert_msg(outcomes[i].code == E_NOSPACE || outcomes[i].code == E_IO, "%d %s", outcomes[i].code,
		              outcomes[i].text);
		ck_assert(!outcomes[i].changed);
		ck_assert_ptr_null(outcomes[i].answer);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_uint_eq(commits, 0);
	ck_assert_uint_eq(head_number(), before);
	OK(store_count(test_reader, KIND_UPSTREAM, &count, &test_error));
	ck_assert_uint_eq(count, 1);
	must(CHANGE_PUT, KIND_UPSTREAM, "u0", upstream_two);
	ck_assert_uint_eq(head_number(), before + 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request");
	TCase *tcase = tcase_create("request");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, test_put_and_delete);
	tcase_add_test(tcase, test_create);
	tcase_add_test(tcase, test_invalid);
	tcase_add_test(tcase, test_preconditions);
	tcase_add_test(tcase, test_only_if_absent);
	tcase_add_test(tcase, test_patch);
	tcase_add_test(tcase, test_apply);
	tcase_add_test(tcase, test_apply_refused_whole);
	tcase_add_test(tcase, test_apply_nothing);
	tcase_add_test(tcase, test_group_commit);
	tcase_add_test(tcase, test_close_finishes);
	tcase_add_test(tcase, test_commit_fails);
	tcase_add_test(tcase, test_agent_status_is_lazy);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
