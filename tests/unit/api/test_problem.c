/* SPDX-License-Identifier: Apache-2.0 */
/* Problem documents: members, findings, what stays inside. */
#include "api/problem.h"

#include "base/macros.h"

#include <check.h>
#include <string.h>

static const char *text(json_t *document, const char *key)
{
	return json_string_value(json_object_get(document, key));
}

START_TEST(renders_an_error_with_findings)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	struct problem problem;
	json_t *document, *errors;

	error_set(&err, E_INVALID, "2 errors");
	findings_add(&findings, FINDING_ERROR, "key-mismatch", "/key", "does not fit");
	findings_add(&findings, FINDING_WARNING, "expired", "/cert", "expired");
	problem = problem_from_error(&err, &findings);
	document = problem_render(&problem, "r-1");
	ck_assert_str_eq(text(document, "type"), "urn:tlsplane:error:invalid");
	ck_assert_str_eq(text(document, "instance"), "urn:tlsplane:request:r-1");
	ck_assert_str_eq(text(document, "detail"), "2 errors");
	ck_assert_int_eq(json_integer_value(json_object_get(document, "status")), 422);
	errors = json_object_get(document, "errors");
	ck_assert_uint_eq(json_array_size(errors), 1);
	ck_assert_str_eq(text(json_array_get(errors, 0), "pointer"), "/key");
	ck_assert_str_eq(text(json_array_get(errors, 0), "code"), "key-mismatch");
	ck_assert_uint_eq(json_array_size(json_object_get(document, "warnings")), 1);
	json_decref(document);
}
END_TEST

START_TEST(tells_little_of_inner_failures)
{
	static const int codes[] = {E_IO, E_CORRUPT, E_CRYPTO, E_INTERNAL, E_VERSION};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		error_set(&err, codes[i], "/secret/path: broken");
		ck_assert_ptr_null(strstr(problem_from_error(&err, NULL).detail, "/secret"));
		ck_assert_int_eq(problem_from_error(&err, NULL).status, 500);
	}
	err.code = 0; /* a failure that forgot its code is a bug of ours, and contained */
	ck_assert_int_eq(problem_from_error(&err, NULL).status, 500);
}
END_TEST

START_TEST(survives_text_cut_inside_a_character)
{
	struct problem problem = problem_from_status(400, "cut \xc3");
	json_t *document = problem_render(&problem, NULL);

	ck_assert_str_eq(text(document, "detail"), "cut ?");
	ck_assert_ptr_null(json_object_get(document, "instance"));
	json_decref(document);
}
END_TEST

START_TEST(joins_further_members_and_counts_what_was_dropped)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct problem problem = {
	    .status = 504, .name = "not-acked", .title = "Not acknowledged in time", .findings = &findings};
	json_t *document;

	for (int i = 0; i < FINDINGS_MAX + 5; i++)
		findings_add(&findings, FINDING_ERROR, "x", "", "y");
	problem.more = json_pack("{s:s}", "revision", "1-9");
	document = problem_render(&problem, "r");
	ck_assert_str_eq(text(document, "revision"), "1-9");
	ck_assert_uint_eq(json_array_size(json_object_get(document, "errors")), FINDINGS_MAX);
	ck_assert_int_eq(json_integer_value(json_object_get(document, "omitted")), 5);
	json_decref(document);
	json_decref(problem.more);
}
END_TEST

START_TEST(titles_every_status_of_http)
{
	static const int statuses[] = {400, 413, 414, 415, 503, 599};

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		ck_assert_int_eq(problem_from_status(statuses[i], "x").status, statuses[i]);
		ck_assert_ptr_nonnull(problem_from_status(statuses[i], "x").title);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api/problem");
	TCase *cases = tcase_create("problem");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, renders_an_error_with_findings);
	tcase_add_test(cases, tells_little_of_inner_failures);
	tcase_add_test(cases, survives_text_cut_inside_a_character);
	tcase_add_test(cases, joins_further_members_and_counts_what_was_dropped);
	tcase_add_test(cases, titles_every_status_of_http);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
