/* SPDX-License-Identifier: Apache-2.0 */
/* What a dry run would have made, for those who want to know what it would do elsewhere: the states that stood when all rules had been
 * checked. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "store/store.h"

#define CHANGE_STATES_MAX 10000

struct change_state {
	enum kind kind;
	char id[ID_MAX + 1];
	struct store_row row; /* memory NULL: deleted */
};

struct change_states {
	struct change_state *items;
	size_t len;
	size_t left_out; /* more than CHANGE_STATES_MAX: then all of them, and items is empty */
};

struct change_states *change_states_free(struct change_states *states); /* NULL allowed */
DEFINE_CLEANUP(struct change_states, change_states_free);
