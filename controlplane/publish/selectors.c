/* SPDX-License-Identifier: Apache-2.0 */
/* The table of selectors. A selector lives while it has objects or references. For labels it is found by its first
 * condition: labels satisfy it only if they have that one, so a lookup per label finds all candidates, whatever the
 * number of selectors. */
#include "selectors.h"

#include "crypto/crypto.h"
#include "model/selector.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct bucket {
	struct selector *first;
	size_t key_len;
	char key[];
};

static struct bytes selector_key(const void *value)
{
	const struct selector *selector = value;

	return BYTES(selector->text, strlen(selector->text));
}

static struct bytes bucket_key(const void *value)
{
	const struct bucket *bucket = value;

	return BYTES(bucket->key, bucket->key_len);
}

static const struct trie_ops selector_ops = {.key = selector_key};
static const struct trie_ops bucket_ops = {.key = bucket_key};

int selector_table_init(struct selector_table *table, struct error *err)
{
	struct hash_key key;
	int rc = crypto_hash_key(&key, err);

	if (rc < 0)
		return rc;
	*table = (struct selector_table){0};
	trie_init(&table->by_text, &selector_ops, key);
	trie_init(&table->buckets, &bucket_ops, key);
	return 0;
}

static int free_value(void *value, void *context)
{
	free(value);
	return 0;
}

void selector_table_deinit(struct selector_table *table)
{
	(void)trie_each(&table->by_text, free_value, NULL);
	(void)trie_each(&table->buckets, free_value, NULL);
	trie_deinit(&table->by_text); /* frees nodes only: values are not counted */
	trie_deinit(&table->buckets);
	free(table->changed);
	*table = (struct selector_table){0};
}

/* The bucket of a selector's first condition, made when absent. NULL without memory. */
static struct bucket *bucket_get(struct selector_table *table, const char *text)
{
	size_t len = strcspn(text, ",");
	struct bucket *bucket = trie_find(&table->buckets, BYTES(text, len));

	if (bucket != NULL)
		return bucket;
	bucket = malloc(sizeof(*bucket) + len);
	if (bucket == NULL)
		return NULL;
	bucket->first = NULL;
	bucket->key_len = len;
	memcpy(bucket->key, text, len);
	if (trie_put(&table->buckets, bucket) < 0) {
		free(bucket);
		return NULL;
	}
	return bucket;
}

/* A selector without objects and references. NULL without memory. */
static struct selector *selector_new(struct selector_table *table, const char *text)
{
	size_t size = strlen(text) + 1;
	struct bucket *bucket = bucket_get(table, text);
	struct selector *selector = bucket == NULL ? NULL : calloc(1, sizeof(*selector) + size);

	if (selector == NULL)
		return NULL;
	memcpy(selector->text, text, size);
	if (trie_put(&table->by_text, selector) < 0) {
		free(selector);
		return NULL;
	}
	selector->next = bucket->first;
	selector->link = &bucket->first;
	if (selector->next != NULL)
		selector->next->link = &selector->next;
	bucket->first = selector;
	return selector;
}

/* Buckets stay: one per first condition ever seen, a handful of bytes. */
static void selector_free_if_unused(struct selector_table *table, struct selector *selector)
{
	if (selector->refs > 0 || selector->objects > 0)
		return;
	if (trie_remove(&table->by_text, selector_key(selector)) < 0)
		return; /* never: nodes of this trie are not shared, so nothing is allocated */
	*selector->link = selector->next;
	if (selector->next != NULL)
		selector->next->link = selector->link;
	free(selector);
}

struct selector *selector_table_find(const struct selector_table *table, const char *text)
{
	return trie_find(&table->by_text, BYTES(text, strlen(text)));
}

struct selector *selector_table_ref(struct selector_table *table, const char *text)
{
	struct selector *selector = selector_table_find(table, text);

	if (selector == NULL)
		selector = selector_new(table, text);
	if (selector != NULL)
		selector_ref(selector);
	return selector;
}

void selector_ref(struct selector *selector)
{
	selector->refs++;
}

void selector_table_unref(struct selector_table *table, struct selector *selector)
{
	assert(selector->refs > 0);
	selector->refs--;
	selector_free_if_unused(table, selector);
}

/* What one refresh read, before any of it counts. */
struct reading {
	struct selector_table *table;
	struct selector **items;     /* a reference each */
	struct store_selector *news; /* texts unset */
	size_t len, cap;
};

