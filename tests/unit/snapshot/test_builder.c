/* SPDX-License-Identifier: Apache-2.0 */
/* The builder against a model that keeps plain arrays and computes everything anew; sharing; the journal; the Nth
 * allocation. */
#include "allocations.h"
#include "sample.h"
#include "snapshot/impl.h"
#include "snapshot/names.h"

#define OBJECTS 24
#define NAMES 6

static const char *const selectors[] = {"", "env=prod", "env=prod,zone=a"};
static const char *const names[NAMES] = {"a.test", "b.test", "*.test", "*", "c.test", "d.test"};

struct model_object {
	bool held;
	unsigned selector;
	uint64_t version;
	unsigned mask; /* of names */
	int32_t priority;
};

struct model {
	struct model_object objects[OBJECTS];
};

static void object_id(unsigned index, char id[16])
{
	snprintf(id, 16, "object-%u", index);
}

static void put_body(const struct model_object *object, struct buf *out)
{
	const char *list[NAMES + 1];
	size_t count = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		if (object->mask >> i & 1)
			list[count++] = names[i];
	}
	list[count] = NULL;
	sample_put_ssl(&(struct sample_ssl){.names = list, .priority = object->priority}, out);
}

static struct object_view view_of(const struct model_object *object, const char *id, const struct buf *body)
{
	return (struct object_view){.kind = KIND_SSL,
	                            .id = id,
	                            .uid = uid_make(1, object->version, 0),
	                            .version = object->version,
	                            .selector = selectors[object->selector],
	                            .body = BYTES(body->data, body->len)};
}

static struct digest model_digest(const struct model *model, unsigned selector)
{
	struct digest sum = DIGEST_NULL, one;

	for (unsigned i = 0; i < OBJECTS; i++) {
		CLEANUP(buf_deinit) struct buf body = BUF_NULL;
		struct object_view view;
		char id[16];

		if (!model->objects[i].held || model->objects[i].selector != selector)
			continue;
		object_id(i, id);
		put_body(&model->objects[i], &body);
		view = view_of(&model->objects[i], id, &body);
		ck_assert_int_eq(object_digest(&view, &one, NULL), 0);
		digest_add(&sum, &one);
	}
	return sum;
}

static bool is_before(const struct model_object *a, const struct model_object *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->version > b->version;
}

/* The held objects with a name, best first. */
static size_t model_candidates(const struct model *model, unsigned name, unsigned order[OBJECTS])
{
	size_t count = 0;

	for (unsigned i = 0; i < OBJECTS; i++) {
		size_t at = count;

		if (!model->objects[i].held || (model->objects[i].mask >> name & 1) == 0)
			continue;
		while (at > 0 && is_before(&model->objects[i], &model->objects[order[at - 1]])) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = i;
		count++;
	}
	return count;
}

static void check_names(const struct snapshot *snapshot, const struct model *model)
{
	for (unsigned name = 0; name < NAMES; name++) {
		struct entry *const *candidates = NULL;
		unsigned order[OBJECTS];
		size_t count = model_candidates(model, name, order);

		ck_assert_uint_eq(names_candidates(&snapshot->names, BYTES(names[name], strlen(names[name])), &candidates),
		                  count);
		for (size_t i = 0; i < count; i++) {
			char id[16];

			object_id(order[i], id);
			ck_assert_str_eq(candidates[i]->id, id);
		}
	}
}

static void check_snapshot(const struct snapshot *snapshot, const struct model *model)
{
	size_t held = 0;

	for (unsigned i = 0; i < OBJECTS; i++) {
		const struct entry *entry;
		char id[16];

		object_id(i, id);
		entry = snapshot_find(snapshot, KIND_SSL, id);
		ck_assert_int_eq(entry != NULL, model->objects[i].held);
		if (entry == NULL)
			continue;
		held++;
		ck_assert_uint_eq(entry->version, model->objects[i].version);
		ck_assert_str_eq(entry->selector, selectors[model->objects[i].selector]);
	}
	ck_assert_uint_eq(snapshot_object_count(snapshot, KIND_SSL), held);
	for (unsigned i = 0; i < ARRAY_LEN(selectors); i++) {
		struct digest expected = model_digest(model, i);
		size_t at;
		const struct selector_sum *sum = selector_sums_find(&snapshot->sums, selectors[i], &at);

		ck_assert(sum == NULL || sum->objects > 0);
		ck_assert(digest_is_equal(&expected, sum != NULL ? &sum->digest : &DIGEST_NULL));
	}
	check_names(snapshot, model);
}

