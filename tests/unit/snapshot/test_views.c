/* SPDX-License-Identifier: Apache-2.0 */
/* Prepare: references, refusals that name object and field, views, what they share. */
#include "sample.h"
#include "snapshot/impl.h"

static const char *const name[] = {"a.test", NULL};

/* options "modern", bundle "ca", upstream "up", listener "l" on 127.0.0.1:8443, SSL "s" that refers to "modern" and
 * "ca". */
static struct snapshot *make_base(struct sample_world *world)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder = sample_builder(world, NULL, 1);
	struct error err;

	sample_put_bundle(&body);
	ck_assert_int_eq(sample_put(builder, KIND_CA_BUNDLE, "ca", "", 1, &body, &err), 0);
	sample_put_options(NULL, "ca", &body);
	ck_assert_int_eq(sample_put(builder, KIND_TLS_OPTIONS, "modern", "", 2, &body, &err), 0);
	sample_put_options("s", NULL, &body);
	ck_assert_int_eq(sample_put(builder, KIND_TLS_OPTIONS, "other", "", 3, &body, &err), 0);
	sample_put_upstream(80, &body);
	ck_assert_int_eq(sample_put(builder, KIND_UPSTREAM, "up", "", 4, &body, &err), 0);
	sample_put_listener("127.0.0.1", 8443, "up", NULL, &body);
	ck_assert_int_eq(sample_put(builder, KIND_LISTENER, "l", "", 5, &body, &err), 0);
	sample_put_listener("::1", 8443, "up", "other", &body);
	ck_assert_int_eq(sample_put(builder, KIND_LISTENER, "l6", "", 6, &body, &err), 0);
	sample_put_ssl(&(struct sample_ssl){.names = name, .tls_options = "modern", .ca_bundle = "ca"}, &body);
	ck_assert_int_eq(sample_put(builder, KIND_SSL, "s", "", 7, &body, &err), 0);
	return sample_finish(builder);
}

static void expect_refusal(struct snapshot_builder *builder, Tlsplane__NackCode code, enum kind kind, const char *id,
                           const char *field)
{
	struct snapshot_refusal refusal = {0};
	struct error err = ERROR_NULL;

	ck_assert_int_eq(snapshot_builder_prepare(builder, NULL, 0, &refusal, &err), E_REFUSED);
	ck_assert_int_eq(refusal.code, code);
	ck_assert_int_eq(refusal.kind, kind);
	ck_assert_str_eq(refusal.id, id);
	ck_assert_str_eq(refusal.field, field);
	ck_assert_str_ne(refusal.reason, "");
	ck_assert_str_ne(err.text, "");
	snapshot_builder_free(builder);
}

START_TEST(views_show_what_objects_say)
{
	struct sample_world world;
	struct snapshot *base;
	const struct listener_view *listener;

	sample_world_init(&world);
	base = make_base(&world);
	ck_assert_uint_eq(snapshot_listener_count(base), 2);
	listener = snapshot_find_listener(base, "127.0.0.1:8443");
	ck_assert_ptr_nonnull(listener);
	ck_assert_str_eq(listener->id, "l");
	ck_assert_ptr_null(listener->options);
	ck_assert_uint_eq(listener->max_connections, 10000);
	ck_assert_ptr_eq(listener->upstream, snapshot_find_upstream(base, "up"));
	listener = snapshot_find_listener(base, "[::1]:8443");
	ck_assert_str_eq(listener->options->entry->id, "other");
	ck_assert_ptr_null(snapshot_find_listener(base, "127.0.0.1:8444"));
	ck_assert_ptr_eq(snapshot_find_options(base, NULL), snapshot_find_options(base, "modern"));
	ck_assert_uint_eq(snapshot_find_options(base, NULL)->handshake_timeout_ms, 10000);
	ck_assert_uint_eq(snapshot_find_bundle(base, "ca", NULL)->n_certs, 1);
	ck_assert_ptr_null(snapshot_find_bundle(base, "cb", NULL));
	/* The same profile, though two objects ask for it. */
	ck_assert_ptr_eq(snapshot_find_options(base, "modern")->profile, snapshot_find_options(base, "other")->profile);
	snapshot_free(base);
	sample_world_deinit(&world);
}
END_TEST

