/* SPDX-License-Identifier: Apache-2.0 */
/* Building and keeping chunks.
 *
 * A delta begins with its removals, and the chunk that ends them has the first puts. What does not fit goes on: among the removals behind
 * an ended state, as its negative row id; among the puts by row id, since that grows with a state's age: every later row valid at `to`
 * began after `from` as well. */
#include "chunk.h"

#include "crypto/crypto.h"
#include "envelopes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS 256 /* of each kind: so many take some two milliseconds of the loop */

static struct bytes chunk_key_of(const void *value)
{
	const struct chunk *chunk = value;

	return chunk->key;
}

static const struct trie_ops chunk_ops = {.key = chunk_key_of};

int chunk_cache_init(struct chunk_cache *cache, const struct store *store, struct store_reader *reader,
                     struct error *err)
{
	struct hash_key key;
	int rc = crypto_hash_key(&key, err);

	if (rc < 0)
		return rc;
	*cache = (struct chunk_cache){.store = store, .reader = reader};
	trie_init(&cache->by_key, &chunk_ops, key);
	return 0;
}

static void unlink_use(struct chunk_cache *cache, struct chunk *chunk)
{
	*(chunk->newer != NULL ? &chunk->newer->older : &cache->newest) = chunk->older;
	*(chunk->older != NULL ? &chunk->older->newer : &cache->oldest) = chunk->newer;
}

static void link_use(struct chunk_cache *cache, struct chunk *chunk, uint64_t now)
{
	chunk->used_at = now;
	chunk->newer = NULL;
	chunk->older = cache->newest;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = chunk;
	cache->newest = chunk;
}

static void chunk_free(struct chunk *chunk)
{
	channel_payload_unref(chunk->payload);
	free(chunk);
}

/* False only if the trie cannot forget it, which takes shared nodes and so never happens. */
static bool drop_oldest(struct chunk_cache *cache)
{
	struct chunk *chunk = cache->oldest;

	if (trie_remove(&cache->by_key, chunk->key) < 0)
		return false;
	unlink_use(cache, chunk);
	cache->bytes -= chunk->size;
	chunk_free(chunk);
	return true;
}

void chunk_cache_deinit(struct chunk_cache *cache)
{
	trie_deinit(&cache->by_key);
	for (struct chunk *chunk = cache->newest, *older; chunk != NULL; chunk = older) {
		older = chunk->older;
		chunk_free(chunk);
	}
	cache->newest = cache->oldest = NULL;
	cache->bytes = 0;
}

void chunk_cache_sweep(struct chunk_cache *cache, uint64_t now)
{
	while (cache->oldest != NULL && now - cache->oldest->used_at >= CHUNK_CACHE_MS && drop_oldest(cache))
		;
}

/* What is gathered for one chunk. */
struct gathering {
	struct chunk_cache *cache;
	struct envelopes envelopes;
	size_t rows;  /* puts seen in this scan */
	int64_t last; /* row id of the last put taken */
	int64_t next; /* where the next chunk goes on, once this one is full */
	struct error *err;
};

static int gather_put(const struct store_row *row, void *context)
{
	struct gathering *gathering = context;

	if (gathering->envelopes.bytes >= CHUNK_BYTES || gathering->rows == CHUNK_ROWS) {
		gathering->next = row->row_id - 1;
		return 1;
	}
	gathering->rows++;
	gathering->last = row->row_id;
	return envelopes_put(&gathering->envelopes, gathering->cache->store, row, gathering->err);
}

static int gather_removal(const struct store_row *row, void *context)
{
	struct gathering *gathering = context;

	return envelopes_remove(&gathering->envelopes, row, gathering->err);
}

/* Removals, and once there are no more the first puts. */
static int read_delta(struct gathering *gathering, const char *selector, const struct chunk_key *key)
{
	struct store_reader *reader = gathering->cache->reader;
	struct store_removals removals = {.from = key->from, .to = key->to, .after = -key->after, .looks = CHUNK_ROWS};
	int rc = store_scan_removals(reader, selector, &removals, gather_removal, gathering, gathering->err);

	if (rc == 0 && !removals.ended)
		gathering->next = -removals.after;
	else if (rc == 0)
		rc = store_scan_puts(reader, selector, key->from, key->to, gather_put, gathering, gathering->err);
	return rc;
}

