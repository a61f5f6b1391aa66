/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the current generation, writing the candidate, marking it, letting the one before go. Rows have validity
 * intervals, so that an update writes what it changes: a row ends (until) and another begins (since). */
#include "cache/cache.h"
#include "cache/database.h"
#include "cache/highwater.h"
#include "cache/state.h"

#include <assert.h>
#include <string.h>

static struct bytes column_bytes(sqlite3_stmt *row, int column)
{
	const void *data = sqlite3_column_blob(row, column);

	return BYTES(data, (size_t)sqlite3_column_bytes(row, column));
}

static int load_row(sqlite3_stmt *row, int (*fn)(const struct snapshot_put *put, void *context, struct error *err),
                    void *context, struct error *err)
{
	const char *id = (const char *)sqlite3_column_text(row, 1), *selector = (const char *)sqlite3_column_text(row, 4);
	struct bytes uid = column_bytes(row, 3), digest_bytes = column_bytes(row, 5);
	struct snapshot_put put = {0};
	struct digest digest;

	if (id == NULL || selector == NULL || uid.len != UID_LEN || digest_bytes.len != DIGEST_LEN)
		return error_set(err, E_CORRUPT, "cache: a row is malformed");
	memcpy(digest.bytes, digest_bytes.data, DIGEST_LEN);
	memcpy(put.object.uid.bytes, uid.data, UID_LEN);
	put.object.kind = (enum kind)sqlite3_column_int(row, 0);
	put.object.id = id;
	put.object.version = (uint64_t)sqlite3_column_int64(row, 2);
	put.object.selector = selector;
	put.object.body = column_bytes(row, 6);
	put.sealed = column_bytes(row, 7);
	put.digest = &digest;
	return fn(&put, context, err);
}

int cache_load(struct cache *cache, int (*fn)(const struct snapshot_put *put, void *context, struct error *err),
               void *context, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *row = NULL;
	int r;

	if (cache->current.number == 0)
		return 0;
	/* In the order of the file: following an index here would be a seek per object. */
	r = database_prepare(cache->db,
	                     "SELECT kind, id, version, uid, selector, digest, body, sealed FROM objects NOT INDEXED"
	                     " WHERE since <= ?1 AND (until IS NULL OR until > ?1)",
	                     &row, err);
	if (r < 0)
		return r;
	sqlite3_bind_int64(row, 1, cache->current.number);
	while ((r = sqlite3_step(row)) == SQLITE_ROW) {
		r = load_row(row, fn, context, err);
		if (r != 0)
			return r;
	}
	return r == SQLITE_DONE ? 0 : database_error(cache->db, "load", err);
}

static void bind_bytes(sqlite3_stmt *statement, int parameter, struct bytes bytes)
{
	if (bytes.len == 0)
		sqlite3_bind_zeroblob(statement, parameter, 0);
	else
		sqlite3_bind_blob64(statement, parameter, bytes.data, bytes.len, SQLITE_STATIC);
}

static int step_and_reset(struct cache *cache, sqlite3_stmt *statement, struct error *err)
{
	int r = 0;

	if (sqlite3_step(statement) != SQLITE_DONE)
		r = database_error(cache->db, "write", err);
	sqlite3_reset(statement);
	return r;
}

static int end_rows(struct cache *cache, const struct snapshot_builder *builder, sqlite3_int64 number,
                    struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *statement = NULL;
	int r = database_prepare(cache->db, "UPDATE objects SET until = ?1 WHERE kind = ?2 AND id = ?3 AND until IS NULL",
	                         &statement, err);

	for (size_t i = 0; r == 0 && i < snapshot_builder_gone_count(builder); i++) {
		const struct entry *entry = snapshot_builder_gone(builder, i);

		sqlite3_bind_int64(statement, 1, number);
		sqlite3_bind_int(statement, 2, entry->kind);
		sqlite3_bind_text(statement, 3, entry->id, entry->id_len, SQLITE_STATIC);
		r = step_and_reset(cache, statement, err);
		if (r == 0 && sqlite3_changes(cache->db) != 1)
			r = error_set(err, E_CORRUPT, "cache: it does not hold what it should");
	}
	return r;
}

static int begin_rows(struct cache *cache, const struct snapshot_builder *builder, sqlite3_int64 number,
                      struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *statement = NULL;
	int r = database_prepare(cache->db,
	                         "INSERT INTO objects (kind, id, since, version, uid, selector, digest, body, sealed)"
	                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	                         &statement, err);

	for (size_t i = 0; r == 0 && i < snapshot_builder_new_count(builder); i++) {
		const struct entry *entry = snapshot_builder_new_entry(builder, i);

		sqlite3_bind_int(statement, 1, entry->kind);
		sqlite3_bind_text(statement, 2, entry->id, entry->id_len, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, number);
		sqlite3_bind_int64(statement, 4, (sqlite3_int64)entry->version);
		sqlite3_bind_blob(statement, 5, entry->uid.bytes, UID_LEN, SQLITE_STATIC);
		sqlite3_bind_text(statement, 6, entry->selector, -1, SQLITE_STATIC);
		sqlite3_bind_blob(statement, 7, entry->digest.bytes, DIGEST_LEN, SQLITE_STATIC);
		bind_bytes(statement, 8, entry->body);
		bind_bytes(statement, 9, entry->sealed);
		r = step_and_reset(cache, statement, err);
	}
	return r;
}

