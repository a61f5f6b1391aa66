/* SPDX-License-Identifier: Apache-2.0 */
/* Object states that stand in the place of the store's current ones, so that a moment which its indexes do not show can be
 * looked at: what a write would make, or what was before it. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "store/store.h"

struct view_state {
	enum kind kind;
	char id[ID_MAX + 1];
	struct store_row row;   /* memory NULL: there is none at that moment */
	ProtobufCMessage *body; /* of what is found by names; else NULL */
};

struct view_key;

/* Zeroed to begin; add, then sort, then look. */
struct view_overlay {
	struct view_state *states; /* by kind and id */
	size_t len, cap;
	struct view_key *keys; /* names and patterns of the enabled ones, in order */
	size_t keys_len;
};

/* row: taken over; NULL: it does not exist. E_NOMEM: the row is still the caller's. */
int view_overlay_add(struct view_overlay *overlay, enum kind kind, const char *id, struct store_row *row, struct error *err) MUST_USE;
/* Each object may have been added once. E_NOMEM. */
int view_overlay_sort(struct view_overlay *overlay, struct error *err) MUST_USE;
void view_overlay_deinit(struct view_overlay *overlay);
DEFINE_CLEANUP_VALUE(struct view_overlay, view_overlay_deinit);

/* Borrowed; NULL: the store's state holds. overlay may be NULL. */
const struct view_state *view_overlay_find(const struct view_overlay *overlay, enum kind kind, const char *id);
/* Those that list the name (an SSL object) or the pattern (a route). fn stops it by other than 0, which is returned. */
int view_overlay_each(const struct view_overlay *overlay, enum kind kind, const char *name,
                      int (*fn)(const struct store_row *row, void *context), void *context);

/* Names of a body: an SSL object's, a route's patterns; none of any other. */
size_t view_names_of(const ProtobufCMessage *body, char *const **ret);
