/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an agent, and what they ask of and tell each other: no part knows another, so each is handed functions.
 * All on the main loop. A part that is not there yet, or no more, is NULL. */
#pragma once

#include "agent.h"
#include "cache/cache.h"
#include "proxy/proxy.h"
#include "status/status.h"
#include "sync/apply.h"
#include "sync/checks.h"
#include "sync/identity.h"
#include "sync/link.h"
#include "sync/reporter.h"
#include "sync/tickets.h"

struct agent {
	struct agent_config config;
	int lock;
	struct keyring *keyring;
	uint8_t fingerprint[8];
	struct cache *cache;
	struct cache_start start;
	struct site_cache *sites;
	struct trust_cache *trusts;
	struct origin_cache *origins;
	struct upstream_events upstream_events;
	struct snapshot_context context;
	struct proxy *proxy;
	struct apply *apply;
	struct ticket_keeper *tickets;
	struct reporter reporter;
	struct checks checks;
	struct identity *identity;
	struct link *link;
	struct status *status;
	uv_timer_t alive;
	unsigned open_parts; /* that still have to close */
	uint64_t grace_ms;
	void (*on_closed)(void *owner);
	void *closed_owner;
};

/* Once the context has its hash key: the reporter, checks and upstreams may ask and tell from here on. */
void wiring_start(struct agent *agent);
struct ticket_ports wiring_tickets(struct agent *agent);
struct apply_ports wiring_apply(struct agent *agent);
struct link_events wiring_link(struct agent *agent);
/* Of struct proxy_config; the owner is the agent. */
void wiring_on_listener_state(const char *listener_id, const char *reason, void *owner);
void wiring_on_site_failure(const char *ssl_id, const char *reason, void *owner);
/* Takes the snapshot. */
void wiring_publish(struct snapshot *snapshot, void *owner);
