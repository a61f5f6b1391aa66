/* SPDX-License-Identifier: Apache-2.0 */
/* One revision inside the transaction: a savepoint, the sums of the selectors it touches, its changes; and at its end
 * one row that binds them to the revision before. */
#include "store/writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_RESERVE 32 /* for " and 4294967295 more" */

void writer_forget_revision(struct store_writer *writer)
{
	trie_deinit(&writer->sums);
	for (size_t i = 0; i < writer->changes_len; i++)
		free((char *)writer->changes[i].id);
	for (size_t i = 0; i < writer->touched_len; i++)
		free(writer->touched[i]);
	writer->changes_len = 0;
	writer->touched_len = 0;
	writer->summary_len = 0;
	writer->title_len = 0;
	writer->summary_left_out = 0;
	writer->ordinal = 0;
}

static int revision_begin_at(struct store_writer *writer, const struct store_author *author, uint64_t epoch,
                             struct error *err)
{
	int code;

	assert(writer->state == WRITER_OPEN);
	writer_forget_revision(writer);
	code = writer_check(writer, err);
	if (code == 0)
		code = statement_run(&writer->reader.database, STMT_SAVEPOINT, err);
	if (code != 0)
		return code;
	writer->author = *author;
	writer->next = (struct revision){.epoch = epoch, .number = writer->head.revision.number + 1};
	writer->state = WRITER_REVISION;
	return 0;
}

int store_revision_begin(struct store_writer *writer, const struct store_author *author, struct error *err)
{
	return revision_begin_at(writer, author, writer->head.revision.epoch, err);
}

int revision_begin_epoch(struct store_writer *writer, const struct store_author *author, struct error *err)
{
	uint64_t next = writer->head.revision.epoch + 1;

	/* The clock keeps two restores of one copy apart: without it both would begin the same epoch, and ETags and uids would come again. */
	return revision_begin_at(writer, author, next > author->now ? next : author->now, err);
}

struct revision store_revision_next(const struct store_writer *writer)
{
	assert(writer->state == WRITER_REVISION);
	return writer->next;
}

void store_revision_entitle(struct store_writer *writer, const char *title)
{
	assert(writer->state == WRITER_REVISION && writer->changes_len == 0);
	writer->summary_len = writer->title_len =
		(size_t)snprintf(writer->summary, sizeof(writer->summary) - SUMMARY_RESERVE, "%.64s", title);
}

void store_revision_abort(struct store_writer *writer)
{
	struct database *database = &writer->reader.database;

	assert(writer->state == WRITER_REVISION);
	writer_forget_revision(writer);
	writer->state = WRITER_OPEN;
	if (sqlite3_get_autocommit(database->handle))
		return;
	if (statement_run(database, STMT_SAVEPOINT_UNDO, NULL) == 0 && statement_run(database, STMT_SAVEPOINT_RELEASE, NULL) == 0)
		return;
	database_rollback(database);
	writer->spoilt = writer->spoilt || !sqlite3_get_autocommit(database->handle);
}

bool store_revision_has_changes(const struct store_writer *writer)
{
	assert(writer->state == WRITER_REVISION);
	return writer->changes_len > 0;
}

/* Doubles an array of items of `size` bytes when it is full. */
static int grow(void **array, size_t len, size_t *cap, size_t size, struct error *err)
{
	size_t more = *cap == 0 ? 8 : *cap * 2;
	void *grown;

	if (len < *cap)
		return 0;
	grown = reallocarray(*array, more, size);
	if (grown == NULL)
		return error_nomem(err);
	*array = grown;
	*cap = more;
	return 0;
}

static int sum_load(struct store_writer *writer, struct selector_sum *sum, struct error *err)
{
	CLEANUP(statement_end) struct statement statement = {0};
	bool row = false;
	int code = statement_start(&statement, &writer->reader.database, STMT_SELECTOR_GET, err, V_TEXT(sum->selector));

	if (code == 0)
		code = statement_step(&statement, &row, err);
	if (code != 0 || !row)
		return code;
	sum->objects = column_u64(&statement, 1);
	return column_copy(&statement, 0, sum->digest.bytes, DIGEST_LEN, err);
}

static int sum_find(struct store_writer *writer, const char *selector, struct selector_sum **ret, struct error *err)
{
	size_t len = strlen(selector);
	struct selector_sum *sum = trie_find(&writer->sums, BYTES(selector, len));
	int code;

	if (sum == NULL) {
		code =
			grow((void **)&writer->touched, writer->touched_len, &writer->touched_cap, sizeof(*writer->touched), err);
		if (code != 0)
			return code;
		sum = calloc(1, sizeof(*sum) + len + 1);
		if (sum == NULL)
			return error_nomem(err);
		memcpy(sum->selector, selector, len);
		writer->touched[writer->touched_len++] = sum;
		code = sum_load(writer, sum, err);
		if (code != 0)
			return code;
		if (trie_put(&writer->sums, sum) != 0)
			return error_nomem(err);
	}
	*ret = sum;
	return 0;
}

int sums_change(struct store_writer *writer, const char *selector, const struct digest *digest, bool add,
                struct error *err)
{
	struct selector_sum *sum = NULL;
	int code = sum_find(writer, selector, &sum, err);

	if (code != 0)
		return code;
	if (!add && sum->objects == 0)
		return error_set(err, E_CORRUPT, "store: selector \"%s\" has fewer objects than its sum says", selector);
	if (add)
		digest_add(&sum->digest, digest);
	else
		digest_subtract(&sum->digest, digest);
	sum->objects = add ? sum->objects + 1 : sum->objects - 1;
	return 0;
}

