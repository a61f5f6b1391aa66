/* SPDX-License-Identifier: Apache-2.0 */
/* Views: what the objects that are not SSL objects became: decoded options with their profile, listeners with what they
 * refer to, running upstreams, origin profiles, routes, bundles. Each object has a box, found by id in a persistent
 * trie, so that a change costs what it changes and shares the rest. A set of views is immutable and shared by all
 * snapshots between which none of these objects changed. Main thread; workers read. Private to the snapshot layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "snapshot/entry.h"
#include "snapshot/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_KINDS (KIND_UPSTREAM_TLS + 1) /* of those that travel; index by kind; 0 is unused */

/* What every box begins with. */
struct box {
	uint32_t count;
	struct entry *entry; /* the one it was made from; the held one may be newer, with the same body */
	ProtobufCMessage *body;
};

struct options_box {
	struct box box;
	struct options_view view;
};

struct bundle_box {
	struct box box;
	uint64_t next_update; /* the earliest of its CRLs; 0: none says */
	size_t crl;           /* which */
};

struct upstream_tls_box {
	struct box box;
	struct upstream_tls_view view;
	struct box *bundle; /* what its profile trusts: a reference, or NULL */
};

struct upstream_box {
	struct box box;
	struct upstream_view view;
};

#define LISTENER_ADDRESS_MAX 64

struct listener_box {
	struct box box;
	char address[LISTENER_ADDRESS_MAX];
};

struct route_box {
	struct box box;
	struct route_view view;
};

struct views {
	uint32_t count;
	struct trie boxes[SNAPSHOT_KINDS]; /* by kind: id -> box; none of SSL objects */
	struct listener_view *listeners;   /* by address */
	size_t listeners_len;
	struct upstream **upstreams; /* by id; the boxes hold them */
	size_t upstreams_len;
	const struct options_view *fallback;   /* "default", else "modern"; NULL: neither is held */
	struct origin_profile *builtin_origin; /* a reference; NULL: no upstream asks for it */
};

/* Everything a making needs; refusals go to refusal and err. */
struct views_build {
	const struct snapshot_context *context;
	const struct trie *objects; /* of the new snapshot: tries of entries by kind */
	const struct views *base;   /* views to share with, or NULL */
	struct views *views;        /* in the making */
	struct snapshot_refusal *refusal;
	struct error *err;
};

/* base with gone taken out and fresh put in. E_REFUSED with *refusal, E_NOMEM. */
struct views_change {
	const struct snapshot_context *context;
	const struct trie *objects;
	const struct views *base; /* NULL: empty */
	const struct entry_list *gone, *fresh;
};
int views_new(const struct views_change *change, struct snapshot_refusal *refusal, struct views **ret,
              struct error *err) MUST_USE;
struct views *views_ref(struct views *views);
struct views *views_unref(struct views *views); /* NULL allowed; what nobody shares any more is retired */
DEFINE_CLEANUP(struct views, views_unref);

const void *views_find(const struct views *views, enum kind kind, const char *id); /* its box; NULL: none */
const struct listener_view *views_find_listener(const struct views *views, const char *address);

/* box.c: making and ownership of boxes. */

extern const struct trie_ops box_trie_ops;
struct box *box_ref(struct box *box);
struct box *box_unref(struct box *box); /* NULL allowed; returns NULL */
/* The known box when the body is the same, else a new one: decoded, checked, references found. A reference in *ret. */
int box_make(struct views_build *build, struct entry *entry, struct box **ret) MUST_USE;

/* box_kinds.c: what each kind adds to a box whose entry and body are there. fill may fail half-way; clear takes that.
 */
struct box_ops {
	size_t size;
	int (*fill)(struct views_build *build, struct box *box); /* NULL: nothing to add */
	void (*clear)(struct box *box);                          /* NULL: nothing to give back */
};
extern const struct box_ops box_ops[SNAPSHOT_KINDS];
/* Does the profile still stand on the bundle that is held? */
bool upstream_tls_box_is_current(const struct views *views, const struct upstream_tls_box *box);

/* listeners.c: the array of listeners, from their boxes. */
int views_make_listeners(struct views_build *build) MUST_USE;
int listener_format_address(const Tlsplane__Listener *body,
                            char address[LISTENER_ADDRESS_MAX]) MUST_USE; /* E_INVALID */
