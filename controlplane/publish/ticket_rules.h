/* SPDX-License-Identifier: Apache-2.0 */
/* When a ticket key is made, promoted and dropped. Pure: a set as it is and the time go in, the next step comes out. One key at a time
 * encrypts; the next one is published a quarter of a period before it is due, so that whoever may be shown its tickets can read them.
 *
 *     (none) --made, promoted at once: nobody has tickets--> CURRENT
 *     PUBLISHED --due, and held by every agent; or half a period late--> CURRENT
 *     CURRENT --the next is promoted--> DECRYPTS ONLY --decrypt_until--> dropped
 *     lost, or the oldest of too many: dropped at once; a current one that is lost is followed by a fresh one at once
 *
 * Times are unix seconds of the control plane's clock. When that is set back by more than a period, a new key is due at once,
 * and the keys of the time that was are dropped once it encrypts: agents take no ticket of theirs. */
#pragma once

#include "store/store_tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TICKET_KEYS_MAX 32 /* of a set, as agents take it */
#define TICKET_DECRYPT_SECONDS 86400 /* beyond encrypt_until: the longest lifetime of a session */

enum ticket_act { TICKET_WAIT, TICKET_DROP, TICKET_MAKE, TICKET_PROMOTE };

struct ticket_step {
	enum ticket_act act;
	size_t key;  /* DROP, PROMOTE: index */
	bool forced; /* PROMOTE: by time, not everybody holds it */
};

/* keys: by number, ascending. held: every connected agent that satisfies the selector holds the newest key. period: at least 1. */
struct ticket_step ticket_rules_next(const struct store_ticket_key *keys, size_t len, uint64_t now, uint64_t period, bool held);

/* The times of a key that is made, or promoted, now. */
void ticket_rules_make(struct store_ticket_key *key, uint64_t now, uint64_t period);
void ticket_rules_promote(struct store_ticket_key *key, uint64_t now, uint64_t period);
