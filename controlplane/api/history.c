/* SPDX-License-Identifier: Apache-2.0 */
/* One revision whole, and what differs between two: pages over the same walk, the one with versions, the other with documents. */
#include "api/handlers.h"

#include "api/list.h"
#include "api/revisions.h"
#include "store/store_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_PER_PAGE 10000 /* rows; a page that has looked at so many ends early */

/* A page of changes. What an object was is its state at `before`, what it became that at `after`; either may be the later one. */
struct changes {
	struct call *call;
	struct store_reader *reader;
	struct resource_limits limits;
	uint64_t before, after;
	bool whole; /* documents, not versions */
	json_t *items;
	struct error *err;
};

static json_t *render_state(const struct changes *changes, const struct store_row *row, bool exists)
{
	char etag[64];

	if (!exists)
		return json_null();
	if (changes->whole)
		return resource_render(&row->state, &changes->limits, changes->err);
	change_format_etag(&row->state.object, etag);
	return json_string(etag);
}

static const char *word_for(bool was, bool is)
{
	return !was ? "create" : is ? "update" : "delete";
}

static bool is_same(const struct store_row *before, const struct store_row *after)
{
	return store_states_are_equal(before, after) &&
	       memcmp(before->state.object.uid.bytes, after->state.object.uid.bytes, UID_LEN) == 0;
}

static int add_change(struct changes *changes, const struct store_change *change, const struct store_row *before, bool was,
                      const struct store_row *after, bool is)
{
	json_t *item = json_pack("{s:s, s:s, s:s, s:o*, s:o*}", "op", word_for(was, is), "kind", kind_find(change->kind)->collection,
	                         "id", change->id, "before", render_state(changes, before, was), "after",
	                         render_state(changes, after, is));

	if (item != NULL && json_object_size(item) == 5 && json_array_append(changes->items, item) == 0) {
		json_decref(item);
		return 0;
	}
	json_decref(item);
	return changes->err->code < 0 ? changes->err->code : error_nomem(changes->err);
}

static int on_change(const struct store_change *change, void *context)
{
	struct changes *changes = context;
	CLEANUP(store_row_deinit) struct store_row before = {0}, after = {0};
	bool was = false, is = false;
	int r;

	if (json_array_size(changes->items) == changes->call->query.limit)
		return 1;
	r = store_get_state(changes->reader, change->kind, change->id, changes->before, &before, &was, changes->err);
	if (r == 0)
		r = store_get_state(changes->reader, change->kind, change->id, changes->after, &after, &is, changes->err);
	if (r < 0 || (!was && !is) || (was && is && is_same(&before, &after)))
		return r;
	return add_change(changes, change, &before, was, &after, is);
}

/* In a cursor: "REVISION.KIND.ID", the last change that was passed. */
static int read_place(struct call *call, struct store_change *at)
{
	const char *text = call->query.cursor.after;
	unsigned kind = 0;
	int used = 0;

	if (text[0] == 0)
		return 0;
	if (sscanf(text, "%" SCNu64 ".%u.%n", &at->revision, &kind, &used) != 2 || used == 0 || kind_find(kind) == NULL ||
	    !kind_is_id(text + used, strlen(text + used)))
		return error_set(&call->error, E_SYNTAX, "the cursor is not one of this list");
	at->kind = (enum kind)kind;
	snprintf(at->id, sizeof(at->id), "%s", text + used);
	return 0;
}

static void write_place(const struct call *call, const struct store_walk *walk, const struct store_revision *head,
                        char next[QUERY_CURSOR_MAX])
{
	struct query_cursor cursor = {.revision = head->revision};

	next[0] = 0;
	if (walk->ended)
		return;
	if (call->query.cursor.revision.number != 0)
		cursor.revision = call->query.cursor.revision;
	snprintf(cursor.after, sizeof(cursor.after), "%" PRIu64 ".%u.%s", walk->at.revision, (unsigned)walk->at.kind, walk->at.id);
	query_format_cursor(&cursor, next);
}

/* Changes in (low, high], into changes->items. */
static int walk_page(struct changes *changes, uint64_t low, uint64_t high, char next[QUERY_CURSOR_MAX])
{
	struct store_walk walk = {.at = {.revision = low}, .to = high, .looks = LOOKS_PER_PAGE};
	struct store_revision head;
	int r = list_begin(changes->call, changes->reader, &head);

	if (r == 0)
		r = store_check_kept(changes->reader, low, changes->err);
	if (r == 0)
		r = read_place(changes->call, &walk.at);
	if (r == 0)
		r = store_walk_changed(changes->reader, low, &walk, on_change, changes, changes->err);
	if (r == 0)
		write_place(changes->call, &walk, &head, next);
	return r;
}

