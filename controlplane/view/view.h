/* SPDX-License-Identifier: Apache-2.0 */
/* The store as one agent holds it, for decide(): what is enabled and what the agent's labels select, at the reader's
 * revision. An object is read when it is asked for and kept until the source goes; SSL objects and routes are found by
 * their indexes of names and patterns. Pool work, one thread. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "resolve/decide.h"
#include "store/store.h"
#include "view/overlay.h"

#include <stdbool.h>

/* One object held. It is the `handle` of what lookups return. */
struct view_object {
	struct view_object *next;
	struct store_row row;
	ProtobufCMessage *body;     /* NULL: it can't be decoded */
	Tlsplane__Route unfiltered; /* routes: the body without allow_clients, for a client whose address is not known */
	struct error error;         /* why it can't be used */
};

struct view {
	struct store_reader *reader; /* inside a transaction */
	char *labels;                /* of the agent, canonical; owned */
	const struct view_overlay *overlay; /* set by the owner after view_init; NULL: the store as it is */
	bool judges_client;          /* false: allow_clients are left out */
	struct view_object *objects;
	struct error error; /* of the store: no decision can be made */
};

/* labels_json: of the agent as the store keeps them, may be NULL. */
int view_init(struct view *source, struct store_reader *reader, const char *labels_json,
                        bool judges_client, struct error *err) MUST_USE;
/* The same for labels that are canonical already; the clients' addresses are not known. */
int view_init_canonical(struct view *source, struct store_reader *reader, const char *labels, struct error *err) MUST_USE;
void view_deinit(struct view *source);
DEFINE_CLEANUP_VALUE(struct view, view_deinit);
struct decide_source view_table(struct view *source);

/* Borrowed. E_NOT_FOUND: not held. What can't be decoded is found; body is NULL then. */
int view_find(struct view *source, enum kind kind, const char *id,
                        const struct view_object **ret) MUST_USE;

/* One that stands under a key: an SSL object under a name, a route under a pattern. */
struct view_candidate {
	const char *id; /* valid for the call */
	struct uid uid;
	int32_t priority;
	bool is_for;   /* routes: serves this listener */
	bool names_it; /* routes: by name */
};

/* Every candidate, in no order; fn stops it by other than 0, which is returned. */
int view_each(struct view *source, enum kind kind, struct bytes key, const char *listener_id,
                        int (*fn)(const struct view_candidate *candidate, void *context), void *context) MUST_USE;
/* Every listener that is held; fn as above. */
int view_each_listener(struct view *source, int (*fn)(const struct store_row *row, void *context), void *context) MUST_USE;
bool view_candidate_is_better(const struct view_candidate *a, const struct view_candidate *b);