static void step_put(struct snapshot_builder *builder, struct model *model, uint64_t *version)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	unsigned index = (unsigned)rand() % OBJECTS;
	struct model_object *object = &model->objects[index];
	struct error err;
	char id[16];

	if (!object->held || rand() % 4 != 0) /* else: the same state again */
		*object = (struct model_object){.held = true,
		                                .selector = (unsigned)rand() % (unsigned)ARRAY_LEN(selectors),
		                                .version = ++*version,
		                                .mask = 1 + (unsigned)rand() % ((1u << NAMES) - 1),
		                                .priority = rand() % 3 - 1};
	object_id(index, id);
	put_body(object, &body);
	ck_assert_int_eq(sample_put(builder, KIND_SSL, id, selectors[object->selector], object->version, &body, &err), 0);
}

static void step_remove(struct snapshot_builder *builder, struct model *model)
{
	unsigned index = (unsigned)rand() % OBJECTS, selector = (unsigned)rand() % (unsigned)ARRAY_LEN(selectors);
	struct model_object *object = &model->objects[index];
	char id[16];

	object_id(index, id);
	ck_assert_int_eq(snapshot_builder_remove(builder, KIND_SSL, id, selectors[selector], NULL), 0);
	if (object->selector == selector)
		object->held = false;
}

static void step_drop(struct snapshot_builder *builder, struct model *model)
{
	unsigned selector = (unsigned)rand() % (unsigned)ARRAY_LEN(selectors);

	ck_assert_int_eq(snapshot_builder_drop(builder, selectors[selector], NULL), 0);
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (model->objects[i].selector == selector)
			model->objects[i].held = false;
	}
}

/* The journal is the difference, without doubles. */
static void check_journal(const struct snapshot_builder *builder, const struct snapshot *base)
{
	size_t gone = snapshot_builder_gone_count(builder), fresh = snapshot_builder_new_count(builder);

	for (size_t i = 0; i < gone; i++) {
		const struct entry *entry = snapshot_builder_gone(builder, i);

		ck_assert_ptr_eq(snapshot_find(base, KIND_SSL, entry->id), entry);
		ck_assert_ptr_ne(snapshot_find(builder->next, KIND_SSL, entry->id), entry);
		for (size_t j = 0; j < i; j++)
			ck_assert_ptr_ne(snapshot_builder_gone(builder, j), entry);
	}
	for (size_t i = 0; i < fresh; i++) {
		const struct entry *entry = snapshot_builder_new_entry(builder, i);

		ck_assert_ptr_eq(snapshot_find(builder->next, KIND_SSL, entry->id), entry);
		ck_assert_ptr_ne(snapshot_find(base, KIND_SSL, entry->id), entry);
	}
	ck_assert_uint_eq(snapshot_object_count(base, 0) - gone + fresh, snapshot_object_count(builder->next, 0));
}

START_TEST(model_and_builder_agree)
{
	struct sample_world world;
	struct model model = {0}, before;
	struct snapshot *snapshot, *next;
	uint64_t version = 0;

	srand(7);
	sample_world_init(&world);
	snapshot = sample_finish(sample_builder(&world, NULL, 1));
	for (unsigned round = 0; round < 300; round++) {
		struct snapshot_builder *builder = sample_builder(&world, snapshot, round + 2);
		struct snapshot_refusal refusal;

		before = model;
		for (int step = rand() % 12; step > 0; step--) {
			int what = rand() % 20;

			if (what < 13)
				step_put(builder, &model, &version);
			else if (what < 19)
				step_remove(builder, &model);
			else
				step_drop(builder, &model);
		}
		ck_assert_int_eq(snapshot_builder_prepare(builder, NULL, 0, &refusal, NULL), 0);
		check_journal(builder, snapshot);
		if (rand() % 5 == 0) { /* refused by the cache, say */
			snapshot_builder_free(builder);
			model = before;
			check_snapshot(snapshot, &model);
			continue;
		}
		next = snapshot_builder_finish(builder);
		check_snapshot(next, &model);
		check_snapshot(snapshot, &before);
		snapshot_free(snapshot);
		check_snapshot(next, &model);
		snapshot = next;
	}
	snapshot_free(snapshot);
	sample_world_deinit(&world);
}
END_TEST

