/* SPDX-License-Identifier: Apache-2.0 */
/* Counters by key that cost a fixed amount of memory, whoever comes: a table of sets, in which the key that was seen least recently
 * makes room. Times are milliseconds of any clock that does not go back. Pure. */
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

#define METER_KEY_LEN 32
#define METER_SETS 512
#define METER_WAYS 8

struct meter_entry {
	uint8_t key[METER_KEY_LEN];
	uint64_t seen;  /* 0: free */
	uint64_t since; /* of level */
	uint64_t level;
	uint64_t mark; /* the owner's */
};

struct meter {
	struct hash_key hash_key;
	struct meter_entry entries[METER_SETS][METER_WAYS];
};

/* The key's entry, made or taken over when it has none (level 0, mark 0, since now); *ret_new tells. Valid until the next call. */
struct meter_entry *meter_find(struct meter *meter, const uint8_t key[METER_KEY_LEN], uint64_t now, bool *ret_new);

/* A bucket that holds `burst` and gets `rate` a second, full when its entry is new. True: one was taken. */
bool meter_take(struct meter_entry *entry, bool is_new, uint32_t rate, uint32_t burst, uint64_t now);

/* Counts one event of at most `max` in `window` milliseconds, beginning with the first. 0: within; else milliseconds until the window
 * is over. */
uint64_t meter_count(struct meter_entry *entry, uint64_t max, uint64_t window, uint64_t now);

/* "192.0.2.1:80" -> the address; "[2001:db8::1]:80" -> its /64; "unix:uid=7,pid=9" -> the user; anything else -> itself, shortened.
 * Zero-padded. */
void meter_source_key(const char *peer, uint8_t key[METER_KEY_LEN]);
