/* SPDX-License-Identifier: Apache-2.0 */
/* Putting and deleting objects: the state before is closed, the new one begins, and what finds the object by name,
 * port, reference or selector follows. Only rows of this object and of its old and new selector are touched. */
#include "store/facets.h"
#include "store/sealing.h"

#include <assert.h>
#include <string.h>

/* The newest state of (kind, id), current or ended, while the statement stands on it. */
struct newest {
	struct statement statement;
	struct store_row row; /* borrows from the statement */
	bool exists, current, held;
	struct digest digest;
};

static void newest_end(struct newest *newest)
{
	statement_end(&newest->statement);
}
DEFINE_CLEANUP_VALUE(struct newest, newest_end);

static int newest_find(struct store_writer *writer, enum kind kind, const char *id, struct newest *newest,
                       struct error *err)
{
	struct statement *statement = &newest->statement;
	int code = statement_start(statement, &writer->reader.database, STMT_NEWEST, err, V_INT(kind), V_TEXT(id));

	if (code == 0)
		code = statement_step(statement, &newest->exists, err);
	if (code != 0 || !newest->exists)
		return code;
	code = row_load(statement, &newest->row, err);
	if (code != 0)
		return code;
	newest->current = newest->row.to_revision == 0;
	newest->held = newest->current && column_u64(statement, ROW_COLUMNS) != 0;
	if (newest->row.from_revision == writer->next.number || newest->row.to_revision == writer->next.number)
		return error_set(err, E_CONFLICT, "%s/%s is changed twice by one revision", kind_find(kind)->collection, id);
	return column_copy(statement, ROW_COLUMNS + 1, newest->digest.bytes, DIGEST_LEN, err);
}

static bool texts_are_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static int secrets_are_equal(struct store_writer *writer, const struct store_row *row, const struct secret *secret,
                             bool *ret, struct error *err)
{
	CLEANUP(secret_free) struct secret *stored = NULL;
	int code;

	if (secret == NULL || row->sealed.len == 0) {
		*ret = secret == NULL && row->sealed.len == 0;
		return 0;
	}
	code = store_open_secret(writer->reader.store, row, &stored, err);
	if (code == 0)
		*ret = secret_is_equal(BYTES(stored->data, stored->len), BYTES(secret->data, secret->len));
	return code;
}

static int is_unchanged(struct store_writer *writer, const struct newest *newest, const struct store_put *put,
                        bool *ret, struct error *err)
{
	const struct resource_state *state = &newest->row.state;
	const struct resource *resource = put->resource;

	*ret = false;
	if (!newest->current || state->enabled != resource->enabled || !texts_are_equal(state->labels, resource->labels) ||
	    !texts_are_equal(state->desc, resource->desc) || strcmp(state->object.selector, resource->selector) != 0 ||
	    state->object.body.len != put->body.len ||
	    (put->body.len > 0 && memcmp(state->object.body.data, put->body.data, put->body.len) != 0))
		return 0;
	return secrets_are_equal(writer, &newest->row, put->secret, ret, err);
}

static int seal_secret(struct store_writer *writer, const struct object_view *object, const struct secret *secret,
                       struct buf *out, struct error *err)
{
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;

	secret_aad(object->kind, &object->uid, object->version, &aad);
	if (aad.failed)
		return error_nomem(err);
	return store_seal(writer->reader.store, BYTES(aad.data, aad.len), BYTES(secret->data, secret->len), out, err);
}

