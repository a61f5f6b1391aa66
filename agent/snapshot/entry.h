/* SPDX-License-Identifier: Apache-2.0 */
/* Entries and their selectors: counted, made and freed by the main thread alone. Private to the snapshot layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "snapshot/snapshot.h"

#include <stddef.h>
#include <stdint.h>

/* A selector's text, shared by all entries that have it. Within one snapshot a selector has one text. */
struct selector_text {
	uint32_t count;
	char text[];
};

struct selector_text *selector_text_new(const char *text); /* NULL without memory */
struct selector_text *selector_text_ref(struct selector_text *text);
struct selector_text *selector_text_unref(struct selector_text *text); /* NULL allowed; returns NULL */

/* What an entry is made of; the bytes are copied, the selector is referenced. */
struct entry_parts {
	struct object_view object; /* its selector is not looked at */
	struct selector_text *selector;
	const struct digest *digest;
	struct bytes sealed;
	int32_t priority;
	bool refers, has_client, client_type;
	uint64_t not_after;
};

struct entry *entry_new(const struct entry_parts *parts); /* NULL without memory */
struct entry *entry_ref(struct entry *entry);
struct entry *entry_unref(struct entry *entry); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(struct entry, entry_unref);

struct bytes entry_key(const struct entry *entry); /* its id: kinds have a trie each */

extern const struct trie_ops entry_trie_ops;

/* A growing list that holds references. */
struct entry_list {
	struct entry **items;
	size_t len, cap;
};

int entry_list_add(struct entry_list *list, struct entry *entry) MUST_USE; /* E_NOMEM */
void entry_list_deinit(struct entry_list *list);
DEFINE_CLEANUP_VALUE(struct entry_list, entry_list_deinit);
/* Appends every value of a trie of entries. */
int entry_list_add_trie(struct entry_list *list, const struct trie *trie) MUST_USE;
