/* SPDX-License-Identifier: Apache-2.0 */
/* The schema, and trying without effect: an object against the schema alone, or a whole configuration, which the change layer tries in
 * a transaction that it takes back. */
#include "apisix/handlers.h"

#include "api/write.h"
#include "apisix/body.h"
#include "apisix/input.h"
#include "apisix/schema.h"
#include "apisix/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* /apisix/admin/schema -------------------------------------------------------------------------------------------------- */

static const char *name_of(const struct call *call, size_t segment)
{
	return http_path_segment(call->http, segment);
}

static void refuse_name(struct call *call, int status, const char *format, const char *name)
{
	struct problem problem;
	char text[128];

	snprintf(text, sizeof(text), "%s%.64s", format, name);
	problem = problem_from_status(status, text);
	call_reply_problem(call, &problem);
}

void apisix_schema_get(struct call *call)
{
	if (strcmp(name_of(call, 3), "ssl") == 0)
		call_reply_json(call, 200, schema_load());
	else
		refuse_name(call, 400, "not found schema: ", name_of(call, 3));
}

static void read_document(struct call *call, struct store_reader *reader)
{
	if (apisix_take_body(call, "missing configurations") == 0)
		(void)!input_check_schema(call->document, NULL, &call->error);
}

static void reply_fits(struct call *call)
{
	call_reply_empty(call, 200);
}

void apisix_schema_validate(struct call *call)
{
	if (strcmp(name_of(call, 4), "ssls") != 0) {
		refuse_name(call, 404, "Unsupported resource type: ", name_of(call, 4));
		return;
	}
	call->audited = true; /* nothing was to be written */
	apisix_load_body(call, read_document, reply_fits);
}

/* /apisix/admin/configs/validate ----------------------------------------------------------------------------------------
 *
 * What is wrong with an item is a finding at "/COLLECTION/INDEX", wherever it was found; the first one of each is answered. */

#define CODE_WORDED "worded" /* the detail is the error as it is to be answered */

