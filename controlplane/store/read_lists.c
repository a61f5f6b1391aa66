/* SPDX-License-Identifier: Apache-2.0 */
/* Lists by facets. Two ways:
 *   walk    along an index that has the wanted order (the values of one term by id, expiry, or all objects by id), asking each row;
 *   gather  when the most selective term has another order but few rows: all of them, sorted here.
 * A term that is not selective makes a walk find something soon; so either way costs little. */
#include "store/facets.h"
#include "store/reader.h"
#include "store/store_lists.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GATHER_MAX 2000

struct find {
	struct store_reader *reader;
	struct store_lister *lister;
	int (*fn)(const struct store_row *row, struct bytes facets, void *context);
	void *context;
	struct error *err;
};

/* Does a row hold? ------------------------------------------------------------------------------------------------- */

static bool numbers_match(const struct store_term *term, uint64_t have, uint64_t wanted)
{
	if (term->is_masked && (uint32_t)wanted == 0)
		have &= ~UINT64_C(0xffffffff);
	return have == wanted;
}

static bool facet_holds(const struct store_term *term, const struct facet *facet)
{
	for (size_t i = 0; i < term->len && facet->name == term->name; i++) {
		if (term->is_text ? facet->is_text && strlen(term->texts[i]) == facet->text.len &&
		                        memcmp(term->texts[i], facet->text.data, facet->text.len) == 0
		                  : !facet->is_text && numbers_match(term, facet->number, term->numbers[i]))
			return true;
	}
	return false;
}

static bool term_holds(const struct store_term *term, struct bytes facets)
{
	struct facet facet;

	while (facet_next(&facets, &facet)) {
		if (facet_holds(term, &facet))
			return true;
	}
	return false;
}

static bool read_expiry(struct bytes facets, uint64_t *ret)
{
	struct facet facet;

	while (facet_next(&facets, &facet)) {
		if (facet.name == FACET_EXPIRY) {
			*ret = facet.number;
			return true;
		}
	}
	return false;
}

static bool row_holds(const struct store_lister *lister, const struct store_row *row, struct bytes facets)
{
	uint64_t expiry = 0;

	if (row->from_revision > lister->revision || (row->to_revision != 0 && row->to_revision <= lister->revision))
		return false;
	if (lister->status >= 0 && row->state.enabled != (lister->status == 1))
		return false;
	if (lister->expires_before != 0 && (!read_expiry(facets, &expiry) || expiry >= lister->expires_before))
		return false;
	for (size_t i = 0; i < lister->terms_len; i++) {
		if (!term_holds(&lister->terms[i], facets))
			return false;
	}
	return true;
}

/* Walking ---------------------------------------------------------------------------------------------------------- */

/* 1: fn has had enough. */
static int offer(struct find *find, const struct store_row *row, struct bytes facets)
{
	return row_holds(find->lister, row, facets) ? find->fn(row, facets, find->context) : 0;
}

static int offer_row(struct find *find, int64_t row_id)
{
	CLEANUP(statement_end) struct statement statement = {0};
	struct store_row row;
	bool found = false;
	int code = statement_start(&statement, &find->reader->database, STMT_GET_ROW, find->err, V_INT(row_id));

	if (code == 0)
		code = statement_step(&statement, &found, find->err);
	if (code != 0 || !found)
		return code;
	code = row_load(&statement, &row, find->err);
	return code == 0 ? offer(find, &row, column_bytes(&statement, ROW_COLUMNS)) : code;
}

/* Behind what has been looked at whole: all states of an object under one value, of which at most one is valid. */
static void pass(struct store_lister *lister, const char *id, uint64_t expiry)
{
	snprintf(lister->after, sizeof(lister->after), "%s", id);
	lister->after_expiry = expiry;
}

/* All objects by id. */
static int walk_all(struct find *find)
{
	struct store_lister *lister = find->lister;
	CLEANUP(statement_end) struct statement statement = {0};
	char after[ID_MAX + 1]; /* what is bound must stay */
	int code;

	memcpy(after, lister->after, sizeof(after));
	code = statement_start(&statement, &find->reader->database, STMT_LIST_AT, find->err, V_INT(lister->kind), V_TEXT(after),
	                       V_INT(lister->looks), V_INT(lister->revision));
	while (code == 0 && lister->looks > 0) {
		struct store_row row;
		bool found = false;

		code = statement_step(&statement, &found, find->err);
		lister->ended = code == 0 && !found;
		if (code != 0 || !found)
			return code;
		code = row_load(&statement, &row, find->err);
		if (code == 0)
			code = offer(find, &row, column_bytes(&statement, ROW_COLUMNS));
		if (code == 0) {
			pass(lister, row.state.object.id, 0);
			lister->looks--;
		}
	}
	return code;
}