static int read_rows(struct gathering *gathering, const char *selector, const struct chunk_key *key)
{
	int rc = store_scan_selector(gathering->cache->reader, selector, key->to, key->after, CHUNK_ROWS, gather_put,
	                             gathering, gathering->err);

	if (rc == 0 && gathering->next == 0 && gathering->rows == CHUNK_ROWS)
		gathering->next = gathering->last;
	return rc;
}

static int encode(const struct envelopes *envelopes, struct channel_payload **ret, struct error *err)
{
	Tlsplane__UpdateObjects message = TLSPLANE__UPDATE_OBJECTS__INIT;

	if (envelopes->puts_len == 0 && envelopes->removals_len == 0)
		return 0;
	message.n_remove = envelopes->removals_len;
	message.remove = envelopes->removals;
	message.n_put = envelopes->puts_len;
	message.put = envelopes->puts;
	return channel_payload_new(TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_OBJECTS, &message.base, ret, err);
}

static int read_chunk(struct chunk_cache *cache, const struct selector *selector, const struct chunk_key *key,
                      struct chunk *chunk, struct error *err)
{
	struct gathering gathering = {.cache = cache, .err = err};
	bool is_delta = key->from != CHUNK_WHOLE && key->after <= 0; /* else it goes on as the whole does */
	int rc;

	if (is_delta)
		rc = read_delta(&gathering, selector->text, key);
	else
		rc = read_rows(&gathering, selector->text, key);
	if (rc == 0)
		rc = encode(&gathering.envelopes, &chunk->payload, err);
	chunk->puts = gathering.next == 0 ? gathering.envelopes.puts_len : selector->objects;
	envelopes_deinit(&gathering.envelopes);
	chunk->next = gathering.next;
	return rc == E_NOMEM ? error_nomem(err) : rc;
}

/* Builds the chunk and puts it into the cache. */
static int build(struct chunk_cache *cache, const struct selector *selector, const struct chunk_key *key,
                 struct bytes name, struct chunk **ret, struct error *err)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk) + name.len);
	int rc;

	if (chunk == NULL)
		return error_nomem(err);
	memcpy(chunk + 1, name.data, name.len);
	chunk->key = BYTES(chunk + 1, name.len);
	rc = read_chunk(cache, selector, key, chunk, err);
	if (rc == 0 && trie_put(&cache->by_key, chunk) < 0)
		rc = error_nomem(err);
	if (rc < 0) {
		chunk_free(chunk);
		return rc;
	}
	cache->built++;
	chunk->size = sizeof(*chunk) + name.len + (chunk->payload == NULL ? 0 : channel_payload_len(chunk->payload));
	cache->bytes += chunk->size;
	*ret = chunk;
	return 0;
}

int chunk_cache_get(struct chunk_cache *cache, const struct selector *selector, struct chunk_key key, uint64_t now,
                    struct chunk **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf name = BUF_NULL;
	struct chunk *chunk;
	int rc;

	buf_put_u64(&name, key.from);
	buf_put_u64(&name, key.to);
	buf_put_u64(&name, (uint64_t)key.after);
	buf_put_str(&name, selector->text);
	if (name.failed)
		return error_nomem(err);
	chunk = trie_find(&cache->by_key, BYTES(name.data, name.len));
	if (chunk != NULL) {
		unlink_use(cache, chunk);
	} else {
		rc = build(cache, selector, &key, BYTES(name.data, name.len), &chunk, err);
		if (rc < 0)
			return rc;
	}
	link_use(cache, chunk, now);
	while (cache->oldest != chunk && (cache->bytes > CHUNK_CACHE_BYTES || cache->by_key.count > CHUNK_CACHE_COUNT) &&
	       drop_oldest(cache))
		;
	*ret = chunk;
	return 0;
}
