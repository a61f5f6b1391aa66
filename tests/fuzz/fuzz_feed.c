/* SPDX-License-Identifier: Apache-2.0 */
/* The body of POST /v1/apply, NDJSON or JSON (the first byte chooses), read to its end as the change layer does: every item is whole, what
 * is none is told. */
#include "api/feed.h"
#include "http/request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_item(const struct change_item *item)
{
	if (!kind_is_id(item->id, strlen(item->id)) || kind_find(item->kind) == NULL || item->pointer[0] != '/')
		abort();
	if ((item->op == CHANGE_PUT) != (item->document != NULL) || (item->op != CHANGE_PUT && item->op != CHANGE_DELETE))
		abort();
}

static void read_all(struct change_feed *feed, struct findings *findings)
{
	struct error err = ERROR_NULL;
	int r = 1;

	while (r == 1) {
		struct change_item item = {0};

		r = feed->next(feed, &item, findings, &err);
		if (r == 1)
			check_item(&item);
		json_decref(item.document);
		free(item.if_match);
	}
	if (r < 0 && err.text[0] == '\0' && findings->errors == 0)
		abort();
	if (feed->refused < 0 && findings->errors == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request request = {.body = BODY_NULL};
	struct findings findings = FINDINGS_NULL;
	struct change_feed *feed;

	if (size == 0 || !body_put(&request.body, data + 1, size - 1, 1 << 20))
		return 0;
	feed = data[0] % 2 == 0 ? feed_new_lines(&request) : feed_new_json(&request);
	if (feed == NULL)
		abort();
	read_all(feed, &findings);
	feed->free(feed);
	findings_deinit(&findings);
	body_deinit(&request.body);
	return 0;
}
