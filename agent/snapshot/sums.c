/* SPDX-License-Identifier: Apache-2.0 */
/* Digests by selector. */
#include "snapshot/impl.h"

#include <stdlib.h>
#include <string.h>

struct selector_sum *selector_sums_find(const struct selector_sums *sums, const char *selector, size_t *ret_at)
{
	size_t low = 0, high = sums->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(selector, sums->items[middle].text->text);

		if (order == 0) {
			*ret_at = middle;
			return &sums->items[middle];
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*ret_at = low;
	return NULL;
}

static int reserve(struct selector_sums *sums, size_t cap)
{
	struct selector_sum *items;

	if (cap <= sums->cap)
		return 0;
	items = realloc(sums->items, cap * sizeof(*items));
	if (items == NULL)
		return E_NOMEM;
	sums->items = items;
	sums->cap = cap;
	return 0;
}

int selector_sums_copy(const struct selector_sums *sums, struct selector_sums *copy)
{
	*copy = (struct selector_sums){0};
	if (reserve(copy, sums->len) < 0)
		return E_NOMEM;
	for (size_t i = 0; i < sums->len; i++) {
		copy->items[i] = sums->items[i];
		selector_text_ref(copy->items[i].text);
	}
	copy->len = sums->len;
	return 0;
}

int selector_sums_make(struct selector_sums *sums, const char *selector, struct selector_sum **ret)
{
	struct selector_text *text;
	size_t at;

	*ret = selector_sums_find(sums, selector, &at);
	if (*ret != NULL)
		return 0;
	if (sums->len == sums->cap && reserve(sums, sums->cap > 0 ? 2 * sums->cap : 4) < 0)
		return E_NOMEM;
	text = selector_text_new(selector);
	if (text == NULL)
		return E_NOMEM;
	memmove(&sums->items[at + 1], &sums->items[at], (sums->len - at) * sizeof(sums->items[0]));
	sums->items[at] = (struct selector_sum){.text = text};
	sums->len++;
	*ret = &sums->items[at];
	return 0;
}

void selector_sums_prune(struct selector_sums *sums)
{
	size_t kept = 0;

	for (size_t i = 0; i < sums->len; i++) {
		if (sums->items[i].objects > 0)
			sums->items[kept++] = sums->items[i];
		else
			selector_text_unref(sums->items[i].text);
	}
	sums->len = kept;
}

void selector_sums_deinit(struct selector_sums *sums)
{
	for (size_t i = 0; i < sums->len; i++)
		selector_text_unref(sums->items[i].text);
	free(sums->items);
	*sums = (struct selector_sums){0};
}
