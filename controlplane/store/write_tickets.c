/* SPDX-License-Identifier: Apache-2.0 */
/* Writing ticket keys. A set is written as what differs, so that a mark of being lost that a change of an agent has set meanwhile is
 * never undone by a rotation that was decided before it. */
#include "store/sealing.h"

#include "model/selector.h"
#include "store/ticket_seal.h"

#include <assert.h>
#include <stdio.h>

static struct value from_value(const struct store_ticket_key *key)
{
	return key->encrypt_from == 0 ? V_NULL : V_INT(key->encrypt_from);
}

static int insert_key(struct store_writer *writer, const char *selector, const struct store_ticket_key *key, struct error *err)
{
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL, sealed = BUF_NULL;
	int code;

	ticket_aad(selector, key->name, &aad);
	if (aad.failed)
		return error_nomem(err);
	code = store_seal(writer->reader.store, BYTES(aad.data, aad.len), BYTES(key->secret, sizeof(key->secret)), &sealed, err);
	if (code == 0 && sealed.failed)
		code = error_nomem(err);
	if (code != 0)
		return code;
	return statement_run(&writer->reader.database, STMT_TICKET_PUT, err, V_TEXT(selector), V_INT(key->number),
	                     V_BLOB(key->name, sizeof(key->name)), V_BLOB(sealed.data, sealed.len), V_INT(key->made), from_value(key),
	                     V_INT(key->encrypt_until), V_INT(key->decrypt_until));
}

static int put_key(struct store_writer *writer, const char *selector, const struct store_ticket_key *key, struct error *err)
{
	struct database *database = &writer->reader.database;
	int code = statement_run(database, STMT_TICKET_UPDATE, err, V_TEXT(selector), V_INT(key->number), from_value(key),
	                         V_INT(key->encrypt_until), V_INT(key->decrypt_until));

	if (code != 0 || sqlite3_changes(database->handle) > 0)
		return code;
	return insert_key(writer, selector, key, err);
}

/* *number: after this one; becomes the next of the set, or 0. */
static int next_number(struct store_writer *writer, const char *selector, uint64_t *number, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &writer->reader.database, STMT_TICKET_NUMBER_AFTER, err, V_TEXT(selector), V_INT(*number));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*number = row ? column_u64(&statement, 0) : 0;
	return code;
}

static bool is_listed(const struct store_ticket_key *keys, size_t len, uint64_t number)
{
	for (size_t i = 0; i < len; i++) {
		if (keys[i].number == number)
			return true;
	}
	return false;
}

int store_put_ticket_keys(struct store_writer *writer, const char *selector, const struct store_ticket_key *keys, size_t len,
                          struct error *err)
{
	uint64_t number = 0;
	int code;

	assert(writer->state == WRITER_OPEN);
	code = writer_check(writer, err);
	for (size_t i = 0; i < len && code == 0; i++)
		code = put_key(writer, selector, &keys[i], err);
	if (code == 0)
		code = next_number(writer, selector, &number, err);
	while (code == 0 && number != 0) {
		if (!is_listed(keys, len, number))
			code = statement_run(&writer->reader.database, STMT_TICKET_DELETE, err, V_TEXT(selector), V_INT(number));
		if (code == 0)
			code = next_number(writer, selector, &number, err);
	}
	return code;
}

/* The selector of the set after `selector`, among those in [low, high); "" when there are no more. */
static int next_selector(struct store_writer *writer, const char *low, const char *high, char selector[SELECTOR_MAX + 1],
                         struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &writer->reader.database, STMT_TICKET_SELECTOR_AFTER, err, V_TEXT(low), V_TEXT(selector),
	                           V_TEXT(high));
	const char *text;

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code != 0)
		return code;
	text = row ? column_text(&statement, 0) : "";
	if (text == NULL)
		return error_nomem(err);
	(void)snprintf(selector, SELECTOR_MAX + 1, "%s", text);
	return 0;
}

static int lose_set(struct store_writer *writer, const char *selector, const char *before, const char *after, struct error *err)
{
	if (!selector_is_match(selector, before) || (after != NULL && selector_is_match(selector, after)))
		return 0;
	return statement_run(&writer->reader.database, STMT_TICKET_LOSE, err, V_TEXT(selector));
}

/* The sets whose first condition is this one. They stand together: what follows "key=value" in a selector is the end or a comma, and
 * the byte after a comma is a hyphen. */
static int lose_range(struct store_writer *writer, struct bytes condition, const char *before, const char *after, struct error *err)
{
	char low[SELECTOR_MAX + 2], high[SELECTOR_MAX + 2], selector[SELECTOR_MAX + 1] = "";
	int code;

	(void)snprintf(low, sizeof(low), "%.*s", (int)condition.len, (const char *)condition.data);
	(void)snprintf(high, sizeof(high), "%s-", low);
	code = next_selector(writer, low, high, selector, err);
	while (code == 0 && selector[0] != '\0') {
		code = lose_set(writer, selector, before, after, err);
		if (code == 0)
			code = next_selector(writer, low, high, selector, err);
	}
	return code;
}

int store_lose_ticket_keys(struct store_writer *writer, const char *before, const char *after, struct error *err)
{
	int code;

	assert(writer->state != WRITER_IDLE);
	code = writer_check(writer, err);
	if (code == 0)
		code = lose_set(writer, "", before, after, err);
	for (const char *at = before; *at != '\0' && code == 0;) {
		size_t len = strcspn(at, ",");

		code = lose_range(writer, BYTES(at, len), before, after, err);
		at += len + (at[len] == ',');
	}
	return code;
}
