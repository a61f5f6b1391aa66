/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is sealed, one row per place, and how each is sealed anew under the newest key. What is sealed at a further place gets
 * a column sealed_by with its index, three statements and a row here. */
#include "store/sealing.h"
#include "store/start.h"

#include "base/log.h"
#include "crypto/crypto.h"
#include "model/selector.h"
#include "store/receipt_seal.h"
#include "store/store_access.h"
#include "store/ticket_seal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One value that key `id` seals, past the one that `walk` stands at. *ret_found: there was one, and it is dealt with: sealed anew, or
 * erased when it can't be opened and nobody needs it. E_CORRUPT: it can't be opened, stays as it is and is passed over. */
struct sealed_place {
	const char *name;
	int (*count)(struct database *database, uint32_t id, uint64_t *ret, struct error *err);
	int (*reseal)(struct store_writer *writer, uint32_t id, int64_t *after, bool *ret_found, struct error *err);
};

static int count_rows(struct database *database, enum statement_id which, uint32_t id, uint64_t *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	uint8_t key[SEALED_BY_LEN];
	bool row = false;
	int code;

	sealed_by(id, key);
	code = statement_start(&statement, database, which, err, V_BLOB(key, sizeof(key)));
	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code == 0)
		*ret = column_u64(&statement, 0);
	return code;
}

/* Objects, current and ended --------------------------------------------------------------------------------------- */

static int count_objects(struct database *database, uint32_t id, uint64_t *ret, struct error *err)
{
	return count_rows(database, STMT_SEALED_OBJECTS, id, ret, err);
}

/* The statement stands on the row: row_id, kind, id, uid, from_rev, secret. */
static int seal_object_anew(const struct store *store, const struct statement *statement, struct buf *sealed, struct error *err)
{
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL;
	enum kind kind = (enum kind)column_u64(statement, 1);
	const char *id = column_text(statement, 2);
	uint64_t version = column_u64(statement, 4);
	struct uid uid;
	int code = id == NULL ? error_nomem(err) : column_copy(statement, 3, uid.bytes, UID_LEN, err);

	if (code != 0)
		return code;
	secret_aad(kind, &uid, version, &aad);
	if (aad.failed)
		return error_nomem(err);
	code = store_seal_anew(store, BYTES(aad.data, aad.len), column_bytes(statement, 5), sealed, err);
	return code == 0 ? 0 : error_prefix(err, code, "secret of %s/%s, revision %" PRIu64, kind_find(kind)->collection, id, version);
}

static int reseal_object(struct store_writer *writer, uint32_t id, int64_t *after, bool *ret_found, struct error *err)
{
	struct database *database = &writer->reader.database;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	CLEANUP(statement_end) struct statement statement = {0};
	uint8_t key[SEALED_BY_LEN];
	int code;

	sealed_by(id, key);
	code = statement_start(&statement, database, STMT_SEALED_OBJECT_AFTER, err, V_BLOB(key, sizeof(key)), V_INT(*after));
	if (code == 0)
		code = statement_step(&statement, ret_found, err);
	if (code != 0 || !*ret_found)
		return code;
	*after = (int64_t)column_u64(&statement, 0);
	code = seal_object_anew(writer->reader.store, &statement, &sealed, err);
	statement_end(&statement);
	if (code != 0)
		return code;
	return statement_run(database, STMT_OBJECT_RESEAL, err, V_INT(*after), V_BLOB(sealed.data, sealed.len));
}

/* Ticket keys ------------------------------------------------------------------------------------------------------- */

static int count_tickets(struct database *database, uint32_t id, uint64_t *ret, struct error *err)
{
	return count_rows(database, STMT_SEALED_TICKETS, id, ret, err);
}

/* One that can't be opened is of no use to anybody; the publisher replaces it. */
static int reseal_ticket(struct store_writer *writer, uint32_t id, int64_t *after, bool *ret_found, struct error *err)
{
	struct database *database = &writer->reader.database;
	CLEANUP(statement_end) struct statement statement = {0};
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL, sealed = BUF_NULL;
	uint8_t key[SEALED_BY_LEN], name[STORE_TICKET_NAME_LEN];
	char selector[SELECTOR_MAX + 1] = "";
	uint64_t number;
	int code;

	sealed_by(id, key);
	code = statement_start(&statement, database, STMT_SEALED_TICKET, err, V_BLOB(key, sizeof(key)));
	if (code == 0)
		code = statement_step(&statement, ret_found, err);
	if (code != 0 || !*ret_found)
		return code;
	code = column_text(&statement, 0) == NULL ? error_nomem(err) : column_copy(&statement, 2, name, sizeof(name), err);
	if (code != 0)
		return code;
	snprintf(selector, sizeof(selector), "%s", column_text(&statement, 0));
	number = column_u64(&statement, 1);
	ticket_aad(selector, name, &aad);
	if (aad.failed)
		return error_nomem(err);
	code = store_seal_anew(writer->reader.store, BYTES(aad.data, aad.len), column_bytes(&statement, 3), &sealed, err);
	statement_end(&statement);
	if (code == E_CORRUPT) {
		log_event(LOG_ERROR, "a ticket key can't be opened and is erased", LOG_STR("selector", selector));
		return statement_run(database, STMT_TICKET_DELETE, err, V_TEXT(selector), V_INT(number));
	}
	if (code != 0)
		return code;
	return statement_run(database, STMT_TICKET_RESEAL, err, V_TEXT(selector), V_INT(number), V_BLOB(sealed.data, sealed.len));
}

/* Receipts ---------------------------------------------------------------------------------------------------------- */

