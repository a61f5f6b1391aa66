/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options, and the walk over argv. */
#include "ctl/args.h"

#include "base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option_info option_table[OPTIONS_] = {
    [OPTION_URL] = {"url", 0, "URL", "TLSPLANE_URL", "https://HOST:PORT, http://HOST:PORT on loopback, unix:/PATH"},
    [OPTION_TOKEN_FILE] = {"token-file", 0, "FILE", "TLSPLANE_TOKEN_FILE", "the API token; or TLSPLANE_TOKEN has its text"},
    [OPTION_CA_FILE] = {"ca-file", 0, "FILE", "TLSPLANE_CA_FILE", "PEM, whom to trust for an https URL (default: the system's CAs)"},
    [OPTION_PLAIN_HTTP] = {"insecure-plain-http", 0, NULL, NULL, "allow http:// to others: anybody on the way reads keys"},
    [OPTION_TIMEOUT] = {"timeout", 0, "SECONDS", "TLSPLANE_TIMEOUT", "for reading, and for a change with its waiting (default 90)"},
    [OPTION_OUTPUT] = {"output", 'o', "table|json", NULL, "tables for people (default), or the API's JSON"},
    [OPTION_HELP] = {"help", 'h', NULL, NULL, "print this and exit"},
    [OPTION_VERSION] = {"version", 0, NULL, NULL, "print the version and exit"},
    [OPTION_FILE] = {"file", 'f', "PATH", NULL, "folder or file with objects; may be repeated"},
    [OPTION_LABEL] = {"label", 'l', "NAME=VALUE", NULL, "a label, several with commas or by repeating it"},
    [OPTION_PRUNE] = {"prune", 0, NULL, NULL, "delete what has all labels of -l and is not in the folder"},
    [OPTION_ALLOW_EMPTY] = {"allow-empty", 0, NULL, NULL, "a folder without any object is no mistake"},
    [OPTION_YES] = {"yes", 'y', NULL, NULL, "don't ask on a terminal"},
    [OPTION_DRY_RUN] = {"dry-run", 0, NULL, NULL, "let the control plane check everything, change nothing"},
    [OPTION_STRICT] = {"strict", 0, NULL, NULL, "warnings refuse like errors"},
    [OPTION_WAIT] = {"wait", 0, "acked|served|none", "TLSPLANE_WAIT", "until agents have applied it, or were seen serving it"},
    [OPTION_SNI] = {"sni", 0, "NAME", NULL, "who serves this name"},
    [OPTION_TYPE] = {"type", 0, "server|client", NULL, "SSL objects of this type"},
    [OPTION_STATUS] = {"status", 0, "0|1", NULL, "objects that are off, or on"},
    [OPTION_EXPIRES_BEFORE] = {"expires-before", 0, "WHEN", NULL, "a time (2026-12-31T00:00:00Z) or a distance (30d)"},
    [OPTION_ISSUER] = {"issuer", 0, "NAME", NULL, "certificates of this issuer: its whole name, or its CN"},
    [OPTION_FINGERPRINT] = {"fingerprint", 0, "SHA256", NULL, "of the certificate or of its public key"},
    [OPTION_KEY_TYPE] = {"key-type", 0, "TYPE", NULL, "rsa-2048, p256..."},
    [OPTION_SORT] = {"sort", 0, "id|expiry|-expiry", NULL, "order of SSL objects"},
    [OPTION_LIMIT] = {"limit", 0, "N", NULL, "at most so many (default: all)"},
    [OPTION_ALPN] = {"alpn", 0, "LIST", NULL, "protocols that the client offers: h2,http/1.1"},
    [OPTION_CLIENT_IP] = {"client-ip", 0, "ADDRESS", NULL, "the client's address"},
    [OPTION_ID] = {"id", 0, "ID", NULL, "its id (default: made by the control plane)"},
    [OPTION_ROLE] = {"role", 0, "admin|editor|viewer|enroller", NULL, "what the token may do"},
    [OPTION_SNI_SUFFIX] = {"sni-suffix", 0, "NAME", NULL, "the names that the token is for: \"*.team.example\"; may be repeated"},
    [OPTION_EXPIRES_IN] = {"expires-in", 0, "PERIOD", NULL, "seconds, or as in 90d (default: never)"},
    [OPTION_DESC] = {"desc", 0, "TEXT", NULL, "what it is for"},
    [OPTION_TTL] = {"ttl", 0, "SECONDS", NULL, "how long it can be used (default 600)"},
    [OPTION_AGENT_ID] = {"agent-id", 0, "ID", NULL, "the id that the agent gets (default: made by the control plane)"},
    [OPTION_AFTER] = {"after", 0, "REVISION", NULL, "begin behind this one (default: behind the newest)"},
};

