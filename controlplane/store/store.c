/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a data directory: lock, keyring, database, contents; in this order, so that a second process changes nothing.
 */
#include "store/start.h"

#include "crypto/cert.h"
#include "store/file.h"
#include "store/sealing.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_directory(const char *dir, struct error *err)
{
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return error_set(err, error_from_errno(errno), "data directory %s: %s", dir, strerror(errno));
	return 0;
}

static int lock_directory(struct store *store, struct error *err)
{
	char *path = file_path(store->dir, "lock");

	if (path == NULL)
		return error_nomem(err);
	store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	free(path);
	if (store->lock_fd < 0)
		return error_set(err, error_from_errno(errno), "data directory %s: %s", store->dir, strerror(errno));
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return error_set(err, E_BUSY, "data directory %s is in use by another process", store->dir);
	return error_set(err, E_IO, "data directory %s: lock: %s", store->dir, strerror(errno));
}

int store_make(const char *dir, const char *database, struct store **ret, struct error *err)
{
	CLEANUP(store_close) struct store *store = calloc(1, sizeof(*store));
	int code;

	if (store == NULL)
		return error_nomem(err);
	store->lock_fd = -1;
	store->dir = strdup(dir);
	store->path = file_path(dir, database);
	if (store->dir == NULL || store->path == NULL)
		return error_nomem(err);
	code = make_directory(store->dir, err);
	if (code == 0)
		code = lock_directory(store, err);
	if (code == 0)
		*ret = TAKE_PTR(store);
	return code;
}

int store_start(struct store *store, const struct store_config *config, bool restored, struct error *err)
{
	CLEANUP(store_writer_close) struct store_writer *writer = NULL;
	uint64_t left = 0;
	bool empty = false;
	int code = store_writer_open(store, &writer, err);

	if (code == 0)
		code = migrate(&writer->reader.database, &empty, err);
	if (code == 0 && empty && restored)
		return error_set(err, E_CORRUPT, "it is not the backup of a store");
	if (code == 0)
		code = sealing_open(store, empty, err);
	if (code == 0)
		code = store_write_begin(writer, err);
	if (code == 0)
		code = empty ? first_start(writer, config, err) : later_start(writer, config, err);
	if (code == 0 && restored)
		code = restored_start(writer, err);
	if (code == 0)
		code = store_write_commit(writer, err);
	if (code == 0)
		code = sealing_save(store->sealing, err);
	if (code == 0)
		code = ca_write_file(store, err);
	return code == 0 && restored ? store_clear_log(writer, true, &left, err) : code;
}

/* Else a start would find no store, and make one. */
static int refuse_half_restored(const struct store *store, struct error *err)
{
	char *path = file_path(store->dir, STORE_RESTORE);
	struct stat found;
	int code = 0;

	if (path == NULL)
		return error_nomem(err);
	if (lstat(path, &found) == 0)
		code = error_set(err, E_CONFLICT, "a restore into %s was not finished: do it again, or remove %s", store->dir, path);
	free(path);
	return code;
}

int store_open(const struct store_config *config, struct store **ret, struct error *err)
{
	CLEANUP(store_close) struct store *store = NULL;
	int code = store_make(config->dir, STORE_DATABASE, &store, err);

	if (code == 0)
		code = refuse_half_restored(store, err);
	if (code == 0)
		code = file_touch(store->dir, STORE_DATABASE, 0600, err); /* SQLite would make it readable to others */
	if (code == 0)
		code = store_start(store, config, false, err);
	if (code == 0)
		*ret = TAKE_PTR(store);
	return code;
}

struct store *store_close(struct store *store)
{
	if (store == NULL)
		return NULL;
	X509_free(store->ca);
	EVP_PKEY_free(store->ca_key);
	sealing_free(store->sealing);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	free(store->path);
	free(store->dir);
	free(store);
	return NULL;
}
