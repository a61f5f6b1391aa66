/* SPDX-License-Identifier: Apache-2.0 */
/* Reading tokens, the audit trail and receipts. */
#include "store/reader.h"
#include "store/receipt_seal.h"
#include "store/sealing.h"
#include "store/store_access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy_text(const struct statement *statement, int column, char *target, size_t size)
{
	const char *text = column_text(statement, column);

	snprintf(target, size, "%s", text != NULL ? text : "");
}

/* A copy of a text that may be NULL. */
static int keep_text(const struct statement *statement, int column, char **ret, struct error *err)
{
	const char *text = NULL;
	int code = column_text_or_null(statement, column, &text, err);

	if (code != 0 || text == NULL)
		return code;
	*ret = strdup(text);
	return *ret != NULL ? 0 : error_nomem(err);
}

/* Tokens ---------------------------------------------------------------------------------------------------------- */

void store_token_deinit(struct store_token *token)
{
	free(token->scope);
	free(token->desc);
	*token = (struct store_token){0};
}

static int token_load(const struct statement *statement, struct store_token *ret, struct error *err)
{
	CLEANUP(store_token_deinit) struct store_token token = {0};
	int code = column_copy(statement, 1, token.sha256, sizeof(token.sha256), err);

	copy_text(statement, 0, token.id, sizeof(token.id));
	copy_text(statement, 2, token.role, sizeof(token.role));
	if (code == 0)
		code = keep_text(statement, 3, &token.scope, err);
	if (code == 0)
		code = keep_text(statement, 4, &token.desc, err);
	if (code != 0)
		return code;
	copy_text(statement, 5, token.created_by, sizeof(token.created_by));
	token.create_time = column_u64(statement, 6);
	token.expire_time = column_u64(statement, 7);
	token.used_time = column_u64(statement, 8);
	copy_text(statement, 9, token.used_from, sizeof(token.used_from));
	*ret = token;
	token = (struct store_token){0};
	return 0;
}

static int read_token(struct statement *statement, struct store_token *ret, struct error *err)
{
	bool row = false;
	int code = statement_step(statement, &row, err);

	if (code != 0)
		return code;
	return row ? token_load(statement, ret, err) : error_set(err, E_NOT_FOUND, "no such token");
}

int store_find_token(struct store_reader *reader, const uint8_t sha256[32], struct store_token *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_TOKEN_FIND, err, V_BLOB(sha256, 32));

	return code == 0 ? read_token(&statement, ret, err) : code;
}

int store_get_token(struct store_reader *reader, const char *id, struct store_token *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_TOKEN_GET, err, V_TEXT(id));

	return code == 0 ? read_token(&statement, ret, err) : code;
}

int store_list_tokens(struct store_reader *reader, const char *after, size_t limit,
                      int (*fn)(const struct store_token *token, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_TOKEN_LIST, err, V_TEXT(after), V_INT(limit));

	while (code == 0) {
		CLEANUP(store_token_deinit) struct store_token token = {0};

		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			return code;
		code = token_load(&statement, &token, err);
		if (code == 0)
			code = fn(&token, context);
	}
	return code < 0 ? code : 0;
}

int store_has_other_token(struct store_reader *reader, const char *role, const char *id, bool *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_TOKEN_OTHER, err, V_TEXT(role), V_TEXT(id));

	return code == 0 ? statement_step(&statement, ret, err) : code;
}

/* Audit ----------------------------------------------------------------------------------------------------------- */

static int audit_load(const struct statement *statement, struct store_audit_row *row, struct error *err)
{
	*row = (struct store_audit_row){
		.row = column_u64(statement, 0),
		.time = column_u64(statement, 1),
		.actor = column_text(statement, 2),
		.request_id = column_text(statement, 3),
		.source = column_text(statement, 4),
		.action = column_text(statement, 5),
		.outcome = column_text(statement, 6),
		.revision = {.epoch = column_u64(statement, 8), .number = column_u64(statement, 7)},
	};
	if (row->actor == NULL || row->request_id == NULL || row->source == NULL || row->action == NULL || row->outcome == NULL)
		return error_nomem(err);
	return 0;
}