static struct changes changes_of(struct call *call, struct store_reader *reader)
{
	return (struct changes){.call = call, .reader = reader, .limits = call_limits(call), .items = json_array(), .err = &call->error};
}

/* "EPOCH-NUMBER" or "NUMBER" as it stands in the store. */
static int find_revision(struct call *call, struct store_reader *reader, struct revision wanted, const char *text,
                         struct store_revision *ret)
{
	int r = store_get_revision(reader, wanted.number, ret, &call->error);

	if (r == 0 && wanted.epoch != 0 && wanted.epoch != ret->revision.epoch)
		r = E_NOT_FOUND;
	return r == E_NOT_FOUND ? error_set(&call->error, r, "no revision %s", text) : r;
}

static int find_subject(struct call *call, struct store_reader *reader, struct store_revision *ret)
{
	struct revision wanted;
	int r = query_parse_revision(call->id, &wanted, &call->error);

	return r == 0 ? find_revision(call, reader, wanted, call->id, ret) : r;
}

static void reply(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

/* One revision ----------------------------------------------------------------------------------------------------- */

static void run_get(struct call *call, struct store_reader *reader)
{
	struct changes changes = changes_of(call, reader);
	struct store_revision row;
	char next[QUERY_CURSOR_MAX] = "";
	int r = changes.items != NULL ? find_subject(call, reader, &row) : error_nomem(&call->error);

	if (r == 0) {
		changes.before = row.revision.number - 1;
		changes.after = row.revision.number;
		r = walk_page(&changes, changes.before, changes.after, next);
	}
	if (r == E_GONE) { /* the row stays for ever, what it changed does not */
		call->error = ERROR_NULL;
		json_decref(changes.items);
		changes.items = json_null();
		r = 0;
	}
	if (r == 0) {
		call->document = revision_render(&row);
		if (call->document == NULL || json_object_set(call->document, "changes", changes.items) < 0 ||
		    json_object_set_new(call->document, "next", next[0] != 0 ? json_string(next) : json_null()) < 0)
			error_nomem(&call->error);
	}
	json_decref(changes.items);
}

void revisions_get(struct call *call)
{
	call_run(call, run_get, reply);
}

/* Between two ------------------------------------------------------------------------------------------------------ */

/* The revision to compare with; 0 is the empty store before the first. */
static int find_against(struct call *call, struct store_reader *reader, const struct store_revision *subject, struct revision *ret)
{
	struct store_revision row = {.revision = {0}};
	struct revision wanted = {.number = subject->revision.number - 1};
	char text[QUERY_REVISION_MAX];
	int r = 0;

	if (call->query.history.has_against)
		wanted = call->query.history.against;
	query_format_revision(wanted, text);
	if (wanted.number != 0)
		r = find_revision(call, reader, wanted, wanted.epoch != 0 ? text : strchr(text, '-') + 1, &row);
	*ret = row.revision;
	return r;
}

static void run_diff(struct call *call, struct store_reader *reader)
{
	struct changes changes = changes_of(call, reader);
	char next[QUERY_CURSOR_MAX] = "", to[QUERY_REVISION_MAX], from[QUERY_REVISION_MAX];
	struct store_revision row = {0};
	struct revision against = {0};
	int r = changes.items != NULL ? find_subject(call, reader, &row) : error_nomem(&call->error);

	if (r == 0)
		r = find_against(call, reader, &row, &against);
	if (r == 0) {
		bool forward = against.number <= row.revision.number;

		changes.whole = true;
		changes.before = against.number;
		changes.after = row.revision.number;
		r = walk_page(&changes, forward ? changes.before : changes.after, forward ? changes.after : changes.before, next);
	}
	if (r < 0) {
		json_decref(changes.items);
		return;
	}
	query_format_revision(against, from);
	query_format_revision(row.revision, to);
	call->document = json_pack("{s:s, s:s, s:o, s:s?}", "from", from, "to", to, "items", changes.items, "next",
	                           next[0] != 0 ? next : NULL);
	if (call->document == NULL)
		error_nomem(&call->error);
}

void revisions_diff(struct call *call)
{
	call_run(call, run_diff, reply);
}
