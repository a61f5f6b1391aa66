/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, receipts, the audit trail; and that an act whose row can't be written is undone. */
#include "opened.h"

#include "store/writer.h"
#include "unit.h"

static struct store_receipt make_receipt(uint8_t token, const char *key, uint64_t time)
{
	struct store_receipt receipt = {.time = time, .revision = {1, 7}, .changed = true, .created = true, .kind = KIND_SSL, .id = "x"};

	memset(receipt.token, token, sizeof(receipt.token));
	memset(receipt.request, 9, sizeof(receipt.request));
	snprintf(receipt.key, sizeof(receipt.key), "%s", key);
	return receipt;
}

static void put_receipt(uint8_t token, const char *key, uint64_t time)
{
	struct store_receipt receipt = make_receipt(token, key, time);

	OK(store_write_begin(writer, &test_error));
	OK(store_put_receipt(writer, &receipt, &test_error));
	OK(store_write_commit(writer, &test_error));
}

static bool has_receipt(uint8_t token, const char *key, uint64_t since)
{
	CLEANUP(store_receipt_deinit) struct store_receipt receipt = {0};
	uint8_t sha256[32];
	int code;

	memset(sha256, token, sizeof(sha256));
	code = store_get_receipt(reader, sha256, key, since, &receipt, &test_error);
	ck_assert(code == 0 || code == E_NOT_FOUND);
	return code == 0;
}

START_TEST(a_receipt_comes_back_whole)
{
	CLEANUP(store_receipt_deinit) struct store_receipt receipt = make_receipt(1, "key", 1000), found = {0};
	uint8_t other[32] = {2};

	setup();
	receipt.warnings = strdup("[1]");
	receipt.secret = secret_new_copy("told once", 9);
	OK(store_write_begin(writer, &test_error));
	OK(store_put_receipt(writer, &receipt, &test_error));
	OK(store_write_commit(writer, &test_error));
	OK(store_get_receipt(reader, receipt.token, "key", 1000, &found, &test_error));
	ck_assert_mem_eq(found.request, receipt.request, 32);
	ck_assert_str_eq(found.id, "x");
	ck_assert_int_eq(found.kind, KIND_SSL);
	ck_assert_str_eq(found.warnings, "[1]");
	ck_assert_uint_eq(found.secret->len, 9);
	ck_assert_mem_eq(found.secret->data, "told once", 9);
	ck_assert(found.changed && found.created);
	ck_assert_uint_eq(found.revision.number, 7);
	FAILS(E_NOT_FOUND, store_get_receipt(reader, receipt.token, "key", 1001, &(struct store_receipt){0}, &test_error));
	FAILS(E_NOT_FOUND, store_get_receipt(reader, receipt.token, "Key", 0, &(struct store_receipt){0}, &test_error));
	FAILS(E_NOT_FOUND, store_get_receipt(reader, other, "key", 0, &(struct store_receipt){0}, &test_error));
	teardown();
}
END_TEST

START_TEST(receipts_are_bounded)
{
	char key[32];

	setup();
	OK(store_write_begin(writer, &test_error));
	for (unsigned i = 0; i < STORE_RECEIPTS_MAX + 5; i++) {
		struct store_receipt receipt;

		snprintf(key, sizeof(key), "k%u", i);
		receipt = make_receipt(1, key, 1000);
		OK(store_put_receipt(writer, &receipt, &test_error));
	}
	OK(store_write_commit(writer, &test_error));
	put_receipt(2, "k0", 1000);
	ck_assert(!has_receipt(1, "k4", 0));
	ck_assert(has_receipt(1, "k5", 0));
	ck_assert(has_receipt(2, "k0", 0)); /* of another token */
	put_receipt(2, "fresh", 1000 + STORE_RECEIPT_SECONDS + 1);
	put_receipt(2, "fresher", 1000 + STORE_RECEIPT_SECONDS + 1);
	ck_assert(!has_receipt(1, "k10", 0)); /* the first in order: each write takes a few that are over */
	ck_assert(has_receipt(2, "fresh", 0));
	teardown();
}
END_TEST

