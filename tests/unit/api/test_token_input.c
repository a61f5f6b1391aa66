/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a new token: each member right and wrong, all that is wrong at once, and how it is told. */
#include "api/token_input.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NOW UINT64_C(1800000000)

static struct findings findings;
static struct store_token token;

static void teardown(void)
{
	findings_deinit(&findings);
	store_token_deinit(&token);
}

static int parse(const char *text)
{
	json_t *document = json_loads(text, JSON_DECODE_ANY, NULL);
	struct error err = ERROR_NULL;
	int r;

	ck_assert_msg(document != NULL, "%s", text);
	teardown();
	findings = (struct findings)FINDINGS_NULL;
	token = (struct store_token){0};
	r = token_input_parse(document, NOW, &findings, &token, &err);
	json_decref(document);
	return r;
}

START_TEST(takes_all_members)
{
	static const char whole[] = "{\"id\":\"ci\",\"role\":\"editor\",\"scope\":{\"sni_suffixes\":[\"*.A.test\"]},\"desc\":\"x\","
	                            "\"expires_in\":\"90d\"}";

	ck_assert_int_eq(parse(whole), 0);
	ck_assert_str_eq(token.id, "ci");
	ck_assert_str_eq(token.role, "editor");
	ck_assert_str_eq(token.scope, "{\"sni_suffixes\":[\"*.a.test\"]}");
	ck_assert_str_eq(token.desc, "x");
	ck_assert_uint_eq(token.create_time, NOW);
	ck_assert_uint_eq(token.expire_time, NOW + 90 * 86400);
	ck_assert_int_eq(parse("{\"role\":\"admin\",\"expires_at\":1800000001}"), 0);
	ck_assert_str_eq(token.id, "");
	ck_assert_ptr_null(token.scope);
	ck_assert_uint_eq(token.expire_time, NOW + 1);
	ck_assert_int_eq(parse("{\"role\":\"admin\",\"expires_at\":\"2027-01-15T08:00:01Z\"}"), 0);
	ck_assert_uint_eq(token.expire_time, NOW + 1);
	ck_assert_int_eq(parse("{\"role\":\"viewer\"}"), 0);
	ck_assert_uint_eq(token.expire_time, 0);
}
END_TEST

static const struct row {
	const char *text, *code, *pointer;
} rows[] = {
	{"[]", "wrong-type", ""},
	{"{}", "missing-field", "/role"},
	{"{\"role\":\"root\"}", "invalid-value", "/role"},
	{"{\"role\":1}", "wrong-type", "/role"},
	{"{\"role\":\"viewer\",\"colour\":1}", "unknown-field", ""},
	{"{\"role\":\"viewer\",\"id\":\"-x\"}", "invalid-value", "/id"},
	{"{\"role\":\"viewer\",\"id\":\"tlsplane\"}", "invalid-value", "/id"},
	{"{\"role\":\"viewer\",\"id\":7}", "wrong-type", "/id"},
	{"{\"role\":\"viewer\",\"desc\":7}", "wrong-type", "/desc"},
	{"{\"role\":\"viewer\",\"expires_in\":\"1y\"}", "invalid-value", "/expires_in"},
	{"{\"role\":\"viewer\",\"expires_at\":1800000000}", "out-of-range", "/expires_at"},
	{"{\"role\":\"viewer\",\"expires_at\":9999999999}", "out-of-range", "/expires_at"},
	{"{\"role\":\"viewer\",\"expires_at\":\"x\"}", "wrong-type", "/expires_at"},
	{"{\"role\":\"viewer\",\"expires_in\":1,\"expires_at\":1800000009}", "conflicting-fields", "/expires_in"},
	{"{\"role\":\"admin\",\"scope\":{\"labels\":{\"a\":\"b\"}}}", "conflicting-fields", "/scope"},
	{"{\"role\":\"enroller\",\"scope\":{\"labels\":{\"a\":\"b\"}}}", "conflicting-fields", "/scope"},
	{"{\"role\":\"viewer\",\"scope\":null}", "wrong-type", "/scope"},
	{"{\"role\":\"viewer\",\"scope\":{\"labels\":{}}}", "out-of-range", "/scope/labels"},
};

START_TEST(points_at_what_is_wrong)
{
	const struct row *row = &rows[_i];

	ck_assert_int_eq(parse(row->text), E_INVALID);
	ck_assert_uint_eq(findings.errors, 1);
	ck_assert_str_eq(findings.items[0].code, row->code);
	ck_assert_str_eq(findings.items[0].pointer, row->pointer);
	ck_assert_str_eq(token.role, ""); /* untouched */
}
END_TEST

START_TEST(tells_all_at_once)
{
	ck_assert_int_eq(parse("{\"role\":\"x\",\"id\":\"-\",\"desc\":1,\"scope\":{\"sni_suffixes\":[7,\"*\"]},\"expires_in\":0}"), E_INVALID);
	ck_assert_uint_eq(findings.errors, 6);
}
END_TEST

static bool period(const char *text, uint64_t *ret)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	bool ok = token_input_period(value, ret);

	json_decref(value);
	return ok;
}

START_TEST(periods)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} good[] = {{"1", 1},          {"315576000", 315576000}, {"\"5s\"", 5},       {"\"2m\"", 120},
	            {"\"3h\"", 10800}, {"\"90d\"", 7776000},     {"\"1w\"", 604800}};
	static const char *const bad[] = {"0",       "-1",      "1.5",     "315576001", "\"\"",    "\"d\"",           "\"5\"", "\"5dd\"",
	                                  "\"5 d\"", "\"-5d\"", "\"0d\"",  "\"3653d\"", "true",    "\"9999999999s\"", "null",  "[]"};
	uint64_t seconds = 7;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_msg(period(good[i].text, &seconds), "%s", good[i].text);
		ck_assert_uint_eq(seconds, good[i].seconds);
	}
	seconds = 7;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!period(bad[i], &seconds) && seconds == 7, "%s", bad[i]);
}
END_TEST

START_TEST(is_told_without_its_text)
{
	json_t *document;
	char *text;

	ck_assert_int_eq(parse("{\"id\":\"a\",\"role\":\"viewer\",\"expires_in\":60}"), 0);
	document = token_render(&token, NOW + 59);
	text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(text, "{\"created_at\":\"2027-01-15T08:00:00Z\",\"created_by\":\"\",\"expired\":false,"
	                       "\"expires_at\":\"2027-01-15T08:01:00Z\",\"id\":\"a\",\"last_used_at\":null,\"role\":\"viewer\"}");
	free(text);
	json_decref(document);
	document = token_render(&token, NOW + 60);
	ck_assert(json_is_true(json_object_get(document, "expired")));
	json_decref(document);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api/token_input");
	TCase *tests = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, NULL, teardown);
	tcase_add_test(tests, takes_all_members);
	tcase_add_loop_test(tests, points_at_what_is_wrong, 0, ARRAY_LEN(rows));
	tcase_add_test(tests, tells_all_at_once);
	tcase_add_test(tests, periods);
	tcase_add_test(tests, is_told_without_its_text);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
