/* SPDX-License-Identifier: Apache-2.0 */
/* The store as one agent holds it, the contest under a name, and what becomes of an answer without memory. */
#include "../change/fixture.h"

#include "allocations.h"
#include "api/resolve.h"

static const char web[] = "{\"nodes\": {\"127.0.0.1:1\": 1}}";

static void put(enum kind kind, const char *id, const char *text)
{
	must(CHANGE_PUT, kind, id, text);
}

static void put_site(const char *id, const char *name, const char *more)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("shop.test");
	CLEANUP(outcome_deinit) struct outcome outcome = put_ssl(id, &pair, name, true, more);

	ACCEPTED(outcome);
}

static void setup(void)
{
	engine_setup();
	put(KIND_UPSTREAM, "web", web);
	put(KIND_LISTENER, "main", "{\"bind\": \"127.0.0.1:8443\", \"upstream\": \"web\"}");
	put(KIND_LISTENER, "other", "{\"bind\": \"127.0.0.1:8444\", \"upstream\": \"web\"}");
	put_site("old", "shop.test", NULL);
	put_site("young", "shop.test", NULL);
	put_site("first", "shop.test", "{\"priority\": 2}");
	put_site("wild", "*.test", "{\"priority\": 9}");
	put_site("theirs", "shop.test", "{\"priority\": 9, \"selector\": {\"site\": \"b\"}}");
	put_site("off", "shop.test", "{\"priority\": 9, \"status\": 0}");
	put(KIND_ROUTE, "here", "{\"snis\": [\"shop.test\"], \"listeners\": [\"main\"]}");
	put(KIND_ROUTE, "there", "{\"snis\": [\"shop.test\"], \"listeners\": [\"other\"], \"priority\": 9}");
	put(KIND_ROUTE, "anywhere",
	    "{\"snis\": [\"shop.test\", \"**.test\"], \"priority\": 9, \"allow_clients\": [\"10.0.0.0/8\"]}");
}

static void begin(struct view *source, bool judges_client)
{
	OK(store_begin(test_reader, &test_error));
	OK(view_init(source, test_reader, "{\"site\": \"a\"}", judges_client, &test_error));
}

static void end(struct view *source)
{
	view_deinit(source);
	store_end(test_reader);
}

/* The answer's parts, or a code. */
static int answer(struct view *source, const char *name, struct resolve_handshake *handshake)
{
	struct decide_source table = view_table(source);
	const struct view_object *listener;
	int r = view_find(source, KIND_LISTENER, "main", &listener);
	struct decide_input input = {.name = BYTES(name, strlen(name))};

	if (r < 0)
		return r;
	*handshake = (struct resolve_handshake){.source = source};
	snprintf(handshake->name, sizeof(handshake->name), "%s", name);
	input.listener = (struct decide_listener){"main", (const Tlsplane__Listener *)listener->body, listener};
	return decide(&table, &input, &handshake->decision);
}

START_TEST(holds_what_the_labels_select)
{
	struct view source;
	const struct view_object *object, *again;

	begin(&source, true);
	ck_assert_int_eq(view_find(&source, KIND_SSL, "old", &object), 0);
	ck_assert_ptr_nonnull(object->body);
	ck_assert_int_eq(view_find(&source, KIND_SSL, "old", &again), 0);
	ck_assert_ptr_eq(object, again);
	ck_assert_int_eq(view_find(&source, KIND_SSL, "theirs", &object), E_NOT_FOUND);
	ck_assert_int_eq(view_find(&source, KIND_SSL, "off", &object), E_NOT_FOUND);
	ck_assert_int_eq(view_find(&source, KIND_SSL, "nowhere", &object), E_NOT_FOUND);
	ck_assert_int_eq(source.error.code, 0);
	end(&source);
}
END_TEST