START_TEST(an_old_key_is_free_again)
{
	setup();
	put_receipt(1, "key", 1000);
	put_receipt(1, "key", 1000 + STORE_RECEIPT_SECONDS + 1);
	ck_assert(has_receipt(1, "key", 1001));
	teardown();
}
END_TEST

START_TEST(who_loses_a_token_loses_its_receipts)
{
	struct store_token token = {.id = "t", .role = "viewer", .created_by = "x", .create_time = 1};

	setup();
	memset(token.sha256, 5, sizeof(token.sha256));
	OK(store_write_begin(writer, &test_error));
	OK(store_put_token(writer, &token, &test_error));
	FAILS(E_EXISTS, store_put_token(writer, &token, &test_error));
	OK(store_write_commit(writer, &test_error));
	put_receipt(5, "key", 1000);
	OK(store_write_begin(writer, &test_error));
	OK(store_delete_token(writer, "t", &test_error));
	FAILS(E_NOT_FOUND, store_delete_token(writer, "t", &test_error));
	OK(store_write_commit(writer, &test_error));
	ck_assert(!has_receipt(5, "key", 0));
	teardown();
}
END_TEST

static int count_row(const struct store_audit_row *row, void *context)
{
	++*(unsigned *)context;
	return 0;
}

static unsigned count_audit(const char *actor, const char *outcome)
{
	struct store_audit_filter filter = {actor, outcome};
	unsigned count = 0;

	OK(store_list_audit(reader, &filter, 0, count_row, &count, &test_error));
	return count;
}

START_TEST(audit_by_actor_outcome_and_time)
{
	struct store_author author = {"a", "r", "s", 1000};
	unsigned before;
	uint64_t row;

	setup();
	before = count_audit(NULL, NULL);
	OK(store_write_begin(writer, &test_error));
	OK(store_audit(writer, &author, "x", "ok", &test_error));
	OK(store_audit(writer, &author, "x", "invalid", &test_error));
	author.actor = "b";
	author.now = UINT64_C(99999999999);
	OK(store_audit(writer, &author, "x", "invalid", &test_error));
	OK(store_write_commit(writer, &test_error));
	ck_assert_uint_eq(count_audit(NULL, NULL), before + 3);
	ck_assert_uint_eq(count_audit("a", NULL), 2);
	ck_assert_uint_eq(count_audit(NULL, "invalid"), 2);
	OK(store_first_audit_since(reader, UINT64_C(99999999999), &row, &test_error));
	ck_assert_uint_eq(row, before + 3);
	FAILS(E_NOT_FOUND, store_first_audit_since(reader, UINT64_MAX, &row, &test_error));
	teardown();
}
END_TEST

/* The row of the trail is what fails, and nothing else: no trace of the write is left. */
START_TEST(what_cannot_be_audited_does_not_happen)
{
	struct store_revision revision, head, before;
	struct store_row row;

	setup();
	OK(store_head(reader, &before, &test_error));
	ck_assert_int_eq(sqlite3_exec(writer->reader.database.handle,
	                              "CREATE TEMP TRIGGER full BEFORE INSERT ON main.audit"
	                              " BEGIN SELECT RAISE(ABORT, 'disk full'); END",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "u", "", true, "body"));
	test_error = ERROR_NULL;
	ck_assert_int_lt(store_revision_end(writer, &revision, &test_error), 0);
	OK(store_write_commit(writer, &test_error));
	OK(store_head(reader, &head, &test_error));
	ck_assert_uint_eq(head.revision.number, before.revision.number);
	FAILS(E_NOT_FOUND, store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error));
	ck_assert_int_eq(sqlite3_exec(writer->reader.database.handle, "DROP TRIGGER full", NULL, NULL, NULL), SQLITE_OK);
	put_alone(writer, KIND_UPSTREAM, "u", "", true, "body");
	teardown();
}
END_TEST

UNIT_MAIN("store/access", a_receipt_comes_back_whole, receipts_are_bounded, an_old_key_is_free_again, who_loses_a_token_loses_its_receipts,
          audit_by_actor_outcome_and_time, what_cannot_be_audited_does_not_happen)
