/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite as the cache uses it: one connection, exclusive (no shared-memory file, so that a full disk does not keep it
 * from being read), WAL, every commit synced, deleted bytes overwritten. Statements are prepared once and kept: to parse them took a
 * sixth of what a change costs. Private to the cache layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <sqlite3.h>

/* Back to where it can be used again; what was bound is forgotten. */
static inline void statement_release(sqlite3_stmt *statement)
{
	if (statement == NULL)
		return;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}
DEFINE_CLEANUP(sqlite3_stmt, statement_release);

/* E_CORRUPT, E_VERSION (newer schema), E_BUSY, E_NOSPACE, E_IO, E_NOMEM. Makes the tables of a new file. A file on a disk that can't be
 * written (a file system that was mounted read-only after an error) is opened for reading: writes fail with E_IO. */
int database_open(const char *path, sqlite3 **ret, struct error *err) MUST_USE;
void database_close(sqlite3 *db); /* NULL allowed; takes its statements along */
/* Opens it anew if it was opened for reading alone: the disk may be well again. Outside of a transaction; no statement may be in use. */
int database_make_writable(const char *path, sqlite3 **db, struct error *err) MUST_USE;

/* From the connection's last failure: the code, the text with `what`. */
int database_error(sqlite3 *db, const char *what, struct error *err);
/* Several statements, parsed each time. */
int database_run_script(sqlite3 *db, const char *sql, struct error *err) MUST_USE;
/* One statement without rows; _with: with integer parameters ?1.. */
int database_run(sqlite3 *db, const char *sql, struct error *err) MUST_USE;
int database_run_with(sqlite3 *db, const char *sql, const sqlite3_int64 *values, int count, struct error *err) MUST_USE;
/* *ret: the connection's, to be given back by statement_release; of one text there is one user at a time. */
int database_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct error *err) MUST_USE;
void database_rollback(sqlite3 *db); /* after a failure; harmless outside a transaction */
/* Moves the write-ahead log into the file and cuts it to zero: what was deleted is then in neither. */
int database_truncate_log(sqlite3 *db, struct error *err) MUST_USE;