static void summary_put(struct store_writer *writer, const struct object_view *object, bool deleted)
{
	size_t room = sizeof(writer->summary) - SUMMARY_RESERVE - writer->summary_len;
	int len = snprintf(writer->summary + writer->summary_len, room, "%s%s %s/%s", writer->summary_len > writer->title_len ? ", " : "",
	                   deleted ? "delete" : "put", kind_find(object->kind)->collection, object->id);

	if (writer->summary_left_out > 0 || len < 0 || (size_t)len >= room) {
		writer->summary[writer->summary_len] = '\0';
		writer->summary_left_out++;
	} else {
		writer->summary_len += (size_t)len;
	}
}

int note_change(struct store_writer *writer, const struct object_view *object, bool deleted,
                const struct digest *digest, struct error *err)
{
	struct chain_change change = {object->kind, NULL, object->uid, deleted, deleted ? DIGEST_NULL : *digest};
	int code =
		grow((void **)&writer->changes, writer->changes_len, &writer->changes_cap, sizeof(*writer->changes), err);

	if (code != 0)
		return code;
	code = statement_run(&writer->reader.database, STMT_CHANGE_PUT, err, V_INT(writer->next.number),
	                     V_INT(object->kind), V_TEXT(object->id));
	if (code != 0)
		return code;
	change.id = strdup(object->id);
	if (change.id == NULL)
		return error_nomem(err);
	writer->changes[writer->changes_len++] = change;
	summary_put(writer, object, deleted);
	return 0;
}

static int compare_changes(const void *left, const void *right)
{
	const struct chain_change *a = left, *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return strcmp(a->id, b->id);
}

static int write_sums(struct store_writer *writer, struct error *err)
{
	int code = 0;

	for (size_t i = 0; i < writer->touched_len && code == 0; i++) {
		const struct selector_sum *sum = writer->touched[i];

		code = statement_run(&writer->reader.database, STMT_SELECTOR_PUT, err, V_TEXT(sum->selector),
		                     V_BLOB(sum->digest.bytes, DIGEST_LEN), V_INT(sum->objects), V_INT(writer->next.number));
	}
	return code;
}

/* What the revision row will say, chain hash included. */
static int describe(struct store_writer *writer, const char *summary, struct store_revision *row, struct error *err)
{
	const struct store_author *author = &writer->author;

	*row = (struct store_revision){
		.revision = writer->next,
		.chain = writer->head.chain,
		.time = author->now,
		.changes = (uint32_t)writer->changes_len,
	};
	if (summary != NULL)
		snprintf(row->summary, sizeof(row->summary), "%s", summary);
	else if (writer->summary_left_out > 0)
		snprintf(row->summary, sizeof(row->summary), "%.*s and %u more", (int)writer->summary_len, writer->summary,
		         writer->summary_left_out);
	else
		snprintf(row->summary, sizeof(row->summary), "%s", writer->summary);
	snprintf(row->actor, sizeof(row->actor), "%s", author->actor != NULL ? author->actor : "");
	snprintf(row->request_id, sizeof(row->request_id), "%s", author->request_id != NULL ? author->request_id : "");
	snprintf(row->source, sizeof(row->source), "%s", author->source != NULL ? author->source : "");
	if (writer->changes_len > 0)
		qsort(writer->changes, writer->changes_len, sizeof(*writer->changes), compare_changes);
	return chain_extend(&row->chain, row->revision, writer->changes, writer->changes_len, err);
}

static int write_revision(struct store_writer *writer, const struct store_revision *row, struct error *err)
{
	struct database *database = &writer->reader.database;
	int code = write_sums(writer, err);

	if (code == 0)
		code = statement_run(database, STMT_REVISION_PUT, err, V_INT(row->revision.number), V_INT(row->revision.epoch),
		                     V_INT(row->time), V_BLOB(row->chain.bytes, DIGEST_LEN), V_TEXT(row->actor),
		                     V_TEXT(row->request_id), V_TEXT(row->source), V_TEXT(row->summary), V_INT(row->changes));
	if (code == 0)
		code =
			statement_run(database, STMT_AUDIT_PUT, err, V_INT(row->time), V_TEXT(row->actor), V_TEXT(row->request_id),
		                  V_TEXT(row->source), V_TEXT(row->summary), V_TEXT("ok"), V_INT(row->revision.number));
	if (code == 0)
		code = statement_run(database, STMT_SAVEPOINT_RELEASE, err);
	return code;
}

int revision_end_as(struct store_writer *writer, const char *summary, bool allow_empty, struct store_revision *ret,
                    struct error *err)
{
	struct store_revision row;
	int code;

	assert(writer->state == WRITER_REVISION);
	if (writer->changes_len == 0 && !allow_empty)
		code = error_set(err, E_EXISTS, "nothing changed");
	else
		code = describe(writer, summary, &row, err);
	if (code == 0)
		code = write_revision(writer, &row, err);
	if (code != 0) {
		store_revision_abort(writer);
		return code;
	}
	writer->state = WRITER_OPEN;
	writer->head = row;
	*ret = row;
	return 0;
}

int store_revision_end(struct store_writer *writer, struct store_revision *ret, struct error *err)
{
	return revision_end_as(writer, NULL, false, ret, err);
}

size_t store_touched_count(const struct store_writer *writer)
{
	return writer->touched_len;
}

const char *store_touched(const struct store_writer *writer, size_t index)
{
	assert(index < writer->touched_len);
	return writer->touched[index]->selector;
}
