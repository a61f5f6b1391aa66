/* SPDX-License-Identifier: Apache-2.0 */
/* Every selector that has objects or that some agent speaks of, with what is current in it, and the newest revision
 * that this was read at. One table per publisher; the selectors are shared and counted.
 *
 * Refresh reads what changed after the last revision in one read transaction, so that digests and head always belong
 * together. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct selector {
	uint32_t refs; /* holdings and updates that point here */
	bool appeared; /* since the last refresh: had no objects before */
	uint64_t objects;
	struct digest digest;
	uint64_t changed; /* revision that touched it last */
	/* Before `changed` the content was the same at each revision of [steady_from, steady_until]; both 0: unknown. */
	uint64_t steady_from, steady_until;
	struct ticket_set *tickets;    /* tickets.h; NULL: none */
	bool asked;                    /* scratch of publisher_wait_start; false outside it */
	struct selector *next, **link; /* in its bucket */
	char text[];                   /* canonical */
};

struct selector_table {
	struct trie by_text;
	struct trie buckets; /* by first condition: candidates for labels that have it */
	struct store_revision head;
	uint64_t floor; /* nothing from before this revision may be read from history */
	struct selector **changed; /* by the last refresh */
	size_t changed_len;
};

int selector_table_init(struct selector_table *table, struct error *err) MUST_USE;
void selector_table_deinit(struct selector_table *table); /* after all references are gone */

/* Reads on. table->changed lists what is new until the next refresh. On failure the table is as it was. */
int selector_table_refresh(struct selector_table *table, struct store_reader *reader, struct error *err) MUST_USE;

struct selector *selector_table_find(const struct selector_table *table,
                                     const char *text); /* borrowed; NULL: nobody speaks of it */
/* A reference to the selector of this (checked) text, made without objects when it is new. NULL without memory. */
struct selector *selector_table_ref(struct selector_table *table, const char *text);
void selector_ref(struct selector *selector);
/* The last reference to a selector without objects takes it out of the table. */
void selector_table_unref(struct selector_table *table, struct selector *selector);

/* Calls fn for each selector with objects that labels satisfy, until it returns other than 0; returns that. */
int selector_table_each_match(const struct selector_table *table, const char *labels,
                              int (*fn)(struct selector *selector, void *context), void *context);

/* The oldest revision at which the content was what it is at `since`: agents that differ only in revisions that did not
 * touch this selector share one delta. */
uint64_t selector_steady_since(const struct selector *selector, uint64_t since);
/* And the newest. */
uint64_t selector_steady_until(const struct selector *selector, uint64_t since);
