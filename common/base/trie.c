/* SPDX-License-Identifier: Apache-2.0 */
/* Hash array mapped trie with path copying.
 *
 * A branch holds a bitmap of its occupied slots (five hash bits a level) and the slots in order. A slot is a tagged pointer:
 * low bit 1 = a value, 0 = a branch. Below the last level the hash is spent; values whose 64 bits collide sit in a branch
 * whose `bitmap` is zero and that is searched in order.
 *
 * A branch whose count is 1 belongs to this trie alone and is changed in place; any other is copied first. Failure to
 * allocate happens before anything is linked, so a failed change leaves the old trie whole. */
#include "base/trie.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BITS 5
#define LEVELS 13 /* 12 full levels of five bits, one of four; deeper is the collision list */

typedef uintptr_t slot_t;

struct trie_node {
	uint32_t count;  /* tries and branches that point here */
	uint32_t bitmap; /* 0: collision list */
	uint32_t used;
	uint32_t cap;
	slot_t slots[];
};

static bool slot_is_value(slot_t slot)
{
	return (slot & 1) != 0;
}

static void *slot_value(slot_t slot)
{
	return (void *)(slot & ~(slot_t)1);
}

static struct trie_node *slot_node(slot_t slot)
{
	return (struct trie_node *)slot;
}

/* 0 below the last level: a collision list has no bits. */
static uint32_t level_bit(uint64_t hash, unsigned level)
{
	return level < LEVELS ? (uint32_t)1 << (hash >> (level * BITS) & 31) : 0;
}

static uint32_t slot_index(const struct trie_node *node, uint32_t bit)
{
	return (uint32_t)__builtin_popcount(node->bitmap & (bit - 1));
}

static uint64_t trie_hash(const struct trie *trie, struct bytes key)
{
	return hash_bytes(&trie->hash_key, key);
}

static bool value_has_key(const struct trie *trie, slot_t slot, struct bytes key)
{
	struct bytes own = trie->ops->key(slot_value(slot));

	return own.len == key.len && memcmp(own.data, key.data, key.len) == 0;
}

static void slot_ref(const struct trie *trie, slot_t slot)
{
	if (!slot_is_value(slot))
		slot_node(slot)->count++;
	else if (trie->ops->ref != NULL)
		trie->ops->ref(slot_value(slot));
}

static void slot_unref(const struct trie *trie, slot_t slot)
{
	struct trie_node *node;

	if (slot_is_value(slot)) {
		if (trie->ops->unref != NULL)
			trie->ops->unref(slot_value(slot));
		return;
	}
	node = slot_node(slot);
	if (--node->count > 0)
		return;
	for (uint32_t i = 0; i < node->used; i++)
		slot_unref(trie, node->slots[i]);
	free(node);
}

static struct trie_node *node_new(uint32_t cap)
{
	struct trie_node *node = malloc(sizeof(*node) + cap * sizeof(slot_t));

	if (node != NULL)
		*node = (struct trie_node){.count = 1, .bitmap = 0, .used = 0, .cap = cap};
	return node;
}

/* A branch of our own with room for `room` slots: node itself when it is ours and large enough, else a copy that takes over
 * the caller's reference to node. NULL without memory; then node is untouched. */
static struct trie_node *node_own(const struct trie *trie, struct trie_node *node, uint32_t room)
{
	struct trie_node *own;

	if (node->count == 1 && room <= node->cap)
		return node;
	own = node_new(room + (room > 2 ? room / 4 : 0));
	if (own == NULL)
		return NULL;
	own->bitmap = node->bitmap;
	own->used = node->used;
	memcpy(own->slots, node->slots, node->used * sizeof(slot_t));
	if (node->count == 1) {
		free(node);
		return own;
	}
	for (uint32_t i = 0; i < own->used; i++)
		slot_ref(trie, own->slots[i]);
	node->count--;
	return own;
}

static void node_insert(struct trie_node *node, uint32_t at, slot_t slot)
{
	assert(node->used < node->cap);
	memmove(&node->slots[at + 1], &node->slots[at], (node->used - at) * sizeof(slot_t));
	node->slots[at] = slot;
	node->used++;
}

