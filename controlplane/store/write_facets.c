/* SPDX-License-Identifier: Apache-2.0 */
/* Writing facets, and giving those of an earlier release theirs: in small batches, from where the last one ended (meta 'facets_next'),
 * until meta 'facets_ready' is 1. */
#include "store/facets.h"

#include <assert.h>
#include <string.h>

static int each(struct store_writer *writer, enum statement_id id, const struct store_row *row, struct bytes facets, struct error *err)
{
	const struct object_view *object = &row->state.object;
	struct facet facet;
	int code = 0;

	while (code == 0 && facet_next(&facets, &facet)) {
		char text[512];

		if (!facet_is_indexed(facet.name) || facet.text.len >= sizeof(text))
			continue;
		memcpy(text, facet.text.data, facet.text.len);
		text[facet.text.len] = '\0';
		code = statement_run(&writer->reader.database, id, err, V_INT(object->kind), V_INT(facet.name),
		                     facet.is_text ? V_TEXT(text) : V_INT(facet.number), V_TEXT(object->id), V_INT(row->row_id));
	}
	return code;
}

int facets_add(struct store_writer *writer, const struct store_row *row, struct bytes facets, struct error *err)
{
	return each(writer, STMT_FACET_PUT, row, facets, err);
}

int facets_remove(struct store_writer *writer, const struct store_row *row, struct bytes facets, struct error *err)
{
	return each(writer, STMT_FACET_DELETE, row, facets, err);
}

int facets_begin(struct store_writer *writer, struct error *err)
{
	return meta_set_number(&writer->reader.database, "facets_ready", 1, err);
}

struct fill {
	struct store_writer *writer;
	uint64_t next;
	size_t count;
	struct error *err;
};

static int on_missing(const struct store_row *row, void *context)
{
	struct fill *fill = context;
	CLEANUP(buf_deinit) struct buf facets = BUF_NULL;
	int code = facets_of_state(&row->state, &facets, fill->err);

	if (code == E_CORRUPT) /* not found by what it says; all else goes on */
		code = 0;
	if (code == 0)
		code = facets_add(fill->writer, row, BYTES(facets.data, facets.len), fill->err);
	if (code == 0)
		code = statement_run(&fill->writer->reader.database, STMT_FACET_FILL, fill->err, V_INT(row->row_id),
		                     V_BLOB(facets.len > 0 ? facets.data : (const uint8_t *)"", facets.len));
	fill->next = (uint64_t)row->row_id;
	fill->count++;
	return code;
}

int store_fill_facets(struct store_writer *writer, size_t max, bool *ret_done, struct error *err)
{
	struct database *database = &writer->reader.database;
	CLEANUP(statement_end) struct statement statement = {0};
	struct fill fill = {.writer = writer, .err = err};
	uint64_t ready = 0;
	int code;

	assert(writer->state == WRITER_OPEN);
	code = meta_get_number(database, "facets_ready", &ready, err);
	if (code == 0)
		code = meta_get_number(database, "facets_next", &fill.next, err);
	*ret_done = ready != 0;
	if (code != 0 || ready != 0)
		return code;
	code = statement_start(&statement, database, STMT_FACET_MISSING, err, V_INT(fill.next), V_INT(max));
	if (code == 0)
		code = rows_each(&statement, on_missing, &fill, err);
	statement_end(&statement);
	if (code == 0)
		code = meta_set_number(database, "facets_next", fill.next, err);
	*ret_done = code == 0 && fill.count < max;
	return *ret_done ? meta_set_number(database, "facets_ready", 1, err) : code;
}
