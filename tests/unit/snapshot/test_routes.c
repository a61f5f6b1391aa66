/* SPDX-License-Identifier: Apache-2.0 */
/* Routes by pattern and listener; what the new kinds refer to, share, and refuse. */
#include "pki.h"
#include "sample.h"
#include "snapshot/impl.h"

#include <openssl/x509.h>

/* Origins are verified with real certificates. */
static void put_real_bundle(const char *name, struct buf *out)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = name, .is_ca = true});
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	unsigned char *der = NULL;
	int len = i2d_X509(ca->cert, &der);
	ProtobufCBinaryData cert = {(size_t)len, der};

	ck_assert_int_gt(len, 0);
	bundle.n_certs = 1;
	bundle.certs = &cert;
	sample_encode(&bundle.base, out);
	OPENSSL_free(der);
	pki_free(ca);
}

static const char *const any_name[] = {"*", NULL};

static void put(struct snapshot_builder *builder, enum kind kind, const char *id, uint64_t version, struct buf *body)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(sample_put(builder, kind, id, "", version, body, &err) == 0, "%s", err.text);
}

/* One of everything: SSL "s" (server) and "c" (client), bundles "ca" and "cb", options "modern", upstream TLS "t" (c,
 * ca), upstreams "up" (plain) and "tls" (t), listeners "l" and "m", route "r" that names all it can. */
static struct snapshot *make_base(struct sample_world *world)
{
	static const char *const names[] = {"a.test", NULL}, *const patterns[] = {"a.test", "**.b.test", "", NULL},
	                         *const listeners[] = {"l", NULL};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder = sample_builder(world, NULL, 1);

	sample_put_ssl(&(struct sample_ssl){.names = names}, &body);
	put(builder, KIND_SSL, "s", 1, &body);
	sample_put_ssl(&(struct sample_ssl){.client_type = true}, &body);
	put(builder, KIND_SSL, "c", 2, &body);
	put_real_bundle("ca", &body);
	put(builder, KIND_CA_BUNDLE, "ca", 3, &body);
	put_real_bundle("cb", &body);
	put(builder, KIND_CA_BUNDLE, "cb", 4, &body);
	sample_put_options("s", NULL, &body);
	put(builder, KIND_TLS_OPTIONS, "modern", 5, &body);
	sample_put_upstream_tls("c", "ca", &body);
	put(builder, KIND_UPSTREAM_TLS, "t", 6, &body);
	sample_put_upstream(80, &body);
	put(builder, KIND_UPSTREAM, "up", 7, &body);
	sample_put_tls_upstream(81, "t", &body);
	put(builder, KIND_UPSTREAM, "tls", 8, &body);
	sample_put_listener("127.0.0.1", 8443, NULL, NULL, &body);
	put(builder, KIND_LISTENER, "l", 9, &body);
	sample_put_listener("127.0.0.1", 8444, "up", NULL, &body);
	put(builder, KIND_LISTENER, "m", 10, &body);
	sample_put_route(
	    &(struct sample_route){
	        .snis = patterns, .listeners = listeners, .tls_options = "modern", .upstream = "tls", .upstream_tls = "t"},
	    &body);
	put(builder, KIND_ROUTE, "r", 11, &body);
	return sample_finish(builder);
}

static const char *chosen(const struct snapshot *snapshot, const char *pattern, const char *listener)
{
	const struct route_view *view = snapshot_choose_route(snapshot, BYTES(pattern, strlen(pattern)), listener);

	return view != NULL ? view->entry->id : "";
}

START_TEST(views_of_the_new_kinds)
{
	struct sample_world world;
	struct snapshot *base;

	sample_world_init(&world);
	base = make_base(&world);
	ck_assert_str_eq(chosen(base, "a.test", "l"), "r");
	ck_assert_str_eq(chosen(base, "**.b.test", "l"), "r");
	ck_assert_str_eq(chosen(base, "", "l"), "r");
	ck_assert_str_eq(chosen(base, "*", "l"), "");
	ck_assert_str_eq(chosen(base, "a.test", "m"), "");
	ck_assert_ptr_null(snapshot_find_listener(base, "127.0.0.1:8443")->upstream);
	ck_assert_ptr_nonnull(snapshot_find_upstream_tls(base, "t")->profile);
	ck_assert_ptr_null(snapshot_find_upstream_tls(base, NULL));
	ck_assert_ptr_null(snapshot_builtin_origin(base));
	ck_assert_str_eq(snapshot_find_upstream_view(base, "tls")->body->upstream_tls, "t");
	ck_assert(snapshot_find(base, KIND_SSL, "c")->client_type);
	ck_assert_uint_eq(snapshot_object_count(base, KIND_ROUTE), 1);
	snapshot_free(base);
	sample_world_deinit(&world);
}
END_TEST

