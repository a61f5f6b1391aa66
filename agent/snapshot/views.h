/* SPDX-License-Identifier: Apache-2.0 */
/* Views: what the few objects that are not SSL objects became: decoded options with their profile, listeners with
 * what they refer to, running upstreams, decoded bundles. A set of views is immutable and shared by all snapshots
 * between which none of these objects changed; what is unchanged in a new set is shared one by one. Main thread;
 * workers read. Private to the snapshot layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "snapshot/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_KINDS (KIND_CA_BUNDLE + 1) /* index by kind; 0 is unused */

struct options_box {
	uint32_t count;
	struct entry *entry;
	ProtobufCMessage *body;
	struct options_view view;
};

struct upstream_box {
	uint32_t count;
	struct entry *entry; /* the one it was made from; newer ones have the same body */
	struct upstream *upstream;
};

struct bundle_box {
	uint32_t count;
	struct entry *entry;
	ProtobufCMessage *body;
};

#define LISTENER_ADDRESS_MAX 64

struct listener_slot {
	struct entry *entry;
	struct listener_view view;
	char address[LISTENER_ADDRESS_MAX];
};

struct views {
	uint32_t count;
	struct options_box **options; /* by id */
	size_t options_len;
	struct upstream_box **upstreams; /* by id */
	size_t upstreams_len;
	struct bundle_box **bundles; /* by id */
	size_t bundles_len;
	struct listener_slot *listeners; /* by address */
	size_t listeners_len;
	struct options_box *fallback; /* one of options: "default", else "modern"; NULL: neither is held */
};

/* objects: tries of entries by kind. base: views to share with, or NULL. E_REFUSED with *refusal, E_NOMEM. */
int views_new(const struct snapshot_context *context, const struct trie *objects, const struct views *base,
              struct snapshot_refusal *refusal, struct views **ret, struct error *err) MUST_USE;
struct views *views_ref(struct views *views);
struct views *views_unref(struct views *views); /* NULL allowed; what nobody shares any more is retired */
DEFINE_CLEANUP(struct views, views_unref);

/* That every default_ssl names an SSL object of `ssls`. */
int views_check_default_ssl(const struct views *views, const struct trie *ssls, struct snapshot_refusal *refusal,
                            struct error *err) MUST_USE;

const struct options_box *views_find_options(const struct views *views, const char *id);
const struct upstream_box *views_find_upstream(const struct views *views, const char *id);
const struct bundle_box *views_find_bundle(const struct views *views, const char *id);
const struct listener_slot *views_find_listener(const struct views *views, const char *address);
