/* SPDX-License-Identifier: Apache-2.0 */
/* Holdings. Items are few (the selectors that one agent's labels satisfy), so they are one sorted array. An item goes
 * when it is neither wanted nor held; a selector that lost its last object counts as not wanted. One that an update
 * dropped stays until the next plan: whoever asks now which agents a change concerned still finds it. */
#include "holding.h"

#include "model/selector.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void holding_deinit(struct holding *holding, struct selector_table *table)
{
	for (size_t i = 0; i < holding->len; i++)
		selector_table_unref(table, holding->items[i].selector);
	free(holding->items);
	*holding = HOLDING_NULL;
}

/* The place of text: that of its item (*ret_found), or where one would go. */
static size_t find_place(const struct holding *holding, const char *text, bool *ret_found)
{
	size_t low = 0, high = holding->len;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(holding->items[middle].selector->text, text);

		if (order == 0)
			*ret_found = true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct holding_item *find_item(const struct holding *holding, const char *text)
{
	bool found;
	size_t place = find_place(holding, text, &found);

	return found ? &holding->items[place] : NULL;
}

static int make_room(struct holding *holding, struct error *err)
{
	size_t cap = holding->cap == 0 ? 4 : 2 * holding->cap;
	struct holding_item *items;

	if (holding->len < holding->cap)
		return 0;
	items = realloc(holding->items, cap * sizeof(*items));
	if (items == NULL)
		return error_nomem(err);
	holding->items = items;
	holding->cap = cap;
	return 0;
}

/* The item of a selector, made when absent. *ret is valid until the next insertion. */
static int get_item(struct holding *holding, struct selector *selector, struct holding_item **ret, struct error *err)
{
	bool found;
	size_t place = find_place(holding, selector->text, &found);
	int rc;

	if (!found) {
		rc = make_room(holding, err);
		if (rc < 0)
			return rc;
		memmove(&holding->items[place + 1], &holding->items[place], (holding->len - place) * sizeof(holding->items[0]));
		holding->items[place] = (struct holding_item){.selector = selector};
		holding->len++;
		selector_ref(selector);
	}
	*ret = &holding->items[place];
	return 0;
}

static bool is_desired(const struct holding_item *item)
{
	return item->wanted && item->selector->objects > 0;
}

static bool has_digest(const struct selector *selector, const Tlsplane__SelectorDigest *reported)
{
	return reported->digest.len == DIGEST_LEN && memcmp(selector->digest.bytes, reported->digest.data, DIGEST_LEN) == 0;
}

static bool is_zero(const Tlsplane__SelectorDigest *reported)
{
	static const uint8_t zeros[DIGEST_LEN];

	return reported->digest.len == DIGEST_LEN && memcmp(reported->digest.data, zeros, DIGEST_LEN) == 0;
}

static int report_one(struct holding *holding, struct selector_table *table, const Tlsplane__SelectorDigest *reported,
                      uint64_t base, struct error *err)
{
	struct holding_item *item;
	struct selector *selector;
	int rc;

	if (reported->digest.len != DIGEST_LEN)
		return error_set(err, E_PROTOCOL, "a digest of %zu bytes", reported->digest.len);
	if (strlen(reported->selector) > SELECTOR_MAX)
		return error_set(err, E_PROTOCOL, "a selector of more than %d bytes", SELECTOR_MAX);
	if (selector_check(reported->selector, err) < 0)
		return error_prefix(err, E_PROTOCOL, "digests");
	if (is_zero(reported))
		return 0;
	selector = selector_table_ref(table, reported->selector);
	if (selector == NULL)
		return error_nomem(err);
	rc = get_item(holding, selector, &item, err);
	if (rc == 0) {
		item->held = true;
		item->whole = base == 0 && !has_digest(selector, reported);
		item->since = has_digest(selector, reported) ? table->head.revision.number : base;
	}
	selector_table_unref(table, selector);
	return rc;
}

int holding_report(struct holding *holding, struct selector_table *table, Tlsplane__SelectorDigest *const *digests,
                   size_t len, uint64_t base, struct error *err)
{
	int rc = 0;

	if (len > HOLDING_SELECTORS_MAX)
		return error_set(err, E_PROTOCOL, "%zu selectors, more than %d", len, HOLDING_SELECTORS_MAX);
	for (size_t i = 0; i < len && rc == 0; i++)
		rc = report_one(holding, table, digests[i], base, err);
	return rc;
}

/* Takes out what is neither wanted nor held, nor part of a plan under way. */
static void sweep(struct holding *holding, struct selector_table *table)
{
	size_t kept = 0;

	for (size_t i = 0; i < holding->len; i++) {
		struct holding_item item = holding->items[i];

		if (item.held || item.plan != HOLDING_KEEP || is_desired(&item))
			holding->items[kept++] = item;
		else
			selector_table_unref(table, item.selector);
	}
	holding->len = kept;
}

struct want_call {
	struct holding *holding;
	struct error *err;
};

static int want_one(struct selector *selector, void *context)
{
	struct want_call *call = context;
	struct holding_item *item;
	int rc = get_item(call->holding, selector, &item, call->err);

	if (rc == 0)
		item->wanted = true;
	return rc;
}

int holding_relabel(struct holding *holding, struct selector_table *table, const char *labels, struct error *err)
{
	struct want_call call = {holding, err};
	int rc;

	for (size_t i = 0; i < holding->len; i++)
		holding->items[i].wanted = selector_is_match(holding->items[i].selector->text, labels);
	rc = selector_table_each_match(table, labels, want_one, &call);
	sweep(holding, table);
	return rc;
}

int holding_want(struct holding *holding, struct selector_table *table, struct selector *selector, struct error *err)
{
	struct want_call call = {holding, err};

	return want_one(selector, &call);
}

enum holding_act holding_item_need(const struct holding_item *item)
{
	if (!is_desired(item))
		return item->held ? HOLDING_DROP : HOLDING_KEEP;
	if (!item->held || item->whole)
		return HOLDING_WHOLE;
	return item->selector->changed > item->since ? HOLDING_DELTA : HOLDING_KEEP;
}

bool holding_is_current(const struct holding *holding)
{
	for (size_t i = 0; i < holding->len; i++) {
		if (holding_item_need(&holding->items[i]) != HOLDING_KEEP)
			return false;
	}
	return true;
}

bool holding_has_news(const struct holding *holding, uint64_t revision)
{
	for (size_t i = 0; i < holding->len; i++) {
		const struct holding_item *item = &holding->items[i];

		if (item->selector->changed > revision && holding_item_need(item) != HOLDING_KEEP)
			return true;
	}
	return false;
}

bool holding_item_is_concerned(const struct holding_item *item, uint64_t revision)
{
	return item->held || is_desired(item) || item->since >= revision;
}

void holding_plan(struct holding *holding, struct selector_table *table)
{
	sweep(holding, table);
	for (size_t i = 0; i < holding->len; i++) {
		struct holding_item *item = &holding->items[i];

		item->plan = holding_item_need(item);
		item->planned_held = is_desired(item);
	}
}

bool holding_is_dropping(const struct holding *holding)
{
	for (size_t i = 0; i < holding->len; i++) {
		if (holding->items[i].plan == HOLDING_DROP)
			return true;
	}
	return false;
}

void holding_commit(struct holding *holding, uint64_t revision)
{
	for (size_t i = 0; i < holding->len; i++) {
		struct holding_item *item = &holding->items[i];

		if (item->plan == HOLDING_WHOLE)
			item->whole = false;
		if (item->plan != HOLDING_KEEP)
			item->held = item->planned_held;
		if (item->planned_held || item->plan == HOLDING_DROP)
			item->since = revision;
		item->plan = HOLDING_KEEP;
		item->planned_held = false;
	}
}

void holding_cancel(struct holding *holding)
{
	for (size_t i = 0; i < holding->len; i++) {
		holding->items[i].plan = HOLDING_KEEP;
		holding->items[i].planned_held = false;
	}
}

static size_t count_desired(const struct holding *holding)
{
	size_t count = 0;

	for (size_t i = 0; i < holding->len; i++)
		count += is_desired(&holding->items[i]);
	return count;
}

bool holding_is_equal(const struct holding *holding, Tlsplane__SelectorDigest *const *digests, size_t len)
{
	size_t equal = 0;
	const char *last = NULL;

	for (size_t i = 0; i < len; i++) {
		const struct holding_item *item;

		if (is_zero(digests[i]))
			continue;
		item = find_item(holding, digests[i]->selector);
		if (item == NULL || !is_desired(item) || !has_digest(item->selector, digests[i]))
			return false;
		if (last != NULL && strcmp(last, digests[i]->selector) >= 0)
			return false; /* canonical order: none twice */
		last = digests[i]->selector;
		equal++;
	}
	return equal == count_desired(holding);
}

void holding_doubt_unequal(struct holding *holding, Tlsplane__SelectorDigest *const *digests, size_t len)
{
	for (size_t i = 0; i < holding->len; i++)
		holding->items[i].whole = is_desired(&holding->items[i]);
	for (size_t i = 0; i < len; i++) {
		struct holding_item *item = find_item(holding, digests[i]->selector);

		if (item != NULL && has_digest(item->selector, digests[i]))
			item->whole = false;
	}
}

bool holding_doubt(struct holding *holding, const char *selector)
{
	struct holding_item *item = find_item(holding, selector);

	if (item == NULL)
		return false;
	item->whole = true;
	return true;
}

struct holding_digests *holding_digests_new(const struct holding *holding)
{
	size_t count = count_desired(holding), next = 0;
	struct holding_digests *digests =
		malloc(sizeof(*digests) + count * (sizeof(Tlsplane__SelectorDigest) + sizeof(Tlsplane__SelectorDigest *)));
	Tlsplane__SelectorDigest *values;

	if (digests == NULL)
		return NULL;
	digests->len = count;
	digests->list = (Tlsplane__SelectorDigest **)(digests + 1);
	values = (Tlsplane__SelectorDigest *)(digests->list + count);
	for (size_t i = 0; i < holding->len; i++) {
		struct selector *selector = holding->items[i].selector;

		if (!is_desired(&holding->items[i]))
			continue;
		tlsplane__selector_digest__init(&values[next]);
		values[next].selector = selector->text;
		values[next].digest = (ProtobufCBinaryData){DIGEST_LEN, selector->digest.bytes};
		digests->list[next] = &values[next];
		next++;
	}
	return digests;
}
