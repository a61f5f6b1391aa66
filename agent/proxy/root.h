/* SPDX-License-Identifier: Apache-2.0 */
/* The published pointer. Workers read the root under a hazard slot each; the main thread swaps it, and frees what it
 * replaced when no slot holds it any more.
 *
 *     free --publish--> current --next publish--> retired --no slot holds it--> free
 *
 * A reader stores what it is about to use in its slot and looks whether it is still current: then the main thread,
 * which looks at the slots after its swap, must see it. Both sides use sequentially consistent operations, which gives
 * exactly that order. A worker that sleeps has an empty slot and holds nothing up. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "snapshot/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

/* A socket that serves a listener which has moved: until its new address is bound, and while the last connections of
 * the old one drain. */
struct alias {
	char from[80], to[80];
};

struct root {
	struct snapshot *snapshot; /* owned */
	struct alias *aliases;     /* owned; NULL: none */
	size_t aliases_len;
};

/* The listener that a socket at address serves. NULL: none any more. */
const struct listener_view *root_find_listener(const struct root *root, const char *address);

struct roots;

int roots_new(unsigned readers, struct roots **ret, struct error *err) MUST_USE;
struct roots *roots_free(struct roots *roots); /* readers are gone; NULL allowed */
DEFINE_CLEANUP(struct roots, roots_free);

/* Reader. NULL before the first publication. Not nested. */
const struct root *roots_acquire(struct roots *roots, unsigned reader);
void roots_release(struct roots *roots, unsigned reader);

/* Main thread. Takes snapshot and aliases over. Allocates nothing; waits (at most for the callbacks under way) when
 * every place is still read. */
void roots_publish(struct roots *roots, struct snapshot *snapshot, struct alias *aliases, size_t aliases_len);
const struct root *roots_current(const struct roots *roots);
/* Frees what nobody reads. True: nothing retired is left. */
bool roots_reclaim(struct roots *roots);
