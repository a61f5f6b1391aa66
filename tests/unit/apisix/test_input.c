/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies, ids, sub-paths, and what becomes of a document on its way to /v1's form. */
#include "apisix/input.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DASHES "------------------------------------------------------------------"
#define PEM_128 "\"" DASHES DASHES "\""
#define SSL "\"cert\": " PEM_128 ", \"key\": " PEM_128

static struct error err;

static void setup(void)
{
	err = ERROR_NULL;
}

static json_t *load(const char *text)
{
	json_t *document = NULL;

	ck_assert_msg(input_load(BYTES(text, strlen(text)), &document, &err) == 0, "%s", err.text);
	return document;
}

/* The canonical text of the document, which is given back. */
static char *dump(json_t *document)
{
	char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	json_decref(document);
	ck_assert_ptr_nonnull(text);
	return text;
}

static void check_dump(json_t *document, const char *expected)
{
	char *text = dump(document);

	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(loads_any_value)
{
	check_dump(load(" {\"a\": 1}"), "{\"a\":1}");
	check_dump(load("[1]"), "[1]");
	check_dump(load("7 "), "7");
	check_dump(load("\"x\""), "\"x\"");
	check_dump(load("false"), "false");
	ck_assert_ptr_null(load(""));
	ck_assert_ptr_null(load("null"));
}
END_TEST

START_TEST(refuses_what_is_no_json)
{
	static const char *const bad[] = {"{", "{\"a\":1,}", "1, 2", "1]", "1],[2", " ", "{\"a\":1}x", "nul", "\"\\u0000\"", "\x01"};
	json_t *document;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		setup();
		ck_assert_msg(input_load(BYTES(bad[i], strlen(bad[i])), &document, &err) == E_SYNTAX, "%s", bad[i]);
		ck_assert_msg(strncmp(err.text, "invalid request body: ", 22) == 0, "%s", err.text);
	}
}
END_TEST

