/* SPDX-License-Identifier: Apache-2.0 */
#include "status/text.h"

#include "unit.h"

#include <jansson.h>
#include <string.h>

static const char *written(void (*put)(struct buf *out, const char *text), const char *text)
{
	static char result[1024];
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;

	put(&out, text);
	ck_assert(!out.failed);
	snprintf(result, sizeof(result), "%s", buf_cstr(&out));
	return result;
}

#define REPLACEMENT "\xef\xbf\xbd"

START_TEST(json)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
	    {"", "\"\""},
	    {"plain", "\"plain\""},
	    {"a\"b\\c", "\"a\\\"b\\\\c\""},
	    {"\x01\n\r\t\x1f", "\"\\u0001\\u000a\\u000d\\u0009\\u001f\""},
	    {"\x7f\xc2\x85", "\"\\u007f\\u0085\""},
	    {"g\xc3\xbc\xe2\x82\xac\xf0\x9f\x94\x91", "\"g\xc3\xbc\xe2\x82\xac\xf0\x9f\x94\x91\""},
	    {"\xff"
	     "a",
	     "\"" REPLACEMENT "a\""},
	    {"\xc3", "\"" REPLACEMENT "\""}, /* cut */
	    {"\xe2\x82", "\"" REPLACEMENT REPLACEMENT "\""},
	    {"\xc0\xaf", "\"" REPLACEMENT REPLACEMENT "\""}, /* overlong "/" */
	    {"\xe0\x80\xaf", "\"" REPLACEMENT REPLACEMENT REPLACEMENT "\""},
	    {"\xed\xa0\x80", "\"" REPLACEMENT REPLACEMENT REPLACEMENT "\""},                 /* a surrogate */
	    {"\xf4\x90\x80\x80", "\"" REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT "\""}, /* beyond U+10FFFF */
	    {"\xc3\"", "\"" REPLACEMENT "\\\"\""}, /* a lead byte takes no quote with it */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(written(text_put_json, cases[i].text), cases[i].expected);
}
END_TEST

/* Whatever the bytes: one JSON string, and no control in it. */
START_TEST(json_of_all_bytes)
{
	char text[3] = "";

	for (unsigned a = 1; a < 256; a++) {
		for (unsigned b = 1; b < 256; b++) {
			const char *result;
			json_t *value;

			text[0] = (char)a;
			text[1] = (char)b;
			result = written(text_put_json, text);
			value = json_loads(result, JSON_DECODE_ANY, NULL);
			ck_assert_msg(json_is_string(value), "%02x %02x", a, b);
			json_decref(value);
			for (const char *c = result; *c != 0; c++)
				ck_assert((unsigned char)*c >= 0x20 && *c != 0x7f);
		}
	}
}
END_TEST

START_TEST(or_null)
{
	ck_assert_str_eq(written(text_put_json_or_null, ""), "null");
	ck_assert_str_eq(written(text_put_json_or_null, "null"), "\"null\"");
}
END_TEST

START_TEST(label)
{
	ck_assert_str_eq(written(text_put_label, "a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
	ck_assert_str_eq(written(text_put_label, "\xc3\xbc\xff"), "\"\xc3\xbc" REPLACEMENT "\"");
}
END_TEST

UNIT_MAIN("status/text", json, json_of_all_bytes, or_null, label)