/* One that names the listener before one for all, then priority, then the younger. */
START_TEST(routes_have_an_order)
{
	static const char *const l[] = {"l", NULL};
	static const struct {
		const char *id;
		const char *const *listeners;
		int32_t priority;
		const char *at_l, *at_m; /* who wins once this one is there too */
	} rows[] = {
	    {"first", NULL, 0, "first", "first"},
	    {"younger", NULL, 0, "younger", "younger"},
	    {"low", NULL, -1, "younger", "younger"},
	    {"high", NULL, 5, "high", "high"},
	    {"named", l, -7, "named", "high"},
	    {"named-high", l, -6, "named-high", "high"},
	    {"named-young", l, -6, "named-young", "high"},
	};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct sample_world world;
	struct snapshot *snapshot;

	sample_world_init(&world);
	snapshot = make_base(&world);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct snapshot_builder *builder = sample_builder(&world, snapshot, 20 + i);
		struct snapshot *next;

		sample_put_route(
		    &(struct sample_route){
		        .snis = any_name, .listeners = rows[i].listeners, .upstream = "up", .priority = rows[i].priority},
		    &body);
		put(builder, KIND_ROUTE, rows[i].id, 20 + i, &body);
		next = sample_finish(builder);
		snapshot_free(snapshot);
		snapshot = next;
		ck_assert_str_eq(chosen(snapshot, "*", "l"), rows[i].at_l);
		ck_assert_str_eq(chosen(snapshot, "*", "m"), rows[i].at_m);
	}
	for (size_t i = ARRAY_LEN(rows); i-- > 1;) {
		struct snapshot_builder *builder = sample_builder(&world, snapshot, 40 + i);
		struct snapshot *next;

		ck_assert_int_eq(snapshot_builder_remove(builder, KIND_ROUTE, rows[i].id, "", NULL), 0);
		next = sample_finish(builder);
		snapshot_free(snapshot);
		snapshot = next;
		ck_assert_str_eq(chosen(snapshot, "*", "l"), rows[i - 1].at_l);
		ck_assert_str_eq(chosen(snapshot, "*", "m"), rows[i - 1].at_m);
	}
	snapshot_free(snapshot);
	sample_world_deinit(&world);
}
END_TEST

static void expect_refusal(struct snapshot_builder *builder, enum kind kind, const char *id, const char *field)
{
	struct snapshot_refusal refusal = {0};
	struct error err = ERROR_NULL;

	ck_assert_int_eq(snapshot_builder_prepare(builder, NULL, 0, &refusal, &err), E_REFUSED);
	ck_assert_int_eq(refusal.code, TLSPLANE__NACK_CODE__NACK_PROFILE);
	ck_assert_int_eq(refusal.kind, kind);
	ck_assert_str_eq(refusal.id, id);
	ck_assert_str_eq(refusal.field, field);
	ck_assert_str_ne(refusal.reason, "");
	snapshot_builder_free(builder);
}

START_TEST(targets_must_be_held)
{
	static const char *const nowhere[] = {"l", "nowhere", NULL};
	static const struct {
		struct sample_route route;
		const char *field;
	} routes[] = {
	    {{.snis = any_name, .tls_options = "nowhere"}, "/tls_options"},
	    {{.snis = any_name, .upstream = "nowhere"}, "/upstream"},
	    {{.snis = any_name, .upstream = "up", .upstream_tls = "nowhere"}, "/upstream_tls"},
	    {{.snis = any_name, .listeners = nowhere}, "/listeners/1"},
	};
	static const struct {
		const char *client_ssl, *ca_bundle, *field;
	} origins[] = {
	    {"nowhere", NULL, "/client_ssl"},
	    {"s", NULL, "/client_ssl"}, /* of type server */
	    {NULL, "nowhere", "/ca_bundle"},
	};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base;

	sample_world_init(&world);
	base = make_base(&world);
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		builder = sample_builder(&world, base, 2);
		sample_put_route(&routes[i].route, &body);
		put(builder, KIND_ROUTE, "x", 20, &body);
		expect_refusal(builder, KIND_ROUTE, "x", routes[i].field);
	}
	for (size_t i = 0; i < ARRAY_LEN(origins); i++) {
		builder = sample_builder(&world, base, 2);
		sample_put_upstream_tls(origins[i].client_ssl, origins[i].ca_bundle, &body);
		put(builder, KIND_UPSTREAM_TLS, "x", 20, &body);
		expect_refusal(builder, KIND_UPSTREAM_TLS, "x", origins[i].field);
	}
	builder = sample_builder(&world, base, 2);
	sample_put_tls_upstream(80, "nowhere", &body);
	put(builder, KIND_UPSTREAM, "x", 20, &body);
	expect_refusal(builder, KIND_UPSTREAM, "x", "/upstream_tls");
	builder = sample_builder(&world, base, 2);
	sample_put_options("c", NULL, &body); /* of type client */
	put(builder, KIND_TLS_OPTIONS, "x", 20, &body);
	expect_refusal(builder, KIND_TLS_OPTIONS, "x", "/default_ssl");
	snapshot_free(base);
	sample_world_deinit(&world);
}
END_TEST

