/* SPDX-License-Identifier: Apache-2.0 */
#include "view/leaves_names.h"

#include "model/body.h"
#include "model/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 500

int leaf_names_add(struct leaf_names *names, const char *name, struct error *err)
{
	char *copy;

	if (names->len == names->cap) {
		size_t cap = 2 * names->cap + 16;
		char **items = reallocarray(names->items, cap, sizeof(*items));

		if (items == NULL)
			return error_nomem(err);
		names->items = items;
		names->cap = cap;
	}
	copy = strdup(name);
	if (copy == NULL)
		return error_nomem(err);
	names->items[names->len++] = copy;
	return 0;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void leaf_names_sort(struct leaf_names *names)
{
	size_t unique = 0;

	if (names->len == 0)
		return;
	qsort(names->items, names->len, sizeof(*names->items), compare_texts);
	for (size_t i = 0; i < names->len; i++) {
		if (unique > 0 && strcmp(names->items[unique - 1], names->items[i]) == 0)
			free(names->items[i]);
		else
			names->items[unique++] = names->items[i];
	}
	names->len = unique;
}

void leaf_names_deinit(struct leaf_names *names)
{
	for (size_t i = 0; i < names->len; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct leaf_names){0};
}

/* Names ----------------------------------------------------------------------------------------------------------- */

static int add_all(struct leaf_names *names, const ProtobufCMessage *body, struct error *err)
{
	char *const *items = NULL;
	size_t len = view_names_of(body, &items);
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i++)
		r = leaf_names_add(names, items[i], err);
	return r;
}

/* Bits of what the names of an object that differs can change. */
enum { REACH_OWN = 1, REACH_ALL = 2 };

static unsigned reach_of(enum kind kind)
{
	switch (kind) {
	case KIND_SSL:
		return REACH_OWN;
	case KIND_ROUTE:
		return REACH_OWN | REACH_ALL;
	case KIND_LISTENER:
	case KIND_TLS_OPTIONS:
	case KIND_AGENT:
		return REACH_ALL;
	default:
		return 0;
	}
}

static int add_changed(const struct view_overlay *overlay, struct leaf_names *names, unsigned *reach, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < overlay->len && r == 0; i++) {
		*reach |= reach_of(overlay->states[i].kind);
		r = add_all(names, overlay->states[i].body, err);
	}
	return r;
}

struct walk {
	struct leaf_names *names;
	char last[ID_MAX + 1];
	size_t seen;
	struct error *err;
};

static int on_ssl(const struct store_row *row, void *context)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	struct walk *walk = context;
	int r;

	snprintf(walk->last, sizeof(walk->last), "%s", row->state.object.id);
	walk->seen++;
	if (!row->state.enabled)
		return 0;
	r = body_decode(kind_find(KIND_SSL)->body, row->state.object.body, &body, NULL);
	if (r == E_NOMEM)
		return error_nomem(walk->err);
	return add_all(walk->names, body, walk->err);
}

static int add_stored(struct store_reader *reader, size_t max, struct leaf_names *names, uint64_t *omitted, struct error *err)
{
	struct walk walk = {.names = names, .err = err};
	uint64_t count = 0;
	size_t before;
	int r;

	do {
		before = walk.seen;
		r = store_list(reader, KIND_SSL, walk.last, 0, PAGE, on_ssl, &walk, err);
	} while (r == 0 && walk.seen == before + PAGE && names->len < max);
	if (r == 0)
		r = store_count(reader, KIND_SSL, &count, err);
	if (r == 0 && count > walk.seen)
		*omitted += count - walk.seen;
	return r;
}

