/* SPDX-License-Identifier: Apache-2.0 */
#include "view/leaves.h"

#include "crypto/crypto.h"
#include "model/body.h"
#include "model/selector.h"
#include "view/leaves_names.h"
#include "view/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES_MAX 20000
#define PROBE_LABEL "tlsplane-probe"

/* One comparison under way. */
struct comparison {
	struct store_reader *reader;
	const struct leaves_question *question;
	struct leaf_names names;
	uint64_t deadline; /* of leaves_now */
	struct leaves *result;
	struct error *err;
};

uint64_t leaves_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool leaf_make_name(const char *pattern, char *name)
{
	if (strcmp(pattern, "*") == 0)
		pattern = "*.invalid"; /* RFC 2606: nobody's */
	if (pattern[0] != '*')
		return (size_t)snprintf(name, NAME_MAX_LEN + 1, "%s", pattern) <= NAME_MAX_LEN;
	pattern += strspn(pattern, "*");
	return (size_t)snprintf(name, NAME_MAX_LEN + 1, "%s%s", PROBE_LABEL, pattern) <= NAME_MAX_LEN;
}

void leaves_deinit(struct leaves *leaves)
{
	for (size_t i = 0; i < leaves->groups_len; i++) {
		free(leaves->groups[i].labels);
		free(leaves->groups[i].agents);
	}
	free(leaves->groups);
	free(leaves->changes);
	*leaves = (struct leaves){0};
}

/* One moment ------------------------------------------------------------------------------------------------------ */

static enum leaf_slot slot_of(const Tlsplane__Pair *pair)
{
	if (pair->key_type == TLSPLANE__KEY_TYPE__KEY_RSA)
		return LEAF_RSA;
	return pair->key_type == TLSPLANE__KEY_TYPE__KEY_ED25519 ? LEAF_ED25519 : LEAF_EC;
}

static int read_leaves(const struct view_object *object, struct leaf leaves[LEAF_SLOTS], struct error *err)
{
	const Tlsplane__Ssl *ssl = (const Tlsplane__Ssl *)object->body;
	int r = 0;

	for (size_t i = 0; ssl != NULL && i < ssl->n_pairs && r == 0; i++) {
		const Tlsplane__Pair *pair = ssl->pairs[i];
		struct leaf *leaf = &leaves[slot_of(pair)];

		if (pair->n_chain == 0)
			continue;
		snprintf(leaf->ssl, sizeof(leaf->ssl), "%s", object->row.state.object.id);
		leaf->version = (struct revision){object->row.state.object.epoch, object->row.state.object.version};
		r = crypto_sha256(BYTES(pair->chain[0].data, pair->chain[0].len), leaf->sha256, err);
	}
	return r;
}

/* What a listener answers a name with; view NULL: the agent is not there. */
static int look(struct view *view, const char *listener, const char *name, struct leaf leaves[LEAF_SLOTS], struct error *err)
{
	const struct view_object *object = NULL;
	struct decide_source table;
	struct decide_input input;
	struct decision decision;
	int r;

	memset(leaves, 0, LEAF_SLOTS * sizeof(*leaves));
	if (view == NULL)
		return 0;
	r = view_find(view, KIND_LISTENER, listener, &object);
	if (r == E_NOT_FOUND || (r == 0 && object->body == NULL))
		return 0;
	if (r == 0) {
		table = view_table(view);
		input = (struct decide_input){.listener = {object->row.state.object.id, (const Tlsplane__Listener *)object->body, object},
		                              .name = BYTES(name, strlen(name))};
		r = decide(&table, &input, &decision);
	}
	if (r != 0)
		return error_set(err, r, "%s", view->error.text);
	if (decision.outcome != DECIDE_TERMINATE || decision.ssl.id == NULL)
		return 0;
	return read_leaves(decision.ssl.handle, leaves, err);
}

/* Two moments ----------------------------------------------------------------------------------------------------- */

/* A group as it is at both. */
struct pair_of_views {
	struct view before, after, now;
	bool is_before, is_after; /* it is there */
	size_t group;
};

