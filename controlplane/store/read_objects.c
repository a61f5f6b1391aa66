/* SPDX-License-Identifier: Apache-2.0 */
/* Reading objects by their own identity: now, or as they were at a revision. */
#include "store/sealing.h"

int store_get(struct store_reader *reader, enum kind kind, const char *id, uint64_t revision, struct store_row *ret,
              struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	struct store_row row;
	bool found = false;
	int code;

	if (revision == 0)
		code = statement_start(&statement, &reader->database, STMT_GET, err, V_INT(kind), V_TEXT(id));
	else
		code =
			statement_start(&statement, &reader->database, STMT_GET_AT, err, V_INT(kind), V_TEXT(id), V_INT(revision));
	if (code == 0)
		code = statement_step(&statement, &found, err);
	if (code == 0 && !found)
		return error_set(err, E_NOT_FOUND, "%s/%s does not exist", kind_find(kind)->collection, id);
	if (code == 0)
		code = row_load(&statement, &row, err);
	return code == 0 ? row_copy(&row, ret, err) : code;
}

int store_list(struct store_reader *reader, enum kind kind, const char *after, uint64_t revision, size_t limit,
               int (*fn)(const struct store_row *row, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code;

	if (revision == 0)
		code = statement_start(&statement, &reader->database, STMT_LIST, err, V_INT(kind), V_TEXT(after), V_INT(limit));
	else
		code = statement_start(&statement, &reader->database, STMT_LIST_AT, err, V_INT(kind), V_TEXT(after),
		                       V_INT(limit), V_INT(revision));
	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

int store_count(struct store_reader *reader, enum kind kind, uint64_t *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_COUNT, err, V_INT(kind));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*ret = row ? column_u64(&statement, 0) : 0;
	return code;
}

void secret_aad(enum kind kind, const struct uid *uid, uint64_t version, struct buf *out)
{
	static const char tag[] = "tlsplane/secret/v1";

	buf_put(out, tag, sizeof(tag)); /* with its zero */
	buf_put_u32(out, kind);
	buf_put(out, uid->bytes, UID_LEN);
	buf_put_u64(out, version);
}

int store_open_secret(const struct store *store, const struct store_row *row, struct secret **ret, struct error *err)
{
	const struct object_view *object = &row->state.object;
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;
	int code;

	if (row->sealed.len == 0)
		return error_set(err, E_NOT_FOUND, "%s/%s has no secret", kind_find(object->kind)->collection, object->id);
	secret_aad(object->kind, &object->uid, object->version, &aad);
	if (aad.failed)
		return error_nomem(err);
	code = store_unseal(store, BYTES(aad.data, aad.len), row->sealed, ret, err);
	if (code != 0)
		return error_prefix(err, code, "secret of %s/%s", kind_find(object->kind)->collection, object->id);
	return 0;
}
