/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, in one table: help, completion and the check of words and options come from it. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"
#include "ctl/ctl.h"

#include <stddef.h>
#include <stdint.h>

struct command {
	const char *name, *verb; /* "token", "create"; verb NULL: none */
	const char *words;       /* how help shows what stands behind: "KIND [ID]" */
	size_t words_min, words_max;
	uint64_t options; /* besides OPTIONS_COMMON */
	const char *help;
	ctl_run_fn *run;
};

extern const struct command command_table[];
extern const size_t command_table_len;

/* The command that the words begin with; *ret_used: how many of them are its name. E_SYNTAX: none, or words or options that it does
 * not take. *ret NULL with 0: there are no words at all. */
int command_find(const struct args *args, const struct command **ret, size_t *ret_used, struct error *err) MUST_USE;
/* All commands, or the one. */
void command_print_help(const struct command *command, struct buf *out);
/* What may stand in place of the last of the words (which are those before it and its beginning), a line each. True: the name of a file
 * is expected there. */
bool command_complete(const char *const *words, size_t count, struct buf *out);

/* The list of a whole collection, as `get` makes it (cmd_get.c). word: as for view_find; it must be there. Takes --limit. */
int list_run(struct ctl *ctl, const char *word, struct error *err) MUST_USE;

ctl_run_fn apply_run, diff_run;                                           /* cmd_apply.c */
ctl_run_fn get_run, agents_run, resolve_run, expiring_run;                /* cmd_get.c */
ctl_run_fn diff_revisions_run, rollback_run, watch_run;                   /* cmd_history.c */
ctl_run_fn token_create_run, token_list_run, token_revoke_run;            /* cmd_tokens.c */
ctl_run_fn join_token_create_run, join_token_list_run, join_token_delete_run;
