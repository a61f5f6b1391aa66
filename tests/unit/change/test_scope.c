/* SPDX-License-Identifier: Apache-2.0 */
/* Scopes by themselves, and requests that are confined to one: before and after, item by item, with nothing of others in the answers. */
#include "fixture.h"

#include "change/scope.h"
#include "unit.h"

static struct scope *load(const char *text)
{
	struct scope *scope = NULL;

	OK(scope_load(text, &scope, &test_error));
	return scope;
}

/* name: a "-" in front means outside. */
static void check_names(const char *text, const char *const *names)
{
	CLEANUP(scope_unref) struct scope *scope = load(text);

	for (; *names != NULL; names++) {
		bool outside = (*names)[0] == '-';

		ck_assert_msg(scope_covers_name(scope, *names + outside) != outside, "%s: %s", text, *names);
	}
}

START_TEST(names)
{
	static const char *const whole[] = {"a.test", "x.a.test", "*.a.test", "y.x.a.test", "*.x.a.test", "-xa.test", "-a.test.evil", "-test",
	                                    "-*.test", "-*", "-", "-.a.testx", NULL};
	static const char *const below[] = {"-a.test", "x.a.test", "*.a.test", "y.x.a.test", "-xa.test", "-a.test.evil", "-*", "-*.test", NULL};
	static const char *const both[] = {"a.test", "x.b.test", "-b.test", "-c.test", NULL};
	static const char *const any[] = {"a.test", "*", NULL};

	check_names("{\"sni_suffixes\":[\"a.test\"]}", whole);
	check_names("{\"sni_suffixes\":[\"*.a.test\"]}", below);
	check_names("{\"sni_suffixes\":[\"a.test\",\"*.b.test\"]}", both);
	check_names("{\"labels\":{\"team\":\"a\"}}", any);
}
END_TEST

START_TEST(labels)
{
	CLEANUP(scope_unref) struct scope *scope = load("{\"labels\":{\"team\":\"a\",\"env\":\"x\"}}");
	static const struct {
		const char *labels;
		bool inside;
	} rows[] = {{NULL, false},
	            {"{}", false},
	            {"{\"team\":\"a\"}", false},
	            {"{\"env\":\"x\",\"team\":\"b\"}", false},
	            {"{\"env\":\"x\",\"more\":\"y\",\"team\":\"a\"}", true}};
	CLEANUP(scope_unref) struct scope *named = load("{\"sni_suffixes\":[\"a.test\"]}");
	const char *value = NULL, *key = scope_first_label(scope, &value);
	bool inside;

	ck_assert(key != NULL && (strcmp(key, "team") == 0 ? strcmp(value, "a") == 0 : strcmp(key, "env") == 0 && strcmp(value, "x") == 0));
	ck_assert_ptr_null(scope_first_label(named, &value));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		OK(scope_covers_labels(scope, rows[i].labels, &inside, &test_error));
		ck_assert_msg(inside == rows[i].inside, "%s", rows[i].labels);
	}
}
END_TEST

START_TEST(what_is_no_scope_lets_nobody_in)
{
	static const char *const texts[] = {"", "{}", "[]", "null", "{\"sni_suffixes\":[]}", "{\"sni_suffixes\":[\"*\"]}",
	                                    "{\"sni_suffixes\":[\"\"]}",
	                                    "{\"sni_suffixes\":\"a.test\"}", "{\"sni_suffixes\":[\"10.0.0.1\"]}", "{\"labels\":{}}",
	                                    "{\"labels\":{\"a\":\"\"}}", "{\"labels\":{\"a\":null}}",
	                                    "{\"labels\":{\"\":\"x\"}}", "{\"names\":[\"a\"]}"};
	struct scope *scope = NULL;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		test_error = ERROR_NULL;
		ck_assert_msg(scope_load(texts[i], &scope, &test_error) == E_CORRUPT, "%s", texts[i]);
		ck_assert_ptr_null(scope);
	}
}
END_TEST

START_TEST(its_text_is_canonical)
{
	static const char given[] = "{\"sni_suffixes\":[\"*.A.Test.\",\"b.test\"],\"labels\":{\"b\":\"2\",\"a\":\"1\"}}";
	CLEANUP(scope_unref) struct scope *scope = load(given), *again = NULL;
	char *text = scope_format(scope), *same;

	ck_assert_str_eq(text, "{\"labels\":{\"a\":\"1\",\"b\":\"2\"},\"sni_suffixes\":[\"*.a.test\",\"b.test\"]}");
	again = load(text);
	same = scope_format(again);
	ck_assert_str_eq(same, text);
	free(same);
	free(text);
}
END_TEST

/* Requests ---------------------------------------------------------------------------------------------------------- */

static struct outcome submit_scoped(const char *scope, struct change_request *request)
{
	request->scope = load(scope);
	return submit(request);
}

