/* SPDX-License-Identifier: Apache-2.0 */
/* GET /apisix/admin/ssls: in order of creation, in numbered pages, `total` of all that the filter lets through. The store orders by id, so
 * this reads every object once to know the order (20 bytes kept of each), and those of the page a second time, both in one snapshot:
 * the cost follows the store. Who lists large stores uses the cursor of /v1/ssls. */
#include "apisix/handlers.h"

#include "api/visible.h"
#include "api/call.h"
#include "apisix/words.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_MIN 10
#define PAGE_MAX 500
#define UNPAGED_MAX 10000 /* objects in one answer */

struct listing {
	struct call *call;
	struct store_reader *reader;
	struct resource_limits limits;
	const char *label; /* its name; NULL: any object */
	bool is_paged;
	uint64_t page, page_size;
	struct uid *uids; /* owned; of all that are listed */
	size_t len, cap;
	size_t begin, end; /* of the page, in uids */
	json_t **items;    /* owned; of the page, in its order */
};

/* Digits alone; false: no number. */
static bool read_number(const char *text, uint64_t *ret)
{
	char *end;

	if (text == NULL || text[0] == 0 || strlen(text) > 12)
		return false;
	*ret = strtoull(text + (text[0] == '-'), &end, 10);
	if (*end != 0 || end == text + (text[0] == '-'))
		return false;
	if (text[0] == '-')
		*ret = 0;
	return true;
}

/* page and page_size hold together or not at all. */
static int read_parameters(struct listing *listing)
{
	struct call *call = listing->call;

	listing->label = http_query(call->http, "label");
	listing->is_paged = read_number(http_query(call->http, "page"), &listing->page) &&
	                    read_number(http_query(call->http, "page_size"), &listing->page_size);
	if (!listing->is_paged)
		return 0;
	if (listing->page < 1)
		listing->page = 1;
	if (listing->page_size < PAGE_MIN || listing->page_size > PAGE_MAX)
		return error_set(&call->error, E_SYNTAX, "page_size must be between %d and %d", PAGE_MIN, PAGE_MAX);
	return 0;
}

static int has_label(const struct store_row *row, const char *name, bool *ret, struct error *err)
{
	json_t *labels;

	*ret = false;
	if (row->state.labels == NULL)
		return 0;
	labels = json_loads(row->state.labels, 0, NULL);
	if (labels == NULL)
		return error_nomem(err);
	*ret = json_object_get(labels, name) != NULL;
	json_decref(labels);
	return 0;
}

static int is_listed(struct listing *listing, const struct store_row *row, bool *ret)
{
	struct error *err = &listing->call->error;
	int r = visible_check(listing->call, listing->reader, row, ret, err);

	if (r == 0 && *ret && listing->label != NULL)
		r = has_label(row, listing->label, ret, err);
	return r;
}

static int collect(const struct store_row *row, void *context)
{
	struct listing *listing = context;
	bool listed;
	int r = is_listed(listing, row, &listed);

	if (r < 0 || !listed)
		return r;
	if (listing->len == listing->cap) {
		size_t cap = 2 * listing->cap + 256;
		struct uid *uids = realloc(listing->uids, cap * sizeof(*uids));

		if (uids == NULL)
			return error_nomem(&listing->call->error);
		listing->uids = uids;
		listing->cap = cap;
	}
	listing->uids[listing->len++] = row->state.object.uid;
	return 0;
}

static int compare_uids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct uid));
}

/* Sorts, and finds what is on the page. */
static int find_page(struct listing *listing)
{
	uint64_t begin = listing->is_paged ? (listing->page - 1) * listing->page_size : 0;
	size_t left = begin < listing->len ? listing->len - (size_t)begin : 0;
	size_t size = listing->is_paged && left > listing->page_size ? (size_t)listing->page_size : left;

	if (size > UNPAGED_MAX)
		return error_set(&listing->call->error, E_SYNTAX, "there are %zu objects, too many for one answer: use page and page_size",
		                 listing->len);
	if (listing->len > 0)
		qsort(listing->uids, listing->len, sizeof(*listing->uids), compare_uids);
	listing->begin = listing->len - left;
	listing->end = listing->begin + size;
	listing->items = calloc(size + 1, sizeof(*listing->items));
	return listing->items != NULL ? 0 : error_nomem(&listing->call->error);
}

static int take(const struct store_row *row, void *context)
{
	struct listing *listing = context;
	struct error *err = &listing->call->error;
	const struct object_view *object = &row->state.object;
	const struct uid *found = bsearch(&object->uid, listing->uids + listing->begin, listing->end - listing->begin,
	                                  sizeof(*listing->uids), compare_uids);
	json_t *rendered;

	if (found == NULL)
		return 0;
	rendered = resource_render(&row->state, &listing->limits, err);
	if (rendered == NULL)
		return err->code < 0 ? err->code : error_nomem(err);
	listing->items[(size_t)(found - listing->uids) - listing->begin] = words_read(rendered, object);
	return 0;
}

static json_t *close_list(struct listing *listing)
{
	json_t *list = json_array();

	for (size_t i = 0; i < listing->end - listing->begin; i++) {
		if (json_array_append_new(list, TAKE_PTR(listing->items[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return json_pack("{s:o, s:I}", "list", list, "total", (json_int_t)listing->len);
}

static void listing_deinit(struct listing *listing)
{
	for (size_t i = 0; listing->items != NULL && i < listing->end - listing->begin; i++)
		json_decref(listing->items[i]);
	free(listing->items);
	free(listing->uids);
}

static void run_list(struct call *call, struct store_reader *reader)
{
	struct listing listing = {.call = call, .reader = reader, .limits = call_limits(call)};
	int r = read_parameters(&listing);

	if (r == 0)
		r = store_list(reader, KIND_SSL, "", 0, INT32_MAX, collect, &listing, &call->error);
	if (r == 0)
		r = find_page(&listing);
	if (r == 0 && listing.end > listing.begin)
		r = store_list(reader, KIND_SSL, "", 0, INT32_MAX, take, &listing, &call->error);
	if (r == 0)
		call->document = close_list(&listing);
	listing_deinit(&listing);
}

static void reply_list(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

void apisix_ssls_list(struct call *call)
{
	call_run(call, run_list, reply_list);
}