/* A change of one SSL object shares the views and all other entries. */
START_TEST(small_changes_share)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	const char *const one[] = {"one.test", NULL};
	struct sample_world world;
	struct snapshot_builder *builder;
	struct snapshot *first, *second;
	struct error err;

	sample_world_init(&world);
	builder = sample_builder(&world, NULL, 1);
	for (uint64_t i = 1; i <= 100; i++) {
		char id[16];

		snprintf(id, sizeof(id), "s%u", (unsigned)i);
		sample_put_ssl(&(struct sample_ssl){.names = one}, &body);
		ck_assert_int_eq(sample_put(builder, KIND_SSL, id, "", i, &body, &err), 0);
	}
	first = sample_finish(builder);
	builder = sample_builder(&world, first, 2);
	sample_put_ssl(&(struct sample_ssl){.names = one, .salt = "renewed"}, &body);
	ck_assert_int_eq(sample_put(builder, KIND_SSL, "s7", "", 101, &body, &err), 0);
	second = sample_finish(builder);
	ck_assert_ptr_eq(first->views, second->views);
	ck_assert_ptr_eq(snapshot_find(first, KIND_SSL, "s8"), snapshot_find(second, KIND_SSL, "s8"));
	ck_assert_ptr_ne(snapshot_find(first, KIND_SSL, "s7"), snapshot_find(second, KIND_SSL, "s7"));
	ck_assert_ptr_eq(snapshot_find(first, KIND_SSL, "s8")->selector, snapshot_find(first, KIND_SSL, "s9")->selector);
	ck_assert_str_eq(snapshot_best_ssl(first, BYTES("one.test", 8))->id, "s100");
	ck_assert_str_eq(snapshot_best_ssl(second, BYTES("one.test", 8))->id, "s7");
	ck_assert_uint_eq(snapshot_revision(second).number, 2);
	snapshot_free(first);
	ck_assert_str_eq(snapshot_best_ssl(second, BYTES("one.test", 8))->id, "s7");
	snapshot_free(second);
	buf_deinit(&body);
	body = BUF_NULL;
	sample_world_deinit(&world);
}
END_TEST

/* Everything sent again (a reset) is no change for the cache. */
START_TEST(reset_with_the_same_objects_changes_nothing)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	const char *const one[] = {"one.test", NULL};
	struct sample_world world;
	struct snapshot *first = NULL, *second;
	struct snapshot_builder *builder;
	struct snapshot_refusal refusal;
	struct error err;

	sample_world_init(&world);
	for (int round = 0; round < 2; round++) {
		builder = sample_builder(&world, round == 0 ? NULL : first, (uint64_t)round + 1);
		ck_assert_int_eq(snapshot_builder_drop(builder, "env=prod", &err), 0);
		for (int again = 0; again < 1 + round; again++) {
			ck_assert_int_eq(snapshot_builder_drop(builder, "env=prod", &err), 0);
			sample_put_ssl(&(struct sample_ssl){.names = one}, &body);
			ck_assert_int_eq(sample_put(builder, KIND_SSL, "a", "env=prod", 1, &body, &err), 0);
			sample_put_ssl(&(struct sample_ssl){.names = one}, &body);
			ck_assert_int_eq(sample_put(builder, KIND_SSL, "b", "env=prod", 2, &body, &err), 0);
		}
		if (round == 0)
			first = sample_finish(builder);
	}
	ck_assert_int_eq(snapshot_builder_prepare(builder, NULL, 0, &refusal, &err), 0);
	ck_assert_uint_eq(snapshot_builder_gone_count(builder), 0);
	ck_assert_uint_eq(snapshot_builder_new_count(builder), 0);
	second = snapshot_builder_finish(builder);
	ck_assert_str_eq(snapshot_best_ssl(second, BYTES("one.test", 8))->id, "b");
	snapshot_free(first);
	snapshot_free(second);
	sample_world_deinit(&world);
}
END_TEST

