/* SPDX-License-Identifier: Apache-2.0 */
#include "api/impact.h"

#include "change/scope.h"
#include "crypto/crypto.h"
#include "view/leaves.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 1000
#define TIME_MS 200
#define AGENTS_SHOWN 20

const char *impact_key_type(enum leaf_slot slot)
{
	static const char *const words[] = {[LEAF_RSA] = "rsa", [LEAF_EC] = "ecdsa", [LEAF_ED25519] = "ed25519"};

	return words[slot];
}

/* The states before and after of what differs. */
struct moments {
	struct view_overlay before, after;
};

static void moments_deinit(struct moments *moments)
{
	view_overlay_deinit(&moments->before);
	view_overlay_deinit(&moments->after);
}
DEFINE_CLEANUP_VALUE(struct moments, moments_deinit);

static bool is_same_state(const struct store_row *a, const struct store_row *b)
{
	return a->memory != NULL && b->memory != NULL && a->state.object.version == b->state.object.version;
}

static int add_state(struct moments *moments, struct change_state *state, struct store_reader *reader, struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row before = {0};
	int r = store_get(reader, state->kind, state->id, 0, &before, err);

	if (r == E_NOT_FOUND) {
		*err = ERROR_NULL;
		before = (struct store_row){0};
	} else if (r < 0) {
		return r;
	}
	if (is_same_state(&before, &state->row) || (before.memory == NULL && state->row.memory == NULL))
		return 0;
	r = view_overlay_add(&moments->before, state->kind, state->id, &before, err);
	return r < 0 ? r : view_overlay_add(&moments->after, state->kind, state->id, &state->row, err);
}

static int find_moments(struct change_states *states, struct store_reader *reader, struct moments *ret, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < states->len && r == 0; i++)
		r = add_state(ret, &states->items[i], reader, err);
	if (r == 0)
		r = view_overlay_sort(&ret->before, err);
	return r < 0 ? r : view_overlay_sort(&ret->after, err);
}

static json_t *render_leaf(const struct leaf *leaf, const struct scope *scope, const struct view_overlay *own)
{
	char hex[65];

	if (leaf->ssl[0] == 0 || (scope != NULL && view_overlay_find(own, KIND_SSL, leaf->ssl) == NULL))
		return json_null();
	crypto_hex(leaf->sha256, sizeof(leaf->sha256), hex);
	return json_string(hex);
}

static json_t *render_agents(const struct leaf_group *group)
{
	json_t *agents = json_array();

	for (size_t i = 0; i < group->agents_len && i < AGENTS_SHOWN && agents != NULL; i++) {
		if (json_array_append_new(agents, json_string(group->agents[i])) < 0) {
			json_decref(agents);
			return NULL;
		}
	}
	return agents;
}

/* Who is confined to some names sees those alone, and neither agents, nor listeners, nor what objects of others serve. */
static json_t *render_change(const struct leaf_change *change, const struct leaves *leaves, const struct scope *scope,
                             const struct moments *moments)
{
	const struct leaf_group *group = &leaves->groups[change->group];
	json_t *row = json_pack("{s:s, s:s, s:o, s:o, s:I}", "sni", change->name, "key_type", impact_key_type(change->slot), "from",
	                        render_leaf(&change->from, scope, &moments->before), "to",
	                        render_leaf(&change->to, scope, &moments->before), "agents_total", (json_int_t)group->agents_len);

	if (row != NULL && scope == NULL &&
	    (json_object_set_new(row, "agents", render_agents(group)) < 0 ||
	     json_object_set_new(row, "listener", json_string(change->listener)) < 0)) {
		json_decref(row);
		return NULL;
	}
	return row;
}

static json_t *render(const struct leaves *leaves, const struct scope *scope, const struct moments *moments)
{
	json_t *names = json_array();

	for (size_t i = 0; i < leaves->changes_len && names != NULL; i++) {
		const struct leaf_change *change = &leaves->changes[i];

		if (scope != NULL && !scope_covers_name(scope, change->name))
			continue;
		if (json_array_append_new(names, render_change(change, leaves, scope, moments)) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	return json_pack("{s:o, s:I}", "names", names, "omitted", (json_int_t)leaves->omitted);
}

static void run(struct call *call, struct store_reader *reader)
{
	CLEANUP(change_states_free) struct change_states *states = TAKE_PTR(call->states);
	CLEANUP(moments_deinit) struct moments moments = {0};
	CLEANUP(leaves_deinit) struct leaves leaves = {0};
	const struct leaves_question question = {
	    .before = &moments.before, .after = &moments.after, .changes_max = CHANGES_MAX, .time_ms = TIME_MS};
	int r = find_moments(states, reader, &moments, &call->error);

	if (r == 0)
		r = leaves_compare(reader, &question, &leaves, &call->error);
	leaves.omitted += states->left_out;
	if (r == 0 && json_object_set_new(call->document, "affected", render(&leaves, call->identity.scope, &moments)) < 0)
		error_nomem(&call->error);
}

static void reply(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

void impact_answer(struct call *call, struct change_states *states)
{
	call->states = states;
	call_run(call, run, reply);
}
