/* SPDX-License-Identifier: Apache-2.0 */
#include "ticket_rules.h"

/* How long before it is due a key is published, and how long after that agents are waited for; a second at least. */
static uint64_t lead_of(uint64_t period)
{
	return period >= 4 ? period / 4 : 1;
}

static uint64_t grace_of(uint64_t period)
{
	return period >= 2 ? period / 2 : 1;
}

void ticket_rules_make(struct store_ticket_key *key, uint64_t now, uint64_t period)
{
	key->made = now;
	key->encrypt_from = 0;
	key->encrypt_until = now + lead_of(period) + grace_of(period) + 2 * period;
	key->decrypt_until = key->encrypt_until + TICKET_DECRYPT_SECONDS;
}

void ticket_rules_promote(struct store_ticket_key *key, uint64_t now, uint64_t period)
{
	key->encrypt_from = now;
	key->encrypt_until = now + 2 * period;
	key->decrypt_until = key->encrypt_until + TICKET_DECRYPT_SECONDS;
}

/* The newest promoted key that still encrypts; len: none. */
static size_t find_current(const struct store_ticket_key *keys, size_t len, uint64_t now)
{
	for (size_t i = len; i > 0; i--) {
		if (keys[i - 1].encrypt_from != 0)
			return keys[i - 1].encrypt_until > now ? i - 1 : len;
	}
	return len;
}

/* The next key is there and due. */
static struct ticket_step promote_or_wait(const struct store_ticket_key *next, size_t index, uint64_t due, uint64_t now,
                                          uint64_t period, bool held)
{
	uint64_t made = next->made <= now ? next->made : 0; /* a clock that was set back must not stretch the wait */
	uint64_t latest = (due > made ? due : made) + grace_of(period);

	if (held || now >= latest)
		return (struct ticket_step){.act = TICKET_PROMOTE, .key = index, .forced = !held};
	return (struct ticket_step){.act = TICKET_WAIT};
}

struct ticket_step ticket_rules_next(const struct store_ticket_key *keys, size_t len, uint64_t now, uint64_t period, bool held)
{
	size_t current = find_current(keys, len, now);
	bool has_next = len > 0 && keys[len - 1].encrypt_from == 0;
	uint64_t due;

	for (size_t i = 0; i < len; i++) {
		bool is_unborn = i < current && current < len && keys[i].made > now + period; /* set back: its end is out of reach */

		if (keys[i].lost || keys[i].decrypt_until <= now || is_unborn)
			return (struct ticket_step){.act = TICKET_DROP, .key = i};
	}
	if (len > TICKET_KEYS_MAX)
		return (struct ticket_step){.act = TICKET_DROP, .key = 0};
	if (current == len) /* nobody makes tickets: nobody need be waited for */
		return (struct ticket_step){.act = has_next ? TICKET_PROMOTE : TICKET_MAKE, .key = len - has_next};
	due = keys[current].encrypt_from > now + period ? 0 : keys[current].encrypt_from + period; /* 0: set back */
	if (!has_next && now + lead_of(period) >= due)
		return (struct ticket_step){.act = TICKET_MAKE};
	if (!has_next || now < due)
		return (struct ticket_step){.act = TICKET_WAIT};
	return promote_or_wait(&keys[len - 1], len - 1, due, now, period, held);
}
