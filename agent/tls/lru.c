/* SPDX-License-Identifier: Apache-2.0 */
/* Chained hash table plus a list in order of use. Keys are digests, so any of their bytes are a hash already. */
#include "tls/lru.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

struct lru_entry {
	struct digest key;
	void *value;                     /* a reference */
	struct lru_entry *chain;         /* of the bucket */
	struct lru_entry *newer, *older; /* order of use */
};

int lru_init(struct lru *lru, size_t max, const struct lru_ops *ops)
{
	size_t buckets = 8;

	while (buckets < max)
		buckets *= 2;
	*lru = (struct lru){.ops = ops, .buckets_len = buckets, .max = max};
	lru->buckets = calloc(buckets, sizeof(struct lru_entry *));
	if (lru->buckets == NULL)
		return E_NOMEM;
	pthread_mutex_init(&lru->lock, NULL);
	return 0;
}

/* From this one on to the older ones. */
static void free_entries(const struct lru *lru, struct lru_entry *first)
{
	struct lru_entry *entry, *older;

	for (entry = first; entry != NULL; entry = older) {
		older = entry->older;
		lru->ops->unref(entry->value);
		free(entry);
	}
}

void lru_deinit(struct lru *lru)
{
	if (lru->buckets == NULL)
		return;
	free_entries(lru, lru->newest);
	free(lru->buckets);
	pthread_mutex_destroy(&lru->lock);
	*lru = (struct lru){0};
}

static struct lru_entry **bucket_of(struct lru *lru, const struct digest *key)
{
	size_t hash;

	memcpy(&hash, key->bytes, sizeof(hash));
	return &lru->buckets[hash & (lru->buckets_len - 1)];
}

/* The place that points to key's entry, or to the NULL at the end of its chain. */
static struct lru_entry **place_of(struct lru *lru, const struct digest *key)
{
	struct lru_entry **place = bucket_of(lru, key);

	while (*place != NULL && !digest_is_equal(&(*place)->key, key))
		place = &(*place)->chain;
	return place;
}

static void list_cut(struct lru *lru, struct lru_entry *entry)
{
	*(entry->newer != NULL ? &entry->newer->older : &lru->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &lru->oldest) = entry->newer;
}

static void list_push(struct lru *lru, struct lru_entry *entry)
{
	entry->newer = NULL;
	entry->older = lru->newest;
	*(lru->newest != NULL ? &lru->newest->newer : &lru->oldest) = entry;
	lru->newest = entry;
}

/* Takes the entry at *place out; its value is the caller's to unref. */
static void *entry_cut(struct lru *lru, struct lru_entry **place)
{
	struct lru_entry *entry = *place;
	void *value = entry->value;

	*place = entry->chain;
	list_cut(lru, entry);
	lru->count--;
	free(entry);
	return value;
}

void *lru_find(struct lru *lru, const struct digest *key, uint64_t *ret_drops)
{
	struct lru_entry *entry;
	void *value = NULL;

	pthread_mutex_lock(&lru->lock);
	entry = *place_of(lru, key);
	if (entry != NULL) {
		value = entry->value;
		lru->ops->ref(value);
		list_cut(lru, entry);
		list_push(lru, entry);
		lru->hits++;
	} else {
		lru->misses++;
	}
	*ret_drops = lru->drops;
	pthread_mutex_unlock(&lru->lock);
	return value;
}

void lru_put(struct lru *lru, const struct digest *key, void *value, uint64_t drops)
{
	struct lru_entry *entry = malloc(sizeof(*entry)), **place;
	void *pushed_out = NULL;

	if (entry == NULL)
		return;
	*entry = (struct lru_entry){.key = *key, .value = value};
	pthread_mutex_lock(&lru->lock);
	if (lru->drops == drops && *place_of(lru, key) == NULL) {
		if (lru->count >= lru->max)
			pushed_out = entry_cut(lru, place_of(lru, &lru->oldest->key));
		place = place_of(lru, key);
		*place = entry;
		list_push(lru, entry);
		lru->count++;
		lru->ops->ref(value);
		entry = NULL;
	}
	pthread_mutex_unlock(&lru->lock);
	free(entry);
	if (pushed_out != NULL)
		lru->ops->unref(pushed_out);
}

void lru_drop(struct lru *lru, const struct digest *key)
{
	struct lru_entry **place;
	void *value = NULL;

	pthread_mutex_lock(&lru->lock);
	lru->drops++;
	place = place_of(lru, key);
	if (*place != NULL)
		value = entry_cut(lru, place);
	pthread_mutex_unlock(&lru->lock);
	if (value != NULL)
		lru->ops->unref(value);
}

/* New references come from lru_find alone, under the lock: what is unused stays so until it is out. */
void lru_sweep(struct lru *lru)
{
	struct lru_entry *entry, *older, *swept = NULL;

	pthread_mutex_lock(&lru->lock);
	for (entry = lru->newest; entry != NULL; entry = older) {
		older = entry->older;
		if (lru->ops->is_used(entry->value))
			continue;
		*place_of(lru, &entry->key) = entry->chain;
		list_cut(lru, entry);
		lru->count--;
		entry->older = swept;
		swept = entry;
	}
	pthread_mutex_unlock(&lru->lock);
	free_entries(lru, swept);
}
