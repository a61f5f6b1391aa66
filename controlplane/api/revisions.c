/* SPDX-License-Identifier: Apache-2.0 */
/* The history of accepted changes, newest first. */
#include "api/handlers.h"

#include "api/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *render(const struct store_revision *row)
{
	char revision[QUERY_REVISION_MAX], chain[2 * DIGEST_LEN + 1];

	query_format_revision(row->revision, revision);
	for (size_t i = 0; i < DIGEST_LEN; i++)
		snprintf(chain + 2 * i, 3, "%02x", row->chain.bytes[i]);
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:i, s:s}", "revision", revision, "time", (json_int_t)row->time,
	                 "actor", row->actor, "request_id", row->request_id, "source", row->source, "summary", row->summary,
	                 "changes", (int)row->changes, "chain", chain);
}

static void run_get(struct call *call, struct store_reader *reader)
{
	struct store_revision row;
	struct revision wanted;
	int r = query_parse_revision(call->id, &wanted, &call->error);

	if (r == 0)
		r = store_get_revision(reader, wanted.number, &row, &call->error);
	if (r == 0 && wanted.epoch != 0 && wanted.epoch != row.revision.epoch)
		r = E_NOT_FOUND;
	if (r == E_NOT_FOUND)
		error_set(&call->error, r, "no revision %s", call->id);
	if (r == 0)
		call->document = render(&row);
}

static void reply(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

void revisions_get(struct call *call)
{
	call_run(call, run_get, reply);
}

/* The cursor's "after" is the number below which the next page begins. */
static int read_before(struct call *call, uint64_t *ret)
{
	struct revision below = {0};
	const char *after = call->query.cursor.after;

	if (after[0] != 0 && (query_parse_revision(after, &below, &call->error) < 0 || below.epoch != 0))
		return error_set(&call->error, E_SYNTAX, "the cursor is not one of this list");
	*ret = below.number;
	return 0;
}

/* NULL without memory. */
static json_t *render_rows(const struct store_revision *rows, size_t count)
{
	json_t *items = json_array();

	for (size_t i = 0; items != NULL && i < count; i++) {
		if (json_array_append_new(items, render(&rows[i])) < 0) {
			json_decref(items);
			items = NULL;
		}
	}
	return items;
}

static void run_list(struct call *call, struct store_reader *reader)
{
	size_t limit = call->query.limit, count = 0;
	struct store_revision *rows = calloc(limit + 1, sizeof(*rows)), head;
	struct query_cursor cursor = call->query.cursor;
	char next[QUERY_CURSOR_MAX] = "";
	uint64_t before = 0;
	int r = rows != NULL ? list_begin(call, reader, &head) : error_nomem(&call->error);

	if (r == 0)
		r = read_before(call, &before);
	if (r == 0)
		r = store_list_revisions(reader, before, rows, limit + 1, &count, &call->error);
	if (r == 0) {
		if (cursor.revision.number == 0)
			cursor.revision = head.revision;
		if (count > limit) {
			snprintf(cursor.after, sizeof(cursor.after), "%" PRIu64, rows[limit - 1].revision.number);
			query_format_cursor(&cursor, next);
		}
		list_close_page(call, render_rows(rows, count < limit ? count : limit), next, cursor.revision,
		                cursor.revision.number);
	}
	free(rows);
}

void revisions_list(struct call *call)
{
	call_run(call, run_list, reply);
}