static void node_cut(struct trie_node *node, uint32_t at)
{
	node->used--;
	memmove(&node->slots[at], &node->slots[at + 1], (node->used - at) * sizeof(slot_t));
}

/* A branch for two values whose hashes agree above `level`. Refs neither. NULL without memory. */
static struct trie_node *node_new_pair(slot_t a, uint64_t hash_a, slot_t b, uint64_t hash_b, unsigned level)
{
	struct trie_node *node, *below;
	uint32_t bit_a = level_bit(hash_a, level), bit_b = level_bit(hash_b, level);

	node = node_new(2);
	if (node == NULL)
		return NULL;
	if (level >= LEVELS) {
		node_insert(node, 0, a);
		node_insert(node, 1, b);
		return node;
	}
	node->bitmap = bit_a | bit_b;
	if (bit_a != bit_b) {
		node_insert(node, 0, bit_a < bit_b ? a : b);
		node_insert(node, 1, bit_a < bit_b ? b : a);
		return node;
	}
	below = node_new_pair(a, hash_a, b, hash_b, level + 1);
	if (below == NULL) {
		free(node);
		return NULL;
	}
	node_insert(node, 0, (slot_t)below);
	return node;
}

static int put_in_list(struct trie *trie, struct trie_node **place, slot_t value, struct bytes key)
{
	struct trie_node *own = node_own(trie, *place, (*place)->used + 1);

	if (own == NULL)
		return E_NOMEM;
	*place = own;
	slot_ref(trie, value);
	for (uint32_t i = 0; i < own->used; i++) {
		if (value_has_key(trie, own->slots[i], key)) {
			slot_unref(trie, own->slots[i]);
			own->slots[i] = value;
			return 0;
		}
	}
	node_insert(own, own->used, value);
	trie->count++;
	return 0;
}

static int put_in_branch(struct trie *trie, struct trie_node **place, slot_t value, struct bytes key, uint64_t hash,
                         unsigned level);

/* The slot is taken by a value: replace it if the key is the same, else push both one level down. */
static int put_over_value(struct trie *trie, slot_t *place, slot_t value, struct bytes key, uint64_t hash, unsigned level)
{
	struct trie_node *pair;
	slot_t old = *place;

	if (value_has_key(trie, old, key)) {
		slot_ref(trie, value);
		slot_unref(trie, old);
		*place = value;
		return 0;
	}
	pair = node_new_pair(old, trie_hash(trie, trie->ops->key(slot_value(old))), value, hash, level + 1);
	if (pair == NULL)
		return E_NOMEM;
	slot_ref(trie, value);
	*place = (slot_t)pair;
	trie->count++;
	return 0;
}

static int put_in_branch(struct trie *trie, struct trie_node **place, slot_t value, struct bytes key, uint64_t hash,
                         unsigned level)
{
	uint32_t bit = level_bit(hash, level);
	bool taken = ((*place)->bitmap & bit) != 0;
	struct trie_node *own, *below;
	uint32_t at;
	int r;

	if (level >= LEVELS)
		return put_in_list(trie, place, value, key);
	own = node_own(trie, *place, (*place)->used + (taken ? 0 : 1));
	if (own == NULL)
		return E_NOMEM;
	*place = own;
	at = slot_index(own, bit);
	if (!taken) {
		slot_ref(trie, value);
		node_insert(own, at, value);
		own->bitmap |= bit;
		trie->count++;
		return 0;
	}
	if (slot_is_value(own->slots[at]))
		return put_over_value(trie, &own->slots[at], value, key, hash, level);
	below = slot_node(own->slots[at]);
	r = put_in_branch(trie, &below, value, key, hash, level + 1);
	own->slots[at] = (slot_t)below;
	return r;
}

void trie_init(struct trie *trie, const struct trie_ops *ops, struct hash_key hash_key)
{
	*trie = (struct trie){.root = NULL, .count = 0, .ops = ops, .hash_key = hash_key};
}

void trie_deinit(struct trie *trie)
{
	if (trie->root != NULL)
		slot_unref(trie, (slot_t)trie->root);
	trie->root = NULL;
	trie->count = 0;
}