static int count_receipts(struct database *database, uint32_t id, uint64_t *ret, struct error *err)
{
	return count_rows(database, STMT_SEALED_RECEIPTS, id, ret, err);
}

/* One that can't be opened can answer nothing: the request would be done anew. */
static int reseal_receipt(struct store_writer *writer, uint32_t id, int64_t *after, bool *ret_found, struct error *err)
{
	struct database *database = &writer->reader.database;
	CLEANUP(statement_end) struct statement statement = {0};
	CLEANUP(buf_deinit) struct buf aad = BUF_NULL, sealed = BUF_NULL;
	uint8_t by[SEALED_BY_LEN], token[SHA256_LEN];
	char key[STORE_RECEIPT_KEY_MAX + 1] = "";
	int code;

	sealed_by(id, by);
	code = statement_start(&statement, database, STMT_SEALED_RECEIPT, err, V_BLOB(by, sizeof(by)));
	if (code == 0)
		code = statement_step(&statement, ret_found, err);
	if (code != 0 || !*ret_found)
		return code;
	code = column_text(&statement, 1) == NULL ? error_nomem(err) : column_copy(&statement, 0, token, sizeof(token), err);
	if (code != 0)
		return code;
	snprintf(key, sizeof(key), "%s", column_text(&statement, 1));
	receipt_aad(token, key, &aad);
	if (aad.failed)
		return error_nomem(err);
	code = store_seal_anew(writer->reader.store, BYTES(aad.data, aad.len), column_bytes(&statement, 2), &sealed, err);
	statement_end(&statement);
	if (code == E_CORRUPT) {
		log_event(LOG_ERROR, "the receipt of a request can't be opened and is erased", LOG_STR("key", key));
		return statement_run(database, STMT_RECEIPT_DELETE, err, V_BLOB(token, sizeof(token)), V_TEXT(key));
	}
	if (code != 0)
		return code;
	return statement_run(database, STMT_RECEIPT_RESEAL, err, V_BLOB(token, sizeof(token)), V_TEXT(key),
	                     V_BLOB(sealed.data, sealed.len));
}

/* The CA's key ------------------------------------------------------------------------------------------------------ */

static int load_ca_key(struct database *database, uint32_t id, struct buf *sealed, bool *ret_is_by, struct error *err)
{
	uint32_t by = 0;
	int code = meta_get(database, "ca_key", sealed, err);

	if (code == 0)
		*ret_is_by = seal_key_id(BYTES(sealed->data, sealed->len), &by) && by == id;
	return code;
}

static int count_ca_key(struct database *database, uint32_t id, uint64_t *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	bool is_by = false;
	int code = load_ca_key(database, id, &sealed, &is_by, err);

	if (code == 0)
		*ret = is_by ? 1 : 0;
	return code;
}

static int reseal_ca_key(struct store_writer *writer, uint32_t id, int64_t *after, bool *ret_found, struct error *err)
{
	struct database *database = &writer->reader.database;
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL, anew = BUF_NULL, aad = BUF_NULL;
	int code = load_ca_key(database, id, &sealed, ret_found, err);

	if (code != 0 || !*ret_found)
		return code;
	code = ca_key_aad(database, &aad, err);
	if (code == 0)
		code = store_seal_anew(writer->reader.store, BYTES(aad.data, aad.len), BYTES(sealed.data, sealed.len), &anew, err);
	if (code != 0)
		return error_prefix(err, code, "the channel's CA");
	return statement_run(database, STMT_META_UPDATE, err, V_TEXT("ca_key"), V_BLOB(anew.data, anew.len));
}

static const struct sealed_place places[] = {
	{"objects", count_objects, reseal_object},
	{"ticket keys", count_tickets, reseal_ticket},
	{"receipts", count_receipts, reseal_receipt},
	{"CA key", count_ca_key, reseal_ca_key},
};

/* ------------------------------------------------------------------------------------------------------------------- */

int sealed_count(struct database *database, uint32_t id, uint64_t *ret, struct error *err)
{
	uint64_t all = 0;
	int code = 0;

	for (size_t i = 0; i < ARRAY_LEN(places) && code == 0; i++) {
		uint64_t some = 0;

		code = places[i].count(database, id, &some, err);
		all += some;
	}
	if (code == 0)
		*ret = all;
	return code;
}

/* What can't be opened must not keep the rest from being sealed anew. */
static void pass_over(struct store_reseal *walk, const struct error *err)
{
	if (walk->stuck++ == 0)
		snprintf(walk->why, sizeof(walk->why), "%s", err->text);
	log_event(LOG_ERROR, "a secret can't be sealed anew", LOG_STR("place", places[walk->place].name), LOG_ERR(err));
}

int store_reseal(struct store_writer *writer, struct store_reseal *walk, size_t max, bool *ret_done, struct error *err)
{
	const struct keyring *keyring = writer->reader.store->sealing->keyring; /* only this thread changes it */
	uint32_t oldest = keyring_entry(keyring, 0).id;
	int code;

	assert(writer->state == WRITER_OPEN);
	code = writer_check(writer, err);
	if (code != 0)
		return code;
	while (max > 0 && walk->place < ARRAY_LEN(places) && keyring_size(keyring) > 1) {
		struct error why = ERROR_NULL;
		bool found = false;

		code = places[walk->place].reseal(writer, oldest, &walk->after, &found, &why);
		if (code == E_CORRUPT && found && writer_check(writer, NULL) == 0)
			pass_over(walk, &why);
		else if (code != 0)
			return error_set(err, code, "%s", why.text);
		if (!found) {
			walk->place++;
			walk->after = 0;
		}
		max--;
	}
	*ret_done = walk->place == ARRAY_LEN(places) || keyring_size(keyring) == 1;
	return 0;
}
