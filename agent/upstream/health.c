/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream/health.h"

bool health_allows(const struct health *health, uint64_t now)
{
	return !health->is_down || now >= health->retry_at;
}

void health_on_pick(struct health *health, const struct health_rules *rules, uint64_t now)
{
	if (health->is_down && now >= health->retry_at)
		health->retry_at = now + rules->probe_ms;
}

bool health_on_success(struct health *health)
{
	bool was_down = health->is_down;

	*health = (struct health){.fails = 0};
	return was_down;
}

bool health_on_failure(struct health *health, const struct health_rules *rules, uint64_t now)
{
	bool was_down = health->is_down;

	if (rules->max_fails == 0)
		return false;
	if (!was_down)
		health->is_down = ++health->fails >= rules->max_fails;
	if (health->is_down)
		health->retry_at = now + rules->timeout_ms;
	return health->is_down != was_down;
}
