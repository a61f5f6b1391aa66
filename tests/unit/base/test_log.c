/* SPDX-License-Identifier: Apache-2.0 */
/* What a log line looks like, whatever bytes are in it. */
#include "base/log.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int pipe_ends[2], old_stderr;

static void capture_start(void)
{
	ck_assert_int_eq(pipe(pipe_ends), 0);
	old_stderr = dup(STDERR_FILENO);
	dup2(pipe_ends[1], STDERR_FILENO);
}

static size_t capture_end(char *text, size_t size)
{
	ssize_t len;

	dup2(old_stderr, STDERR_FILENO);
	close(pipe_ends[1]);
	len = read(pipe_ends[0], text, size - 1);
	close(pipe_ends[0]);
	text[len] = 0;
	return (size_t)len;
}

/* One line, printable ASCII, ended by the only newline. */
static void check_clean(const char *text, size_t len)
{
	ck_assert_uint_gt(len, 0);
	for (size_t i = 0; i < len - 1; i++)
		ck_assert_msg(text[i] >= 0x20 && text[i] < 0x7f, "byte %02x at %zu", (unsigned char)text[i], i);
	ck_assert_int_eq(text[len - 1], '\n');
}

START_TEST(key_value)
{
	struct error err = ERROR_NULL;
	char text[8192];
	size_t len;

	error_set(&err, E_IO, "disk full");
	capture_start();
	log_event(LOG_INFO, "it works", LOG_STR("id", "plain"), LOG_STR("empty", ""), LOG_STR("none", NULL),
	          LOG_U64("n", 42), LOG_I64("m", -1), LOG_ERR(&err));
	len = capture_end(text, sizeof(text));
	check_clean(text, len);
	ck_assert_int_eq(strncmp(text, "time=20", 7), 0);
	ck_assert_ptr_nonnull(
	    strstr(text, "Z level=info msg=\"it works\" id=plain empty=\"\" none=- n=42 m=-1 error=\"disk full\"\n"));
}
END_TEST

START_TEST(json)
{
	struct error err = ERROR_NULL;
	char text[8192];
	size_t len;

	ck_assert_int_eq(log_set_format("json", &err), 0);
	capture_start();
	log_event(LOG_WARNING, "bad \"thing\"", LOG_STR("id", "a\\b"), LOG_U64("n", 7));
	len = capture_end(text, sizeof(text));
	check_clean(text, len);
	ck_assert_int_eq(strncmp(text, "{\"time\":\"20", 11), 0);
	ck_assert_ptr_nonnull(
	    strstr(text, "Z\",\"level\":\"warning\",\"msg\":\"bad \\\"thing\\\"\",\"id\":\"a\\\\b\",\"n\":7}\n"));
}
END_TEST

START_TEST(hostile_bytes_are_escaped)
{
	static const char *const formats[] = {"kv", "json"};
	struct error err = ERROR_NULL;
	char text[8192], hostile[256];
	size_t len;

	for (size_t i = 0; i < sizeof(hostile); i++)
		hostile[i] = (char)i;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		ck_assert_int_eq(log_set_format(formats[i], &err), 0);
		capture_start();
		log_event(LOG_ERROR, "sni", LOG_BYTES("name", hostile, sizeof(hostile)), LOG_STR("after", "1"));
		len = capture_end(text, sizeof(text));
		check_clean(text, len);
		ck_assert_ptr_nonnull(strstr(text, "\\u0000\\u0001"));
		ck_assert_ptr_nonnull(strstr(text, "\\u000a"));
		ck_assert_ptr_nonnull(strstr(text, "\\u001b"));
		ck_assert_ptr_nonnull(strstr(text, "\\u007f\\u0080"));
		ck_assert_ptr_nonnull(strstr(text, "\\u00ff"));
	}
	ck_assert_int_eq(log_set_format("kv", &err), 0);
	capture_start();
	log_event(LOG_ERROR, "sni", LOG_STR("name", "x level=info"), LOG_STR("other", "a=b"));
	capture_end(text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "name=\"x level=info\" other=\"a=b\"\n"));
}
END_TEST

START_TEST(long_lines_are_cut_between_fields)
{
	static const char *const formats[] = {"kv", "json"};
	struct error err = ERROR_NULL;
	char text[8192], large[6000];
	size_t len;

	memset(large, '\n', sizeof(large));
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		ck_assert_int_eq(log_set_format(formats[i], &err), 0);
		capture_start();
		log_event(LOG_INFO, "big", LOG_STR("before", "1"), LOG_BYTES("large", large, sizeof(large)),
		          LOG_STR("after", "2"));
		len = capture_end(text, sizeof(text));
		check_clean(text, len);
		ck_assert_uint_le(len, 4096);
		ck_assert_ptr_nonnull(strstr(text, "before"));
		ck_assert_ptr_null(strstr(text, "\\u000a"));
	}
}
END_TEST

START_TEST(levels)
{
	struct error err = ERROR_NULL;
	char text[256];

	ck_assert(!log_is_on(LOG_DEBUG));
	ck_assert_int_eq(log_set_level("warning", &err), 0);
	ck_assert(!log_is_on(LOG_INFO));
	ck_assert(log_is_on(LOG_WARNING));
	capture_start();
	log_event(LOG_INFO, "unheard");
	log_event(LOG_ERROR, "heard");
	capture_end(text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "unheard"));
	ck_assert_ptr_nonnull(strstr(text, "heard"));
	ck_assert_int_eq(log_set_level("loud", &err), E_SYNTAX);
	ck_assert_int_eq(log_set_format("xml", &err), E_SYNTAX);
}
END_TEST

/* Ten in a second; with the first of a later one it is told how many were left out. */
START_TEST(a_budget_of_lines)
{
	struct log_budget budget = {0};
	char text[8192];
	int taken = 0;

	for (uint64_t now = 5000; now < 6000; now += 10)
		taken += log_budget_take(&budget, now);
	ck_assert_int_eq(taken, 10);
	capture_start();
	ck_assert(log_budget_take(&budget, 6000));
	check_clean(text, capture_end(text, sizeof(text)));
	ck_assert_ptr_nonnull(strstr(text, "msg=\"log lines dropped\" count=90"));
	capture_start();
	ck_assert(log_budget_take(&budget, 7000));
	log_event(LOG_INFO, "end");
	capture_end(text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "dropped"));
}
END_TEST

UNIT_MAIN("base/log", key_value, json, hostile_bytes_are_escaped, long_lines_are_cut_between_fields, levels, a_budget_of_lines)
