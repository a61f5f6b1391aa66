/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot: the holding at one revision as an immutable value. A change clones two tries and copies the touched paths;
 * everything else is shared with the snapshot before. Built, changed and freed by the main thread alone; workers read
 * the published one under their hazard slot (proxy/root.h) and keep nothing of it but counted things (trust, upstream,
 * site, origin profile).
 *
 *     snapshot_builder_new(base) -> drop/remove/put ... -> prepare (may refuse) -> finish (cannot fail) -> snapshot
 */
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "base/macros.h"
#include "model/object.h"
#include "tls/origin.h"
#include "tls/profile.h"
#include "tls/site.h"
#include "tls/trust.h"
#include "upstream/upstream.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* One object as the agent keeps it: one allocation, plain count (main thread), immutable. */
struct entry {
	uint32_t count;
	uint16_t kind;
	uint8_t id_len;
	/* SSL objects: */
	bool refers : 1;      /* names TLS options or a CA bundle */
	bool has_client : 1;  /* has rules for clients */
	bool client_type : 1; /* shown to origins, never served */
	uint64_t version;
	struct uid uid;
	int32_t priority;   /* SSL objects, routes */
	uint64_t not_after; /* SSL objects: the earliest end of their leaves, unix seconds; 0: not known */
	struct digest digest;
	const char *selector; /* shared and counted: one copy per selector in a snapshot (entry.h) */
	const char *id;       /* within this allocation, terminated */
	struct bytes body;    /* within */
	struct bytes sealed;  /* within; secret sealed by the local keyring */
};

/* What TLS options became. */
struct options_view {
	const struct entry *entry;
	struct profile *profile;
	const Tlsplane__TlsOptions *body;
	uint32_t handshake_timeout_ms;
	bool sni_strict;
};

struct listener_view {
	const struct entry *entry;
	const char *id;
	const char *address; /* canonical "127.0.0.1:8443" / "[::1]:8443": key of its socket */
	const Tlsplane__Listener *body;
	struct options_view *options; /* its own, or NULL: the default's */
	struct upstream *upstream;    /* NULL: only routes serve here */
	uint32_t max_connections;
};

struct route_view {
	const struct entry *entry;
	const Tlsplane__Route *body;
};

struct upstream_view {
	const struct entry *entry;
	const Tlsplane__Upstream *body;
	struct upstream *upstream;
};

struct upstream_tls_view {
	const struct entry *entry;
	const Tlsplane__UpstreamTls *body;
	struct origin_profile *profile;
};

struct snapshot;

struct revision snapshot_revision(const struct snapshot *snapshot);
const struct digest *snapshot_chain(const struct snapshot *snapshot);
size_t snapshot_object_count(const struct snapshot *snapshot, unsigned kind); /* kind 0: all */
/* In canonical order of selectors. */
void snapshot_each_digest(const struct snapshot *snapshot,
                          void (*fn)(const char *selector, const struct digest *digest, void *context), void *context);
int snapshot_each_entry(const struct snapshot *snapshot, int (*fn)(const struct entry *entry, void *context),
                        void *context);

/* Lookups, any thread that holds the snapshot. All borrowed. */
const struct entry *snapshot_find(const struct snapshot *snapshot, enum kind kind, const char *id);
/* The best SSL object under exactly this key ("www.example", "*.example", "*"), by uid_is_better. NULL: none. */
const struct entry *snapshot_best_ssl(const struct snapshot *snapshot, struct bytes key);
const struct listener_view *snapshot_find_listener(const struct snapshot *snapshot, const char *address);
size_t snapshot_listener_count(const struct snapshot *snapshot);
const struct listener_view *snapshot_listener(const struct snapshot *snapshot,
                                              size_t index);                              /* in order of addresses */
struct upstream *snapshot_find_upstream(const struct snapshot *snapshot, const char *id); /* NULL: no such upstream */
size_t snapshot_upstream_count(const struct snapshot *snapshot);
struct upstream *snapshot_upstream(const struct snapshot *snapshot, size_t index); /* in order of ids */
const struct options_view *snapshot_find_options(const struct snapshot *snapshot,
                                                 const char *id); /* NULL id: the default */
const struct upstream_view *snapshot_find_upstream_view(const struct snapshot *snapshot, const char *id);
/* NULL id: "default"; NULL: not held. */
const struct upstream_tls_view *snapshot_find_upstream_tls(const struct snapshot *snapshot, const char *id);
/* For upstreams that speak TLS where nothing says how; NULL: there are none. */
struct origin_profile *snapshot_builtin_origin(const struct snapshot *snapshot);
/* Best route under exactly this pattern, among those for this listener (resolve/decide.h). NULL: none. */
const struct route_view *snapshot_choose_route(const struct snapshot *snapshot, struct bytes pattern,
                                               const char *listener_id);
/* Could a connection that `before` let pass be refused now? False when only certificates changed. They need not be
 * neighbours. before NULL: false. */
bool snapshot_may_tighten(const struct snapshot *before, const struct snapshot *after);
/* SSL objects in SNAPSHOT_PARTS portions, for who can't stay for a million; the portion of an object is the same in all
 * snapshots. */
