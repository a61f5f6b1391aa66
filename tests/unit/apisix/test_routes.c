/* SPDX-License-Identifier: Apache-2.0 */
/* The table: what finds what, what is said where nothing is found, and who may. */
#include "apisix/routes.h"

#include "apisix/handlers.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[160];
static int status;
static const char *id;

static const struct route *find(const char *method, const char *path)
{
	static char copy[256];
	const char *segments[APISIX_SEGMENTS_MAX];
	size_t count = 0;
	char *next = copy;

	snprintf(copy, sizeof(copy), "%s", path + 1);
	id = NULL;
	text[0] = 0;
	while (next != NULL && *next != 0 && count < APISIX_SEGMENTS_MAX)
		segments[count++] = strsep(&next, "/");
	return apisix_find_route(method, segments, count, &id, &status, text);
}

START_TEST(finds_rows)
{
	ck_assert_ptr_eq(find("HEAD", "/apisix/admin")->handle, apisix_head);
	ck_assert_ptr_eq(find("HEAD", "/apisix/admin/ssls")->handle, apisix_ssls_list);
	ck_assert_ptr_eq(find("PUT", "/apisix/admin/ssls")->handle, apisix_ssls_put);
	ck_assert_ptr_null(id);
	ck_assert_ptr_eq(find("GET", "/apisix/admin/ssls/7")->handle, apisix_ssls_get);
	ck_assert_str_eq(id, "7");
	ck_assert_ptr_eq(find("PATCH", "/apisix/admin/ssls/7/labels")->handle, apisix_ssls_patch);
	ck_assert_ptr_eq(find("PATCH", "/apisix/admin/ssls/7/labels/a/b/c")->handle, apisix_ssls_patch);
	ck_assert_str_eq(id, "7");
	ck_assert_ptr_eq(find("GET", "/apisix/admin/schema/ssl")->handle, apisix_schema_get);
	ck_assert_ptr_null(id);
	ck_assert_ptr_eq(find("POST", "/apisix/admin/schema/validate/ssls")->handle, apisix_schema_validate);
	ck_assert_ptr_eq(find("POST", "/apisix/admin/configs/validate")->handle, apisix_configs_validate);
}
END_TEST

static const struct row {
	const char *method, *path;
	int status;
	const char *text;
} rows[] = {
	{"GET", "/apisix/admin", 404, "not found"},
	{"PUT", "/apisix/admin/ssls/7/labels", 404, "not found"},
	{"POST", "/apisix/admin/schema/ssl", 404, "not found"},
	{"GET", "/apisix/admin/configs", 404, "not found"},
	{"POST", "/apisix/admin/ssls/7", 400, "wrong ssl id, do not need it"},
	{"PATCH", "/apisix/admin/ssls", 400, "missing ssl id"},
	{"DELETE", "/apisix/admin/ssls", 400, "missing ssl id"},
	{"POST", "/apisix/admin/routes/7", 404, "Unsupported resource type: routes"},
	{"DELETE", "/apisix/admin/x", 404, "Unsupported resource type: x"},
};

START_TEST(says_what_is_missing)
{
	ck_assert_ptr_null(find(rows[_i].method, rows[_i].path));
	ck_assert_int_eq(status, rows[_i].status);
	ck_assert_str_eq(text, rows[_i].text);
}
END_TEST

static void check_row(const struct route *route, void *context)
{
	bool reads = strcmp(route->method, "GET") == 0;

	ck_assert_msg(find(route->method, route->path) == route, "%s %s is hidden by another row", route->method, route->path);
	if (route->handle == apisix_head)
		return;
	ck_assert(role_may(ROLE_ADMIN, false, route->may) && role_may(ROLE_EDITOR, false, route->may));
	ck_assert(role_may(ROLE_EDITOR, true, route->may));
	ck_assert_int_eq(role_may(ROLE_VIEWER, false, route->may), reads);
	ck_assert_int_eq(role_may(ROLE_VIEWER, true, route->may), reads);
	ck_assert(!role_may(ROLE_ENROLLER, false, route->may));
	++*(size_t *)context;
}

START_TEST(viewers_read_and_editors_write)
{
	size_t count = 0;

	apisix_each_route(check_row, &count);
	ck_assert_uint_eq(count, 11);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("apisix/routes");
	TCase *tests = tcase_create("all");

	tcase_add_test(tests, finds_rows);
	tcase_add_loop_test(tests, says_what_is_missing, 0, (int)ARRAY_LEN(rows));
	tcase_add_test(tests, viewers_read_and_editors_write);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run_suite(suite());
}
