/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the program: what a command has at hand, and how it ends. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "ctl/args.h"
#include "ctl/client.h"
#include "ctl/problem_text.h"
#include "ctl/settings.h"

#include <stdbool.h>

/* The exit status; part of the program's contract (tlsplanectl(1)). */
enum ctl_exit {
	CTL_OK = 0,
	CTL_REFUSED = 1,   /* it won't get better by itself */
	CTL_USAGE = 2,     /* wrong words, settings or files; nothing was sent that changes anything */
	CTL_AWAY = 3,      /* not reached, or the time is over: try again later */
	CTL_DIFFERENT = 4, /* `diff` found differences */
};

struct ctl {
	struct args args;
	struct settings settings;
	struct client *client;
	const char *const *words; /* those behind the command's name */
	size_t words_len;
	struct buf out;     /* for stdout, written at the end or by ctl_flush */
	struct buf details; /* for stderr, below the line that says what failed */
	bool is_terminal;   /* stdin and stderr: somebody can be asked */
};

void ctl_deinit(struct ctl *ctl);

/* 0, CTL_DIFFERENT, or an error. */
typedef int ctl_run_fn(struct ctl *ctl, struct error *err);

/* Writes out to stdout. E_IO: it can't be written. */
int ctl_flush(struct ctl *ctl, struct error *err) MUST_USE;
/* The same for a text that is for people, to stderr: escaped already; then empties it. */
void ctl_say(struct buf *text);

/* client_call; what a refusal tells goes into details, and for programs its document into out. */
int ctl_call(struct ctl *ctl, const struct request *request, struct answer *answer, problem_item_fn *item, void *context,
             struct error *err) MUST_USE;
/* It was no failure: nothing is told of it. */
void ctl_forget_refusal(struct ctl *ctl, struct error *err);
/* GET; the same. */
int ctl_get(struct ctl *ctl, const char *path, struct answer *answer, struct error *err) MUST_USE;

/* Puts an answer out for programs: its bytes to a pipe or file; to a terminal indented and without anything that it could obey. */
int ctl_put_json(struct ctl *ctl, const struct answer *answer, struct error *err) MUST_USE;
int ctl_put_document(struct ctl *ctl, const json_t *document, struct error *err) MUST_USE;

/* The answer to an apply or a rollback. */
int ctl_put_applied(struct ctl *ctl, const struct answer *answer, problem_item_fn *item, void *context, struct error *err) MUST_USE;

/* Asks on a terminal, unless --yes. E_CLOSED: the answer was no. */
int ctl_confirm(struct ctl *ctl, const char *question, struct error *err) MUST_USE;

/* "&name=VALUE" or "?name=VALUE", escaped. */
void ctl_put_parameter(struct buf *path, const char *name, const char *value);
/* "?strict=true&wait=acked&timeout=87" as the options say. */
void ctl_put_write_query(const struct ctl *ctl, struct buf *path);
bool ctl_waits(const struct ctl *ctl);
/* The labels of all -l, as a JSON object. E_SYNTAX. */
int ctl_take_labels(const struct ctl *ctl, json_t **ret, struct error *err) MUST_USE;
