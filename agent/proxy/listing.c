/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/listing.h"

#include "proxy/conn.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 32

int listing_new(unsigned workers, size_t limit, struct listing **ret, struct error *err)
{
	struct listing *listing = calloc(1, sizeof(*listing) + workers * sizeof(listing->parts[0]));

	if (listing == NULL)
		return error_nomem(err);
	atomic_init(&listing->left, workers);
	atomic_init(&listing->room, limit < LISTING_MAX ? limit : LISTING_MAX);
	listing->parts_len = workers;
	for (unsigned i = 0; i < workers; i++)
		listing->parts[i] = (struct listing_part){.listing = listing};
	*ret = listing;
	return 0;
}

bool listing_is_ready(struct listing *listing)
{
	return atomic_load_explicit(&listing->left, memory_order_acquire) == 0;
}

/* NULL without memory. */
static struct proxy_conn_info *gather(const struct listing *listing, size_t *ret_count)
{
	struct proxy_conn_info *items;
	size_t count = 0, at = 0;

	for (unsigned i = 0; i < listing->parts_len; i++) {
		if (listing->parts[i].failed)
			return NULL;
		count += listing->parts[i].count;
	}
	items = malloc((count > 0 ? count : 1) * sizeof(*items));
	for (unsigned i = 0; i < listing->parts_len && items != NULL; at += listing->parts[i++].count)
		if (listing->parts[i].count > 0)
			memcpy(items + at, listing->parts[i].items, listing->parts[i].count * sizeof(*items));
	*ret_count = count;
	return items;
}

void listing_finish(struct listing *listing, uint64_t total)
{
	struct proxy_conn_list list = {.total = total};

	list.items = gather(listing, &list.count);
	listing->done(list.items != NULL ? &list : NULL, listing->context);
	free(list.items);
	for (unsigned i = 0; i < listing->parts_len; i++)
		free(listing->parts[i].items);
	free(listing);
}

static bool part_grow(struct listing_part *part)
{
	size_t cap = part->cap > 0 ? 2 * part->cap : FIRST_CAP;
	struct proxy_conn_info *items = realloc(part->items, cap * sizeof(*items));

	if (items == NULL)
		return false;
	part->items = items;
	part->cap = cap;
	return true;
}

static bool take_room(struct listing *listing)
{
	size_t room = atomic_load_explicit(&listing->room, memory_order_relaxed);

	while (room > 0)
		if (atomic_compare_exchange_weak_explicit(&listing->room, &room, room - 1, memory_order_relaxed, memory_order_relaxed))
			return true;
	return false;
}

bool listing_part_add(struct listing_part *part, const struct conn *conn)
{
	if (!take_room(part->listing))
		return false;
	if (part->count == part->cap && !part_grow(part)) {
		part->failed = true;
		return false;
	}
	conn_show(conn, &part->items[part->count++]);
	return true;
}

void listing_part_end(struct listing_part *part, uv_async_t *news)
{
	if (atomic_fetch_sub_explicit(&part->listing->left, 1, memory_order_acq_rel) == 1)
		uv_async_send(news);
}
