/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and the two ways of counting in it. */
#include "access/meter.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define UNIT 1000 /* of a bucket's level: thousandths, so that a millisecond at one a second is a whole number */

struct meter_entry *meter_find(struct meter *meter, const uint8_t key[METER_KEY_LEN], uint64_t now, bool *ret_new)
{
	struct meter_entry *set = meter->entries[hash_bytes(&meter->hash_key, BYTES(key, METER_KEY_LEN)) % METER_SETS];
	struct meter_entry *oldest = &set[0];

	*ret_new = false;
	for (size_t i = 0; i < METER_WAYS; i++) {
		if (set[i].seen != 0 && memcmp(set[i].key, key, METER_KEY_LEN) == 0) {
			set[i].seen = now + 1;
			return &set[i];
		}
		if (set[i].seen < oldest->seen)
			oldest = &set[i];
	}
	*oldest = (struct meter_entry){.seen = now + 1, .since = now};
	memcpy(oldest->key, key, METER_KEY_LEN);
	*ret_new = true;
	return oldest;
}

bool meter_take(struct meter_entry *entry, bool is_new, uint32_t rate, uint32_t burst, uint64_t now)
{
	uint64_t full = (uint64_t)burst * UNIT, passed = now - entry->since;

	if (is_new || passed > full / rate)
		entry->level = full;
	else
		entry->level += passed * rate; /* at most twice full */
	if (entry->level > full)
		entry->level = full;
	entry->since = now;
	if (entry->level < UNIT)
		return false;
	entry->level -= UNIT;
	return true;
}

uint64_t meter_count(struct meter_entry *entry, uint64_t max, uint64_t window, uint64_t now)
{
	if (now - entry->since >= window) {
		entry->since = now;
		entry->level = 0;
	}
	if (entry->level >= max)
		return window - (now - entry->since);
	entry->level++;
	return 0;
}

void meter_source_key(const char *peer, uint8_t key[METER_KEY_LEN])
{
	char text[72];
	struct in6_addr address;
	size_t len;

	memset(key, 0, METER_KEY_LEN);
	snprintf(text, sizeof(text), "%s", peer[0] == '[' ? peer + 1 : peer);
	len = strcspn(text, peer[0] == '[' ? "]" : strncmp(peer, "unix:", 5) == 0 ? "," : ":");
	text[len] = '\0';
	if (peer[0] == '[' && inet_pton(AF_INET6, text, &address) == 1 && !IN6_IS_ADDR_V4MAPPED(&address)) {
		key[0] = 6;
		memcpy(key + 1, &address, 8);
	} else {
		snprintf((char *)key, METER_KEY_LEN, "%s", text);
	}
}
