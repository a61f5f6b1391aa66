/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/database.h"

#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA_VERSION 1

/* objects: a row is visible in generation g when since <= g and (until is NULL or until > g).
 * state: one row. Generations are 0 when there is none. first: rows from this rowid on belong to the candidate.
 * attempts: revisions that were found unmarked, or fallen back from. */
static const char schema[] =
    "CREATE TABLE objects (kind INTEGER NOT NULL, id TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER,"
    " version INTEGER NOT NULL, uid BLOB NOT NULL, selector TEXT NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL, "
    "sealed BLOB);"
    "CREATE UNIQUE INDEX objects_live ON objects (kind, id) WHERE until IS NULL;"
    "CREATE INDEX objects_ended ON objects (until) WHERE until IS NOT NULL;"
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), fingerprint BLOB, starts INTEGER NOT NULL DEFAULT 0,"
    " current INTEGER NOT NULL DEFAULT 0, current_epoch INTEGER NOT NULL DEFAULT 0, current_revision INTEGER NOT NULL "
    "DEFAULT 0,"
    " current_chain BLOB,"
    " before INTEGER NOT NULL DEFAULT 0, before_epoch INTEGER NOT NULL DEFAULT 0, before_revision INTEGER NOT NULL "
    "DEFAULT 0,"
    " before_chain BLOB,"
    " candidate INTEGER NOT NULL DEFAULT 0, candidate_epoch INTEGER NOT NULL DEFAULT 0,"
    " candidate_revision INTEGER NOT NULL DEFAULT 0, candidate_chain BLOB, first INTEGER NOT NULL DEFAULT 0);"
    "INSERT INTO state (one) VALUES (1);"
    "CREATE TABLE attempts (epoch INTEGER NOT NULL, revision INTEGER NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY (epoch, revision)) WITHOUT ROWID;";

static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;"
                              "PRAGMA cache_size = -2048; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;"
                              "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";

static int code_of(sqlite3 *db)
{
	int system = errno; /* of the call that failed; sqlite3_system_errno() tells an older one after a COMMIT */

	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_FULL:
		return E_NOSPACE;
	case SQLITE_CORRUPT: /* SQLite also says so when a read fails with EIO */
		return system == EIO ? E_IO : E_CORRUPT;
	case SQLITE_NOTADB:
		return E_CORRUPT;
	case SQLITE_NOMEM:
		return E_NOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return E_BUSY;
	default:
		return system == ENOSPC || system == EDQUOT ? E_NOSPACE : E_IO;
	}
}

int database_error(sqlite3 *db, const char *what, struct error *err)
{
	return error_set(err, code_of(db), "cache: %s: %s", what, sqlite3_errmsg(db));
}

int database_run_script(sqlite3 *db, const char *sql, struct error *err)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : database_error(db, "write", err);
}

int database_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct error *err)
{
	for (sqlite3_stmt *kept = sqlite3_next_stmt(db, NULL); kept != NULL; kept = sqlite3_next_stmt(db, kept)) {
		if (strcmp(sqlite3_sql(kept), sql) == 0) {
			assert(!sqlite3_stmt_busy(kept));
			*ret = kept;
			return 0;
		}
	}
	if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
		return database_error(db, "prepare", err);
	return 0;
}

int database_run(sqlite3 *db, const char *sql, struct error *err)
{
	return database_run_with(db, sql, NULL, 0, err);
}

int database_run_with(sqlite3 *db, const char *sql, const sqlite3_int64 *values, int count, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *statement = NULL;
	int r = database_prepare(db, sql, &statement, err);

	if (r < 0)
		return r;
	for (int i = 0; i < count; i++)
		sqlite3_bind_int64(statement, i + 1, values[i]);
	return sqlite3_step(statement) == SQLITE_DONE ? 0 : database_error(db, "write", err);
}

