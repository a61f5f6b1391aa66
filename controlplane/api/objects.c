/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration objects: reading, paging, writing. The same six handlers serve every collection. */
#include "api/handlers.h"

#include "api/list.h"
#include "api/visible.h"
#include "api/write.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Reading --------------------------------------------------------------------------------------------------------- */

static void run_get(struct call *call, struct store_reader *reader)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	struct resource_limits limits = call_limits(call);
	bool visible = true;
	int r = store_get(reader, call->route->kind, call->id, 0, &row, &call->error);

	if (r == 0)
		r = visible_check(call, reader, &row, &visible, &call->error);
	if (!visible)
		r = E_NOT_FOUND;
	if (r == E_NOT_FOUND)
		error_set(&call->error, r, "no %s has the id %s", kind_find(call->route->kind)->noun, call->id);
	if (r < 0)
		return;
	change_format_etag(&row.state.object, call->etag);
	call->document = resource_render(&row.state, &limits, &call->error);
}

static void reply_object(struct call *call)
{
	const char *known = http_header(call->http, "If-None-Match");
	bool same = known != NULL && query_has_etag(known, call->etag);

	/* libmicrohttpd sends no body with 304, but the length that 200 would have. */
	call_reply_json(call, same ? 304 : 200, TAKE_PTR(call->document));
}

void objects_get(struct call *call)
{
	call_run(call, run_get, reply_object);
}

static json_t *render_item(const struct store_row *row, struct list *list, struct error *err)
{
	return resource_render(&row->state, &list->limits, err);
}

static void run_list(struct call *call, struct store_reader *reader)
{
	list_objects(call, reader, render_item);
}

static void reply_list(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

void objects_list(struct call *call)
{
	call_run(call, run_list, reply_list);
}

/* Writing --------------------------------------------------------------------------------------------------------- */

static void submit_item(struct call *call, enum change_op op, const char *id,
                        void (*answer)(struct call *call, const struct change_result *result))
{
	struct change_request *request = write_request_new(call, 1);

	if (request == NULL) {
		call_reply_error(call);
		return;
	}
	request->items[0].op = op;
	request->items[0].kind = call->route->kind;
	request->items[0].document = TAKE_PTR(call->document);
	snprintf(request->items[0].id, sizeof(request->items[0].id), "%s", id);
	write_submit(call, request, answer);
}

static void submit_put(struct call *call)
{
	submit_item(call, CHANGE_PUT, call->id, write_answer_object);
}

void objects_put(struct call *call)
{
	write_load_body(call, submit_put);
}

static void submit_patch(struct call *call)
{
	submit_item(call, CHANGE_PATCH, call->id, write_answer_object);
}

void objects_patch(struct call *call)
{
	write_load_body(call, submit_patch);
}

static void submit_create(struct call *call)
{
	struct timespec now;
	char id[ID_MAX + 1];

	clock_gettime(CLOCK_REALTIME, &now);
	if (query_make_id((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, id, &call->error) < 0)
		call_reply_error(call);
	else
		submit_item(call, CHANGE_CREATE, id, write_answer_object);
}

void objects_create(struct call *call)
{
	write_load_body(call, submit_create);
}

static void answer_deleted(struct call *call, const struct change_result *result)
{
	bool purges = call->query.purge_keys;

	call->status = 200;
	call->document = json_pack("{s:s, s:s, s:o*}", "id", call->id, "revision", call->revision, "purged",
	                           purges ? json_integer((json_int_t)result->purged) : NULL);
}

/* Erasing history can't be rolled back: no part of what a team may do with its own objects. */
void objects_delete(struct call *call)
{
	if (call->query.purge_keys && call->identity.role != ROLE_ADMIN) {
		error_set(&call->error, E_FORBIDDEN, "only the role admin may purge keys from history");
		call_reply_error(call);
		return;
	}
	submit_item(call, CHANGE_DELETE, call->id, answer_deleted);
}
