/* SPDX-License-Identifier: Apache-2.0 */
/* Names stand in a hash table by the keyed hash alone: nobody can make two of them meet. Places are chained by their number, 0 being none,
 * and stand in the order of last use. */
#include "proxy/limit.h"

#include "base/hash.h"
#include "crypto/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
#define EVICT_TRIES 8

struct place {
	uint64_t hash;
	struct rate rate;
	uint32_t active;       /* handshakes under way */
	uint32_t next;         /* of the chain */
	uint32_t older, newer; /* use */
};

struct told {
	_Atomic uint64_t second, count;
};

struct limits {
	struct hash_key key;
	struct told told[LIMITS];
	pthread_mutex_t lock; /* guards what follows */
	uint32_t used, oldest, newest;
	uint32_t chains[LIMITS_NAMES_MAX];
	struct place places[LIMITS_NAMES_MAX + 1];
};

bool rate_take(struct rate *rate, uint32_t per_second, uint64_t now_ns)
{
	uint64_t step, next, at;

	if (per_second == 0)
		return true;
	step = SECOND_NS / per_second;
	next = atomic_load_explicit(&rate->next, memory_order_relaxed);
	do {
		at = next > now_ns ? next : now_ns;
		if (at + step > now_ns + SECOND_NS)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&rate->next, &next, at + step, memory_order_relaxed, memory_order_relaxed));
	return true;
}

int limits_new(struct limits **ret, struct error *err)
{
	struct limits *limits = calloc(1, sizeof(*limits));
	int r;

	if (limits == NULL)
		return error_nomem(err);
	pthread_mutex_init(&limits->lock, NULL);
	r = crypto_hash_key(&limits->key, err);
	if (r < 0) {
		limits_free(limits);
		return r;
	}
	*ret = limits;
	return 0;
}

struct limits *limits_free(struct limits *limits)
{
	if (limits != NULL)
		pthread_mutex_destroy(&limits->lock);
	free(limits);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ the table */

static uint32_t *chain_of(struct limits *limits, uint64_t hash)
{
	return &limits->chains[hash % LIMITS_NAMES_MAX];
}

static uint32_t find(struct limits *limits, uint64_t hash)
{
	uint32_t at = *chain_of(limits, hash);

	while (at != 0 && limits->places[at].hash != hash)
		at = limits->places[at].next;
	return at;
}

static void use_unlink(struct limits *limits, uint32_t at)
{
	struct place *place = &limits->places[at];

	*(place->older != 0 ? &limits->places[place->older].newer : &limits->oldest) = place->newer;
	*(place->newer != 0 ? &limits->places[place->newer].older : &limits->newest) = place->older;
}

static void use_link(struct limits *limits, uint32_t at)
{
	struct place *place = &limits->places[at];

	place->older = limits->newest;
	place->newer = 0;
	*(limits->newest != 0 ? &limits->places[limits->newest].newer : &limits->oldest) = at;
	limits->newest = at;
}

static void chain_unlink(struct limits *limits, uint32_t at)
{
	uint32_t *link = chain_of(limits, limits->places[at].hash);

	while (*link != at)
		link = &limits->places[*link].next;
	*link = limits->places[at].next;
}

/* What is as if it had never been: no handshake under way, and all of its rate free again. */
static bool place_is_idle(const struct place *place, uint64_t now_ns)
{
	return place->active == 0 && atomic_load_explicit(&place->rate.next, memory_order_relaxed) <= now_ns;
}

/* A place of its own, or 0. Busy ones met on the way go behind the others, so that a few of them can't hold up all. */
static uint32_t take_place(struct limits *limits, uint64_t now_ns)
{
	if (limits->used < LIMITS_NAMES_MAX)
		return ++limits->used;
	for (unsigned i = 0; i < EVICT_TRIES; i++) {
		uint32_t at = limits->oldest;

		use_unlink(limits, at);
		if (place_is_idle(&limits->places[at], now_ns)) {
			chain_unlink(limits, at);
			return at;
		}
		use_link(limits, at);
	}
	return 0;
}

static uint32_t find_or_add(struct limits *limits, uint64_t hash, uint64_t now_ns)
{
	uint32_t at = find(limits, hash);

	if (at != 0) {
		use_unlink(limits, at);
	} else {
		at = take_place(limits, now_ns);
		if (at == 0)
			return 0;
		limits->places[at] = (struct place){.hash = hash, .next = *chain_of(limits, hash)};
		*chain_of(limits, hash) = at;
	}
	use_link(limits, at);
	return at;
}

enum limit limits_take(struct limits *limits, const char *name, uint32_t max_handshakes, uint32_t per_second, uint64_t now_ns)
{
	uint64_t hash = hash_bytes(&limits->key, BYTES(name, strlen(name)));
	enum limit limit = LIMIT_NONE;
	struct place *place;
	uint32_t at;

	pthread_mutex_lock(&limits->lock);
	at = find_or_add(limits, hash, now_ns);
	place = &limits->places[at];
	if (at == 0 || (max_handshakes != 0 && place->active >= max_handshakes))
		limit = LIMIT_NAME_HANDSHAKES;
	else if (!rate_take(&place->rate, per_second, now_ns))
		limit = LIMIT_NAME_RATE;
	else
		place->active++;
	pthread_mutex_unlock(&limits->lock);
	return limit;
}

void limits_release(struct limits *limits, const char *name)
{
	uint64_t hash = hash_bytes(&limits->key, BYTES(name, strlen(name)));

	pthread_mutex_lock(&limits->lock);
	limits->places[find(limits, hash)].active--;
	pthread_mutex_unlock(&limits->lock);
}

uint64_t limits_note(struct limits *limits, enum limit limit, uint64_t now_ns)
{
	struct told *told = &limits->told[limit];
	uint64_t second = now_ns / SECOND_NS + 1, before = atomic_load_explicit(&told->second, memory_order_relaxed);

	atomic_fetch_add_explicit(&told->count, 1, memory_order_relaxed);
	if (before >= second || !atomic_compare_exchange_strong(&told->second, &before, second))
		return 0;
	return atomic_exchange(&told->count, 0);
}
