/* SPDX-License-Identifier: Apache-2.0 */
/* The table: what finds what, what is allowed, and that the OpenAPI document has the same rows. */
#include "api/routes.h"

#include "base/error.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS 8

struct found {
	const struct route *route;
	const char *id;
	char allow[ROUTE_ALLOW_MAX];
};

static int find(const char *method, const char *path, struct found *ret)
{
	static char copy[256];
	const char *segments[SEGMENTS];
	size_t count = 0;
	char *next = copy;

	*ret = (struct found){NULL};
	snprintf(copy, sizeof(copy), "%s", path + 1);
	while (next != NULL && *next != 0 && count < SEGMENTS)
		segments[count++] = strsep(&next, "/");
	return route_find(method, segments, count, &ret->route, &ret->id, ret->allow);
}

START_TEST(finds_paths_and_ids)
{
	struct found found;

	ck_assert_int_eq(find("GET", "/v1/ssls", &found), 0);
	ck_assert_ptr_null(found.id);
	ck_assert_int_eq(found.route->kind, KIND_SSL);
	ck_assert_int_eq(find("PUT", "/v1/upstreams/shop.1", &found), 0);
	ck_assert_str_eq(found.id, "shop.1");
	ck_assert_int_eq(found.route->kind, KIND_UPSTREAM);
	ck_assert_str_eq(found.allow, "");
	ck_assert_int_eq(find("HEAD", "/v1/ssls/a", &found), 0);
	ck_assert_str_eq(found.route->method, "GET");
	ck_assert_int_eq(find("GET", "/healthz", &found), 0);
	ck_assert_uint_eq(found.route->may, MAY_ANYBODY);
}
END_TEST

START_TEST(tells_unknown_paths_from_wrong_methods)
{
	static const char *const unknown[] = {"/", "/v1", "/v2/ssls", "/v1/ssl", "/v1/sslsx", "/v1/ssls/a/b", "/healthz/x", "/v1/resolve/x"};
	struct found found;

	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		ck_assert_msg(find("GET", unknown[i], &found) == E_NOT_FOUND, "%s", unknown[i]);
		ck_assert_str_eq(found.allow, "");
	}
	ck_assert_int_eq(find("POST", "/v1/ssls/a", &found), E_METHOD);
	ck_assert_str_eq(found.allow, "GET, HEAD, PATCH, DELETE, PUT, OPTIONS");
	ck_assert_int_eq(find("OPTIONS", "/v1/apply", &found), E_METHOD);
	ck_assert_str_eq(found.allow, "POST, OPTIONS");
	ck_assert_int_eq(find("get", "/healthz", &found), E_METHOD);
	ck_assert_int_eq(find("PUT", "/v1/agents/a", &found), E_METHOD);
}
END_TEST

static void check_row(const struct route *route, void *context)
{
	bool is_write = strcmp(route->method, "GET") != 0;
	struct found found;

	ck_assert_ptr_nonnull(route->handle);
	ck_assert_int_eq(find(route->method, route->path, &found), 0);
	ck_assert_msg(found.route == route, "%s %s is hidden by another row", route->method, route->path);
	ck_assert_msg(!(is_write && route->may & MAY_ANYBODY), "%s %s writes without a credential", route->method, route->path);
	ck_assert_msg(is_write || route->body_max == 0, "%s %s", route->method, route->path);
	ck_assert(!(is_write && route->query & QUERY_PAGE) && !(!is_write && route->query & QUERY_WRITE));
	++*(size_t *)context;
}

START_TEST(every_row_is_reachable)
{
	size_t rows = 0;

	api_each_route(check_row, &rows);
	ck_assert_uint_gt(rows, 40);
}
END_TEST

/* The document's operations, as "METHOD PATH" lines, without those of another layer. Its layout is ours: paths indented
 * by two, operations by four. */
struct operations {
	char lines[128][80];
	char roles[128][64]; /* "admin, editor"; "": none said */
	bool seen[128];
	size_t len;
};

/* Takes the roles of the operation that was read last. */
static bool is_role_line(struct operations *operations, const char *path, const char *line)
{
	return operations->len > 0 && strncmp(path, "/apisix", 7) != 0 &&
	       sscanf(line, "      x-roles: [%63[^]]]", operations->roles[operations->len - 1]) == 1;
}

static void read_operations(struct operations *operations)
{
	static const char *const methods[] = {"get", "put", "post", "patch", "delete"};
	FILE *file = fopen(OPENAPI_PATH, "r");
	char line[512], path[64] = "", word[16];
	bool inside = false;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (line[0] != ' ' && line[0] != '\n')
			inside = strncmp(line, "paths:", 6) == 0;
		else if (inside && strncmp(line, "  /", 3) == 0 && sscanf(line, "  %63[^: ]:", path) == 1)
			continue;
		else if (inside && is_role_line(operations, path, line))
			continue;
		else if (inside && strncmp(line, "     ", 5) != 0 && sscanf(line, "    %15[a-z]:", word) == 1)
			for (size_t i = 0; i < ARRAY_LEN(methods); i++)
				if (strcmp(word, methods[i]) == 0 && strncmp(path, "/apisix/", 8) != 0)
					snprintf(operations->lines[operations->len++], 80, "%s %s", word, path);
	}
	fclose(file);
}

static void check_roles(const struct route *route, const char *said)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {{MAY_EDITOR, ", editor"}, {MAY_VIEWER, ", viewer"}, {MAY_ENROLLER, ", enroller"}, {MAY_SCOPED, ", scoped"}};
	char expected[64] = "";

	if (!(route->may & MAY_ANYBODY))
		snprintf(expected, sizeof(expected), "admin");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (route->may & words[i].bit)
			snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%s", words[i].word);
	ck_assert_msg(strcmp(said, expected) == 0, "%s %s: x-roles \"%s\", the table has \"%s\"", route->method, route->path, said, expected);
}

static void check_is_documented(const struct route *route, void *context)
{
	struct operations *operations = context;
	char line[80];
	size_t method_len = strlen(route->method);

	snprintf(line, sizeof(line), "%s %s", route->method, route->path);
	for (size_t i = 0; i < method_len; i++)
		line[i] = (char)(line[i] | 0x20);
	for (size_t i = 0; i < operations->len; i++) {
		if (strcmp(operations->lines[i], line) == 0) {
			operations->seen[i] = true;
			check_roles(route, operations->roles[i]);
			return;
		}
	}
	ck_abort_msg("%s is served and not in the OpenAPI document", line);
}

START_TEST(the_document_has_the_same_rows)
{
	static struct operations operations;

	read_operations(&operations);
	api_each_route(check_is_documented, &operations);
	for (size_t i = 0; i < operations.len; i++)
		ck_assert_msg(operations.seen[i], "%s is in the OpenAPI document and not served", operations.lines[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api/routes");
	TCase *cases = tcase_create("routes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, finds_paths_and_ids);
	tcase_add_test(cases, tells_unknown_paths_from_wrong_methods);
	tcase_add_test(cases, every_row_is_reachable);
	tcase_add_test(cases, the_document_has_the_same_rows);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
