/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what agents hold: per selector, whole or as a difference. */
#include "store/reader.h"

static int selectors_each(struct statement *statement, int (*fn)(const struct store_selector *selector, void *context),
                          void *context, struct error *err)
{
	struct store_selector selector = {0};
	bool row = false;
	int code = 0;

	while (code == 0) {
		code = statement_step(statement, &row, err);
		if (code != 0 || !row)
			return code;
		selector.selector = (char *)column_text(statement, 0);
		if (selector.selector == NULL)
			return error_nomem(err);
		selector.objects = column_u64(statement, 2);
		selector.changed = column_u64(statement, 3);
		code = column_copy(statement, 1, selector.digest.bytes, DIGEST_LEN, err);
		if (code == 0)
			code = fn(&selector, context);
	}
	return code < 0 ? code : 0;
}

int store_each_selector(struct store_reader *reader, int (*fn)(const struct store_selector *selector, void *context),
                        void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_SELECTOR_ALL, err);

	return code == 0 ? selectors_each(&statement, fn, context, err) : code;
}

int store_each_selector_since(struct store_reader *reader, uint64_t after,
                              int (*fn)(const struct store_selector *selector, void *context), void *context,
                              struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_SELECTOR_SINCE, err, V_INT(after));

	return code == 0 ? selectors_each(&statement, fn, context, err) : code;
}

int store_scan_selector(struct store_reader *reader, const char *selector, uint64_t revision, int64_t after,
                        size_t limit, int (*fn)(const struct store_row *row, void *context), void *context,
                        struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_SCAN_SELECTOR, err, V_TEXT(selector),
	                           V_INT(revision), V_INT(after), V_INT(limit));

	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

int store_scan_puts(struct store_reader *reader, const char *selector, uint64_t from, uint64_t to,
                    int (*fn)(const struct store_row *row, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_SCAN_PUT, err, V_TEXT(selector), V_INT(from), V_INT(to));

	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

/* Each row tells in its last column whether it is a removal. */
static int look_at_ended(struct statement *statement, struct store_removals *removals,
                         int (*fn)(const struct store_row *row, void *context), void *context, struct error *err)
{
	struct store_row row;
	bool more = false;
	int code = statement_step(statement, &more, err);

	while (code == 0 && more) {
		code = row_load(statement, &row, err);
		if (code == 0 && column_u64(statement, ROW_COLUMNS) != 0)
			code = fn(&row, context);
		if (code != 0)
			return code;
		removals->after = row.row_id;
		removals->looks--;
		code = statement_step(statement, &more, err);
	}
	return code;
}

static int find_end(struct store_reader *reader, int64_t row_id, uint64_t *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_ENDED_AT, err, V_INT(row_id));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0 && !row)
		return error_set(err, E_GONE, "store: history was cut below a scan");
	if (code == 0)
		*ret = column_u64(&statement, 0);
	return code;
}

/* In order of (end, row id): the rest of those that ended with the last one, then those that ended later. */
int store_scan_removals(struct store_reader *reader, const char *selector, struct store_removals *removals,
                        int (*fn)(const struct store_row *row, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement same = {0};
	CLEANUP(statement_end) struct statement later = {0};
	uint64_t end = removals->from;
	int code = 0;

	if (removals->after != 0) {
		code = find_end(reader, removals->after, &end, err);
		if (code == 0)
			code = statement_start(&same, &reader->database, STMT_SCAN_ENDED_AT, err, V_TEXT(selector), V_INT(removals->from),
			                       V_INT(removals->to), V_INT(end), V_INT(removals->looks), V_INT(removals->after));
		if (code == 0)
			code = look_at_ended(&same, removals, fn, context, err);
	}
	if (code == 0 && removals->looks > 0)
		code = statement_start(&later, &reader->database, STMT_SCAN_ENDED_AFTER, err, V_TEXT(selector), V_INT(removals->from),
		                       V_INT(removals->to), V_INT(end), V_INT(removals->looks));
	if (code == 0 && removals->looks > 0)
		code = look_at_ended(&later, removals, fn, context, err);
	removals->ended = code == 0 && removals->looks > 0;
	return code;
}
