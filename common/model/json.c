/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text, strictly, and merge patches. Jansson would nest 2048 deep and quote the text in its errors, which may hold
 * a key; a scan before it bounds the depth, and its error codes become phrases of ours. */
#include "base/memory.h"
#include "model/resource.h"

#include <stdbool.h>
#include <time.h>

#define DEPTH_MAX 32

static bool depth_is_bounded(struct bytes text)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > DEPTH_MAX)
			return false;
	}
	return true;
}

static const char *json_error_phrase(enum json_error_code code)
{
	switch (code) {
	case json_error_premature_end_of_input:
		return "ends too early";
	case json_error_end_of_input_expected:
		return "has bytes behind its end";
	case json_error_invalid_utf8:
		return "is not valid UTF-8";
	case json_error_duplicate_key:
		return "has a key twice in one object";
	case json_error_numeric_overflow:
		return "has a number out of range";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "has a NUL character in a string";
	default:
		return "is not well-formed";
	}
}

int resource_load_json(struct bytes text, json_t **ret, struct error *err)
{
	uint64_t failures = memory_failures();
	json_error_t error;
	json_t *loaded;

	if (!depth_is_bounded(text))
		return error_set(err, E_SYNTAX, "the JSON text nests deeper than %d", DEPTH_MAX);
	loaded = json_loadb(text.data == NULL ? "" : (const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
	if (loaded != NULL) {
		*ret = loaded;
		return 0;
	}
	error_set(err, E_SYNTAX, "the JSON text %s (line %d, column %d)", json_error_phrase(json_error_code(&error)), error.line,
	          error.column);
	return memory_judge(failures, E_SYNTAX, err); /* Jansson calls it a bad token, or nothing at all */
}

json_t *resource_render_time(int64_t unix_seconds)
{
	time_t when = (time_t)unix_seconds;
	char text[64];
	struct tm parts;

	if (gmtime_r(&when, &parts) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		return NULL;
	return json_string(text);
}

/* Sets result[name] to what patch makes of it; null removes it. */
static bool merge_member(json_t *result, const char *name, json_t *patch)
{
	json_t *merged;

	if (json_is_null(patch)) {
		(void)json_object_del(result, name); /* fails when it is absent */
		return true;
	}
	merged = resource_merge_patch(json_object_get(result, name), patch);
	return merged != NULL && json_object_set_new(result, name, merged) == 0;
}

json_t *resource_merge_patch(json_t *target, json_t *patch)
{
	const char *name;
	json_t *value, *result;

	if (!json_is_object(patch))
		return json_incref(patch);
	result = json_is_object(target) ? json_copy(target) : json_object();
	if (result == NULL)
		return NULL;
	json_object_foreach(patch, name, value)
	{
		if (!merge_member(result, name, value)) {
			json_decref(result);
			return NULL;
		}
	}
	return result;
}