#define SNAPSHOT_PARTS 1024
int snapshot_each_ssl(const struct snapshot *snapshot, unsigned part,
                      int (*fn)(const struct entry *entry, void *context), void *context);
/* Bundles with a CRL whose nextUpdate has passed at `now` (unix seconds), and when the next one does (0: none will);
 * for degraded reports. */
void snapshot_each_stale_bundle(const struct snapshot *snapshot, uint64_t now,
                                void (*fn)(const char *bundle_id, const char *reason, void *context), void *context,
                                uint64_t *ret_next);
/* Looks again for what TLS with upstreams lacks (the system's CAs), and tells of each upstream TLS: why it refuses all,
 * or NULL when all is well. The built-in one goes by the id of the object that would stand in its place, unless that is
 * held. Main thread. */
#define SNAPSHOT_BUILTIN_ID "default"
void snapshot_mend_origins(const struct snapshot *snapshot,
                           void (*fn)(const char *upstream_tls_id, const char *reason, void *context), void *context);
/* CA set of a bundle, decoded; NULL: no such bundle. ret_digest (may be NULL): of the object. */
const Tlsplane__CaBundle *snapshot_find_bundle(const struct snapshot *snapshot, const char *id,
                                               const struct digest **ret_digest);
/* For site_cache_get. aad must hold SNAPSHOT_AAD_MAX. */
#define SNAPSHOT_AAD_MAX 64
void snapshot_site_source(const struct entry *entry, uint8_t *aad, struct site_source *ret);

struct snapshot *snapshot_free(struct snapshot *snapshot); /* NULL allowed */
DEFINE_CLEANUP(struct snapshot, snapshot_free);

/* Building. ------------------------------------------------------------------------------------------------------ */

struct snapshot_context { /* what outlives snapshots; borrowed */
	uv_loop_t *loop;
	const struct keyring *keyring; /* local; seals secrets on arrival */
	const struct upstream_events *upstream_events;
	const char *system_ca_file; /* for upstreams; NULL: Debian's */
	struct hash_key hash_key;
};

struct snapshot_builder;

/* base NULL: empty. Takes nothing over. */
int snapshot_builder_new(const struct snapshot_context *context, const struct snapshot *base, struct revision revision,
                         const struct digest *chain, struct snapshot_builder **ret, struct error *err) MUST_USE;
struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *builder); /* discards; NULL allowed */
DEFINE_CLEANUP(struct snapshot_builder, snapshot_builder_free);

/* Another goal for the same builder: a resync may arrive at a later revision. */
void snapshot_builder_set_revision(struct snapshot_builder *builder, struct revision revision,
                                   const struct digest *chain);
int snapshot_builder_drop(struct snapshot_builder *builder, const char *selector, struct error *err) MUST_USE;
int snapshot_builder_remove(struct snapshot_builder *builder, enum kind kind, const char *id, const char *selector,
                            struct error *err) MUST_USE;
/* secret: plain (from the channel), sealed here; or sealed already (from the cache); one of them or neither. An object
 * that is held already in the same state costs nothing and is not a change. E_INVALID, E_SYNTAX: not an object (id,
 * selector, wire form, secret); E_NOMEM, E_CRYPTO. After a failure the builder can only be freed. */
struct snapshot_put {
	struct object_view object;
	struct bytes secret, sealed;
	const struct digest *digest; /* known and trusted: from the cache, where only checked objects are. NULL: computed */
};
int snapshot_builder_put(struct snapshot_builder *builder, const struct snapshot_put *put, struct error *err) MUST_USE;
/* The digest that a selector has now in the builder (zeros when it holds none). */
void snapshot_builder_digest(const struct snapshot_builder *builder, const char *selector, struct digest *ret);
/* Selectors that hold objects now, in canonical order. */
void snapshot_builder_each_digest(const struct snapshot_builder *builder,
                                  void (*fn)(const char *selector, const struct digest *digest, void *context),
                                  void *context);

/* Why an update can't be represented: for the NACK. */
struct snapshot_refusal {
	Tlsplane__NackCode code;
	enum kind kind; /* 0: no object in particular */
	char id[ID_MAX + 1];
	char field[256];
	char reason[512];
};

/* Structure, references, capability of everything changed; builds profiles, views, upstreams; parses certificates fully
 * when at most warm_max SSL objects changed (they enter `sites`; NULL: none are parsed). Once per builder; no change
 * after it. E_REFUSED with *refusal, or E_NOMEM. */
int snapshot_builder_prepare(struct snapshot_builder *builder, struct site_cache *sites, size_t warm_max,
                             struct snapshot_refusal *refusal, struct error *err) MUST_USE;

/* After prepare: what this builder changed against base, for the cache: gone entries (replaced or removed) and new
 * ones. */
size_t snapshot_builder_gone_count(const struct snapshot_builder *builder);
const struct entry *snapshot_builder_gone(const struct snapshot_builder *builder, size_t index);
size_t snapshot_builder_new_count(const struct snapshot_builder *builder);
const struct entry *snapshot_builder_new_entry(const struct snapshot_builder *builder, size_t index);

/* Consumes builder. Cannot fail after a successful prepare. */
struct snapshot *snapshot_builder_finish(struct snapshot_builder *builder);
