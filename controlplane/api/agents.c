/* SPDX-License-Identifier: Apache-2.0 */
/* Agents: the object in the store (identity, labels, keys), below what the store remembers of the channel, below what
 * the publisher knows now. The first two are read on the pool, the last is the loop's. */
#include "api/handlers.h"

#include "api/list.h"
#include "api/write.h"

#include <string.h>

static bool is_revision(const json_t *value)
{
	return json_object_size(value) == 2 && json_object_get(value, "epoch") != NULL &&
	       json_object_get(value, "number") != NULL;
}

static json_t *render_revision(const json_t *value)
{
	char text[QUERY_REVISION_MAX];

	query_format_revision((struct revision){(uint64_t)json_integer_value(json_object_get(value, "epoch")),
	                                        (uint64_t)json_integer_value(json_object_get(value, "number"))},
	                      text);
	return json_string(text);
}

/* Revisions are {"epoch", "number"} inside and "EPOCH-NUMBER" in answers; one may stand in an object (last_nack). New
 * reference, or NULL without memory. */
static json_t *convert(json_t *value)
{
	const char *key;
	json_t *member, *object;

	if (!json_is_object(value))
		return json_incref(value);
	if (is_revision(value))
		return render_revision(value);
	object = json_object();
	json_object_foreach(value, key, member) {
		if (object != NULL && json_object_set_new(object, key, convert(member)) < 0) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}

/* status may be NULL. The certificate's end is told by the object. */
static int join_status(json_t *document, json_t *status)
{
	const char *key;
	json_t *value;

	json_object_foreach(status, key, value) {
		if (strcmp(key, "certificate_not_after") != 0 && json_object_set_new(document, key, convert(value)) < 0)
			return E_NOMEM;
	}
	return 0;
}

/* What every agent's document has, also when nothing was heard of it. The first key is the one in use; a second is a
 * renewed one that has not connected yet. */
static int put_defaults(json_t *document)
{
	json_t *expires = json_object_get(json_array_get(json_object_get(document, "keys"), 0), "not_after");

	if (json_object_set_new(document, "connected", json_false()) < 0 ||
	    json_object_set_new(document, "degraded", json_array()) < 0)
		return E_NOMEM;
	if (json_object_get(document, "labels") == NULL && json_object_set_new(document, "labels", json_object()) < 0)
		return E_NOMEM;
	return expires == NULL || json_object_set(document, "certificate_expires", expires) == 0 ? 0 : E_NOMEM;
}

static int join_stored(json_t *document, struct store_reader *reader, const char *id, struct error *err)
{
	struct store_agent_status status = {0};
	json_t *report = NULL;
	int r = store_get_agent_status(reader, id, &status, err);

	if (r < 0 && r != E_NOT_FOUND)
		return r;
	*err = ERROR_NULL; /* an agent that was not heard of yet has no status, and that is no error */
	if (r == 0 && status.report != NULL)
		r = resource_load_json(BYTES(status.report, strlen(status.report)), &report, err);
	if (r >= 0 && join_status(document, report) < 0)
		r = error_nomem(err);
	if (r >= 0 && status.last_seen > 0 &&
	    json_object_set_new(document, "last_seen", json_integer((json_int_t)status.last_seen)) < 0)
		r = error_nomem(err);
	json_decref(report);
	store_agent_status_deinit(&status);
	return r == E_NOT_FOUND ? 0 : r;
}

static json_t *render(const struct store_row *row, struct store_reader *reader, const struct resource_limits *limits,
                      struct error *err)
{
	json_t *document = resource_render(&row->state, limits, err);
	int r = document != NULL ? 0 : err->code;

	if (r == 0 && put_defaults(document) < 0)
		r = error_nomem(err);
	if (r == 0)
		r = join_stored(document, reader, row->state.object.id, err);
	if (r == 0)
		return document;
	json_decref(document);
	return NULL;
}

/* Nobody in the store is connected; who is, the publisher knows. */
static int join_live(const struct call *call, json_t *document)
{
	const char *id = json_string_value(json_object_get(document, "id"));
	json_t *status = id != NULL ? publisher_agent_status(call->api->config.publisher, id) : NULL;
	int r = json_object_set_new(document, "connected", json_false());

	if (r == 0)
		r = join_status(document, status);
	json_decref(status);
	return r;
}

static void run_get(struct call *call, struct store_reader *reader)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	struct resource_limits limits = call_limits(call);
	int r = store_get(reader, KIND_AGENT, call->id, 0, &row, &call->error);

	if (r == E_NOT_FOUND)
		error_set(&call->error, r, "no agent has the id %s", call->id);
	if (r < 0)
		return;
	change_format_etag(&row.state.object, call->etag);
	call->document = render(&row, reader, &limits, &call->error);
}

static void reply_one(struct call *call)
{
	json_t *document = TAKE_PTR(call->document);

	if (join_live(call, document) < 0) {
		json_decref(document);
		document = NULL;
	}
	call_reply_json(call, 200, document);
}

void agents_get(struct call *call)
{
	call_run(call, run_get, reply_one);
}

static json_t *render_item(const struct store_row *row, struct list *list, struct error *err)
{
	return render(row, list->reader, &list->limits, err);
}

static void run_list(struct call *call, struct store_reader *reader)
{
	list_objects(call, reader, render_item);
}

static void reply_list(struct call *call)
{
	json_t *document = TAKE_PTR(call->document), *item;
	size_t index;
	int r = 0;

	json_array_foreach(json_object_get(document, "items"), index, item)
		r |= join_live(call, item);
	if (r < 0) {
		json_decref(document);
		document = NULL;
	}
	call_reply_json(call, 200, document);
}

void agents_list(struct call *call)
{
	call_run(call, run_list, reply_list);
}
