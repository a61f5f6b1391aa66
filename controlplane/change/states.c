/* SPDX-License-Identifier: Apache-2.0 */
#include "change/states.h"

#include "change/request.h"

#include <stdlib.h>
#include <string.h>

struct change_states *change_states_free(struct change_states *states)
{
	if (states == NULL)
		return NULL;
	for (size_t i = 0; i < states->len; i++)
		store_row_deinit(&states->items[i].row);
	free(states->items);
	free(states);
	return NULL;
}

static int take_state(struct change_states *states, const struct change_item *item, struct store_reader *reader,
                      struct error *err)
{
	struct change_state *state = &states->items[states->len];
	int code = store_get(reader, item->kind, item->id, 0, &state->row, err);

	if (code != 0 && code != E_NOT_FOUND)
		return code;
	if (code == E_NOT_FOUND) {
		state->row = (struct store_row){0};
		*err = ERROR_NULL;
	}
	state->kind = item->kind;
	memcpy(state->id, item->id, sizeof(state->id));
	states->len++;
	return 0;
}

int request_take_states(struct request_job *job, struct store_reader *reader, struct error *err)
{
	CLEANUP(change_states_free) struct change_states *states = calloc(1, sizeof(*states));
	size_t len = job->request.items_len;
	int code = 0;

	if (states == NULL)
		return error_nomem(err);
	if (len > CHANGE_STATES_MAX) {
		states->left_out = len;
	} else {
		states->items = calloc(len + 1, sizeof(*states->items));
		if (states->items == NULL)
			return error_nomem(err);
		for (size_t i = 0; i < len && code == 0; i++)
			code = take_state(states, &job->request.items[i], reader, err);
	}
	if (code == 0)
		job->states = TAKE_PTR(states);
	return code;
}
