/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: its connection and its transaction. A commit that fails leaves nothing of the transaction, and the next
 * one may work. */
#include "store/writer.h"

#include "crypto/crypto.h"
#include "store/sealing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct bytes sum_key(const void *value)
{
	const struct selector_sum *sum = value;

	return BYTES(sum->selector, strlen(sum->selector));
}

static const struct trie_ops sums_ops = {.key = sum_key};

int store_writer_open(struct store *store, struct store_writer **ret, struct error *err)
{
	CLEANUP(store_writer_close) struct store_writer *writer = calloc(1, sizeof(*writer));
	struct hash_key key;
	int code;

	if (writer == NULL)
		return error_nomem(err);
	writer->reader.store = store;
	code = crypto_hash_key(&key, err);
	if (code != 0)
		return code;
	trie_init(&writer->sums, &sums_ops, key);
	code = database_open(&writer->reader.database, store->path, err);
	if (code != 0)
		return code;
	*ret = TAKE_PTR(writer);
	return 0;
}

struct store_writer *store_writer_close(struct store_writer *writer)
{
	if (writer == NULL)
		return NULL;
	if (writer->state != WRITER_IDLE)
		store_write_rollback(writer);
	writer_forget_revision(writer);
	free(writer->changes);
	free(writer->touched);
	database_deinit(&writer->reader.database);
	free(writer);
	return NULL;
}

struct store_reader *store_writer_reader(struct store_writer *writer)
{
	return &writer->reader;
}

int writer_check(struct store_writer *writer, struct error *err)
{
	int failure = writer->reader.database.failure;

	assert(writer->state != WRITER_IDLE);
	if (writer->spoilt)
		return error_nomem(err);
	if (!sqlite3_get_autocommit(writer->reader.database.handle))
		return 0;
	return error_set(err, failure != 0 ? failure : E_IO, "store: a failure has undone the transaction: %s",
	                 error_title(failure));
}

static void rollback_if_open(struct store_writer *writer)
{
	database_rollback(&writer->reader.database);
	writer->reader.is_writers = false;
	writer->state = WRITER_IDLE;
	writer->key_added = false;
}

int store_write_begin(struct store_writer *writer, struct error *err)
{
	int code;

	assert(writer->state == WRITER_IDLE);
	database_rollback(&writer->reader.database);
	writer->reader.database.failure = 0;
	writer->spoilt = false;
	code = statement_run(&writer->reader.database, STMT_BEGIN_WRITE, err);
	if (code != 0)
		return code;
	writer->state = WRITER_OPEN;
	writer->reader.is_writers = true;
	code = store_head(&writer->reader, &writer->head, err);
	if (code == E_NOT_FOUND) { /* before the first revision */
		writer->head = (struct store_revision){.revision = {.epoch = 1, .number = 0}};
		code = 0;
	}
	if (code != 0)
		rollback_if_open(writer);
	return code;
}

int store_write_commit(struct store_writer *writer, struct error *err)
{
	int code;

	assert(writer->state == WRITER_OPEN);
	code = writer_check(writer, err);
	if (code == 0)
		code = statement_run(&writer->reader.database, STMT_COMMIT, err);
	if (code == 0 && writer->key_added)
		sealing_take_next(writer->reader.store);
	rollback_if_open(writer);
	return code;
}

void store_write_rollback(struct store_writer *writer)
{
	assert(writer->state != WRITER_IDLE);
	rollback_if_open(writer);
}
