/* SPDX-License-Identifier: Apache-2.0 */
/* Objects one by one: history, identity, secrets, what finds them, revisions, and what an undone revision leaves. */
#include "opened.h"

#include "store/store_history.h"

static struct store_revision delete_alone(enum kind kind, const char *id)
{
	struct store_revision revision;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(store_delete(writer, kind, id, &test_error));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	return revision;
}

static void assert_body(const char *id, uint64_t revision, const char *body)
{
	struct store_row row;

	if (body == NULL) {
		FAILS(E_NOT_FOUND, store_get(reader, KIND_UPSTREAM, id, revision, &row, &test_error));
		return;
	}
	OK(store_get(reader, KIND_UPSTREAM, id, revision, &row, &test_error));
	ck_assert_uint_eq(row.state.object.body.len, strlen(body));
	ck_assert_mem_eq(row.state.object.body.data, body, strlen(body));
	store_row_deinit(&row);
}

START_TEST(test_history)
{
	struct store_row row;
	struct uid first, second;
	uint64_t a = put_alone(writer, KIND_UPSTREAM, "u", "", true, "one").revision.number;
	uint64_t b = put_alone(writer, KIND_UPSTREAM, "u", "x=1", false, "two").revision.number;
	uint64_t c, d, count;

	OK(store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error));
	ck_assert_uint_eq(row.from_revision, b);
	ck_assert_uint_eq(row.to_revision, 0);
	ck_assert_uint_eq(row.state.object.version, b);
	ck_assert_uint_eq(row.state.object.epoch, 1);
	ck_assert_str_eq(row.state.object.selector, "x=1");
	ck_assert(!row.state.enabled);
	first = row.state.object.uid;
	store_row_deinit(&row);
	c = delete_alone(KIND_UPSTREAM, "u").revision.number;
	OK(store_count(reader, KIND_UPSTREAM, &count, &test_error));
	ck_assert_uint_eq(count, 0);
	d = put_alone(writer, KIND_UPSTREAM, "u", "", true, "three").revision.number;
	OK(store_count(reader, KIND_UPSTREAM, &count, &test_error));
	ck_assert_uint_eq(count, 1);
	assert_body("u", a - 1, NULL);
	assert_body("u", a, "one");
	assert_body("u", b, "two");
	assert_body("u", c, NULL);
	assert_body("u", d, "three");
	assert_body("u", 0, "three");
	OK(store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error));
	second = row.state.object.uid;
	store_row_deinit(&row);
	ck_assert_int_lt(memcmp(first.bytes, second.bytes, UID_LEN), 0);
}
END_TEST

START_TEST(test_nothing_changed)
{
	struct store_revision revision, head;
	struct store_row row;

	put_alone(writer, KIND_UPSTREAM, "u", "", true, "one");
	OK(store_head(reader, &head, &test_error));
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	ck_assert_int_eq(put_object(writer, KIND_UPSTREAM, "u", "", true, "one"), E_EXISTS);
	FAILS(E_EXISTS, store_revision_end(writer, &revision, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	ck_assert_uint_eq(store_revision_next(writer).number, head.revision.number + 1);
	FAILS(E_NOT_FOUND, store_delete(writer, KIND_UPSTREAM, "other", &test_error));
	store_revision_abort(writer);
	OK(store_write_commit(writer, &test_error));
	OK(store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error));
	ck_assert_uint_eq(row.from_revision, head.revision.number);
	store_row_deinit(&row);
}
END_TEST

START_TEST(test_twice_in_one_revision)
{
	struct store_revision revision;

	put_alone(writer, KIND_UPSTREAM, "old", "", true, "one");
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "u", "", true, "one"));
	ck_assert_int_eq(put_object(writer, KIND_UPSTREAM, "u", "", true, "two"), E_CONFLICT);
	FAILS(E_CONFLICT, store_delete(writer, KIND_UPSTREAM, "u", &test_error));
	OK(store_delete(writer, KIND_UPSTREAM, "old", &test_error));
	ck_assert_int_eq(put_object(writer, KIND_UPSTREAM, "old", "", true, "two"), E_CONFLICT);
	OK(store_revision_end(writer, &revision, &test_error));
	ck_assert_uint_eq(revision.changes, 2);
	ck_assert_str_eq(revision.summary, "put upstreams/u, delete upstreams/old");
	OK(store_write_commit(writer, &test_error));
}
END_TEST

