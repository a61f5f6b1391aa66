/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys beside the snapshot: one row, sealed by whoever hands it over. They belong to no generation, for they change without a
 * revision. The table is made when it is first needed: a cache that an earlier release made stays readable by that release. */
#include "cache/cache.h"
#include "cache/database.h"
#include "cache/state.h"

static int has_table(struct cache *cache, bool *ret, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *row = NULL;
	int r = database_prepare(cache->db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'tickets'", &row, err);

	if (r < 0)
		return r;
	r = sqlite3_step(row);
	if (r != SQLITE_ROW && r != SQLITE_DONE)
		return database_error(cache->db, "read", err);
	*ret = r == SQLITE_ROW;
	return 0;
}

int cache_load_tickets(struct cache *cache, struct buf *out, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *row = NULL;
	bool exists = false;
	int r = has_table(cache, &exists, err);

	if (r < 0)
		return r;
	if (!exists)
		return error_set(err, E_NOT_FOUND, "cache: no ticket keys");
	r = database_prepare(cache->db, "SELECT sealed FROM tickets", &row, err);
	if (r < 0)
		return r;
	r = sqlite3_step(row);
	if (r == SQLITE_DONE)
		return error_set(err, E_NOT_FOUND, "cache: no ticket keys");
	if (r != SQLITE_ROW)
		return database_error(cache->db, "read", err);
	buf_put(out, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
	return out->failed ? error_nomem(err) : 0;
}

static int put_row(struct cache *cache, struct bytes sealed, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *statement = NULL;
	int r = database_prepare(cache->db, "INSERT INTO tickets (one, sealed) VALUES (1, ?1)", &statement, err);

	if (r < 0)
		return r;
	sqlite3_bind_blob64(statement, 1, sealed.data, sealed.len, SQLITE_STATIC);
	return sqlite3_step(statement) == SQLITE_DONE ? 0 : database_error(cache->db, "write", err);
}

static int store_steps(struct cache *cache, struct bytes sealed, struct error *err)
{
	int r = database_make_writable(cache->path, &cache->db, err);

	if (r == 0)
		r = database_run_script(cache->db,
		                        "BEGIN IMMEDIATE;"
		                        "CREATE TABLE IF NOT EXISTS tickets (one INTEGER PRIMARY KEY CHECK (one = 1), sealed BLOB NOT NULL);"
		                        "DELETE FROM tickets",
		                        err);
	if (r == 0 && sealed.len > 0)
		r = put_row(cache, sealed, err);
	return r == 0 ? database_run(cache->db, "COMMIT", err) : r;
}

int cache_store_tickets(struct cache *cache, struct bytes sealed, struct error *err)
{
	int r = store_steps(cache, sealed, err);

	if (r < 0) {
		database_rollback(cache->db);
		return r;
	}
	cache->log_dirty = true; /* what was replaced may still stand there */
	r = database_truncate_log(cache->db, err);
	if (r == 0)
		cache->log_dirty = false;
	return r;
}
