/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what agents hold: per selector, whole or as a difference. */
#include "store/reader.h"

static int selectors_each(struct statement *statement, int (*fn)(const struct store_selector *selector, void *context),
                          void *context, struct error *err)
{
	struct store_selector selector;
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

struct changes_call {
	int (*fn)(const struct store_row *row, bool removed, void *context);
	void *context;
	bool removed;
	bool stopped;
};

static int on_change(const struct store_row *row, void *context)
{
	struct changes_call *call = context;
	int code = call->fn(row, call->removed, call->context);

	call->stopped = code != 0;
	return code;
}

int store_scan_changes(struct store_reader *reader, const char *selector, uint64_t from, uint64_t to,
                       int (*fn)(const struct store_row *row, bool removed, void *context), void *context,
                       struct error *err)
{
	struct changes_call call = {fn, context, true, false};
	CLEANUP(statement_end) struct statement removals = {0};
	CLEANUP(statement_end) struct statement puts = {0};
	int code =
		statement_start(&removals, &reader->database, STMT_SCAN_REMOVED, err, V_TEXT(selector), V_INT(from), V_INT(to));

	if (code == 0)
		code = rows_each(&removals, on_change, &call, err);
	if (code != 0 || call.stopped)
		return code;
	call.removed = false;
	code = statement_start(&puts, &reader->database, STMT_SCAN_PUT, err, V_TEXT(selector), V_INT(from), V_INT(to));
	return code == 0 ? rows_each(&puts, on_change, &call, err) : code;
}

int store_count_changes(struct store_reader *reader, const char *selector, uint64_t from, uint64_t to,
                        uint64_t *ret_puts, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code =
		statement_start(&statement, &reader->database, STMT_COUNT_PUT, err, V_TEXT(selector), V_INT(from), V_INT(to));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*ret_puts = column_u64(&statement, 0);
	return code;
}