START_TEST(takes_ids)
{
	static const struct {
		const char *body, *path, *id; /* id NULL: text */
		const char *text;
	} rows[] = {
	    {"{\"id\": 7}", "", "7", ""},
	    {"{\"id\": \"a-b\"}", "a-b", "a-b", ""},
	    {"{}", "x", "x", ""},
	    {"{}", "", NULL, "missing ssl id"},
	    {"{\"id\": \"a\"}", "b", NULL, "wrong ssl id"},
	    {"{\"id\": 0}", "", NULL, "invalid configuration: property \"id\""},
	    {"{\"id\": \"-x\"}", "", NULL, "invalid configuration: property \"id\""},
	    {"{\"id\": \"\"}", "", NULL, "invalid configuration: property \"id\""},
	    {"{\"id\": {}}", "x", NULL, "invalid configuration: property \"id\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *document = load(rows[i].body);
		char id[ID_MAX + 1] = "";
		int r = input_take_id(document, rows[i].path, id, &err);

		ck_assert_int_eq(r, rows[i].id != NULL ? 0 : E_SYNTAX);
		ck_assert_str_eq(id, rows[i].id != NULL ? rows[i].id : "");
		if (rows[i].id == NULL)
			ck_assert_msg(strncmp(err.text, rows[i].text, strlen(rows[i].text)) == 0, "%s", err.text);
		json_decref(document);
	}
}
END_TEST

START_TEST(translates)
{
	json_t *document = load("{\"snis\": [\"a.b\", \"c\", \"A.B\", \"a.b\"], \"ssl_protocols\": [], " SSL "}");

	ck_assert_msg(input_translate(document, NULL, &err) == 0, "%s", err.text);
	check_dump(json_incref(json_object_get(document, "snis")), "[\"a.b\",\"c\"]");
	ck_assert_ptr_null(json_object_get(document, "ssl_protocols"));
	json_decref(document);
}
END_TEST

START_TEST(remembers_defaults_that_are_written_out)
{
	json_t *document = load("{\"sni\": \"a\", \"status\": 1, \"type\": \"server\", " SSL "}");

	ck_assert_int_eq(input_translate(document, NULL, &err), 0);
	check_dump(json_incref(json_object_get(document, "spelled")), "[\"status\",\"type\"]");
	json_decref(document);
	document = load("{\"sni\": \"a\", \"status\": 0, " SSL "}");
	ck_assert_int_eq(input_translate(document, NULL, &err), 0);
	ck_assert_ptr_null(json_object_get(document, "spelled"));
	json_decref(document);
	document = load("{\"status\": 1, \"type\": \"server\", \"spelled\": [\"type\"]}");
	input_restore(document);
	check_dump(document, "{\"type\":\"server\"}");
	document = load("{\"status\": 0, \"type\": \"client\"}");
	input_restore(document);
	check_dump(document, "{\"status\":0,\"type\":\"client\"}");
}
END_TEST

/* Only the transaction knows whether one is stored. */
START_TEST(lets_a_key_be_left_out)
{
	json_t *document = load("{\"sni\": \"a.b\", \"cert\": " PEM_128 "}");

	ck_assert_int_eq(input_check_schema(document, NULL, &err), E_SYNTAX);
	ck_assert_str_eq(err.text, "then clause did not match");
	ck_assert_int_eq(input_translate(document, NULL, &err), 0);
	ck_assert_ptr_null(json_object_get(document, "key"));
	json_decref(document);
}
END_TEST

START_TEST(refuses_what_is_elsewhere)
{
	static const struct {
		const char *body, *part;
	} rows[] = {
	    {"{\"gm\": true, \"sni\": \"a\", " SSL "}", "found gm ("},
	    {"{\"ocsp_stapling\": {}, \"sni\": \"a\", " SSL "}", "found ocsp_stapling ("},
	    {"{\"sni\": \"a\", \"cert\": " PEM_128 ", \"key\": \"$secret://x\"}", "\"key\" validation failed: secret references"},
	    {"{\"sni\": \"a\", \"cert\": \"$Env://x\", \"key\": " PEM_128 "}", "\"cert\" validation failed: secret references"},
	    {"{\"sni\": \"a\", \"keys\": [null, \"$env://x\"], " SSL "}", "failed to validate item 2: secret references"},
	    {"{\"sni\": \"a\", \"client\": {\"ca\": \"$env://x\"}, " SSL "}", "\"ca\" validation failed: secret references"},
	    {"{\"sni\": \"a\", \"exptime\": 1, " SSL "}", "invalid configuration: additional properties forbidden, found exptime"},
	    {"[]", "invalid configuration: wrong type: expected object, got table"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *document = load(rows[i].body);

		ck_assert_int_eq(input_translate(document, NULL, &err), E_SYNTAX);
		ck_assert_msg(strstr(err.text, rows[i].part) != NULL, "%s", err.text);
		json_decref(document);
	}
}
END_TEST

START_TEST(forbids_times)
{
	json_t *document = load("{\"update_time\": 1}");

	ck_assert_int_eq(input_has_no_times(document, &err), E_SYNTAX);
	ck_assert_str_eq(err.text, "the property is forbidden:  update_time");
	json_decref(document);
}
END_TEST

START_TEST(sets_at_a_path)
{
	static const struct {
		const char *path[3];
		size_t len;
		const char *value, *after; /* after NULL: refused with text */
		const char *text;
	} rows[] = {
	    {{"labels"}, 1, "{\"x\":1}", "{\"labels\":{\"x\":1},\"sni\":\"s\"}", ""},
	    {{"labels", "b"}, 2, "2", "{\"labels\":{\"a\":1,\"b\":2},\"sni\":\"s\"}", ""},
	    {{"new", "deep", "er"}, 3, "[]", "{\"labels\":{\"a\":1},\"new\":{\"deep\":{\"er\":[]}},\"sni\":\"s\"}", ""},
	    {{"sni", "x"}, 2, "1", NULL, "invalid sub-path: /sni"},
	    {{"labels", "a", "x"}, 3, "1", NULL, "invalid sub-path: /labels/a"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *document = load("{\"sni\": \"s\", \"labels\": {\"a\": 1}}"), *value = load(rows[i].value);
		int r = input_set_at(document, rows[i].path, rows[i].len, value, &err);

		json_decref(value);
		if (rows[i].after != NULL) {
			ck_assert_int_eq(r, 0);
			check_dump(document, rows[i].after);
		} else {
			ck_assert_int_eq(r, E_SYNTAX);
			ck_assert_str_eq(err.text, rows[i].text);
			json_decref(document);
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("apisix/input");
	TCase *tests = tcase_create("all");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, loads_any_value);
	tcase_add_test(tests, refuses_what_is_no_json);
	tcase_add_test(tests, takes_ids);
	tcase_add_test(tests, translates);
	tcase_add_test(tests, remembers_defaults_that_are_written_out);
	tcase_add_test(tests, lets_a_key_be_left_out);
	tcase_add_test(tests, refuses_what_is_elsewhere);
	tcase_add_test(tests, forbids_times);
	tcase_add_test(tests, sets_at_a_path);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run_suite(suite());
}
