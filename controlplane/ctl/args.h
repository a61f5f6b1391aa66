/* SPDX-License-Identifier: Apache-2.0 */
/* Words and options of a command line, from one table; options may stand anywhere. Which command takes which of them is the
 * commands' table (commands.h). */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stddef.h>
#include <stdint.h>

#define ARGS_WORDS_MAX 256
#define ARGS_OPTIONS_MAX 256

enum option {
	/* of every command */
	OPTION_URL,
	OPTION_TOKEN_FILE,
	OPTION_CA_FILE,
	OPTION_PLAIN_HTTP,
	OPTION_TIMEOUT,
	OPTION_OUTPUT,
	OPTION_HELP,
	OPTION_VERSION,
	/* of some */
	OPTION_FILE,
	OPTION_LABEL,
	OPTION_PRUNE,
	OPTION_ALLOW_EMPTY,
	OPTION_YES,
	OPTION_DRY_RUN,
	OPTION_STRICT,
	OPTION_WAIT,
	OPTION_SNI,
	OPTION_TYPE,
	OPTION_STATUS,
	OPTION_EXPIRES_BEFORE,
	OPTION_ISSUER,
	OPTION_FINGERPRINT,
	OPTION_KEY_TYPE,
	OPTION_SORT,
	OPTION_LIMIT,
	OPTION_ALPN,
	OPTION_CLIENT_IP,
	OPTION_ID,
	OPTION_ROLE,
	OPTION_SNI_SUFFIX,
	OPTION_EXPIRES_IN,
	OPTION_DESC,
	OPTION_TTL,
	OPTION_AGENT_ID,
	OPTION_AFTER,
	OPTIONS_
};

#define OPTION_BIT(option) (UINT64_C(1) << (option))
#define OPTIONS_COMMON (OPTION_BIT(OPTION_FILE) - 1) /* those before OPTION_FILE */

struct option_info {
	const char *name;     /* without dashes */
	char letter;          /* 0: none */
	const char *argument; /* NULL: a switch */
	const char *environment; /* NULL: none */
	const char *help;
};

extern const struct option_info option_table[OPTIONS_];

/* All pointers borrow from argv. */
struct args {
	struct {
		enum option option;
		const char *value; /* "1" of a switch */
	} given[ARGS_OPTIONS_MAX];
	size_t given_len;
	const char *words[ARGS_WORDS_MAX];
	size_t words_len;
};

/* argv[0] is skipped. E_SYNTAX: unknown option, argument missing or not wanted, too many. */
int args_parse(int argc, char *const *argv, struct args *args, struct error *err) MUST_USE;

/* The last one given, else the environment's (empty is not said), else NULL. */
const char *args_get(const struct args *args, enum option option);
bool args_has(const struct args *args, enum option option);
/* The next value of an option that may be repeated; *at begins with 0. NULL: no more. */
const char *args_next(const struct args *args, enum option option, size_t *at);

/* The whole text as a number in [min, max]; E_SYNTAX names the option. Absent: *ret stays. */
int args_get_number(const struct args *args, enum option option, uint32_t min, uint32_t max, uint32_t *ret,
                    struct error *err) MUST_USE;
/* "  -o, --output table|json   help" for each bit. */
void args_print_help(uint64_t options, struct buf *out);
