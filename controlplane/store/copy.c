/* SPDX-License-Identifier: Apache-2.0 */
/* The copy is made in one step of SQLite's backup, inside one read transaction: it is one moment of a store that is written meanwhile. */
#include "store/copy.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 10000

sqlite3 *copy_close(sqlite3 *handle)
{
	sqlite3_close(handle);
	return NULL;
}

void copy_remove(const char *path)
{
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	char name[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		if (snprintf(name, sizeof(name), "%s%s", path, endings[i]) < (int)sizeof(name))
			(void)unlink(name);
	}
}

static int sqlite_error(sqlite3 *handle, const char *path, struct error *err)
{
	int code = E_IO;

	switch (sqlite3_errcode(handle) & 0xff) {
	case SQLITE_NOMEM:
		code = E_NOMEM;
		break;
	case SQLITE_FULL:
		code = E_NOSPACE;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		code = E_CORRUPT;
		break;
	case SQLITE_BUSY:
		code = E_BUSY;
		break;
	default:
		break;
	}
	return error_set(err, code, "%s: %s", path, sqlite3_errmsg(handle));
}

/* flags: of sqlite3_open_v2; the file must exist. */
static int open_file(const char *path, int flags, sqlite3 **ret, struct error *err)
{
	if (sqlite3_open_v2(path, ret, flags, NULL) != SQLITE_OK)
		return *ret == NULL ? error_nomem(err) : sqlite_error(*ret, path, err);
	sqlite3_extended_result_codes(*ret, 1);
	sqlite3_busy_timeout(*ret, BUSY_TIMEOUT_MS);
	return 0;
}

static int copy_pages(sqlite3 *from, const char *from_path, sqlite3 *to, const char *to_path, struct error *err)
{
	sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
	int step, finished;

	if (backup == NULL)
		return sqlite_error(to, to_path, err);
	step = sqlite3_backup_step(backup, -1);
	finished = sqlite3_backup_finish(backup);
	if (step == SQLITE_DONE && finished == SQLITE_OK)
		return 0;
	if (step == SQLITE_BUSY || step == SQLITE_LOCKED)
		return error_set(err, E_BUSY, "%s is locked", from_path);
	return sqlite_error(to, step == SQLITE_NOTADB || step == SQLITE_CORRUPT ? from_path : to_path, err);
}

/* Damage shows when a store is copied, not when the copy is all that is left. */
static int check_copy(sqlite3 *handle, const char *path, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	const char *said;
	int code = 0;

	if (sqlite3_prepare_v2(handle, "PRAGMA integrity_check(1)", -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW)
		code = sqlite_error(handle, path, err);
	said = code == 0 ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (code == 0 && (said == NULL || strcmp(said, "ok") != 0))
		code = error_set(err, E_CORRUPT, "%s is damaged: %s", path, said != NULL ? said : "out of memory");
	sqlite3_finalize(statement);
	return code;
}

int copy_database(const char *from, const char *to, sqlite3 **ret, struct error *err)
{
	CLEANUP(copy_close) sqlite3 *source = NULL, *copy = NULL;
	int code;

	copy_remove(to);
	code = open_file(from, SQLITE_OPEN_READWRITE, &source, err);
	if (code == 0)
		code = file_create(to, 0600, BYTES_NULL, err); /* SQLite would make it readable to others */
	if (code == 0)
		code = open_file(to, SQLITE_OPEN_READWRITE, &copy, err);
	/* No journal: a copy that is not finished is thrown away. */
	if (code == 0 && sqlite3_exec(copy, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", NULL, NULL, NULL) != SQLITE_OK)
		code = sqlite_error(copy, to, err);
	if (code == 0)
		code = copy_pages(source, from, copy, to, err);
	/* The copy says of itself what the store is, a file with a log; it shall be one file. */
	if (code == 0 && sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
		code = sqlite_error(copy, to, err);
	if (code == 0)
		code = check_copy(copy, from, err);
	if (code == 0)
		*ret = TAKE_PTR(copy);
	return code;
}
