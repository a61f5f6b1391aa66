/* SPDX-License-Identifier: Apache-2.0 */
#include "status/expiries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static int compare(const void *a, const void *b)
{
	const struct expiry *x = a, *y = b;

	if (x->not_after != y->not_after)
		return x->not_after < y->not_after ? -1 : 1;
	return strcmp(x->id, y->id);
}

/* What is held no more goes; what has been renewed moves. */
static void recheck(struct expiries *expiries, const struct snapshot *snapshot)
{
	size_t kept = 0;

	for (size_t i = 0; i < expiries->len; i++) {
		const struct entry *entry = snapshot_find(snapshot, KIND_SSL, expiries->items[i].id);

		if (entry == NULL || entry->not_after == 0)
			continue;
		expiries->items[kept] = expiries->items[i];
		expiries->items[kept++].not_after = entry->not_after;
	}
	expiries->len = kept;
	if (kept > 0)
		qsort(expiries->items, kept, sizeof(expiries->items[0]), compare);
}

/* Few of many get in, so moving the later ones is cheap. */
static int consider(const struct entry *entry, void *context)
{
	struct expiries *expiries = context;
	struct expiry expiry = {.not_after = entry->not_after}, *items = expiries->items;
	size_t low = 0, high = expiries->len;

	if (entry->not_after == 0 || (high == EXPIRIES_MAX && entry->not_after > items[high - 1].not_after))
		return 0;
	snprintf(expiry.id, sizeof(expiry.id), "%s", entry->id);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(&items[middle], &expiry);

		if (order == 0)
			return 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == EXPIRIES_MAX)
		return 0;
	if (expiries->len < EXPIRIES_MAX)
		expiries->len++;
	memmove(&items[low + 1], &items[low], (expiries->len - low - 1) * sizeof(items[0]));
	items[low] = expiry;
	return 0;
}

void expiries_refresh(struct expiries *expiries, const struct snapshot *snapshot, uint64_t budget_ns)
{
	uint64_t until = uv_hrtime() + budget_ns;

	recheck(expiries, snapshot);
	for (unsigned i = 0; i < SNAPSHOT_PARTS && (i == 0 || uv_hrtime() < until); i++) {
		(void)snapshot_each_ssl(snapshot, expiries->part, consider, expiries);
		expiries->part = (expiries->part + 1) % SNAPSHOT_PARTS;
	}
}