static int find_name(const char *name, size_t len)
{
	for (int i = 0; i < OPTIONS_; i++) {
		if (strlen(option_table[i].name) == len && memcmp(option_table[i].name, name, len) == 0)
			return i;
	}
	return -1;
}

static int find_letter(char letter)
{
	for (int i = 0; i < OPTIONS_; i++) {
		if (letter != 0 && option_table[i].letter == letter)
			return i;
	}
	return -1;
}

/* Which option is text, and what value is written in the same word (NULL: none)? */
static int find_option(const char *text, const char **ret_value)
{
	const char *name = text + 2, *equals;
	int option;

	if (text[1] != '-') {
		option = find_letter(text[1]);
		*ret_value = text[2] != 0 ? text + 2 : NULL;
		return option;
	}
	equals = strchr(name, '=');
	*ret_value = equals != NULL ? equals + 1 : NULL;
	return find_name(name, equals != NULL ? (size_t)(equals - name) : strlen(name));
}

/* Takes argv[*at], and the word behind it when it needs one. */
static int take_option(int argc, char *const *argv, int *at, struct args *args, struct error *err)
{
	const char *text = argv[*at], *value = NULL;
	int option = find_option(text, &value);

	if (option < 0)
		return error_set(err, E_SYNTAX, "unknown option %.64s (see --help)", text);
	if (option_table[option].argument == NULL && value != NULL)
		return error_set(err, E_SYNTAX, "option --%s takes no argument", option_table[option].name);
	if (option_table[option].argument != NULL && value == NULL) {
		if (*at + 1 == argc)
			return error_set(err, E_SYNTAX, "option --%s needs an argument: %s", option_table[option].name,
			                 option_table[option].argument);
		value = argv[++*at];
	}
	if (args->given_len == ARGS_OPTIONS_MAX)
		return error_set(err, E_SYNTAX, "more than %d options", ARGS_OPTIONS_MAX);
	args->given[args->given_len].option = (enum option)option;
	args->given[args->given_len++].value = value != NULL ? value : "1";
	return 0;
}

int args_parse(int argc, char *const *argv, struct args *args, struct error *err)
{
	bool only_words = false;
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0)
			only_words = true;
		else if (!only_words && argv[i][0] == '-' && argv[i][1] != 0)
			r = take_option(argc, argv, &i, args, err);
		else if (args->words_len == ARGS_WORDS_MAX)
			r = error_set(err, E_SYNTAX, "more than %d words", ARGS_WORDS_MAX);
		else
			args->words[args->words_len++] = argv[i];
	}
	return r;
}

const char *args_get(const struct args *args, enum option option)
{
	const char *value;

	for (size_t i = args->given_len; i > 0; i--) {
		if (args->given[i - 1].option == option)
			return args->given[i - 1].value;
	}
	if (option_table[option].environment == NULL)
		return NULL;
	value = getenv(option_table[option].environment);
	return value != NULL && value[0] != 0 ? value : NULL;
}

bool args_has(const struct args *args, enum option option)
{
	return args_get(args, option) != NULL;
}

const char *args_next(const struct args *args, enum option option, size_t *at)
{
	while (*at < args->given_len) {
		size_t i = (*at)++;

		if (args->given[i].option == option)
			return args->given[i].value;
	}
	return NULL;
}

int args_get_number(const struct args *args, enum option option, uint32_t min, uint32_t max, uint32_t *ret, struct error *err)
{
	const char *text = args_get(args, option);
	int r;

	if (text == NULL)
		return 0;
	r = options_parse_u32(text, min, max, ret, err);
	return r < 0 ? error_prefix(err, r, "--%s", option_table[option].name) : 0;
}

void args_print_help(uint64_t options, struct buf *out)
{
	for (int i = 0; i < OPTIONS_; i++) {
		const struct option_info *info = &option_table[i];
		char left[64], letter[8] = "    ";

		if ((options & OPTION_BIT(i)) == 0)
			continue;
		if (info->letter != 0)
			snprintf(letter, sizeof(letter), "-%c, ", info->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, info->name, info->argument != NULL ? " " : "",
		         info->argument != NULL ? info->argument : "");
		buf_printf(out, "  %-32s %s%s%s%s\n", left, info->help, info->environment != NULL ? " [" : "",
		           info->environment != NULL ? info->environment : "", info->environment != NULL ? "]" : "");
	}
}
