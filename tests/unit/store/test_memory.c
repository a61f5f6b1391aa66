/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a write refused in turn, SQLite's and ours: the write fails with a code, or stands; the store is
 * whole after each. The sanitizers bring an allocator of their own, so there is nothing to refuse then. */
#include "fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER
#endif
#endif

#ifdef HAS_SANITIZER

int main(void)
{
	return 77; /* skipped */
}

#else

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static long allowed = -1; /* allocations until one is refused; negative: all are granted */

static bool is_refused(void)
{
	return allowed >= 0 && allowed-- == 0;
}

#define EXPORTED __attribute__((visibility("default"))) /* the libraries' calls come here too */

EXPORTED void *malloc(size_t size)
{
	return is_refused() ? NULL : __libc_malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : __libc_calloc(count, size);
}

EXPORTED void *realloc(void *old, size_t size)
{
	return is_refused() ? NULL : __libc_realloc(old, size);
}

EXPORTED void *reallocarray(void *old, size_t count, size_t size)
{
	return is_refused() ? NULL : __libc_realloc(old, count * size);
}

/* One transaction with a put, an edit and a deletion; a new secret. */
static int write_all(struct store *store, struct store_writer *writer, const struct resource *ssl,
                     const struct resource *upstream, struct error *err)
{
	struct store_revision revision;
	int code = store_write_begin(writer, err);

	if (code != 0)
		return code;
	code = store_revision_begin(writer, &test_author, err);
	if (code == 0) {
		code = put_resource(writer, ssl, err);
		if (code == 0)
			code = put_resource(writer, upstream, err);
		if (code == 0)
			code = store_delete(writer, KIND_UPSTREAM, "old", err);
		if (code == 0)
			code = store_revision_end(writer, &revision, err);
		else
			store_revision_abort(writer);
	}
	if (code == 0)
		return store_write_commit(writer, err);
	store_write_rollback(writer);
	return code;
}

static struct resource *make_ssl(int round)
{
	char body[32];
	struct resource *ssl;

	snprintf(body, sizeof(body), "round %d", round);
	ssl = make_resource(KIND_SSL, "s", "site=a", true, body);
	ssl->secret = secret_new_copy("a key", 5);
	ssl->names = calloc(1, sizeof(char *));
	ssl->names[0] = strdup("a.example");
	ssl->names_len = 1;
	ssl->refs = calloc(1, sizeof(*ssl->refs));
	ssl->refs_len = 1;
	ssl->refs[0] = (struct resource_ref){KIND_TLS_OPTIONS, "modern", "/tls_options"};
	return ssl;
}

/* Exactly the objects of before, or exactly those of after. */
static void assert_whole(struct store_reader *reader, int code, int round)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	char body[32];
	int got = store_get(reader, KIND_SSL, "s", 0, &row, &test_error);
	bool is_new;

	snprintf(body, sizeof(body), "round %d", round);
	is_new = got == 0 && row.state.object.body.len == strlen(body) &&
	         memcmp(row.state.object.body.data, body, strlen(body)) == 0;
	ck_assert_int_eq(is_new, code == 0);
	store_row_deinit(&row);
	got = store_get(reader, KIND_UPSTREAM, "old", 0, &row, &test_error);
	ck_assert_int_eq(got, code == 0 ? E_NOT_FOUND : 0);
}

