/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet's session ticket keys: one set per selector under which SSL objects are served, and one for "", whose keys the certificate
 * that agents make themselves uses. ticket_rules.h says when a key comes and goes; here sets are kept, made durable, and given to the
 * agents whose labels satisfy their selector. Loop only.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TICKET_PERIOD_DEFAULT 43200 /* seconds */

struct publisher;

struct ticket_set;

struct tickets {
	struct ticket_set *sets;
	struct ticket_set *everyone; /* that of "" */
	uint64_t period;             /* seconds */
	uint64_t settled_at;         /* loop milliseconds: agents have had time to come back by then */
	uint64_t serial, announced;  /* of the newest state; of the one that all sessions were compared with */
	bool doubtful;               /* the store could not be asked: tried again at each tick */
};

/* Reads the stored sets. deinit before the table of selectors, and when no write is under way (a write pins the publisher). */
int tickets_init(struct publisher *publisher, uint32_t period, struct error *err) MUST_USE;
void tickets_deinit(struct publisher *publisher);

/* After a refresh of the table: which selectors have SSL objects now, which keys are lost. Cannot fail: see `doubtful`. */
void tickets_on_refresh(struct publisher *publisher);
void tickets_on_tick(struct publisher *publisher);
size_t tickets_count(const struct tickets *tickets);
