/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/names.h"

#include "model/object.h"
#include "snapshot/entry.h"
#include "snapshot/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The name itself is not copied: it stands in the body of the first candidate. With one candidate this is 24 bytes. */
struct candidates {
	uint32_t count; /* trie nodes that point here */
	uint32_t used;
	uint32_t name_offset, name_len; /* in entries[0]->body */
	struct entry *entries[];
};

static struct bytes candidates_name(const void *value)
{
	const struct candidates *list = value;

	return BYTES(list->entries[0]->body.data + list->name_offset, list->name_len);
}

static void candidates_ref(void *value)
{
	struct candidates *list = value;

	list->count++;
}

static void candidates_unref(void *value)
{
	struct candidates *list = value;

	if (--list->count > 0)
		return;
	for (uint32_t i = 0; i < list->used; i++)
		entry_unref(list->entries[i]);
	free(list);
}

const struct trie_ops names_trie_ops = {.key = candidates_name, .ref = candidates_ref, .unref = candidates_unref};

/* Where `name` stands in entry's body. */
struct search {
	struct bytes name, found;
};

static int match_name(struct bytes name, void *context)
{
	struct search *search = context;

	if (name.len != search->name.len || memcmp(name.data, search->name.data, name.len) != 0)
		return 0;
	search->found = name;
	return 1;
}

/* Sets the name of a list from the body of its first entry. */
static void candidates_set_name(struct candidates *list, struct bytes name)
{
	struct search search = {.name = name};

	assert(list->used > 0);
	if (scan_names(list->entries[0]->body, match_name, &search) == 1) {
		list->name_offset = (uint32_t)(search.found.data - list->entries[0]->body.data);
		list->name_len = (uint32_t)search.found.len;
	}
}

static struct candidates *candidates_new(uint32_t room)
{
	struct candidates *list = malloc(sizeof(*list) + room * sizeof(struct entry *));

	if (list != NULL)
		*list = (struct candidates){.count = 0, .used = 0};
	return list;
}

static bool is_better(const struct entry *a, const struct entry *b)
{
	return uid_is_better(a->priority, &a->uid, b->priority, &b->uid);
}

static int put_list(struct trie *names, struct candidates *list, struct bytes name)
{
	int r;

	candidates_ref(list);
	candidates_set_name(list, name);
	r = trie_put(names, list);
	candidates_unref(list);
	return r;
}

static bool list_contains(const struct candidates *list, const struct entry *entry)
{
	for (uint32_t i = 0; list != NULL && i < list->used; i++) {
		if (list->entries[i] == entry)
			return true;
	}
	return false;
}

static int add_name(struct trie *names, struct entry *entry, struct bytes name)
{
	const struct candidates *old = trie_find(names, name);
	struct candidates *list;
	uint32_t i = 0, used = old != NULL ? old->used : 0;

	if (list_contains(old, entry))
		return 0;
	list = candidates_new(used + 1);
	if (list == NULL)
		return E_NOMEM;
	while (i < used && is_better(old->entries[i], entry)) {
		list->entries[i] = entry_ref(old->entries[i]);
		i++;
	}
	list->entries[i] = entry_ref(entry);
	for (; i < used; i++)
		list->entries[i + 1] = entry_ref(old->entries[i]);
	list->used = used + 1;
	return put_list(names, list, name);
}

static int remove_name(struct trie *names, struct entry *entry, struct bytes name)
{
	const struct candidates *old = trie_find(names, name);
	struct candidates *list;

	if (!list_contains(old, entry))
		return 0;
	if (old->used == 1)
		return trie_remove(names, name);
	list = candidates_new(old->used - 1);
	if (list == NULL)
		return E_NOMEM;
	for (uint32_t i = 0; i < old->used; i++) {
		if (old->entries[i] != entry)
			list->entries[list->used++] = entry_ref(old->entries[i]);
	}
	return put_list(names, list, name);
}

struct change {
	struct trie *names;
	struct entry *entry;
};

static int on_add(struct bytes name, void *context)
{
	struct change *change = context;

	return add_name(change->names, change->entry, name);
}

static int on_remove(struct bytes name, void *context)
{
	struct change *change = context;

	return remove_name(change->names, change->entry, name);
}

int names_add(struct trie *names, struct entry *entry)
{
	struct change change = {names, entry};

	return scan_names(entry->body, on_add, &change);
}

int names_remove(struct trie *names, struct entry *entry)
{
	struct change change = {names, entry};

	return scan_names(entry->body, on_remove, &change);
}

size_t names_candidates(const struct trie *names, struct bytes name, struct entry *const **ret)
{
	const struct candidates *list = trie_find(names, name);

	if (list == NULL)
		return 0;
	*ret = list->entries;
	return list->used;
}

struct entry *names_best(const struct trie *names, struct bytes name)
{
	const struct candidates *list = trie_find(names, name);

	return list != NULL ? list->entries[0] : NULL;
}
