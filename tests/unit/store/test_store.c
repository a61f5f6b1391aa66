/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: first start, lock, keyring, versions, presets, CA, a new epoch, commits that survive a kill and commits that
 * can't be made. */
#include "fixture.h"

#include "base/log.h"
#include "crypto/authority.h"
#include "store/writer.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void path_in_dir(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", test_dir, name);
}

static mode_t mode_of(const char *name)
{
	char path[128];
	struct stat info;

	path_in_dir(path, name);
	ck_assert_int_eq(stat(path, &info), 0);
	return info.st_mode & 0777;
}

static int try_open(const struct store_config *config)
{
	struct store *store = NULL;
	int code = store_open(config, &store, &test_error);

	store_close(store);
	return code;
}

START_TEST(test_first_start)
{
	struct store *store = open_store();
	struct store_reader *reader = NULL;
	struct store_revision head;
	struct store_row row;
	char path[128], token[128] = "";
	struct store_token admin;
	uint8_t sha256[SHA256_LEN];
	uint64_t count;
	FILE *file;

	ck_assert_int_eq(mode_of("keyring"), 0600);
	ck_assert_int_eq(mode_of("admin.token"), 0600);
	ck_assert_int_eq(mode_of("store.db"), 0600);
	OK(store_reader_open(store, &reader, &test_error));
	OK(store_head(reader, &head, &test_error));
	ck_assert_uint_eq(head.revision.epoch, 1);
	ck_assert_uint_eq(head.revision.number, 1);
	ck_assert_str_eq(head.actor, "tlsplane");
	OK(store_count(reader, KIND_TLS_OPTIONS, &count, &test_error));
	ck_assert_uint_eq(count, head.changes);
	OK(store_get(reader, KIND_TLS_OPTIONS, "modern", 0, &row, &test_error));
	ck_assert_uint_eq(row.from_revision, 1);
	store_row_deinit(&row);

	path_in_dir(path, "admin.token");
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(fgets(token, sizeof(token), file));
	fclose(file);
	ck_assert_int_eq(strncmp(token, "tlsplane_admin_", 15), 0);
	ck_assert_uint_eq(strcspn(token, "\n"), 15 + 43);
	OK(crypto_sha256(BYTES(token, 15 + 43), sha256, &test_error));
	OK(store_find_token(reader, sha256, &admin, &test_error));
	ck_assert_str_eq(admin.id, "admin");
	ck_assert_str_eq(admin.role, "admin");
	ck_assert_uint_eq(admin.expire_time, 0);
	store_token_deinit(&admin);
	sha256[0] ^= 1;
	FAILS(E_NOT_FOUND, store_find_token(reader, sha256, &admin, &test_error));
	store_reader_close(reader);
	store_close(store);
}
END_TEST

START_TEST(test_second_start)
{
	struct store_revision before, after;
	struct store_reader *reader = NULL;
	struct store *store = open_store();
	X509 *ca, *again;
	EVP_PKEY *key;
	char domain[256];

	OK(store_load_ca(store, &ca, &key, &test_error));
	EVP_PKEY_free(key);
	OK(authority_trust_domain(ca, domain, &test_error));
	ck_assert_str_eq(domain, "test.example");
	OK(store_reader_open(store, &reader, &test_error));
	OK(store_head(reader, &before, &test_error));
	store_reader_close(reader);
	store_close(store);

	store = open_store();
	OK(store_reader_open(store, &reader, &test_error));
	OK(store_head(reader, &after, &test_error));
	ck_assert_uint_eq(after.revision.number, before.revision.number);
	ck_assert(digest_is_equal(&after.chain, &before.chain));
	OK(store_load_ca(store, &again, &key, &test_error));
	ck_assert_int_eq(X509_cmp(ca, again), 0);
	X509_free(ca);
	X509_free(again);
	EVP_PKEY_free(key);
	store_reader_close(reader);
	store_close(store);
}
END_TEST

