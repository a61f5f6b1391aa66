/* SPDX-License-Identifier: Apache-2.0 */
/* The ticket keys of one selector. Loop only.
 *
 *     AT REST --a step is due--> WRITING --durable--> AT REST, told to its agents
 *                                    \--failed--> AT REST as it was, tried again some seconds later
 *
 * Nothing is told before it is durable, so a restart finds what agents have. Secrets are wiped when their set changes or goes. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "selectors.h"
#include "store/store_tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct publisher;

struct ticket_list {
	struct store_ticket_key *keys; /* owned; by number, ascending */
	size_t len;
};

struct ticket_set {
	struct publisher *publisher;
	struct selector *selector; /* a reference; its `tickets` points back */
	struct ticket_list list;   /* what agents are told */
	struct ticket_list next;   /* WRITING: what the list becomes */
	uint64_t number;           /* the highest that was ever used */
	uint64_t serial;           /* of the state in which the list became what it is */
	uint64_t published;        /* of the state that brought the newest key */
	uint64_t retry_at;         /* loop milliseconds; after a failed write */
	bool needed;               /* false: its last SSL object is gone; so are the keys, when that is written */
	bool writing;
	bool lacking;              /* scratch: some agent does not hold the newest key */
	bool forced;               /* WRITING: some promotion in it was by time */
	struct ticket_set *next_set;
};

/* The set of a selector, made empty when absent. */
int ticket_set_get(struct publisher *publisher, const char *text, struct ticket_set **ret, struct error *err) MUST_USE;
/* Takes the set at *link out of the list; it must be at rest. */
void ticket_set_free(struct ticket_set **link);
/* A stored key, the next by number. */
int ticket_set_load(struct ticket_set *set, const struct store_ticket_key *key, struct error *err) MUST_USE;
/* Whoever must not may know this key. */
void ticket_set_lose(struct ticket_set *set, uint64_t number);
/* Does what is due now, if anything; cannot fail: what can't be done is done later. */
void ticket_set_step(struct ticket_set *set);
