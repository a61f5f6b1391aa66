/* SPDX-License-Identifier: Apache-2.0 */
/* A backup: one moment of the database, and the keys that were needed at that moment. While a keyring is rotated the file changes, so it
 * is read before the database and, if the copy needs a key that was not there yet or is there no more, again after it. */
#include "store/store_backup.h"

#include "base/file.h"
#include "crypto/seal.h"
#include "store/copy.h"
#include "store/sealing.h"
#include "store/start.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 5

struct backup_work {
	const struct store_backup *backup;
	char database[PATH_MAX], keyring[PATH_MAX]; /* of the store */
	char copy[PATH_MAX];                        /* before it gets its name */
	struct keyring *chosen;                     /* owned */
};

static int read_row(sqlite3_stmt *statement, struct sealing_rows *rows, struct error *err)
{
	struct sealing_row *row = &rows->rows[rows->len];

	if (rows->len == KEYRING_KEYS_MAX || sqlite3_column_bytes(statement, 1) != KEYRING_FINGERPRINT_LEN)
		return error_set(err, E_CORRUPT, "the keys that the copy needs can't be read");
	row->entry.id = (uint32_t)sqlite3_column_int64(statement, 0);
	memcpy(row->entry.fingerprint, sqlite3_column_blob(statement, 1), KEYRING_FINGERPRINT_LEN);
	rows->len++;
	return 0;
}

/* No rows: a store that an older release has written last; its keyring never changes. */
static int read_rows(sqlite3 *copy, struct sealing_rows *rows, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int step, code = 0;

	rows->len = 0;
	if (sqlite3_prepare_v2(copy, "SELECT id, fingerprint FROM sealing_key", -1, &statement, NULL) != SQLITE_OK)
		return 0;
	while (code == 0 && (step = sqlite3_step(statement)) != SQLITE_DONE)
		code = step == SQLITE_ROW ? read_row(statement, rows, err)
		                          : error_set(err, E_IO, "the keys that the copy needs: %s", sqlite3_errmsg(copy));
	sqlite3_finalize(statement);
	return code;
}

/* Of this keyring, what the copy needs, into work->chosen; all of it: NULL there. *ret_all: it lacks no key. */
static int choose(struct backup_work *work, const struct keyring *keyring, const struct sealing_rows *rows, bool *ret_all,
                  struct error *err)
{
	size_t found = 0;

	for (size_t i = 0; i < keyring_size(keyring); i++) {
		struct keyring_entry entry = keyring_entry(keyring, i);

		found += sealing_rows_find(rows, &entry) != NULL ? 1 : 0;
	}
	*ret_all = found == rows->len;
	if (!*ret_all || rows->len == 0)
		return 0;
	return sealing_trim(keyring, rows, &work->chosen, err);
}

/* *ret_done: the copy stands, and so do its keys. */
static int try_copy(struct backup_work *work, bool *ret_done, struct error *err)
{
	CLEANUP(keyring_free) struct keyring *before = NULL, *after = NULL;
	CLEANUP(copy_close) sqlite3 *copy = NULL;
	struct sealing_rows rows;
	int code = keyring_load(work->keyring, false, &before, err);

	if (code == 0)
		code = copy_database(work->database, work->copy, &copy, err);
	if (code == 0)
		code = read_rows(copy, &rows, err);
	if (code == 0)
		code = choose(work, before, &rows, ret_done, err);
	if (code == 0 && *ret_done && work->chosen == NULL)
		work->chosen = TAKE_PTR(before);
	if (code != 0 || *ret_done)
		return code;
	code = keyring_load(work->keyring, false, &after, err);
	if (code == 0)
		code = choose(work, after, &rows, ret_done, err);
	if (code == 0 && *ret_done && work->chosen == NULL)
		work->chosen = TAKE_PTR(after);
	return code;
}

static int refuse_existing(const char *path, struct error *err)
{
	struct stat found;

	if (path != NULL && lstat(path, &found) == 0)
		return error_set(err, E_EXISTS, "%s is there already", path);
	return 0;
}

static int name_files(struct backup_work *work, struct error *err)
{
	const struct store_backup *backup = work->backup;
	struct stat found;

	if (snprintf(work->database, PATH_MAX, "%s/%s", backup->dir, STORE_DATABASE) >= PATH_MAX ||
	    snprintf(work->keyring, PATH_MAX, "%s/keyring", backup->dir) >= PATH_MAX ||
	    snprintf(work->copy, PATH_MAX, "%s.new", backup->file) >= PATH_MAX)
		return error_set(err, E_INVALID, "the path is too long");
	if (stat(work->database, &found) != 0)
		return error_set(err, error_from_errno(errno), "%s: %s", work->database, strerror(errno));
	return 0;
}

/* The database last: where it is, the backup is whole. */
static int publish(const struct backup_work *work, struct error *err)
{
	const struct store_backup *backup = work->backup;
	int code = backup->keyring != NULL ? keyring_save(work->chosen, backup->keyring, false, err) : 0;

	if (code != 0)
		return code;
	code = file_publish(work->copy, backup->file, err);
	if (code != 0 && backup->keyring != NULL)
		(void)unlink(backup->keyring);
	return code;
}

int store_backup(const struct store_backup *backup, struct error *err)
{
	struct backup_work work = {.backup = backup};
	bool done = false;
	int code = refuse_existing(backup->file, err);

	if (code == 0)
		code = refuse_existing(backup->keyring, err);
	if (code == 0)
		code = name_files(&work, err);
	if (code != 0)
		return code;
	for (int i = 0; i < TRIES && code == 0 && !done; i++)
		code = try_copy(&work, &done, err);
	if (code == 0 && !done)
		code = error_set(err, E_CORRUPT, "%s lacks a key that the store needs", work.keyring);
	if (code == 0)
		code = publish(&work, err);
	copy_remove(work.copy);
	keyring_free(work.chosen);
	return code;
}
