/* SPDX-License-Identifier: Apache-2.0 */
/* A backup becomes a store. All is done under another name, the new epoch too, and one rename makes it the store: so a store that was
 * restored and does not say so never exists.
 *
 *     keyring written --> store.db.restore copied, checked, migrated, new epoch committed --> renamed to store.db */
#include "store/store_backup.h"

#include "base/file.h"
#include "crypto/seal.h"
#include "store/copy.h"
#include "store/file.h"
#include "store/start.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int refuse_store(const struct store *store, struct error *err)
{
	char *path = file_path(store->dir, STORE_DATABASE);
	struct stat found;
	int code = 0;

	if (path == NULL)
		return error_nomem(err);
	if (lstat(path, &found) == 0)
		code = error_set(err, E_EXISTS, "%s has a store; a backup is restored into a directory without one", store->dir);
	free(path);
	return code;
}

static bool is_same(const struct keyring *a, const struct keyring *b)
{
	bool same = keyring_size(a) == keyring_size(b);

	for (size_t i = 0; same && i < keyring_size(a); i++) {
		struct keyring_entry of_a = keyring_entry(a, i), of_b = keyring_entry(b, i);

		same = of_a.id == of_b.id && memcmp(of_a.fingerprint, of_b.fingerprint, KEYRING_FINGERPRINT_LEN) == 0;
	}
	return same;
}

/* An earlier attempt may have put it there. */
static int place_keyring(const struct keyring *keyring, const char *path, struct error *err)
{
	CLEANUP(keyring_free) struct keyring *standing = NULL;
	int code = keyring_save(keyring, path, false, err);

	if (code != E_EXISTS)
		return code;
	code = keyring_load(path, false, &standing, err);
	if (code == 0 && !is_same(keyring, standing))
		code = error_set(err, E_EXISTS, "%s is there already, and is another keyring", path);
	return code;
}

static int restore_keyring(const struct store *store, const char *file, struct error *err)
{
	CLEANUP(keyring_free) struct keyring *keyring = NULL;
	char *path;
	int code;

	if (file == NULL)
		return 0;
	code = keyring_load(file, false, &keyring, err);
	if (code != 0)
		return code;
	path = file_path(store->dir, "keyring");
	code = path == NULL ? error_nomem(err) : place_keyring(keyring, path, err);
	free(path);
	return code;
}

static int make_store(struct store *store, const struct store_backup *backup, struct error *err)
{
	const struct store_config config = {.dir = store->dir, .new_epoch = true};
	CLEANUP(copy_close) sqlite3 *copy = NULL;
	int code = copy_database(backup->file, store->path, &copy, err);

	if (code != 0)
		return code;
	copy = copy_close(copy);
	return store_start(store, &config, true, err);
}

static int name_store(const struct store *store, struct error *err)
{
	char *path = file_path(store->dir, STORE_DATABASE);
	int code = path == NULL ? error_nomem(err) : file_rename(store->path, path, err);

	free(path);
	return code;
}

int store_restore(const struct store_backup *backup, struct error *err)
{
	CLEANUP(store_close) struct store *store = NULL;
	int code = store_make(backup->dir, STORE_RESTORE, &store, err);

	if (code == 0)
		code = refuse_store(store, err);
	if (code == 0)
		code = restore_keyring(store, backup->keyring, err);
	if (code == 0)
		code = make_store(store, backup, err);
	if (code == 0)
		code = name_store(store, err);
	return code;
}