START_TEST(default_replaces_modern)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base, *next;
	struct error err;

	sample_world_init(&world);
	base = make_base(&world);
	builder = sample_builder(&world, base, 2);
	sample_put_options(NULL, NULL, &body);
	ck_assert_int_eq(sample_put(builder, KIND_TLS_OPTIONS, "default", "", 10, &body, &err), 0);
	next = sample_finish(builder);
	ck_assert_str_eq(snapshot_find_options(next, NULL)->entry->id, "default");
	ck_assert_str_eq(snapshot_find_options(base, NULL)->entry->id, "modern");
	ck_assert_ptr_eq(snapshot_find_upstream(base, "up"), snapshot_find_upstream(next, "up"));
	ck_assert_ptr_eq(snapshot_find_options(base, "other"), snapshot_find_options(next, "other"));
	snapshot_free(base);
	snapshot_free(next);
	sample_world_deinit(&world);
}
END_TEST

/* An upstream goes on while its body is the same, whatever else about the object changes. */
START_TEST(upstream_survives_until_its_body_changes)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base, *same, *other;
	struct error err;

	sample_world_init(&world);
	base = make_base(&world);
	builder = sample_builder(&world, base, 2);
	sample_put_upstream(80, &body);
	ck_assert_int_eq(sample_put(builder, KIND_UPSTREAM, "up", "", 10, &body, &err), 0);
	same = sample_finish(builder);
	ck_assert_ptr_ne(base->views, same->views);
	ck_assert_ptr_eq(snapshot_find_upstream(base, "up"), snapshot_find_upstream(same, "up"));
	builder = sample_builder(&world, same, 3);
	sample_put_upstream(81, &body);
	ck_assert_int_eq(sample_put(builder, KIND_UPSTREAM, "up", "", 11, &body, &err), 0);
	other = sample_finish(builder);
	ck_assert_ptr_ne(snapshot_find_upstream(other, "up"), snapshot_find_upstream(same, "up"));
	ck_assert_ptr_eq(snapshot_find_listener(other, "127.0.0.1:8443")->upstream, snapshot_find_upstream(other, "up"));
	snapshot_free(base);
	snapshot_free(same);
	snapshot_free(other);
	sample_world_deinit(&world);
}
END_TEST