START_TEST(targets_in_use_stay)
{
	static const char *const names[] = {"c.test", NULL};
	static const struct {
		enum kind kind;
		const char *id;
		enum kind referrer;
		const char *referrer_id, *field;
	} rows[] = {
	    {KIND_LISTENER, "l", KIND_ROUTE, "r", "/listeners/0"},
	    {KIND_UPSTREAM, "tls", KIND_ROUTE, "r", "/upstream"},
	    {KIND_UPSTREAM, "up", KIND_LISTENER, "m", "/upstream"},
	    {KIND_TLS_OPTIONS, "modern", KIND_ROUTE, "r", "/tls_options"},
	    {KIND_UPSTREAM_TLS, "t", KIND_UPSTREAM, "tls", "/upstream_tls"},
	    {KIND_CA_BUNDLE, "ca", KIND_UPSTREAM_TLS, "t", "/ca_bundle"},
	    {KIND_SSL, "c", KIND_UPSTREAM_TLS, "t", "/client_ssl"},
	    {KIND_SSL, "s", KIND_TLS_OPTIONS, "modern", "/default_ssl"},
	};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base;

	sample_world_init(&world);
	base = make_base(&world);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		builder = sample_builder(&world, base, 2);
		ck_assert_int_eq(snapshot_builder_remove(builder, rows[i].kind, rows[i].id, "", NULL), 0);
		expect_refusal(builder, rows[i].referrer, rows[i].referrer_id, rows[i].field);
	}
	builder = sample_builder(&world, base, 2); /* still there, but of another type */
	sample_put_ssl(&(struct sample_ssl){.names = names}, &body);
	put(builder, KIND_SSL, "c", 20, &body);
	expect_refusal(builder, KIND_UPSTREAM_TLS, "t", "/client_ssl");
	builder = sample_builder(&world, base, 2);
	ck_assert_int_eq(snapshot_builder_drop(builder, "", NULL), 0);
	snapshot_free(sample_finish(builder));
	snapshot_free(base);
	sample_world_deinit(&world);
}
END_TEST

/* The box of a changed object is new, all others are the same. */
static struct snapshot *change_one(struct sample_world *world, const struct snapshot *base, enum kind kind,
                                   const char *id, struct buf *body)
{
	struct snapshot_builder *builder = sample_builder(world, base, 2);
	struct snapshot *next;

	put(builder, kind, id, 20, body);
	next = sample_finish(builder);
	for (unsigned i = KIND_TLS_OPTIONS; i < SNAPSHOT_KINDS; i++) {
		static const char *const ids[] = {"modern", "l", "m", "up", "tls", "ca", "cb", "r", "t"};

		for (size_t j = 0; j < ARRAY_LEN(ids); j++) {
			if (i == kind && strcmp(ids[j], id) == 0)
				continue;
			if (i == KIND_UPSTREAM_TLS && kind == KIND_CA_BUNDLE)
				continue;
			ck_assert_ptr_eq(views_find(base->views, (enum kind)i, ids[j]),
			                 views_find(next->views, (enum kind)i, ids[j]));
		}
	}
	return next;
}

