/* SPDX-License-Identifier: Apache-2.0 */
/* Options anywhere, in both spellings, with their twins in the environment. */
#include "ctl/args.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

static struct args args;
static struct error err;

/* words: separated by single spaces. */
static int parse(const char *line)
{
	static char text[1024];
	static char *argv[64];
	char *rest = text;
	int argc = 0;

	strcpy(text, line);
	while (rest != NULL && argc < 64)
		argv[argc++] = strsep(&rest, " ");
	args = (struct args){0};
	err = ERROR_NULL;
	return args_parse(argc, argv, &args, &err);
}

START_TEST(options_stand_anywhere)
{
	size_t at = 0;

	ck_assert_int_eq(parse("ctl -o json apply -fdir --label=a=b -f other --prune -l c=d --yes -- --word -"), 0);
	ck_assert_uint_eq(args.words_len, 3);
	ck_assert_str_eq(args.words[0], "apply");
	ck_assert_str_eq(args.words[1], "--word");
	ck_assert_str_eq(args.words[2], "-");
	ck_assert_str_eq(args_get(&args, OPTION_OUTPUT), "json");
	ck_assert_str_eq(args_next(&args, OPTION_FILE, &at), "dir");
	ck_assert_str_eq(args_next(&args, OPTION_FILE, &at), "other");
	ck_assert_ptr_null(args_next(&args, OPTION_FILE, &at));
	ck_assert_str_eq(args_get(&args, OPTION_FILE), "other");
	at = 0;
	ck_assert_str_eq(args_next(&args, OPTION_LABEL, &at), "a=b");
	ck_assert_str_eq(args_next(&args, OPTION_LABEL, &at), "c=d");
	ck_assert(args_has(&args, OPTION_PRUNE) && args_has(&args, OPTION_YES) && !args_has(&args, OPTION_STRICT));
}
END_TEST

START_TEST(refuses)
{
	static const char *const lines[] = {"ctl --nope", "ctl -x", "ctl --prune=1", "ctl -yes", "ctl --url", "ctl -o", "ctl --ur x",
	                                    "ctl ---url x", "ctl --=x"};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		ck_assert_msg(parse(lines[i]) == E_SYNTAX, "%s", lines[i]);
		ck_assert_uint_gt(strlen(err.text), 0);
	}
}
END_TEST

START_TEST(bounds)
{
	static char *argv[ARGS_WORDS_MAX + 3];

	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		argv[i] = (char *)(uintptr_t)"w";
	args = (struct args){0};
	ck_assert_int_eq(args_parse(ARGS_WORDS_MAX + 1, argv, &args, &err), 0);
	args = (struct args){0};
	ck_assert_int_eq(args_parse(ARGS_WORDS_MAX + 2, argv, &args, &err), E_SYNTAX);
	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		argv[i] = (char *)(uintptr_t)"-y";
	args = (struct args){0};
	ck_assert_int_eq(args_parse(ARGS_OPTIONS_MAX + 2, argv, &args, &err), E_SYNTAX);
}
END_TEST

START_TEST(environment)
{
	setenv("TLSPLANE_URL", "https://env", 1);
	ck_assert_int_eq(parse("ctl"), 0);
	ck_assert_str_eq(args_get(&args, OPTION_URL), "https://env");
	ck_assert_int_eq(parse("ctl --url https://line"), 0);
	ck_assert_str_eq(args_get(&args, OPTION_URL), "https://line");
	setenv("TLSPLANE_URL", "", 1);
	ck_assert_int_eq(parse("ctl"), 0);
	ck_assert_ptr_null(args_get(&args, OPTION_URL));
}
END_TEST

START_TEST(numbers)
{
	uint32_t value = 7;

	ck_assert_int_eq(parse("ctl"), 0);
	ck_assert_int_eq(args_get_number(&args, OPTION_LIMIT, 1, 10, &value, &err), 0);
	ck_assert_uint_eq(value, 7);
	ck_assert_int_eq(parse("ctl --limit 10"), 0);
	ck_assert_int_eq(args_get_number(&args, OPTION_LIMIT, 1, 10, &value, &err), 0);
	ck_assert_uint_eq(value, 10);
	ck_assert_int_eq(args_get_number(&args, OPTION_LIMIT, 1, 9, &value, &err), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(err.text, "--limit"));
}
END_TEST

START_TEST(the_table_is_whole)
{
	struct buf help = BUF_NULL;

	for (int i = 0; i < OPTIONS_; i++) {
		ck_assert_ptr_nonnull(option_table[i].name);
		ck_assert_ptr_nonnull(option_table[i].help);
		for (int j = 0; j < i; j++) {
			ck_assert_str_ne(option_table[i].name, option_table[j].name);
			ck_assert(option_table[i].letter == 0 || option_table[i].letter != option_table[j].letter);
		}
	}
	args_print_help(OPTION_BIT(OPTION_FILE) | OPTION_BIT(OPTION_YES), &help);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&help), "-f, --file PATH"));
	ck_assert_ptr_null(strstr(buf_cstr(&help), "--prune"));
	buf_deinit(&help);
}
END_TEST

UNIT_MAIN("ctl/args", options_stand_anywhere, refuses, bounds, environment, numbers, the_table_is_whole)
