/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing and setting aside. The state machine of generations is in cache.h; what a start does to it is in
 * state.c, what an update does to it in generations.c. */
#include "cache/cache.h"

#include "cache/database.h"
#include "cache/highwater.h"
#include "cache/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAMAGED_MAX 1000

static int cache_new(const char *dir, struct cache **ret, struct error *err)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return error_nomem(err);
	if (snprintf(cache->path, sizeof(cache->path), "%s/cache.db", dir) >= (int)sizeof(cache->path) - 32 ||
	    snprintf(cache->high_water_path, sizeof(cache->high_water_path), "%s/high-water", dir) >=
	        (int)sizeof(cache->high_water_path) - 32) {
		free(cache);
		return error_set(err, E_INVALID, "data directory: the path is too long");
	}
	*ret = cache;
	return 0;
}

static struct cache *cache_free(struct cache *cache)
{
	if (cache != NULL) {
		database_close(cache->db);
		free(cache);
	}
	return NULL;
}

DEFINE_CLEANUP(struct cache, cache_free);

static int open_file(struct cache *cache, const uint8_t fingerprint[8], struct cache_start *start, struct error *err)
{
	int r = database_open(cache->path, &cache->db, err);

	if (r == 0)
		r = state_check_fingerprint(cache, fingerprint, err);
	if (r == 0)
		r = state_read(cache, err);
	if (r == 0)
		r = state_start(cache, true, start, err);
	return r;
}

/* cache.db -> cache.db.damaged-N, its log with it. */
static int set_aside(struct cache *cache, struct error *err)
{
	static const char *const suffixes[] = {"-wal", "-shm", ""};
	char from[PATH_MAX + 16], to[PATH_MAX + 32];
	int n = 1;

	database_close(TAKE_PTR(cache->db));
	do
		snprintf(to, sizeof(to), "%s.damaged-%d", cache->path, n);
	while (access(to, F_OK) == 0 && ++n < DAMAGED_MAX);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(from, sizeof(from), "%s%s", cache->path, suffixes[i]);
		snprintf(to, sizeof(to), "%s.damaged-%d%s", cache->path, n, suffixes[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			return error_set(err, error_from_errno(errno), "rename %s: %s", from, strerror(errno));
	}
	return 0;
}

/* What the caller is told; the high-water mark is the highest that anything remembers. */
static int describe_start(struct cache *cache, struct cache_start *start, struct error *err)
{
	struct error ignored = ERROR_NULL;
	int r = state_read_crashed(cache, &start->crashed, err);

	if (r < 0)
		return r;
	/* A damaged mark is no reason not to serve: it is written anew by the next one. */
	if (highwater_read(cache->high_water_path, &cache->high_water, &ignored) < 0)
		cache->high_water = (struct revision){0, 0};
	start->current = cache->current.revision;
	start->chain = cache->current.chain;
	start->high_water = cache->high_water;
	if (revision_compare(start->high_water, start->current) < 0)
		start->high_water = start->current;
	start->swapped = !start->set_aside && revision_compare(start->current, start->high_water) < 0 &&
	                 revision_compare(start->crashed, start->high_water) < 0;
	return 0;
}

/* Sets the file aside because of `why`, makes an empty one. */
static int start_empty(struct cache *cache, const uint8_t fingerprint[8], const char *why, struct cache_start *start,
                       struct error *err)
{
	int r;

	*start = (struct cache_start){.set_aside = true};
	snprintf(start->damage, sizeof(start->damage), "%s", why);
	r = set_aside(cache, err);
	if (r == 0)
		r = open_file(cache, fingerprint, start, err);
	return r;
}

int cache_open(const char *dir, const uint8_t fingerprint[8], bool repair, struct cache **ret,
               struct cache_start *ret_start, struct error *err)
{
	CLEANUP(cache_free) struct cache *cache = NULL;
	struct cache_start start = {0};
	struct error why = ERROR_NULL;
	int r;

	r = cache_new(dir, &cache, err);
	if (r < 0)
		return r;
	r = open_file(cache, fingerprint, &start, &why);
	if ((r == E_CORRUPT || r == E_VERSION) && repair)
		r = start_empty(cache, fingerprint, why.text, &start, &why);
	if (r < 0)
		return error_set(err, r, "%s", why.text);
	r = describe_start(cache, &start, err);
	if (r < 0)
		return r;
	*ret_start = start;
	*ret = TAKE_PTR(cache);
	return 0;
}

int cache_replace_damaged(struct cache *damaged, const uint8_t fingerprint[8], struct cache **ret,
                          struct cache_start *ret_start, struct error *err)
{
	CLEANUP(cache_free) struct cache *cache = damaged;
	struct cache_start start = {0};
	int r = start_empty(cache, fingerprint, "its contents can't be loaded", &start, err);

	cache->leftover = cache->log_dirty = false;
	if (r == 0)
		r = describe_start(cache, &start, err);
	if (r < 0)
		return r;
	*ret_start = start;
	*ret = TAKE_PTR(cache);
	return 0;
}

int cache_settle(struct cache *cache, bool loaded, struct cache_start *start, struct error *err)
{
	struct error ignored = ERROR_NULL;
	int r;

	if (!start->fell_back)
		return 0;
	if (loaded && database_run(cache->db, "COMMIT", &ignored) == 0) {
		cache->counted = true;
		return 0;
	}
	database_rollback(cache->db);
	*start = (struct cache_start){0};
	r = state_read(cache, err);
	if (r == 0)
		r = state_start(cache, false, start, err);
	return r == 0 ? describe_start(cache, start, err) : r;
}

void cache_note_alive(struct cache *cache)
{
	/* Failing leaves the start counted: it errs towards the older state. */
	if (cache->counted && database_run(cache->db, "UPDATE state SET starts = 0", NULL) == 0)
		cache->counted = false;
}

struct cache *cache_close(struct cache *cache)
{
	int r = 0;

	if (cache != NULL && cache->counted)
		r = database_run(cache->db, "UPDATE state SET starts = max(starts - 1, 0)", NULL);
	(void)r; /* as in cache_note_alive */
	return cache_free(cache);
}

int cache_check_attempt(const struct cache *cache, struct revision revision, struct error *err)
{
	sqlite3_int64 attempts = 0;
	int r = state_read_attempts(cache, revision, &attempts, err);

	if (r < 0)
		return r;
	if (attempts >= ATTEMPTS_MAX)
		return error_set(err, E_REFUSED, "revision %llu of epoch %llu brought this agent down before",
		                 (unsigned long long)revision.number, (unsigned long long)revision.epoch);
	return 0;
}