static int keep_change(struct comparison *comparison, const struct leaf_change *change)
{
	struct leaves *result = comparison->result;

	if (result->changes_len == comparison->question->changes_max) {
		result->omitted++;
		return 0;
	}
	if (result->changes_len == result->changes_cap) {
		size_t cap = 2 * result->changes_cap + 16;
		struct leaf_change *changes = reallocarray(result->changes, cap, sizeof(*changes));

		if (changes == NULL)
			return error_nomem(comparison->err);
		result->changes = changes;
		result->changes_cap = cap;
	}
	result->changes[result->changes_len++] = *change;
	return 0;
}

static bool is_same(const struct leaf *a, const struct leaf *b)
{
	return (a->ssl[0] != 0) == (b->ssl[0] != 0) && memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
}

static int stop_at_first(const struct store_row *row, void *context)
{
	return 1;
}

/* One of the objects that differ lists the name, and the listener answers with none of them. */
static void note_shadowed(struct comparison *comparison, const char *pattern, const struct leaf after[LEAF_SLOTS])
{
	const struct view_overlay *overlay = comparison->question->after;
	struct leaves *result = comparison->result;

	if (view_overlay_each(overlay, KIND_SSL, pattern, stop_at_first, NULL) == 0 || result->shadowed_len == LEAVES_SHADOWED_MAX)
		return;
	for (int slot = 0; slot < LEAF_SLOTS; slot++) {
		if (after[slot].ssl[0] != 0 && view_overlay_find(overlay, KIND_SSL, after[slot].ssl) != NULL)
			return;
	}
	for (size_t i = 0; i < result->shadowed_len; i++) {
		if (strcmp(result->shadowed[i], pattern) == 0)
			return;
	}
	snprintf(result->shadowed[result->shadowed_len++], sizeof(result->shadowed[0]), "%s", pattern);
}

static int compare_name(struct comparison *comparison, struct pair_of_views *views, const char *listener, const char *pattern)
{
	struct leaf before[LEAF_SLOTS], after[LEAF_SLOTS], now[LEAF_SLOTS];
	struct leaf_change change = {.group = views->group};
	char name[NAME_MAX_LEN + 1];
	int r;

	if (!leaf_make_name(pattern, name)) {
		comparison->result->omitted++;
		return 0;
	}
	r = look(views->is_before ? &views->before : NULL, listener, name, before, comparison->err);
	if (r == 0)
		r = look(views->is_after ? &views->after : NULL, listener, name, after, comparison->err);
	if (r == 0 && comparison->question->is_past)
		r = look(views->is_after ? &views->now : NULL, listener, name, now, comparison->err);
	if (r == 0 && views->is_after)
		note_shadowed(comparison, pattern, after);
	snprintf(change.listener, sizeof(change.listener), "%s", listener);
	snprintf(change.name, sizeof(change.name), "%s", pattern);
	for (int slot = 0; slot < LEAF_SLOTS && r == 0; slot++) {
		if (is_same(&before[slot], &after[slot]))
			continue;
		change.slot = (enum leaf_slot)slot;
		change.from = before[slot];
		change.to = after[slot];
		if (comparison->question->is_past) {
			change.is_superseded = !is_same(&after[slot], &now[slot]);
			change.now = now[slot];
		}
		r = keep_change(comparison, &change);
	}
	return r;
}

static int compare_listener(struct comparison *comparison, struct pair_of_views *views, const char *listener)
{
	const struct leaf_names *names = &comparison->names;
	int r = 0;

	for (size_t i = 0; i < names->len && r == 0; i++) {
		if (leaves_now() >= comparison->deadline) {
			comparison->result->omitted += names->len - i;
			return 0;
		}
		r = compare_name(comparison, views, listener, names->items[i]);
	}
	return r;
}

static int add_listener(const struct store_row *row, void *context)
{
	return leaf_names_add(context, row->state.object.id, NULL);
}

/* Those of both moments, each once. */
static int list_listeners(struct pair_of_views *views, struct leaf_names *ret, struct error *err)
{
	int r = 0;

	if (views->is_before)
		r = view_each_listener(&views->before, add_listener, ret);
	if (r == 0 && views->is_after)
		r = view_each_listener(&views->after, add_listener, ret);
	if (r == E_NOMEM)
		return error_nomem(err);
	if (r < 0)
		return error_set(err, r, "%s", views->is_before ? views->before.error.text : views->after.error.text);
	leaf_names_sort(ret);
	return 0;
}

