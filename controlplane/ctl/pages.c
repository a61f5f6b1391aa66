/* SPDX-License-Identifier: Apache-2.0 */
/* Following `next`. */
#include "ctl/pages.h"

#include <stdio.h>

#define PAGE 500

static int give_items(struct ctl *ctl, struct page_walk *walk, json_t *page, size_t *given, struct error *err)
{
	json_t *items = json_object_get(page, "items"), *item;
	size_t index;
	int r = 0;

	json_array_foreach(items, index, item) {
		if (r != 0 || (walk->limit > 0 && *given == walk->limit))
			break;
		r = walk->on_item(item, walk->context, err);
		++*given;
	}
	client_progress(ctl->client, "reading: %zu", *given);
	return r;
}

int pages_walk(struct ctl *ctl, struct page_walk *walk, struct error *err)
{
	CLEANUP(answer_deinit) struct answer answer = {0};
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	const char *next = NULL;
	size_t given = 0;
	char limit[16];
	int r;

	do {
		buf_reset(&path);
		buf_put_str(&path, walk->path);
		snprintf(limit, sizeof(limit), "%zu", walk->limit > 0 && walk->limit - given < PAGE ? walk->limit - given : PAGE);
		ctl_put_parameter(&path, "limit", limit);
		if (next != NULL)
			ctl_put_parameter(&path, "cursor", next);
		if (buf_cstr(&path) == NULL)
			return error_nomem(err);
		r = ctl_get(ctl, (const char *)path.data, &answer, err);
		if (r == 0)
			r = give_items(ctl, walk, answer.document, &given, err);
		if (r != 0)
			return r;
		json_decref(walk->frame);
		walk->frame = json_incref(answer.document);
		next = json_string_value(json_object_get(walk->frame, "next"));
	} while (next != NULL && (walk->limit == 0 || given < walk->limit));
	client_progress(ctl->client, NULL);
	(void)json_object_del(walk->frame, "items");
	return 0;
}
