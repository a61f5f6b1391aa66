/* SPDX-License-Identifier: Apache-2.0 */
/* One key takes the place of another, step by step: what stands in the file, what in the store, what seals; and what a start makes of
 * each moment at which the process may have ended. */
#include "fixture.h"

#include "crypto/authority.h"
#include "store/sealing.h"
#include "store/statements.h"
#include "store/store_access.h"
#include "store/store_backup.h"
#include "store/writer.h"

#include <openssl/x509.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct store *store;
static struct store_writer *writer;

static void start(void)
{
	store = open_store();
	OK(store_writer_open(store, &writer, &test_error));
}

static void stop(void)
{
	writer = store_writer_close(writer);
	store = store_close(store);
}

static void setup(void)
{
	fixture_setup();
	start();
}

static void teardown(void)
{
	stop();
	fixture_teardown();
}

static void path_in_dir(char *path, const char *name)
{
	snprintf(path, 128, "%s/%s", test_dir, name);
}

static void put_secret(const char *id, const char *text)
{
	struct resource *resource = make_resource(KIND_SSL, id, "", true, "body");
	struct store_revision revision;

	resource->secret = secret_new(strlen(text));
	memcpy(resource->secret->data, text, strlen(text));
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_resource(writer, resource, &test_error));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	resource_free(resource);
}

static uint32_t sealed_with(const struct store_row *row)
{
	uint32_t id = 0;

	ck_assert(seal_key_id(row->sealed, &id));
	return id;
}

/* The secret of ssls/ID at a revision (0: now) is `text`, sealed by `key`. */
static void check_secret(const char *id, uint64_t revision, const char *text, uint32_t key)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	CLEANUP(secret_free) struct secret *secret = NULL;

	OK(store_get(store_writer_reader(writer), KIND_SSL, id, revision, &row, &test_error));
	OK(store_open_secret(store, &row, &secret, &test_error));
	ck_assert_uint_eq(secret->len, strlen(text));
	ck_assert_mem_eq(secret->data, text, secret->len);
	ck_assert_uint_eq(sealed_with(&row), key);
}

static void add_key(uint32_t expected)
{
	uint32_t id = 0;

	OK(store_write_begin(writer, &test_error));
	OK(store_key_make(writer, &test_error));
	OK(store_key_add(writer, &test_author, &id, &test_error));
	ck_assert_uint_eq(id, expected);
	OK(store_write_commit(writer, &test_error));
}

/* Returns how many transactions it took. */
static unsigned reseal_all(size_t max)
{
	struct store_reseal walk = {0};
	unsigned turns = 0;

	for (bool done = false; !done; turns++) {
		OK(store_write_begin(writer, &test_error));
		OK(store_reseal(writer, &walk, max, &done, &test_error));
		OK(store_write_commit(writer, &test_error));
	}
	ck_assert_uint_eq(walk.stuck, 0);
	return turns;
}

static int retire(void)
{
	int code;

	OK(store_write_begin(writer, &test_error));
	code = store_key_retire(writer, &test_author, &test_error);
	if (code != 0) {
		store_write_rollback(writer);
		return code;
	}
	return store_write_commit(writer, &test_error);
}

static int clear_log(void)
{
	uint64_t left;

	return store_clear_log(writer, true, &left, &test_error);
}

/* "1:3 2*": the keys as they are told, with what the old ones still seal. */
static const char *keys_told(void)
{
	static char text[128];
	struct store_key keys[KEYRING_KEYS_MAX];
	size_t len = 0, used = 0;

	OK(store_list_keys(store_writer_reader(writer), keys, KEYRING_KEYS_MAX, &len, &test_error));
	text[0] = 0;
	for (size_t i = 0; i < len; i++)
		used += (size_t)(keys[i].is_sealing ? snprintf(text + used, sizeof(text) - used, "%s%u*", i > 0 ? " " : "", keys[i].id)
		                                    : snprintf(text + used, sizeof(text) - used, "%s%u:%u", i > 0 ? " " : "", keys[i].id,
		                                               (unsigned)keys[i].seals));
	return text;
}

