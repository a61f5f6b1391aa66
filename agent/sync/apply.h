/* SPDX-License-Identifier: Apache-2.0 */
/* Apply: an update of the channel becomes what is served, whole or not at all. Main loop.
 *
 *   IDLE --UpdateBegin--> RECEIVING --UpdateEnd: digests right, prepared, persisted, swapped--> MARKING --marked,
 * ACK--> IDLE ^                    |  ^   | |                    |  |   \--UpdateEnd: digests wrong for the first time:
 * Resync--> RESYNCING |                    |  \------UpdateBegin------------------------------------------------/ |
 * \--refused: NACK--> DISCARDING (the rest of that update is not looked at) --UpdateBegin--> RECEIVING
 *     \--disconnected-- all of them but MARKING, which goes on by itself until the mark is durable
 *
 * Everything up to "persisted" may refuse and leaves what is served alone. From the swap on nothing is undone: a mark
 * that can't be written is tried again with back-off, heartbeats say "not durable", ACK waits, and an update that comes
 * meanwhile is NACKed. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cache/cache.h"
#include "channel.pb-c.h"
#include "snapshot/snapshot.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct apply;

/* What apply acts on; the agent wires them to link and proxy, tests to themselves. */
struct apply_ports {
	int (*send)(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err);
	void (*reconnect)(const struct error *why, void *owner); /* the peer broke the contract */
	const struct snapshot *(*current)(void *owner);          /* borrowed; NULL: none */
	void (*publish)(struct snapshot *snapshot, void *owner); /* takes it over */
	void *owner;
	void (*before_ack)(void *owner); /* sends what the ACK must not overtake: what the swap has degraded; NULL: nothing */
};

struct apply_config {
	struct snapshot_context snapshot;
	struct cache *cache;                 /* borrowed */
	struct site_cache *sites;            /* borrowed; may be NULL */
	struct revision high_water, crashed; /* as cache_open found them */
	struct apply_ports ports;
};

#define APPLY_WARM_MAX 256              /* SSL objects parsed at once with an update */
#define APPLY_OBJECTS_MAX 4000000       /* of one update */
#define APPLY_BEFORE_MS (5 * 60 * 1000) /* how long the snapshot before is kept */

int apply_start(const struct apply_config *config, struct apply **ret, struct error *err) MUST_USE;
/* on_closed once, from the loop; then its memory is gone. */
void apply_close(struct apply *apply, void (*on_closed)(void *owner), void *owner);

void apply_on_greet(struct apply *apply); /* sends Hello */
void apply_on_beat(struct apply *apply);  /* sends Heartbeat */
void apply_on_message(struct apply *apply, Tlsplane__MessageType type, const ProtobufCMessage *message);
void apply_on_disconnected(struct apply *apply);

struct apply_counters {
	uint64_t applied, refused, resyncs;
	uint64_t last_applied; /* unix seconds; 0: not since start */
	bool not_durable;
};
void apply_read_counters(const struct apply *apply, struct apply_counters *ret);