/* Ends the current state, if there is one. */
static int end_state(struct store_writer *writer, const struct newest *newest, struct error *err)
{
	const struct object_view *object = &newest->row.state.object;
	struct database *database = &writer->reader.database;
	int code;

	if (!newest->current)
		return 0;
	code = statement_run(database, STMT_CLOSE_STATE, err, V_INT(newest->row.row_id), V_INT(writer->next.number));
	if (code == 0 && newest->held)
		code = sums_change(writer, object->selector, &newest->digest, false, err);
	if (code == 0)
		code = statement_run(database, STMT_REF_DELETE, err, V_INT(object->kind), V_TEXT(object->id));
	if (code == 0 && object->kind == KIND_SSL)
		code = statement_run(database, STMT_NAME_DELETE, err, V_TEXT(object->id));
	if (code == 0 && object->kind == KIND_ROUTE)
		code = statement_run(database, STMT_PATTERN_DELETE, err, V_TEXT(object->id));
	if (code == 0 && object->kind == KIND_ROUTE)
		code = statement_run(database, STMT_ANYWHERE_DELETE, err, V_TEXT(object->id));
	if (code == 0 && object->kind == KIND_LISTENER)
		code = statement_run(database, STMT_BIND_DELETE, err, V_TEXT(object->id));
	if (code == 0 && object->kind == KIND_TLS_OPTIONS)
		code = statement_run(database, STMT_DEMAND_DELETE, err, V_TEXT(object->id));
	return code;
}

static bool names_any(const struct resource *resource, enum kind kind)
{
	for (size_t i = 0; i < resource->refs_len; i++)
		if (resource->refs[i].kind == kind)
			return true;
	return false;
}

/* What finds an enabled object, by its kind. */
static int index_enabled(struct store_writer *writer, const struct resource *resource, struct error *err)
{
	enum statement_id put_name = resource->kind == KIND_ROUTE ? STMT_PATTERN_PUT : STMT_NAME_PUT;
	struct database *database = &writer->reader.database;
	int code = 0;

	for (size_t i = 0; i < resource->names_len && code == 0; i++)
		code = statement_run(database, put_name, err, V_TEXT(resource->id), V_TEXT(resource->names[i]));
	if (code == 0 && resource->kind == KIND_ROUTE && !names_any(resource, KIND_LISTENER))
		code = statement_run(database, STMT_ANYWHERE_PUT, err, V_TEXT(resource->id));
	if (code == 0 && resource->kind == KIND_LISTENER)
		code = statement_run(database, STMT_BIND_PUT, err, V_TEXT(resource->id), V_INT(resource->port),
		                     V_TEXT(resource->selector), V_TEXT(resource->host),
		                     V_INT(!names_any(resource, KIND_UPSTREAM)));
	if (code == 0 && resource->client_bits != 0)
		code = statement_run(database, STMT_DEMAND_PUT, err, V_TEXT(resource->id), V_INT(resource->client_bits));
	return code;
}

static int index_object(struct store_writer *writer, const struct resource *resource, struct error *err)
{
	struct database *database = &writer->reader.database;
	int code = 0;

	for (size_t i = 0; i < resource->refs_len && code == 0; i++) {
		const struct resource_ref *ref = &resource->refs[i];

		code = statement_run(database, STMT_REF_PUT, err, V_INT(resource->kind), V_TEXT(resource->id),
		                     V_TEXT(ref->pointer), V_INT(ref->kind), V_TEXT(ref->id));
	}
	return code == 0 && resource->enabled ? index_enabled(writer, resource, err) : code;
}

/* Of what was parsed they are known; what was made by hand has its labels' at least. */
static int find_facets(const struct resource *resource, const struct store_row *row, struct buf *made, struct bytes *ret,
                       struct error *err)
{
	int code = 0;

	if (resource->facets == NULL)
		code = facets_of_state(&row->state, made, err);
	*ret = resource->facets != NULL ? BYTES(resource->facets, resource->facets_len) : BYTES(made->data, made->len);
	return code;
}

/* Writes the row of a new state. */
static int begin_state(struct store_writer *writer, const struct store_put *put, struct store_row *row,
                       struct error *err)
{
	const struct object_view *object = &row->state.object;
	struct database *database = &writer->reader.database;
	bool held = put->resource->enabled && kind_find(object->kind)->travels;
	CLEANUP(buf_deinit) struct buf made = BUF_NULL;
	struct bytes facets = BYTES_NULL;
	struct digest digest = DIGEST_NULL;
	int code = object_digest(object, &digest, err);

