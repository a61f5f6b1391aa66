/* SPDX-License-Identifier: Apache-2.0 */
/* One key takes the place of another: the steps that sealing.h draws, and what may be told of them. */
#include "store/sealing.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

int store_key_make(struct store_writer *writer, struct error *err)
{
	struct sealing *sealing = writer->reader.store->sealing;
	int code = 0;

	if (keyring_size(sealing->keyring) > 1 || writer->key_added)
		return error_set(err, E_CONFLICT, "the keyring is being rotated already: an old key is still in use");
	if (sealing->next == NULL) /* else an earlier attempt made it, and who knows what the disk has of that */
		code = keyring_add(sealing->keyring, &sealing->next, err);
	if (code == 0)
		code = keyring_save(sealing->next, sealing->path, true, err);
	return code == 0 ? 0 : error_prefix(err, code, "keyring");
}

int store_key_add(struct store_writer *writer, const struct store_author *author, uint32_t *ret_id, struct error *err)
{
	struct sealing *sealing = writer->reader.store->sealing;
	struct sealing_row row = {.made = author->now};
	int code;

	assert(writer->state == WRITER_OPEN && sealing->next != NULL);
	code = writer_check(writer, err);
	if (code != 0)
		return code;
	row.entry = keyring_entry(sealing->next, keyring_size(sealing->next) - 1);
	code = sealing_row_put(&writer->reader.database, &row, err);
	if (code == 0)
		code = store_audit(writer, author, "rotate keyring", "begun", err);
	if (code != 0)
		return code;
	writer->key_added = true;
	*ret_id = row.entry.id;
	return 0;
}

bool store_has_old_key(const struct store_writer *writer)
{
	return keyring_size(writer->reader.store->sealing->keyring) > 1;
}

int store_key_retire(struct store_writer *writer, const struct store_author *author, struct error *err)
{
	struct database *database = &writer->reader.database;
	const struct keyring *keyring = writer->reader.store->sealing->keyring;
	uint32_t oldest = keyring_entry(keyring, 0).id;
	uint64_t left = 0;
	int code;

	assert(writer->state == WRITER_OPEN && keyring_size(keyring) > 1);
	code = writer_check(writer, err);
	if (code == 0)
		code = sealed_count(database, oldest, &left, err);
	if (code == 0 && left > 0)
		return error_set(err, E_CONFLICT, "key %u still seals %" PRIu64 " values", (unsigned)oldest, left);
	if (code == 0)
		code = statement_run(database, STMT_KEY_DELETE, err, V_INT(oldest));
	return code == 0 ? store_audit(writer, author, "rotate keyring", "ended", err) : code;
}

int store_key_forget(struct store_writer *writer, struct error *err)
{
	struct sealing *sealing = writer->reader.store->sealing;
	struct sealing_rows rows;
	CLEANUP(keyring_free) struct keyring *trimmed = NULL;
	int code;

	assert(writer->state == WRITER_IDLE);
	code = sealing_rows_load(&writer->reader.database, &rows, err);
	if (code == 0)
		code = sealing_trim(sealing->keyring, &rows, &trimmed, err);
	if (code != 0 || trimmed == NULL)
		return code;
	code = keyring_save(trimmed, sealing->path, true, err);
	if (code != 0)
		return error_prefix(err, code, "keyring");
	sealing_put(sealing, TAKE_PTR(trimmed));
	return 0;
}

int store_clear_log(struct store_writer *writer, bool whole, uint64_t *ret_left, struct error *err)
{
	assert(writer->state == WRITER_IDLE);
	return database_clear_log(&writer->reader.database, whole, ret_left, err);
}

int store_list_keys(struct store_reader *reader, struct store_key *keys, size_t max, size_t *ret_len, struct error *err)
{
	struct sealing *sealing = reader->store->sealing;
	struct sealing_rows rows;
	size_t len = 0;
	int code = sealing_rows_load(&reader->database, &rows, err);

	if (code != 0)
		return code;
	pthread_rwlock_rdlock(&sealing->lock);
	for (size_t i = 0; i < keyring_size(sealing->keyring) && len < max; i++) {
		struct keyring_entry entry = keyring_entry(sealing->keyring, i);
		const struct sealing_row *row = sealing_rows_find(&rows, &entry);

		keys[len++] = (struct store_key){.id = entry.id, .made = row != NULL ? row->made : 0};
	}
	pthread_rwlock_unlock(&sealing->lock);
	for (size_t i = 0; i < len && code == 0; i++) {
		keys[i].is_sealing = i + 1 == len;
		if (!keys[i].is_sealing)
			code = sealed_count(&reader->database, keys[i].id, &keys[i].seals, err);
	}
	*ret_len = len;
	return code;
}
