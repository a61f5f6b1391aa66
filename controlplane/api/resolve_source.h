/* SPDX-License-Identifier: Apache-2.0 */
/* The store as one agent holds it, for decide(): what is enabled and what the agent's labels select, at the reader's
 * revision. An object is read when it is asked for and kept until the source goes; SSL objects and routes are found by
 * their indexes of names and patterns. Pool work, one thread. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "resolve/decide.h"
#include "store/store.h"

#include <stdbool.h>

/* One object held. It is the `handle` of what lookups return. */
struct resolve_object {
	struct resolve_object *next;
	struct store_row row;
	ProtobufCMessage *body;     /* NULL: it can't be decoded */
	Tlsplane__Route unfiltered; /* routes: the body without allow_clients, for a client whose address is not known */
	struct error error;         /* why it can't be used */
};

struct resolve_source {
	struct store_reader *reader; /* inside a transaction */
	char *labels;                /* of the agent, canonical; owned */
	bool judges_client;          /* false: allow_clients are left out */
	struct resolve_object *objects;
	struct error error; /* of the store: no decision can be made */
};

/* labels_json: of the agent as the store keeps them, may be NULL. */
int resolve_source_init(struct resolve_source *source, struct store_reader *reader, const char *labels_json,
                        bool judges_client, struct error *err) MUST_USE;
void resolve_source_deinit(struct resolve_source *source);
DEFINE_CLEANUP_VALUE(struct resolve_source, resolve_source_deinit);
struct decide_source resolve_source_table(struct resolve_source *source);

/* Borrowed. E_NOT_FOUND: not held. What can't be decoded is found; body is NULL then. */
int resolve_source_find(struct resolve_source *source, enum kind kind, const char *id,
                        const struct resolve_object **ret) MUST_USE;

/* One that stands under a key: an SSL object under a name, a route under a pattern. */
struct resolve_candidate {
	const char *id; /* valid for the call */
	struct uid uid;
	int32_t priority;
	bool is_for;   /* routes: serves this listener */
	bool names_it; /* routes: by name */
};

/* Every candidate, in no order; fn stops it by other than 0, which is returned. */
int resolve_source_each(struct resolve_source *source, enum kind kind, struct bytes key, const char *listener_id,
                        int (*fn)(const struct resolve_candidate *candidate, void *context), void *context) MUST_USE;
bool resolve_candidate_is_better(const struct resolve_candidate *a, const struct resolve_candidate *b);
