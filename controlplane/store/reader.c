/* SPDX-License-Identifier: Apache-2.0 */
/* Readers, their read transactions, and rows: borrowed while a statement stands on them, copied when they must outlive
 * it. */
#include "store/reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int store_reader_open(struct store *store, struct store_reader **ret, struct error *err)
{
	CLEANUP(store_reader_close) struct store_reader *reader = calloc(1, sizeof(*reader));
	int code;

	if (reader == NULL)
		return error_nomem(err);
	reader->store = store;
	code = database_open(&reader->database, store->path, err);
	if (code != 0)
		return code;
	*ret = TAKE_PTR(reader);
	return 0;
}

struct store_reader *store_reader_close(struct store_reader *reader)
{
	if (reader != NULL) {
		assert(!reader->is_writers);
		database_deinit(&reader->database);
		free(reader);
	}
	return NULL;
}

int store_begin(struct store_reader *reader, struct error *err)
{
	if (reader->is_writers)
		return 0;
	database_rollback(&reader->database);
	return statement_run(&reader->database, STMT_BEGIN_READ, err);
}

void store_end(struct store_reader *reader)
{
	if (!reader->is_writers)
		database_rollback(&reader->database);
}

int row_load(const struct statement *statement, struct store_row *row, struct error *err)
{
	struct object_view *object = &row->state.object;
	int code;

	*row = (struct store_row){0};
	row->row_id = (int64_t)column_u64(statement, 0);
	object->kind = (enum kind)column_u64(statement, 1);
	object->id = column_text(statement, 2);
	object->epoch = column_u64(statement, 4);
	row->from_revision = object->version = column_u64(statement, 5);
	row->to_revision = column_u64(statement, 6);
	row->state.enabled = column_u64(statement, 7) != 0;
	object->selector = column_text(statement, 8);
	object->body = column_bytes(statement, 11);
	row->sealed = column_bytes(statement, 12);
	row->state.create_time = column_u64(statement, 13);
	row->state.update_time = column_u64(statement, 14);
	if (object->id == NULL || object->selector == NULL)
		return error_nomem(err);
	code = column_text_or_null(statement, 9, &row->state.labels, err);
	if (code == 0)
		code = column_text_or_null(statement, 10, &row->state.desc, err);
	return code == 0 ? column_copy(statement, 3, object->uid.bytes, UID_LEN, err) : code;
}

static const void *put_copy(uint8_t **at, const void *data, size_t len)
{
	void *copy = *at;

	if (data == NULL)
		return NULL;
	if (len > 0)
		memcpy(copy, data, len);
	*at += len;
	return copy;
}

static size_t text_size(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

int row_copy(const struct store_row *row, struct store_row *ret, struct error *err)
{
	const struct resource_state *from = &row->state;
	struct store_row copy = *row;
	size_t size = text_size(from->object.id) + text_size(from->object.selector) + text_size(from->labels) +
	              text_size(from->desc) + from->object.body.len + row->sealed.len;
	uint8_t *at = malloc(size);

	if (at == NULL)
		return error_nomem(err);
	copy.memory = at;
	copy.state.object.id = put_copy(&at, from->object.id, text_size(from->object.id));
	copy.state.object.selector = put_copy(&at, from->object.selector, text_size(from->object.selector));
	copy.state.labels = put_copy(&at, from->labels, text_size(from->labels));
	copy.state.desc = put_copy(&at, from->desc, text_size(from->desc));
	copy.state.object.body.data = put_copy(&at, from->object.body.data, from->object.body.len);
	copy.sealed.data = put_copy(&at, row->sealed.data, row->sealed.len);
	*ret = copy;
	return 0;
}

void store_row_deinit(struct store_row *row)
{
	free(row->memory);
	*row = (struct store_row){0};
}

int rows_each(struct statement *statement, row_fn *fn, void *context, struct error *err)
{
	struct store_row row;
	bool more = false;
	int code;

	for (;;) {
		code = statement_step(statement, &more, err);
		if (code != 0 || !more)
			return code;
		code = row_load(statement, &row, err);
		if (code != 0)
			return code;
		code = fn(&row, context);
		if (code != 0)
			return code < 0 ? code : 0;
	}
}

int meta_get(struct database *database, const char *key, struct buf *out, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	struct bytes value;
	int code = statement_start(&statement, database, STMT_META_GET, err, V_TEXT(key));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code != 0)
		return code;
	if (!row)
		return error_set(err, E_NOT_FOUND, "store: no %s", key);
	value = column_bytes(&statement, 0);
	buf_put(out, value.data, value.len);
	return out->failed ? error_nomem(err) : 0;
}

int meta_put(struct database *database, const char *key, struct bytes value, struct error *err)
{
	return statement_run(database, STMT_META_PUT, err, V_TEXT(key), V_BLOB(value.data, value.len));
}

int meta_get_number(struct database *database, const char *key, uint64_t *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, database, STMT_META_GET, err, V_TEXT(key));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*ret = row ? column_u64(&statement, 0) : 0;
	return code;
}

int meta_set_number(struct database *database, const char *key, uint64_t value, struct error *err)
{
	return statement_run(database, STMT_META_SET, err, V_TEXT(key), V_INT(value));
}
