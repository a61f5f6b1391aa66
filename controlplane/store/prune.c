/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting history: ended states of configuration, and the lists of what revisions changed, up to the floor. What agents and tokens were
 * stays, so that no id is used again; so do revision rows, which the chain of hashes needs. And erasing keys from what is kept: the rows
 * stay, the connection overwrites what they lose (secure_delete). */
#include "store/facets.h"
#include "store/store_history.h"

#include <assert.h>

#define WINDOW 10000 /* revisions looked at for their age at once */

static int read_number(struct store_reader *reader, enum statement_id id, struct value a, struct value b, struct value c, uint64_t *ret,
                       struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &reader->database, id, err, a, b, c);

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*ret = row ? column_u64(&statement, 0) : 0;
	return code;
}

/* The newest revision that is older than `oldest`, as far as one look goes. */
static int find_aged(struct store_reader *reader, uint64_t floor, uint64_t head, uint64_t oldest, uint64_t *ret, struct error *err)
{
	uint64_t end = floor + WINDOW < head ? floor + WINDOW : head, first = 0;
	int code = read_number(reader, STMT_REVISION_YOUNG, V_INT(floor), V_INT(oldest), V_INT(end), &first, err);

	if (code == 0)
		*ret = first != 0 ? first - 1 : end;
	return code;
}

int store_find_floor(struct store_reader *reader, uint64_t revisions, uint64_t oldest, uint64_t *ret, struct error *err)
{
	struct store_revision head;
	uint64_t floor = 0, swept = 0, wanted, aged = 0;
	int code = store_head(reader, &head, err);

	if (code == 0)
		code = store_floor(reader, &floor, err);
	if (code == 0)
		code = meta_get_number(&reader->database, "history_swept", &swept, err);
	if (code == 0 && oldest > 0)
		code = find_aged(reader, floor, head.revision.number, oldest, &aged, err);
	if (code != 0)
		return code;
	wanted = floor;
	if (revisions > 0 && head.revision.number > revisions && head.revision.number - revisions > wanted)
		wanted = head.revision.number - revisions;
	if (aged > wanted)
		wanted = aged;
	*ret = wanted > swept ? wanted : 0;
	return 0;
}

/* The first ended state of configuration after *from. *ret_found false: there is none up to floor. */
static int remove_state(struct store_writer *writer, uint64_t floor, uint64_t *from, bool *ret_found, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	struct database *database = &writer->reader.database;
	struct store_row row;
	uint64_t ended;
	int code = statement_start(&statement, database, STMT_ENDED_FIRST, err, V_INT(*from), V_INT(floor), V_INT(KIND_AGENT));

	if (code == 0)
		code = statement_step(&statement, ret_found, err);
	if (code != 0 || !*ret_found)
		return code;
	code = row_load(&statement, &row, err);
	if (code != 0)
		return code;
	ended = row.to_revision;
	code = facets_remove(writer, &row, column_bytes(&statement, ROW_COLUMNS), err);
	if (code == 0) {
		int64_t row_id = row.row_id;

		statement_end(&statement);
		code = statement_run(database, STMT_STATE_DELETE, err, V_INT(row_id));
	}
	*from = ended - 1;
	return code;
}

int store_prune(struct store_writer *writer, uint64_t floor, size_t max, bool *ret_done, struct error *err)
{
	struct database *database = &writer->reader.database;
	uint64_t kept = 0, swept = 0;
	bool found = true;
	int code;

	assert(writer->state == WRITER_OPEN);
	code = store_floor(&writer->reader, &kept, err);
	if (code == 0 && floor > kept)
		code = meta_set_number(database, "history_floor", floor, err);
	if (code == 0)
		code = meta_get_number(database, "history_swept", &swept, err);
	for (size_t i = 0; i < max && found && code == 0; i++)
		code = remove_state(writer, floor, &swept, &found, err);
	if (code != 0)
		return code;
	*ret_done = false;
	if (!found) {
		code = statement_run(database, STMT_CHANGES_DELETE, err, V_INT(floor), V_INT(max));
		*ret_done = code == 0 && (size_t)sqlite3_changes(database->handle) < max;
	}
	return code == 0 ? meta_set_number(database, "history_swept", *ret_done ? floor : swept, err) : code;
}

int store_purge_secrets(struct store_writer *writer, enum kind kind, const char *id, size_t *ret_count, struct error *err)
{
	struct database *database = &writer->reader.database;
	int code;

	assert(writer->state == WRITER_OPEN);
	code = statement_run(database, STMT_SECRETS_PURGE, err, V_INT(kind), V_TEXT(id));
	if (code == 0)
		*ret_count = (size_t)sqlite3_changes(database->handle);
	return code;
}
