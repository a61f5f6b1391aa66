/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"
#include "snapshot/impl.h"

static const char *const a_name[] = {"a.test", NULL}, *const m_name[] = {"m.test", NULL},
                         *const other_name[] = {"b.test", NULL};

static void put(struct snapshot_builder *builder, enum kind kind, const char *id, uint64_t version, struct buf *body)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(sample_put(builder, kind, id, "", version, body, &err) == 0, "%s", err.text);
}

/* SSL "a" and "z" (plain), "m" (with `client`), bundle "ca", options "modern" (asking clients or not), upstream "up",
 * listener "l", route "r". */
static struct snapshot *make_base(struct sample_world *world, bool asking)
{
	static const char *const patterns[] = {"a.test", NULL};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct snapshot_builder *builder = sample_builder(world, NULL, 1);

	sample_put_ssl(&(struct sample_ssl){.names = a_name}, &body);
	put(builder, KIND_SSL, "a", 1, &body);
	sample_put_ssl(&(struct sample_ssl){.names = a_name}, &body);
	put(builder, KIND_SSL, "z", 2, &body);
	if (asking) {
		sample_put_ssl(&(struct sample_ssl){.names = m_name, .ca_bundle = "ca"}, &body);
		put(builder, KIND_SSL, "m", 2, &body);
	}
	sample_put_bundle(&body);
	put(builder, KIND_CA_BUNDLE, "ca", 3, &body);
	sample_put_options(NULL, NULL, &body);
	put(builder, KIND_TLS_OPTIONS, "modern", 4, &body);
	sample_put_upstream(80, &body);
	put(builder, KIND_UPSTREAM, "up", 5, &body);
	sample_put_listener("127.0.0.1", 8443, "up", NULL, &body);
	put(builder, KIND_LISTENER, "l", 6, &body);
	sample_put_route(&(struct sample_route){.snis = patterns}, &body);
	put(builder, KIND_ROUTE, "r", 7, &body);
	return sample_finish(builder);
}

struct step {
	enum kind kind;
	const char *id;
	bool remove;
	struct sample_ssl ssl;
	bool expected, expected_open; /* where some object asks clients; where none does */
};

static void take_step(struct snapshot_builder *builder, const struct step *step, uint64_t version)
{
	static const char *const patterns[] = {"c.test", NULL};
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;

	if (step->remove) {
		ck_assert_int_eq(snapshot_builder_remove(builder, step->kind, step->id, "", NULL), 0);
		return;
	}
	if (step->kind == KIND_SSL)
		sample_put_ssl(&step->ssl, &body);
	else if (step->kind == KIND_TLS_OPTIONS)
		sample_put_options(NULL, NULL, &body);
	else if (step->kind == KIND_CA_BUNDLE)
		sample_put_bundle(&body);
	else if (step->kind == KIND_UPSTREAM)
		sample_put_upstream(81, &body);
	else if (step->kind == KIND_LISTENER)
		sample_put_listener("127.0.0.1", 8444, "up", NULL, &body);
	else if (step->kind == KIND_UPSTREAM_TLS)
		sample_put_upstream_tls(NULL, NULL, &body);
	else
		sample_put_route(&(struct sample_route){.snis = patterns}, &body);
	put(builder, step->kind, step->id, version, &body);
}

static const struct step steps[] = {
    {KIND_SSL, "a", .ssl = {.names = a_name, .salt = "renewed", .not_after = 9}, .expected = false,
     .expected_open = false},
    {KIND_SSL, "a", .ssl = {.names = other_name}, .expected = true, .expected_open = false},
    {KIND_SSL, "a", .ssl = {.names = a_name, .priority = 1}, .expected = true, .expected_open = false},
    {KIND_SSL, "a", .ssl = {.names = a_name, .tls_options = "modern"}, .expected = true, .expected_open = false},
    {KIND_SSL, "a", .ssl = {.names = a_name, .ca_bundle = "ca"}, .expected = true, .expected_open = true},
    {KIND_SSL, "a", .remove = true, .expected = true, .expected_open = false},
    {KIND_SSL, "n", .ssl = {.names = a_name}, .expected = true, .expected_open = false},
    {KIND_SSL, "n", .ssl = {.names = a_name, .ca_bundle = "ca"}, .expected = true, .expected_open = true},
    {KIND_SSL, "n", .ssl = {.client_type = true}, .expected = false, .expected_open = false},
    {KIND_SSL, "m", .ssl = {.names = m_name, .ca_bundle = "ca", .salt = "renewed"}, .expected = false,
     .expected_open = true},
    {KIND_SSL, "m", .ssl = {.names = m_name, .ca_bundle = "ca", .depth = 3}, .expected = true, .expected_open = true},
    {KIND_UPSTREAM, "up", .expected = false, .expected_open = false},
    {KIND_UPSTREAM_TLS, "t", .expected = false, .expected_open = false},
    {KIND_TLS_OPTIONS, "modern", .expected = true, .expected_open = true},
    {KIND_TLS_OPTIONS, "default", .expected = true, .expected_open = true},
    {KIND_CA_BUNDLE, "ca", .expected = true, .expected_open = true},
    {KIND_LISTENER, "l", .expected = true, .expected_open = true},
    {KIND_ROUTE, "r", .expected = true, .expected_open = true},
    {KIND_ROUTE, "r2", .expected = true, .expected_open = true},
    {KIND_ROUTE, "r", .remove = true, .expected = true, .expected_open = true},
};

START_TEST(what_tightens)
{
	struct sample_world world;

	sample_world_init(&world);
	for (int asking = 0; asking < 2; asking++) {
		struct snapshot *base = make_base(&world, asking);

		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			struct snapshot_builder *builder = sample_builder(&world, base, 2);
			struct snapshot *next;

			take_step(builder, &steps[i], 20);
			next = sample_finish(builder);
			ck_assert_msg(snapshot_may_tighten(base, next) == (asking ? steps[i].expected : steps[i].expected_open),
			              "step %zu, asking %d", i, asking);
			ck_assert(!snapshot_may_tighten(NULL, next));
			ck_assert(!snapshot_may_tighten(next, next));
			snapshot_free(next);
		}
		snapshot_free(base);
	}
	sample_world_deinit(&world);
}
END_TEST

/* Between two that were published lay one that was not. */
START_TEST(a_skipped_snapshot_is_not_forgotten)
{
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *base, *skipped, *next;

	sample_world_init(&world);
	base = make_base(&world, true);
	builder = sample_builder(&world, base, 2);
	take_step(builder, &(struct step){KIND_ROUTE, "r"}, 20);
	skipped = sample_finish(builder);
	builder = sample_builder(&world, skipped, 3);
	take_step(builder, &(struct step){KIND_UPSTREAM, "up"}, 21);
	next = sample_finish(builder);
	snapshot_free(skipped);
	ck_assert(snapshot_may_tighten(base, next));
	snapshot_free(base);
	builder = sample_builder(&world, next, 4);
	take_step(builder, &(struct step){KIND_SSL, "a", .ssl = {.names = a_name, .salt = "renewed"}}, 22);
	skipped = sample_finish(builder);
	ck_assert(!snapshot_may_tighten(next, skipped));
	snapshot_free(next);
	snapshot_free(skipped);
	sample_world_deinit(&world);
}
END_TEST

UNIT_MAIN("snapshot/tighten", what_tightens, a_skipped_snapshot_is_not_forgotten)