/* Undone revisions leave nothing, the ones beside them in the same transaction stand. */
START_TEST(test_undone_between_others)
{
	struct store_revision first, second;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "a", "x=1", true, "one"));
	OK(store_revision_end(writer, &first, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "b", "x=1", true, "one"));
	OK(store_delete(writer, KIND_UPSTREAM, "a", &test_error));
	store_revision_abort(writer);
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "c", "x=2", true, "one"));
	OK(store_revision_end(writer, &second, &test_error));
	ck_assert_uint_eq(store_touched_count(writer), 1);
	ck_assert_str_eq(store_touched(writer, 0), "x=2");
	ck_assert_uint_eq(second.revision.number, first.revision.number + 1);
	assert_body("a", 0, NULL); /* not committed: readers see nothing */
	OK(store_write_commit(writer, &test_error));
	assert_body("a", 0, "one");
	assert_body("b", 0, NULL);
	assert_body("c", 0, "one");
}
END_TEST

START_TEST(test_rollback)
{
	struct store_revision revision, before, after;

	OK(store_head(reader, &before, &test_error));
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "a", "", true, "one"));
	OK(store_revision_end(writer, &revision, &test_error));
	store_write_rollback(writer);
	OK(store_head(reader, &after, &test_error));
	ck_assert_uint_eq(before.revision.number, after.revision.number);
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_object(writer, KIND_UPSTREAM, "b", "", true, "one"));
	store_write_rollback(writer); /* with the revision open */
	assert_body("b", 0, NULL);
}
END_TEST

START_TEST(test_secret)
{
	struct resource *resource = make_resource(KIND_SSL, "s", "", true, "body");
	struct secret *opened = NULL;
	struct store_revision revision;
	struct store_row row, moved;

	resource->secret = secret_new_copy("a private key", 13);
	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	OK(put_resource(writer, resource, &test_error));
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	FAILS(E_EXISTS, put_resource(writer, resource, &test_error));
	resource->secret->data[0] = 'A';
	OK(put_resource(writer, resource, &test_error)); /* only the secret differs */
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	OK(store_get(reader, KIND_SSL, "s", 0, &row, &test_error));
	ck_assert_ptr_null(memmem(row.sealed.data, row.sealed.len, "private key", 11));
	OK(store_open_secret(store, &row, &opened, &test_error));
	ck_assert_mem_eq(opened->data, "A private key", 13);
	opened = secret_free(opened);
	moved = row;
	moved.state.object.version++;
	FAILS(E_CORRUPT, store_open_secret(store, &moved, &opened, &test_error));
	store_row_deinit(&row);
	OK(store_get(reader, KIND_SSL, "s", revision.revision.number - 1, &row, &test_error));
	OK(store_open_secret(store, &row, &opened, &test_error));
	ck_assert_mem_eq(opened->data, "a private key", 13);
	secret_free(opened);
	store_row_deinit(&row);
	resource_free(resource);
}
END_TEST

static int count_row(const struct store_row *row, void *context)
{
	char *seen = context;

	strcat(seen, row->state.object.id);
	strcat(seen, " ");
	return 0;
}

static int count_referrer(const struct store_row *row, const char *pointer, void *context)
{
	struct store_row inner;
	char *seen = context;

	strcat(seen, row->state.object.id);
	strcat(seen, pointer);
	strcat(seen, " ");
	/* Another read of the same reader in between. */
	OK(store_get(reader, row->state.object.kind, row->state.object.id, 0, &inner, &test_error));
	store_row_deinit(&inner);
	return store_each_referrer(reader, KIND_SSL, "none", count_referrer, context, &test_error);
}

static struct resource *make_ssl(const char *id, bool enabled, const char *name)
{
	struct resource *resource = make_resource(KIND_SSL, id, "", enabled, name);

