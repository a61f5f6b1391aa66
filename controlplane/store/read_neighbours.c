/* SPDX-License-Identifier: Apache-2.0 */
/* Reading objects through what connects them (references, names, ports), and the records beside the objects. */
#include "store/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int referrers_each(struct statement *statement,
                          int (*fn)(const struct store_row *row, const char *pointer, void *context), void *context,
                          struct error *err)
{
	struct store_row row;
	const char *pointer;
	bool more = false;
	int code = 0;

	while (code == 0) {
		code = statement_step(statement, &more, err);
		if (code != 0 || !more)
			return code;
		code = row_load(statement, &row, err);
		if (code != 0)
			return code;
		pointer = column_text(statement, ROW_COLUMNS);
		if (pointer == NULL)
			return error_nomem(err);
		code = fn(&row, pointer, context);
	}
	return code < 0 ? code : 0;
}

int store_each_referrer(struct store_reader *reader, enum kind kind, const char *id,
                        int (*fn)(const struct store_row *row, const char *pointer, void *context), void *context,
                        struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_REFERRERS, err, V_INT(kind), V_TEXT(id));

	return code == 0 ? referrers_each(&statement, fn, context, err) : code;
}

int store_each_referrer_of_kind(struct store_reader *reader, enum kind kind, const char *id, enum kind from_kind,
                                int (*fn)(const struct store_row *row, const char *pointer, void *context), void *context,
                                struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_REFERRERS_OF_KIND, err, V_INT(kind), V_TEXT(id),
	                           V_INT(from_kind));

	return code == 0 ? referrers_each(&statement, fn, context, err) : code;
}

int store_next_referred(struct store_reader *reader, enum kind kind, const char *after, char *id, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	const char *text;
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_NEXT_REFERRED, err, V_INT(kind), V_TEXT(after));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code != 0)
		return code;
	if (!row)
		return error_set(err, E_NOT_FOUND, "nothing is referred to after %s", after);
	text = column_text(&statement, 0);
	if (text == NULL)
		return error_nomem(err);
	snprintf(id, ID_MAX + 1, "%s", text);
	return 0;
}

int store_each_asking(struct store_reader *reader, int (*fn)(const char *id, unsigned bits, void *context), void *context,
                      struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	const char *id;
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_DEMANDS, err);

	while (code == 0) {
		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			return code;
		id = column_text(&statement, 0);
		code = id == NULL ? error_nomem(err) : fn(id, (unsigned)column_u64(&statement, 1), context);
	}
	return code < 0 ? code : 0;
}

int store_get_asked(struct store_reader *reader, const char *id, unsigned *ret_bits, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_DEMAND_GET, err, V_TEXT(id));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*ret_bits = row ? (unsigned)column_u64(&statement, 0) : 0;
	return code;
}

int store_each_by_name(struct store_reader *reader, const char *name,
                       int (*fn)(const struct store_row *row, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_BY_NAME, err, V_TEXT(name), V_INT(KIND_SSL));

	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

int store_each_listener(struct store_reader *reader, int (*fn)(const struct store_row *row, void *context), void *context,
                        struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_LISTENERS, err, V_INT(KIND_LISTENER));

	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

int store_each_by_pattern(struct store_reader *reader, const char *pattern,
                          int (*fn)(const struct store_row *row, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code =
		statement_start(&statement, &reader->database, STMT_BY_PATTERN, err, V_TEXT(pattern), V_INT(KIND_ROUTE));

	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

int store_each_route_anywhere(struct store_reader *reader, int (*fn)(const struct store_row *row, void *context),
                              void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_ANYWHERE, err, V_INT(KIND_ROUTE));

	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

int store_each_bare_listener(struct store_reader *reader, int (*fn)(const struct store_row *row, void *context),
                             void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_BARE_LISTENERS, err, V_INT(KIND_LISTENER));

	return code == 0 ? rows_each(&statement, fn, context, err) : code;
}

int store_each_by_port(struct store_reader *reader, uint16_t port, int (*fn)(const struct store_bind *bind, void *context),
                       void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	struct store_bind bind = {.port = port};
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_BY_PORT, err, V_INT(port));

	while (code == 0) {
		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			return code;
		bind.id = column_text(&statement, 0);
		bind.selector = column_text(&statement, 1);
		bind.host = column_text(&statement, 2);
		if (bind.id == NULL || bind.selector == NULL || bind.host == NULL)
			return error_nomem(err);
		code = fn(&bind, context);
	}
	return code < 0 ? code : 0;
}

int store_get_agent_status(struct store_reader *reader, const char *id, struct store_agent_status *ret,
                           struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	struct store_agent_status status = {0};
	const char *report;
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_STATUS_GET, err, V_TEXT(id));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code != 0)
		return code;
	if (!row)
		return error_set(err, E_NOT_FOUND, "nothing is known of agent %s", id);
	snprintf(status.id, sizeof(status.id), "%s", id);
	status.last_seen = column_u64(&statement, 0);
	status.last_ack_time = column_u64(&statement, 1);
	status.acked = (struct revision){.epoch = column_u64(&statement, 2), .number = column_u64(&statement, 3)};
	code = column_text_or_null(&statement, 4, &report, err);
	if (code != 0)
		return code;
	if (report != NULL) {
		status.report = strdup(report);
		if (status.report == NULL)
			return error_nomem(err);
	}
	*ret = status;
	return 0;
}

void store_agent_status_deinit(struct store_agent_status *status)
{
	free(status->report);
	*status = (struct store_agent_status){0};
}
