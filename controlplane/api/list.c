/* SPDX-License-Identifier: Apache-2.0 */
/* One more row than asked for is read, to know whether there is a next page. */
#include "api/list.h"

#include "api/filter.h"
#include "api/visible.h"
#include "crypto/crypto.h"
#include "crypto/seal.h"
#include "store/store_history.h"

#include <stdio.h>
#include <string.h>

#define LIST_RETRY_SECONDS 5

int list_begin(struct call *call, struct store_reader *reader, struct store_revision *ret_head)
{
	struct revision at = call->query.cursor.revision;
	struct store_revision head;
	int r = store_head(reader, &head, &call->error);

	if (r < 0)
		return r;
	if (at.number != 0 && (at.epoch != head.revision.epoch || at.number > head.revision.number))
		return error_set(&call->error, E_SYNTAX, "the cursor is of another history of this store; start again");
	*ret_head = head;
	return 0;
}

void list_close_page(struct call *call, json_t *items, const char *next, struct revision revision, const uint64_t *total)
{
	char text[QUERY_REVISION_MAX];

	query_format_revision(revision, text);
	call->document = json_pack("{s:o, s:s?, s:s, s:o*}", "items", items, "next", next[0] != 0 ? next : NULL, "revision",
	                           text, "total", total != NULL ? json_integer((json_int_t)*total) : NULL);
	if (call->document == NULL)
		error_nomem(&call->error);
}

/* Where a page ends may be an object that its reader is not to know of, since what was passed over counts as well: its id is told sealed,
 * to this token, until the process ends. */
static int seal_place(const struct call *call, char after[QUERY_AFTER_MAX + 1], struct error *err)
{
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	int r = keyring_seal(call->api->places, BYTES(call->identity.sha256, SHA256_LEN), BYTES(after, strlen(after)), &sealed, err);

	if (r == 0)
		crypto_hex(sealed.data, sealed.len, after);
	return r;
}

static int open_place(const struct call *call, char after[QUERY_AFTER_MAX + 1], struct error *err)
{
	CLEANUP(secret_free) struct secret *place = NULL;
	uint8_t sealed[QUERY_AFTER_MAX / 2];
	size_t len = strlen(after);
	int r = E_CORRUPT;

	if (crypto_unhex(after, len, sealed))
		r = keyring_open(call->api->places, BYTES(call->identity.sha256, SHA256_LEN), BYTES(sealed, len / 2), &place, err);
	if (r == E_CORRUPT)
		return error_set(err, E_SYNTAX, "the cursor is not one that this token was given since the control plane was started; start again");
	if (r == 0)
		snprintf(after, QUERY_AFTER_MAX + 1, "%.*s", (int)place->len, (const char *)place->data);
	return r;
}

static int take_row(const struct store_row *row, void *context)
{
	struct list *list = context;
	bool visible = true;
	json_t *item;
	int r;

	if (json_array_size(list->items) == list->call->query.limit || list->looked == LIST_LOOKS_MAX) {
		list->more = true;
		return 1;
	}
	list->looked++;
	r = visible_check(list->call, list->reader, row, &visible, list->err);
	if (r < 0)
		return r;
	if (!visible) {
		snprintf(list->cursor.after, sizeof(list->cursor.after), "%s", row->state.object.id);
		return 0;
	}
	item = list->render(row, list, list->err);
	if (item == NULL)
		return list->err->code < 0 ? list->err->code : error_nomem(list->err);
	if (json_array_append_new(list->items, item) < 0)
		return error_nomem(list->err);
	snprintf(list->cursor.after, sizeof(list->cursor.after), "%s", row->state.object.id);
	return 0;
}

/* By id, all of them. What is now needs no look at what was. */
static int list_all(struct list *list, uint64_t head)
{
	struct call *call = list->call;
	uint64_t revision = list->cursor.revision.number;

	return store_list(list->reader, call->route->kind, list->cursor.after, revision == head ? 0 : revision,
	                  visible_is_limited(call) ? LIST_LOOKS_MAX + 1 : call->query.limit + 1, take_row, list, list->err);
}

static int list_found(struct list *list)
{
	struct call *call = list->call;
	struct filter filter;
	int r = filter_make(&call->query, &filter, list->err);

	if (r == 0)
		r = filter_read_place(list->cursor.after, &filter.lister, list->err);
	if (r < 0)
		return r;
	filter_confine(&filter, call->identity.scope);
	filter.lister.kind = call->route->kind;
	filter.lister.revision = list->cursor.revision.number;
	filter.lister.looks = LIST_LOOKS_MAX;
	r = store_find(list->reader, &filter.lister, take_row, list, list->err);
	if (r == E_UNAVAILABLE)
		call->retry_after = LIST_RETRY_SECONDS;
	list->more = !filter.lister.ended;
	filter_write_place(&filter.lister, list->cursor.after);
	return r;
}

void list_objects(struct call *call, struct store_reader *reader,
                  json_t *(*render)(const struct store_row *row, struct list *list, struct error *err))
{
	struct list list = {.call = call,
	                    .reader = reader,
	                    .limits = call_limits(call),
	                    .render = render,
	                    .cursor = call->query.cursor,
	                    .items = json_array(),
	                    .err = &call->error};
	char next[QUERY_CURSOR_MAX] = "";
	struct store_revision head;
	uint64_t total = 0;
	int r = list.items != NULL ? list_begin(call, reader, &head) : error_nomem(&call->error);

	if (r == 0 && list.cursor.revision.number == 0)
		list.cursor.revision = head.revision;
	else if (r == 0)
		r = store_check_kept(reader, list.cursor.revision.number, &call->error);
	if (r == 0 && list.cursor.after[0] != 0 && visible_is_limited(call))
		r = open_place(call, list.cursor.after, &call->error);
	if (r == 0)
		r = filter_is_needed(&call->query, call->identity.scope) ? list_found(&list) : list_all(&list, head.revision.number);
	if (r >= 0)
		r = store_count(reader, call->route->kind, &total, &call->error);
	if (r >= 0 && list.more && visible_is_limited(call))
		r = seal_place(call, list.cursor.after, &call->error);
	if (r < 0) {
		json_decref(list.items);
		return;
	}
	if (list.more)
		query_format_cursor(&list.cursor, next);
	list_close_page(call, list.items, next, list.cursor.revision,
	                visible_is_limited(call) || filter_leaves_out(&call->query) ? NULL : &total);
}
