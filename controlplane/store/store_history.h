/* SPDX-License-Identifier: Apache-2.0 */
/* Asking history: what changed between two revisions, what an object was at one of them, how far back it goes.
 *
 * History is kept from the floor on: the snapshot at the floor and at every later revision is complete; of the time before there are
 * revision rows alone. Who relies on the floor reads it in the same transaction. */
#pragma once

#include "store/store.h"

/* 0: all of history is there. */
int store_floor(struct store_reader *reader, uint64_t *ret, struct error *err) MUST_USE;
/* E_GONE when the snapshot at `revision` is no longer complete. */
int store_check_kept(struct store_reader *reader, uint64_t revision, struct error *err) MUST_USE;

/* What the floor ought to be so that `revisions` are kept (0: all) and none that is older than `oldest`, unix seconds (0: any age). *ret 0:
 * nothing is to be done. It looks a bounded way ahead for age: ask again when that is done. */
int store_find_floor(struct store_reader *reader, uint64_t revisions, uint64_t oldest, uint64_t *ret, struct error *err) MUST_USE;

/* The state at `revision`; 0 is before everything. *ret_exists false: there was none, *ret is untouched. */
int store_get_state(struct store_reader *reader, enum kind kind, const char *id, uint64_t revision, struct store_row *ret,
                    bool *ret_exists, struct error *err) MUST_USE;
/* Equal in all that users write; keys are known by the hashes in the body. */
bool store_states_are_equal(const struct store_row *a, const struct store_row *b);
/* Is any state kept, current or ended? */
int store_has_states(struct store_reader *reader, enum kind kind, const char *id, bool *ret, struct error *err) MUST_USE;
/* An ended state whose keys were erased. */
bool store_is_purged(const struct store_row *row);

/* One object that one revision changed. */
struct store_change {
	uint64_t revision;
	enum kind kind;
	char id[ID_MAX + 1];
};

/* Where a walk over changes stands: behind `at`. */
struct store_walk {
	struct store_change at; /* at first {FROM, 0, ""}: everything after revision FROM... */
	uint64_t to;            /* ...up to this one */
	size_t looks;           /* how many rows it may still look at; never 0 at the start */
	bool ended;             /* there is nothing behind `at` */
};

/* Each change in order of (revision, kind, id). fn's 1 stops before the change it was called with, which the walk then has not passed. */
int store_walk_changes(struct store_reader *reader, struct store_walk *walk,
                       int (*fn)(const struct store_change *change, void *context), void *context, struct error *err) MUST_USE;
/* The same, each object once: where it changed for the first time after revision `from`. */
int store_walk_changed(struct store_reader *reader, uint64_t from, struct store_walk *walk,
                       int (*fn)(const struct store_change *change, void *context), void *context, struct error *err) MUST_USE;

/* Which revisions are listed. Newest first, below `before` (0: from the top); or, with `is_forward`, oldest first, above `after`;
 * that not for one object. */
struct store_revision_filter {
	uint64_t before, after;
	bool is_forward;
	const char *actor; /* NULL: any */
	enum kind kind;    /* with id: those that changed this object, as far as its states are kept; 0: any */
	const char *id;
};

int store_find_revisions(struct store_reader *reader, const struct store_revision_filter *filter, struct store_revision *rows,
                         size_t max, size_t *ret_count, struct error *err) MUST_USE;
