/* SPDX-License-Identifier: Apache-2.0 */
/* Limits on handshakes, shared by all workers: a rate without a lock (for listeners), and a bounded table of server names with both kinds
 * of limit.
 *
 * A rate of N per second lets N through at once and then one every 1/N s (generic cell rate algorithm, ITU-T I.371). The table forgets the
 * names that were idle for longest; when all its names are busy, further ones are refused. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMITS_NAMES_MAX 65536

enum limit {
	LIMIT_NONE,
	LIMIT_CONNECTIONS,     /* open, per listener */
	LIMIT_HANDSHAKES,      /* under way, per listener; and per worker, whatever the listener says */
	LIMIT_RATE,            /* per listener */
	LIMIT_NAME_HANDSHAKES, /* per server name */
	LIMIT_NAME_RATE,
	LIMITS,
};

/* When the next one would be on time, in nanoseconds; starts as 0. */
struct rate {
	_Atomic uint64_t next;
};

/* Any thread. per_second 0: no limit. False: too fast. */
bool rate_take(struct rate *rate, uint32_t per_second, uint64_t now_ns);

struct limits;
int limits_new(struct limits **ret, struct error *err) MUST_USE;
struct limits *limits_free(struct limits *limits); /* NULL allowed */
DEFINE_CLEANUP(struct limits, limits_free);

/* Any thread. A handshake for name begins: LIMIT_NONE, and limits_release is owed; else which limit it hit. 0: no limit. */
enum limit limits_take(struct limits *limits, const char *name, uint32_t max_handshakes, uint32_t per_second, uint64_t now_ns);
void limits_release(struct limits *limits, const char *name);

/* A limit was hit: how many times since it was told last, when it is to be told now (once a second and limit); 0: not now. */
uint64_t limits_note(struct limits *limits, enum limit limit, uint64_t now_ns);
