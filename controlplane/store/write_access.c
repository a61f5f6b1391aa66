/* SPDX-License-Identifier: Apache-2.0 */
/* Writing tokens and receipts: inside a transaction, with or without a revision open. */
#include "store/receipt_seal.h"
#include "store/sealing.h"
#include "store/writer.h"

#include <assert.h>
#include <string.h>

#define EXPIRED_AT_ONCE 8 /* a write pays for at most so many that are over */

static int check_open(struct store_writer *writer, struct error *err)
{
	assert(writer->state != WRITER_IDLE);
	return writer_check(writer, err);
}

static struct value time_or_null(uint64_t time)
{
	return time > 0 ? V_INT(time) : V_NULL;
}

int store_put_token(struct store_writer *writer, const struct store_token *token, struct error *err)
{
	CLEANUP(store_token_deinit) struct store_token before = {0};
	int code = check_open(writer, err);

	if (code == 0)
		code = store_get_token(&writer->reader, token->id, &before, err);
	if (code == 0)
		return error_set(err, E_EXISTS, "tokens/%s exists already", token->id);
	if (code != E_NOT_FOUND)
		return code;
	return statement_run(&writer->reader.database, STMT_TOKEN_PUT, err, V_TEXT(token->id), V_BLOB(token->sha256, sizeof(token->sha256)),
	                     V_TEXT(token->role), V_TEXT(token->scope), V_TEXT(token->desc), V_TEXT(token->created_by),
	                     V_INT(token->create_time), time_or_null(token->expire_time), time_or_null(token->used_time),
	                     token->used_from[0] != '\0' ? V_TEXT(token->used_from) : V_NULL);
}

int store_delete_token(struct store_writer *writer, const char *id, struct error *err)
{
	CLEANUP(store_token_deinit) struct store_token before = {0};
	int code = check_open(writer, err);

	if (code == 0)
		code = store_get_token(&writer->reader, id, &before, err);
	if (code == 0)
		code = statement_run(&writer->reader.database, STMT_RECEIPT_DELETE_ALL, err, V_BLOB(before.sha256, sizeof(before.sha256)));
	return code == 0 ? statement_run(&writer->reader.database, STMT_TOKEN_DELETE, err, V_TEXT(id)) : code;
}

int store_use_token(struct store_writer *writer, const uint8_t sha256[32], uint64_t time, const char *from, struct error *err)
{
	int code = check_open(writer, err);

	if (code != 0)
		return code;
	return statement_run(&writer->reader.database, STMT_TOKEN_USED, err, V_BLOB(sha256, 32), V_INT(time), V_TEXT(from));
}

/* Receipts -------------------------------------------------------------------------------------------------------- */

static int seal_receipt(struct store_writer *writer, const struct store_receipt *receipt, struct buf *sealed, struct error *err)
{
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;

	if (receipt->secret == NULL)
		return 0;
	receipt_aad(receipt->token, receipt->key, &aad);
	if (aad.failed)
		return error_nomem(err);
	return store_seal(writer->reader.store, BYTES(aad.data, aad.len), BYTES(receipt->secret->data, receipt->secret->len), sealed, err);
}

static int next_number(struct store_writer *writer, const uint8_t token[32], uint64_t *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &writer->reader.database, STMT_RECEIPT_NUMBER, err, V_BLOB(token, 32));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*ret = row ? column_u64(&statement, 0) + 1 : 1;
	return code;
}

/* One that is over, of whomever. *ret_found: there was one. */
static int drop_expired(struct store_writer *writer, uint64_t before, bool *ret_found, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	char key[STORE_RECEIPT_KEY_MAX + 1];
	uint8_t token[32];
	int code = statement_start(&statement, &writer->reader.database, STMT_RECEIPT_EXPIRED, err, V_INT(before));

	if (code == 0)
		code = statement_step(&statement, ret_found, err);
	if (code != 0 || !*ret_found)
		return code;
	code = column_text(&statement, 1) == NULL ? error_nomem(err) : column_copy(&statement, 0, token, sizeof(token), err);
	if (code != 0)
		return code;
	snprintf(key, sizeof(key), "%s", column_text(&statement, 1));
	statement_end(&statement);
	return statement_run(&writer->reader.database, STMT_RECEIPT_DELETE, err, V_BLOB(token, sizeof(token)), V_TEXT(key));
}

static int make_room(struct store_writer *writer, const struct store_receipt *receipt, uint64_t number, struct error *err)
{
	uint64_t before = receipt->time > STORE_RECEIPT_SECONDS ? receipt->time - STORE_RECEIPT_SECONDS : 0;
	bool found = true;
	int code = 0;

	for (int i = 0; i < EXPIRED_AT_ONCE && found && code == 0; i++)
		code = drop_expired(writer, before, &found, err);
	if (code == 0 && number > STORE_RECEIPTS_MAX)
		code = statement_run(&writer->reader.database, STMT_RECEIPT_PRUNE, err, V_BLOB(receipt->token, sizeof(receipt->token)),
		                     V_INT(number - STORE_RECEIPTS_MAX));
	return code;
}

int store_put_receipt(struct store_writer *writer, const struct store_receipt *receipt, struct error *err)
{
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	uint64_t number = 0;
	int code = check_open(writer, err);

	if (code == 0)
		code = seal_receipt(writer, receipt, &sealed, err);
	if (code == 0)
		code = next_number(writer, receipt->token, &number, err);
	if (code == 0)
		code = make_room(writer, receipt, number, err);
	if (code != 0)
		return code;
	return statement_run(&writer->reader.database, STMT_RECEIPT_PUT, err, V_BLOB(receipt->token, sizeof(receipt->token)),
	                     V_TEXT(receipt->key), V_INT(number), V_BLOB(receipt->request, sizeof(receipt->request)), V_INT(receipt->time),
	                     V_INT(receipt->revision.epoch), V_INT(receipt->revision.number), V_INT(receipt->changed),
	                     V_INT(receipt->created), receipt->kind != 0 ? V_INT(receipt->kind) : V_NULL,
	                     receipt->id[0] != '\0' ? V_TEXT(receipt->id) : V_NULL, V_TEXT(receipt->warnings),
	                     sealed.len > 0 ? V_BLOB(sealed.data, sealed.len) : V_NULL);
}
