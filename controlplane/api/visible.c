/* SPDX-License-Identifier: Apache-2.0 */
#include "api/visible.h"

#include <string.h>

bool visible_is_limited(const struct call *call)
{
	return call->identity.scope != NULL || call->identity.role == ROLE_ENROLLER;
}

int visible_check(const struct call *call, struct store_reader *reader, const struct store_row *row, bool *ret, struct error *err)
{
	struct store_revision made;
	int r;

	*ret = true;
	if (call->identity.scope != NULL)
		return scope_covers_state(call->identity.scope, &row->state, ret, err);
	if (call->identity.role != ROLE_ENROLLER)
		return 0;
	r = store_get_revision(reader, uid_revision(&row->state.object.uid).number, &made, err);
	if (r == 0)
		*ret = strcmp(made.actor, call->actor) == 0;
	return r;
}

/* One more in this state. */
static int count_state(json_t *counts, const char *state)
{
	size_t index;
	json_t *row;

	json_array_foreach(counts, index, row) {
		json_t *count = json_object_get(row, "count");

		if (strcmp(json_string_value(json_object_get(row, "state")), state) == 0)
			return json_integer_set(count, json_integer_value(count) + 1);
	}
	return json_array_append_new(counts, json_pack("{s:s, s:i}", "state", state, "count", 1));
}

json_t *visible_agents(const struct call *call, json_t *agents)
{
	json_t *counts, *agent;
	size_t index;
	int r = 0;

	if (agents == NULL || call->identity.scope == NULL)
		return json_incref(agents);
	counts = json_array();
	json_array_foreach(agents, index, agent) {
		const char *state = json_string_value(json_object_get(agent, "state"));

		if (r == 0 && state != NULL)
			r = count_state(counts, state);
	}
	if (r == 0)
		return counts;
	json_decref(counts);
	return NULL;
}
