/* SPDX-License-Identifier: Apache-2.0 */
/* Connections are set up here and nowhere else: WAL and synchronous=FULL are what makes an answered write durable. A
 * statement that is still being stepped by an outer call is not disturbed: the inner call prepares a second one. */
#include "store/database.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BUSY_TIMEOUT_MS 10000
#define CLEAR_WAIT_MS 20

int database_error(struct database *database, const char *what, struct error *err)
{
	sqlite3 *handle = database->handle;
	int system = errno; /* of the call that failed; sqlite3_system_errno() tells an older one after a COMMIT */
	int code;

	switch ((handle != NULL ? sqlite3_errcode(handle) : SQLITE_NOMEM) & 0xff) {
	case SQLITE_NOMEM:
		code = E_NOMEM;
		break;
	case SQLITE_FULL:
		code = E_NOSPACE;
		break;
	case SQLITE_CORRUPT: /* SQLite also says so when a read fails with EIO */
		code = system == EIO ? E_IO : E_CORRUPT;
		break;
	case SQLITE_NOTADB:
		code = E_CORRUPT;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		code = E_BUSY;
		break;
	case SQLITE_IOERR:
		code = system == ENOSPC || system == EDQUOT ? E_NOSPACE : E_IO;
		break;
	case SQLITE_CONSTRAINT:
		code = E_INTERNAL;
		break;
	default:
		code = E_IO;
	}
	database->failure = code;
	return error_set(err, code, "store: %s: %s", what, handle != NULL ? sqlite3_errmsg(handle) : "out of memory");
}

int database_open(struct database *database, const char *path, struct error *err)
{
	static const char setup[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
								"PRAGMA secure_delete = ON;" /* a retired ticket key is gone, not just out of the index */
								"PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16384;";

	if (sqlite3_open_v2(path, &database->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return database_error(database, "open", err);
	sqlite3_extended_result_codes(database->handle, 1);
	sqlite3_busy_timeout(database->handle, BUSY_TIMEOUT_MS);
	sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(database->handle, setup, NULL, NULL, NULL) != SQLITE_OK)
		return database_error(database, "open", err);
	return 0;
}

void database_deinit(struct database *database)
{
	for (size_t i = 0; i < STMT_COUNT_; i++)
		sqlite3_finalize(database->cache[i]);
	if (database->handle != NULL) {
		int closed = sqlite3_close(database->handle);

		assert(closed == SQLITE_OK); /* else a statement outlives its connection */
		(void)closed;
	}
	*database = (struct database){0};
}

/* Readers of one object are gone in a moment; who streams a whole holding is not waited for. */
static int wait_briefly(void *context, int times)
{
	return times < CLEAR_WAIT_MS && sqlite3_sleep(1) >= 0;
}

int database_clear_log(struct database *database, bool whole, uint64_t *ret_left, struct error *err)
{
	int mode = whole ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, in_log = 0, done = 0, code;

	sqlite3_busy_handler(database->handle, wait_briefly, NULL);
	code = sqlite3_wal_checkpoint_v2(database->handle, NULL, mode, &in_log, &done);
	sqlite3_busy_timeout(database->handle, BUSY_TIMEOUT_MS);
	if (code != SQLITE_OK && (whole || code != SQLITE_BUSY)) /* another's checkpoint is as good as ours */
		return database_error(database, "clear the log", err);
	*ret_left = in_log > done && done >= 0 ? (uint64_t)(in_log - done) : 0;
	return 0;
}

struct value value_text(const char *text)
{
	if (text == NULL)
		return V_NULL;
	return (struct value){VALUE_TEXT, 0, text, strlen(text)};
}

static int bind_value(sqlite3_stmt *handle, int index, const struct value *value)
{
	switch (value->type) {
	case VALUE_INT:
		return sqlite3_bind_int64(handle, index, value->number);
	case VALUE_TEXT:
		return sqlite3_bind_text64(handle, index, value->data, value->len, SQLITE_STATIC, SQLITE_UTF8);
	case VALUE_BLOB: /* an empty blob is not NULL */
		return sqlite3_bind_blob64(handle, index, value->len > 0 ? value->data : "", value->len, SQLITE_STATIC);
	case VALUE_NULL:
		break;
	}
	return sqlite3_bind_null(handle, index);
}

int statement_start_values(struct statement *statement, struct database *database, enum statement_id id,
                           const struct value *values, size_t count, struct error *err)
{
	assert(statement->handle == NULL);
	statement->database = database;
	statement->id = id;
	statement->handle = TAKE_PTR(database->cache[id]);
	if (statement->handle == NULL &&
	    sqlite3_prepare_v3(database->handle, statement_table[id].sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->handle,
	                       NULL) != SQLITE_OK)
		return database_error(database, "prepare", err);
	for (size_t i = 0; i < count; i++) {
		if (bind_value(statement->handle, (int)i + 1, &values[i]) != SQLITE_OK)
			return database_error(database, "bind", err);
	}
	return 0;
}

void statement_end(struct statement *statement)
{
	sqlite3_stmt *handle = TAKE_PTR(statement->handle);

	if (handle == NULL)
		return;
	sqlite3_reset(handle);
	sqlite3_clear_bindings(handle);
	if (statement->database->cache[statement->id] == NULL)
		statement->database->cache[statement->id] = handle;
	else
		sqlite3_finalize(handle);
}

int statement_step(struct statement *statement, bool *ret_row, struct error *err)
{
	int code = sqlite3_step(statement->handle);

	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return database_error(statement->database, "run", err);
	*ret_row = code == SQLITE_ROW;
	return 0;
}

int statement_run_values(struct database *database, enum statement_id id, const struct value *values, size_t count,
                         struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = true;
	int code = statement_start_values(&statement, database, id, values, count, err);

	while (code == 0 && row)
		code = statement_step(&statement, &row, err);
	return code;
}

void database_rollback(struct database *database)
{
	if (!sqlite3_get_autocommit(database->handle) && statement_run(database, STMT_ROLLBACK, NULL) != 0)
		sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
}

const char *column_text(const struct statement *statement, int column)
{
	return (const char *)sqlite3_column_text(statement->handle, column);
}

int column_text_or_null(const struct statement *statement, int column, const char **ret, struct error *err)
{
	bool is_null = sqlite3_column_type(statement->handle, column) == SQLITE_NULL; /* asked first: a failure makes it one */
	const char *text = column_text(statement, column);

	if (text == NULL && !is_null)
		return error_nomem(err);
	*ret = text;
	return 0;
}

struct bytes column_bytes(const struct statement *statement, int column)
{
	const void *data = sqlite3_column_blob(statement->handle, column);

	return BYTES(data, (size_t)sqlite3_column_bytes(statement->handle, column));
}

uint64_t column_u64(const struct statement *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement->handle, column);
}

int column_copy(const struct statement *statement, int column, void *target, size_t size, struct error *err)
{
	struct bytes bytes = column_bytes(statement, column);

	if (bytes.len != size || bytes.data == NULL)
		return error_set(err, E_CORRUPT, "store: a column has %zu bytes, not %zu", bytes.len, size);
	memcpy(target, bytes.data, size);
	return 0;
}
