/* SPDX-License-Identifier: Apache-2.0 */
/* Asking history. All of it is answered from the intervals of object states and from `change`, by index: the cost is that of what
 * changed, not of what is stored. */
#include "store/reader.h"
#include "store/store_history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int store_floor(struct store_reader *reader, uint64_t *ret, struct error *err)
{
	return meta_get_number(&reader->database, "history_floor", ret, err);
}

int store_check_kept(struct store_reader *reader, uint64_t revision, struct error *err)
{
	uint64_t floor = 0;
	int code = store_floor(reader, &floor, err);

	if (code == 0 && revision < floor)
		return error_set(err, E_GONE, "history is kept from revision %" PRIu64 " on", floor);
	return code;
}

int store_get_state(struct store_reader *reader, enum kind kind, const char *id, uint64_t revision, struct store_row *ret,
                    bool *ret_exists, struct error *err)
{
	struct error error = ERROR_NULL; /* absence is none */
	int code = revision > 0 ? store_get(reader, kind, id, revision, ret, &error) : E_NOT_FOUND;

	if (code != 0 && code != E_NOT_FOUND) {
		if (err != NULL)
			*err = error;
		return code;
	}
	*ret_exists = code == 0;
	return 0;
}

static bool texts_are_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool store_states_are_equal(const struct store_row *a, const struct store_row *b)
{
	const struct object_view *x = &a->state.object, *y = &b->state.object;

	return x->kind == y->kind && strcmp(x->id, y->id) == 0 && strcmp(x->selector, y->selector) == 0 &&
	       a->state.enabled == b->state.enabled && texts_are_equal(a->state.labels, b->state.labels) &&
	       texts_are_equal(a->state.desc, b->state.desc) && x->body.len == y->body.len &&
	       (x->body.len == 0 || memcmp(x->body.data, y->body.data, x->body.len) == 0);
}

int store_has_states(struct store_reader *reader, enum kind kind, const char *id, bool *ret, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	int code = statement_start(&statement, &reader->database, STMT_STATE_SPANS, err, V_INT(kind), V_TEXT(id), V_INT(INT64_MAX));

	return code == 0 ? statement_step(&statement, ret, err) : code;
}

bool store_is_purged(const struct store_row *row)
{
	return row->sealed.len == 0 && row->to_revision != 0 && kind_find(row->state.object.kind)->has_secret;
}

/* Walks ----------------------------------------------------------------------------------------------------------- */

static int change_load(const struct statement *statement, struct store_change *ret, struct error *err)
{
	const char *id = column_text(statement, 2);

	if (id == NULL)
		return error_nomem(err);
	ret->revision = column_u64(statement, 0);
	ret->kind = (enum kind)column_u64(statement, 1);
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	return 0;
}

int store_walk_changes(struct store_reader *reader, struct store_walk *walk,
                       int (*fn)(const struct store_change *change, void *context), void *context, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	struct store_change at = walk->at; /* what the statement is bound to stays */
	/* A new walk begins behind all of its first revision. */
	uint64_t kind = at.id[0] != '\0' ? at.kind : UINT32_MAX;
	int code = statement_start(&statement, &reader->database, STMT_CHANGE_WALK, err, V_INT(at.revision), V_INT(kind), V_TEXT(at.id),
	                           V_INT(walk->to), V_INT(walk->looks));

	while (code == 0 && walk->looks > 0) {
		struct store_change change;
		bool row = false;

		code = statement_step(&statement, &row, err);
		walk->ended = code == 0 && !row;
		if (code != 0 || !row)
			return code;
		code = change_load(&statement, &change, err);
		if (code == 0)
			code = fn(&change, context);
		if (code == 0) {
			walk->at = change;
			walk->looks--;
		}
	}
	return code < 0 ? code : 0;
}

struct changed_walk {
	struct store_reader *reader;
	uint64_t from;
	int (*fn)(const struct store_change *change, void *context);
	void *context;
	struct error *err;
};

