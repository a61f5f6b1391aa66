/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys at rest: what is put comes back, what goes is gone from the file, marks survive, nothing stands there in clear. */
#include "fixture.h"

#include "store/statements.h"
#include "store/store_tickets.h"
#include "store/writer.h"

#define KEYS_MAX 16

static struct store *store;
static struct store_writer *writer;

struct found {
	char selector[64];
	struct store_ticket_key key;
};

static struct found found[KEYS_MAX];
static size_t found_len;

static void setup(void)
{
	fixture_setup();
	store = open_store();
	OK(store_writer_open(store, &writer, &test_error));
}

static void teardown(void)
{
	store_writer_close(writer);
	store_close(store);
	fixture_teardown();
}

static struct store_ticket_key make_key(uint64_t number, const char *secret)
{
	struct store_ticket_key key = {.number = number, .made = 10, .encrypt_until = 20, .decrypt_until = 30};

	memset(key.name, (int)number, sizeof(key.name));
	for (size_t i = 0; i < sizeof(key.secret); i++)
		key.secret[i] = (uint8_t)secret[i % strlen(secret)];
	return key;
}

static void put(const char *selector, const struct store_ticket_key *keys, size_t len)
{
	OK(store_write_begin(writer, &test_error));
	OK(store_put_ticket_keys(writer, selector, keys, len, &test_error));
	OK(store_write_commit(writer, &test_error));
}

static int find(const char *selector, const struct store_ticket_key *key, void *context)
{
	ck_assert_uint_lt(found_len, KEYS_MAX);
	snprintf(found[found_len].selector, sizeof(found[0].selector), "%s", selector);
	found[found_len++].key = *key;
	return 0;
}

static void load(void)
{
	found_len = 0;
	OK(store_each_ticket_key(store_writer_reader(writer), find, NULL, &test_error));
}

/* "selector/number ..." of those that are lost. */
static char lost[256];

static int find_lost(const char *selector, uint64_t number, void *context)
{
	size_t len = strlen(lost);

	snprintf(lost + len, sizeof(lost) - len, "%s/%u ", selector, (unsigned)number);
	return 0;
}

static const char *lose(const char *before, const char *after)
{
	OK(store_write_begin(writer, &test_error));
	OK(store_lose_ticket_keys(writer, before, after, &test_error));
	OK(store_write_commit(writer, &test_error));
	lost[0] = '\0';
	OK(store_each_lost_ticket_key(store_writer_reader(writer), find_lost, NULL, &test_error));
	return lost;
}

START_TEST(test_come_back)
{
	struct store_ticket_key keys[] = {make_key(3, "a"), make_key(4, "b")};

	keys[0].encrypt_from = 11;
	put("site=x", keys, 2);
	put("", &keys[1], 1);
	store_writer_close(writer);
	store_close(store);
	store = open_store();
	OK(store_writer_open(store, &writer, &test_error));
	load();
	ck_assert_uint_eq(found_len, 3);
	ck_assert_str_eq(found[0].selector, "");
	ck_assert_mem_eq(&found[0].key, &keys[1], sizeof(keys[1]));
	ck_assert_str_eq(found[1].selector, "site=x");
	ck_assert_mem_eq(&found[1].key, &keys[0], sizeof(keys[0]));
	ck_assert_mem_eq(&found[2].key, &keys[1], sizeof(keys[1]));
}
END_TEST

START_TEST(test_become)
{
	struct store_ticket_key keys[] = {make_key(1, "a"), make_key(2, "b"), make_key(3, "c")};

	put("", keys, 2);
	keys[1].encrypt_from = 12;
	keys[1].encrypt_until = 22;
	keys[1].decrypt_until = 32;
	put("", &keys[1], 2);
	load();
	ck_assert_uint_eq(found_len, 2);
	ck_assert_mem_eq(&found[0].key, &keys[1], sizeof(keys[1]));
	ck_assert_mem_eq(&found[1].key, &keys[2], sizeof(keys[2]));
	put("", NULL, 0);
	load();
	ck_assert_uint_eq(found_len, 0);
}
END_TEST

START_TEST(test_lose)
{
	static const char *const selectors[] = {"", "site=x", "site=x,zone=a", "site=x-y", "site=xx", "site=y", "zone=a"};
	struct store_ticket_key key = make_key(1, "a");

	for (size_t i = 0; i < ARRAY_LEN(selectors); i++)
		put(selectors[i], &key, 1);
	ck_assert_str_eq(lose("site=x,zone=a", "site=x,zone=a"), "");
	ck_assert_str_eq(lose("site=x,zone=a", "site=x"), "site=x,zone=a/1 zone=a/1 ");
	ck_assert_str_eq(lose("site=x-y", "site=y"), "site=x,zone=a/1 site=x-y/1 zone=a/1 ");
	ck_assert_str_eq(lose("site=xx", NULL), "/1 site=x,zone=a/1 site=x-y/1 site=xx/1 zone=a/1 ");
	ck_assert_str_eq(lose("", NULL), "/1 site=x,zone=a/1 site=x-y/1 site=xx/1 zone=a/1 ");
}
END_TEST

