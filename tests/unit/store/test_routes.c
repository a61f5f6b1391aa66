/* SPDX-License-Identifier: Apache-2.0 */
/* What finds routes: patterns, and those that hold for all listeners; listeners without an upstream; what options ask of clients. */
#include "opened.h"

#include "migrations.h"
#include "model/client_mode.h"

#include <sqlite3.h>

static void add_ref(struct resource *resource, enum kind kind, const char *id, const char *pointer)
{
	struct resource_ref *ref;

	resource->refs = reallocarray(resource->refs, resource->refs_len + 1, sizeof(*resource->refs));
	ref = &resource->refs[resource->refs_len++];
	*ref = (struct resource_ref){.kind = kind};
	snprintf(ref->id, sizeof(ref->id), "%s", id);
	snprintf(ref->pointer, sizeof(ref->pointer), "%s", pointer);
}

/* listener NULL: for all. */
static struct resource *make_route(const char *id, bool enabled, const char *pattern, const char *listener)
{
	struct resource *resource = make_resource(KIND_ROUTE, id, "", enabled, listener != NULL ? listener : pattern);

	resource->names = calloc(1, sizeof(char *));
	resource->names[0] = strdup(pattern);
	resource->names_len = 1;
	if (listener != NULL)
		add_ref(resource, KIND_LISTENER, listener, "/listeners/0");
	return resource;
}

static void put_made(struct resource *resource)
{
	struct store_revision revision;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_resource(writer, resource, &test_error));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	resource_free(resource);
}

static int note_row(const struct store_row *row, void *context)
{
	char *seen = context;

	strcat(strcat(seen, row->state.object.id), " ");
	return 0;
}

static void expect_pattern(const char *pattern, const char *expected)
{
	char seen[256] = "";

	OK(store_each_by_pattern(reader, pattern, note_row, seen, &test_error));
	ck_assert_str_eq(seen, expected);
}

static void expect_anywhere(const char *expected)
{
	char seen[256] = "";

	OK(store_each_route_anywhere(reader, note_row, seen, &test_error));
	ck_assert_str_eq(seen, expected);
}

START_TEST(test_patterns)
{
	struct store_revision revision;

	put_made(make_route("a", true, "*.example", NULL));
	put_made(make_route("b", true, "*.example", "l"));
	put_made(make_route("c", false, "*.example", NULL));
	put_made(make_route("d", true, "", NULL));
	expect_pattern("*.example", "a b ");
	expect_pattern("", "d ");
	expect_pattern("**.example", "");
	expect_anywhere("a d ");
	put_made(make_route("c", true, "**.example", NULL));
	put_made(make_route("a", true, "*.example", "l"));
	expect_pattern("*.example", "a b ");
	expect_pattern("**.example", "c ");
	expect_anywhere("c d ");
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(store_delete(writer, KIND_ROUTE, "c", &test_error));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	expect_pattern("**.example", "");
	expect_anywhere("d ");
}
END_TEST

/* An SSL object and a route may share both id and name. */
START_TEST(test_names_of_both_kinds)
{
	struct resource *ssl = make_route("a", true, "a.example", NULL);
	char seen[64] = "";

	ssl->kind = KIND_SSL;
	put_made(ssl);
	put_made(make_route("a", true, "a.example", NULL));
	expect_pattern("a.example", "a ");
	OK(store_each_by_name(reader, "a.example", note_row, seen, &test_error));
	ck_assert_str_eq(seen, "a ");
	put_made(make_route("a", true, "b.example", NULL));
	seen[0] = '\0';
	OK(store_each_by_name(reader, "a.example", note_row, seen, &test_error));
	ck_assert_str_eq(seen, "a ");
}
END_TEST

static void put_listener(const char *id, uint16_t port, bool enabled, const char *upstream)
{
	struct resource *listener = make_resource(KIND_LISTENER, id, "", enabled, upstream != NULL ? upstream : "bare");

	listener->port = port;
	listener->host = strdup("127.0.0.1");
	if (upstream != NULL)
		add_ref(listener, KIND_UPSTREAM, upstream, "/upstream");
	put_made(listener);
}

START_TEST(test_bare_listeners)
{
	char seen[64] = "";

	put_listener("a", 1, true, NULL);
	put_listener("b", 2, true, "u");
	put_listener("c", 3, false, NULL);
	OK(store_each_bare_listener(reader, note_row, seen, &test_error));
	ck_assert_str_eq(seen, "a ");
	put_listener("a", 1, true, "u");
	seen[0] = '\0';
	OK(store_each_bare_listener(reader, note_row, seen, &test_error));
	ck_assert_str_eq(seen, "");
}
END_TEST

static void put_options(const char *id, unsigned bits)
{
	struct resource *options = make_resource(KIND_TLS_OPTIONS, id, "", true, bits == 0 ? "open" : "asking");

	options->client_bits = bits;
	put_made(options);
}

static int note_bits(const char *id, unsigned bits, void *context)
{
	char *seen = context;

	sprintf(seen + strlen(seen), "%s=%u ", id, bits);
	return 0;
}

START_TEST(test_what_is_asked)
{
	char seen[64] = "";
	unsigned bits = 99;

	put_options("none", 0);
	put_options("some", CLIENT_ASKED);
	put_options("all", CLIENT_ASKED | CLIENT_DEMANDED | CLIENT_VERIFIED);
	OK(store_each_asking(reader, note_bits, seen, &test_error));
	ck_assert_str_eq(seen, "all=7 some=1 ");
	OK(store_get_asked(reader, "some", &bits, &test_error));
	ck_assert_uint_eq(bits, 1);
	OK(store_get_asked(reader, "none", &bits, &test_error));
	ck_assert_uint_eq(bits, 0);
	put_options("all", 0);
	OK(store_get_asked(reader, "all", &bits, &test_error));
	ck_assert_uint_eq(bits, 0);
}
END_TEST

static int read_number(sqlite3 *database, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int number = -1;

	ck_assert_int_eq(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
	if (sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

/* What an earlier release wrote means the same afterwards: its options that demand also verify, its listeners have upstreams. */
START_TEST(test_rows_of_an_earlier_release)
{
	static const char rows[] = "INSERT INTO demand (id) VALUES ('closed');"
							   "INSERT INTO bind (id, port, selector, host) VALUES ('l', 443, '', '127.0.0.1');";
	sqlite3 *database = NULL;

	ck_assert_int_eq(sqlite3_open(":memory:", &database), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(database, schema_migrations[0], NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(database, rows, NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 1; i < schema_migrations_len; i++)
		ck_assert_int_eq(sqlite3_exec(database, schema_migrations[i], NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(read_number(database, "SELECT bits FROM demand WHERE id = 'closed'"), 7);
	ck_assert_int_eq(read_number(database, "SELECT bare FROM bind WHERE id = 'l'"), 0);
	sqlite3_close(database);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("routes");
	TCase *tcase = tcase_create("routes");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_patterns);
	tcase_add_test(tcase, test_names_of_both_kinds);
	tcase_add_test(tcase, test_bare_listeners);
	tcase_add_test(tcase, test_what_is_asked);
	tcase_add_test(tcase, test_rows_of_an_earlier_release);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