int store_list_audit(struct store_reader *reader, const struct store_audit_filter *filter, uint64_t after,
                     int (*fn)(const struct store_audit_row *row, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	struct store_audit_row row;
	bool more = false;
	int code;

	if (after > INT64_MAX)
		return 0;
	if (filter->actor != NULL)
		code = statement_start(&statement, &reader->database, STMT_AUDIT_OF_ACTOR, err, V_INT(after), V_TEXT(filter->actor));
	else if (filter->outcome != NULL)
		code = statement_start(&statement, &reader->database, STMT_AUDIT_OF_OUTCOME, err, V_INT(after), V_TEXT(filter->outcome));
	else
		code = statement_start(&statement, &reader->database, STMT_AUDIT_LIST, err, V_INT(after));
	while (code == 0) {
		code = statement_step(&statement, &more, err);
		if (code != 0 || !more)
			return code;
		code = audit_load(&statement, &row, err);
		if (code == 0)
			code = fn(&row, context);
	}
	return code < 0 ? code : 0;
}

int store_first_audit_since(struct store_reader *reader, uint64_t time, uint64_t *ret_row, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	uint64_t first = 0;
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_AUDIT_SINCE, err, V_INT(time > INT64_MAX ? INT64_MAX : time));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code != 0)
		return code;
	first = row ? column_u64(&statement, 0) : 0;
	if (first == 0)
		return error_set(err, E_NOT_FOUND, "nothing was audited since");
	*ret_row = first;
	return 0;
}

/* Receipts -------------------------------------------------------------------------------------------------------- */

void store_receipt_deinit(struct store_receipt *receipt)
{
	free(receipt->warnings);
	secret_free(receipt->secret);
	*receipt = (struct store_receipt){0};
}

static int open_receipt(const struct store *store, struct bytes sealed, struct store_receipt *receipt, struct error *err)
{
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;

	if (sealed.len == 0)
		return 0;
	receipt_aad(receipt->token, receipt->key, &aad);
	if (aad.failed)
		return error_nomem(err);
	return store_unseal(store, BYTES(aad.data, aad.len), sealed, &receipt->secret, err);
}

static int receipt_load(const struct statement *statement, const struct store *store, struct store_receipt *receipt, struct error *err)
{
	int code = column_copy(statement, 0, receipt->request, sizeof(receipt->request), err);

	receipt->time = column_u64(statement, 1);
	receipt->revision = (struct revision){.epoch = column_u64(statement, 2), .number = column_u64(statement, 3)};
	receipt->changed = column_u64(statement, 4) != 0;
	receipt->created = column_u64(statement, 5) != 0;
	receipt->kind = (enum kind)column_u64(statement, 6);
	copy_text(statement, 7, receipt->id, sizeof(receipt->id));
	if (code == 0)
		code = keep_text(statement, 8, &receipt->warnings, err);
	return code == 0 ? open_receipt(store, column_bytes(statement, 9), receipt, err) : code;
}

int store_get_receipt(struct store_reader *reader, const uint8_t token[32], const char *key, uint64_t since,
                      struct store_receipt *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	CLEANUP(store_receipt_deinit) struct store_receipt receipt = {0};
	bool row = false;
	int code = statement_start(&statement, &reader->database, STMT_RECEIPT_GET, err, V_BLOB(token, 32), V_TEXT(key), V_INT(since));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0 && !row)
		return error_set(err, E_NOT_FOUND, "no such receipt");
	memcpy(receipt.token, token, sizeof(receipt.token));
	snprintf(receipt.key, sizeof(receipt.key), "%s", key);
	if (code == 0)
		code = receipt_load(&statement, reader->store, &receipt, err);
	if (code != 0)
		return code;
	*ret = receipt;
	receipt = (struct store_receipt){0};
	return 0;
}
