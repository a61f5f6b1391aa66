/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include "http/gate.h"
#include "http/target.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS_MAX 18

/* RFC 9110 section 5.6.2. */
static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char host_chars[] = "[]:.-_~%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

struct span {
	const char *text;
	size_t len;
};

struct reading {
	bool is_11, has_host, has_length, has_coding;
	size_t fields;
	struct head *head;
};

static size_t span_of(struct span span, const char *allowed)
{
	size_t count = 0;

	while (count < span.len && span.text[count] != '\0' && strchr(allowed, span.text[count]) != NULL)
		count++;
	return count;
}

static bool is_word(struct span span, const char *word)
{
	return span.len == strlen(word) && strncasecmp(span.text, word, span.len) == 0;
}

bool head_is_clean(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

bool head_is_hopeless(const char *text, size_t len)
{
	size_t method = span_of((struct span){text, len}, token);

	return method > HEAD_METHOD_MAX ? false : method < len && (method == 0 || text[method] != ' ');
}

/* METHOD SP TARGET SP HTTP/1.x */
static enum head_refusal read_first(struct span line, struct reading *reading)
{
	size_t method = span_of(line, token), target;
	struct span version;

	if (method == 0 || method == line.len || line.text[method] != ' ')
		return HEAD_MALFORMED;
	line = (struct span){line.text + method + 1, line.len - method - 1};
	for (target = 0; target < line.len && (unsigned char)line.text[target] > 0x20 && line.text[target] != 0x7f; target++)
		;
	if (target == 0 || target == line.len || line.text[target] != ' ')
		return HEAD_MALFORMED;
	version = (struct span){line.text + target + 1, line.len - target - 1};
	if (version.len != 8 || memcmp(version.text, "HTTP/", 5) != 0)
		return HEAD_MALFORMED;
	if (memcmp(version.text, "HTTP/1.", 7) != 0 || (version.text[7] != '0' && version.text[7] != '1'))
		return HEAD_BAD_VERSION;
	if (method > HEAD_METHOD_MAX)
		return HEAD_BAD_METHOD;
	if (target > TARGET_MAX)
		return HEAD_TARGET_TOO_LONG;
	reading->is_11 = version.text[7] == '1';
	return HEAD_OK;
}

/* Rows, by name of the field; each at most once. */
static enum head_refusal take_host(struct span value, struct reading *reading)
{
	if (reading->has_host || value.len == 0 || span_of(value, host_chars) < value.len)
		return HEAD_BAD_HOST;
	reading->has_host = true;
	return HEAD_OK;
}

static enum head_refusal take_length(struct span value, struct reading *reading)
{
	if (reading->has_length || value.len == 0 || span_of(value, "0123456789") < value.len)
		return HEAD_BAD_LENGTH;
	if (value.len > LENGTH_DIGITS_MAX)
		return HEAD_TOO_LONG;
	reading->has_length = true;
	reading->head->length = strtoull(value.text, NULL, 10); /* ends with the digits: CR or a blank is behind them */
	return HEAD_OK;
}

static enum head_refusal take_coding(struct span value, struct reading *reading)
{
	if (reading->has_coding || !is_word(value, "chunked"))
		return HEAD_BAD_CODING;
	reading->has_coding = true;
	reading->head->is_chunked = true;
	return HEAD_OK;
}

static enum head_refusal take_expect(struct span value, struct reading *reading)
{
	return is_word(value, "100-continue") ? HEAD_OK : HEAD_BAD_EXPECT;
}

static enum head_refusal take_reserved(struct span value, struct reading *reading)
{
	return HEAD_RESERVED;
}

static const struct field {
	const char *name;
	enum head_refusal (*take)(struct span value, struct reading *reading);
} fields[] = {
	{"Host", take_host},     {"Content-Length", take_length}, {"Transfer-Encoding", take_coding},
	{"Expect", take_expect}, {GATE_FIELD, take_reserved},
};

static struct span trim(struct span span)
{
	while (span.len > 0 && (span.text[0] == ' ' || span.text[0] == '\t'))
		span = (struct span){span.text + 1, span.len - 1};
	while (span.len > 0 && (span.text[span.len - 1] == ' ' || span.text[span.len - 1] == '\t'))
		span.len--;
	return span;
}

/* A folded line begins with a blank: it has no name. */
static enum head_refusal read_field(struct span line, struct reading *reading)
{
	struct span name = {line.text, span_of(line, token)}, value;

	if (++reading->fields > HEAD_FIELDS_MAX)
		return HEAD_TOO_LARGE;
	if (name.len == 0 || name.len == line.len || line.text[name.len] != ':')
		return HEAD_BAD_FIELD;
	value = trim((struct span){line.text + name.len + 1, line.len - name.len - 1});
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (is_word(name, fields[i].name))
			return fields[i].take(value, reading);
	}
	return HEAD_OK;
}

static enum head_refusal check_whole(const struct reading *reading)
{
	if (reading->has_length && reading->has_coding)
		return HEAD_TWO_LENGTHS;
	if (reading->is_11 && !reading->has_host)
		return HEAD_BAD_HOST;
	return reading->has_coding && !reading->is_11 ? HEAD_BAD_CODING : HEAD_OK;
}

enum head_refusal head_read(const char *text, size_t len, struct head *ret)
{
	struct head head = {0};
	struct reading reading = {.head = &head};
	enum head_refusal why = HEAD_OK;
	bool first = true;

	for (const char *end = text + len; why == HEAD_OK;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct span line = {text, newline != NULL ? (size_t)(newline - text) : 0};

		if (newline == NULL || line.len == 0 || text[--line.len] != '\r' || !head_is_clean(line.text, line.len))
			return first ? HEAD_MALFORMED : HEAD_BAD_LINE;
		if (line.len == 0)
			break; /* the empty one */
		why = first ? read_first(line, &reading) : read_field(line, &reading);
		first = false;
		text = newline + 1;
	}
	if (why == HEAD_OK)
		why = check_whole(&reading);
	if (why == HEAD_OK)
		*ret = head;
	return why;
}
