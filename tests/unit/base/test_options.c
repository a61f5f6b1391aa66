/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row rows[] = {
    {"data-dir", "DIR", NULL, "where things are"},
    {"admin-listen", "HOST:PORT", "127.0.0.1:9180", "where to listen"},
    {"new-epoch", NULL, NULL, "start anew"},
    {NULL, NULL, NULL, NULL},
};

enum { DATA_DIR, ADMIN_LISTEN, NEW_EPOCH, ROWS };

/* values borrow from argv: valid until the next call. */
static int parse(const char **values, struct error *err, const char *a, const char *b)
{
	static char program[] = "prog", first[64], second[64];
	char *argv[] = {program, first, second, NULL};
	int argc = 1 + (a != NULL) + (b != NULL);

	snprintf(first, sizeof(first), "%s", a != NULL ? a : "");
	snprintf(second, sizeof(second), "%s", b != NULL ? b : "");
	argv[argc] = NULL;
	return options_parse(rows, argc, argv, values, err);
}

START_TEST(fallback_environment_command_line)
{
	const char *values[ROWS] = {NULL};
	struct error err = ERROR_NULL;

	ck_assert_int_eq(parse(values, &err, NULL, NULL), 0);
	ck_assert_ptr_null(values[DATA_DIR]);
	ck_assert_str_eq(values[ADMIN_LISTEN], "127.0.0.1:9180");
	ck_assert_ptr_null(values[NEW_EPOCH]);
	setenv("TLSPLANE_ADMIN_LISTEN", "[::1]:1", 1);
	ck_assert_int_eq(parse(values, &err, "--data-dir", "/d"), 0);
	ck_assert_str_eq(values[DATA_DIR], "/d");
	ck_assert_str_eq(values[ADMIN_LISTEN], "[::1]:1");
	ck_assert_int_eq(parse(values, &err, "--admin-listen=h:2", "--new-epoch"), 0);
	ck_assert_str_eq(values[ADMIN_LISTEN], "h:2");
	ck_assert_str_eq(values[NEW_EPOCH], "1");
}
END_TEST

START_TEST(refuses_what_is_no_option)
{
	const char *values[ROWS];
	struct error err = ERROR_NULL;

	ck_assert_int_eq(parse(values, &err, "--nonsense", NULL), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(err.text, "--nonsense"));
	ck_assert_int_eq(parse(values, &err, "--data-dir", NULL), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(err.text, "--data-dir"));
	ck_assert_int_eq(parse(values, &err, "word", NULL), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(err.text, "word"));
	ck_assert_int_eq(parse(values, &err, "-x", NULL), E_SYNTAX);
	ck_assert_int_eq(parse(values, &err, "--new-epoch=yes", NULL), E_SYNTAX);
}
END_TEST

START_TEST(help_names_all)
{
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	const char *text;

	options_print_help(rows, "prog", "It does things.", &out);
	text = buf_cstr(&out);
	ck_assert_ptr_nonnull(strstr(text, "Usage: prog"));
	ck_assert_ptr_nonnull(strstr(text, "--admin-listen HOST:PORT"));
	ck_assert_ptr_nonnull(strstr(text, "TLSPLANE_ADMIN_LISTEN"));
	ck_assert_ptr_nonnull(strstr(text, "[default: 127.0.0.1:9180]"));
	ck_assert_ptr_nonnull(strstr(text, "--new-epoch "));
}
END_TEST

START_TEST(host_and_port)
{
	static const struct {
		const char *text, *host; /* host NULL: refused */
		uint16_t port;
	} cases[] = {
	    {"127.0.0.1:9180", "127.0.0.1", 9180},
	    {"[::1]:443", "::1", 443},
	    {"name.example:65535", "name.example", 65535},
	    {"h:0", "h", 0},
	    {"h:65536", NULL, 0},
	    {"h:-1", NULL, 0},
	    {"h:+1", NULL, 0},
	    {"h: 1", NULL, 0},
	    {"h:1x", NULL, 0},
	    {"h:", NULL, 0},
	    {"h", NULL, 0},
	    {"", NULL, 0},
	    {":1", NULL, 0},
	    {"[]:1", NULL, 0},
	    {"::1:443", NULL, 0},
	    {"[::1]", NULL, 0},
	};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char host[256] = "untouched";
		uint16_t port = 7;
		int r = options_parse_host_port(cases[i].text, host, &port, &err);

		ck_assert_msg(r == (cases[i].host != NULL ? 0 : E_SYNTAX), "%s", cases[i].text);
		ck_assert_str_eq(host, cases[i].host != NULL ? cases[i].host : "untouched");
		ck_assert_uint_eq(port, cases[i].host != NULL ? cases[i].port : 7);
	}
}
END_TEST

START_TEST(long_hosts)
{
	char text[300], host[256];
	uint16_t port;
	struct error err = ERROR_NULL;

	memset(text, 'a', sizeof(text));
	memcpy(text + 255, ":1", 3);
	ck_assert_int_eq(options_parse_host_port(text, host, &port, &err), 0);
	ck_assert_uint_eq(strlen(host), 255);
	memcpy(text + 255, "a:1", 4);
	ck_assert_int_eq(options_parse_host_port(text, host, &port, &err), E_SYNTAX);
}
END_TEST

START_TEST(numbers)
{
	uint32_t value = 7;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(options_parse_u32("10", 10, 20, &value, &err), 0);
	ck_assert_uint_eq(value, 10);
	ck_assert_int_eq(options_parse_u32("4294967295", 0, UINT32_MAX, &value, &err), 0);
	ck_assert_uint_eq(value, UINT32_MAX);
	ck_assert_int_eq(options_parse_u32("9", 10, 20, &value, &err), E_SYNTAX);
	ck_assert_int_eq(options_parse_u32("21", 10, 20, &value, &err), E_SYNTAX);
	ck_assert_int_eq(options_parse_u32("", 0, 20, &value, &err), E_SYNTAX);
	ck_assert_int_eq(options_parse_u32("1e1", 0, 20, &value, &err), E_SYNTAX);
	ck_assert_int_eq(options_parse_u32("18446744073709551617", 0, 20, &value, &err), E_SYNTAX);
	ck_assert_uint_eq(value, UINT32_MAX);
}
END_TEST

UNIT_MAIN("base/options", fallback_environment_command_line, refuses_what_is_no_option, help_names_all, host_and_port,
          long_hosts, numbers)
