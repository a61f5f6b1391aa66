/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and opening, and what a start makes of the keyring file and the rows that tell which keys the store needs. */
#include "store/sealing.h"

#include "base/log.h"
#include "store/file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int sealing_open(struct store *store, bool create, struct error *err)
{
	struct sealing *sealing = calloc(1, sizeof(*sealing));
	int code;

	if (sealing == NULL || pthread_rwlock_init(&sealing->lock, NULL) != 0) {
		free(sealing);
		return error_nomem(err);
	}
	store->sealing = sealing;
	sealing->path = file_path(store->dir, "keyring");
	if (sealing->path == NULL)
		return error_nomem(err);
	code = keyring_load(sealing->path, create, &sealing->keyring, err);
	if (code == E_NOT_FOUND)
		return error_set(err, E_CORRUPT, "%s is missing: without it the secrets of this store can't be opened", sealing->path);
	return code;
}

struct sealing *sealing_free(struct sealing *sealing)
{
	if (sealing == NULL)
		return NULL;
	keyring_free(sealing->keyring);
	keyring_free(sealing->next);
	pthread_rwlock_destroy(&sealing->lock);
	free(sealing->path);
	free(sealing);
	return NULL;
}

void sealing_put(struct sealing *sealing, struct keyring *keyring)
{
	struct keyring *before;

	pthread_rwlock_wrlock(&sealing->lock);
	before = sealing->keyring;
	sealing->keyring = keyring;
	pthread_rwlock_unlock(&sealing->lock);
	keyring_free(before);
}

void sealing_take_next(struct store *store)
{
	sealing_put(store->sealing, TAKE_PTR(store->sealing->next));
}

int store_seal(const struct store *store, struct bytes aad, struct bytes plain, struct buf *out, struct error *err)
{
	struct sealing *sealing = store->sealing;
	int code;

	pthread_rwlock_rdlock(&sealing->lock);
	code = keyring_seal(sealing->keyring, aad, plain, out, err);
	pthread_rwlock_unlock(&sealing->lock);
	return code;
}

int store_unseal(const struct store *store, struct bytes aad, struct bytes sealed, struct secret **ret, struct error *err)
{
	struct sealing *sealing = store->sealing;
	int code;

	pthread_rwlock_rdlock(&sealing->lock);
	code = keyring_open(sealing->keyring, aad, sealed, ret, err);
	pthread_rwlock_unlock(&sealing->lock);
	return code;
}

int store_seal_anew(const struct store *store, struct bytes aad, struct bytes sealed, struct buf *out, struct error *err)
{
	CLEANUP(secret_free) struct secret *plain = NULL;
	int code = store_unseal(store, aad, sealed, &plain, err);

	return code == 0 ? store_seal(store, aad, BYTES(plain->data, plain->len), out, err) : code;
}

void sealed_by(uint32_t id, uint8_t ret[SEALED_BY_LEN])
{
	for (size_t i = 0; i < SEALED_BY_LEN; i++)
		ret[i] = (uint8_t)(id >> (24 - 8 * i));
}

/* Rows ------------------------------------------------------------------------------------------------------------ */

int sealing_rows_load(struct database *database, struct sealing_rows *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, database, STMT_KEY_ALL, err);

	ret->len = 0;
	while (code == 0) {
		struct sealing_row *next = &ret->rows[ret->len];

		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			break;
		if (ret->len == KEYRING_KEYS_MAX)
			return error_set(err, E_CORRUPT, "store: more than %d sealing keys", KEYRING_KEYS_MAX);
		next->entry.id = (uint32_t)column_u64(&statement, 0);
		next->made = column_u64(&statement, 2);
		code = column_copy(&statement, 1, next->entry.fingerprint, KEYRING_FINGERPRINT_LEN, err);
		ret->len++;
	}
	return code;
}

static bool is_same(const struct keyring_entry *a, const struct keyring_entry *b)
{
	return a->id == b->id && memcmp(a->fingerprint, b->fingerprint, KEYRING_FINGERPRINT_LEN) == 0;
}

const struct sealing_row *sealing_rows_find(const struct sealing_rows *rows, const struct keyring_entry *entry)
{
	for (size_t i = 0; i < rows->len; i++) {
		if (is_same(&rows->rows[i].entry, entry))
			return &rows->rows[i];
	}
	return NULL;
}

int sealing_row_put(struct database *database, const struct sealing_row *row, struct error *err)
{
	return statement_run(database, STMT_KEY_PUT, err, V_INT(row->entry.id),
	                     V_BLOB(row->entry.fingerprint, KEYRING_FINGERPRINT_LEN), V_INT(row->made));
}

static bool has_row(const struct keyring_entry *entry, void *context)
{
	return sealing_rows_find(context, entry) != NULL;
}

