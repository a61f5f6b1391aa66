/* SPDX-License-Identifier: Apache-2.0 */
/* The schema: PRAGMA user_version is the number of migrations applied, each in its own transaction, so that a kill at
 * any instant leaves a version that the next start goes on from. */
#include "store/start.h"

#include "migrations.h"

#include <stdio.h>

static int read_number(struct database *database, const char *sql, int *ret, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int code = 0;

	if (sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		code = database_error(database, "read the schema version", err);
	else
		*ret = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return code;
}

static int apply(struct database *database, int number, struct error *err)
{
	char version[64];
	int code;

	snprintf(version, sizeof(version), "PRAGMA user_version = %d; COMMIT;", number);
	if (sqlite3_exec(database->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(database->handle, schema_migrations[number - 1], NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(database->handle, version, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	code = database_error(database, "migrate", err);
	sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
	return error_prefix(err, code, "schema migration %d", number);
}

int migrate(struct database *database, bool *ret_empty, struct error *err)
{
	int known = (int)schema_migrations_len;
	int version = 0, rows = 0;
	int code = read_number(database, "PRAGMA user_version", &version, err);

	if (code != 0)
		return code;
	if (version > known)
		return error_set(
			err, E_VERSION,
			"the store has schema version %d, this release knows %d: it was made by a newer release; run that one",
			version, known);
	while (version < known) {
		code = apply(database, ++version, err);
		if (code != 0)
			return code;
	}
	code = read_number(database, "SELECT count(*) FROM (SELECT 1 FROM meta LIMIT 1)", &rows, err);
	if (code == 0)
		*ret_empty = rows == 0;
	return code;
}