/* The rows of a started statement: id, row_id, value; up to `end`. Those of one object and value are neighbours. */
static int walk_facets(struct find *find, struct statement *statement, uint64_t end)
{
	struct store_lister *lister = find->lister;
	char id[ID_MAX + 1] = ""; /* that is being looked at, so far under this value */
	uint64_t value = 0;
	int64_t last = 0;
	int code = 0;

	while (code == 0) {
		const char *next;
		bool found = false;

		code = statement_step(statement, &found, find->err);
		lister->ended = code == 0 && (!found || column_u64(statement, 2) >= end);
		if (code != 0 || lister->ended)
			return code;
		next = column_text(statement, 0);
		if (next == NULL)
			return error_nomem(find->err);
		if (id[0] != '\0' && strcmp(next, id) != 0) {
			pass(lister, id, value);
			if (lister->looks == 0)
				return 0;
		}
		snprintf(id, sizeof(id), "%s", next);
		value = column_u64(statement, 2);
		lister->looks -= lister->looks > 0;
		if ((int64_t)column_u64(statement, 1) != last) /* a state may have several of a term's values */
			code = offer_row(find, (int64_t)column_u64(statement, 1));
		last = (int64_t)column_u64(statement, 1);
	}
	return code;
}

static struct value value_of(const struct store_term *term, size_t index)
{
	if (index >= term->len)
		return V_NULL;
	return term->is_text ? V_TEXT(term->texts[index]) : V_INT(term->numbers[index]);
}

static int walk_term(struct find *find, const struct store_term *term)
{
	struct store_lister *lister = find->lister;
	CLEANUP(statement_end) struct statement statement = {0};
	char after[ID_MAX + 1];
	int code;

	memcpy(after, lister->after, sizeof(after));
	code = statement_start(&statement, &find->reader->database, STMT_FACET_ROWS, find->err, V_INT(lister->kind), V_INT(term->name),
	                       value_of(term, 0), value_of(term, 1), value_of(term, 2), V_TEXT(after));
	return code == 0 ? walk_facets(find, &statement, UINT64_MAX) : code;
}

static int walk_expiry(struct find *find)
{
	struct store_lister *lister = find->lister;
	CLEANUP(statement_end) struct statement statement = {0};
	bool falls = lister->order == STORE_BY_EXPIRY_FALLING;
	uint64_t end = lister->expires_before != 0 ? lister->expires_before : INT64_MAX, from = lister->after_expiry;
	char after[ID_MAX + 1];
	int code;

	memcpy(after, lister->after, sizeof(after));
	if (falls && after[0] == '\0')
		from = end;
	code = statement_start(&statement, &find->reader->database, falls ? STMT_FACET_FALLING : STMT_FACET_RISING, find->err,
	                       V_INT(lister->kind), V_INT(FACET_EXPIRY), V_INT(from), V_TEXT(after));
	return code == 0 ? walk_facets(find, &statement, end) : code;
}

/* Gathering -------------------------------------------------------------------------------------------------------- */

struct gathered {
	uint64_t expiry;
	int64_t row_id;
	char id[ID_MAX + 1];
};

struct gathering {
	const struct store_lister *lister;
	struct gathered *items; /* owned */
	size_t len, cap;
	struct error *err;
};

static int compare_keys(enum store_order order, uint64_t expiry_a, const char *id_a, uint64_t expiry_b, const char *id_b)
{
	int by_id = strcmp(id_a, id_b);

	if (order == STORE_BY_ID || expiry_a == expiry_b)
		return order == STORE_BY_EXPIRY_FALLING ? -by_id : by_id;
	return (expiry_a < expiry_b) == (order == STORE_BY_EXPIRY) ? -1 : 1;
}

static int compare_by_id(const void *a, const void *b)
{
	return strcmp(((const struct gathered *)a)->id, ((const struct gathered *)b)->id);
}

static int compare_rising(const void *left, const void *right)
{
	const struct gathered *a = left, *b = right;

	return compare_keys(STORE_BY_EXPIRY, a->expiry, a->id, b->expiry, b->id);
}

static int compare_falling(const void *left, const void *right)
{
	return -compare_rising(left, right);
}

static int on_gathered(const struct store_row *row, struct bytes facets, void *context)
{
	struct gathering *gathering = context;
	struct gathered *item;
	uint64_t expiry = 0;

	if (!read_expiry(facets, &expiry) && gathering->lister->order != STORE_BY_ID)
		return 0;
	if (gathering->len == gathering->cap) {
		size_t cap = gathering->cap > 0 ? 2 * gathering->cap : 64;
		void *grown = reallocarray(gathering->items, cap, sizeof(*gathering->items));

		if (grown == NULL)
			return error_nomem(gathering->err);
		gathering->items = grown;
		gathering->cap = cap;
	}
	item = &gathering->items[gathering->len++];
	*item = (struct gathered){.row_id = row->row_id, .expiry = expiry};
	snprintf(item->id, sizeof(item->id), "%s", row->state.object.id);
	return 0;
}

static bool is_behind(const struct store_lister *lister, const struct gathered *item)
{
	return lister->after[0] == '\0' ||
	       compare_keys(lister->order, item->expiry, item->id, lister->after_expiry, lister->after) > 0;
}