static int compare_group(struct comparison *comparison, const struct leaf_members *members, struct pair_of_views *views)
{
	CLEANUP(leaf_names_deinit) struct leaf_names listeners = {0};
	int r = 0;

	views->is_before = members->before != NULL;
	views->is_after = members->after != NULL;
	if (views->is_before)
		r = view_init_canonical(&views->before, comparison->reader, members->before, comparison->err);
	if (r == 0 && views->is_after)
		r = view_init_canonical(&views->after, comparison->reader, members->after, comparison->err);
	if (r == 0 && views->is_after)
		r = view_init_canonical(&views->now, comparison->reader, members->after, comparison->err);
	views->before.overlay = comparison->question->before;
	views->after.overlay = comparison->question->after;
	if (r == 0)
		r = list_listeners(views, &listeners, comparison->err);
	for (size_t i = 0; i < listeners.len && r == 0; i++)
		r = compare_listener(comparison, views, listeners.items[i]);
	return r;
}

/* Does it hold any of what differs, before or after? */
static bool is_concerned(const struct view_overlay *overlay, const char *labels)
{
	for (size_t i = 0; labels != NULL && i < overlay->len; i++) {
		const struct store_row *row = &overlay->states[i].row;

		if (row->memory != NULL && row->state.enabled && overlay->states[i].kind != KIND_AGENT &&
		    selector_is_match(row->state.object.selector, labels))
			return true;
	}
	return false;
}

static int add_group(struct comparison *comparison, const struct leaf_members *members)
{
	struct leaves *result = comparison->result;
	struct leaf_group *group = &result->groups[result->groups_len];

	*group = (struct leaf_group){0};
	result->groups_len++;
	if (members->after != NULL) {
		group->labels = strdup(members->after);
		if (group->labels == NULL)
			return error_nomem(comparison->err);
	}
	group->agents = calloc(members->len, sizeof(*group->agents));
	if (group->agents == NULL)
		return error_nomem(comparison->err);
	for (size_t i = 0; i < members->len; i++)
		memcpy(group->agents[i], members->agents[i].id, sizeof(group->agents[i]));
	group->agents_len = members->len;
	return 0;
}

static int compare_groups(struct comparison *comparison, const struct leaf_roll *roll)
{
	const struct leaves_question *question = comparison->question;
	struct leaf_members members;
	size_t at = 0;
	int r = 0;

	comparison->result->groups = calloc(roll->len + 1, sizeof(*comparison->result->groups));
	if (comparison->result->groups == NULL)
		return error_nomem(comparison->err);
	while (r == 0 && leaf_roll_next(roll, &at, &members)) {
		struct pair_of_views views = {.group = comparison->result->groups_len};

		if (!members.differs && !is_concerned(question->before, members.before) && !is_concerned(question->after, members.after))
			continue;
		r = add_group(comparison, &members);
		if (r == 0 && leaves_now() >= comparison->deadline)
			comparison->result->omitted += comparison->names.len;
		else if (r == 0)
			r = compare_group(comparison, &members, &views);
		view_deinit(&views.before);
		view_deinit(&views.after);
		view_deinit(&views.now);
	}
	return r;
}

int leaves_compare(struct store_reader *reader, const struct leaves_question *question, struct leaves *ret, struct error *err)
{
	CLEANUP(leaves_deinit) struct leaves result = {0};
	CLEANUP(leaf_roll_deinit) struct leaf_roll roll = {0};
	struct comparison comparison = {
		.reader = reader, .question = question, .deadline = leaves_now() + question->time_ms, .result = &result, .err = err};
	int r = leaf_names_collect(reader, question, NAMES_MAX, &comparison.names, &result.omitted, err);

	if (r == 0 && comparison.names.len > 0)
		r = leaf_roll_call(reader, question, &roll, err);
	if (r == 0 && comparison.names.len > 0)
		r = compare_groups(&comparison, &roll);
	leaf_names_deinit(&comparison.names);
	if (r < 0)
		return r;
	*ret = result;
	result = (struct leaves){0};
	return 0;
}