START_TEST(what_is_unchanged_is_shared)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct sample_world world;
	struct snapshot *base, *next;
	struct origin_profile *profile;

	sample_world_init(&world);
	base = make_base(&world);
	profile = snapshot_find_upstream_tls(base, "t")->profile;
	sample_put_route(&(struct sample_route){.snis = any_name, .upstream = "up"}, &body);
	next = change_one(&world, base, KIND_ROUTE, "r", &body);
	ck_assert_str_eq(chosen(next, "a.test", "l"), "");
	ck_assert_str_eq(chosen(next, "*", "l"), "r");
	ck_assert_str_eq(chosen(base, "a.test", "l"), "r");
	snapshot_free(next);
	sample_put_upstream_tls("c", "ca", &body); /* a new state with the same body */
	next = change_one(&world, base, KIND_UPSTREAM_TLS, "t", &body);
	ck_assert_ptr_eq(snapshot_find_upstream_tls(next, "t")->profile, profile);
	snapshot_free(next);
	sample_put_ssl(&(struct sample_ssl){.client_type = true, .salt = "rotated"}, &body);
	next = change_one(&world, base, KIND_SSL, "c", &body);
	ck_assert_ptr_eq(next->views, base->views);
	snapshot_free(next);
	put_real_bundle("other", &body); /* of others */
	next = change_one(&world, base, KIND_CA_BUNDLE, "cb", &body);
	ck_assert_ptr_eq(snapshot_find_upstream_tls(next, "t")->profile, profile);
	snapshot_free(next);
	buf_put(&body, snapshot_find(base, KIND_CA_BUNDLE, "ca")->body.data,
	        snapshot_find(base, KIND_CA_BUNDLE, "ca")->body.len);
	next = change_one(&world, base, KIND_CA_BUNDLE, "ca", &body); /* no other bytes */
	ck_assert_ptr_eq(snapshot_find_upstream_tls(next, "t")->profile, profile);
	snapshot_free(next);
	put_real_bundle("other", &body);
	next = change_one(&world, base, KIND_CA_BUNDLE, "ca", &body);
	ck_assert_ptr_ne(snapshot_find_upstream_tls(next, "t")->profile, profile);
	snapshot_free(base);
	ck_assert_ptr_nonnull(snapshot_find_upstream_tls(next, "t")->profile);
	snapshot_free(next);
	sample_world_deinit(&world);
}
END_TEST

START_TEST(built_in_origin_is_made_once)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base, *next, *last;

	sample_world_init(&world);
	base = make_base(&world);
	builder = sample_builder(&world, base, 2);
	sample_put_tls_upstream(80, "", &body);
	put(builder, KIND_UPSTREAM, "up", 20, &body);
	next = sample_finish(builder);
	ck_assert_ptr_nonnull(snapshot_builtin_origin(next));
	builder = sample_builder(&world, next, 3);
	sample_put_tls_upstream(99, "", &body);
	put(builder, KIND_UPSTREAM, "up2", 21, &body);
	last = sample_finish(builder);
	ck_assert_ptr_eq(snapshot_builtin_origin(last), snapshot_builtin_origin(next));
	snapshot_free(base);
	snapshot_free(next);
	snapshot_free(last);
	sample_world_deinit(&world);
}
END_TEST

/* The table of kinds and the tries go together. */
START_TEST(every_kind_that_travels_has_its_place)
{
	for (size_t i = 0; i < kind_table_len; i++) {
		enum kind kind = kind_table[i].kind;

		ck_assert_int_eq(kind_table[i].travels, kind < SNAPSHOT_KINDS);
		if (kind_table[i].travels && kind != KIND_SSL)
			ck_assert_uint_ge(box_ops[kind].size, sizeof(struct box));
	}
}
END_TEST

/* Ten thousand routes: each found, and a change that touches one. */
START_TEST(many_routes)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base, *next;
	char name[32], id[16];
	const char *const snis[] = {name, NULL};

	sample_world_init(&world);
	base = make_base(&world);
	builder = sample_builder(&world, base, 2);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "**.n%u.test", i);
		snprintf(id, sizeof(id), "n%u", i);
		sample_put_route(&(struct sample_route){.snis = snis, .upstream = "up"}, &body);
		put(builder, KIND_ROUTE, id, 100 + i, &body);
	}
	next = sample_finish(builder);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "**.n%u.test", i);
		snprintf(id, sizeof(id), "n%u", i);
		ck_assert_str_eq(chosen(next, name, "l"), id);
	}
	ck_assert_str_eq(chosen(next, "**.n10000.test", "l"), "");
	snapshot_free(base);
	snapshot_free(next);
	sample_world_deinit(&world);
}
END_TEST

UNIT_MAIN("snapshot/routes", views_of_the_new_kinds, routes_have_an_order, targets_must_be_held, targets_in_use_stay,
          what_is_unchanged_is_shared, built_in_origin_is_made_once, every_kind_that_travels_has_its_place, many_routes)
