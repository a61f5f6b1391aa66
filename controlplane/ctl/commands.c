/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and what is made from it. */
#include "ctl/commands.h"

#include "ctl/views.h"
#include "model/kind.h"

#include <stdio.h>
#include <string.h>

#define WRITE (OPTION_BIT(OPTION_STRICT) | OPTION_BIT(OPTION_DRY_RUN) | OPTION_BIT(OPTION_WAIT) | OPTION_BIT(OPTION_YES))
#define FILTERS                                                                                                        \
	(OPTION_BIT(OPTION_LABEL) | OPTION_BIT(OPTION_SNI) | OPTION_BIT(OPTION_TYPE) | OPTION_BIT(OPTION_STATUS) |         \
	 OPTION_BIT(OPTION_EXPIRES_BEFORE) | OPTION_BIT(OPTION_ISSUER) | OPTION_BIT(OPTION_FINGERPRINT) |                  \
	 OPTION_BIT(OPTION_KEY_TYPE) | OPTION_BIT(OPTION_SORT) | OPTION_BIT(OPTION_LIMIT))
#define FOLDER (OPTION_BIT(OPTION_FILE) | OPTION_BIT(OPTION_PRUNE) | OPTION_BIT(OPTION_LABEL) | OPTION_BIT(OPTION_ALLOW_EMPTY))

const struct command command_table[] = {
    {"apply", NULL, "-f PATH", 0, 0, FOLDER | WRITE, "make the control plane have what a folder says, in one revision", apply_run},
    {"diff", NULL, "-f PATH | REVISION [REVISION]", 0, 2, FOLDER, "what apply would change, or what changed between two revisions",
     diff_run},
    {"get", NULL, "KIND [ID]", 1, 2, FILTERS, "objects of a kind, or one of them", get_run},
    {"agents", NULL, "[ID]", 0, 1, OPTION_BIT(OPTION_LIMIT), "the fleet: what each agent has applied, and what is wrong", agents_run},
    {"resolve", NULL, "AGENT LISTENER [SNI]", 2, 3, OPTION_BIT(OPTION_ALPN) | OPTION_BIT(OPTION_CLIENT_IP),
     "what a handshake gets, and why", resolve_run},
    {"expiring", NULL, "[PERIOD]", 0, 1, OPTION_BIT(OPTION_LABEL) | OPTION_BIT(OPTION_LIMIT),
     "certificates that end within 30d, or the period given; the first to end first", expiring_run},
    {"rollback", NULL, "REVISION [KIND/ID...]", 1, ARGS_WORDS_MAX, WRITE, "make configuration what it was, or only some objects",
     rollback_run},
    {"watch", NULL, "", 0, 0, OPTION_BIT(OPTION_AFTER), "print revisions as they come, until interrupted", watch_run},
    {"token", "create", "", 0, 0,
     OPTION_BIT(OPTION_ID) | OPTION_BIT(OPTION_ROLE) | OPTION_BIT(OPTION_SNI_SUFFIX) | OPTION_BIT(OPTION_LABEL) |
         OPTION_BIT(OPTION_EXPIRES_IN) | OPTION_BIT(OPTION_DESC),
     "an API token; its text is told once", token_create_run},
    {"token", "list", "", 0, 0, OPTION_BIT(OPTION_LIMIT), "API tokens, without their texts", token_list_run},
    {"token", "revoke", "ID", 1, 1, 0, "end an API token at once", token_revoke_run},
    {"join-token", "create", "", 0, 0,
     OPTION_BIT(OPTION_TTL) | OPTION_BIT(OPTION_LABEL) | OPTION_BIT(OPTION_AGENT_ID) | OPTION_BIT(OPTION_DESC),
     "a token with which one agent can enrol; its text is told once", join_token_create_run},
    {"join-token", "list", "", 0, 0, OPTION_BIT(OPTION_LIMIT), "join tokens, without their texts", join_token_list_run},
    {"join-token", "delete", "ID", 1, 1, 0, "no agent can enrol with it any more", join_token_delete_run},
};
const size_t command_table_len = ARRAY_LEN(command_table);

