/* SPDX-License-Identifier: Apache-2.0 */
/* Problem documents (RFC 9457): the one form of every refusal. Pure. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/findings.h"

#include <jansson.h>
#include <stdbool.h>

#define PROBLEM_CONTENT_TYPE "application/problem+json"

struct problem {
	int status;
	const char *name; /* type is urn:tlsplane:error:NAME */
	const char *title;
	const char *detail;              /* NULL: none */
	const struct findings *findings; /* errors and warnings; NULL: none */
	bool itemized;                   /* they have "index" */
	json_t *more;                    /* further members, borrowed; NULL: none */
};

/* From an error. What is no user's business (damage, I/O, bugs) keeps its text for the log and says so little here. */
struct problem problem_from_error(const struct error *err, const struct findings *findings);
/* For what HTTP alone refuses: a status and words. */
struct problem problem_from_status(int status, const char *detail);

/* request_id NULL: none (the header has it). New reference, or NULL without memory. */
json_t *problem_render(const struct problem *problem, const char *request_id);
/* A text that was cut inside a character is no UTF-8: then all beyond ASCII goes. */
json_t *problem_render_text(const char *text);
/* {"code", "pointer", "detail"} of each finding of that severity; itemized: and "index", the number of the item that the
 * pointer leads into ("/3/...", "/put/3/..."). New reference, or NULL. */
json_t *problem_render_findings(const struct findings *findings, enum finding_severity severity, bool itemized);
/* "omitted": how many findings were seen and not kept; absent when none. 0, or -1 without memory. */
int problem_add_omitted(json_t *document, const struct findings *findings) MUST_USE;
