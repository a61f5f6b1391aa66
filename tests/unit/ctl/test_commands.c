/* SPDX-License-Identifier: Apache-2.0 */
/* Which command is meant, what it takes, and what the shells are offered. */
#include "ctl/commands.h"

#include "unit.h"

#include <string.h>

static struct error err;

static size_t split(char *text, const char **words)
{
	size_t count = 0;

	while (text != NULL)
		words[count++] = strsep(&text, " ");
	return count;
}

static int find(const char *line, const struct command **ret, size_t *ret_used)
{
	static char text[512];
	static const char *words[32];
	static struct args args;
	size_t count;

	strcpy(text, line);
	count = split(text, words);
	args = (struct args){0};
	err = ERROR_NULL;
	ck_assert_int_eq(args_parse((int)count, (char *const *)(uintptr_t)words, &args, &err), 0);
	return command_find(&args, ret, ret_used, &err);
}

START_TEST(finds)
{
	const struct command *command;
	size_t used;

	ck_assert_int_eq(find("ctl get ssls shop", &command, &used), 0);
	ck_assert_str_eq(command->name, "get");
	ck_assert_uint_eq(used, 1);
	ck_assert_int_eq(find("ctl token revoke x", &command, &used), 0);
	ck_assert_str_eq(command->verb, "revoke");
	ck_assert_uint_eq(used, 2);
	ck_assert_int_eq(find("ctl -o json", &command, &used), 0);
	ck_assert_ptr_null(command);
}
END_TEST

START_TEST(refuses)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
	    {"ctl nope", "unknown command nope"}, {"ctl token", "which of its commands"}, {"ctl token nope", "which of its commands"},
	    {"ctl get", "usage: tlsplanectl get KIND [ID]"}, {"ctl get a b c", "usage"}, {"ctl agents --prune", "agents does not take --prune"},
	    {"ctl token revoke", "usage: tlsplanectl token revoke ID"}, {"ctl apply word", "usage"}, {"ctl watch --wait acked", "--wait"},
	};
	const struct command *command;
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ck_assert_msg(find(cases[i].line, &command, &used) == E_SYNTAX, "%s", cases[i].line);
		ck_assert_msg(strstr(err.text, cases[i].says) != NULL, "%s: %s", cases[i].line, err.text);
	}
	ck_assert_int_eq(find("ctl get --help", &command, &used), 0);
}
END_TEST

START_TEST(help_names_all)
{
	struct buf help = BUF_NULL;

	command_print_help(NULL, &help);
	for (size_t i = 0; i < command_table_len; i++) {
		const struct command *command = &command_table[i];
		struct buf own = BUF_NULL;

		ck_assert_ptr_nonnull(strstr(buf_cstr(&help), command->help));
		command_print_help(command, &own);
		ck_assert_ptr_nonnull(strstr(buf_cstr(&own), command->name));
		for (int option = 0; option < OPTIONS_; option++) {
			if (command->options & OPTION_BIT(option))
				ck_assert_ptr_nonnull(strstr(buf_cstr(&own), option_table[option].name));
		}
		buf_deinit(&own);
	}
	buf_deinit(&help);
}
END_TEST

START_TEST(completes)
{
	static const struct {
		const char *line, *offered;
		bool is_file;
	} cases[] = {
	    {"", "apply\ndiff\nget\nagents\nresolve\nexpiring\nrollback\nwatch\ntoken\njoin-token\n"},
	    {"a", "apply\nagents\n"},
	    {"token ", "create\nlist\nrevoke\n"},
	    {"join-token d", "delete\n"},
	    {"-o json get upstream", "upstreams\nupstream_tls\n"},
	    {"get ssls ", ""},
	    {"apply --d", "--dry-run\n"},
	    {"agents --d", ""},
	    {"token create --r", "--role\n"},
	    {"apply --wait ", "acked\nserved\nnone\n"},
	    {"apply --wait=", "--wait=acked\n--wait=served\n--wait=none\n"},
	    {"apply --wait=s", "--wait=served\n"},
	    {"apply --wai=", ""},
	    {"token create --role v", "viewer\n"},
	    {"-o j", "json\n"},
	    {"apply -f ", "", true},
	    {"apply --file=", "", true},
	    {"get --url ", ""},
	    {"nope ", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = BUF_NULL;
		const char *words[16];
		char text[128];

		strcpy(text, cases[i].line);
		ck_assert_msg(command_complete(words, split(text, words), &out) == cases[i].is_file, "%s", cases[i].line);
		ck_assert_msg(strcmp(buf_cstr(&out), cases[i].offered) == 0, "%s: %s", cases[i].line, (const char *)out.data);
		buf_deinit(&out);
	}
}
END_TEST

UNIT_MAIN("ctl/commands", finds, refuses, help_names_all, completes)