static int offer_gathered(struct find *find, struct gathering *gathering)
{
	static int (*const orders[])(const void *a, const void *b) = {
		[STORE_BY_ID] = compare_by_id,
		[STORE_BY_EXPIRY] = compare_rising,
		[STORE_BY_EXPIRY_FALLING] = compare_falling,
	};
	struct store_lister *lister = find->lister;
	int code = 0;

	if (gathering->len > 0)
		qsort(gathering->items, gathering->len, sizeof(*gathering->items), orders[lister->order]);
	for (size_t i = 0; i < gathering->len && code == 0; i++) {
		const struct gathered *item = &gathering->items[i];

		if (!is_behind(lister, item))
			continue;
		code = offer_row(find, item->row_id);
		if (code == 0)
			pass(lister, item->id, item->expiry);
	}
	lister->ended = code == 0;
	return code;
}

/* term NULL: those that expire early enough. */
static int gather(struct find *find, const struct store_term *term)
{
	struct store_lister all = *find->lister;
	struct gathering gathering = {.lister = find->lister, .err = find->err};
	struct find inner = {find->reader, &all, on_gathered, &gathering, find->err};
	int code;

	all.after[0] = '\0';
	all.after_expiry = 0;
	all.order = term != NULL ? STORE_BY_ID : STORE_BY_EXPIRY;
	all.looks = SIZE_MAX;
	code = term != NULL ? walk_term(&inner, term) : walk_expiry(&inner);
	if (code == 0)
		code = offer_gathered(find, &gathering);
	free(gathering.items);
	return code;
}

/* Choosing --------------------------------------------------------------------------------------------------------- */

static int count_rows(struct find *find, enum statement_id id, enum facet_name name, struct value value, size_t *count)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &find->reader->database, id, find->err, V_INT(find->lister->kind), V_INT(name), value,
	                           V_INT(GATHER_MAX + 1));

	if (code == 0)
		code = statement_step(&statement, &row, find->err);
	if (code == 0 && row)
		*count += (size_t)column_u64(&statement, 0);
	return code;
}

/* The term with the fewest rows; *ret stays NULL when none has an index. */
static int choose_term(struct find *find, const struct store_term **ret, size_t *ret_count)
{
	const struct store_lister *lister = find->lister;
	int code = 0;

	for (size_t i = 0; i < lister->terms_len && code == 0; i++) {
		const struct store_term *term = &lister->terms[i];
		size_t count = 0;

		if (!facet_is_indexed(term->name))
			continue;
		for (size_t j = 0; j < term->len && code == 0; j++)
			code = count_rows(find, STMT_FACET_COUNT, term->name, value_of(term, j), &count);
		if (code == 0 && (*ret == NULL || count < *ret_count)) {
			*ret = term;
			*ret_count = count;
		}
	}
	return code;
}

static int check_ready(struct find *find)
{
	const struct store_lister *lister = find->lister;
	uint64_t ready = 1;
	int code = 0;

	if (lister->terms_len > 0 || lister->expires_before != 0 || lister->order != STORE_BY_ID)
		code = meta_get_number(&find->reader->database, "facets_ready", &ready, find->err);
	if (code == 0 && ready == 0)
		return error_set(find->err, E_UNAVAILABLE,
		                 "what was stored by an earlier release is being prepared for filters and sorting; try again soon");
	return code;
}

/* The caller's own. */
struct taker {
	int (*fn)(const struct store_row *row, void *context);
	void *context;
};

static int on_found(const struct store_row *row, struct bytes facets, void *context)
{
	const struct taker *taker = context;

	return taker->fn(row, taker->context);
}

int store_find(struct store_reader *reader, struct store_lister *lister, int (*fn)(const struct store_row *row, void *context),
               void *context, struct error *err)
{
	struct taker taker = {fn, context};
	struct find find = {reader, lister, on_found, &taker, err};
	const struct store_term *term = NULL;
	size_t count = 0, expiring = SIZE_MAX;
	int code = check_ready(&find);

	assert(lister->revision != 0 && lister->looks > 0);
	lister->ended = false;
	if (code == 0)
		code = choose_term(&find, &term, &count);
	if (code == 0 && lister->expires_before != 0 && lister->order == STORE_BY_ID) {
		expiring = 0;
		code = count_rows(&find, STMT_FACET_COUNT_BELOW, FACET_EXPIRY, V_INT(lister->expires_before), &expiring);
	}
	if (code != 0)
		return code;
	if (lister->order != STORE_BY_ID)
		code = term != NULL && count <= GATHER_MAX ? gather(&find, term) : walk_expiry(&find);
	else if (expiring <= GATHER_MAX && (term == NULL || expiring < count))
		code = gather(&find, NULL);
	else
		code = term != NULL ? walk_term(&find, term) : walk_all(&find);
	return code < 0 ? code : 0;
}