	resource->names = calloc(1, sizeof(char *));
	resource->names[0] = strdup(name);
	resource->names_len = 1;
	resource->refs = calloc(1, sizeof(*resource->refs));
	resource->refs_len = 1;
	resource->refs[0] = (struct resource_ref){KIND_TLS_OPTIONS, "modern", "/tls_options"};
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

static int count_bind(const struct store_bind *bind, void *context)
{
	char *seen = context;

	sprintf(seen + strlen(seen), "%s/%s/%s/%u ", bind->id, bind->selector, bind->host, bind->port);
	return 0;
}

START_TEST(test_neighbours)
{
	struct resource *listener = make_resource(KIND_LISTENER, "l", "", true, "body");
	char seen[256] = "";

	listener->port = 443;
	listener->host = strdup("127.0.0.1");
	put_made(listener);
	put_made(make_ssl("a", true, "a.example"));
	put_made(make_ssl("b", false, "a.example"));
	put_made(make_ssl("c", true, "c.example"));
	OK(store_each_by_name(reader, "a.example", count_row, seen, &test_error));
	ck_assert_str_eq(seen, "a ");
	seen[0] = 0;
	put_made(make_ssl("b", true, "a.example"));
	put_made(make_ssl("a", true, "c.example"));
	OK(store_each_by_name(reader, "a.example", count_row, seen, &test_error));
	ck_assert_str_eq(seen, "b ");
	seen[0] = 0;
	OK(store_each_referrer(reader, KIND_TLS_OPTIONS, "modern", count_referrer, seen, &test_error));
	ck_assert_str_eq(seen, "a/tls_options b/tls_options c/tls_options ");
	seen[0] = 0;
	delete_alone(KIND_SSL, "b");
	OK(store_each_referrer(reader, KIND_TLS_OPTIONS, "modern", count_referrer, seen, &test_error));
	ck_assert_str_eq(seen, "a/tls_options c/tls_options ");
	seen[0] = 0;
	OK(store_each_by_port(reader, 443, count_bind, seen, &test_error));
	ck_assert_str_eq(seen, "l//127.0.0.1/443 ");
	OK(store_each_by_port(reader, 444, count_bind, seen, &test_error));
	ck_assert_str_eq(seen, "l//127.0.0.1/443 ");
	seen[0] = 0;
	OK(store_each_by_name(reader, "c.example", count_row, seen, &test_error));
	ck_assert_str_eq(seen, "a c ");
}
END_TEST

static int stop_at_two(const struct store_row *row, void *context)
{
	int *count = context;

	return ++*count == 2 ? E_CLOSED : 0;
}

START_TEST(test_list)
{
	char seen[256] = "", id[8];
	uint64_t middle = 0;
	int count = 0;

	for (int i = 0; i < 6; i++) {
		snprintf(id, sizeof(id), "u%d", i);
		middle = put_alone(writer, KIND_UPSTREAM, id, "", i % 2 == 0, "body").revision.number;
	}
	delete_alone(KIND_UPSTREAM, "u3");
	put_alone(writer, KIND_UPSTREAM, "u7", "", true, "body");
	OK(store_list(reader, KIND_UPSTREAM, "", 0, 4, count_row, seen, &test_error));
	ck_assert_str_eq(seen, "u0 u1 u2 u4 ");
	seen[0] = 0;
	OK(store_list(reader, KIND_UPSTREAM, "u4", 0, 4, count_row, seen, &test_error));
	ck_assert_str_eq(seen, "u5 u7 ");
	seen[0] = 0;
	OK(store_list(reader, KIND_UPSTREAM, "u1", middle, 3, count_row, seen, &test_error));
	ck_assert_str_eq(seen, "u2 u3 u4 ");
	FAILS(E_CLOSED, store_list(reader, KIND_UPSTREAM, "", 0, 10, stop_at_two, &count, &test_error));
	ck_assert_int_eq(count, 2);
}
END_TEST

START_TEST(test_revisions)
{
	struct store_revision rows[3], one, head;
	struct digest chain;
	struct chain_change change = {KIND_UPSTREAM, "u", {{0}}, false, DIGEST_NULL};
	struct store_row row;
	size_t count;

	OK(store_head(reader, &head, &test_error));
	chain = head.chain;
	one = put_alone(writer, KIND_UPSTREAM, "u", "", true, "body");
	OK(store_get(reader, KIND_UPSTREAM, "u", 0, &row, &test_error));
	change.uid = row.state.object.uid;
	OK(object_digest(&row.state.object, &change.digest, &test_error));
	store_row_deinit(&row);
	OK(chain_extend(&chain, one.revision, &change, 1, &test_error));
	ck_assert(digest_is_equal(&chain, &one.chain));
	ck_assert_str_eq(one.actor, "tester");
	ck_assert_str_eq(one.request_id, "req-1");
	ck_assert_str_eq(one.source, "127.0.0.1");
	ck_assert_uint_eq(one.time, 1000);
	for (int i = 0; i < 3; i++)
		put_alone(writer, KIND_UPSTREAM, "u", "", true, i % 2 == 0 ? "x" : "y");
	OK(store_find_revisions(reader, &(struct store_revision_filter){0}, rows, 3, &count, &test_error));
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(rows[0].revision.number, one.revision.number + 3);
	OK(store_find_revisions(reader, &(struct store_revision_filter){.before = one.revision.number + 1}, rows, 3, &count, &test_error));
	ck_assert_uint_eq(rows[0].revision.number, one.revision.number);
	OK(store_get_revision(reader, one.revision.number, &head, &test_error));
	ck_assert_mem_eq(&head.chain, &one.chain, sizeof(chain));
	FAILS(E_NOT_FOUND, store_get_revision(reader, 1000, &head, &test_error));
	FAILS(E_NOT_FOUND, store_get_revision(reader, UINT64_MAX, &head, &test_error));
}
END_TEST

START_TEST(test_long_summary)
{
	struct store_revision revision;
	char id[64];

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "an-upstream-with-a-rather-long-name-%d", i);
		OK(put_object(writer, KIND_UPSTREAM, id, "", true, "body"));
	}
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	ck_assert_uint_eq(revision.changes, 100);
	ck_assert_ptr_nonnull(strstr(revision.summary, " and 96 more"));
}
END_TEST

