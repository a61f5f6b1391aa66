/* SPDX-License-Identifier: Apache-2.0 */
/* The audit trail, oldest first, as a page or as NDJSON to be kept elsewhere: what follows row N is asked for with after=N. */
#include "api/handlers.h"

#include "api/call.h"
#include "store/store_access.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_LIMIT 100
#define LOOKS_MAX 10000 /* rows that a page looks at; it may end early, and says where to go on */
#define LINES_TYPE "application/x-ndjson"

struct page {
	struct call *call;
	size_t limit, count, looked;
	uint64_t last; /* row looked at */
	bool more, lines;
	json_t *items;
	struct buf text; /* of lines */
};

static bool wants_lines(const struct call *call)
{
	const char *accept = http_header(call->http, "Accept");

	return accept != NULL && strcasestr(accept, LINES_TYPE) != NULL;
}

static json_t *render(const struct store_audit_row *row)
{
	char revision[QUERY_REVISION_MAX];

	query_format_revision(row->revision, revision);
	return json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s?}", "row", (json_int_t)row->row, "time", (json_int_t)row->time, "actor",
	                 row->actor, "source", row->source, "request_id", row->request_id, "action", row->action, "outcome", row->outcome,
	                 "revision", row->revision.number > 0 ? revision : NULL);
}

static int put_line(struct page *page, json_t *item)
{
	char *text = item != NULL ? json_dumps(item, JSON_COMPACT) : NULL;

	json_decref(item);
	if (text == NULL)
		return -1;
	buf_put_str(&page->text, text);
	buf_put_u8(&page->text, '\n');
	free(text);
	return page->text.failed ? -1 : 0;
}

static int take_row(const struct store_audit_row *row, void *context)
{
	struct page *page = context;
	const struct query_audit *query = &page->call->query.audit;
	json_t *item;

	if (page->count == page->limit || page->looked == LOOKS_MAX) {
		page->more = true;
		return 1;
	}
	page->looked++;
	page->last = row->row;
	if (query->outcome[0] != 0 && strcmp(query->outcome, row->outcome) != 0)
		return 0;
	if ((query->since > 0 && row->time < query->since) || (query->until > 0 && row->time >= query->until))
		return 0;
	item = render(row);
	if (page->lines ? put_line(page, item) < 0 : json_array_append_new(page->items, item) < 0)
		return error_nomem(&page->call->error);
	page->count++;
	return 0;
}

/* An index of times says where to begin: it is read once, for the first page. */
static int find_start(struct call *call, struct store_reader *reader, uint64_t *ret_after, bool *ret_none)
{
	const struct query_audit *query = &call->query.audit;
	uint64_t first = 0;
	int r;

	*ret_after = query->after;
	*ret_none = false;
	if (query->since == 0 || query->after > 0)
		return 0;
	r = store_first_audit_since(reader, query->since, &first, &call->error);
	if (r == E_NOT_FOUND) {
		call->error = ERROR_NULL;
		*ret_none = true;
		return 0;
	}
	*ret_after = first - 1;
	return r;
}

static int read_rows(struct page *page, struct store_reader *reader)
{
	const struct query_audit *query = &page->call->query.audit;
	const struct store_audit_filter filter = {query->actor[0] != 0 ? query->actor : NULL, query->outcome[0] != 0 ? query->outcome : NULL};
	uint64_t after = 0;
	bool none = false;
	int r = find_start(page->call, reader, &after, &none);

	return r < 0 || none ? r : store_list_audit(reader, &filter, after, take_row, page, &page->call->error);
}

static void run_list(struct call *call, struct store_reader *reader)
{
	bool lines = wants_lines(call);
	struct page page = {.call = call, .lines = lines, .limit = call->query.audit.limit};

	if (page.limit == 0)
		page.limit = lines ? QUERY_AUDIT_MAX : PAGE_LIMIT;
	page.items = json_array();
	if (page.items == NULL || read_rows(&page, reader) < 0) {
		if (call->error.code == 0)
			error_nomem(&call->error);
		json_decref(page.items);
		buf_deinit(&page.text);
		return;
	}
	if (page.more)
		snprintf(call->next_page, sizeof(call->next_page), "%" PRIu64, page.last);
	if (lines) {
		json_decref(page.items);
		call->document = json_stringn(page.text.len > 0 ? (const char *)page.text.data : "", page.text.len);
	} else {
		call->document = json_pack("{s:o, s:o}", "items", page.items, "next",
		                           page.more ? json_integer((json_int_t)page.last) : json_null());
	}
	buf_deinit(&page.text);
	if (call->document == NULL)
		error_nomem(&call->error);
}

static void reply(struct call *call)
{
	json_t *document = TAKE_PTR(call->document);

	if (json_is_string(document)) {
		struct bytes text = BYTES(json_string_value(document), json_string_length(document));

		call_reply_text(call, 200, LINES_TYPE, text);
		json_decref(document);
	} else {
		call_reply_json(call, 200, document);
	}
}

void audit_list(struct call *call)
{
	call_run(call, run_list, reply);
}
