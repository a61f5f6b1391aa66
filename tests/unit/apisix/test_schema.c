/* SPDX-License-Identifier: Apache-2.0 */
/* The validator: each keyword once right and once wrong, in APISIX's words. */
#include "apisix/schema.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

/* Text of what is wrong; "" when nothing is. */
static const char *judge(const char *schema_text, const char *value_text)
{
	static char text[SCHEMA_TEXT_MAX];
	json_t *schema = json_loads(schema_text, 0, NULL), *value = json_loads(value_text, JSON_DECODE_ANY, NULL);

	ck_assert_ptr_nonnull(schema);
	ck_assert_ptr_nonnull(value);
	if (schema_fits(schema, value, text))
		text[0] = 0;
	json_decref(schema);
	json_decref(value);
	return text;
}

static const struct row {
	const char *schema, *good, *bad, *text;
} rows[] = {
	{"{\"type\": \"string\"}", "\"x\"", "[]", "wrong type: expected string, got table"},
	{"{\"type\": \"string\"}", "\"x\"", "null", "wrong type: expected string, got userdata"},
	{"{\"type\": \"integer\"}", "3", "3.5", "wrong type: expected integer, got number"},
	{"{\"type\": \"array\"}", "[]", "{}", "wrong type: expected array, got table"},
	{"{\"type\": \"object\"}", "{}", "true", "wrong type: expected object, got boolean"},
	{"{\"type\": \"string\", \"minLength\": 3}", "\"abc\"", "\"ab\"", "string too short, expected at least 3, got 2"},
	{"{\"type\": \"string\", \"maxLength\": 2}", "\"\\u00e9\\u00e9\"", "\"abc\"", "string too long, expected at most 2, got 3"},
	{"{\"type\": \"array\", \"minItems\": 1}", "[1]", "[]", "expect array to have at least 1 items"},
	{"{\"type\": \"array\", \"maxItems\": 1}", "[1]", "[1, 2]", "expect array to have at most 1 items"},
	{"{\"uniqueItems\": true}", "[1, 2]", "[1, 2, 1]", "expected unique items but items 1 and 3 are equal"},
	{"{\"items\": {\"type\": \"string\"}}", "[\"x\"]", "[\"x\", 1]", "failed to validate item 2: wrong type: expected string, got number"},
	{"{\"type\": \"integer\", \"minimum\": 0}", "0", "-1", "expected -1 to be greater than 0"},
	{"{\"enum\": [1, 0]}", "0", "2", "matches none of the enum values"},
	{"{\"required\": [\"a\"]}", "{\"a\": 1}", "{\"b\": 1}", "property \"a\" is required"},
	{"{\"properties\": {\"a\": {}}, \"additionalProperties\": false}", "{\"a\": 1}", "{\"b\": 1}",
     "additional properties forbidden, found b"},
	{"{\"properties\": {\"a\": {\"properties\": {\"b\": {\"enum\": [1]}}}}}", "{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 2}}",
     "property \"a\" validation failed: property \"b\" validation failed: matches none of the enum values"},
	{"{\"patternProperties\": {\".*\": {\"type\": \"string\"}}}", "{\"env\": \"x\"}", "{\"env\": []}",
     "failed to validate env (matching \".*\"): wrong type: expected string, got table"},
	{"{\"anyOf\": [{\"enum\": [1]}, {\"enum\": [2]}]}", "2", "3", "object matches none of the required"},
	{"{\"oneOf\": [{\"required\": [\"a\"]}, {\"required\": [\"b\"]}]}", "{\"a\": 1}", "{\"a\": 1, \"b\": 1}",
     "value should match only one schema"},
	{"{\"if\": {\"required\": [\"a\"]}, \"then\": {\"required\": [\"b\"]}}", "{}", "{\"a\": 1}", "then clause did not match"},
	{"{\"if\": {\"required\": [\"a\"]}, \"else\": {\"required\": [\"b\"]}}", "{\"a\": 1}", "{}", "else clause did not match"},
	{"{\"type\": \"string\", \"pattern\": \"^\\\\S+$\"}", "\"x\"", "\"a\\\"\\\\ b\"",
     "failed to match pattern \"^\\\\S+$\" with \"a\\\"\\\\ b\""},
};

START_TEST(judges_each_keyword)
{
	ck_assert_str_eq(judge(rows[_i].schema, rows[_i].good), "");
	ck_assert_str_eq(judge(rows[_i].schema, rows[_i].bad), rows[_i].text);
}
END_TEST

START_TEST(matches_names)
{
	static const char *const good[] = {"a", "*", "*.a.b", "*test.com", "[::1]", "A_b-c.D"};
	static const char *const bad[] = {"", "a b", "a*", "**", "a/b", "\xc3\xa9"};
	json_t *schema = schema_load(), *row = json_object_get(json_object_get(schema, "properties"), "sni");
	char text[SCHEMA_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
		json_t *name = json_string(i < ARRAY_LEN(good) ? good[i] : bad[i - ARRAY_LEN(good)]);

		ck_assert_msg(schema_fits(row, name, text) == (i < ARRAY_LEN(good)), "%s", json_string_value(name));
		json_decref(name);
	}
	json_decref(schema);
}
END_TEST

/* What a client sends is shown short, and as nothing but printable ASCII. */
START_TEST(quotes_little)
{
	char value[600];
	const char *text;

	value[0] = '"';
	memset(value + 1, ' ', 500);
	memcpy(value + 1, "\\n\\u00e9", 8);
	strcpy(value + 501, "\"");
	text = judge("{\"type\": \"string\", \"pattern\": \"^\\\\S+$\"}", value);
	ck_assert_uint_lt(strlen(text), 120);
	ck_assert_ptr_nonnull(strstr(text, "with \"??"));
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("apisix/schema");
	TCase *tests = tcase_create("all");

	tcase_add_loop_test(tests, judges_each_keyword, 0, (int)ARRAY_LEN(rows));
	tcase_add_test(tests, matches_names);
	tcase_add_test(tests, quotes_little);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run_suite(suite());
}
