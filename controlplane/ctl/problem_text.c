/* SPDX-License-Identifier: Apache-2.0 */
/* An item of an apply is told by its name, with the pointer into its value; all else by the pointer as it is. */
#include "ctl/problem_text.h"

#include "ctl/text.h"

#include <stdlib.h>
#include <string.h>

/* "/3/value/cert" or "/put/3/value/cert" -> "/cert". */
static const char *skip_item(const char *pointer)
{
	const char *at = strstr(pointer, "/value");

	return at != NULL && (at[6] == 0 || at[6] == '/') ? at + 6 : "";
}

static void put_finding(struct buf *out, const char *severity, const json_t *finding, problem_item_fn *item, void *context)
{
	const char *pointer = json_string_value(json_object_get(finding, "pointer"));
	const json_t *index = json_object_get(finding, "index");
	size_t len = out->len;

	buf_printf(out, "  %s: ", severity);
	if (item != NULL && json_is_integer(index) && pointer != NULL) {
		len = out->len;
		item(out, (size_t)json_integer_value(index), context);
		pointer = out->len > len ? skip_item(pointer) : pointer;
		buf_put_str(out, out->len > len ? " " : "");
	}
	text_put_cstr(out, pointer);
	buf_put_str(out, pointer != NULL && pointer[0] != 0 ? " " : "");
	text_put_cstr(out, json_string_value(json_object_get(finding, "detail")));
	buf_put_str(out, " (");
	text_put_cstr(out, json_string_value(json_object_get(finding, "code")));
	buf_put_str(out, ")\n");
}

static void put_list(struct buf *out, const char *severity, const json_t *list, problem_item_fn *item, void *context)
{
	size_t index;
	json_t *finding;

	json_array_foreach(list, index, finding)
		put_finding(out, severity, finding, item, context);
}

/* Objects that an agent has refused or can't serve: "kind/id: reason". */
static void put_objects(struct buf *out, const json_t *objects)
{
	size_t index;
	json_t *object;

	json_array_foreach(objects, index, object) {
		buf_put_str(out, "    ");
		text_put_json(out, json_object_get(object, "kind"));
		buf_put_str(out, "/");
		text_put_json(out, json_object_get(object, "id"));
		buf_put_str(out, ": ");
		text_put_json(out, json_object_get(object, "reason"));
		buf_put_str(out, "\n");
	}
}

/* Handshakes that showed another certificate than they should: "NAME on LISTENER: expected HASH, seen HASH". */
static void put_seen(struct buf *out, const json_t *names)
{
	size_t index;
	json_t *name;

	json_array_foreach(names, index, name) {
		const char *reason = json_string_value(json_object_get(name, "reason"));

		buf_put_str(out, "    \"");
		text_put_cstr(out, json_string_value(json_object_get(name, "sni")));
		buf_put_str(out, "\" on ");
		text_put_json(out, json_object_get(name, "listener"));
		buf_put_str(out, ", ");
		text_put_json(out, json_object_get(name, "key_type"));
		buf_put_str(out, ": expected ");
		text_put_json(out, json_object_get(name, "expected"));
		buf_put_str(out, ", seen ");
		text_put_json(out, json_object_get(name, "seen"));
		buf_put_str(out, reason != NULL ? ", " : "");
		text_put_cstr(out, reason);
		buf_put_str(out, "\n");
	}
}

/* A token with a scope is told how many agents there are, not which. */
static void put_agents(struct buf *out, const json_t *agents)
{
	size_t index;
	json_t *agent;

	json_array_foreach(agents, index, agent) {
		const char *reason = json_string_value(json_object_get(agent, "reason"));
		const json_t *count = json_object_get(agent, "count");

		buf_put_str(out, count != NULL ? "  agents, " : "  agent ");
		text_put_json(out, count != NULL ? count : json_object_get(agent, "id"));
		buf_put_str(out, ": ");
		text_put_json(out, json_object_get(agent, "state"));
		buf_put_str(out, reason != NULL ? ", " : "");
		text_put_cstr(out, reason);
		buf_put_str(out, "\n");
		put_objects(out, json_object_get(agent, "objects"));
		put_seen(out, json_object_get(agent, "names"));
	}
}

void problem_put_names(struct buf *out, const json_t *names)
{
	const json_t *shadowed = json_object_get(names, "shadowed"), *superseded = json_object_get(names, "superseded");
	size_t index;
	json_t *name;

	json_array_foreach(shadowed, index, name) {
		buf_put_str(out, "  warning: ");
		text_put_json(out, name);
		buf_put_str(out, " is answered by another object or a route\n");
	}
	json_array_foreach(superseded, index, name) {
		buf_put_str(out, "  \"");
		text_put_cstr(out, json_string_value(json_object_get(name, "sni")));
		buf_put_str(out, "\" on ");
		text_put_json(out, json_object_get(name, "listener"));
		buf_put_str(out, ": changed again by revision ");
		text_put_json(out, json_object_get(name, "revision"));
		buf_put_str(out, "\n");
	}
}

static void put_omitted(struct buf *out, const json_t *document)
{
	json_int_t omitted = json_integer_value(json_object_get(document, "omitted"));

	if (omitted > 0)
		buf_printf(out, "  and %" JSON_INTEGER_FORMAT " more\n", omitted);
}

void problem_put(struct buf *out, const json_t *document, problem_item_fn *item, void *context)
{
	put_list(out, "error", json_object_get(document, "errors"), item, context);
	put_list(out, "warning", json_object_get(document, "warnings"), item, context);
	put_omitted(out, document);
	put_agents(out, json_object_get(document, "agents"));
	problem_put_names(out, json_object_get(document, "names"));
}

void problem_put_warnings(struct buf *out, const json_t *document, problem_item_fn *item, void *context)
{
	put_list(out, "warning", json_object_get(document, "warnings"), item, context);
	put_omitted(out, document);
}

void problem_put_findings(struct buf *out, const char *where, const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		if (finding->severity != FINDING_ERROR)
			continue;
		buf_put_str(out, "  error: ");
		text_put_cstr(out, where);
		buf_put_str(out, " ");
		text_put_cstr(out, finding->pointer);
		buf_put_str(out, finding->pointer[0] != 0 ? " " : "");
		text_put_cstr(out, finding->detail);
		buf_printf(out, " (%s)\n", finding->code);
	}
}