static int reading_grow(struct reading *reading)
{
	size_t cap = reading->cap == 0 ? 8 : 2 * reading->cap;
	struct selector **items;
	struct store_selector *news;

	if (reading->len < reading->cap)
		return 0;
	items = realloc(reading->items, cap * sizeof(struct selector *));
	if (items == NULL)
		return E_NOMEM;
	reading->items = items;
	news = realloc(reading->news, cap * sizeof(*news));
	if (news == NULL)
		return E_NOMEM;
	reading->news = news;
	reading->cap = cap;
	return 0;
}

static int reading_add(const struct store_selector *news, void *context)
{
	struct reading *reading = context;
	struct selector *selector = selector_table_find(reading->table, news->selector);

	if (selector == NULL && news->objects == 0)
		return 0; /* gone, and nobody here ever heard of it */
	if (reading_grow(reading) < 0)
		return E_NOMEM;
	selector = selector_table_ref(reading->table, news->selector);
	if (selector == NULL)
		return E_NOMEM;
	reading->items[reading->len] = selector;
	reading->news[reading->len] = *news;
	reading->news[reading->len].selector = NULL;
	reading->len++;
	return 0;
}

static int read_all(struct reading *reading, struct store_reader *reader, struct store_revision *head,
                    struct error *err)
{
	int rc = store_begin(reader, err);

	if (rc < 0)
		return rc;
	rc = store_head(reader, head, err);
	if (rc == 0)
		rc = store_each_selector_since(reader, reading->table->head.revision.number, reading_add, reading, err);
	store_end(reader);
	return rc == E_NOMEM ? error_nomem(err) : rc;
}

static void reading_drop(struct reading *reading)
{
	for (size_t i = 0; i < reading->len; i++)
		selector_table_unref(reading->table, reading->items[i]);
	free(reading->items);
	free(reading->news);
}

/* The list keeps its references until the next refresh, so that a selector that lost its last object can still be
 * spoken of. */
static void forget_changed(struct selector_table *table)
{
	for (size_t i = 0; i < table->changed_len; i++)
		selector_table_unref(table, table->changed[i]);
	free(table->changed);
	table->changed = NULL;
	table->changed_len = 0;
}

int selector_table_refresh(struct selector_table *table, struct store_reader *reader, struct error *err)
{
	struct reading reading = {.table = table};
	struct store_revision head;
	int rc = read_all(&reading, reader, &head, err);

	if (rc < 0) {
		reading_drop(&reading);
		return rc;
	}
	forget_changed(table);
	for (size_t i = 0; i < reading.len; i++) {
		struct selector *selector = reading.items[i];
		const struct store_selector *news = &reading.news[i];

		selector->appeared = selector->objects == 0 && news->objects > 0;
		selector->steady_from = selector->changed;
		selector->steady_until = selector->changed == 0 ? 0 : table->head.revision.number;
		selector->changed = news->changed;
		selector->objects = news->objects;
		selector->digest = news->digest;
	}
	table->changed = reading.items;
	table->changed_len = reading.len;
	free(reading.news);
	table->head = head;
	return 0;
}

static int bucket_each_match(const struct selector_table *table, struct bytes condition, const char *labels,
                             int (*fn)(struct selector *selector, void *context), void *context)
{
	const struct bucket *bucket = trie_find(&table->buckets, condition);
	int rc = 0;

	for (struct selector *s = bucket == NULL ? NULL : bucket->first; s != NULL && rc == 0; s = s->next) {
		if (s->objects > 0 && selector_is_match(s->text, labels))
			rc = fn(s, context);
	}
	return rc;
}

int selector_table_each_match(const struct selector_table *table, const char *labels,
                              int (*fn)(struct selector *selector, void *context), void *context)
{
	int rc = bucket_each_match(table, BYTES("", 0), labels, fn, context);

	for (const char *at = labels; *at != '\0' && rc == 0;) {
		size_t len = strcspn(at, ",");

		rc = bucket_each_match(table, BYTES(at, len), labels, fn, context);
		at += len + (at[len] == ',');
	}
	return rc;
}

static bool is_steady(const struct selector *selector, uint64_t since)
{
	return selector->steady_from > 0 && selector->steady_from <= since && since <= selector->steady_until;
}

uint64_t selector_steady_since(const struct selector *selector, uint64_t since)
{
	return is_steady(selector, since) ? selector->steady_from : since;
}

uint64_t selector_steady_until(const struct selector *selector, uint64_t since)
{
	return is_steady(selector, since) ? selector->steady_until : since;
}