/* Finding ---------------------------------------------------------------------------------------------------------- */

static const struct command *find(const char *name, const char *verb)
{
	for (size_t i = 0; i < command_table_len; i++) {
		const struct command *command = &command_table[i];

		if (strcmp(command->name, name) == 0 && (command->verb == NULL || (verb != NULL && strcmp(command->verb, verb) == 0)))
			return command;
	}
	return NULL;
}

static bool is_name(const char *name)
{
	for (size_t i = 0; i < command_table_len; i++) {
		if (strcmp(command_table[i].name, name) == 0)
			return true;
	}
	return false;
}

static int check_options(const struct args *args, const struct command *command, struct error *err)
{
	for (size_t i = 0; i < args->given_len; i++) {
		enum option option = args->given[i].option;

		if (((OPTIONS_COMMON | command->options) & OPTION_BIT(option)) == 0)
			return error_set(err, E_SYNTAX, "%s does not take --%s", command->name, option_table[option].name);
	}
	return 0;
}

int command_find(const struct args *args, const struct command **ret, size_t *ret_used, struct error *err)
{
	const char *name = args->words[0], *verb = args->words_len > 1 ? args->words[1] : NULL;
	const struct command *command;
	size_t used, rest;

	*ret = NULL;
	if (args->words_len == 0)
		return 0;
	command = find(name, verb);
	if (command == NULL)
		return error_set(err, E_SYNTAX, is_name(name) ? "%.64s: which of its commands? (see --help)" : "unknown command %.64s (see --help)",
		                 name);
	used = command->verb != NULL ? 2 : 1;
	rest = args->words_len - used;
	if (!args_has(args, OPTION_HELP) && (rest < command->words_min || rest > command->words_max))
		return error_set(err, E_SYNTAX, "usage: tlsplanectl %s%s%s %s", command->name, command->verb != NULL ? " " : "",
		                 command->verb != NULL ? command->verb : "", command->words);
	*ret = command;
	*ret_used = used;
	return check_options(args, command, err);
}

/* Help ------------------------------------------------------------------------------------------------------------- */

static void put_synopsis(const struct command *command, struct buf *out)
{
	buf_printf(out, "%s%s%s%s%s", command->name, command->verb != NULL ? " " : "", command->verb != NULL ? command->verb : "",
	           command->words[0] != 0 ? " " : "", command->words);
}

void command_print_help(const struct command *command, struct buf *out)
{
	buf_put_str(out, "Usage: tlsplanectl ");
	if (command != NULL) {
		put_synopsis(command, out);
		buf_printf(out, " [OPTIONS]\n  %s\n\nOptions:\n", command->help);
		args_print_help(command->options | OPTIONS_COMMON, out);
		return;
	}
	buf_put_str(out, "COMMAND [OPTIONS]\nThe command line of tlsplane's admin API.\n\nCommands:\n");
	for (size_t i = 0; i < command_table_len; i++) {
		struct buf left = BUF_NULL;

		put_synopsis(&command_table[i], &left);
		out->failed |= buf_cstr(&left) == NULL;
		if (!out->failed)
			buf_printf(out, "  %-38s %s\n", (const char *)left.data, command_table[i].help);
		buf_deinit(&left);
	}
	buf_put_str(out, "\nOptions of all commands (tlsplanectl COMMAND --help tells the others):\n");
	args_print_help(OPTIONS_COMMON, out);
	buf_put_str(out, "\nExit status: 0 done; 1 refused; 2 wrong usage, settings or files; 3 not reached or the time is over;\n"
	                 "4 diff found differences.\n");
}

/* Completion ------------------------------------------------------------------------------------------------------- */

