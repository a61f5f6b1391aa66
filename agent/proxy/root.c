/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/root.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 4
#define CACHE_LINE 64

struct slot {
	_Alignas(CACHE_LINE) _Atomic(const struct root *) held;
};

struct roots {
	_Atomic(const struct root *) current;
	struct root places[PLACES]; /* snapshot NULL: free */
	unsigned slots_len;
	struct slot slots[];
};

const struct listener_view *root_find_listener(const struct root *root, const char *address)
{
	const struct listener_view *view = snapshot_find_listener(root->snapshot, address);

	for (size_t i = 0; i < root->aliases_len && view == NULL; i++)
		if (strcmp(root->aliases[i].from, address) == 0)
			view = snapshot_find_listener(root->snapshot, root->aliases[i].to);
	return view;
}

int roots_new(unsigned readers, struct roots **ret, struct error *err)
{
	size_t size = sizeof(struct roots) + readers * sizeof(struct slot);
	struct roots *roots = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);

	if (roots == NULL)
		return error_nomem(err);
	memset(roots, 0, size);
	roots->slots_len = readers;
	*ret = roots;
	return 0;
}

static void root_clear(struct root *root)
{
	snapshot_free(root->snapshot);
	free(root->aliases);
	*root = (struct root){0};
}

struct roots *roots_free(struct roots *roots)
{
	if (roots != NULL)
		for (size_t i = 0; i < PLACES; i++)
			root_clear(&roots->places[i]);
	free(roots);
	return NULL;
}

const struct root *roots_acquire(struct roots *roots, unsigned reader)
{
	const struct root *root = atomic_load(&roots->current), *again;

	assert(atomic_load_explicit(&roots->slots[reader].held, memory_order_relaxed) == NULL);
	for (;;) {
		atomic_store(&roots->slots[reader].held, root);
		again = atomic_load(&roots->current);
		if (again == root)
			return root;
		root = again;
	}
}

void roots_release(struct roots *roots, unsigned reader)
{
	atomic_store_explicit(&roots->slots[reader].held, NULL, memory_order_release);
}

static bool root_is_read(struct roots *roots, const struct root *root)
{
	for (unsigned i = 0; i < roots->slots_len; i++)
		if (atomic_load(&roots->slots[i].held) == root)
			return true;
	return false;
}

bool roots_reclaim(struct roots *roots)
{
	const struct root *current = atomic_load(&roots->current);
	bool all = true;

	for (size_t i = 0; i < PLACES; i++) {
		struct root *root = &roots->places[i];

		if (root->snapshot == NULL || root == current)
			continue;
		if (root_is_read(roots, root))
			all = false;
		else
			root_clear(root);
	}
	return all;
}

static struct root *find_free(struct roots *roots)
{
	for (size_t i = 0; i < PLACES; i++)
		if (roots->places[i].snapshot == NULL)
			return &roots->places[i];
	return NULL;
}

void roots_publish(struct roots *roots, struct snapshot *snapshot, struct alias *aliases, size_t aliases_len)
{
	struct root *root;

	for (root = find_free(roots); root == NULL; root = find_free(roots)) {
		sched_yield();
		roots_reclaim(roots);
	}
	*root = (struct root){.snapshot = snapshot, .aliases = aliases, .aliases_len = aliases_len};
	atomic_store(&roots->current, root);
}

const struct root *roots_current(const struct roots *roots)
{
	return atomic_load(&roots->current);
}
