/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong, line by line: the findings and the agents of a problem document (RFC 9457), and findings of our own. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"
#include "model/findings.h"

#include <jansson.h>

/* "ssls/shop (shop.json)" for the item of an apply with this index; appends nothing when there is none. context is the caller's. */
typedef void problem_item_fn(struct buf *out, size_t index, void *context);

/* Errors, warnings and agents of the document, a line each, indented. item may be NULL. */
void problem_put(struct buf *out, const json_t *document, problem_item_fn *item, void *context);
/* The warnings of an answer that is no problem. */
void problem_put_warnings(struct buf *out, const json_t *document, problem_item_fn *item, void *context);
/* Of an answer to wait=served: names that other objects answer, or newer revisions. */
void problem_put_names(struct buf *out, const json_t *names);
void problem_put_findings(struct buf *out, const char *where, const struct findings *findings);
