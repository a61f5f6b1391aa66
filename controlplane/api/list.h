/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of a collection. The first page fixes the revision, the cursor carries it on: a list read in pages is the list
 * of one moment. */
#pragma once

#include "api/call.h"

/* A page that shows little of what it has looked at ends early, with a cursor. */
#define LIST_LOOKS_MAX 10000

struct list {
	struct call *call;
	struct store_reader *reader;
	struct resource_limits limits;
	/* New reference, or NULL with err. */
	json_t *(*render)(const struct store_row *row, struct list *list, struct error *err);
	struct query_cursor cursor; /* moves along */
	json_t *items;              /* owned */
	size_t looked;              /* rows, shown or not */
	bool more;                  /* there is a next page */
	struct error *err;
};

/* Inside call_run: leaves {"items", "next", "revision", "total"} in call->document, or an error in call->error. */
void list_objects(struct call *call, struct store_reader *reader,
                  json_t *(*render)(const struct store_row *row, struct list *list, struct error *err));

/* Closes a page of anything: steals items (NULL: out of memory); next "" = the last page; total NULL: not known. */
void list_close_page(struct call *call, json_t *items, const char *next, struct revision revision, const uint64_t *total);
/* The newest revision; E_SYNTAX when the cursor is of another epoch or of the future. */
int list_begin(struct call *call, struct store_reader *reader, struct store_revision *ret_head) MUST_USE;
