/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of parsed sites: shards, each a bounded map with its own lock, chosen by a byte of the digest. Parsing
 * happens outside any lock; when two threads parse the same site at once, the first to finish is kept. */
#include "tls/site.h"

#include "tls/intermediates.h"
#include "tls/lru.h"

#include <stdlib.h>

#define SHARDS 16
#define SHARD_FROM 1024 /* entries; a smaller cache is one shard, so that its bound is exact */

struct site_cache {
	const struct keyring *keyring;
	struct intermediates *intermediates;
	size_t shards_len;
	struct lru shards[SHARDS];
};

static void lru_site_ref(void *value)
{
	site_ref(value);
}

static void lru_site_unref(void *value)
{
	site_unref(value);
}

static const struct lru_ops site_ops = {lru_site_ref, lru_site_unref};

int site_cache_new(const struct keyring *keyring, size_t max_entries, struct site_cache **ret, struct error *err)
{
	CLEANUP(site_cache_free) struct site_cache *cache = calloc(1, sizeof(*cache));
	size_t max = max_entries > 0 ? max_entries : 1;
	int r;

	if (cache == NULL)
		return error_nomem(err);
	cache->keyring = keyring;
	r = intermediates_new(&cache->intermediates, err);
	if (r < 0)
		return r;
	cache->shards_len = max < SHARD_FROM ? 1 : SHARDS;
	for (size_t i = 0; i < cache->shards_len; i++)
		if (lru_init(&cache->shards[i], max / cache->shards_len, &site_ops) < 0)
			return error_nomem(err);
	*ret = TAKE_PTR(cache);
	return 0;
}

struct site_cache *site_cache_free(struct site_cache *cache)
{
	if (cache == NULL)
		return NULL;
	for (size_t i = 0; i < cache->shards_len; i++)
		lru_deinit(&cache->shards[i]);
	intermediates_free(cache->intermediates);
	free(cache);
	return NULL;
}

/* The map hashes by the first bytes, so the shard goes by the last. */
static struct lru *shard_of(struct site_cache *cache, const struct digest *digest)
{
	return &cache->shards[digest->bytes[DIGEST_LEN - 1] % cache->shards_len];
}

int site_cache_get(struct site_cache *cache, const struct site_source *source, struct site **ret, struct error *err)
{
	struct lru *shard = shard_of(cache, source->digest);
	uint64_t drops;
	struct site *site = lru_find(shard, source->digest, &drops);
	int r;

	if (site == NULL) {
		r = site_new(cache->keyring, source, cache->intermediates, &site, err);
		if (r < 0)
			return r;
		lru_put(shard, source->digest, site, drops);
	}
	*ret = site;
	return 0;
}

void site_cache_drop(struct site_cache *cache, const struct digest *digest)
{
	lru_drop(shard_of(cache, digest), digest);
}

void site_cache_stats(struct site_cache *cache, uint64_t *ret_entries, uint64_t *ret_hits, uint64_t *ret_misses)
{
	uint64_t entries = 0, hits = 0, misses = 0;

	for (size_t i = 0; i < cache->shards_len; i++) {
		struct lru *shard = &cache->shards[i];

		pthread_mutex_lock(&shard->lock);
		entries += shard->count;
		hits += shard->hits;
		misses += shard->misses;
		pthread_mutex_unlock(&shard->lock);
	}
	*ret_entries = entries;
	*ret_hits = hits;
	*ret_misses = misses;
}