START_TEST(test_agent_status)
{
	struct store_agent_status status = {.id = "agent-1",
	                                    .last_seen = 5,
	                                    .acked = {1, 2},
	                                    .report = (char *)"{\"a\":1}"},
							  got;
	bool used;

	OK(store_write_begin(writer, &test_error));
	OK(store_put_agent_status(writer, &status, &test_error)); /* no such agent: nothing */
	OK(store_agent_id_is_used(writer, "agent-1", &used, &test_error));
	ck_assert(!used);
	OK(store_write_commit(writer, &test_error));
	FAILS(E_NOT_FOUND, store_get_agent_status(reader, "agent-1", &got, &test_error));
	put_alone(writer, KIND_AGENT, "agent-1", "", true, "body");
	OK(store_write_begin(writer, &test_error));
	OK(store_put_agent_status(writer, &status, &test_error));
	status.last_ack_time = 7;
	OK(store_put_agent_status(writer, &status, &test_error));
	OK(store_write_commit(writer, &test_error));
	OK(store_get_agent_status(reader, "agent-1", &got, &test_error));
	ck_assert_uint_eq(got.last_ack_time, 7);
	ck_assert_uint_eq(got.acked.number, 2);
	ck_assert_str_eq(got.report, "{\"a\":1}");
	store_agent_status_deinit(&got);
	delete_alone(KIND_AGENT, "agent-1");
	FAILS(E_NOT_FOUND, store_get_agent_status(reader, "agent-1", &got, &test_error));
	OK(store_write_begin(writer, &test_error));
	OK(store_agent_id_is_used(writer, "agent-1", &used, &test_error));
	ck_assert(used);
	OK(store_write_commit(writer, &test_error));
}
END_TEST

/* A reader between begin and end sees one revision, whatever is committed meanwhile. */
START_TEST(test_snapshot_read)
{
	struct store_revision before, now;

	OK(store_begin(reader, &test_error));
	OK(store_head(reader, &before, &test_error));
	put_alone(writer, KIND_UPSTREAM, "u", "", true, "one");
	OK(store_head(reader, &now, &test_error));
	ck_assert_uint_eq(before.revision.number, now.revision.number);
	assert_body("u", 0, NULL);
	store_end(reader);
	assert_body("u", 0, "one");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("objects");
	TCase *tcase = tcase_create("objects");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_history);
	tcase_add_test(tcase, test_nothing_changed);
	tcase_add_test(tcase, test_twice_in_one_revision);
	tcase_add_test(tcase, test_undone_between_others);
	tcase_add_test(tcase, test_rollback);
	tcase_add_test(tcase, test_secret);
	tcase_add_test(tcase, test_neighbours);
	tcase_add_test(tcase, test_list);
	tcase_add_test(tcase, test_revisions);
	tcase_add_test(tcase, test_long_summary);
	tcase_add_test(tcase, test_agent_status);
	tcase_add_test(tcase, test_snapshot_read);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
