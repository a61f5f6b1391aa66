/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/revisions/N/rollback: a write like any other, without objects or with {"objects": [{"kind", "id"}...]}, which are
 * then all that goes back. If-Match means the store as a whole. */
#include "api/handlers.h"

#include "api/write.h"

#include <stdio.h>
#include <string.h>

#define OBJECTS_MAX 1000 /* named; they are looked through on the loop */

static void fault(struct call *call, const char *code, const char *pointer, const char *detail)
{
	findings_add(&call->findings, FINDING_ERROR, code, pointer, "%s", detail);
}

static void check_members(struct call *call, json_t *object, const char *pointer, const char *a, const char *b)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		if (strcmp(name, a) != 0 && (b == NULL || strcmp(name, b) != 0))
			findings_add(&call->findings, FINDING_ERROR, "unknown-field", pointer, "unknown member \"%.32s\"", name);
	}
}

static void take_object(struct call *call, json_t *value, struct change_item *item)
{
	const char *word = json_string_value(json_object_get(value, "kind"));
	const char *id = json_string_value(json_object_get(value, "id"));
	const struct kind_info *info = word != NULL ? kind_find_collection(word) : NULL;
	char at[64];

	if (!json_is_object(value)) {
		fault(call, "wrong-type", item->pointer, "expected an object");
		return;
	}
	check_members(call, value, item->pointer, "kind", "id");
	snprintf(at, sizeof(at), "%s/kind", item->pointer);
	if (info == NULL || !info->travels)
		fault(call, word != NULL ? "invalid-value" : "missing-field", at,
		      "one of ssls, tls_options, ca_bundles, listeners, upstreams, routes, upstream_tls");
	else
		item->kind = info->kind;
	snprintf(at, sizeof(at), "%s/id", item->pointer);
	if (id == NULL || !kind_is_id(id, json_string_length(json_object_get(value, "id"))))
		fault(call, id != NULL ? "invalid-value" : "missing-field", at, "1 to 64 of [a-zA-Z0-9._-], not starting with '.' or '-'");
	else
		snprintf(item->id, sizeof(item->id), "%s", id);
}

/* How many objects are named; 0 also when the body says nothing, or too much. */
static size_t count_objects(struct call *call)
{
	json_t *list = json_object_get(call->document, "objects");

	if (call->document == NULL)
		return 0;
	if (!json_is_object(call->document)) {
		fault(call, "wrong-type", "", "expected an object");
		return 0;
	}
	check_members(call, call->document, "", "objects", NULL);
	if (list != NULL && (!json_is_array(list) || json_array_size(list) == 0))
		fault(call, "wrong-type", "/objects", "expected an array of at least one object; leave it out for all of them");
	if (json_array_size(list) <= OBJECTS_MAX)
		return json_array_size(list);
	fault(call, "out-of-range", "/objects", "at most 1000 objects; leave them out for all that has changed");
	return 0;
}

static struct change_request *read_request(struct call *call)
{
	size_t count = count_objects(call);
	CLEANUP(change_request_free) struct change_request *request = write_request_new(call, count);
	json_t *list = json_object_get(call->document, "objects");

	if (request == NULL || query_parse_revision(call->id, &request->rollback, &call->error) < 0)
		return NULL;
	if (request->rollback.number == 0) {
		error_set(&call->error, E_NOT_FOUND, "no revision %s", call->id);
		return NULL;
	}
	if (request->create_only) {
		error_set(&call->error, E_SYNTAX, "If-None-Match is for single objects");
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		snprintf(request->items[i].pointer, sizeof(request->items[i].pointer), "/objects/%zu", i);
		take_object(call, json_array_get(list, i), &request->items[i]);
	}
	if (call->findings.failed)
		error_nomem(&call->error);
	else if (call->findings.errors > 0)
		error_set(&call->error, E_INVALID, "the request is not of the form {\"objects\": [{\"kind\", \"id\"}...]}");
	return call->error.code == 0 ? TAKE_PTR(request) : NULL;
}

static void answer(struct call *call, const struct change_result *result)
{
	call->status = 200;
	call->document = json_pack("{s:s, s:b, s:o}", "revision", call->revision, "changed", result->changed, "warnings",
	                           problem_render_findings(&result->findings, FINDING_WARNING, false));
	if (call->document != NULL && problem_add_omitted(call->document, &result->findings) < 0)
		json_decref(TAKE_PTR(call->document));
}

static void submit(struct call *call)
{
	struct change_request *request = read_request(call);

	json_decref(TAKE_PTR(call->document));
	if (request != NULL)
		write_submit(call, request, answer);
	else
		call_reply_error(call);
}

void revisions_rollback(struct call *call)
{
	if (http_body(call->http).len == 0)
		submit(call);
	else
		write_load_body(call, submit);
}
