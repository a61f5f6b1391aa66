/* SPDX-License-Identifier: Apache-2.0 */
/* Names: normalised server name or pattern -> the SSL objects, or the routes, that carry it, best first
 * (uid_is_better): one trie for either. Each list is immutable; a change replaces it, so that older snapshots keep
 * theirs. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "snapshot/snapshot.h"

extern const struct trie_ops names_trie_ops;

/* Under all names of the entry's body. E_NOMEM, E_SYNTAX; then names is half changed and can only be freed. */
int names_add(struct trie *names, struct entry *entry) MUST_USE;
int names_remove(struct trie *names, struct entry *entry) MUST_USE;

struct entry *names_best(const struct trie *names, struct bytes name); /* borrowed; NULL: none */
/* All candidates of a name, best first. Returns how many; 0 leaves *ret alone. */
size_t names_candidates(const struct trie *names, struct bytes name, struct entry *const **ret);
