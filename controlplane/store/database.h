/* SPDX-License-Identifier: Apache-2.0 */
/* One SQLite connection with its prepared statements. Internal to the store. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "store/statements.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct database {
	sqlite3 *handle;
	sqlite3_stmt *cache[STMT_COUNT_]; /* prepared at first use; taken out while in use */
	int failure;                      /* code of the newest error on this connection; 0: none */
};

/* The file must exist. *database must be zeroed; deinit after failure too. */
int database_open(struct database *database, const char *path, struct error *err) MUST_USE;
void database_deinit(struct database *database);
/* Error of the last call on this connection: E_NOSPACE, E_NOMEM, E_CORRUPT, E_BUSY or E_IO. */
int database_error(struct database *database, const char *what, struct error *err) MUST_USE;

/* Brings the write-ahead log into the database; not inside a transaction. *ret_left: frames that could not go yet. whole: and empties it,
 * which holds up writes for a moment and proves that no reader sees anything older; E_BUSY when one does. */
int database_clear_log(struct database *database, bool whole, uint64_t *ret_left, struct error *err) MUST_USE;

/* A statement in use. */
struct statement {
	struct database *database;
	enum statement_id id;
	sqlite3_stmt *handle; /* NULL: not started */
};

void statement_end(struct statement *statement);
DEFINE_CLEANUP_VALUE(struct statement, statement_end);

struct value {
	enum { VALUE_NULL, VALUE_INT, VALUE_TEXT, VALUE_BLOB } type;
	int64_t number;
	const void *data;
	size_t len;
};

#define V_INT(n) ((struct value){VALUE_INT, (int64_t)(n), NULL, 0})
#define V_TEXT(text) value_text(text) /* NULL is SQL's NULL */
#define V_BLOB(pointer, length) ((struct value){VALUE_BLOB, 0, (pointer), (length)})
#define V_NULL ((struct value){VALUE_NULL, 0, NULL, 0})

struct value value_text(const char *text);

/* Binds values to ?1, ?2...; they must stay until statement_end. */
#define statement_start(statement, database, id, err, ...)                                                             \
	statement_start_values((statement), (database), (id), (const struct value[]){__VA_ARGS__},                         \
	                       sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value), (err))
int statement_start_values(struct statement *statement, struct database *database, enum statement_id id,
                           const struct value *values, size_t count, struct error *err) MUST_USE;
/* *ret_row: there is a row to read. */
int statement_step(struct statement *statement, bool *ret_row, struct error *err) MUST_USE;

/* Start, run to the end, ignore rows. */
#define statement_run(database, id, err, ...)                                                                          \
	statement_run_values((database), (id), (const struct value[]){__VA_ARGS__},                                        \
	                     sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value), (err))
int statement_run_values(struct database *database, enum statement_id id, const struct value *values, size_t count,
                         struct error *err) MUST_USE;

/* Undoes the transaction that is open, if one is. Without memory it stays open: who begins the next one calls this first. */
void database_rollback(struct database *database);

/* Columns of the row; valid until the next step or end. */
const char *column_text(const struct statement *statement, int column); /* never NULL in the table: NULL is no memory */
/* Of a column that may be NULL: so is *ret then. What was lost for want of memory is never taken for that: E_NOMEM. */
int column_text_or_null(const struct statement *statement, int column, const char **ret, struct error *err) MUST_USE;
struct bytes column_bytes(const struct statement *statement, int column);
uint64_t column_u64(const struct statement *statement, int column);
/* Copies exactly size bytes; E_CORRUPT when the blob has another length. */
int column_copy(const struct statement *statement, int column, void *target, size_t size, struct error *err) MUST_USE;
