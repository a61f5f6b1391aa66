/* SPDX-License-Identifier: Apache-2.0 */
/* Reading ticket keys, and whether a selector has anything to make tickets for. */
#include "store/store_tickets.h"

#include "base/log.h"
#include "store/sealing.h"
#include "store/ticket_seal.h"

/* A key that can't be opened is of no use to anybody; it must not keep the control plane from starting. */
static int open_key(const struct store_reader *reader, const char *selector, struct bytes sealed, struct store_ticket_key *key,
                    struct error *err)
{
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;
	CLEANUP(secret_free) struct secret *secret = NULL;
	struct error why = ERROR_NULL;
	int code;

	ticket_aad(selector, key->name, &aad);
	if (aad.failed)
		return error_nomem(err);
	code = store_unseal(reader->store, BYTES(aad.data, aad.len), sealed, &secret, &why);
	if (code == E_NOMEM)
		return error_nomem(err);
	if (code == 0 && secret->len == STORE_TICKET_SECRET_LEN) {
		memcpy(key->secret, secret->data, STORE_TICKET_SECRET_LEN);
		return 0;
	}
	log_event(LOG_ERROR, "a ticket key can't be opened and is replaced", LOG_STR("selector", selector), LOG_ERR(&why));
	key->lost = true;
	return 0;
}

static int key_load(const struct store_reader *reader, const struct statement *statement, const char *selector,
                    struct store_ticket_key *key, struct error *err)
{
	int code = column_copy(statement, 2, key->name, sizeof(key->name), err);

	if (code != 0)
		return code;
	key->number = column_u64(statement, 1);
	key->made = column_u64(statement, 4);
	key->encrypt_from = column_u64(statement, 5);
	key->encrypt_until = column_u64(statement, 6);
	key->decrypt_until = column_u64(statement, 7);
	key->lost = column_u64(statement, 8) != 0;
	return open_key(reader, selector, column_bytes(statement, 3), key, err);
}

int store_each_ticket_key(struct store_reader *reader,
                          int (*fn)(const char *selector, const struct store_ticket_key *key, void *context), void *context,
                          struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_TICKET_ALL, err);
	bool row = false;

	while (code == 0) {
		struct store_ticket_key key = {0};
		const char *selector;

		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			break;
		selector = column_text(&statement, 0);
		code = selector == NULL ? error_nomem(err) : key_load(reader, &statement, selector, &key, err);
		if (code == 0)
			code = fn(selector, &key, context);
		secret_wipe(&key, sizeof(key));
	}
	return code < 0 ? code : 0;
}

int store_each_lost_ticket_key(struct store_reader *reader, int (*fn)(const char *selector, uint64_t number, void *context),
                               void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_TICKET_LOST, err);
	bool row = false;

	while (code == 0) {
		const char *selector;

		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			break;
		selector = column_text(&statement, 0);
		code = selector == NULL ? error_nomem(err) : fn(selector, column_u64(&statement, 1), context);
	}
	return code < 0 ? code : 0;
}

int store_each_ssl_body(struct store_reader *reader, const char *selector, int (*fn)(struct bytes body, void *context), void *context,
                        struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_SSL_BODIES, err, V_TEXT(selector),
	                           V_INT(KIND_SSL));
	bool row = false;

	while (code == 0) {
		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			break;
		code = fn(column_bytes(&statement, 0), context);
	}
	return code < 0 ? code : 0;
}
