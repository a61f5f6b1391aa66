/* SPDX-License-Identifier: Apache-2.0 */
/* Content of selectors as encoded UPDATE_OBJECTS payloads of bounded size, read from the store, encoded once and shared
 * by all agents that need the same. A chunk names where the next one goes on, so nothing is remembered between two of
 * them but that place.
 *
 * States of objects have validity intervals, so chunks read at different times of one (selector, from, to) fit
 * together. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "net/channel.h"
#include "selectors.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define CHUNK_BYTES (128u << 10)      /* a chunk ends with the object that passes this */
#define CHUNK_CACHE_BYTES (16u << 20) /* beyond it the longest unused go */
#define CHUNK_CACHE_COUNT 4096
#define CHUNK_CACHE_MS 2000 /* and whatever was unused for so long */

#define CHUNK_WHOLE UINT64_MAX /* `from` of a selector sent whole */

struct chunk_key {
	uint64_t from, to; /* store revisions; from may be CHUNK_WHOLE */
	int64_t after;     /* 0: the first; else `next` of the one before, negative while there are removals */
};

struct chunk {
	struct channel_payload *payload; /* NULL: nothing in it */
	int64_t next;                    /* 0: the last */
	uint64_t puts;                   /* in the first chunk: at most so many are in all of them together */
	/* The cache's own. */
	struct bytes key; /* within this allocation */
	size_t size;
	uint64_t used_at;
	struct chunk *newer, *older;
};

struct chunk_cache {
	const struct store *store;
	struct store_reader *reader;
	struct trie by_key;
	struct chunk *newest, *oldest; /* by use */
	size_t bytes;
	uint64_t built; /* chunks read and encoded so far */
};

int chunk_cache_init(struct chunk_cache *cache, const struct store *store, struct store_reader *reader,
                     struct error *err) MUST_USE;
void chunk_cache_deinit(struct chunk_cache *cache); /* wipes */
/* Drops what was unused for CHUNK_CACHE_MS: plain secrets do not linger. now: milliseconds of the loop. */
void chunk_cache_sweep(struct chunk_cache *cache, uint64_t now);

/* *ret is valid until the next call on this cache. */
int chunk_cache_get(struct chunk_cache *cache, const struct selector *selector, struct chunk_key key, uint64_t now,
                    struct chunk **ret, struct error *err) MUST_USE;
