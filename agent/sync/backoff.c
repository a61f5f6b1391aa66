/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/backoff.h"

unsigned backoff_address(const struct backoff *backoff)
{
	return backoff->failures % backoff->addresses;
}

static uint64_t draw(uint32_t random, uint64_t bound)
{
	return (uint64_t)random * bound >> 32;
}

uint64_t backoff_fail(struct backoff *backoff, uint32_t random, uint64_t floor_ms)
{
	unsigned round;
	uint64_t bound = BACKOFF_MIN_MS;

	backoff->failures++;
	round = (backoff->failures - 1) / backoff->addresses;
	if (backoff->failures % backoff->addresses != 0 && floor_ms == 0)
		return draw(random, BACKOFF_MIN_MS / 4);
	while (round-- > 0 && bound < BACKOFF_MAX_MS)
		bound *= 2;
	if (bound > BACKOFF_MAX_MS)
		bound = BACKOFF_MAX_MS;
	/* What was asked for, and the jitter on top of it. */
	return floor_ms + draw(random, bound);
}

void backoff_reset(struct backoff *backoff)
{
	backoff->failures = backoff_address(backoff);
}