int leaf_names_collect(struct store_reader *reader, const struct leaves_question *question, size_t max, struct leaf_names *ret,
                       uint64_t *omitted, struct error *err)
{
	CLEANUP(leaf_names_deinit) struct leaf_names names = {0};
	unsigned reach = 0;
	int r = add_changed(question->before, &names, &reach, err);

	if (r == 0)
		r = add_changed(question->after, &names, &reach, err);
	if (r == 0 && (reach & REACH_ALL))
		r = add_stored(reader, max, &names, omitted, err);
	if (r == 0 && reach != 0)
		r = leaf_names_add(&names, "", err);
	if (r == 0 && reach != 0)
		r = leaf_names_add(&names, "*", err);
	if (r < 0)
		return r;
	leaf_names_sort(&names);
	*ret = names;
	names = (struct leaf_names){0};
	return 0;
}

/* Agents ---------------------------------------------------------------------------------------------------------- */

static int labels_at(const struct view_overlay *overlay, const struct store_row *row, char **ret, struct error *err)
{
	const struct view_state *state = view_overlay_find(overlay, KIND_AGENT, row->state.object.id);

	if (state != NULL && state->row.memory == NULL)
		return 0;
	return selector_from_labels(state != NULL ? state->row.state.labels : row->state.labels, ret, err);
}

struct roll_walk {
	const struct leaves_question *question;
	struct leaf_roll *roll;
	struct error *err;
};

static int on_agent(const struct store_row *row, void *context)
{
	struct roll_walk *walk = context;
	struct leaf_roll *roll = walk->roll;
	struct leaf_agent *agent;
	int r;

	if (roll->len == roll->cap) {
		size_t cap = 2 * roll->cap + 16;
		struct leaf_agent *agents = reallocarray(roll->agents, cap, sizeof(*agents));

		if (agents == NULL)
			return error_nomem(walk->err);
		roll->agents = agents;
		roll->cap = cap;
	}
	agent = &roll->agents[roll->len++];
	*agent = (struct leaf_agent){.before = NULL};
	snprintf(agent->id, sizeof(agent->id), "%s", row->state.object.id);
	r = labels_at(walk->question->before, row, &agent->before, walk->err);
	if (r == 0)
		r = labels_at(walk->question->after, row, &agent->after, walk->err);
	return r;
}

static int compare_labels(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int compare_agents(const void *left, const void *right)
{
	const struct leaf_agent *a = left, *b = right;
	int order = compare_labels(a->before, b->before);

	if (order == 0)
		order = compare_labels(a->after, b->after);
	return order != 0 ? order : strcmp(a->id, b->id);
}

int leaf_roll_call(struct store_reader *reader, const struct leaves_question *question, struct leaf_roll *ret, struct error *err)
{
	struct roll_walk walk = {question, ret, err};
	char last[ID_MAX + 1] = "";
	size_t before;
	int r;

	do {
		before = ret->len;
		r = store_list(reader, KIND_AGENT, last, 0, PAGE, on_agent, &walk, err);
		if (ret->len > before)
			memcpy(last, ret->agents[ret->len - 1].id, sizeof(last));
	} while (r == 0 && ret->len == before + PAGE);
	if (r == 0 && ret->len > 0)
		qsort(ret->agents, ret->len, sizeof(*ret->agents), compare_agents);
	return r;
}

void leaf_roll_deinit(struct leaf_roll *roll)
{
	for (size_t i = 0; i < roll->len; i++) {
		free(roll->agents[i].before);
		free(roll->agents[i].after);
	}
	free(roll->agents);
	*roll = (struct leaf_roll){0};
}

bool leaf_roll_next(const struct leaf_roll *roll, size_t *at, struct leaf_members *ret)
{
	const struct leaf_agent *first = &roll->agents[*at];
	size_t len = 1;

	if (*at >= roll->len)
		return false;
	while (*at + len < roll->len && compare_labels(first->before, first[len].before) == 0 &&
	       compare_labels(first->after, first[len].after) == 0)
		len++;
	*ret = (struct leaf_members){first->before, first->after, compare_labels(first->before, first->after) != 0, first, len};
	*at += len;
	return true;
}