int sealing_trim(const struct keyring *keyring, const struct sealing_rows *rows, struct keyring **ret, struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < keyring_size(keyring); i++) {
		struct keyring_entry entry = keyring_entry(keyring, i);

		kept += sealing_rows_find(rows, &entry) != NULL ? 1 : 0;
	}
	*ret = NULL;
	if (kept == keyring_size(keyring))
		return 0;
	return keyring_select(keyring, has_row, (void *)rows, ret, err); /* the callback only reads */
}

/* Start ----------------------------------------------------------------------------------------------------------- */

int sealing_adopt(struct store_writer *writer, uint64_t made, struct error *err)
{
	const struct keyring *keyring = writer->reader.store->sealing->keyring;
	int code = 0;

	for (size_t i = 0; i < keyring_size(keyring) && code == 0; i++) {
		struct sealing_row row = {keyring_entry(keyring, i), made};

		code = sealing_row_put(&writer->reader.database, &row, err);
	}
	return code;
}

static int wrong_keyring(const struct store *store, struct error *err)
{
	return error_set(err, E_CORRUPT, "%s is not the keyring that sealed this store; bring back the right one", store->sealing->path);
}

/* A store of an older release knows its keyring by the oldest key alone. */
static int check_old_mark(struct store_writer *writer, struct error *err)
{
	CLEANUP(buf_deinit) struct buf mark = BUF_NULL;
	struct store *store = writer->reader.store;
	uint8_t fingerprint[KEYRING_FINGERPRINT_LEN];
	struct store_revision first;
	int code = meta_get(&writer->reader.database, "keyring", &mark, err);

	if (code == 0)
		code = store_get_revision(&writer->reader, 1, &first, err);
	if (code != 0)
		return code;
	keyring_fingerprint(store->sealing->keyring, fingerprint);
	if (mark.len != sizeof(fingerprint) || memcmp(mark.data, fingerprint, sizeof(fingerprint)) != 0)
		return wrong_keyring(store, err);
	code = sealing_adopt(writer, first.time, err);
	return code == 0 ? statement_run(&writer->reader.database, STMT_META_DELETE, err, V_TEXT("keyring")) : code;
}

/* Every row has its key. *ret_newest: the place of the newest of them in the keyring. */
static int check_rows(const struct store *store, const struct sealing_rows *rows, size_t *ret_newest, struct error *err)
{
	const struct keyring *keyring = store->sealing->keyring;
	size_t found = 0;

	for (size_t i = 0; i < keyring_size(keyring); i++) {
		struct keyring_entry entry = keyring_entry(keyring, i);

		if (sealing_rows_find(rows, &entry) == NULL)
			continue;
		found++;
		*ret_newest = i;
	}
	return found == rows->len ? 0 : wrong_keyring(store, err);
}

/* A rotation was cut off after the file was written: it goes on. */
static int take_in(struct store_writer *writer, struct sealing_rows *rows, const struct keyring_entry *entry, struct error *err)
{
	struct sealing_row *row = &rows->rows[rows->len++];

	*row = (struct sealing_row){*entry, (uint64_t)time(NULL)};
	log_event(LOG_INFO, "the keyring has a key that the store did not know; it is taken in", LOG_U64("key", entry->id));
	return sealing_row_put(&writer->reader.database, row, err);
}

int sealing_check(struct store_writer *writer, struct error *err)
{
	struct sealing *sealing = writer->reader.store->sealing;
	struct sealing_rows rows;
	struct keyring *trimmed = NULL;
	size_t newest = 0;
	int code = sealing_rows_load(&writer->reader.database, &rows, err);

	if (code != 0)
		return code;
	if (rows.len == 0)
		return check_old_mark(writer, err);
	code = check_rows(writer->reader.store, &rows, &newest, err);
	for (size_t i = 0; i < keyring_size(sealing->keyring) && code == 0; i++) {
		struct keyring_entry entry = keyring_entry(sealing->keyring, i);
		uint64_t sealed = 0;

		if (sealing_rows_find(&rows, &entry) != NULL)
			continue;
		code = sealed_count(&writer->reader.database, entry.id, &sealed, err);
		if (code == 0 && (i > newest || sealed > 0))
			code = take_in(writer, &rows, &entry, err);
	}
	if (code == 0)
		code = sealing_trim(sealing->keyring, &rows, &trimmed, err);
	if (code == 0 && trimmed != NULL) {
		sealing_put(sealing, trimmed);
		sealing->is_behind = true;
	}
	return code;
}

int sealing_save(struct sealing *sealing, struct error *err)
{
	int code = sealing->is_behind ? keyring_save(sealing->keyring, sealing->path, true, err) : 0;

	if (code != 0)
		return error_prefix(err, code, "keyring");
	sealing->is_behind = false;
	return 0;
}
