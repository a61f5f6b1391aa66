/* SPDX-License-Identifier: Apache-2.0 */
/* When to try the next control-plane address: the others at once after the first failed, then all again after a delay
 * drawn evenly from zero to a bound that doubles (full jitter: a fleet that lost its control plane does not come back
 * as one). Pure. */
#pragma once

#include <stdint.h>

#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 10000

struct backoff {
	unsigned failures;  /* in a row */
	unsigned addresses; /* at least 1 */
};

unsigned backoff_address(const struct backoff *backoff); /* which to try now */
/* After a failure: how long to wait before the next try. random: 32 random bits. floor_ms: what the peer asked for
 * (retry-after). */
uint64_t backoff_fail(struct backoff *backoff, uint32_t random, uint64_t floor_ms);
void backoff_reset(struct backoff *backoff); /* it worked; stays with this address */