static int on_walked(const struct store_change *change, void *context)
{
	const struct changed_walk *walk = context;
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &walk->reader->database, STMT_CHANGED_FIRST, walk->err, V_INT(change->kind),
	                           V_TEXT(change->id), V_INT(walk->from));

	if (code == 0)
		code = statement_step(&statement, &row, walk->err);
	if (code != 0 || !row || column_u64(&statement, 0) != change->revision)
		return code;
	return walk->fn(change, walk->context);
}

int store_walk_changed(struct store_reader *reader, uint64_t from, struct store_walk *walk,
                       int (*fn)(const struct store_change *change, void *context), void *context, struct error *err)
{
	struct changed_walk changed = {reader, from, fn, context, err};

	return store_walk_changes(reader, walk, on_walked, &changed, err);
}

/* Revisions ------------------------------------------------------------------------------------------------------- */

struct found {
	struct store_reader *reader;
	const struct store_revision_filter *filter;
	struct store_revision *rows;
	size_t max, count;
};

static int take_number(struct found *found, uint64_t number, struct error *err)
{
	const struct store_revision_filter *filter = found->filter;
	struct store_revision *row = &found->rows[found->count];
	int code;

	if (found->count == found->max || number >= filter->before)
		return 0;
	code = store_get_revision(found->reader, number, row, err);
	if (code == 0 && (filter->actor == NULL || strcmp(filter->actor, row->actor) == 0))
		found->count++;
	return code;
}

/* A state's end is the beginning of the next, unless the object was deleted; newest first. */
static int find_of_object(struct found *found, struct error *err)
{
	const struct store_revision_filter *filter = found->filter;
	CLEANUP(statement_end) struct statement statement = {0};
	uint64_t newer = 0;
	bool row = true;
	int code = statement_start(&statement, &found->reader->database, STMT_STATE_SPANS, err, V_INT(filter->kind), V_TEXT(filter->id),
	                           V_INT(filter->before));

	while (code == 0 && row && found->count < found->max) {
		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			break;
		if (column_u64(&statement, 1) != 0 && column_u64(&statement, 1) != newer)
			code = take_number(found, column_u64(&statement, 1), err);
		newer = column_u64(&statement, 0);
		if (code == 0)
			code = take_number(found, newer, err);
	}
	return code;
}

static int find_in_order(struct found *found, struct error *err)
{
	const struct store_revision_filter *filter = found->filter;
	enum statement_id plain = filter->is_forward ? STMT_REVISION_AFTER : STMT_REVISION_LIST;
	enum statement_id of_actor = filter->is_forward ? STMT_REVISION_OF_ACTOR_AFTER : STMT_REVISION_OF_ACTOR;
	struct database *database = &found->reader->database;
	CLEANUP(statement_end) struct statement statement = {0};
	struct value from = V_INT(filter->is_forward ? filter->after : filter->before), limit = V_INT(found->max);
	int code = filter->actor == NULL ? statement_start(&statement, database, plain, err, from, limit)
	                                 : statement_start(&statement, database, of_actor, err, from, limit, V_TEXT(filter->actor));

	while (code == 0 && found->count < found->max) {
		bool row = false;

		code = statement_step(&statement, &row, err);
		if (code != 0 || !row)
			break;
		code = revision_load(&statement, &found->rows[found->count], err);
		if (code == 0)
			found->count++;
	}
	return code;
}

static uint64_t bounded(uint64_t number)
{
	return number < INT64_MAX ? number : INT64_MAX;
}

int store_find_revisions(struct store_reader *reader, const struct store_revision_filter *wanted, struct store_revision *rows,
                         size_t max, size_t *ret_count, struct error *err)
{
	struct store_revision_filter filter = *wanted;
	struct found found = {reader, &filter, rows, max, 0};
	int code;

	assert(filter.kind == 0 || !filter.is_forward);
	filter.before = filter.before != 0 ? bounded(filter.before) : INT64_MAX;
	filter.after = bounded(filter.after);
	code = filter.kind != 0 ? find_of_object(&found, err) : find_in_order(&found, err);
	if (code == 0)
		*ret_count = found.count;
	return code;
}