START_TEST(decides_and_names_losers)
{
	struct view source;
	struct resolve_handshake handshake;
	struct resolve_contest contest;
	char *losers;

	begin(&source, false);
	ck_assert_int_eq(answer(&source, "shop.test", &handshake), 0);
	ck_assert_int_eq(handshake.decision.outcome, DECIDE_TERMINATE);
	ck_assert_str_eq(handshake.decision.ssl.id, "first");
	ck_assert_str_eq(handshake.decision.route.id, "here");
	ck_assert_str_eq(handshake.decision.options.id, "modern");
	ck_assert_int_eq(resolve_contest_hold(&handshake, KIND_SSL, "first", &contest), 0);
	ck_assert_str_eq(contest.key, "shop.test");
	losers = json_dumps(contest.losers, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_ptr_nonnull(strstr(losers, "{\"id\":\"old\",\"why\":\"lower priority\"}"));
	ck_assert_ptr_nonnull(strstr(losers, "{\"id\":\"young\",\"why\":\"lower priority\"}"));
	ck_assert_ptr_nonnull(strstr(losers, "{\"id\":\"wild\",\"why\":\"less specific\"}"));
	ck_assert_uint_eq(json_array_size(contest.losers), 3);
	free(losers);
	json_decref(contest.losers);
	ck_assert_int_eq(resolve_contest_hold(&handshake, KIND_ROUTE, "here", &contest), 0);
	losers = json_dumps(contest.losers, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_ptr_nonnull(strstr(losers, "{\"id\":\"there\",\"why\":\"not for this listener\"}"));
	ck_assert_uint_eq(json_array_size(contest.losers), 2); /* "anywhere" stands under two keys and is told once */
	free(losers);
	json_decref(contest.losers);
	end(&source);
}
END_TEST

START_TEST(leaves_addresses_out_when_there_is_none)
{
	struct view source;
	struct resolve_handshake handshake;

	begin(&source, false);
	ck_assert_int_eq(answer(&source, "x.y.test", &handshake), 0);
	ck_assert_int_eq(handshake.decision.outcome, DECIDE_TERMINATE);
	ck_assert_str_eq(handshake.decision.route.id, "anywhere");
	end(&source);
	begin(&source, true);
	ck_assert_int_eq(answer(&source, "x.y.test", &handshake), 0);
	ck_assert_int_eq(handshake.decision.cause, DECIDE_CAUSE_ADDRESS);
	end(&source);
}
END_TEST

/* Fifty losers are listed, the rest is counted. */
START_TEST(losers_are_bounded)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("many.test");
	struct view source;
	struct resolve_handshake handshake;
	struct resolve_contest contest;

	for (int i = 0; i < 60; i++) {
		char id[16];

		snprintf(id, sizeof(id), "many-%d", i);
		CLEANUP(outcome_deinit) struct outcome outcome = put_ssl(id, &pair, "many.test", true, NULL);
		ACCEPTED(outcome);
	}
	begin(&source, false);
	ck_assert_int_eq(answer(&source, "many.test", &handshake), 0);
	ck_assert_str_eq(handshake.decision.ssl.id, "many-59");
	ck_assert_int_eq(resolve_contest_hold(&handshake, KIND_SSL, "many-59", &contest), 0);
	ck_assert_uint_eq(json_array_size(contest.losers), 50);
	ck_assert_uint_eq(contest.more, 10); /* 9 and "wild" */
	json_decref(contest.losers);
	end(&source);
}
END_TEST

/* Everything between the listener and the last part; the code of the first failure. */
static int explain(void)
{
	struct view source;
	struct resolve_handshake handshake;
	struct resolve_contest contest = {.losers = NULL};
	json_t *parts[5] = {NULL};
	struct error err = ERROR_NULL;
	int r = view_init(&source, test_reader, "{\"site\": \"a\"}", false, &err);

	if (r == 0)
		r = answer(&source, "shop.test", &handshake);
	if (r == 0)
		r = resolve_contest_hold(&handshake, KIND_ROUTE, handshake.decision.route.id, &contest);
	if (r == 0) {
		parts[0] = resolve_render_route(&handshake, &contest);
		r = resolve_contest_hold(&handshake, KIND_SSL, handshake.decision.ssl.id, &contest);
	}
	if (r == 0) {
		parts[1] = resolve_render_certificate(&handshake, &contest);
		parts[2] = resolve_render_options(&handshake);
		parts[3] = resolve_render_client(&handshake);
		parts[4] = resolve_render_upstream(&handshake);
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		r = r == 0 && parts[i] == NULL ? E_NOMEM : r;
		json_decref(parts[i]);
	}
	view_deinit(&source);
	return r;
}

START_TEST(survives_without_memory)
{
	ck_assert_int_eq(explain(), 0);
	for (size_t n = 1;; n++) {
		int r;

		allocations_fail_at(n);
		r = explain();
		if (!allocations_stop()) {
			ck_assert_int_eq(r, 0);
			ck_assert_uint_gt(n, 10);
			break;
		}
		ck_assert_msg(r == E_NOMEM, "%zu: %d", n, r);
	}
	ck_assert_int_eq(explain(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api/resolve");
	TCase *cases = tcase_create("api/resolve");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, engine_teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, holds_what_the_labels_select);
	tcase_add_test(cases, decides_and_names_losers);
	tcase_add_test(cases, leaves_addresses_out_when_there_is_none);
	tcase_add_test(cases, losers_are_bounded);
	tcase_add_test(cases, survives_without_memory);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