static void write_pem(const char *name, X509 *cert, EVP_PKEY *key, char path[128])
{
	FILE *file;

	path_in_dir(path, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	if (cert != NULL)
		ck_assert_int_eq(PEM_write_X509(file, cert), 1);
	if (key != NULL)
		ck_assert_int_eq(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
}

START_TEST(test_brought_ca)
{
	X509 *ca, *other, *leaf, *stored;
	EVP_PKEY *key, *other_key, *stored_key;
	char data[128], cert_path[128], key_path[128], other_path[128], leaf_path[128], empty_path[128];
	struct store_config config = {.dir = data, .ca_cert = cert_path, .ca_key = key_path};
	struct store_config half = {.dir = data, .ca_cert = cert_path}, mixed = config, no_ca = config, empty = config;
	struct store *store = NULL;

	path_in_dir(data, "data");
	OK(authority_make_ca("brought.example", 1700000000, &ca, &key, &test_error));
	OK(authority_make_ca("other.example", 1700000000, &other, &other_key, &test_error));
	OK(authority_issue(ca, key, AUTHORITY_CONTROLPLANE, NULL, key, 1700000000, 1000, &leaf, &test_error));
	write_pem("ca.pem", ca, NULL, cert_path);
	write_pem("ca.key", NULL, key, key_path);
	write_pem("other.pem", other, NULL, other_path);
	write_pem("leaf.pem", leaf, NULL, leaf_path);
	write_pem("empty.pem", NULL, NULL, empty_path);
	FAILS(E_INVALID, try_open(&half));
	mixed.ca_cert = other_path;
	FAILS(E_INVALID, try_open(&mixed));
	no_ca.ca_cert = leaf_path;
	FAILS(E_INVALID, try_open(&no_ca));
	ck_assert_ptr_nonnull(strstr(test_error.text, "not a CA"));
	empty.ca_cert = empty_path;
	FAILS(E_SYNTAX, try_open(&empty));

	OK(store_open(&config, &store, &test_error)); /* nothing of the refused starts is left */
	OK(store_load_ca(store, &stored, &stored_key, &test_error));
	ck_assert_int_eq(X509_cmp(ca, stored), 0);
	X509_free(stored);
	EVP_PKEY_free(stored_key);
	store_close(store);
	OK(try_open(&config));
	FAILS(E_CONFLICT, try_open(&mixed));
	X509_free(ca);
	X509_free(other);
	X509_free(leaf);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
}
END_TEST

START_TEST(test_lock)
{
	struct store_config config = {.dir = test_dir};
	struct store *store = open_store();

	FAILS(E_BUSY, try_open(&config));
	ck_assert_ptr_nonnull(strstr(test_error.text, "in use by another process"));
	store_close(store);
	OK(try_open(&config));
}
END_TEST

START_TEST(test_wrong_keyring)
{
	struct store_config config = {.dir = test_dir};
	char path[128];

	store_close(open_store());
	path_in_dir(path, "keyring");
	ck_assert_int_eq(unlink(path), 0);
	FAILS(E_CORRUPT, try_open(&config));
	ck_assert_ptr_nonnull(strstr(test_error.text, "keyring is missing"));
	{
		struct keyring *other = NULL;

		OK(keyring_load(path, true, &other, &test_error));
		keyring_free(other);
	}
	FAILS(E_CORRUPT, try_open(&config));
	ck_assert_ptr_nonnull(strstr(test_error.text, "not the keyring"));
}
END_TEST

START_TEST(test_newer_schema)
{
	struct store_config config = {.dir = test_dir};
	char path[128];
	sqlite3 *handle;

	store_close(open_store());
	path_in_dir(path, "store.db");
	ck_assert_int_eq(sqlite3_open(path, &handle), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(handle, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(handle);
	FAILS(E_VERSION, try_open(&config));
	ck_assert_ptr_nonnull(strstr(test_error.text, "newer release"));
}
END_TEST

START_TEST(test_not_a_database)
{
	struct store_config config = {.dir = test_dir};
	char path[128];
	FILE *file;

	path_in_dir(path, "store.db");
	file = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is not a database ", file);
	fclose(file);
	FAILS(E_CORRUPT, try_open(&config));
}
END_TEST

START_TEST(test_unwritable_dir)
{
	struct store_config config = {.dir = "/proc/nowhere"};

	ck_assert_int_ne(try_open(&config), 0);
	ck_assert_ptr_nonnull(strstr(test_error.text, "data directory /proc/nowhere"));
}
END_TEST

START_TEST(test_presets_follow_the_build)
{
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	struct store_reader *reader = NULL;
	struct store_revision head;
	struct store_row row;

	OK(store_writer_open(store, &writer, &test_error));
	put_alone(writer, KIND_TLS_OPTIONS, "modern", "", true, "of another release");
	store_writer_close(writer);
	store_close(store);
	store = open_store();
	OK(store_reader_open(store, &reader, &test_error));
	OK(store_head(reader, &head, &test_error));
	ck_assert_uint_eq(head.revision.number, 3);
	ck_assert_uint_eq(head.changes, 1);
	ck_assert_str_eq(head.actor, "tlsplane");
	ck_assert_str_eq(head.summary, "put tls_options/modern");
	OK(store_get(reader, KIND_TLS_OPTIONS, "modern", 0, &row, &test_error));
	ck_assert(row.state.object.body.len != strlen("of another release") ||
	          memcmp(row.state.object.body.data, "of another release", row.state.object.body.len) != 0);
	store_row_deinit(&row);
	store_reader_close(reader);
	store_close(store);
}
END_TEST

START_TEST(test_new_epoch)
{
	struct store_config config = {.dir = test_dir, .new_epoch = true};
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	struct store_reader *reader = NULL;
	struct store_revision before, head, next;
	struct store_row row;
	uint64_t epoch;

	OK(store_writer_open(store, &writer, &test_error));
	before = put_alone(writer, KIND_UPSTREAM, "u", "", true, "old");
	store_writer_close(writer);
	store_close(store);
	OK(store_open(&config, &store, &test_error));
	OK(store_reader_open(store, &reader, &test_error));
	OK(store_head(reader, &head, &test_error));
	ck_assert_uint_gt(head.revision.epoch, 1);
	epoch = head.revision.epoch;
	ck_assert_uint_eq(head.revision.number, before.revision.number + 1);
	ck_assert_uint_eq(head.changes, 0);
	ck_assert_str_eq(head.actor, "operator");
	ck_assert_int_gt(revision_compare(head.revision, (struct revision){1, 1000000}), 0);
	OK(store_writer_open(store, &writer, &test_error));
	next = put_alone(writer, KIND_UPSTREAM, "u", "", true, "new");
	ck_assert_uint_eq(next.revision.epoch, epoch);
	OK(store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error));
	ck_assert_uint_eq(row.state.object.epoch, epoch);
	store_row_deinit(&row);
	OK(store_get(reader, KIND_UPSTREAM, "u", head.revision.number, &row, &test_error));
	ck_assert_uint_eq(row.state.object.epoch, 1);
	store_row_deinit(&row);
	store_writer_close(writer);
	store_reader_close(reader);
	store_close(store);
}
END_TEST

static void copy_database(const char *from, const char *to)
{
	char source[128], target[128], *data = malloc(1 << 22);
	size_t len;
	FILE *file;

	path_in_dir(source, from);
	path_in_dir(target, to);
	file = fopen(source, "r");
	len = fread(data, 1, 1 << 22, file);
	fclose(file);
	file = fopen(target, "w");
	ck_assert_uint_eq(fwrite(data, 1, len, file), len);
	fclose(file);
	free(data);
}

/* After a restore the same number comes again, with another chain hash, and without a new epoch nothing else tells them
 * apart. */
START_TEST(test_restored)
{
	struct store_config config = {.dir = test_dir, .new_epoch = true};
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	struct store_revision kept, lost, again, later;

	OK(store_writer_open(store, &writer, &test_error));
	kept = put_alone(writer, KIND_UPSTREAM, "u", "", true, "kept");
	writer = store_writer_close(writer);
	store_close(store);
	copy_database("store.db", "backup.db");
	store = open_store();
	OK(store_writer_open(store, &writer, &test_error));
	lost = put_alone(writer, KIND_UPSTREAM, "u", "", true, "lost");
	writer = store_writer_close(writer);
	store_close(store);
	copy_database("backup.db", "store.db");

	store = open_store();
	OK(store_writer_open(store, &writer, &test_error));
	FAILS(E_NOT_FOUND, store_get_revision(store_writer_reader(writer), lost.revision.number, &again, &test_error));
	again = put_alone(writer, KIND_UPSTREAM, "u", "", true, "again");
	ck_assert_int_eq(revision_compare(again.revision, lost.revision), 0);
	ck_assert(!digest_is_equal(&again.chain, &lost.chain));
	writer = store_writer_close(writer);
	store_close(store);
	OK(store_open(&config, &store, &test_error));
	OK(store_writer_open(store, &writer, &test_error));
	OK(store_get_revision(store_writer_reader(writer), kept.revision.number, &again, &test_error));
	ck_assert(digest_is_equal(&again.chain, &kept.chain));
	later = put_alone(writer, KIND_UPSTREAM, "u", "", true, "later");
	ck_assert_int_gt(revision_compare(later.revision, lost.revision), 0);
	store_writer_close(writer);
	store_close(store);
}
END_TEST

/* The child says a number after each commit; what it said before it was killed must be there. */
static void child_writes(int out)
{
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	char id[16];

	OK(store_writer_open(store, &writer, &test_error));
	for (int i = 0;; i++) {
		snprintf(id, sizeof(id), "u%d", i);
		put_alone(writer, KIND_UPSTREAM, id, "", true, "body");
		if (write(out, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

START_TEST(test_kill)
{
	struct store_reader *reader = NULL;
	struct store_revision head;
	struct store *store;
	struct store_row row;
	int pipes[2], last = -1, number, status;
	char id[16];
	pid_t pid;

	store_close(open_store());
	ck_assert_int_eq(pipe(pipes), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(pipes[0]);
		child_writes(pipes[1]);
	}
	close(pipes[1]);
	for (int i = 0; i < 3 + _i * 7; i++)
		ck_assert_int_eq(read(pipes[0], &last, sizeof(last)), sizeof(last));
	usleep((useconds_t)(137 * _i));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	while (read(pipes[0], &number, sizeof(number)) == sizeof(number))
		last = number;
	close(pipes[0]);

	store = open_store();
	OK(store_reader_open(store, &reader, &test_error));
	for (int i = 0; i <= last; i++) {
		snprintf(id, sizeof(id), "u%d", i);
		OK(store_get(reader, KIND_UPSTREAM, id, 0, &row, &test_error));
		store_row_deinit(&row);
	}
	OK(store_head(reader, &head, &test_error));
	ck_assert_uint_ge(head.revision.number, (uint64_t)last + 2);
	ck_assert_uint_le(head.revision.number, (uint64_t)last + 3); /* one may be durable and not told */
	store_reader_close(reader);
	store_close(store);
}
END_TEST

/* A limit on file size stands for the full disk: the commit fails whole, and the writer goes on when there is room
 * again. */
START_TEST(test_no_space)
{
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	struct store_reader *reader = NULL;
	struct rlimit limit = {64 * 1024, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct store_revision revision, head, before;
	char id[16], *body = calloc(1, 40001);
	struct error error = ERROR_NULL;
	int code = 0, wrote = 0;

	memset(body, 'x', 40000);
	signal(SIGXFSZ, SIG_IGN);
	OK(store_writer_open(store, &writer, &test_error));
	OK(store_reader_open(store, &reader, &test_error));
	OK(store_head(reader, &before, &test_error));
	OK(store_write_begin(writer, &test_error));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (; wrote < 20 && code == 0; wrote++) {
		snprintf(id, sizeof(id), "u%d", wrote);
		OK(store_revision_begin(writer, &test_author, &test_error));
		OK(put_object(writer, KIND_UPSTREAM, id, "", true, body));
		OK(store_revision_end(writer, &revision, &test_error));
	}
	code = store_write_commit(writer, &error);
	ck_assert_int_ne(code, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	OK(store_head(reader, &head, &test_error));
	ck_assert_uint_eq(head.revision.number, before.revision.number);
	put_alone(writer, KIND_UPSTREAM, "u0", "", true, body);
	OK(store_head(reader, &head, &test_error));
	ck_assert_uint_eq(head.revision.number, before.revision.number + 1);
	free(body);
	store_reader_close(reader);
	store_writer_close(writer);
	store_close(store);
}
END_TEST

START_TEST(test_append_only)
{
	struct store *store = open_store();
	struct store_writer *writer = NULL;

	OK(store_writer_open(store, &writer, &test_error));
	OK(store_write_begin(writer, &test_error));
	OK(store_audit(writer, &test_author, "put ssls/x", "invalid", &test_error));
	OK(store_write_commit(writer, &test_error));
	ck_assert_int_ne(sqlite3_exec(writer->reader.database.handle, "DELETE FROM audit", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_ne(sqlite3_exec(writer->reader.database.handle, "UPDATE revision SET actor = 'x'", NULL, NULL, NULL),
	                 SQLITE_OK);
	store_writer_close(writer);
	store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tcase = tcase_create("store");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_add_test(tcase, test_first_start);
	tcase_add_test(tcase, test_second_start);
	tcase_add_test(tcase, test_brought_ca);
	tcase_add_test(tcase, test_lock);
	tcase_add_test(tcase, test_wrong_keyring);
	tcase_add_test(tcase, test_newer_schema);
	tcase_add_test(tcase, test_not_a_database);
	tcase_add_test(tcase, test_unwritable_dir);
	tcase_add_test(tcase, test_presets_follow_the_build);
	tcase_add_test(tcase, test_new_epoch);
	tcase_add_test(tcase, test_restored);
	tcase_add_loop_test(tcase, test_kill, 0, 6);
	tcase_add_test(tcase, test_no_space);
	tcase_add_test(tcase, test_append_only);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
