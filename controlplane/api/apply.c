/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/apply: {"put": [{"kind", "id", "value"}...], "delete": [{"kind", "id"}...]}, one revision or nothing. The
 * frame is checked here, all of it before anything is submitted; what stands in the values is the change layer's. */
#include "api/handlers.h"

#include "api/write.h"

#include <stdio.h>
#include <string.h>

struct frame {
	struct call *call;
	struct change_request *request;
	size_t len; /* of items */
};

static void fault(struct frame *frame, const char *code, const char *pointer, const char *detail)
{
	findings_add(&frame->call->findings, FINDING_ERROR, code, pointer, "%s", detail);
}

static void check_members(struct frame *frame, json_t *object, const char *pointer, const char *const *known)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		const char *const *row = known;

		while (*row != NULL && strcmp(*row, name) != 0)
			row++;
		if (*row == NULL)
			findings_add(&frame->call->findings, FINDING_ERROR, "unknown-field", pointer, "unknown member \"%.32s\"",
			             name);
	}
}

static enum kind read_kind(struct frame *frame, json_t *item, const char *pointer)
{
	const char *word = json_string_value(json_object_get(item, "kind"));
	const struct kind_info *info = word != NULL ? kind_find_collection(word) : NULL;
	char at[64];

	if (info != NULL && info->travels)
		return info->kind;
	snprintf(at, sizeof(at), "%s/kind", pointer);
	fault(frame, word != NULL ? "invalid-value" : "missing-field", at,
	      "one of ssls, tls_options, ca_bundles, listeners, upstreams");
	return 0;
}

static const char *read_id(struct frame *frame, json_t *item, const char *pointer)
{
	json_t *value = json_object_get(item, "id");
	const char *id = json_string_value(value);
	char at[64];

	if (id != NULL && kind_is_id(id, json_string_length(value)))
		return id;
	snprintf(at, sizeof(at), "%s/id", pointer);
	fault(frame, value != NULL ? "invalid-value" : "missing-field", at,
	      "1 to 64 of [a-zA-Z0-9._-], not starting with '.' or '-'");
	return NULL;
}

static void take_item(struct frame *frame, json_t *item, const char *pointer, enum change_op op)
{
	static const char *const put_members[] = {"kind", "id", "value", NULL}, *const delete_members[] = {"kind", "id",
	                                                                                                   NULL};
	struct change_item *to = &frame->request->items[frame->len++];
	json_t *value = json_object_get(item, "value");
	const char *id;

	if (!json_is_object(item)) {
		fault(frame, "wrong-type", pointer, "expected an object");
		return;
	}
	check_members(frame, item, pointer, op == CHANGE_PUT ? put_members : delete_members);
	to->op = op;
	to->kind = read_kind(frame, item, pointer);
	id = read_id(frame, item, pointer);
	snprintf(to->pointer, sizeof(to->pointer), "%s%s", pointer, op == CHANGE_PUT ? "/value" : "");
	if (op == CHANGE_PUT && !json_is_object(value))
		fault(frame, value != NULL ? "wrong-type" : "missing-field", to->pointer, "expected the object's document");
	else if (op == CHANGE_PUT)
		to->document = json_incref(value);
	if (id != NULL)
		snprintf(to->id, sizeof(to->id), "%s", id);
}

static void take_list(struct frame *frame, const char *name, enum change_op op)
{
	json_t *list = json_object_get(frame->call->document, name);
	char pointer[48];
	size_t index;
	json_t *item;

	json_array_foreach(list, index, item) {
		snprintf(pointer, sizeof(pointer), "/%s/%zu", name, index);
		take_item(frame, item, pointer, op);
	}
}

/* How many items; 0 only after a finding. */
static size_t count_items(struct frame *frame)
{
	static const char *const members[] = {"put", "delete", NULL};
	json_t *document = frame->call->document;
	size_t count = 0;

	if (!json_is_object(document)) {
		fault(frame, "wrong-type", "", "expected an object");
		return 0;
	}
	check_members(frame, document, "", members);
	for (size_t i = 0; members[i] != NULL; i++) {
		json_t *list = json_object_get(document, members[i]);
		char pointer[16];

		snprintf(pointer, sizeof(pointer), "/%s", members[i]);
		if (list != NULL && !json_is_array(list))
			fault(frame, "wrong-type", pointer, "expected an array");
		count += json_array_size(list);
	}
	if (count == 0 && frame->call->findings.errors == 0)
		fault(frame, "missing-field", "", "nothing to put and nothing to delete");
	return count;
}

/* E_INVALID with findings. */
static int read_frame(struct frame *frame)
{
	struct call *call = frame->call;
	size_t count = count_items(frame);

	if (count > 0) {
		frame->request = write_request_new(call, count);
		if (frame->request == NULL)
			return call->error.code;
		take_list(frame, "put", CHANGE_PUT);
		take_list(frame, "delete", CHANGE_DELETE);
	}
	if (call->findings.failed)
		return error_nomem(&call->error);
	if (call->findings.errors > 0)
		return error_set(&call->error, E_INVALID, "the request is not of the form {\"put\": [...], \"delete\": [...]}");
	if (frame->request->create_only)
		return error_set(&call->error, E_SYNTAX, "If-None-Match is for single objects");
	return 0;
}

static void answer_applied(struct call *call, const struct change_result *result)
{
	call->status = 200;
	call->document = json_pack("{s:s, s:b, s:o}", "revision", call->revision, "changed", result->changed, "warnings",
	                           problem_render_findings(&result->findings, FINDING_WARNING));
	if (call->document != NULL && problem_add_omitted(call->document, &result->findings) < 0)
		json_decref(TAKE_PTR(call->document));
}

static void submit(struct call *call)
{
	struct frame frame = {.call = call};
	int r = read_frame(&frame);

	json_decref(TAKE_PTR(call->document)); /* the items hold their documents */
	if (r == 0) {
		write_submit(call, frame.request, answer_applied);
		return;
	}
	change_request_free(frame.request);
	call_reply_error(call);
}

void apply_post(struct call *call)
{
	write_load_body(call, submit);
}
