/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets: what is split and decoded, and what is refused. */
#include "http/target.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(splits_and_decodes)
{
	CLEANUP(target_deinit) struct target target = {0};
	struct error err = ERROR_NULL;

	ck_assert_int_eq(target_parse("/v1/ssls/shop%2Ecom?limit=10&cursor=a%20b+c&bare&&x=", &target, &err), 0);
	ck_assert_str_eq(target.path, "/v1/ssls/shop%2Ecom");
	ck_assert_uint_eq(target.segments_len, 3);
	ck_assert_str_eq(target.segments[2], "shop.com");
	ck_assert_uint_eq(target.parameters_len, 4);
	ck_assert_str_eq(target.parameters[0].name, "limit");
	ck_assert_str_eq(target.parameters[0].value, "10");
	ck_assert_str_eq(target.parameters[1].value, "a b c");
	ck_assert_str_eq(target.parameters[2].name, "bare");
	ck_assert_str_eq(target.parameters[2].value, "");
	ck_assert_str_eq(target.parameters[3].name, "x");
}
END_TEST

START_TEST(reads_root_and_absolute_form)
{
	static const char *const roots[] = {"/", "/?a=1", "http://host", "HTTP://host:80/", "http://[::1]:9180/?a=1"};
	CLEANUP(target_deinit) struct target target = {0};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		ck_assert_msg(target_parse(roots[i], &target, &err) == 0, "%s: %s", roots[i], err.text);
		ck_assert_uint_eq(target.segments_len, 0);
		ck_assert_str_eq(target.path, "/");
		target_deinit(&target);
	}
	ck_assert_int_eq(target_parse("*", &target, &err), 0);
	ck_assert_uint_eq(target.segments_len, 0);
	ck_assert_str_eq(target.path, "*");
	target_deinit(&target);
	ck_assert_int_eq(target_parse("http://host:9180/v1/ssls?limit=1", &target, &err), 0);
	ck_assert_str_eq(target.path, "/v1/ssls");
	ck_assert_str_eq(target.parameters[0].value, "1");
}
END_TEST

START_TEST(refuses_what_has_two_readings)
{
	static const char *const bad[] = {"",         "**",     "v1",         "host:80",    "?a",           "/v1//ssls",
	                                  "//",       "/v1/",   "/v1/./x",    "/v1/../x",   "/v1/%2e%2e/x", "/v1/%2E",
	                                  "/a%2fb",   "/a%2Fb", "/a%5cb",     "/a%00b",     "/a%0d%0ab",    "/a%7f",
	                                  "/a%",      "/a%4",   "/a%zz",      "/a\xc3\xa9", "/a?b=%00",     "/a?b=%",
	                                  "/a?%0a=1", "*?a=1", "/a#b",   "http://h//", "ftp://h/a",  "/a\\b",        "/a\x01"};
	struct target target = {0};
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err = ERROR_NULL;
		ck_assert_msg(target_parse(bad[i], &target, &err) == E_SYNTAX, "%s was accepted", bad[i]);
		ck_assert_str_ne(err.text, "");
		ck_assert_ptr_null(target.path);
	}
}
END_TEST

START_TEST(bounds_everything)
{
	char text[TARGET_MAX + 16];
	struct target target = {0};
	struct error err = ERROR_NULL;
	size_t len = 0;

	memset(text, 'a', sizeof(text));
	text[0] = '/';
	text[TARGET_MAX + 1] = 0;
	ck_assert_int_eq(target_parse(text, &target, &err), E_TOO_LARGE);
	for (int i = 0; i <= TARGET_SEGMENTS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "/a");
	ck_assert_int_eq(target_parse(text, &target, &err), E_TOO_LARGE);
	len = (size_t)snprintf(text, sizeof(text), "/a?");
	for (int i = 0; i <= TARGET_PARAMETERS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "a=1&");
	ck_assert_int_eq(target_parse(text, &target, &err), E_TOO_LARGE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http/target");
	TCase *cases = tcase_create("target");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, splits_and_decodes);
	tcase_add_test(cases, reads_root_and_absolute_form);
	tcase_add_test(cases, refuses_what_has_two_readings);
	tcase_add_test(cases, bounds_everything);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
