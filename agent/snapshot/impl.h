/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot and its builder are made of. Private to the snapshot layer. */
#pragma once

#include "base/trie.h"
#include "snapshot/entry.h"
#include "snapshot/names.h"
#include "snapshot/snapshot.h"
#include "snapshot/views.h"

#include <stdbool.h>
#include <stddef.h>

/* What a selector holds. An array by selector: there are few, and each update lists them all anyway. */
struct selector_sum {
	struct selector_text *text;
	size_t objects;
	struct digest digest;
};

struct selector_sums {
	struct selector_sum *items; /* canonical order */
	size_t len, cap;
};

struct snapshot {
	struct revision revision;
	struct digest chain;
	struct trie objects[SNAPSHOT_KINDS]; /* id -> entry */
	struct trie names;                   /* name -> SSL objects that carry it */
	struct trie patterns;                /* pattern -> routes that carry it */
	size_t asking;                       /* SSL objects with rules for clients */
	struct revision tightened;           /* the revision that could last refuse what passed before (tighten.c) */
	struct selector_sums sums;
	struct views *views;
};

struct snapshot_builder {
	struct snapshot_context context;
	const struct snapshot *base; /* borrowed; NULL: empty */
	struct snapshot *next;       /* becomes the result */
	struct entry_list gone, fresh;
	bool trusted;  /* all that was put came from the cache */
	bool restored; /* an entry of base went and came back: the journal has doubles */
	bool prepared;
};

/* Could what changed against base refuse a client who passed before? After the views are made. */
bool builder_may_tighten(const struct snapshot_builder *builder);

/* Binary search; *ret_at: where it is or belongs. */
struct selector_sum *selector_sums_find(const struct selector_sums *sums, const char *selector, size_t *ret_at);
int selector_sums_copy(const struct selector_sums *sums, struct selector_sums *copy) MUST_USE; /* E_NOMEM */
/* Found, or added with no objects. E_NOMEM. */
int selector_sums_make(struct selector_sums *sums, const char *selector, struct selector_sum **ret) MUST_USE;
void selector_sums_prune(struct selector_sums *sums); /* drops what holds no objects */
void selector_sums_deinit(struct selector_sums *sums);
