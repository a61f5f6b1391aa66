/* SPDX-License-Identifier: Apache-2.0 */
/* /apisix/admin/ssls and /apisix/admin/ssls/{id}.
 *
 * A PATCH is read, changed, checked as a whole and put back on condition that nobody was faster, as there: so the schema judges what
 * results, and a node can be replaced where a merge could not say so. Keys are no part of what is read; the ones that are not sent are
 * kept by the change layer. */
#include "apisix/handlers.h"

#include "api/visible.h"
#include "api/write.h"
#include "apisix/body.h"
#include "apisix/input.h"
#include "apisix/routes.h"
#include "apisix/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Reading --------------------------------------------------------------------------------------------------------------- */

/* E_NOT_FOUND also for what the caller may not see. */
static int read_row(struct call *call, struct store_reader *reader, struct store_row *row)
{
	bool visible = true;
	int r = store_get(reader, KIND_SSL, call->id, 0, row, &call->error);

	if (r == 0)
		r = visible_check(call, reader, row, &visible, &call->error);
	return r == 0 && !visible ? error_set(&call->error, E_NOT_FOUND, "no SSL object has this id") : r;
}

static void run_get(struct call *call, struct store_reader *reader)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	struct resource_limits limits = call_limits(call);
	json_t *rendered;

	if (read_row(call, reader, &row) < 0)
		return;
	rendered = resource_render(&row.state, &limits, &call->error);
	if (rendered == NULL)
		return;
	change_format_etag(&row.state.object, call->etag);
	call->document = words_read(rendered, &row.state.object);
}

static void reply_document(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

void apisix_ssls_get(struct call *call)
{
	call_run(call, run_get, reply_document);
}

/* Writing --------------------------------------------------------------------------------------------------------------- */

static void answer_written(struct call *call, const struct change_result *result)
{
	write_answer_object(call, result);
	if (call->document != NULL)
		call->document = words_written(TAKE_PTR(call->document));
}

static void answer_deleted(struct call *call, const struct change_result *result)
{
	call->status = 200;
	call->document = json_pack("{s:s, s:o}", "deleted", "1", "key", json_sprintf(WORDS_KEY "%s", call->id));
}

/* if_match NULL: whatever is there. */
static void submit(struct call *call, enum change_op op, const char *id, const char *if_match)
{
	struct change_request *request = write_request_new(call, 1);

	if (request != NULL && if_match != NULL && request->if_match == NULL) {
		request->if_match = strdup(if_match);
		if (request->if_match == NULL) {
			error_nomem(&call->error);
			request = change_request_free(request);
		}
	}
	if (request == NULL) {
		call_reply_error(call);
		return;
	}
	request->items[0].op = op;
	request->items[0].kind = KIND_SSL;
	request->items[0].document = TAKE_PTR(call->document);
	snprintf(request->items[0].id, sizeof(request->items[0].id), "%s", id);
	write_submit(call, request, op == CHANGE_DELETE ? answer_deleted : answer_written);
}

/* 20 digits that sort by age: nanoseconds since 1970. */
static void make_id(char id[ID_MAX + 1])
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(id, ID_MAX + 1, "%020" PRIu64, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
}

static void read_new(struct call *call, struct store_reader *reader)
{
	int r = apisix_take_body(call, "missing configurations");

	if (r == 0)
		r = input_has_no_id(call->document, call->id, &call->error);
	if (r == 0)
		r = input_has_no_times(call->document, &call->error);
	if (r == 0)
		(void)!input_translate(call->document, NULL, &call->error);
}

static void create(struct call *call)
{
	char id[ID_MAX + 1];

	make_id(id);
	submit(call, CHANGE_CREATE, id, NULL);
}

void apisix_ssls_create(struct call *call)
{
	apisix_load_body(call, read_new, create);
}

/* call->id becomes the body's where the path has none. */
static void read_whole(struct call *call, struct store_reader *reader)
{
	char id[ID_MAX + 1];
	int r = apisix_take_body(call, "missing configurations");

	if (r == 0)
		r = input_take_id(call->document, call->id, id, &call->error);
	if (r == 0)
		r = input_has_no_times(call->document, &call->error);
	if (r == 0)
		r = input_translate(call->document, NULL, &call->error);
	if (r == 0)
		memcpy(call->id, id, sizeof(call->id));
}

static void put(struct call *call)
{
	submit(call, CHANGE_PUT, call->id, NULL);
}

void apisix_ssls_put(struct call *call)
{
	apisix_load_body(call, read_whole, put);
}

void apisix_ssls_delete(struct call *call)
{
	submit(call, CHANGE_DELETE, call->id, NULL);
}

/* PATCH ----------------------------------------------------------------------------------------------------------------- */

/* What the body says of the object as it stands; takes patch. NULL: call->error. */
static json_t *change_document(struct call *call, json_t *current, json_t *patch)
{
	const char *path[APISIX_SEGMENTS_MAX];
	json_t *changed = NULL;
	size_t len = 0;

	while (len + 4 < APISIX_SEGMENTS_MAX && (path[len] = http_path_segment(call->http, len + 4)) != NULL)
		len++;
	if (len == 0)
		changed = resource_merge_patch(current, patch);
	else if (input_set_at(current, path, len, patch, &call->error) == 0)
		changed = json_incref(current);
	json_decref(patch);
	if (changed == NULL && call->error.code == 0)
		error_nomem(&call->error);
	return changed;
}

static void run_patch(struct call *call, struct store_reader *reader)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	json_t *patch = TAKE_PTR(call->document), *current = NULL;
	char id[ID_MAX + 1];

	if (read_row(call, reader, &row) == 0)
		current = resource_render_input(&row.state, &call->error);
	if (current == NULL) {
		json_decref(patch);
		return;
	}
	change_format_etag(&row.state.object, call->etag);
	input_restore(current);
	call->document = change_document(call, current, patch);
	json_decref(current);
	if (call->document != NULL && input_take_id(call->document, call->id, id, &call->error) == 0)
		(void)!input_translate(call->document, NULL, &call->error);
}

static void put_back(struct call *call)
{
	char etag[sizeof(call->etag)];

	memcpy(etag, call->etag, sizeof(etag));
	submit(call, CHANGE_PUT, call->id, etag);
}

static void read_patch(struct call *call, struct store_reader *reader)
{
	bool is_whole = http_path_segment(call->http, 4) == NULL;

	if (apisix_take_body(call, "missing new configuration") == 0 && is_whole && !json_is_object(call->document))
		error_set(&call->error, E_SYNTAX, "invalid configuration");
}

static void patch(struct call *call)
{
	call_run(call, run_patch, put_back);
}

void apisix_ssls_patch(struct call *call)
{
	apisix_load_body(call, read_patch, patch);
}
