/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of one agent, whether it is connected or not: for the API, for waiters, and (lazily) for the store's
 * agent status. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "channel.pb-c.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct session;
struct wait_entry;

#define AGENT_DEGRADED_MAX 256
#define AGENT_NACK_OBJECTS_MAX 32
#define AGENT_STATUS_MS 3000 /* at most one status row per agent and so long */

struct agent {
	uint32_t refs; /* the registry and sessions */
	char id[ID_MAX + 1];
	struct session *session;  /* the connected one, or NULL */
	struct wait_entry *waits; /* of waiters that this agent concerns */
	/* Facts it told. NULL: none. */
	char *hostname, *version, *openssl;
	char address[72];
	uint64_t connected_at, last_seen, last_ack_time; /* unix seconds */
	int64_t certificate_not_after;
	struct revision applied; /* newest known to be applied */
	struct revision crashed; /* that it fell back from; {0, 0}: none */
	json_t *nack;            /* the last one, or NULL */
	json_t *degraded;        /* array, or NULL: none */
	uint32_t degraded_more;
	bool not_durable;
	bool diverged;
	/* Towards the store. */
	bool dirty;
	uint64_t saved_at; /* loop milliseconds */
	struct agent *next_dirty;
};

struct agent_registry {
	struct trie by_id; /* owns */
	struct agent *dirty, **dirty_tail;
};

int agent_registry_init(struct agent_registry *registry, struct error *err) MUST_USE;
void agent_registry_deinit(struct agent_registry *registry);
struct agent *agent_find(const struct agent_registry *registry, const char *id); /* NULL: nothing is known */
/* Made when absent, with what the store remembers of it. */
int agent_get(struct agent_registry *registry, struct store_reader *reader, const char *id, struct agent **ret,
              struct error *err) MUST_USE;
/* The agent was deleted: takes it out of the registry; sessions that are closing may still point to it. */
void agent_forget(struct agent_registry *registry, struct agent *agent);

void agent_ref(struct agent *agent);
void agent_unref(struct agent *agent);

/* Takes over what its messages say; without memory what was known stays. */
int agent_take_hello(struct agent *agent, const Tlsplane__Hello *hello, struct error *err) MUST_USE;
int agent_take_nack(struct agent *agent, const Tlsplane__Nack *nack, uint64_t now, struct error *err) MUST_USE;
int agent_take_report(struct agent *agent, const Tlsplane__Report *report, struct error *err) MUST_USE;

/* New reference, or NULL without memory. connected: false for what rests in the store. */
json_t *agent_render(const struct agent *agent, bool connected, bool behind);
/* Has a status row written soon. */
void agent_touch(struct agent_registry *registry, struct agent *agent);
/* The row of one agent. Deinit with store_agent_status_deinit. */
int agent_make_status(const struct agent *agent, struct store_agent_status *ret, struct error *err) MUST_USE;