void trie_clone(const struct trie *trie, struct trie *clone)
{
	*clone = *trie;
	if (clone->root != NULL)
		clone->root->count++;
}

void *trie_find(const struct trie *trie, struct bytes key)
{
	uint64_t hash = trie_hash(trie, key);
	const struct trie_node *node = trie->root;

	for (unsigned level = 0; node != NULL && level < LEVELS; level++) {
		uint32_t bit = level_bit(hash, level);
		slot_t slot;

		if ((node->bitmap & bit) == 0)
			return NULL;
		slot = node->slots[slot_index(node, bit)];
		if (slot_is_value(slot))
			return value_has_key(trie, slot, key) ? slot_value(slot) : NULL;
		node = slot_node(slot);
	}
	for (uint32_t i = 0; node != NULL && i < node->used; i++) {
		if (value_has_key(trie, node->slots[i], key))
			return slot_value(node->slots[i]);
	}
	return NULL;
}

int trie_put(struct trie *trie, void *value)
{
	struct bytes key = trie->ops->key(value);

	if (trie->root == NULL) {
		trie->root = node_new(1);
		if (trie->root == NULL)
			return E_NOMEM;
	}
	return put_in_branch(trie, &trie->root, (slot_t)value | 1, key, trie_hash(trie, key), 0);
}

/* Removes key below *place, which exists there. Sets *place to NULL when its last slot goes. */
static int remove_below(struct trie *trie, struct trie_node **place, struct bytes key, uint64_t hash, unsigned level)
{
	struct trie_node *own = node_own(trie, *place, (*place)->used), *below;
	uint32_t at = 0;
	int r;

	if (own == NULL)
		return E_NOMEM;
	*place = own;
	if (level < LEVELS) {
		at = slot_index(own, level_bit(hash, level));
	} else {
		while (!value_has_key(trie, own->slots[at], key))
			at++;
	}
	if (!slot_is_value(own->slots[at])) {
		below = slot_node(own->slots[at]);
		r = remove_below(trie, &below, key, hash, level + 1);
		own->slots[at] = (slot_t)below;
		if (r < 0 || below != NULL)
			return r;
	} else {
		slot_unref(trie, own->slots[at]);
	}
	node_cut(own, at);
	if (level < LEVELS)
		own->bitmap &= ~level_bit(hash, level);
	if (own->used == 0) {
		free(own);
		*place = NULL;
	}
	return 0;
}

int trie_remove(struct trie *trie, struct bytes key)
{
	int r;

	if (trie_find(trie, key) == NULL)
		return E_NOT_FOUND;
	r = remove_below(trie, &trie->root, key, trie_hash(trie, key), 0);
	if (r == 0)
		trie->count--;
	return r;
}

static int node_each(const struct trie_node *node, int (*fn)(void *value, void *context), void *context)
{
	int r = 0;

	for (uint32_t i = 0; i < node->used && r == 0; i++) {
		if (slot_is_value(node->slots[i]))
			r = fn(slot_value(node->slots[i]), context);
		else
			r = node_each(slot_node(node->slots[i]), fn, context);
	}
	return r;
}

int trie_each(const struct trie *trie, int (*fn)(void *value, void *context), void *context)
{
	return trie->root != NULL ? node_each(trie->root, fn, context) : 0;
}

_Static_assert(TRIE_PARTS == 1 << 2 * BITS, "a portion is a branch of the second level");

int trie_each_part(const struct trie *trie, unsigned part, int (*fn)(void *value, void *context), void *context)
{
	const struct trie_node *node = trie->root;

	for (unsigned level = 0; level < 2 && node != NULL; level++) {
		uint32_t bit = level_bit(part, level);
		slot_t slot;

		if ((node->bitmap & bit) == 0)
			return 0;
		slot = node->slots[slot_index(node, bit)];
		if (slot_is_value(slot))
			return trie_hash(trie, trie->ops->key(slot_value(slot))) % TRIE_PARTS == part ? fn(slot_value(slot), context) : 0;
		node = slot_node(slot);
	}
	return node != NULL ? node_each(node, fn, context) : 0;
}