/* A rotation that was decided before the loss is written after it. */
START_TEST(test_mark_stays)
{
	struct store_ticket_key keys[] = {make_key(1, "a"), make_key(2, "b")};

	put("", keys, 1);
	(void)lose("", NULL);
	put("", keys, 2);
	load();
	ck_assert(found[0].key.lost);
	ck_assert(!found[1].key.lost);
	put("", &keys[1], 1);
	ck_assert_str_eq(lose("site=x", "site=x"), "");
}
END_TEST

/* Marking is part of the revision: what is undone is undone. */
START_TEST(test_mark_undone)
{
	struct store_ticket_key key = make_key(1, "a");

	put("", &key, 1);
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(store_lose_ticket_keys(writer, "", NULL, &test_error));
	store_revision_abort(writer);
	OK(store_write_commit(writer, &test_error));
	load();
	ck_assert(!found[0].key.lost);
}
END_TEST

/* A key under another selector's name, or one that was tampered with, is of no use: it comes as lost, the rest as it is. */
START_TEST(test_seal_is_bound)
{
	struct store_ticket_key key = make_key(1, "a");
	static const uint8_t zeros[STORE_TICKET_SECRET_LEN];

	put("site=x", &key, 1);
	put("site=z", &key, 1);
	ck_assert_int_eq(sqlite3_exec(writer->reader.database.handle, "UPDATE ticket_key SET selector = 'site=y' WHERE selector = 'site=x'",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
	load();
	ck_assert_uint_eq(found_len, 2);
	ck_assert(found[0].key.lost);
	ck_assert_mem_eq(found[0].key.secret, zeros, sizeof(zeros));
	ck_assert(!found[1].key.lost);
	ck_assert_mem_eq(found[1].key.secret, key.secret, sizeof(key.secret));
}
END_TEST

static bool is_in_files(const void *bytes, size_t len)
{
	static const char *const names[] = {"store.db", "store.db-wal"};
	bool is_in = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[128];
		size_t size;
		char *content;
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", test_dir, names[i]);
		file = fopen(path, "rb");
		if (file == NULL)
			continue;
		fseek(file, 0, SEEK_END);
		size = (size_t)ftell(file);
		rewind(file);
		content = malloc(size + 1);
		ck_assert_uint_eq(fread(content, 1, size, file), size);
		is_in |= memmem(content, size, bytes, len) != NULL;
		free(content);
		fclose(file);
	}
	return is_in;
}

static void checkpoint(void)
{
	ck_assert_int_eq(sqlite3_wal_checkpoint_v2(writer->reader.database.handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
}

START_TEST(test_canary)
{
	struct store_ticket_key key = make_key(7, "this is a canary");

	put("", &key, 1);
	ck_assert(is_in_files(key.name, sizeof(key.name)));
	ck_assert(!is_in_files(key.secret, 16));
	checkpoint();
	ck_assert(is_in_files(key.name, sizeof(key.name)));
	ck_assert(!is_in_files(key.secret, 16));
	put("", NULL, 0);
	checkpoint();
	ck_assert(!is_in_files(key.name, sizeof(key.name))); /* overwritten, not only unlinked */
}
END_TEST

static int take_first(struct bytes body, void *context)
{
	snprintf(context, 64, "%.*s", (int)body.len, (const char *)body.data);
	return 1;
}

/* What makes a selector need keys: its SSL objects, held now. */
START_TEST(test_ssl_bodies)
{
	char body[64] = "";

	put_alone(writer, KIND_UPSTREAM, "u", "site=x", true, "upstream");
	put_alone(writer, KIND_SSL, "off", "site=x", false, "disabled");
	put_alone(writer, KIND_SSL, "other", "site=y", true, "other");
	OK(store_each_ssl_body(store_writer_reader(writer), "site=x", take_first, body, &test_error));
	ck_assert_str_eq(body, "");
	put_alone(writer, KIND_SSL, "on", "site=x", true, "enabled");
	OK(store_each_ssl_body(store_writer_reader(writer), "site=x", take_first, body, &test_error));
	ck_assert_str_eq(body, "enabled");
	put_alone(writer, KIND_SSL, "on", "site=x", false, "enabled");
	body[0] = '\0';
	OK(store_each_ssl_body(store_writer_reader(writer), "site=x", take_first, body, &test_error));
	ck_assert_str_eq(body, "");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_come_back, test_become,    test_lose,   test_mark_stays,
	                                     test_mark_undone, test_seal_is_bound, test_canary, test_ssl_bodies};
	Suite *suite = suite_create("tickets");
	TCase *tcase = tcase_create("tickets");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tcase, tests[i]);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
