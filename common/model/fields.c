/* SPDX-License-Identifier: Apache-2.0 */
/* The field engine; the rows that several kinds share are in field_rows.c. */
#include "model/fields.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SHOWN_MAX 40
#define RUN_MAX 40 /* a 32-byte key is 43 characters of base64; the longest word of ours is shorter */
#define RUN_SHOWN 12

/* Reading ---------------------------------------------------------------------------------------------------------- */

void field_fail(struct field_input *in, int code)
{
	if (in->code == 0)
		in->code = code;
}

void field_error(struct field_input *in, const char *code, const char *format, ...)
{
	char detail[sizeof(((struct finding *)0)->detail)];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	findings_add(in->findings, FINDING_ERROR, code, in->pointer, "%s", detail);
}

static void pointer_put(struct field_input *in, char c)
{
	if (in->pointer_len + 1 < sizeof(in->pointer))
		in->pointer[in->pointer_len++] = c;
	in->pointer[in->pointer_len] = '\0';
}

/* How much of a text may come back in an answer: a private key may have been pasted in the wrong place, so a run of characters as in
 * base64 or hex that is longer than any word of ours is cut short. */
static size_t shown_length(const char *text)
{
	size_t run = 0, at;

	for (at = 0; text[at] != '\0'; at++) {
		unsigned char c = (unsigned char)text[at];

		run = isalnum(c) || c == '+' || c == '/' || c == '=' ? run + 1 : 0;
		if (run == RUN_MAX)
			return at + 1 - (RUN_MAX - RUN_SHOWN);
	}
	return at;
}

/* A name also loses what stands behind bytes that no host name or label has. */
static size_t shown_name_length(const char *name)
{
	size_t len = shown_length(name);
	size_t plain = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:*[]-");

	return plain >= len || len < NAME_SHOWN_MAX ? len : NAME_SHOWN_MAX;
}

/* RFC 6901: '~' is ~0, '/' is ~1. */
size_t field_enter(struct field_input *in, const char *name)
{
	const char *end = name + shown_name_length(name);
	size_t mark = in->pointer_len;

	pointer_put(in, '/');
	for (; name < end; name++) {
		if (*name == '~' || *name == '/')
			pointer_put(in, '~');
		pointer_put(in, *name == '~' ? '0' : *name == '/' ? '1' : *name);
	}
	return mark;
}

size_t field_enter_index(struct field_input *in, size_t index)
{
	char name[24];

	snprintf(name, sizeof(name), "%zu", index);
	return field_enter(in, name);
}

void field_leave(struct field_input *in, size_t mark)
{
	in->pointer_len = mark;
	in->pointer[mark] = '\0';
}

void *field_alloc(struct field_input *in, size_t count, size_t size)
{
	void *memory = count == 0 ? NULL : calloc(count, size);

	if (memory == NULL && count > 0)
		field_fail(in, error_nomem(in->err));
	return memory;
}

char *field_copy(struct field_input *in, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		field_fail(in, error_nomem(in->err));
	return copy;
}

const char *field_text(struct field_input *in, json_t *value)
{
	if (!json_is_string(value))
		field_error(in, "wrong-type", "must be a string");
	return json_string_value(value);
}

bool field_integer(struct field_input *in, json_t *value, int64_t min, int64_t max, int64_t *ret)
{
	if (!json_is_integer(value)) {
		field_error(in, "wrong-type", "must be an integer");
		return false;
	}
	if (json_integer_value(value) < min || json_integer_value(value) > max) {
		field_error(in, "out-of-range", "must be %lld to %lld", (long long)min, (long long)max);
		return false;
	}
	*ret = json_integer_value(value);
	return true;
}

bool field_is_array(struct field_input *in, json_t *value, size_t min, size_t max)
{
	if (!json_is_array(value)) {
		field_error(in, "wrong-type", "must be an array");
		return false;
	}
	if (json_array_size(value) < min || json_array_size(value) > max) {
		field_error(in, "out-of-range", "must have %zu to %zu entries, has %zu", min, max, json_array_size(value));
		return false;
	}
	return true;
}

bool field_is_object(struct field_input *in, json_t *value)
{
	if (!json_is_object(value))
		field_error(in, "wrong-type", "must be an object");
	return json_is_object(value);
}

const char *field_quote(const char *text, char quoted[QUOTE_MAX])
{
	const char *end = text + shown_length(text);
	size_t used = 0;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		if (used + 8 > QUOTE_MAX || text == end) {
			memcpy(quoted + used, "...", 4);
			return quoted;
		}
		used += (size_t)snprintf(quoted + used, QUOTE_MAX - used, plain ? "%c" : "\\x%02x", c);
	}
	quoted[used] = '\0';
	return quoted;
}

static const struct field *tables_find(const struct field_table *const *tables, const char *name)
{
	for (; *tables != NULL; tables++)
		for (size_t i = 0; i < (*tables)->len; i++)
			if (strcmp((*tables)->rows[i].name, name) == 0)
				return &(*tables)->rows[i];
	return NULL;
}

static void field_error_unknown(struct field_input *in, const struct field_table *const *tables)
{
	char known[320] = "";
	size_t used = 0;

	for (; *tables != NULL; tables++) {
		for (size_t i = 0; i < (*tables)->len && used < sizeof(known); i++) {
			if (((*tables)->rows[i].flags & FIELD_SERVER) == 0 && (*tables)->rows[i].advice == NULL)
				used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used > 0 ? ", " : "",
				                         (*tables)->rows[i].name);
		}
	}
	field_error(in, "unknown-field", "unknown field; known here: %s", known);
}

void fields_read(struct field_input *in, const struct field_table *table, json_t *document, void *target)
{
	for (size_t i = 0; i < table->len; i++) {
		const struct field *field = &table->rows[i];
		json_t *value = json_object_get(document, field->name);
		size_t mark = field_enter(in, field->name);

		if (value != NULL && field->read != NULL)
			field->read(in, field, value, target);
		else if (value == NULL && (field->flags & FIELD_REQUIRED) != 0)
			field_error(in, "missing-field", "is required");
		field_leave(in, mark);
	}
}

void fields_find_unknown(struct field_input *in, const struct field_table *const *tables, json_t *document)
{
	const char *name;
	json_t *value;

	json_object_foreach(document, name, value)
	{
		size_t mark;

		if (tables_find(tables, name) != NULL)
			continue;
		mark = field_enter(in, name);
		field_error_unknown(in, tables);
		field_leave(in, mark);
	}
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

json_t *output_json(struct field_output *out, json_t *made)
{
	if (made == NULL)
		out->failed = true;
	return made;
}

json_t *output_text(struct field_output *out, const char *text)
{
	return text == NULL ? NULL : output_json(out, json_string(text));
}

void output_set(struct field_output *out, json_t *object, const char *name, json_t *value)
{
	if (value != NULL && json_object_set_new(object, name, value) != 0)
		out->failed = true;
}

void output_append(struct field_output *out, json_t *array, json_t *value)
{
	if (value != NULL && json_array_append_new(array, value) != 0)
		out->failed = true;
}

json_t *output_time(struct field_output *out, int64_t unix_seconds)
{
	return output_json(out, resource_render_time(unix_seconds));
}

void fields_write(struct field_output *out, const struct field_table *table, const void *source, json_t *object)
{
	for (size_t i = 0; i < table->len; i++) {
		const struct field *field = &table->rows[i];

		if (field->write == NULL || ((field->flags & FIELD_SERVER) != 0 && out->limits == NULL))
			continue;
		output_set(out, object, field->name, field->write(out, field, source));
	}
}
