/* SPDX-License-Identifier: Apache-2.0 */
/* Strict JSON, and merge patches by the examples of RFC 7396, appendix A. */
#include "parse.h"

#include "base/macros.h"

static void refuse(const char *text, size_t len, const char *what)
{
	struct error err = ERROR_NULL;
	json_t *document = NULL;

	ck_assert_msg(resource_load_json(BYTES(text, len), &document, &err) == E_SYNTAX, "%s", what);
	ck_assert_ptr_null(document);
	ck_assert_msg(strstr(err.text, "SECRET") == NULL, "%s", err.text);
}

START_TEST(refuses_what_is_not_strict)
{
	static const struct {
		const char *text, *what;
	} rows[] = {
		{"", "empty"},
		{"{\"a\": 1, \"a\": 2}", "duplicate key"},
		{"{\"a\": {\"b\": 1, \"b\": 1}}", "duplicate key below"},
		{"{} {}", "trailing document"},
		{"{}x", "trailing byte"},
		{"{\"a\": \"\xff\"}", "invalid UTF-8"},
		{"{\"a\": \"\xc0\xaf\"}", "overlong UTF-8"},
		{"{\"a\": \"\xed\xa0\x80\"}", "surrogate in UTF-8"},
		{"{\"a\": \"\\ud800\"}", "lone surrogate"},
		{"{\"a\": \"\\u0000\"}", "escaped NUL"},
		{"{\"\\u0000\": 1}", "NUL in a key"},
		{"{\"a\": NaN}", "NaN"},
		{"{\"a\": 1e999}", "overflow"},
		{"{\"a\": 99999999999999999999}", "integer overflow"},
		{"{\"a\": 01}", "leading zero"},
		{"{\"a\": 1,}", "trailing comma"},
		{"{'a': 1}", "single quotes"},
		{"// x\n{}", "comment"},
		{"\xef\xbb\xbf{}", "byte order mark"},
		{"{\"key\": \"SECRET", "ends early"},
		{"{\"key\": \"SECRET\" x}", "junk near a secret"},
		{"SECRET", "a word"},
		{"\"text\"", "a scalar"},
		{"1", "a number"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		refuse(rows[i].text, strlen(rows[i].text), rows[i].what);
	refuse("{\"a\": \"b\0c\"}", 12, "raw NUL");
	refuse("{}\0", 3, "trailing NUL");
	refuse(NULL, 0, "nothing");
}
END_TEST

static int load_nested(size_t depth, bool objects)
{
	char text[512] = "", closing[256] = "";
	struct error err = ERROR_NULL;
	json_t *document = NULL;
	int r;

	for (size_t i = 0; i < depth; i++) {
		strcat(text, objects && i > 0 ? "{\"a\":" : "[");
		closing[i] = objects && depth - 1 - i > 0 ? '}' : ']';
	}
	strcat(text, objects ? "1" : "\"[[[[\\\"[[[[\"");
	strcat(text, closing);
	r = resource_load_json(BYTES(text, strlen(text)), &document, &err);
	json_decref(document);
	return r;
}

START_TEST(depth_is_bounded)
{
	ck_assert_int_eq(load_nested(32, false), 0);
	ck_assert_int_eq(load_nested(33, false), E_SYNTAX);
	ck_assert_int_eq(load_nested(32, true), 0);
	ck_assert_int_eq(load_nested(33, true), E_SYNTAX);
}
END_TEST

START_TEST(error_tells_where)
{
	struct error err = ERROR_NULL;
	json_t *document = NULL;

	ck_assert_int_eq(resource_load_json(BYTES("{\n\"a\": 1,\n\"a\": 2}", 18), &document, &err), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(err.text, "twice"));
	ck_assert_ptr_nonnull(strstr(err.text, "line 3"));
}
END_TEST

static json_t *any(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_ptr_nonnull(value);
	return value;
}

START_TEST(rfc_7396_appendix_a)
{
	static const char *const rows[][3] = {
		{"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
		{"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
		{"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
		{"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
		{"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
		{"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
		{"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
		{"{\"a\":\"foo\"}", "null", "null"},
		{"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
		{"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
		{"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
		{"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *target = any(rows[i][0]), *patch = any(rows[i][1]), *expected = any(rows[i][2]);
		json_t *target_before = json_deep_copy(target), *patch_before = json_deep_copy(patch);
		json_t *result = resource_merge_patch(target, patch);

		ck_assert_msg(json_equal(result, expected), "row %zu", i);
		ck_assert_msg(json_equal(target, target_before), "row %zu changes its target", i);
		ck_assert_msg(json_equal(patch, patch_before), "row %zu changes its patch", i);
		json_decref(result);
		json_decref(target);
		json_decref(patch);
		json_decref(expected);
		json_decref(target_before);
		json_decref(patch_before);
	}
}
END_TEST

START_TEST(merge_without_a_target)
{
	json_t *patch = any("{\"a\": {\"b\": null, \"c\": 1}}"), *expected = any("{\"a\": {\"c\": 1}}");
	json_t *result = resource_merge_patch(NULL, patch);

	ck_assert(json_equal(result, expected));
	json_decref(result);
	json_decref(patch);
	json_decref(expected);
}
END_TEST

UNIT_MAIN("model/json", refuses_what_is_not_strict, depth_is_bounded, error_tells_where, rfc_7396_appendix_a,
          merge_without_a_target)