START_TEST(dangling_references_are_refused)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base;
	struct error err;

	sample_world_init(&world);
	base = make_base(&world);
	builder = sample_builder(&world, base, 2);
	sample_put_ssl(&(struct sample_ssl){.names = name, .tls_options = "nowhere"}, &body);
	ck_assert_int_eq(sample_put(builder, KIND_SSL, "t", "", 10, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, KIND_SSL, "t", "/tls_options");
	builder = sample_builder(&world, base, 2);
	sample_put_ssl(&(struct sample_ssl){.names = name, .ca_bundle = "nowhere"}, &body);
	ck_assert_int_eq(sample_put(builder, KIND_SSL, "t", "", 10, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, KIND_SSL, "t", "/client/ca_bundle");
	builder = sample_builder(&world, base, 2);
	sample_put_options("nowhere", NULL, &body);
	ck_assert_int_eq(sample_put(builder, KIND_TLS_OPTIONS, "o", "", 10, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, KIND_TLS_OPTIONS, "o", "/default_ssl");
	builder = sample_builder(&world, base, 2);
	sample_put_options(NULL, "nowhere", &body);
	ck_assert_int_eq(sample_put(builder, KIND_TLS_OPTIONS, "o", "", 10, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, KIND_TLS_OPTIONS, "o", "/client_auth/ca_bundle");
	builder = sample_builder(&world, base, 2);
	sample_put_listener("127.0.0.1", 1, "nowhere", NULL, &body);
	ck_assert_int_eq(sample_put(builder, KIND_LISTENER, "m", "", 10, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, KIND_LISTENER, "m", "/upstream");
	builder = sample_builder(&world, base, 2);
	sample_put_listener("127.0.0.1", 1, "up", "nowhere", &body);
	ck_assert_int_eq(sample_put(builder, KIND_LISTENER, "m", "", 10, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, KIND_LISTENER, "m", "/tls_options");
	builder = sample_builder(&world, base, 2);
	sample_put_listener("127.0.0.1", 8443, "up", NULL, &body);
	ck_assert_int_eq(sample_put(builder, KIND_LISTENER, "l-again", "", 10, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, KIND_LISTENER, "l-again", "/bind");
	snapshot_free(base);
	sample_world_deinit(&world);
}
END_TEST

START_TEST(targets_in_use_may_not_go)
{
	static const struct {
		enum kind kind;
		const char *id;
		enum kind referrer;
		const char *referrer_id, *field;
	} rows[] = {
	    {KIND_SSL, "s", KIND_TLS_OPTIONS, "other", "/default_ssl"},
	    {KIND_CA_BUNDLE, "ca", KIND_SSL, "s", "/client/ca_bundle"},
	    {KIND_TLS_OPTIONS, "modern", KIND_SSL, "s", "/tls_options"},
	    {KIND_TLS_OPTIONS, "other", KIND_LISTENER, "l6", "/tls_options"},
	    {KIND_UPSTREAM, "up", KIND_LISTENER, "l", "/upstream"},
	};
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base;

	sample_world_init(&world);
	base = make_base(&world);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		builder = sample_builder(&world, base, 2);
		ck_assert_int_eq(snapshot_builder_remove(builder, rows[i].kind, rows[i].id, "", NULL), 0);
		expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_PROFILE, rows[i].referrer, rows[i].referrer_id,
		               rows[i].field);
	}
	/* All of them at once are nobody's targets. */
	builder = sample_builder(&world, base, 2);
	ck_assert_int_eq(snapshot_builder_drop(builder, "", NULL), 0);
	snapshot_free(sample_finish(builder));
	snapshot_free(base);
	sample_world_deinit(&world);
}
END_TEST

START_TEST(bodies_that_mean_nothing_here_are_refused)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct error err;

	sample_world_init(&world);
	builder = sample_builder(&world, NULL, 1);
	buf_put(&body, "\xff", 1);
	ck_assert_int_eq(sample_put(builder, KIND_UPSTREAM, "u", "", 1, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_UNDECODABLE, KIND_UPSTREAM, "u", "");
	builder = sample_builder(&world, NULL, 1);
	sample_put_ssl(&(struct sample_ssl){.names = name}, &body);
	buf_put(&body, "\xf8\x01\x01", 3); /* field 31 */
	ck_assert_int_eq(sample_put(builder, KIND_SSL, "s", "", 1, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_UNKNOWN, KIND_SSL, "s", "");
	builder = sample_builder(&world, NULL, 1);
	sample_put_listener("nowhere", 1, "up", NULL, &body);
	ck_assert_int_eq(sample_put(builder, KIND_LISTENER, "l", "", 1, &body, &err), 0);
	expect_refusal(builder, TLSPLANE__NACK_CODE__NACK_UNKNOWN, KIND_LISTENER, "l", "/bind");
	sample_world_deinit(&world);
}
END_TEST

/* Certificates are parsed while few change: a bad one is refused, by name. */
START_TEST(warm_parsing_finds_bad_certificates)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_refusal refusal = {0};
	struct snapshot_builder *builder;
	struct site_cache *sites = NULL;
	struct sample_world world;
	struct error err = ERROR_NULL;

	sample_world_init(&world);
	ck_assert_int_eq(site_cache_new(world.keyring, 16, &sites, &err), 0);
	for (size_t max = 0; max < 2; max++) {
		builder = sample_builder(&world, NULL, 1);
		sample_put_ssl(&(struct sample_ssl){.names = name}, &body);
		ck_assert_int_eq(sample_put(builder, KIND_SSL, "s", "", 1, &body, &err), 0);
		ck_assert_int_eq(snapshot_builder_prepare(builder, sites, max, &refusal, &err), max == 0 ? 0 : E_REFUSED);
		snapshot_builder_free(builder);
	}
	ck_assert_int_eq(refusal.code, TLSPLANE__NACK_CODE__NACK_PROFILE);
	ck_assert_str_eq(refusal.id, "s");
	site_cache_free(sites);
	sample_world_deinit(&world);
}
END_TEST

UNIT_MAIN("snapshot/views", views_show_what_objects_say, default_replaces_modern,
          upstream_survives_until_its_body_changes, dangling_references_are_refused, targets_in_use_may_not_go,
          bodies_that_mean_nothing_here_are_refused, warm_parsing_finds_bad_certificates)
