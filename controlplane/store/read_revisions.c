/* SPDX-License-Identifier: Apache-2.0 */
/* Reading history: revisions, and what they changed. */
#include "store/reader.h"

#include <stdio.h>

static void copy_text(const struct statement *statement, int column, char *target, size_t size)
{
	const char *text = column_text(statement, column);

	snprintf(target, size, "%s", text != NULL ? text : "");
}

int revision_load(const struct statement *statement, struct store_revision *ret, struct error *err)
{
	struct store_revision revision = {
		.revision = {.number = column_u64(statement, 0), .epoch = column_u64(statement, 1)},
		.time = column_u64(statement, 2),
		.changes = (uint32_t)column_u64(statement, 8),
	};
	int code = column_copy(statement, 3, revision.chain.bytes, DIGEST_LEN, err);

	if (code != 0)
		return code;
	copy_text(statement, 4, revision.actor, sizeof(revision.actor));
	copy_text(statement, 5, revision.request_id, sizeof(revision.request_id));
	copy_text(statement, 6, revision.source, sizeof(revision.source));
	copy_text(statement, 7, revision.summary, sizeof(revision.summary));
	*ret = revision;
	return 0;
}

static int revision_read_one(struct statement *statement, struct store_revision *ret, struct error *err)
{
	bool row = false;
	int code = statement_step(statement, &row, err);

	if (code != 0)
		return code;
	if (!row)
		return error_set(err, E_NOT_FOUND, "no such revision");
	return revision_load(statement, ret, err);
}

int store_head(struct store_reader *reader, struct store_revision *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_HEAD, err);

	return code == 0 ? revision_read_one(&statement, ret, err) : code;
}

int store_get_revision(struct store_reader *reader, uint64_t number, struct store_revision *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code;

	if (number > INT64_MAX)
		return error_set(err, E_NOT_FOUND, "no such revision");
	code = statement_start(&statement, &reader->database, STMT_REVISION_GET, err, V_INT(number));
	return code == 0 ? revision_read_one(&statement, ret, err) : code;
}

int store_each_id_since(struct store_reader *reader, enum kind kind, uint64_t after,
                        int (*fn)(const char *id, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	const char *id;
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_CHANGED_IDS, err, V_INT(after), V_INT(kind));

	while (code == 0) {
		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			return code;
		id = column_text(&statement, 0);
		if (id == NULL)
			return error_nomem(err);
		code = fn(id, context);
	}
	return code < 0 ? code : 0;
}
