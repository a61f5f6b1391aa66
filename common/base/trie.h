/* SPDX-License-Identifier: Apache-2.0 */
/* A persistent hash trie: a map from byte strings to values in which a clone costs one reference and a change copies only
 * the nodes on its path (about log32 of the size). It is the index of the agent's snapshot (one clone per revision) and, never
 * cloned, the ordinary hash map of both daemons.
 *
 * Values carry their own key (ops->key), so an entry costs one slot. Node counts are plain: one thread makes, changes,
 * clones and frees tries; other threads may look up in a trie that is not being changed. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/macros.h"

#include <stddef.h>
#include <stdint.h>

struct trie_ops {
	struct bytes (*key)(const void *value); /* valid and constant while the value is in a trie */
	void (*ref)(void *value);               /* one more node points to it; NULL: not counted */
	void (*unref)(void *value);             /* one fewer; NULL: not counted */
};

struct trie_node;

struct trie {
	struct trie_node *root; /* NULL: empty */
	size_t count;
	const struct trie_ops *ops;
	struct hash_key hash_key;
};

/* ops must outlive the trie. Allocates nothing. */
void trie_init(struct trie *trie, const struct trie_ops *ops, struct hash_key hash_key);
void trie_deinit(struct trie *trie); /* unrefs every value that no other trie shares */
DEFINE_CLEANUP_VALUE(struct trie, trie_deinit);

/* *clone becomes a second trie with the same entries. Allocates nothing, cannot fail. */
void trie_clone(const struct trie *trie, struct trie *clone);

void *trie_find(const struct trie *trie, struct bytes key); /* borrowed; NULL if absent */

/* Adds value, or puts it in the place of the one with the same key; refs it. E_NOMEM leaves the trie as it was. */
int trie_put(struct trie *trie, void *value) MUST_USE;

/* 0, E_NOT_FOUND, or E_NOMEM (only when nodes are shared with a clone); then the trie is as it was. */
int trie_remove(struct trie *trie, struct bytes key) MUST_USE;

/* Calls fn for each value in no particular order until it returns other than 0; returns that. fn must not change trie. */
int trie_each(const struct trie *trie, int (*fn)(void *value, void *context), void *context);
/* The same for one of TRIE_PARTS portions, so that a walk over many can be interrupted. The portion of a key is the same in all tries with
 * the same hash_key, whatever else they hold. */
#define TRIE_PARTS 1024
int trie_each_part(const struct trie *trie, unsigned part, int (*fn)(void *value, void *context), void *context);
