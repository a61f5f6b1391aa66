/* SPDX-License-Identifier: Apache-2.0 */
/* Lists by facets, against a model that keeps every state ever written and looks at all of them: any terms, any order, any revision,
 * pages of any size; before and after history is cut, and on a store of an earlier release. */
#include "opened.h"

#include "store/facets.h"
#include "store/store_history.h"
#include "store/store_lists.h"

#define OBJECTS 300
#define ROUNDS 30
#define FACETS_MAX 512

static sqlite3 *handle(void)
{
	return writer->reader.database.handle;
}

static void run_sql(const char *sql)
{
	char *text = NULL;

	ck_assert_msg(sqlite3_exec(handle(), sql, NULL, NULL, &text) == SQLITE_OK, "%s: %s", sql, text);
}

static uint64_t ask_sql(const char *sql)
{
	sqlite3_stmt *statement = NULL;
	uint64_t number;

	ck_assert_int_eq(sqlite3_prepare_v2(handle(), sql, -1, &statement, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	number = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

/* The model -------------------------------------------------------------------------------------------------------- */

struct model {
	unsigned id;
	uint64_t from, to; /* to 0: current */
	bool enabled;
	unsigned label; /* common: 0 to 2 */
	unsigned name;  /* rare: 0 to 99 */
	uint64_t expiry; /* 0: none */
	unsigned type;
};

static struct model models[OBJECTS * (ROUNDS + 1)];
static size_t models_len;
static uint64_t seed = 1;

static unsigned draw(unsigned below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(seed >> 33) % below;
}

static uint64_t label_hash(unsigned label)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", label);
	return facet_hash("n", text);
}

static void put_number(struct buf *out, enum facet_name name, uint64_t number)
{
	buf_put_u8(out, (uint8_t)name);
	buf_put_u8(out, 0);
	buf_put_u8(out, 8);
	buf_put_u64(out, number);
}

static void put_name(struct buf *out, unsigned name)
{
	char text[16];

	snprintf(text, sizeof(text), "name-%u", name);
	buf_put_u8(out, FACET_SNI);
	buf_put_u8(out, 0);
	buf_put_u8(out, (uint8_t)strlen(text));
	buf_put_str(out, text);
}

static void put_state(enum kind kind, const struct model *model)
{
	CLEANUP(buf_deinit) struct buf facets = BUF_NULL;
	struct resource *resource;
	char id[32], body[64], labels[32];

	snprintf(id, sizeof(id), "o%u", model->id);
	snprintf(body, sizeof(body), "%u %u %u", model->name, model->type, draw(UINT32_MAX));
	snprintf(labels, sizeof(labels), "{\"n\":\"%u\"}", model->label);
	resource = make_resource(kind, id, "", model->enabled, body);
	resource->labels = strdup(labels);
	put_number(&facets, FACET_LABEL, facet_hash("n", NULL));
	put_number(&facets, FACET_LABEL, label_hash(model->label));
	put_name(&facets, model->name);
	put_number(&facets, FACET_TYPE, model->type);
	if (model->expiry != 0)
		put_number(&facets, FACET_EXPIRY, model->expiry);
	resource->facets = (uint8_t *)buf_take(&facets, &resource->facets_len);
	resource->secret = secret_new_copy("key", 3);
	OK(put_resource(writer, resource, &test_error));
	resource_free(resource);
}

static struct model *find_current(unsigned id)
{
	for (size_t i = models_len; i > 0; i--) {
		if (models[i - 1].id == id)
			return models[i - 1].to == 0 ? &models[i - 1] : NULL;
	}
	return NULL;
}

static void change_one(unsigned id, uint64_t revision)
{
	struct model *current = find_current(id);
	struct model next = {.id = id, .from = revision, .enabled = draw(8) > 0, .label = draw(3), .name = draw(100),
	                     .expiry = draw(10) > 0 ? 1 + draw(60) : 0, .type = draw(2)};

	if (current != NULL)
		current->to = revision;
	if (current != NULL && draw(6) == 0) {
		char text[32];

		snprintf(text, sizeof(text), "o%u", id);
		OK(store_delete(writer, KIND_SSL, text, &test_error));
		return;
	}
	put_state(KIND_SSL, &next);
	models[models_len++] = next;
}

/* One revision that changes most of them. */
static uint64_t change_many(void)
{
	struct store_revision revision;
	uint64_t number;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	number = store_revision_next(writer).number;
	for (unsigned id = 0; id < OBJECTS; id++) {
		if (draw(10) > 0)
			change_one(id, number);
	}
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	return number;
}

static uint64_t first_revision, last_revision;

static void make_history(void)
{
	models_len = 0;
	first_revision = change_many();
	for (int i = 1; i < ROUNDS; i++)
		last_revision = change_many();
}

/* Comparing -------------------------------------------------------------------------------------------------------- */

static enum store_order sorted_by;

static int compare_models(const void *left, const void *right)
{
	const struct model *a = *(const struct model *const *)left, *b = *(const struct model *const *)right;
	char id_a[16], id_b[16];
	int order;

	snprintf(id_a, sizeof(id_a), "o%u", a->id);
	snprintf(id_b, sizeof(id_b), "o%u", b->id);
	order = strcmp(id_a, id_b);
	if (sorted_by != STORE_BY_ID && a->expiry != b->expiry)
		order = a->expiry < b->expiry ? -1 : 1;
	return sorted_by == STORE_BY_EXPIRY_FALLING ? -order : order;
}

/* The terms as the model has them; UINT_MAX: any. */
struct wanted {
	unsigned label, other_label, name, other_name, type;
};

static bool is_wanted(const struct model *model, const struct store_lister *lister, const struct wanted *wanted)
{
	if (model->from > lister->revision || (model->to != 0 && model->to <= lister->revision))
		return false;
	if (lister->status >= 0 && model->enabled != (lister->status == 1))
		return false;
	if ((lister->expires_before != 0 || lister->order != STORE_BY_ID) && model->expiry == 0)
		return false;
	if (lister->expires_before != 0 && model->expiry >= lister->expires_before)
		return false;
	return (wanted->label == UINT_MAX || model->label == wanted->label || model->label == wanted->other_label) &&
	       (wanted->name == UINT_MAX || model->name == wanted->name || model->name == wanted->other_name) &&
	       (wanted->type == UINT_MAX || model->type == wanted->type);
}

static struct store_term *add_term(struct store_lister *lister, enum facet_name name, uint64_t number)
{
	struct store_term *term = &lister->terms[lister->terms_len++];

	*term = (struct store_term){.name = name, .numbers = {number}, .len = 1};
	return term;
}

static char name_texts[2][16];

static void draw_terms(struct store_lister *lister, struct wanted *wanted)
{
	*wanted = (struct wanted){UINT_MAX, UINT_MAX, UINT_MAX, UINT_MAX, UINT_MAX};
	if (draw(2) == 0) {
		struct store_term *term = add_term(lister, FACET_LABEL, label_hash(wanted->label = draw(4)));

		wanted->other_label = wanted->label;
		if (draw(3) == 0) {
			wanted->other_label = draw(3);
			term->numbers[term->len++] = label_hash(wanted->other_label);
		}
		if (draw(4) == 0) { /* whose states have more than one of the values */
			wanted->label = UINT_MAX;
			term->numbers[term->len++] = facet_hash("n", NULL);
		}
	}
	if (draw(3) == 0) {
		struct store_term *term = add_term(lister, FACET_SNI, 0);

		wanted->name = draw(100);
		wanted->other_name = draw(100);
		snprintf(name_texts[0], sizeof(name_texts[0]), "name-%u", wanted->name);
		snprintf(name_texts[1], sizeof(name_texts[1]), "name-%u", wanted->other_name);
		*term = (struct store_term){.name = FACET_SNI, .is_text = true, .texts = {name_texts[0], name_texts[1]}, .len = 2};
	}
	if (draw(3) == 0)
		add_term(lister, FACET_TYPE, wanted->type = draw(2));
	if (draw(5) == 0)
		add_term(lister, FACET_LABEL, facet_hash("n", NULL));
}

struct page {
	unsigned ids[OBJECTS];
	size_t len, limit;
};

static int take(const struct store_row *row, void *context)
{
	struct page *page = context;

	if (page->limit-- == 0)
		return 1;
	ck_assert_uint_lt(page->len, OBJECTS);
	page->ids[page->len++] = (unsigned)atoi(row->state.object.id + 1);
	return 0;
}

static void check_list(struct store_lister lister, const struct wanted *wanted, size_t limit, size_t looks)
{
	static struct page page;
	const struct model *expected[OBJECTS];
	size_t len = 0;

	for (size_t i = 0; i < models_len; i++) {
		if (is_wanted(&models[i], &lister, wanted))
			expected[len++] = &models[i];
	}
	sorted_by = lister.order;
	qsort(expected, len, sizeof(expected[0]), compare_models);
	page.len = 0;
	for (int pages = 0; !lister.ended; pages++) {
		ck_assert_int_lt(pages, 20000);
		page.limit = limit;
		lister.looks = looks;
		OK(store_find(reader, &lister, take, &page, &test_error));
	}
	ck_assert_uint_eq(page.len, len);
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(page.ids[i], expected[i]->id);
}

static void check_any(uint64_t oldest)
{
	static const size_t limits[] = {2, 20, 50, OBJECTS}, looks[] = {5, 50, 200, 10000};
	struct store_lister lister = {.kind = KIND_SSL, .order = (enum store_order)draw(3)};
	struct wanted wanted;

	lister.revision = oldest + draw((unsigned)(last_revision - oldest + 1));
	lister.status = (int)draw(3) - 1;
	lister.expires_before = draw(2) == 0 ? 1 + draw(64) : 0;
	draw_terms(&lister, &wanted);
	check_list(lister, &wanted, limits[draw(4)], looks[draw(4)]);
}

START_TEST(test_against_the_model)
{
	make_history();
	/* Some terms have more rows than are sorted at once, so that each way is gone. */
	ck_assert_uint_gt(ask_sql("SELECT count(*) FROM facet WHERE name = 1 GROUP BY value ORDER BY 1 LIMIT 1"), 2000);
	for (int i = 0; i < 150; i++)
		check_any(first_revision);
}
END_TEST

/* Cutting history ---------------------------------------------------------------------------------------------------- */

static void prune_to(uint64_t floor, size_t max)
{
	bool done = false;

	for (int turns = 0; !done; turns++) {
		ck_assert_int_lt(turns, 100000);
		OK(store_write_begin(writer, &test_error));
		OK(store_prune(writer, floor, max, &done, &test_error));
		OK(store_write_commit(writer, &test_error));
	}
}

START_TEST(test_after_history_was_cut)
{
	uint64_t floor, kept, wanted = 1;
	char sql[160];

	make_history();
	put_alone(writer, KIND_AGENT, "a1", "", true, "key 1");
	last_revision = put_alone(writer, KIND_AGENT, "a1", "", true, "key 2").revision.number;
	floor = first_revision + ROUNDS / 2;
	prune_to(floor, 7);
	OK(store_floor(reader, &kept, &test_error));
	ck_assert_uint_eq(kept, floor);
	FAILS(E_GONE, store_check_kept(reader, floor - 1, &test_error));
	OK(store_check_kept(reader, floor, &test_error));
	for (int i = 0; i < 60; i++)
		check_any(floor);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM object WHERE to_rev <= %d AND kind = 1", (int)floor);
	ck_assert_uint_eq(ask_sql(sql), 0);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM change WHERE revision <= %d", (int)floor);
	ck_assert_uint_eq(ask_sql(sql), 0);
	ck_assert_uint_eq(ask_sql("SELECT count(*) FROM facet WHERE NOT EXISTS (SELECT 1 FROM object o WHERE o.row_id = facet.row_id)"), 0);
	/* To the head: what is now stays, and what agents were. */
	prune_to(last_revision, 1000);
	for (int i = 0; i < 20; i++)
		check_any(last_revision);
	ck_assert_uint_eq(ask_sql("SELECT count(*) FROM object WHERE kind = 64"), 2);
	ck_assert_uint_eq(ask_sql("SELECT count(*) FROM object WHERE kind = 1 AND to_rev IS NOT NULL"), 0);
	ck_assert_uint_eq(ask_sql("SELECT count(*) FROM revision"), last_revision);
	/* Nothing is left to do, by number or by age. */
	OK(store_find_floor(reader, 1, 2000, &wanted, &test_error));
	ck_assert_uint_eq(wanted, 0);
}
END_TEST

static uint64_t floor_for(uint64_t revisions, uint64_t oldest)
{
	uint64_t wanted = 7;

	OK(store_find_floor(reader, revisions, oldest, &wanted, &test_error));
	return wanted;
}

START_TEST(test_where_the_floor_is_to_be)
{
	struct store_author author = test_author;
	struct store_revision head;
	uint64_t begin;

	OK(store_head(reader, &head, &test_error));
	begin = head.revision.number;
	for (uint64_t i = 1; i <= 10; i++) { /* at 10, 20 ... */
		char body[16];

		snprintf(body, sizeof(body), "%u", (unsigned)i);
		author.now = UINT64_C(4000000000) + i * 10;
		OK(store_write_begin(writer, &test_error));
		OK(store_revision_begin(writer, &author, &test_error));
		OK(put_object(writer, KIND_UPSTREAM, "u", "", true, body));
		OK(store_revision_end(writer, &head, &test_error));
		OK(store_write_commit(writer, &test_error));
	}
	ck_assert_uint_eq(floor_for(0, 0), 0);
	ck_assert_uint_eq(floor_for(100, 0), 0);
	ck_assert_uint_eq(floor_for(4, 0), begin + 6);
	ck_assert_uint_eq(floor_for(0, 1), 0);
	ck_assert_uint_eq(floor_for(0, UINT64_C(4000000035)), begin + 3);
	ck_assert_uint_eq(floor_for(0, UINT64_C(4000000040)), begin + 3); /* as old as that is young enough */
	ck_assert_uint_eq(floor_for(0, UINT64_C(5000000000)), begin + 10);
	/* Whichever keeps less. */
	ck_assert_uint_eq(floor_for(4, UINT64_C(4000000035)), begin + 6);
	ck_assert_uint_eq(floor_for(8, UINT64_C(4000000035)), begin + 3);
	prune_to(begin + 6, 100);
	ck_assert_uint_eq(floor_for(4, 0), 0);
	ck_assert_uint_eq(floor_for(8, UINT64_C(4000000035)), 0); /* it never falls */
	ck_assert_uint_eq(floor_for(3, 0), begin + 7);
}
END_TEST

/* Keys ------------------------------------------------------------------------------------------------------------- */

START_TEST(test_purging_keys)
{
	size_t count = 0;
	bool known = false;

	make_history();
	OK(store_has_states(reader, KIND_SSL, "o1", &known, &test_error));
	ck_assert(known);
	OK(store_has_states(reader, KIND_SSL, "never", &known, &test_error));
	ck_assert(!known);
	OK(store_write_begin(writer, &test_error));
	OK(store_purge_secrets(writer, KIND_SSL, "o1", &count, &test_error));
	OK(store_write_commit(writer, &test_error));
	ck_assert_uint_gt(count, 1);
	ck_assert_uint_eq(count, ask_sql("SELECT count(*) FROM object WHERE kind = 1 AND id = 'o1' AND to_rev IS NOT NULL"));
	/* Of ended states of this object alone. */
	ck_assert_uint_eq(ask_sql("SELECT count(*) FROM object WHERE kind = 1 AND secret IS NULL"), count);
	ck_assert_uint_eq(ask_sql("SELECT count(*) FROM object WHERE id = 'o1' AND to_rev IS NULL AND secret IS NULL"), 0);
	for (int i = 0; i < 20; i++)
		check_any(first_revision);
}
END_TEST

/* A store of an earlier release --------------------------------------------------------------------------------------- */

static int count_row(const struct store_row *row, void *context)
{
	++*(size_t *)context;
	return 0;
}

static void forget_facets(void)
{
	run_sql("DELETE FROM facet");
	run_sql("UPDATE object SET facets = NULL");
	run_sql("DELETE FROM meta WHERE key IN ('facets_ready', 'facets_next')");
}

static void fill(size_t max)
{
	bool done = false;

	for (int turns = 0; !done; turns++) {
		ck_assert_int_lt(turns, 100000);
		OK(store_write_begin(writer, &test_error));
		OK(store_fill_facets(writer, max, &done, &test_error));
		OK(store_write_commit(writer, &test_error));
	}
}

START_TEST(test_filling)
{
	struct store_lister plain = {.kind = KIND_SSL, .status = 0, .looks = 10000}, filtered;
	struct wanted wanted = {UINT_MAX, UINT_MAX, UINT_MAX, UINT_MAX, UINT_MAX};
	size_t count = 0;

	make_history();
	forget_facets();
	plain.revision = last_revision;
	check_list(plain, &wanted, 50, 10000); /* needs none */
	filtered = plain;
	add_term(&filtered, FACET_LABEL, label_hash(1));
	FAILS(E_UNAVAILABLE, store_find(reader, &filtered, count_row, &count, &test_error));
	filtered = plain;
	filtered.order = STORE_BY_EXPIRY;
	FAILS(E_UNAVAILABLE, store_find(reader, &filtered, count_row, &count, &test_error));
	filtered = plain;
	filtered.expires_before = 10;
	FAILS(E_UNAVAILABLE, store_find(reader, &filtered, count_row, &count, &test_error));
	ck_assert_uint_eq(count, 0);
	/* These bodies are no certificates: labels are what is found in them. What is written meanwhile has its own. */
	last_revision = change_many();
	run_sql("UPDATE object SET labels = '{\"n' WHERE row_id = (SELECT max(row_id) FROM object WHERE facets IS NULL)"); /* damaged */
	fill(37);
	for (unsigned label = 0; label < 3; label++) {
		filtered = (struct store_lister){.kind = KIND_SSL, .status = -1, .revision = last_revision};
		wanted.label = wanted.other_label = label;
		add_term(&filtered, FACET_LABEL, label_hash(label));
		check_list(filtered, &wanted, 50, 10000);
		filtered.revision = last_revision - 5;
		check_list(filtered, &wanted, 50, 10000);
	}
	fill(37); /* there is nothing left to do */
}
END_TEST

/* Cost ------------------------------------------------------------------------------------------------------------- */

static int count_step(void *context)
{
	++*(uint64_t *)context;
	return 0;
}

/* Objects of which half have a label, one has a name, and a few end early. */
static void add_objects(unsigned from, unsigned to)
{
	struct store_revision revision;

	OK(store_write_begin(writer, &test_error));
	OK(store_revision_begin(writer, &test_author, &test_error));
	for (unsigned i = from; i < to; i++) {
		struct model model = {.id = i, .enabled = true, .label = i % 2, .name = i, .type = i % 2, .expiry = i < 10 ? 5 : 100 + i % 1000};

		put_state(KIND_SSL, &model);
	}
	OK(store_revision_end(writer, &revision, &test_error));
	OK(store_write_commit(writer, &test_error));
	last_revision = revision.revision.number;
}

/* Steps of SQLite's machine for the first page of each query. */
static void measure(uint64_t steps[9])
{
	static const char *const name = "name-77";
	struct store_lister listers[9];

	for (size_t i = 0; i < 9; i++)
		listers[i] = (struct store_lister){.kind = KIND_SSL, .status = -1, .revision = last_revision, .looks = 1000};
	add_term(&listers[1], FACET_LABEL, label_hash(1));
	*add_term(&listers[2], FACET_SNI, 0) = (struct store_term){.name = FACET_SNI, .is_text = true, .texts = {name}, .len = 1};
	listers[3].expires_before = 10;
	listers[4].order = STORE_BY_EXPIRY;
	listers[5].order = STORE_BY_EXPIRY_FALLING;
	add_term(&listers[5], FACET_LABEL, label_hash(1));
	add_term(&listers[6], FACET_TYPE, 1);
	listers[7].status = 0; /* nobody */
	add_term(&listers[8], FACET_LABEL, label_hash(1)); /* half of all, and nobody of these */
	add_term(&listers[8], FACET_TYPE, 0);
	for (size_t i = 0; i < 9; i++) {
		static struct page page;

		page = (struct page){.limit = 100};
		steps[i] = 0;
		sqlite3_progress_handler(reader->database.handle, 1, count_step, &steps[i]);
		OK(store_find(reader, &listers[i], take, &page, &test_error));
		sqlite3_progress_handler(reader->database.handle, 0, NULL, NULL);
	}
}

START_TEST(test_the_cost_is_that_of_the_page)
{
	uint64_t few[9], many[9];

	add_objects(0, 6000); /* so that half of them are more than are sorted at once */
	measure(few);
	add_objects(6000, 24000);
	measure(many);
	for (size_t i = 0; i < 9; i++) {
		ck_assert_msg(few[i] > 10 && few[i] < 200000, "query %zu: %d steps", i, (int)few[i]);
		ck_assert_msg(many[i] <= few[i] + few[i] / 10, "query %zu: %d steps, then %d", i, (int)few[i], (int)many[i]);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_against_the_model, test_after_history_was_cut, test_where_the_floor_is_to_be,
	                                     test_purging_keys,      test_filling,               test_the_cost_is_that_of_the_page};
	Suite *suite = suite_create("lists");
	TCase *tcase = tcase_create("lists");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