	if (code == 0)
		code = find_facets(put->resource, row, &made, &facets, err);
	if (code == 0)
		code = statement_run(
			database, STMT_PUT_STATE, err, V_INT(object->kind), V_TEXT(object->id), V_BLOB(object->uid.bytes, UID_LEN),
			V_INT(object->epoch), V_INT(object->version), V_INT(row->state.enabled), V_INT(held),
			V_TEXT(object->selector), V_TEXT(row->state.labels), V_TEXT(row->state.desc),
			V_BLOB(object->body.data, object->body.len),
			row->sealed.len > 0 ? V_BLOB(row->sealed.data, row->sealed.len) : V_NULL, V_BLOB(digest.bytes, DIGEST_LEN),
			V_INT(row->state.create_time), V_INT(row->state.update_time), V_BLOB(facets.data, facets.len));
	if (code != 0)
		return code;
	row->row_id = sqlite3_last_insert_rowid(database->handle);
	code = facets_add(writer, row, facets, err);
	if (code != 0)
		return code;
	if (held)
		code = sums_change(writer, object->selector, &digest, true, err);
	if (code == 0)
		code = index_object(writer, put->resource, err);
	return code == 0 ? note_change(writer, object, false, &digest, err) : code;
}

static struct store_row describe_row(struct store_writer *writer, const struct newest *newest,
                                     const struct store_put *put)
{
	const struct resource *resource = put->resource;
	struct store_row row = {.from_revision = writer->next.number};

	row.state = (struct resource_state){
		.object = {.kind = resource->kind,
	               .id = resource->id,
	               .version = writer->next.number,
	               .epoch = writer->next.epoch,
	               .selector = resource->selector,
	               .body = put->body},
		.labels = resource->labels,
		.desc = resource->desc,
		.enabled = resource->enabled,
		.create_time = newest->current ? newest->row.state.create_time : writer->author.now,
		.update_time = writer->author.now,
	};
	if (newest->current)
		row.state.object.uid = newest->row.state.object.uid;
	else
		row.state.object.uid = uid_make(writer->next.epoch, writer->next.number, writer->ordinal++);
	return row;
}

int store_put(struct store_writer *writer, const struct store_put *put, struct store_row *ret_row, struct error *err)
{
	CLEANUP(newest_end) struct newest newest = {0};
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	struct store_row row;
	bool unchanged = false;
	int code;

	assert(writer->state == WRITER_REVISION);
	code = newest_find(writer, put->resource->kind, put->resource->id, &newest, err);
	if (code == 0)
		code = is_unchanged(writer, &newest, put, &unchanged, err);
	if (code != 0)
		return code;
	if (unchanged)
		return error_set(err, E_EXISTS, "%s/%s is so already", kind_find(put->resource->kind)->collection,
		                 put->resource->id);
	row = describe_row(writer, &newest, put);
	if (put->secret != NULL) {
		code = seal_secret(writer, &row.state.object, put->secret, &sealed, err);
		if (code != 0)
			return code;
		row.sealed = BYTES(sealed.data, sealed.len);
	}
	code = end_state(writer, &newest, err);
	if (code == 0 && !newest.current)
		code = statement_run(&writer->reader.database, STMT_TALLY, err, V_INT(put->resource->kind), V_INT(1));
	if (code == 0)
		code = begin_state(writer, put, &row, err);
	return code == 0 && ret_row != NULL ? row_copy(&row, ret_row, err) : code;
}

int store_delete(struct store_writer *writer, enum kind kind, const char *id, struct error *err)
{
	CLEANUP(newest_end) struct newest newest = {0};
	struct database *database = &writer->reader.database;
	int code;

	assert(writer->state == WRITER_REVISION);
	code = newest_find(writer, kind, id, &newest, err);
	if (code == 0 && !newest.current)
		return error_set(err, E_NOT_FOUND, "%s/%s does not exist", kind_find(kind)->collection, id);
	if (code == 0)
		code = end_state(writer, &newest, err);
	if (code == 0)
		code = statement_run(database, STMT_TALLY, err, V_INT(kind), V_INT(-1));
	if (code == 0 && kind == KIND_AGENT)
		code = statement_run(database, STMT_STATUS_DELETE, err, V_TEXT(id));
	return code == 0 ? note_change(writer, &newest.row.state.object, true, NULL, err) : code;
}
