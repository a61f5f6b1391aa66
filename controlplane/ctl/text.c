/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping, and the shapes of values. */
#include "ctl/text.h"

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Escaping --------------------------------------------------------------------------------------------------------- */

/* One character of UTF-8 (the bytes of JSON strings are that); a broken one counts as its first byte. */
static size_t decode(const uint8_t *at, size_t left, uint32_t *ret)
{
	static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;
	uint32_t value;

	*ret = UINT32_MAX;
	if (len == 0 || len > left)
		return 1;
	value = at[0] & masks[len];
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (at[i] & 0x3f);
	}
	*ret = value;
	return len;
}

/* Unicode: C0, DEL, C1; the marks and overrides of bidirectional text; line and paragraph separators; tags. */
static bool is_hidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

void text_put(struct buf *out, const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t step;
	uint32_t c;

	for (; len > 0; at += step, len -= step) {
		step = decode(at, len, &c);
		if (c == UINT32_MAX)
			buf_printf(out, "\\x%02x", at[0]);
		else if (c == '\n')
			buf_put_str(out, "\\n");
		else if (is_hidden(c))
			buf_printf(out, c < 0x100 ? "\\x%02x" : "\\u{%x}", (unsigned)c);
		else
			buf_put(out, at, step);
	}
}

void text_put_cstr(struct buf *out, const char *text)
{
	if (text != NULL)
		text_put(out, text, strlen(text));
}

size_t text_width(const char *text, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len; i++)
		width += ((uint8_t)text[i] & 0xc0) != 0x80;
	return width;
}

/* Values ----------------------------------------------------------------------------------------------------------- */

bool text_is_pem(const char *text)
{
	return text != NULL && strstr(text, "-----BEGIN ") != NULL;
}

static void put_pem(struct buf *out, const char *text)
{
	size_t blocks = 0;

	for (; (text = strstr(text, "-----BEGIN ")) != NULL; text++)
		blocks++;
	buf_printf(out, "(PEM, %zu block%s)", blocks, blocks == 1 ? "" : "s");
}

static void put_object(struct buf *out, const json_t *object)
{
	const char *name, *separator = "";
	json_t *value;

	json_object_foreach((json_t *)object, name, value) {
		buf_put_str(out, separator);
		text_put_cstr(out, name);
		buf_put_str(out, "=");
		text_put_json(out, value);
		separator = ",";
	}
}

void text_put_json(struct buf *out, const json_t *value)
{
	size_t index;
	json_t *item;

	switch (value != NULL ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		if (text_is_pem(json_string_value(value)))
			put_pem(out, json_string_value(value));
		else
			text_put(out, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		buf_printf(out, "%g", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_put_str(out, json_is_true(value) ? "yes" : "no");
		break;
	case JSON_ARRAY:
		json_array_foreach(value, index, item) {
			buf_put_str(out, index > 0 ? "," : "");
			text_put_json(out, item);
		}
		break;
	case JSON_OBJECT:
		put_object(out, value);
		break;
	default:
		buf_put_str(out, "-");
	}
}

time_t text_parse_time(const char *text)
{
	struct tm parts = {0};
	const char *end = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) : NULL;

	return end != NULL && strcmp(end, "Z") == 0 ? timegm(&parts) : (time_t)-1;
}

void text_put_time(struct buf *out, const json_t *value)
{
	time_t when = json_is_integer(value) ? (time_t)json_integer_value(value) : text_parse_time(json_string_value(value));
	struct tm parts;
	char text[32];

	if (when < 0 || gmtime_r(&when, &parts) == NULL || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &parts) == 0)
		text_put_json(out, value);
	else
		buf_put_str(out, text);
}

int text_put_pretty(struct buf *out, const json_t *document)
{
	char *text = json_dumps(document, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));

	if (text == NULL)
		return E_NOMEM;
	for (const char *at = text; *at != 0; at++) {
		if (*at == 0x7f) /* the one control character that ASCII JSON may carry raw */
			buf_put_str(out, "\\u007f");
		else
			buf_put_u8(out, (uint8_t)*at);
	}
	buf_put_str(out, "\n");
	free(text);
	return out->failed ? E_NOMEM : 0;
}

/* Lines ------------------------------------------------------------------------------------------------------------ */

static void put_indent(struct buf *out, unsigned indent)
{
	for (unsigned i = 0; i < indent; i++)
		buf_put_str(out, "  ");
}

static bool is_list_of_objects(const json_t *value)
{
	return json_is_object(json_array_get(value, 0));
}

/* Unix seconds, or RFC 3339. */
static bool is_time(const char *name, const json_t *value)
{
	static const char *const names[] = {"create_time", "update_time", "connected_at", "last_seen", "last_ack", "time", "since",
	                                    "not_after", "not_before", "created_at", "expires_at", "last_used_at", "enrolled_at",
	                                    "certificate_expires"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return json_is_integer(value) || json_is_string(value);
	}
	return false;
}

static void put_list(struct buf *out, const json_t *list, unsigned indent)
{
	size_t index;
	json_t *item;

	json_array_foreach(list, index, item) {
		if (index > 0)
			buf_put_str(out, "\n");
		text_put_lines(out, item, indent);
	}
}

void text_put_lines(struct buf *out, const json_t *object, unsigned indent)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value) {
		put_indent(out, indent);
		text_put_cstr(out, name);
		buf_put_str(out, ":");
		if (is_list_of_objects(value) || (json_is_object(value) && json_object_size(value) > 0)) {
			buf_put_str(out, "\n");
			if (json_is_array(value))
				put_list(out, value, indent + 1);
			else
				text_put_lines(out, value, indent + 1);
			continue;
		}
		buf_put_str(out, " ");
		if (json_array_size(value) == 0 && (json_is_array(value) || json_is_object(value)))
			buf_put_str(out, "-");
		else if (is_time(name, value))
			text_put_time(out, value);
		else
			text_put_json(out, value);
		buf_put_str(out, "\n");
	}
}