#define TEAM_A "{\"sni_suffixes\":[\"*.a.test\"]}"

static struct outcome put_scoped(const char *scope, const char *id, const struct made_pair *pair, const char *san, const char *more)
{
	return submit_scoped(scope, make_request(CHANGE_PUT, KIND_SSL, id, ssl_document(pair, san, true, more)));
}

START_TEST(before_and_after_a_write)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("x.a.test");
	struct outcome outcome;

	engine_setup();
	outcome = put_scoped(TEAM_A, "mine", &pair, "x.a.test", NULL);
	ACCEPTED(outcome);
	outcome_deinit(&outcome);
	outcome = put_scoped(TEAM_A, "other", &pair, "x.b.test", NULL);
	REFUSED(E_FORBIDDEN, "outside-scope /snis/0", outcome);
	outcome = put_scoped(TEAM_A, "mine", &pair, "x.b.test", NULL);
	REFUSED(E_FORBIDDEN, "outside-scope /snis/0", outcome);
	outcome = put_ssl("theirs", &pair, "x.b.test", true, NULL);
	ACCEPTED(outcome);
	outcome_deinit(&outcome);
	outcome = put_scoped(TEAM_A, "theirs", &pair, "x.a.test", NULL);
	REFUSED(E_FORBIDDEN, "outside-scope  this token", outcome);
	outcome = submit_scoped(TEAM_A, make_request(CHANGE_DELETE, KIND_SSL, "theirs", NULL));
	REFUSED(E_FORBIDDEN, "outside-scope  this token", outcome);
	outcome = submit_scoped(TEAM_A, make_request(CHANGE_DELETE, KIND_SSL, "nobody", NULL));
	REFUSED(E_FORBIDDEN, "outside-scope  this token", outcome);
	outcome = submit_scoped(TEAM_A, make_request(CHANGE_PATCH, KIND_SSL, "mine", json_text("{\"snis\":[\"y.a.test\",\"z.test\"]}")));
	REFUSED(E_FORBIDDEN, "outside-scope /snis/1", outcome);
	outcome = submit_scoped(TEAM_A, make_request(CHANGE_PUT, KIND_UPSTREAM, "u", json_text("{\"nodes\":{\"127.0.0.1:9\":1}}")));
	REFUSED(E_FORBIDDEN, "outside-scope", outcome);
	outcome = submit_scoped(TEAM_A, make_request(CHANGE_DELETE, KIND_SSL, "mine", NULL));
	ACCEPTED(outcome);
	engine_teardown();
}
END_TEST

START_TEST(findings_name_no_object_of_others)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("x.a.test");
	struct outcome outcome;

	engine_setup();
	outcome = put_ssl("hidden", &pair, "x.a.test", true, NULL);
	ACCEPTED(outcome);
	outcome_deinit(&outcome);
	outcome = put_scoped(TEAM_A, "mine", &pair, "x.a.test", NULL);
	ACCEPTED(outcome);
	ck_assert_ptr_nonnull(strstr(outcome.findings, "w:overlap"));
	ck_assert_ptr_null(strstr(outcome.findings, "hidden"));
	outcome_deinit(&outcome);
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "secretoptions", "{\"default_ssl\":\"mine\"}");
	outcome = submit_scoped(TEAM_A, make_request(CHANGE_DELETE, KIND_SSL, "mine", NULL));
	REFUSED(E_CONFLICT, "referenced", outcome);
	ck_assert_ptr_null(strstr(outcome.findings, "secretoptions"));
	ck_assert_ptr_null(strstr(outcome.text, "secretoptions"));
	engine_teardown();
}
END_TEST

START_TEST(own_objects_alone)
{
	struct change_request *request;
	struct outcome outcome;
	const char *id;
	char made[ID_MAX + 1];

	engine_setup();
	outcome = change(CHANGE_CREATE, KIND_JOIN_TOKEN, "", "{\"ttl\":60}");
	ACCEPTED(outcome);
	id = json_string_value(json_object_get(outcome.answer, "id"));
	snprintf(made, sizeof(made), "%s", id);
	outcome_deinit(&outcome);
	request = make_request(CHANGE_DELETE, KIND_JOIN_TOKEN, made, NULL);
	snprintf(request->actor, sizeof(request->actor), "somebody");
	request->own_only = true;
	outcome = submit(request);
	REFUSED(E_NOT_FOUND, "does not exist", outcome);
	request = make_request(CHANGE_DELETE, KIND_JOIN_TOKEN, made, NULL);
	request->own_only = true;
	outcome = submit(request);
	ACCEPTED(outcome);
	engine_teardown();
}
END_TEST

UNIT_MAIN("change/scope", names, labels, what_is_no_scope_lets_nobody_in, its_text_is_canonical, before_and_after_a_write,
          findings_name_no_object_of_others, own_objects_alone)
