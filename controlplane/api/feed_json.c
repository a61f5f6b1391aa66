/* SPDX-License-Identifier: Apache-2.0 */
/* Reads {"put": [...], "delete": [...]}: an item leaves the document when it is handed out.
 *
 *   START --the body is a document of that form--> LISTS, one after the other --> end */
#include "api/feed.h"
#include "api/feed_item.h"

#include <stdio.h>
#include <stdlib.h>

static const struct list {
	const char *name;
	enum change_op op;
} lists[] = {{"put", CHANGE_PUT}, {"delete", CHANGE_DELETE}};

struct json_feed {
	struct change_feed base;
	struct http_request *http;
	json_t *document;
	bool started;
	size_t list, index; /* the next item */
};

static int start(struct json_feed *feed, struct findings *findings, struct error *err)
{
	static const char *const members[] = {"put", "delete", NULL};
	struct bytes body = http_body(feed->http);
	int r = resource_load_json(body, &feed->document, err);

	feed->started = true;
	http_drop_body(feed->http, body.len);
	if (r < 0)
		return error_prefix(err, r, "body");
	if (!json_is_object(feed->document)) {
		findings_add(findings, FINDING_ERROR, "wrong-type", "", "expected an object");
		return 0;
	}
	feed_check_members(feed->document, "", members, findings);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		json_t *list = json_object_get(feed->document, lists[i].name);
		char pointer[16];

		snprintf(pointer, sizeof(pointer), "/%s", lists[i].name);
		if (list != NULL && !json_is_array(list))
			findings_add(findings, FINDING_ERROR, "wrong-type", pointer, "expected an array");
	}
	return 0;
}

/* The next item, taken out of the document; NULL: no more. */
static json_t *take_next(struct json_feed *feed, char *pointer, size_t pointer_size, enum change_op *ret_op)
{
	for (; feed->list < ARRAY_LEN(lists); feed->list++, feed->index = 0) {
		json_t *list = json_object_get(feed->document, lists[feed->list].name);
		json_t *item;

		if (feed->index >= json_array_size(list))
			continue;
		item = json_incref(json_array_get(list, feed->index));
		(void)json_array_set_new(list, feed->index, json_null()); /* within bounds, and null is no allocation */
		snprintf(pointer, pointer_size, "/%s/%zu", lists[feed->list].name, feed->index);
		*ret_op = lists[feed->list].op;
		feed->index++;
		return item;
	}
	return NULL;
}

static int next(struct change_feed *base, struct change_item *ret, struct findings *findings, struct error *err)
{
	struct json_feed *feed = container_of(base, struct json_feed, base);
	char pointer[32];
	enum change_op op = CHANGE_PUT;
	bool fit = false;
	json_t *item;
	int r = feed->started ? 0 : start(feed, findings, err);

	if (r < 0)
		return r;
	while (!fit && (item = take_next(feed, pointer, sizeof(pointer), &op)) != NULL) {
		fit = feed_read_item(item, pointer, false, op, ret, findings);
		json_decref(item);
		if (findings->failed)
			return error_nomem(err);
	}
	return fit ? 1 : 0;
}

static void free_feed(struct change_feed *base)
{
	struct json_feed *feed = container_of(base, struct json_feed, base);

	json_decref(feed->document);
	free(feed);
}

struct change_feed *feed_new_json(struct http_request *http)
{
	struct json_feed *feed = calloc(1, sizeof(*feed));

	if (feed == NULL)
		return NULL;
	feed->base.next = next;
	feed->base.free = free_feed;
	feed->http = http;
	return &feed->base;
}
