/* SPDX-License-Identifier: Apache-2.0 */
/* Formats one event into a bounded line and writes it with one write(2), so that lines of threads never mix. What does
 * not fit is cut at a field boundary and marked; a failing stderr is ignored, since nothing better can be told. */
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define LOG_LINES_PER_SECOND 10
#define LINE_RESERVE 16 /* for the cut mark, the closing brace and the newline */

static enum log_level active_level = LOG_INFO;
static enum log_format active_format = LOG_KEY_VALUE;

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static const char *const format_names[] = {"kv", "json"};

struct line {
	char data[LINE_MAX_BYTES];
	size_t len;
	bool cut;
};

struct log_field log_field_text(const char *key, const char *value)
{
	const char *shown = value != NULL ? value : "-";

	return (struct log_field){key, shown, strlen(shown), 0};
}

int log_set_level(const char *level, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(level, level_names[i]) == 0) {
			active_level = (enum log_level)i;
			return 0;
		}
	}
	return error_set(err, E_SYNTAX, "unknown log level (debug, info, warning, error)");
}

int log_set_format(const char *format, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(format_names); i++) {
		if (strcmp(format, format_names[i]) == 0) {
			active_format = (enum log_format)i;
			return 0;
		}
	}
	return error_set(err, E_SYNTAX, "unknown log format (kv, json)");
}

bool log_is_on(enum log_level level)
{
	return level >= active_level;
}

static void line_put(struct line *line, const char *data, size_t len)
{
	if (line->cut || len > sizeof(line->data) - LINE_RESERVE - line->len) {
		line->cut = true;
		return;
	}
	memcpy(line->data + line->len, data, len);
	line->len += len;
}

static void line_put_text(struct line *line, const char *text)
{
	line_put(line, text, strlen(text));
}

/* Quotes, backslashes, controls, DEL and all bytes above ASCII become \uXXXX: safe for terminals and for JSON alike. */
static void line_put_escaped(struct line *line, const char *text, size_t len)
{
	char escaped[8];

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			snprintf(escaped, sizeof(escaped), "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
		else
			snprintf(escaped, sizeof(escaped), "%c", c);
		line_put_text(line, escaped);
	}
}

static bool is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return len > 0;
}

static void line_put_field(struct line *line, const struct log_field *field)
{
	size_t before = line->len;
	char number[32];
	bool json = active_format == LOG_JSON;
	bool quoted = field->text != NULL && (json || !is_plain(field->text, field->text_len));

	line_put_text(line, json ? ",\"" : " ");
	line_put_text(line, field->key);
	line_put_text(line, json ? "\":" : "=");
	if (quoted)
		line_put_text(line, "\"");
	if (field->text != NULL) {
		line_put_escaped(line, field->text, field->text_len);
	} else {
		snprintf(number, sizeof(number), "%lld", (long long)field->number);
		line_put_text(line, number);
	}
	if (quoted)
		line_put_text(line, "\"");
	if (line->cut)
		line->len = before;
}

static void line_put_time(struct line *line)
{
	struct timespec now;
	struct tm utc;
	char stamp[40];
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	used = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(stamp + used, sizeof(stamp) - used, ".%03ldZ", now.tv_nsec / 1000000);
	line_put_text(line, stamp);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	struct line line = {.len = 0, .cut = false};
	const struct log_field head[] = {
	    log_field_text("level", level_names[level]),
	    log_field_text("msg", message),
	};
	ssize_t written;

	line_put_text(&line, active_format == LOG_JSON ? "{\"time\":\"" : "time=");
	line_put_time(&line);
	if (active_format == LOG_JSON)
		line_put_text(&line, "\"");
	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		line_put_field(&line, &head[i]);
	for (; fields->key != NULL; fields++)
		line_put_field(&line, fields);
	if (line.cut)
		line.len += (size_t)snprintf(line.data + line.len, LINE_RESERVE, active_format == LOG_JSON ? ",\"cut\":1" : " cut=1");
	if (active_format == LOG_JSON)
		line.data[line.len++] = '}';
	line.data[line.len++] = '\n';
	written = write(STDERR_FILENO, line.data, line.len);
	(void)written;
}

bool log_budget_take(struct log_budget *budget, uint64_t now_ms)
{
	uint64_t second = now_ms / 1000;

	if (second != budget->second) {
		if (budget->dropped > 0)
			log_event(LOG_INFO, "log lines dropped", LOG_U64("count", budget->dropped));
		*budget = (struct log_budget){.second = second};
	}
	if (budget->count < LOG_LINES_PER_SECOND) {
		budget->count++;
		return true;
	}
	budget->dropped++;
	return false;
}