static int collect_text(const char *text, char *all)
{
	strcat(all, text);
	strcat(all, "|");
	return 0;
}

static void add_selector(const char *selector, const struct digest *digest, void *context)
{
	collect_text(selector, context);
}

START_TEST(digests_come_in_canonical_order)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	const char *const one[] = {"one.test", NULL}, *const order[] = {"zone=b", "", "env=prod", "env=dev"};
	struct snapshot_builder *builder;
	struct sample_world world;
	struct snapshot *snapshot;
	char all[128] = "";
	struct error err;

	sample_world_init(&world);
	builder = sample_builder(&world, NULL, 1);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		char id[8] = {(char)('a' + i), '\0'};

		sample_put_ssl(&(struct sample_ssl){.names = one}, &body);
		ck_assert_int_eq(sample_put(builder, KIND_SSL, id, order[i], i + 1, &body, &err), 0);
	}
	ck_assert_int_eq(snapshot_builder_drop(builder, "env=dev", &err), 0);
	snapshot_builder_each_digest(builder, add_selector, all);
	ck_assert_str_eq(all, "|env=prod|zone=b|");
	snapshot = sample_finish(builder);
	ck_assert_uint_eq(snapshot->sums.len, 3);
	snapshot_free(snapshot);
	sample_world_deinit(&world);
}
END_TEST

START_TEST(bad_puts_are_refused)
{
	CLEANUP(snapshot_builder_free) struct snapshot_builder *builder = NULL;
	struct sample_world world;
	struct error err = ERROR_NULL;
	const struct snapshot_put good = {
	    .object = {.kind = KIND_SSL, .id = "a", .selector = "", .body = BYTES("\x0a\x01*", 3)},
	    .secret = BYTES("x", 1)};
	struct snapshot_put put;

	sample_world_init(&world);
	builder = sample_builder(&world, NULL, 1);
	ck_assert_int_eq(snapshot_builder_put(builder, &good, &err), 0);
	put = good;
	put.object.kind = KIND_AGENT;
	ck_assert_int_eq(snapshot_builder_put(builder, &put, &err), E_INVALID);
	put.object.kind = (enum kind)8;
	ck_assert_int_eq(snapshot_builder_put(builder, &put, &err), E_INVALID);
	put = good;
	put.object.id = "../x";
	ck_assert_int_eq(snapshot_builder_put(builder, &put, &err), E_INVALID);
	put = good;
	put.object.selector = "b=1,a=1";
	ck_assert_int_lt(snapshot_builder_put(builder, &put, &err), 0);
	put = good;
	put.secret = BYTES_NULL;
	ck_assert_int_eq(snapshot_builder_put(builder, &put, &err), E_INVALID);
	put = good;
	put.object.kind = KIND_UPSTREAM;
	ck_assert_int_eq(snapshot_builder_put(builder, &put, &err), E_INVALID);
	put = good;
	put.object.body = BYTES("\x0a\x05*", 3);
	ck_assert_int_eq(snapshot_builder_put(builder, &put, &err), E_SYNTAX);
	ck_assert_int_eq(snapshot_builder_remove(builder, (enum kind)8, "a", "", &err), E_INVALID);
	snapshot_builder_free(TAKE_PTR(builder));
	sample_world_deinit(&world);
}
END_TEST

#define BODIES 8

