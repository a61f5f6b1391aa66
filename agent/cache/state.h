/* SPDX-License-Identifier: Apache-2.0 */
/* The cache's one row of state, and what a start does to it. Private to the cache layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cache/cache.h"
#include "cache/database.h"

#include <limits.h>

/* A generation and the revision it is; number 0: there is none. */
struct generation {
	sqlite3_int64 number;
	struct revision revision;
	struct digest chain;
};

struct cache {
	sqlite3 *db;
	char path[PATH_MAX];
	char high_water_path[PATH_MAX];
	struct generation current, before, candidate;
	sqlite3_int64 starts;
	struct revision high_water;
	bool leftover;  /* the candidate was found at start and could not be dropped yet */
	bool counted;   /* this start was counted */
	bool log_dirty; /* erased bytes may still stand in the write-ahead log */
};

#define STARTS_MAX 3   /* deaths within a minute of starting before the one before is taken */
#define ATTEMPTS_MAX 2 /* of a revision that is found unmarked */

int state_read(struct cache *cache, struct error *err) MUST_USE;
int state_check_fingerprint(struct cache *cache, const uint8_t fingerprint[8], struct error *err) MUST_USE;
/* Counts the start, drops an unmarked candidate, falls back if it must and may: one transaction, which stays open when
 * it fell back, for cache_settle. */
int state_start(struct cache *cache, bool may_fall_back, struct cache_start *start, struct error *err) MUST_USE;
/* Inside a transaction: takes the candidate's rows out and forgets it. Does not touch cache->candidate. */
int state_drop_candidate(struct cache *cache, struct error *err) MUST_USE;
int state_read_attempts(const struct cache *cache, struct revision revision, sqlite3_int64 *ret,
                        struct error *err) MUST_USE;
int state_read_crashed(const struct cache *cache, struct revision *ret,
                       struct error *err) MUST_USE; /* the highest; {0,0} */
