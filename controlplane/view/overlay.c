/* SPDX-License-Identifier: Apache-2.0 */
#include "view/overlay.h"

#include "model/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view_key {
	enum kind kind;
	const char *name;
	const struct view_state *state;
};

int view_overlay_add(struct view_overlay *overlay, enum kind kind, const char *id, struct store_row *row, struct error *err)
{
	struct view_state *state;

	if (overlay->len == overlay->cap) {
		size_t cap = 2 * overlay->cap + 8;
		struct view_state *states = reallocarray(overlay->states, cap, sizeof(*states));

		if (states == NULL)
			return error_nomem(err);
		overlay->states = states;
		overlay->cap = cap;
	}
	state = &overlay->states[overlay->len++];
	*state = (struct view_state){.kind = kind};
	snprintf(state->id, sizeof(state->id), "%s", id);
	if (row != NULL) {
		state->row = *row;
		*row = (struct store_row){0};
	}
	return 0;
}

static int compare_states(const void *left, const void *right)
{
	const struct view_state *a = left, *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return strcmp(a->id, b->id);
}

static int compare_keys(const void *left, const void *right)
{
	const struct view_key *a = left, *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return strcmp(a->name, b->name);
}

size_t view_names_of(const ProtobufCMessage *body, char *const **ret)
{
	if (body == NULL)
		return 0;
	if (body->descriptor == &tlsplane__ssl__descriptor) {
		*ret = ((const Tlsplane__Ssl *)body)->snis;
		return ((const Tlsplane__Ssl *)body)->n_snis;
	}
	if (body->descriptor == &tlsplane__route__descriptor) {
		*ret = ((const Tlsplane__Route *)body)->snis;
		return ((const Tlsplane__Route *)body)->n_snis;
	}
	return 0;
}

/* What can't be decoded has no names, as in the store's indexes. */
static int decode_states(struct view_overlay *overlay, size_t *ret_names, struct error *err)
{
	for (size_t i = 0; i < overlay->len; i++) {
		struct view_state *state = &overlay->states[i];
		char *const *names = NULL;
		int r;

		if (state->row.memory == NULL || !state->row.state.enabled || (state->kind != KIND_SSL && state->kind != KIND_ROUTE))
			continue;
		r = body_decode(kind_find(state->kind)->body, state->row.state.object.body, &state->body, NULL);
		if (r == E_NOMEM)
			return error_nomem(err);
		*ret_names += view_names_of(state->body, &names);
	}
	return 0;
}

int view_overlay_sort(struct view_overlay *overlay, struct error *err)
{
	size_t count = 0;
	int r;

	if (overlay->len == 0)
		return 0;
	qsort(overlay->states, overlay->len, sizeof(*overlay->states), compare_states);
	r = decode_states(overlay, &count, err);
	if (r < 0 || count == 0)
		return r;
	overlay->keys = calloc(count, sizeof(*overlay->keys));
	if (overlay->keys == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < overlay->len; i++) {
		const struct view_state *state = &overlay->states[i];
		char *const *names = NULL;
		size_t names_len = view_names_of(state->body, &names);

		for (size_t j = 0; j < names_len; j++)
			overlay->keys[overlay->keys_len++] = (struct view_key){state->kind, names[j], state};
	}
	qsort(overlay->keys, overlay->keys_len, sizeof(*overlay->keys), compare_keys);
	return 0;
}

void view_overlay_deinit(struct view_overlay *overlay)
{
	for (size_t i = 0; i < overlay->len; i++) {
		body_free(overlay->states[i].body);
		store_row_deinit(&overlay->states[i].row);
	}
	free(overlay->states);
	free(overlay->keys);
	*overlay = (struct view_overlay){0};
}

const struct view_state *view_overlay_find(const struct view_overlay *overlay, enum kind kind, const char *id)
{
	struct view_state wanted = {.kind = kind};

	if (overlay == NULL || overlay->len == 0)
		return NULL;
	snprintf(wanted.id, sizeof(wanted.id), "%s", id);
	return bsearch(&wanted, overlay->states, overlay->len, sizeof(*overlay->states), compare_states);
}

/* The first key that is not before it. */
static size_t find_key(const struct view_overlay *overlay, const struct view_key *wanted)
{
	size_t low = 0, high = overlay->keys_len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_keys(&overlay->keys[middle], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int view_overlay_each(const struct view_overlay *overlay, enum kind kind, const char *name,
                      int (*fn)(const struct store_row *row, void *context), void *context)
{
	const struct view_key wanted = {kind, name, NULL};
	int r = 0;

	if (overlay == NULL)
		return 0;
	for (size_t i = find_key(overlay, &wanted); i < overlay->keys_len && r == 0; i++) {
		if (compare_keys(&overlay->keys[i], &wanted) != 0)
			break;
		r = fn(&overlay->keys[i].state->row, context);
	}
	return r;
}
