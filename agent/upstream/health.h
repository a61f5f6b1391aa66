/* SPDX-License-Identifier: Apache-2.0 */
/* Passive health of one node, private to agent/upstream. Pure: the caller holds the upstream's lock and brings the time
 * (monotonic, ms).
 *
 *     UP --max_fails failures in a row--> DOWN --timeout_ms over, a connection picks it--> PROBED
 *     DOWN, PROBED --success--> UP
 *     DOWN, PROBED --failure--> DOWN for another timeout_ms
 *     PROBED --probe_ms over without a word (its client went away)--> as DOWN whose time is over */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct health_rules {
	uint32_t max_fails; /* 0: never down */
	uint64_t timeout_ms, probe_ms;
};

struct health { /* zeros: UP */
	uint32_t fails;
	bool is_down;
	uint64_t retry_at; /* while down: who comes from then on may try it */
};

/* May the next connection have this node, others being there too? */
bool health_allows(const struct health *health, uint64_t now);
/* A connection has picked it, allowed or because there was nothing else. */
void health_on_pick(struct health *health, const struct health_rules *rules, uint64_t now);
/* True: it has changed between up and down. */
bool health_on_success(struct health *health);
bool health_on_failure(struct health *health, const struct health_rules *rules, uint64_t now);