/* "1 2": the numbers of the keys in the file. */
static const char *keys_in_file(void)
{
	static char text[128];
	CLEANUP(keyring_free) struct keyring *keyring = NULL;
	char path[128];
	size_t used = 0;

	path_in_dir(path, "keyring");
	OK(keyring_load(path, false, &keyring, &test_error));
	for (size_t i = 0; i < keyring_size(keyring); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u", i > 0 ? " " : "", keyring_entry(keyring, i).id);
	return text;
}

static void check_ca(void)
{
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;

	OK(store_load_ca(store, &cert, &key, &test_error));
	ck_assert_int_eq(X509_check_private_key(cert, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void put_ticket_and_receipt(void)
{
	struct store_ticket_key ticket = {.number = 1, .name = "name", .secret = "ticket", .made = 1, .encrypt_until = 2, .decrypt_until = 3};
	struct store_receipt receipt = {.key = "again", .time = 100};

	receipt.secret = secret_new(4);
	memcpy(receipt.secret->data, "told", 4);
	OK(store_write_begin(writer, &test_error));
	OK(store_put_ticket_keys(writer, "a=1", &ticket, 1, &test_error));
	OK(store_put_receipt(writer, &receipt, &test_error));
	OK(store_write_commit(writer, &test_error));
	store_receipt_deinit(&receipt);
}

static int check_ticket(const char *selector, const struct store_ticket_key *key, void *context)
{
	ck_assert_str_eq((const char *)key->secret, "ticket");
	ck_assert(!key->lost);
	++*(unsigned *)context;
	return 0;
}

static void check_ticket_and_receipt(void)
{
	CLEANUP(store_receipt_deinit) struct store_receipt receipt = {0};
	unsigned tickets = 0;

	OK(store_each_ticket_key(store_writer_reader(writer), check_ticket, &tickets, &test_error));
	ck_assert_uint_eq(tickets, 1);
	OK(store_get_receipt(store_writer_reader(writer), receipt.token, "again", 0, &receipt, &test_error));
	ck_assert_mem_eq(receipt.secret->data, "told", 4);
}

START_TEST(everything_is_sealed_anew)
{
	put_secret("a", "first"); /* revision 2 */
	put_secret("a", "second");
	put_secret("b", "other");
	put_ticket_and_receipt();
	ck_assert_str_eq(keys_told(), "1*");
	add_key(2);
	ck_assert_str_eq(keys_in_file(), "1 2");
	ck_assert_str_eq(keys_told(), "1:6 2*"); /* three states, ticket, receipt, CA */
	check_secret("a", 0, "second", 1);
	put_secret("c", "written meanwhile");
	check_secret("c", 0, "written meanwhile", 2);
	ck_assert_int_eq(retire(), E_CONFLICT);

	ck_assert_uint_gt(reseal_all(2), 3);
	ck_assert_str_eq(keys_told(), "1:0 2*");
	check_secret("a", 2, "first", 2);
	check_secret("a", 0, "second", 2);
	check_secret("b", 0, "other", 2);
	check_ticket_and_receipt();
	ck_assert_int_eq(clear_log(), 0);
	ck_assert_int_eq(retire(), 0);
	ck_assert_str_eq(keys_in_file(), "1 2");
	OK(store_key_forget(writer, &test_error));
	ck_assert_str_eq(keys_in_file(), "2");
	ck_assert_str_eq(keys_told(), "2*");
	ck_assert(!store_has_old_key(writer));

	stop();
	start();
	check_ca();
	check_secret("a", 2, "first", 2);
	check_ticket_and_receipt();
	add_key(3);
	ck_assert_str_eq(keys_in_file(), "2 3");
}
END_TEST

START_TEST(one_at_a_time)
{
	add_key(2);
	OK(store_write_begin(writer, &test_error));
	FAILS(E_CONFLICT, store_key_make(writer, &test_error));
	store_write_rollback(writer);
	ck_assert_str_eq(keys_in_file(), "1 2");
}
END_TEST

START_TEST(a_lost_transaction_leaves_the_old_key_sealing)
{
	char before[128], path[128], text[256] = "", again[256] = "";
	uint32_t id;
	FILE *file;

	put_secret("a", "secret");
	OK(store_write_begin(writer, &test_error));
	OK(store_key_make(writer, &test_error));
	OK(store_key_add(writer, &test_author, &id, &test_error));
	store_write_rollback(writer);
	put_secret("b", "secret");
	check_secret("b", 0, "secret", 1);
	snprintf(before, sizeof(before), "%s", keys_told());
	ck_assert_str_eq(before, "1*");
	/* The next attempt takes the key that may be on disk already: another with the same number must never be. */
	path_in_dir(path, "keyring");
	file = fopen(path, "r");
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
	fclose(file);
	add_key(2);
	file = fopen(path, "r");
	ck_assert_uint_gt(fread(again, 1, sizeof(again) - 1, file), 0);
	fclose(file);
	ck_assert_str_eq(text, again);
}
END_TEST

START_TEST(a_reader_of_before_keeps_the_key)
{
	CLEANUP(store_reader_close) struct store_reader *reader = NULL;
	CLEANUP(store_row_deinit) struct store_row row = {0};
	CLEANUP(secret_free) struct secret *secret = NULL;

	put_secret("a", "secret");
	OK(store_reader_open(store, &reader, &test_error));
	OK(store_begin(reader, &test_error));
	OK(store_get(reader, KIND_SSL, "a", 0, &row, &test_error));
	add_key(2);
	(void)reseal_all(64);
	FAILS(E_BUSY, clear_log());
	OK(store_open_secret(store, &row, &secret, &test_error)); /* as it has read it */
	ck_assert_uint_eq(sealed_with(&row), 1);
	store_end(reader);
	OK(clear_log());
}
END_TEST

START_TEST(what_cannot_be_opened_is_passed_over)
{
	struct store_reseal walk = {0};
	bool done = false;

	put_secret("a", "secret");
	put_secret("b", "damaged");
	put_secret("c", "secret");
	put_ticket_and_receipt();
	ck_assert_int_eq(sqlite3_exec(writer->reader.database.handle,
	                              "UPDATE object SET secret = CAST(substr(secret, 1, 40) || x'0000000000' AS BLOB) WHERE id = 'b';"
	                              "UPDATE ticket_key SET sealed = CAST(substr(sealed, 1, 60) || zeroblob(37) AS BLOB);"
	                              "UPDATE receipt SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(7) AS BLOB)",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
	add_key(2);
	for (unsigned turns = 0; !done; turns++) {
		OK(store_write_begin(writer, &test_error));
		OK(store_reseal(writer, &walk, 1, &done, &test_error));
		OK(store_write_commit(writer, &test_error));
		ck_assert_uint_lt(turns, 20);
	}
	ck_assert_uint_eq(walk.stuck, 1);
	ck_assert_ptr_nonnull(strstr(walk.why, "ssls/b"));
	ck_assert_str_eq(keys_told(), "1:1 2*"); /* ticket and receipt are of no use to anybody: gone */
	check_secret("a", 0, "secret", 2);
	check_secret("c", 0, "secret", 2);
	ck_assert_int_eq(retire(), E_CONFLICT);
}
END_TEST

/* Ends. ------------------------------------------------------------------------------------------------------------- */

static void step_make(void)
{
	OK(store_write_begin(writer, &test_error));
	OK(store_key_make(writer, &test_error));
}

static void step_add(void)
{
	add_key(2);
}

static void step_reseal_some(void)
{
	struct store_reseal walk = {0};
	bool done;

	add_key(2);
	OK(store_write_begin(writer, &test_error));
	OK(store_reseal(writer, &walk, 1, &done, &test_error));
	OK(store_write_commit(writer, &test_error));
}

static void step_reseal_all(void)
{
	add_key(2);
	(void)reseal_all(64);
	OK(clear_log());
}

static void step_retire(void)
{
	step_reseal_all();
	ck_assert_int_eq(retire(), 0);
}

static const struct {
	void (*run)(void);
	const char *file, *told; /* after the next start */
} ends[] = {
	{step_make, "1 2", "1:3 2*"},
	{step_add, "1 2", "1:3 2*"},
	{step_reseal_some, "1 2", "1:2 2*"},
	{step_reseal_all, "1 2", "1:0 2*"},
	{step_retire, "2", "2*"},
};

/* In a process of its own, that ends without closing anything. */
START_TEST(a_start_goes_on_from_any_step)
{
	pid_t child;
	int status;

	put_secret("a", "one");
	put_secret("b", "two");
	stop();
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		start();
		ends[_i].run();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	start();
	ck_assert_str_eq(keys_in_file(), ends[_i].file);
	ck_assert_str_eq(keys_told(), ends[_i].told);
	if (store_has_old_key(writer)) {
		(void)reseal_all(64);
		OK(clear_log());
		ck_assert_int_eq(retire(), 0);
		OK(store_key_forget(writer, &test_error));
	}
	ck_assert_str_eq(keys_in_file(), "2");
	check_secret("a", 0, "one", 2);
	check_secret("b", 0, "two", 2);
	check_ca();
}
END_TEST

START_TEST(a_store_of_an_older_release)
{
	CLEANUP(buf_deinit) struct buf gone = BUF_NULL;
	uint8_t mark[KEYRING_FINGERPRINT_LEN];

	put_secret("a", "secret");
	keyring_fingerprint(store->sealing->keyring, mark);
	ck_assert_int_eq(sqlite3_exec(writer->reader.database.handle, "DELETE FROM sealing_key", NULL, NULL, NULL), SQLITE_OK);
	OK(meta_put(&writer->reader.database, "keyring", BYTES(mark, sizeof(mark)), &test_error));
	stop();
	start();
	ck_assert_str_eq(keys_told(), "1*");
	ck_assert_int_eq(meta_get(&writer->reader.database, "keyring", &gone, &test_error), E_NOT_FOUND);
	check_secret("a", 0, "secret", 1);
}
END_TEST

START_TEST(a_keyring_that_lacks_a_key)
{
	struct store_config config = {.dir = test_dir};
	char path[128], kept[160];
	struct store *none = NULL;

	path_in_dir(path, "keyring");
	snprintf(kept, sizeof(kept), "%s.kept", path);
	ck_assert_int_eq(link(path, kept), 0); /* a backup of before the rotation; the file itself is replaced */
	add_key(2);
	stop();
	ck_assert_int_eq(rename(kept, path), 0);
	FAILS(E_CORRUPT, store_open(&config, &none, &test_error));
	ck_assert_ptr_nonnull(strstr(test_error.text, "not the keyring"));
}
END_TEST

START_TEST(a_copy_without_its_key)
{
	CLEANUP(keyring_free) struct keyring *other = NULL;
	char path[128], file[128], ring[128];
	struct store_backup backup = {.dir = test_dir, .file = file, .keyring = ring};
	struct stat found;

	path_in_dir(path, "keyring");
	path_in_dir(file, "copy");
	path_in_dir(ring, "copy.keyring");
	OK(store_backup(&backup, &test_error));
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(unlink(ring), 0);
	ck_assert_int_eq(unlink(path), 0);
	OK(keyring_load(path, true, &other, &test_error));
	FAILS(E_CORRUPT, store_backup(&backup, &test_error));
	ck_assert_ptr_nonnull(strstr(test_error.text, "lacks a key"));
	ck_assert_int_ne(stat(file, &found), 0);
	ck_assert_int_ne(stat(ring, &found), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keyring");
	TCase *tcase = tcase_create("keyring");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, everything_is_sealed_anew);
	tcase_add_test(tcase, one_at_a_time);
	tcase_add_test(tcase, a_lost_transaction_leaves_the_old_key_sealing);
	tcase_add_test(tcase, a_reader_of_before_keeps_the_key);
	tcase_add_test(tcase, what_cannot_be_opened_is_passed_over);
	tcase_add_loop_test(tcase, a_start_goes_on_from_any_step, 0, (int)(sizeof(ends) / sizeof(ends[0])));
	tcase_add_test(tcase, a_store_of_an_older_release);
	tcase_add_test(tcase, a_keyring_that_lacks_a_key);
	tcase_add_test(tcase, a_copy_without_its_key);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