static int write_candidate_state(struct cache *cache, const struct generation *candidate, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *statement = NULL;
	int r = database_prepare(
	    cache->db,
	    "UPDATE state SET candidate = ?1, candidate_epoch = ?2, candidate_revision = ?3, candidate_chain = ?4,"
	    " first = (SELECT coalesce(max(rowid), 0) + 1 FROM objects)",
	    &statement, err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(statement, 1, candidate->number);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)candidate->revision.epoch);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)candidate->revision.number);
	sqlite3_bind_blob(statement, 4, candidate->chain.bytes, DIGEST_LEN, SQLITE_STATIC);
	return step_and_reset(cache, statement, err);
}

static int candidate_steps(struct cache *cache, const struct snapshot_builder *builder,
                           const struct generation *candidate, struct error *err)
{
	int r = database_make_writable(cache->path, &cache->db, err);

	if (r == 0)
		r = database_run(cache->db, "BEGIN IMMEDIATE", err);
	if (r == 0 && cache->leftover)
		r = state_drop_candidate(cache, err);
	if (r == 0)
		r = write_candidate_state(cache, candidate, err);
	if (r == 0)
		r = end_rows(cache, builder, candidate->number, err);
	if (r == 0)
		r = begin_rows(cache, builder, candidate->number, err);
	if (r == 0)
		r = database_run(cache->db, "COMMIT", err);
	return r;
}

int cache_write_candidate(struct cache *cache, const struct snapshot_builder *builder, struct revision revision,
                          const struct digest *chain, struct error *err)
{
	struct generation candidate = {.number = cache->current.number + 1, .revision = revision, .chain = *chain};
	int r;

	assert(cache->candidate.number == 0 || cache->leftover);
	r = candidate_steps(cache, builder, &candidate, err);
	if (r < 0) {
		database_rollback(cache->db);
		return r;
	}
	cache->leftover = false;
	cache->candidate = candidate;
	return 0;
}

/* What ended with this generation and has no successor of the same uid was lost (label, selector, status, deletion),
 * not replaced: it goes from the one before as well. */
static int erase_lost(struct cache *cache, sqlite3_int64 number, struct error *err)
{
	int r = database_run_with(cache->db,
	                          "DELETE FROM objects WHERE until = ?1 AND NOT EXISTS (SELECT 1 FROM objects AS next"
	                          " WHERE next.kind = objects.kind AND next.id = objects.id AND next.until IS NULL"
	                          " AND next.uid = objects.uid)",
	                          &number, 1, err);

	if (r == 0 && sqlite3_changes(cache->db) > 0)
		cache->log_dirty = true;
	return r;
}

static int mark_steps(struct cache *cache, struct error *err)
{
	const sqlite3_int64 number = cache->candidate.number, before = cache->current.number;
	const sqlite3_int64 revision[] = {(sqlite3_int64)cache->candidate.revision.epoch,
	                                  (sqlite3_int64)cache->candidate.revision.number};
	int r = database_run(cache->db, "BEGIN IMMEDIATE", err);

	if (r == 0)
		r = database_run(
		    cache->db,
		    "UPDATE state SET before = current, before_epoch = current_epoch, before_revision = current_revision,"
		    " before_chain = current_chain, current = candidate, current_epoch = candidate_epoch,"
		    " current_revision = candidate_revision, current_chain = candidate_chain, candidate = 0,"
		    " candidate_chain = NULL, starts = 0",
		    err);
	if (r == 0)
		r = database_run_with(cache->db, "DELETE FROM objects WHERE until <= ?1", &before, 1, err);
	if (r == 0)
		r = erase_lost(cache, number, err);
	if (r == 0)
		r = database_run_with(cache->db, "DELETE FROM attempts WHERE (epoch, revision) <= (?1, ?2)", revision, 2, err);
	if (r == 0)
		r = database_run(cache->db, "COMMIT", err);
	return r;
}

int cache_mark(struct cache *cache, struct error *err)
{
	int r;

	if (cache->candidate.number > 0) {
		r = mark_steps(cache, err);
		if (r < 0) {
			database_rollback(cache->db);
			return r;
		}
		cache->before = cache->current;
		cache->current = cache->candidate;
		cache->candidate = (struct generation){0};
		cache->counted = false;
	}
	if (revision_compare(cache->high_water, cache->current.revision) < 0) {
		r = highwater_write(cache->high_water_path, cache->current.revision, err);
		if (r < 0)
			return r;
		cache->high_water = cache->current.revision;
	}
	if (!cache->log_dirty)
		return 0;
	r = database_truncate_log(cache->db, err);
	if (r == 0)
		cache->log_dirty = false;
	return r;
}

int cache_expire_before(struct cache *cache, struct error *err)
{
	const sqlite3_int64 current = cache->current.number;
	int r;

	if (cache->before.number > 0) {
		r = database_run(cache->db, "BEGIN IMMEDIATE", err);
		if (r == 0)
			r = database_run_with(cache->db, "DELETE FROM objects WHERE until <= ?1", &current, 1, err);
		if (r == 0)
			r = database_run(cache->db, "UPDATE state SET before = 0, before_chain = NULL", err);
		if (r == 0)
			r = database_run(cache->db, "COMMIT", err);
		if (r < 0) {
			database_rollback(cache->db);
			return r;
		}
		cache->before = (struct generation){0};
		cache->log_dirty = true;
	}
	if (!cache->log_dirty)
		return 0;
	r = database_truncate_log(cache->db, err);
	if (r == 0)
		cache->log_dirty = false;
	return r;
}