static bool is_collection(const char *name)
{
	static const char *const names[] = {"routes",       "services",        "upstreams",      "consumers",       "consumer_groups",
	                                    "global_rules", "stream_routes",   "plugin_configs", "plugin_metadata", "protos",
	                                    "secrets",      "plugins",         "credentials"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* The items, read on the pool: so many may stand in a body that neither looking at them nor freeing them is the loop's. Of an item its
 * id stays in the document, for the answer. */
struct trial_feed {
	struct change_feed base;
	json_t *document, *schema; /* owned references */
	size_t index;              /* of the next item */
};

/* What stays of an item: its id, where that is one. Frees the rest. */
static void keep_id(json_t *list, size_t index)
{
	json_t *id = json_object_get(json_array_get(list, index), "id");
	bool is_id = json_is_string(id) || json_is_integer(id);

	(void)json_array_set_new(list, index, is_id ? json_incref(id) : json_null()); /* within bounds */
}

/* What is no SSL object: none may be there. */
static int find_others(json_t *document, struct findings *findings, struct error *err)
{
	const char *name;
	json_t *list;

	json_object_foreach(document, name, list)
	{
		if (strcmp(name, "ssls") != 0 && !is_collection(name))
			return error_set(err, E_SYNTAX, "invalid configuration: additional properties forbidden, found %.64s", name);
	}
	json_object_foreach(document, name, list)
	{
		char pointer[64];

		for (size_t i = 0; strcmp(name, "ssls") != 0 && i < json_array_size(list); i++) {
			snprintf(pointer, sizeof(pointer), "/%s/%zu", name, i);
			findings_add(findings, FINDING_ERROR, CODE_WORDED, pointer, "of this API there are SSL objects alone here");
			keep_id(list, i);
		}
	}
	return 0;
}

static int start(struct trial_feed *feed, struct findings *findings, struct error *err)
{
	feed->schema = schema_load();
	return feed->schema != NULL ? find_others(feed->document, findings, err) : error_nomem(err);
}

/* 1: *ret is the item; 0: what is wrong with it is a finding. */
static int read_item(const struct trial_feed *feed, json_t *document, struct change_item *ret, struct findings *findings, struct error *err)
{
	struct error error = ERROR_NULL;
	int r = json_is_object(document) ? 0 : error_set(&error, E_SYNTAX, "invalid configuration: wrong type: expected object, got another");

	snprintf(ret->pointer, sizeof(ret->pointer), "/ssls/%zu", feed->index);
	if (r == 0 && json_object_get(document, "id") != NULL)
		r = input_take_id(document, "", ret->id, &error);
	if (r == 0)
		r = input_has_no_times(document, &error);
	if (r == 0)
		r = input_translate(document, feed->schema, &error);
	if (r == E_SYNTAX) {
		findings_add(findings, FINDING_ERROR, CODE_WORDED, ret->pointer, "%s", error.text);
		return 0;
	}
	if (r < 0)
		return error_set(err, r, "%s", error.text);
	ret->op = ret->id[0] != 0 ? CHANGE_PUT : CHANGE_CREATE;
	ret->kind = KIND_SSL;
	ret->document = json_incref(document);
	return 1;
}

static int next(struct change_feed *base, struct change_item *ret, struct findings *findings, struct error *err)
{
	struct trial_feed *feed = container_of(base, struct trial_feed, base);
	json_t *list = json_object_get(feed->document, "ssls");
	int r = feed->schema == NULL ? start(feed, findings, err) : 0;

	while (r == 0 && feed->index < json_array_size(list)) {
		*ret = (struct change_item){.document = NULL};
		r = read_item(feed, json_array_get(list, feed->index), ret, findings, err);
		keep_id(list, feed->index++);
	}
	if (r < 0)
		json_object_clear(feed->document);
	return r;
}

static void free_feed(struct change_feed *base)
{
	struct trial_feed *feed = container_of(base, struct trial_feed, base);

	json_decref(feed->document);
	json_decref(feed->schema);
	free(feed);
}

/* NULL: call->error. */
static struct change_request *make_request(struct call *call)
{
	CLEANUP(change_request_free) struct change_request *request = write_request_new(call, 0);
	struct trial_feed *feed = request != NULL ? calloc(1, sizeof(*feed)) : NULL;

	if (request == NULL)
		return NULL;
	if (feed == NULL) {
		error_nomem(&call->error);
		return NULL;
	}
	feed->base.next = next;
	feed->base.free = free_feed;
	feed->document = json_incref(call->document);
	request->feed = &feed->base;
	request->dry_run = true;
	return TAKE_PTR(request);
}

/* ---- the answer ---- */

/* {"resource_type", "resource_id", "index", "error"} of the finding at "/TYPE/INDEX..."; *ret_same: the item of the row before. */
static json_t *render_error(const struct call *call, const struct finding *finding, char item[64], bool *ret_same)
{
	const char *index = strchr(finding->pointer + 1, '/');
	int type_len = index != NULL ? (int)(index - finding->pointer - 1) : 0;
	size_t item_len = index != NULL ? (size_t)(index - finding->pointer) + 1 + strcspn(index + 1, "/") : 0;
	json_t *id;
	char text[WORDS_MAX], type[32];

	*ret_same = strlen(item) == item_len && strncmp(item, finding->pointer, item_len) == 0;
	if (*ret_same)
		return NULL;
	snprintf(item, 64, "%.*s", (int)item_len, finding->pointer);
	snprintf(type, sizeof(type), "%.*s", type_len, finding->pointer + 1);
	if (strcmp(finding->code, CODE_WORDED) == 0)
		snprintf(text, sizeof(text), "%s", finding->detail);
	else
		(void)words_of_finding(finding, item_len, text);
	id = index != NULL ? json_array_get(json_object_get(call->document, type), strtoul(index + 1, NULL, 10)) : NULL;
	if (json_is_null(id))
		id = NULL;
	return json_pack("{s:s, s:O*, s:I, s:o}", "resource_type", type, "resource_id", id, "index",
	                 index != NULL ? (json_int_t)strtoll(index + 1, NULL, 10) : 0, "error", problem_render_text(text));
}

static int append_errors(const struct call *call, const struct findings *findings, json_t *errors)
{
	char item[64] = "";
	bool same;

	for (size_t i = 0; i < findings->count; i++) {
		json_t *row;

		if (findings->items[i].severity != FINDING_ERROR)
			continue;
		row = render_error(call, &findings->items[i], item, &same);
		if (!same && json_array_append_new(errors, row) < 0)
			return -1;
	}
	return 0;
}

static void on_tried(const struct change_result *result, void *context)
{
	struct call *call = context;
	json_t *errors = json_array();

	if (result->code < 0 && result->findings.errors == 0) {
		call->error = result->error;
		call->error.code = result->code;
		call->retry_after = result->code == E_UNAVAILABLE;
		json_decref(errors);
		call_reply_error(call);
		return;
	}
	if (append_errors(call, &result->findings, errors) < 0)
		json_decref(TAKE_PTR(errors));
	if (errors != NULL && json_array_size(errors) == 0) {
		json_decref(errors);
		call_reply_json(call, 200, json_object());
		return;
	}
	call_reply_json(call, 400, json_pack("{s:s, s:o}", "error_msg", "Configuration validation failed", "errors", errors));
}

static void read_configuration(struct call *call, struct store_reader *reader)
{
	json_t *ssls;

	if (apisix_take_body(call, "invalid request body: empty request body") < 0)
		return;
	ssls = json_object_get(call->document, "ssls");
	if (!json_is_object(call->document) || (ssls != NULL && !json_is_array(ssls)))
		error_set(&call->error, E_SYNTAX, "invalid request body: must be an object of lists, \"ssls\" among them");
}

static void try_configuration(struct call *call)
{
	struct change_request *request = make_request(call);

	if (request == NULL)
		call_reply_error(call);
	else
		change_submit(call->api->config.changes, request, on_tried, call);
}

void apisix_configs_validate(struct call *call)
{
	call->audited = true; /* nothing was to be written */
	apisix_load_body(call, read_configuration, try_configuration);
}