START_TEST(test_write)
{
	struct store *store = open_store();
	struct store_reader *reader = NULL;
	struct store_writer *writer = NULL;
	struct resource *upstream = make_resource(KIND_UPSTREAM, "u", "", true, "body");
	bool done = false;

	OK(store_reader_open(store, &reader, &test_error));
	for (int round = 0; !done; round++) {
		struct resource *ssl = make_ssl(round);
		struct error error = ERROR_NULL;
		int code;

		OK(store_writer_open(store, &writer, &test_error)); /* with nothing prepared */
		if (round == 0)
			put_alone(writer, KIND_UPSTREAM, "old", "", true, "body");
		allowed = round;
		code = write_all(store, writer, ssl, upstream, &error);
		done = allowed >= 0; /* it took fewer */
		allowed = -1;
		ck_assert_msg(code == 0 || error.text[0] != 0, "round %d: %d without a word", round, code);
		ck_assert_msg(!done || code == 0, "round %d: %s", round, error.text);
		assert_whole(reader, code, round);
		if (code == 0 && !done) { /* it went on without; again from where the others start */
			put_alone(writer, KIND_UPSTREAM, "old", "", true, "body");
			OK(store_write_begin(writer, &test_error));
			OK(store_revision_begin(writer, &test_author, &test_error));
			OK(store_delete(writer, KIND_UPSTREAM, "u", &test_error));
			OK(store_revision_end(writer, &(struct store_revision){0}, &test_error));
			OK(store_write_commit(writer, &test_error));
		}
		resource_free(ssl);
		writer = store_writer_close(writer);
		ck_assert_msg(!done || round > 100, "only %d allocations were seen", round);
	}
	resource_free(upstream);
	store_reader_close(reader);
	store_close(store);
}
END_TEST

START_TEST(test_read)
{
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	bool done = false;

	OK(store_writer_open(store, &writer, &test_error));
	put_alone(writer, KIND_UPSTREAM, "u", "", true, "body");
	for (int round = 0; !done; round++) {
		struct store_reader *reader = NULL;
		struct store_row row = {0};
		int code;

		allowed = round;
		test_error = ERROR_NULL;
		code = store_reader_open(store, &reader, &test_error);
		if (code == 0)
			code = store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error);
		done = allowed >= 0;
		allowed = -1;
		ck_assert_msg(code == 0 || test_error.text[0] != 0, "round %d: %d without a word", round, code);
		ck_assert_msg(!done || code == 0, "round %d: %s", round, test_error.text);
		store_row_deinit(&row);
		store_reader_close(reader);
		ck_assert_msg(!done || round > 100, "only %d allocations were seen", round);
	}
	store_writer_close(writer);
	store_close(store);
}
END_TEST

/* A token whose scope was lost on the way would be one for everything, an object would lose its labels with the next patch. Long texts lie
 * on pages of their own, and SQLite copies them when they are asked for. */
START_TEST(test_long_texts)
{
	static char scope[9000];
	struct store_token token = {.id = "scoped", .role = "editor", .scope = scope, .created_by = "admin", .create_time = 1};
	struct store *store = open_store();
	struct store_writer *writer = NULL;
	struct resource *resource = make_resource(KIND_UPSTREAM, "u", "", true, "body");
	bool done = false;

	memset(scope, 'x', sizeof(scope) - 1);
	memcpy(scope, "{\"a\":\"", 6);
	memcpy(scope + sizeof(scope) - 3, "\"}", 3);
	resource->labels = strdup(scope);
	OK(store_writer_open(store, &writer, &test_error));
	OK(store_write_begin(writer, &test_error));
	OK(store_put_token(writer, &token, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_resource(writer, resource, &test_error));
	OK(store_revision_end(writer, &(struct store_revision){0}, &test_error));
	OK(store_write_commit(writer, &test_error));
	for (int round = 0; !done; round++) {
		CLEANUP(store_token_deinit) struct store_token found = {0};
		CLEANUP(store_row_deinit) struct store_row row = {0};
		struct store_reader *reader = NULL;
		int code, code_of_row;

		allowed = round;
		code = store_reader_open(store, &reader, &test_error);
		if (code == 0)
			code = store_find_token(reader, token.sha256, &found, &test_error);
		code_of_row = code == 0 ? store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error) : code;
		done = allowed >= 0;
		allowed = -1;
		ck_assert_msg(!done || (code == 0 && code_of_row == 0), "round %d: %s", round, test_error.text);
		ck_assert(code != 0 || (found.scope != NULL && strcmp(found.scope, scope) == 0));
		ck_assert(code_of_row != 0 || (row.state.labels != NULL && strcmp(row.state.labels, scope) == 0));
		store_reader_close(reader);
	}
	resource_free(resource);
	store_writer_close(writer);
	store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = tcase_create("memory");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_add_test(tcase, test_write);
	tcase_add_test(tcase, test_read);
	tcase_add_test(tcase, test_long_texts);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

#endif
