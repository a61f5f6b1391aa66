/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/state.h"

#include <string.h>

static void read_generation(sqlite3_stmt *row, int column, struct generation *generation)
{
	*generation = (struct generation){
	    .number = sqlite3_column_int64(row, column),
	    .revision = {(uint64_t)sqlite3_column_int64(row, column + 1), (uint64_t)sqlite3_column_int64(row, column + 2)}};
	if (sqlite3_column_bytes(row, column + 3) == DIGEST_LEN)
		memcpy(generation->chain.bytes, sqlite3_column_blob(row, column + 3), DIGEST_LEN);
}

int state_read(struct cache *cache, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *row = NULL;
	int r = database_prepare(cache->db,
	                         "SELECT current, current_epoch, current_revision, current_chain,"
	                         " before, before_epoch, before_revision, before_chain,"
	                         " candidate, candidate_epoch, candidate_revision, candidate_chain, starts FROM state",
	                         &row, err);

	if (r < 0)
		return r;
	r = sqlite3_step(row);
	if (r == SQLITE_DONE)
		return error_set(err, E_CORRUPT, "cache: the state row is missing");
	if (r != SQLITE_ROW)
		return database_error(cache->db, "read", err);
	read_generation(row, 0, &cache->current);
	read_generation(row, 4, &cache->before);
	read_generation(row, 8, &cache->candidate);
	cache->starts = sqlite3_column_int64(row, 12);
	return 0;
}

static int write_fingerprint(struct cache *cache, const uint8_t fingerprint[8], struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *statement = NULL;
	int r = database_prepare(cache->db, "UPDATE state SET fingerprint = ?1", &statement, err);

	if (r < 0)
		return r;
	sqlite3_bind_blob(statement, 1, fingerprint, 8, SQLITE_STATIC);
	return sqlite3_step(statement) == SQLITE_DONE ? 0 : database_error(cache->db, "write", err);
}

/* Secrets under another keyring can't be opened; digests would still claim that the agent holds them. */
int state_check_fingerprint(struct cache *cache, const uint8_t fingerprint[8], struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *row = NULL;
	int r = database_prepare(cache->db, "SELECT fingerprint FROM state", &row, err);
	bool known;

	if (r < 0)
		return r;
	if (sqlite3_step(row) != SQLITE_ROW)
		return database_error(cache->db, "read", err);
	known = sqlite3_column_type(row, 0) != SQLITE_NULL;
	if (known && (sqlite3_column_bytes(row, 0) != 8 || memcmp(sqlite3_column_blob(row, 0), fingerprint, 8) != 0))
		return error_set(err, E_CORRUPT, "cache: sealed under another keyring");
	if (known)
		return 0;
	sqlite3_reset(row);
	return write_fingerprint(cache, fingerprint, err);
}

int state_read_attempts(const struct cache *cache, struct revision revision, sqlite3_int64 *ret, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *row = NULL;
	int r = database_prepare(cache->db, "SELECT count FROM attempts WHERE epoch = ?1 AND revision = ?2", &row, err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(row, 1, (sqlite3_int64)revision.epoch);
	sqlite3_bind_int64(row, 2, (sqlite3_int64)revision.number);
	r = sqlite3_step(row);
	if (r != SQLITE_ROW && r != SQLITE_DONE)
		return database_error(cache->db, "read", err);
	*ret = r == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
	return 0;
}

int state_read_crashed(const struct cache *cache, struct revision *ret, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *row = NULL;
	int r = database_prepare(
	    cache->db, "SELECT epoch, revision FROM attempts WHERE count >= ?1 ORDER BY epoch DESC, revision DESC LIMIT 1",
	    &row, err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(row, 1, ATTEMPTS_MAX);
	r = sqlite3_step(row);
	if (r != SQLITE_ROW && r != SQLITE_DONE)
		return database_error(cache->db, "read", err);
	*ret = (struct revision){0, 0};
	if (r == SQLITE_ROW)
		*ret = (struct revision){(uint64_t)sqlite3_column_int64(row, 0), (uint64_t)sqlite3_column_int64(row, 1)};
	return 0;
}

static int count_attempt(struct cache *cache, struct revision revision, sqlite3_int64 count, struct error *err)
{
	const sqlite3_int64 values[] = {(sqlite3_int64)revision.epoch, (sqlite3_int64)revision.number, count};

	return database_run_with(cache->db,
	                         "INSERT INTO attempts (epoch, revision, count) VALUES (?1, ?2, ?3)"
	                         " ON CONFLICT (epoch, revision) DO UPDATE SET count = count + ?3",
	                         values, 3, err);
}

int state_drop_candidate(struct cache *cache, struct error *err)
{
	const sqlite3_int64 number = cache->candidate.number;
	int r = database_run_with(cache->db, "DELETE FROM objects WHERE rowid >= (SELECT first FROM state) AND since = ?1",
	                          &number, 1, err);

	if (r == 0)
		r = database_run_with(cache->db, "UPDATE objects SET until = NULL WHERE until = ?1", &number, 1, err);
	if (r == 0)
		r = database_run(cache->db, "UPDATE state SET candidate = 0, candidate_chain = NULL", err);
	return r;
}

/* The one before is current again; what came after it goes. */
static int fall_back(struct cache *cache, struct error *err)
{
	const sqlite3_int64 number = cache->current.number;
	int r = count_attempt(cache, cache->current.revision, ATTEMPTS_MAX, err);

	if (r == 0)
		r = database_run_with(cache->db, "DELETE FROM objects WHERE since = ?1", &number, 1, err);
	if (r == 0)
		r = database_run_with(cache->db, "UPDATE objects SET until = NULL WHERE until = ?1", &number, 1, err);
	if (r == 0)
		r = database_run(
		    cache->db,
		    "UPDATE state SET current = before, current_epoch = before_epoch, current_revision = before_revision,"
		    " current_chain = before_chain, before = 0, before_chain = NULL, starts = 1",
		    err);
	return r;
}

/* A fall-back is left uncommitted: cache_settle. */
static int start_steps(struct cache *cache, bool may_fall_back, struct cache_start *start, struct error *err)
{
	int r = database_run(cache->db, "BEGIN IMMEDIATE", err);

	if (r == 0 && cache->candidate.number > 0) {
		r = count_attempt(cache, cache->candidate.revision, 1, err);
		if (r == 0)
			r = state_drop_candidate(cache, err);
	}
	if (r == 0 && may_fall_back && cache->starts >= STARTS_MAX && cache->before.number > 0) {
		start->fell_back = true;
		return fall_back(cache, err);
	}
	if (r == 0 && cache->current.number > 0)
		r = database_run(cache->db, "UPDATE state SET starts = starts + 1", err);
	if (r == 0)
		r = database_run(cache->db, "COMMIT", err);
	return r;
}

int state_start(struct cache *cache, bool may_fall_back, struct cache_start *start, struct error *err)
{
	int r = start_steps(cache, may_fall_back, start, err);

	if (r == 0) {
		cache->counted = !start->fell_back;
		return state_read(cache, err);
	}
	database_rollback(cache->db);
	if (r != E_NOSPACE && r != E_IO)
		return r;
	/* A disk that takes no bytes must not keep the agent from serving what it has. */
	start->fell_back = false;
	start->read_only = true;
	cache->leftover = cache->candidate.number > 0;
	return 0;
}
