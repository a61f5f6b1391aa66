/* SPDX-License-Identifier: Apache-2.0 */
/* One object = one allocation: header, id, body, sealed secret, in this order. A million of them is the memory of the
 * agent, so nothing here has a pointer too many. */
#include "snapshot/entry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct selector_text *selector_text_new(const char *text)
{
	size_t len = strlen(text);
	struct selector_text *shared = malloc(sizeof(*shared) + len + 1);

	if (shared != NULL) {
		shared->count = 1;
		memcpy(shared->text, text, len + 1);
	}
	return shared;
}

struct selector_text *selector_text_ref(struct selector_text *text)
{
	text->count++;
	return text;
}

struct selector_text *selector_text_unref(struct selector_text *text)
{
	if (text != NULL && --text->count == 0)
		free(text);
	return NULL;
}

static const uint8_t *put_bytes(uint8_t **place, struct bytes source)
{
	uint8_t *at = *place;

	if (source.len > 0)
		memcpy(at, source.data, source.len);
	*place += source.len;
	return at;
}

struct entry *entry_new(const struct entry_parts *parts)
{
	const struct object_view *object = &parts->object;
	size_t id_len = strlen(object->id);
	struct entry *entry;
	uint8_t *place;

	assert(id_len <= ID_MAX);
	entry = malloc(sizeof(*entry) + id_len + 1 + object->body.len + parts->sealed.len);
	if (entry == NULL)
		return NULL;
	place = (uint8_t *)(entry + 1);
	*entry = (struct entry){.count = 1,
	                        .kind = (uint16_t)object->kind,
	                        .id_len = (uint8_t)id_len,
	                        .refers = parts->refers,
	                        .has_client = parts->has_client,
	                        .client_type = parts->client_type,
	                        .version = object->version,
	                        .uid = object->uid,
	                        .priority = parts->priority,
	                        .not_after = parts->not_after,
	                        .digest = *parts->digest,
	                        .selector = selector_text_ref(parts->selector)->text};
	entry->id = (const char *)put_bytes(&place, BYTES(object->id, id_len + 1));
	entry->body = BYTES(put_bytes(&place, object->body), object->body.len);
	entry->sealed = BYTES(put_bytes(&place, parts->sealed), parts->sealed.len);
	return entry;
}

struct entry *entry_ref(struct entry *entry)
{
	entry->count++;
	return entry;
}

struct entry *entry_unref(struct entry *entry)
{
	if (entry == NULL || --entry->count > 0)
		return NULL;
	selector_text_unref((struct selector_text *)(uintptr_t)(entry->selector - offsetof(struct selector_text, text)));
	free(entry);
	return NULL;
}

struct bytes entry_key(const struct entry *entry)
{
	return BYTES(entry->id, entry->id_len);
}

static struct bytes trie_key(const void *value)
{
	return entry_key(value);
}

static void trie_ref(void *value)
{
	entry_ref(value);
}

static void trie_unref(void *value)
{
	entry_unref(value);
}

const struct trie_ops entry_trie_ops = {.key = trie_key, .ref = trie_ref, .unref = trie_unref};

int entry_list_add(struct entry_list *list, struct entry *entry)
{
	if (list->len == list->cap) {
		size_t cap = list->cap > 0 ? 2 * list->cap : 8;
		struct entry **items = realloc(list->items, cap * sizeof(struct entry *));

		if (items == NULL)
			return E_NOMEM;
		list->items = items;
		list->cap = cap;
	}
	list->items[list->len++] = entry_ref(entry);
	return 0;
}

void entry_list_deinit(struct entry_list *list)
{
	for (size_t i = 0; i < list->len; i++)
		entry_unref(list->items[i]);
	free(list->items);
	*list = (struct entry_list){0};
}

static int add_value(void *value, void *context)
{
	return entry_list_add(context, value);
}

int entry_list_add_trie(struct entry_list *list, const struct trie *trie)
{
	return trie_each(trie, add_value, list);
}