static void make_bodies(struct buf bodies[BODIES])
{
	static const char *const two[] = {"a.test", "b.test", NULL};

	sample_put_ssl(&(struct sample_ssl){.names = two, .tls_options = "modern"}, &bodies[0]);
	sample_put_ssl(&(struct sample_ssl){.names = two, .salt = "other"}, &bodies[1]);
	sample_put_options("a", NULL, &bodies[2]);
	sample_put_upstream(80, &bodies[3]);
	sample_put_listener("127.0.0.1", 8443, "up", NULL, &bodies[4]);
	sample_put_bundle(&bodies[5]);
	sample_put_upstream_tls(NULL, NULL, &bodies[6]);
	sample_put_route(&(struct sample_route){.snis = two, .upstream = "up", .upstream_tls = "t"}, &bodies[7]);
}

/* One of everything on top of `base`. */
static int build(struct sample_world *world, const struct snapshot *base, struct buf bodies[BODIES],
                 struct snapshot **ret, struct error *err)
{
	static const struct digest chain;
	CLEANUP(snapshot_builder_free) struct snapshot_builder *builder = NULL;
	struct snapshot_refusal refusal;
	int r;

	r = snapshot_builder_new(&world->context, base, (struct revision){1, 9}, &chain, &builder, err);
	if (r == 0)
		r = snapshot_builder_drop(builder, "env=prod", err);
	if (r == 0)
		r = sample_put(builder, KIND_SSL, "a", "", 10, &bodies[0], err);
	if (r == 0)
		r = sample_put(builder, KIND_SSL, "b", "env=prod", 11, &bodies[1], err);
	if (r == 0)
		r = sample_put(builder, KIND_TLS_OPTIONS, "modern", "", 12, &bodies[2], err);
	if (r == 0)
		r = sample_put(builder, KIND_UPSTREAM, "up", "", 13, &bodies[3], err);
	if (r == 0)
		r = sample_put(builder, KIND_LISTENER, "l", "", 14, &bodies[4], err);
	if (r == 0)
		r = sample_put(builder, KIND_CA_BUNDLE, "ca", "", 15, &bodies[5], err);
	if (r == 0)
		r = sample_put(builder, KIND_UPSTREAM_TLS, "t", "", 16, &bodies[6], err);
	if (r == 0)
		r = sample_put(builder, KIND_ROUTE, "r", "", 17, &bodies[7], err);
	if (r == 0)
		r = snapshot_builder_prepare(builder, NULL, 0, &refusal, err);
	if (r == 0)
		*ret = snapshot_builder_finish(TAKE_PTR(builder));
	return r;
}

START_TEST(every_allocation_may_fail)
{
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	const char *const names_of_base[] = {"a.test", "*", NULL};
	struct sample_world world;
	struct snapshot *base, *next = NULL;
	struct snapshot_builder *builder;
	struct error err = ERROR_NULL;
	size_t n;
	int r;

	sample_world_init(&world);
	builder = sample_builder(&world, NULL, 1);
	for (unsigned i = 0; i < 40; i++) {
		char id[8];

		snprintf(id, sizeof(id), "o%u", i);
		sample_put_ssl(&(struct sample_ssl){.names = names_of_base}, &body);
		ck_assert_int_eq(sample_put(builder, KIND_SSL, id, i % 2 == 0 ? "" : "env=prod", i + 1, &body, &err), 0);
	}
	base = sample_finish(builder);
	for (n = 1;; n++) {
		struct buf bodies[BODIES] = {0};

		make_bodies(bodies);
		allocations_fail_at(n);
		r = build(&world, base, bodies, &next, &err);
		for (size_t i = 0; i < BODIES; i++)
			buf_deinit(&bodies[i]);
		if (!allocations_stop())
			break;
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_uint_eq(snapshot_object_count(base, 0), 40);
		ck_assert_str_eq(snapshot_best_ssl(base, BYTES("a.test", 6))->id, "o39");
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_gt(n, 40);
	ck_assert_uint_eq(snapshot_object_count(next, 0), 28);
	snapshot_free(next);
	snapshot_free(base);
	sample_world_deinit(&world);
}
END_TEST

UNIT_MAIN("snapshot/builder", model_and_builder_agree, small_changes_share, reset_with_the_same_objects_changes_nothing,
          digests_come_in_canonical_order, bad_puts_are_refused, every_allocation_may_fail)
