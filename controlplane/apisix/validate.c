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

static void check_document(struct call *call)
{
	call->audited = true; /* nothing was to be written */
	if (call->document == NULL)
		error_set(&call->error, E_SYNTAX, "missing configurations");
	else if (input_check_schema(call->document, &call->error) == 0) {
		call_reply_empty(call, 200);
		return;
	}
	call_reply_error(call);
}

void apisix_schema_validate(struct call *call)
{
	if (strcmp(name_of(call, 4), "ssls") == 0)
		apisix_load_body(call, check_document);
	else
		refuse_name(call, 404, "Unsupported resource type: ", name_of(call, 4));
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

/* What is no SSL object: none may be there. */
static int find_others(struct call *call)
{
	const char *name;
	json_t *list;

	json_object_foreach(call->document, name, list)
	{
		char pointer[64];

		if (strcmp(name, "ssls") == 0)
			continue;
		if (!is_collection(name))
			return error_set(&call->error, E_SYNTAX, "invalid configuration: additional properties forbidden, found %.64s", name);
		for (size_t i = 0; i < json_array_size(list); i++) {
			snprintf(pointer, sizeof(pointer), "/%s/%zu", name, i);
			findings_add(&call->findings, FINDING_ERROR, CODE_WORDED, pointer, "of this API there are SSL objects alone here");
		}
	}
	return 0;
}

/* Gives a good one to the request, in the next free place. E_SYNTAX: what is wrong with it is a finding. */
static int add_item(struct call *call, size_t index, json_t *document, struct change_item *item)
{
	struct error error = ERROR_NULL;
	int r = json_is_object(document) ? 0 : error_set(&error, E_SYNTAX, "invalid configuration: wrong type: expected object, got another");

	snprintf(item->pointer, sizeof(item->pointer), "/ssls/%zu", index);
	if (r == 0 && json_object_get(document, "id") != NULL)
		r = input_take_id(document, "", item->id, &error);
	if (r == 0)
		r = input_has_no_times(document, &error);
	if (r == 0)
		r = input_translate(document, &error);
	if (r == E_SYNTAX)
		findings_add(&call->findings, FINDING_ERROR, CODE_WORDED, item->pointer, "%s", error.text);
	else if (r < 0)
		call->error = error;
	if (r < 0)
		return r;
	item->op = item->id[0] != 0 ? CHANGE_PUT : CHANGE_CREATE;
	item->kind = KIND_SSL;
	item->document = json_incref(document);
	return 0;
}

static struct change_request *make_request(struct call *call)
{
	json_t *ssls = json_object_get(call->document, "ssls"), *document;
	CLEANUP(change_request_free) struct change_request *request = write_request_new(call, json_array_size(ssls));
	size_t index, len = 0;

	if (request == NULL || find_others(call) < 0)
		return NULL;
	json_array_foreach(ssls, index, document)
	{
		int r = add_item(call, index, document, &request->items[len]);

		if (r == 0)
			len++;
		else if (r == E_SYNTAX)
			request->items[len] = (struct change_item){0};
		else
			return NULL;
	}
	request->items_len = len;
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
	json_t *list, *id;
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
	list = json_object_get(call->document, type);
	id = index != NULL ? json_object_get(json_array_get(list, strtoul(index + 1, NULL, 10)), "id") : NULL;
	if (!json_is_string(id) && !json_is_integer(id))
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
	if (append_errors(call, &call->findings, errors) < 0 || append_errors(call, &result->findings, errors) < 0)
		json_decref(TAKE_PTR(errors));
	if (errors != NULL && json_array_size(errors) == 0) {
		json_decref(errors);
		call_reply_json(call, 200, json_object());
		return;
	}
	call_reply_json(call, 400, json_pack("{s:s, s:o}", "error_msg", "Configuration validation failed", "errors", errors));
}

static void try_configuration(struct call *call)
{
	struct change_request *request;
	json_t *ssls = json_object_get(call->document, "ssls");

	call->audited = true; /* nothing was to be written */
	if (call->document == NULL)
		apisix_refuse(call, "invalid request body: empty request body");
	else if (!json_is_object(call->document) || (ssls != NULL && !json_is_array(ssls)))
		apisix_refuse(call, "invalid request body: must be an object of lists, \"ssls\" among them");
	else {
		request = make_request(call);
		if (request == NULL)
			call_reply_error(call);
		else
			change_submit(call->api->config.changes, request, on_tried, call);
	}
}

void apisix_configs_validate(struct call *call)
{
	apisix_load_body(call, try_configuration);
}