static void offer(struct buf *out, const char *prefix, const char *text, const char *begun)
{
	struct buf word = BUF_NULL;

	buf_printf(&word, "%s%s", prefix, text);
	if (buf_cstr(&word) == NULL)
		out->failed = true;
	else if (strncmp((const char *)word.data, begun, strlen(begun)) == 0)
		buf_printf(out, "%s\n", (const char *)word.data);
	buf_deinit(&word);
}

/* "table|json": the words between the bars. */
static void offer_values(struct buf *out, const char *prefix, const char *values, const char *begun)
{
	char word[32];

	while (values != NULL) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(values, "|"), values);
		offer(out, prefix, word, begun);
		values = strchr(values, '|');
		values += values != NULL;
	}
}

/* The option with an argument that a word names in its first len bytes: "--wait", "-o". NULL: none. */
static const struct option_info *find_waiting(const char *word, size_t len)
{
	for (int i = 0; i < OPTIONS_; i++) {
		const struct option_info *info = &option_table[i];
		bool is_long = len > 2 && strncmp(word, "--", 2) == 0 && strlen(info->name) == len - 2 &&
		               strncmp(word + 2, info->name, len - 2) == 0;
		bool is_short = len == 2 && word[0] == '-' && info->letter != 0 && word[1] == info->letter;

		if ((is_long || is_short) && info->argument != NULL)
			return info;
	}
	return NULL;
}

static void offer_options(const struct command *command, const char *begun, struct buf *out)
{
	uint64_t options = OPTIONS_COMMON | (command != NULL ? command->options : 0);

	for (int i = 0; i < OPTIONS_; i++) {
		if (options & OPTION_BIT(i))
			offer(out, "--", option_table[i].name, begun);
	}
}

static void offer_commands(const char *name, const char *begun, struct buf *out)
{
	const char *last = "";

	for (size_t i = 0; i < command_table_len; i++) {
		const struct command *command = &command_table[i];
		const char *word = name == NULL ? command->name : strcmp(command->name, name) == 0 ? command->verb : NULL;

		if (word != NULL && strcmp(word, last) != 0)
			offer(out, "", word, begun);
		last = word != NULL ? word : last;
	}
}

/* The argument of an option, of which `begun` is there behind the prefix ("--wait=", or ""). */
static bool offer_argument(const struct option_info *info, const char *prefix, const char *begun, struct buf *out)
{
	if (strchr(info->argument, '|') != NULL)
		offer_values(out, prefix, info->argument, begun);
	return strcmp(info->argument, "FILE") == 0 || strcmp(info->argument, "PATH") == 0;
}

bool command_complete(const char *const *words, size_t count, struct buf *out)
{
	const char *begun = count > 0 ? words[count - 1] : "", *plain[2] = {NULL, NULL};
	const struct option_info *waiting = count > 1 ? find_waiting(words[count - 2], strlen(words[count - 2])) : NULL;
	const struct option_info *joined = strchr(begun, '=') != NULL ? find_waiting(begun, strcspn(begun, "=")) : NULL;
	const struct command *command;
	size_t plain_len = 0;
	char prefix[64];

	for (size_t i = 0; i + 1 < count; i++) {
		if (find_waiting(words[i], strlen(words[i])) != NULL)
			i++;
		else if (words[i][0] != '-' && plain_len++ < ARRAY_LEN(plain))
			plain[plain_len - 1] = words[i];
	}
	command = plain[0] != NULL ? find(plain[0], plain[1]) : NULL;
	snprintf(prefix, sizeof(prefix), "%.*s=", (int)strcspn(begun, "="), begun);
	if (waiting != NULL || joined != NULL)
		return offer_argument(waiting != NULL ? waiting : joined, waiting != NULL ? "" : prefix, begun, out);
	if (begun[0] == '-')
		offer_options(command, begun, out);
	else if (plain_len < 2 && (command == NULL || plain_len == 0))
		offer_commands(plain[0], begun, out);
	else if (plain_len == 1 && command->run == get_run)
		view_each_kind(offer, out, begun);
	return false;
}
