/* SPDX-License-Identifier: Apache-2.0 */
/* Reads NDJSON: a line, its item, the next line. A line that is no JSON is told and passed over, so that all of them are
 * found at once. */
#include "api/feed.h"
#include "api/feed_item.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE_MAX (8u << 20) /* as a PUT of that object might be */
#define DROP_SIZE (1u << 20)

struct lines_feed {
	struct change_feed base;
	struct http_request *http;
	struct bytes body;
	size_t at, dropped;
	uint64_t line; /* from 1, as editors count */
	uint64_t index; /* of the item */
};

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
			return false;
	}
	return true;
}

/* The next line that has something in it. False: no more. */
static bool take_line(struct lines_feed *feed, struct bytes *ret)
{
	while (feed->at < feed->body.len) {
		const uint8_t *start = feed->body.data + feed->at;
		const uint8_t *newline = memchr(start, '\n', feed->body.len - feed->at);
		struct bytes line = {start, newline != NULL ? (size_t)(newline - start) : feed->body.len - feed->at};

		feed->at += line.len + (newline != NULL);
		feed->line++;
		if (!is_blank(line)) {
			*ret = line;
			return true;
		}
	}
	return false;
}

static void drop_read(struct lines_feed *feed)
{
	if (feed->at - feed->dropped < DROP_SIZE && feed->at < feed->body.len)
		return;
	http_drop_body(feed->http, feed->at);
	feed->dropped = feed->at;
}

/* "... (line 1, column 7)" counts within the line. */
static void tell_syntax(struct lines_feed *feed, const char *pointer, struct error *why, struct findings *findings)
{
	char *place = strstr(why->text, " (line ");
	const char *column = place != NULL ? strstr(place, "column ") : NULL;

	if (place != NULL)
		*place = 0;
	findings_add(findings, FINDING_ERROR, "syntax", pointer, "line %" PRIu64 "%s%.*s: %s", feed->line,
	             column != NULL ? ", " : "", column != NULL ? (int)strcspn(column, ")") : 0, column != NULL ? column : "",
	             why->text);
	feed->base.refused = E_SYNTAX;
}

/* 1: *ret is an item; 0: told, go on. */
static int read_line(struct lines_feed *feed, struct bytes line, struct change_item *ret, struct findings *findings,
                     struct error *err)
{
	struct error why = ERROR_NULL;
	char pointer[32];
	json_t *object;
	bool fit;
	int r;

	snprintf(pointer, sizeof(pointer), "/%" PRIu64, feed->index++);
	if (line.len > LINE_SIZE_MAX) {
		findings_add(findings, FINDING_ERROR, "too-large", pointer, "line %" PRIu64 " is longer than %u bytes", feed->line,
		             LINE_SIZE_MAX);
		feed->base.refused = E_SYNTAX;
		return 0;
	}
	r = resource_load_json(line, &object, &why);
	if (r == E_SYNTAX) {
		tell_syntax(feed, pointer, &why, findings);
		return 0;
	}
	if (r < 0)
		return error_set(err, r, "%s", why.text);
	fit = feed_read_item(object, pointer, true, CHANGE_PUT, ret, findings);
	json_decref(object);
	return fit;
}

static int next(struct change_feed *base, struct change_item *ret, struct findings *findings, struct error *err)
{
	struct lines_feed *feed = container_of(base, struct lines_feed, base);
	struct bytes line;
	int r = 0;

	while (r == 0 && take_line(feed, &line)) {
		r = read_line(feed, line, ret, findings, err);
		drop_read(feed);
		if (findings->failed)
			return error_nomem(err);
	}
	return r;
}

static void free_feed(struct change_feed *base)
{
	struct lines_feed *feed = container_of(base, struct lines_feed, base);

	http_drop_body(feed->http, feed->body.len);
	free(feed);
}

struct change_feed *feed_new_lines(struct http_request *http)
{
	struct lines_feed *feed = calloc(1, sizeof(*feed));

	if (feed == NULL)
		return NULL;
	feed->base.next = next;
	feed->base.free = free_feed;
	feed->http = http;
	feed->body = http_body(http);
	return &feed->base;
}