void database_rollback(sqlite3 *db)
{
	if (sqlite3_get_autocommit(db) == 0)
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

int database_truncate_log(sqlite3 *db, struct error *err)
{
	if (sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		return database_error(db, "checkpoint", err);
	return 0;
}

static int read_version(sqlite3 *db, sqlite3_int64 *ret, struct error *err)
{
	CLEANUP(statement_release) sqlite3_stmt *statement = NULL;
	int r = database_prepare(db, "PRAGMA user_version", &statement, err);

	if (r < 0)
		return r;
	if (sqlite3_step(statement) != SQLITE_ROW)
		return database_error(db, "read", err);
	*ret = sqlite3_column_int64(statement, 0);
	return 0;
}

static int make_schema(sqlite3 *db, struct error *err)
{
	int r = database_run(db, "BEGIN IMMEDIATE", err);

	if (r == 0)
		r = database_run_script(db, schema, err);
	if (r == 0)
		r = database_run_script(db, "PRAGMA user_version = 1; COMMIT", err);
	if (r < 0)
		database_rollback(db);
	return r;
}

static int set_up(sqlite3 *db, struct error *err)
{
	sqlite3_int64 version = 0;
	int r;

	sqlite3_extended_result_codes(db, 1);
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	r = database_run_script(db, pragmas, err);
	if (r == 0)
		r = read_version(db, &version, err);
	if (r < 0)
		return r;
	if (version > SCHEMA_VERSION)
		return error_set(err, E_VERSION, "cache: made by a newer release (schema %lld)", (long long)version);
	return version == 0 ? make_schema(db, err) : 0;
}

/* In SQLite's URIs these have a meaning. */
static void put_escaped(const char *path, struct buf *uri)
{
	for (; *path != 0; path++) {
		if (*path == '%' || *path == '?' || *path == '#')
			buf_printf(uri, "%%%02X", (unsigned)*path);
		else
			buf_put_u8(uri, (uint8_t)*path);
	}
}

/* On a disk that can't be written SQLite can neither lock the file, which the lock of the folder makes needless, nor make a log, which
 * is no loss when there is none. */
static int open_unwritable(const char *path, sqlite3 **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf log = BUF_NULL;
	CLEANUP(buf_deinit) struct buf uri = BUF_NULL;
	int code;

	buf_printf(&log, "%s-wal", path);
	buf_put_u8(&log, 0);
	if (log.failed)
		return error_nomem(err);
	buf_put_str(&uri, "file:");
	put_escaped(path, &uri);
	buf_put_str(&uri, access((const char *)log.data, F_OK) == 0 ? "?vfs=unix-none" : "?immutable=1");
	buf_put_u8(&uri, 0);
	if (uri.failed)
		return error_nomem(err);
	code = sqlite3_open_v2((const char *)uri.data, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
	if (code != SQLITE_OK)
		return E_IO;
	/* Without locks it must not take the log away from the connection that follows when the disk is well again. */
	sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return 0;
}

static int open_writable(const char *path, sqlite3 **ret, struct error *err)
{
	int code = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	return code == SQLITE_OK ? 0 : E_IO;
}

int database_open(const char *path, sqlite3 **ret, struct error *err)
{
	bool is_unwritable = access(path, W_OK) < 0 && errno == EROFS;
	sqlite3 *db = NULL;
	int r = is_unwritable ? open_unwritable(path, &db, err) : open_writable(path, &db, err);

	if (r < 0) {
		r = db != NULL ? database_error(db, path, err) : error_nomem(err);
		sqlite3_close(db);
		return r;
	}
	r = set_up(db, err);
	if (r < 0) {
		database_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

void database_close(sqlite3 *db)
{
	sqlite3_stmt *statement;

	while (db != NULL && (statement = sqlite3_next_stmt(db, NULL)) != NULL)
		sqlite3_finalize(statement);
	sqlite3_close(db);
}

int database_make_writable(const char *path, sqlite3 **db, struct error *err)
{
	sqlite3 *opened = NULL;
	int r;

	if (sqlite3_db_readonly(*db, "main") != 1)
		return 0;
	r = database_open(path, &opened, err);
	if (r < 0)
		return r;
	database_close(*db);
	*db = opened;
	return 0;
}
