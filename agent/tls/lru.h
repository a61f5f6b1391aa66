/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded map from digests to counted values that forgets what was used least recently. Any thread; the lock is held
 * for a few pointer moves, never while a value is made. Private to agent/tls. */
#pragma once

#include "base/macros.h"
#include "model/object.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lru_ops {
	void (*ref)(void *value);
	void (*unref)(void *value); /* may be the last; called without the lock */
	bool (*is_used)(const void *value); /* has more references than the map's; called under the lock. NULL: no sweeping */
};

struct lru_entry;

struct lru {
	pthread_mutex_t lock;
	const struct lru_ops *ops;
	struct lru_entry **buckets; /* owned; buckets_len is a power of two */
	size_t buckets_len;
	struct lru_entry *newest, *oldest;
	size_t count, max;
	uint64_t hits, misses;
	uint64_t drops; /* how often lru_drop was called */
};

/* max: at least 1. E_NOMEM. */
int lru_init(struct lru *lru, size_t max, const struct lru_ops *ops) MUST_USE;
void lru_deinit(struct lru *lru); /* of a zeroed lru: nothing */

/* The value with a reference for the caller, or NULL and in *ret_drops what lru_put wants to see. */
void *lru_find(struct lru *lru, const struct digest *key, uint64_t *ret_drops);
/* Adds value under key, with a reference of its own; pushes the oldest out when full. Keeps what is there already. Does
 * nothing without memory, or when anything was dropped since `drops` (value may be what was dropped): a cache may. */
void lru_put(struct lru *lru, const struct digest *key, void *value, uint64_t drops);
void lru_drop(struct lru *lru, const struct digest *key);
/* What nobody but the map has a reference to goes. Walks all of it under the lock; ops->is_used must be there. */
void lru_sweep(struct lru *lru);
