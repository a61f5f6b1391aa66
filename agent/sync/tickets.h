/* SPDX-License-Identifier: Apache-2.0 */
/* Session ticket keys on their way from the control plane to the workers, with a sealed copy in the cache so that a restart resumes what
 * it issued. Each TicketKeys replaces all there was; what an update takes away goes at once. Main loop.
 *
 * Promotion is the control plane's word: only the ends of a key are ever compared with this machine's clock. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cache/cache.h"
#include "channel.pb-c.h"
#include "crypto/seal.h"
#include "snapshot/snapshot.h"
#include "tls/tickets.h"

struct ticket_keeper;

struct ticket_ports {
	int (*send)(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err);
	void (*reconnect)(const struct error *why, void *owner); /* the peer broke the contract */
	void (*set_tickets)(struct ticket_sets *sets, void *owner); /* for the workers; takes a reference of its own */
	void *owner;
};

struct ticket_config {
	struct cache *cache;           /* borrowed, settled */
	const struct keyring *keyring; /* borrowed */
	struct ticket_ports ports;
};

/* Hands on what is cached, before anything is served. Only E_NOMEM: keys that can't be read are gone, and that is logged. */
int ticket_keeper_new(const struct ticket_config *config, struct ticket_keeper **ret, struct error *err) MUST_USE;
struct ticket_keeper *ticket_keeper_free(struct ticket_keeper *keeper); /* NULL allowed; wipes; returns NULL */
DEFINE_CLEANUP(struct ticket_keeper, ticket_keeper_free);

void ticket_keeper_on_message(struct ticket_keeper *keeper, const Tlsplane__TicketKeys *message);
/* Now and then: writes what could not be written. */
void ticket_keeper_on_beat(struct ticket_keeper *keeper);
/* An update leads from `before` (NULL: nothing) to `after`: erases the sets of selectors that it takes away. */
void ticket_keeper_on_update(struct ticket_keeper *keeper, const struct snapshot *before, const struct snapshot *after);
