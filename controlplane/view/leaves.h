/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents' listeners answer which names with another leaf at one moment than at another: what a write changes for
 * clients. By the agent's own decision, over the store as each group of agents with equal labels holds it. Pool work.
 *
 * Looked at are the names of the SSL objects and the patterns of the routes that differ, and no name at all; where a
 * listener, a route, TLS options or an agent's labels differ, the names of all SSL objects. A pattern stands for one
 * name below it that nobody else has. Bounded in rows and time; what is left out is counted. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/name.h"
#include "store/store.h"
#include "view/overlay.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Clients choose by what they can verify; an object has at most one pair of each. */
enum leaf_slot { LEAF_RSA, LEAF_EC, LEAF_ED25519, LEAF_SLOTS };

struct leaf {
	char ssl[ID_MAX + 1]; /* "": none: refused, handed on, or only the generated certificate */
	uint8_t sha256[32];
	struct revision version; /* of the object */
};

struct leaf_change {
	size_t group; /* in leaves.groups */
	char listener[ID_MAX + 1];
	char name[NAME_MAX_LEN + 4]; /* or pattern; "": none is sent */
	enum leaf_slot slot;
	struct leaf from, to;
	bool is_superseded; /* is_past: what is there now is neither; `now` tells */
	struct leaf now;
};

struct leaf_group {
	char *labels; /* canonical, of the later moment; NULL: deleted by then */
	char (*agents)[ID_MAX + 1];
	size_t agents_len;
};

#define LEAVES_SHADOWED_MAX 20

struct leaves {
	struct leaf_change *changes;
	size_t changes_len, changes_cap;
	struct leaf_group *groups; /* that hold something of what differs */
	size_t groups_len;
	/* Names of SSL objects of the later moment that some listener answers otherwise: another object ranks above, or a
	 * route stands before. */
	char shadowed[LEAVES_SHADOWED_MAX][NAME_MAX_LEN + 4];
	size_t shadowed_len;
	uint64_t omitted; /* changes not kept, and what was not looked at: (group, listener, name) */
};

struct leaves_question {
	const struct view_overlay *before, *after; /* sorted; the same objects in both: those that differ */
	bool is_past; /* the later moment may be over: the store as it is is looked at too */
	size_t changes_max;
	uint64_t time_ms;
};

/* reader: inside a transaction. */
int leaves_compare(struct store_reader *reader, const struct leaves_question *question, struct leaves *ret, struct error *err) MUST_USE;
void leaves_deinit(struct leaves *leaves);
DEFINE_CLEANUP_VALUE(struct leaves, leaves_deinit);

/* A server name that the pattern or name stands for: itself, or one below a wildcard. name must hold NAME_MAX_LEN + 1. False: none fits. */
bool leaf_make_name(const char *pattern, char *name);
