/* SPDX-License-Identifier: Apache-2.0 */
/* The history of accepted changes, newest first. */
#include "api/revisions.h"

#include "api/auth.h"
#include "api/handlers.h"
#include "api/list.h"
#include "api/poll.h"
#include "store/store_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

json_t *revision_render(const struct store_revision *row)
{
	char revision[QUERY_REVISION_MAX], chain[2 * DIGEST_LEN + 1];

	query_format_revision(row->revision, revision);
	for (size_t i = 0; i < DIGEST_LEN; i++)
		snprintf(chain + 2 * i, 3, "%02x", row->chain.bytes[i]);
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:i, s:s}", "revision", revision, "time", (json_int_t)row->time,
	                 "actor", row->actor, "request_id", row->request_id, "source", row->source, "summary", row->summary,
	                 "changes_total", (int)row->changes, "chain", chain);
}

static void reply(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
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
		if (json_array_append_new(items, revision_render(&rows[i])) < 0) {
			json_decref(items);
			items = NULL;
		}
	}
	return items;
}

static struct store_revision_filter filter_of(const struct call *call)
{
	const struct query_history *history = &call->query.history;

	return (struct store_revision_filter){
	    .after = history->after.number,
	    .is_forward = history->has_after,
	    .actor = history->actor[0] != 0 ? history->actor : NULL,
	    .kind = history->kind,
	    .id = history->id,
	};
}

/* Whoever follows history must not miss a part of it in silence. */
static int check_after(struct call *call, struct store_reader *reader, struct revision head)
{
	struct revision after = call->query.history.after;

	if (!call->query.history.has_after)
		return 0;
	if ((after.epoch != 0 && after.epoch != head.epoch) || after.number > head.number)
		return error_set(&call->error, E_GONE, "\"after\" is of another history of this store, which is at %" PRIu64 "-%" PRIu64,
		                 head.epoch, head.number);
	return store_check_kept(reader, after.number, &call->error);
}

/* A page, oldest first, goes on behind its last revision; any other by its cursor. */
static void close_list(struct call *call, const struct store_revision *rows, size_t count, struct revision head)
{
	struct query_cursor cursor = call->query.cursor;
	const struct query_history *history = &call->query.history;
	size_t limit = call->query.limit, shown = count < limit ? count : limit;
	bool is_filtered = history->has_after || history->kind != 0 || history->actor[0] != 0;
	char next[QUERY_CURSOR_MAX] = "";

	if (cursor.revision.number == 0)
		cursor.revision = head;
	if (count > limit && !history->has_after) {
		snprintf(cursor.after, sizeof(cursor.after), "%" PRIu64, rows[limit - 1].revision.number);
		query_format_cursor(&cursor, next);
	}
	list_close_page(call, render_rows(rows, shown), next, cursor.revision, is_filtered ? NULL : &cursor.revision.number);
	query_format_revision(head, call->revision);
	change_format_head_etag(head, call->etag);
	call->poll_seen = head.number;
}

static void run_list(struct call *call, struct store_reader *reader)
{
	struct store_revision_filter filter = filter_of(call);
	size_t limit = call->query.limit, count = 0;
	struct store_revision *rows = calloc(limit + 1, sizeof(*rows)), head;
	int r = rows != NULL ? list_begin(call, reader, &head) : error_nomem(&call->error);

	if (r == 0)
		r = read_before(call, &filter.before);
	if (r == 0)
		r = check_after(call, reader, head.revision);
	if (r == 0)
		r = store_find_revisions(reader, &filter, rows, limit + 1, &count, &call->error);
	if (r == 0)
		close_list(call, rows, count, head.revision);
	free(rows);
}

static void reply_list(struct call *call)
{
	if (call->query.history.waits && json_array_size(json_object_get(call->document, "items")) == 0)
		poll_wait(call);
	else if (poll_has_waited(call) && auth_check_again(call) < 0)
		call_reply_error(call);
	else
		reply(call);
}

void revisions_list(struct call *call)
{
	call_run(call, run_list, reply_list);
}
