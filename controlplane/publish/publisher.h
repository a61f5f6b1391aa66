/* SPDX-License-Identifier: Apache-2.0 */
/* The channel's server side: admits agents, knows what each holds, brings each to the newest holding with at most one
 * update in flight. Everything here runs on the loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "change/change.h"
#include "channel.pb-c.h"
#include "model/name.h"
#include "store/store.h"

#include <jansson.h>
#include <uv.h>

struct publisher;

struct publisher_config {
	uv_loop_t *loop;
	struct store *store;
	struct change_engine *changes;
	const char *host;
	uint16_t port;
	uint32_t heartbeat_seconds;
	uint32_t ticket_period_seconds; /* of session ticket keys; 0: the default, 12 hours */
};

/* E_BUSY: the port is taken. On failure the loop has handles to close yet (run it once more); the store may be closed
 * at once. */
int publisher_start(const struct publisher_config *config, struct publisher **ret, struct error *err) MUST_USE;
uint16_t publisher_port(const struct publisher *publisher);
/* Closes all channels; on_closed comes from the loop when all is gone. Before change_engine_close: answers to agents
 * under way are awaited, and what is known of agents is handed over. */
void publisher_close(struct publisher *publisher, void (*on_closed)(void *owner), void *owner);

/* The change engine's on_commit goes here: swaps what is current and wakes sessions. Cannot fail. */
void publisher_announce(struct publisher *publisher, const struct change_commit *commit);

/* wait=acked: calls done once, on the loop, when every connected agent concerned has acked a state that contains
 * `revision`, or one of them refused it, or timeout_ms passed. Concerned are those that hold one of the selectors
 * (before or after), and the one whose own object (labels) changed. An agent that has applied it and reports one of the
 * objects as degraded ends the wait at once. */
struct publisher_wait_for {
	struct revision revision;
	const char *const *selectors;
	size_t selectors_len;
	const char *agent_id; /* NULL: none */
	const struct change_item *items; /* what was put: kinds and ids; deletions are passed over */
	size_t items_len;
	uint64_t timeout_ms;
};

enum publisher_wait_state {
	PUBLISHER_WAIT_ACKED,
	PUBLISHER_WAIT_REFUSED,
	PUBLISHER_WAIT_DEGRADED,
	PUBLISHER_WAIT_TIMEOUT,
	PUBLISHER_WAIT_CLOSED
};

struct publisher_waited {
	enum publisher_wait_state state;
	/* Array of {id, state, reason, objects}; borrowed; NULL without memory. state: "acked", "pending" (reason: why),
	 * "nacked" (reason and objects: of its NACK), "degraded" (objects: applied, but these are not served as the
	 * configuration wants), "revoked" (deleted meanwhile; not waited for). */
	json_t *agents;
	struct revision head; /* the newest */
};

/* wait=served: asks connected agents to shake hands with their own listeners (ServeCheck), a sample of what is to be seen when that is
 * much; a few agents at a time over the fleet. Who is away is asked when it is back. */
struct publisher_serve_question {
	char listener[ID_MAX + 1];
	char name[NAME_MAX_LEN + 4];  /* as it is told */
	char sni[NAME_MAX_LEN + 1];   /* "": none */
	Tlsplane__ServeKey key;
	const char *key_type; /* static: as it is told */
	bool has_from, has_to;
	uint8_t from[32], to[32]; /* without `to`: anything but `from` */
};

struct publisher_serve_group {
	char *labels; /* canonical, of the agents that it is asked of */
	struct publisher_serve_question *questions;
	size_t len;
};

#define PUBLISHER_SERVE_QUESTIONS_MAX 200 /* of one agent; evenly over its group's */

struct publisher_serve_for {
	struct publisher_serve_group *groups; /* as all below, handed over */
	size_t groups_len;
	json_t *agents; /* array of {id}: who is asked; others with these labels are not. Borrowed */
	uint64_t timeout_ms;
};

void publisher_serve_for_deinit(struct publisher_serve_for *wanted);

struct publisher_served {
	enum publisher_wait_state state; /* ACKED: all is served; REFUSED: something is not; TIMEOUT, CLOSED */
	/* As of publisher_waited. state: "served", "pending" (reason), "not-served" (names: what was seen instead), "unsupported" (an early
	 * release). */
	json_t *agents;
	size_t asked;         /* the most questions that one agent was asked */
	struct revision head; /* now */
};

struct publisher_serve;
/* Takes wanted over, also when it returns NULL: without memory, or when the publisher is closing. */
struct publisher_serve *publisher_serve_start(struct publisher *publisher, struct publisher_serve_for *wanted,
                                              void (*done)(const struct publisher_served *result, void *context), void *context);
/* done is not called any more. NULL allowed. */
void publisher_serve_cancel(struct publisher_serve *serve);

struct publisher_wait;
/* NULL without memory, or when the publisher is closing. */
struct publisher_wait *publisher_wait_start(struct publisher *publisher, const struct publisher_wait_for *wanted,
                                            void (*done)(const struct publisher_waited *result, void *context),
                                            void *context);
void publisher_wait_cancel(struct publisher_wait *wait);

/* History is to be cut below `floor`: returns how far it may be now (0: not at all), and begins no update from before that. */
uint64_t publisher_prune(struct publisher *publisher, uint64_t floor);

/* What is known now of one agent, for GET /v1/agents. New reference; NULL when nothing is known since start: then the
 * store's agent status serves, whose report is the text of the same object (connected false), or without memory. Times
 * are unix seconds, connected_at RFC 3339; what is unknown is left out: connected, address, connected_at, last_seen,
 * hostname, agent_version, openssl_version, certificate_not_after, applied {epoch, number}, behind (connected and not at
 * the newest), durable, last_ack, diverged, crashed {epoch, number}, last_nack {revision {epoch, number}, code, text, time,
 * objects [{kind, id, field, reason}]}, degraded [{kind, id, field, reason, since}], degraded_more (not listed) */
json_t *publisher_agent_status(const struct publisher *publisher, const char *agent_id);

struct publisher_counters {
	uint64_t agents_connected, agents_behind, agents_diverged;
	uint64_t updates_sent, acks, nacks, resyncs, enrolments, enrolments_refused, connections_refused, bytes_sent;
	uint64_t ca_not_after; /* unix seconds: the end of all channels */
	uint64_t ticket_sets, ticket_rotations, ticket_rotations_forced; /* forced: by time, before every agent held the key */
};
void publisher_read_counters(const struct publisher *publisher, struct publisher_counters *ret);
