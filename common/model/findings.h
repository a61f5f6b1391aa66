/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is wrong or doubtful about an input, all at once, each with a JSON Pointer (RFC 6901). */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

#define FINDINGS_MAX 100 /* what is found beyond is counted, not kept */

enum finding_severity { FINDING_ERROR, FINDING_WARNING };

struct finding {
	enum finding_severity severity;
	const char *code;  /* static, kebab-case, part of the API: "key-mismatch" */
	char pointer[256]; /* "" is the whole document */
	char detail[384];  /* for people; never a secret, input quoted only escaped and short */
};

struct findings {
	struct finding *items; /* owned */
	size_t count;
	size_t errors;   /* all seen, kept or not */
	size_t warnings; /* all seen, kept or not */
	bool failed;     /* an allocation failed: treat as an error */
};

#define FINDINGS_NULL ((struct findings){0})

void findings_deinit(struct findings *findings);
DEFINE_CLEANUP_VALUE(struct findings, findings_deinit);

/* pointer: full JSON pointer text. */
void findings_add(struct findings *findings, enum finding_severity severity, const char *code, const char *pointer,
                  const char *format, ...) PRINTF_LIKE(5, 6);
/* Appends all of `more`, each pointer put behind prefix. */
void findings_append(struct findings *findings, const char *prefix, const struct findings *more);
/* Turns warnings into errors (strict). */
void findings_make_strict(struct findings *findings);
