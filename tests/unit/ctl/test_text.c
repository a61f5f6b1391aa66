/* SPDX-License-Identifier: Apache-2.0 */
/* What must never reach a terminal, and the shapes of values. */
#include "ctl/text.h"

#include "unit.h"

#include <string.h>

static void check(const char *text, size_t len, const char *expected)
{
	struct buf out = BUF_NULL;

	text_put(&out, text, len);
	ck_assert_str_eq(buf_cstr(&out), expected);
	buf_deinit(&out);
}

#define CHECK(text, expected) check((text), sizeof(text) - 1, (expected))

START_TEST(escapes)
{
	CHECK("plain \xc3\xbc \xe2\x82\xac \xf0\x9f\x94\x92", "plain \xc3\xbc \xe2\x82\xac \xf0\x9f\x94\x92");
	CHECK("\x1b[2J\x07", "\\x1b[2J\\x07");
	CHECK("a\nb\r\tc\x7f", "a\\nb\\x0d\\x09c\\x7f");
	CHECK("\xc2\x9b" "31m", "\\x9b31m");
	CHECK("nul\0end", "nul\\x00end");
	CHECK("\xe2\x80\xae" "txt\xe2\x81\xa6\xe2\x80\xa8\xef\xbb\xbf", "\\u{202e}txt\\u{2066}\\u{2028}\\u{feff}");
	CHECK("\xff\xc3(\xe2\x82", "\\xff\\xc3(\\xe2\\x82");
	CHECK("\xf3\xa0\x81\x81", "\\u{e0041}");
	CHECK("", "");
}
END_TEST

/* json: text of one value. */
static void check_value(const char *json, const char *expected, void (*put)(struct buf *out, const json_t *value))
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	struct buf out = BUF_NULL;

	ck_assert_ptr_nonnull(value);
	put(&out, value);
	ck_assert_msg(strcmp(buf_cstr(&out), expected) == 0, "%s: %s", json, (const char *)out.data);
	buf_deinit(&out);
	json_decref(value);
}

START_TEST(values)
{
	check_value("\"x\"", "x", text_put_json);
	check_value("12", "12", text_put_json);
	check_value("2.5", "2.5", text_put_json);
	check_value("true", "yes", text_put_json);
	check_value("null", "-", text_put_json);
	check_value("[\"a\", 1, [\"b\"]]", "a,1,b", text_put_json);
	check_value("{\"a\": \"b\", \"c\\u001b\": 1}", "a=b,c\\x1b=1", text_put_json);
	check_value("\"-----BEGIN CERTIFICATE-----\\nSECRET\\n-----BEGIN CERTIFICATE-----\"", "(PEM, 2 blocks)", text_put_json);
}
END_TEST

START_TEST(times)
{
	check_value("0", "1970-01-01 00:00:00Z", text_put_time);
	check_value("\"2026-11-21T08:24:50Z\"", "2026-11-21 08:24:50Z", text_put_time);
	check_value("\"no time\\u0007\"", "no time\\x07", text_put_time);
	check_value("-5", "-5", text_put_time);
	check_value("null", "-", text_put_time);
	ck_assert_int_eq(text_parse_time("2026-11-21T08:24:50Z"), 1795249490);
	ck_assert_int_eq(text_parse_time("2026-11-21T08:24:50+01:00"), -1);
	ck_assert_int_eq(text_parse_time(NULL), -1);
}
END_TEST

static void put_lines(struct buf *out, const json_t *value)
{
	text_put_lines(out, value, 0);
}

static void put_pretty(struct buf *out, const json_t *value)
{
	ck_assert_int_eq(text_put_pretty(out, value), 0);
}

START_TEST(lines)
{
	check_value("{\"a\": 1, \"b\": {\"c\": [1, 2]}, \"d\": [{\"e\": \"f\\n\"}, {\"e\": \"g\"}], \"w\": [], \"time\": 0}",
	            "a: 1\nb:\n  c: 1,2\nd:\n  e: f\\n\n\n  e: g\nw: -\ntime: 1970-01-01 00:00:00Z\n", put_lines);
	check_value("{\"a\": \"\\u001b\\u009b\\u007f\\u00fc\"}", "{\n  \"a\": \"\\u001B\\u009B\\u007f\\u00FC\"\n}\n", put_pretty);
}
END_TEST

UNIT_MAIN("ctl/text", escapes, values, times, lines)
