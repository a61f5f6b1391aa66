/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/passes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct pass {
	union endpoint source; /* family 0: free */
	uint64_t until_ns;
};

struct passes {
	atomic_uint given;
	pthread_mutex_t lock; /* guards the rest */
	struct pass items[PASSES_MAX];
};

struct passes *passes_new(void)
{
	struct passes *passes = calloc(1, sizeof(*passes));

	if (passes != NULL)
		pthread_mutex_init(&passes->lock, NULL);
	return passes;
}

struct passes *passes_free(struct passes *passes)
{
	if (passes != NULL)
		pthread_mutex_destroy(&passes->lock);
	free(passes);
	return NULL;
}

static bool is_same(const union endpoint *a, const union endpoint *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->any.sa_family == AF_INET6 && a->v6.sin6_port == b->v6.sin6_port &&
	       memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

bool passes_give(struct passes *passes, const union endpoint *source, uint64_t until_ns)
{
	bool given = false;

	pthread_mutex_lock(&passes->lock);
	for (size_t i = 0; i < PASSES_MAX && !given; i++) {
		if (endpoint_is_known(&passes->items[i].source))
			continue;
		passes->items[i] = (struct pass){*source, until_ns};
		atomic_fetch_add(&passes->given, 1);
		given = true;
	}
	pthread_mutex_unlock(&passes->lock);
	return given;
}

static struct pass *find(struct passes *passes, const union endpoint *source)
{
	for (size_t i = 0; i < PASSES_MAX; i++) {
		if (endpoint_is_known(&passes->items[i].source) && is_same(&passes->items[i].source, source))
			return &passes->items[i];
	}
	return NULL;
}

static void drop(struct passes *passes, struct pass *pass)
{
	*pass = (struct pass){0};
	atomic_fetch_sub(&passes->given, 1);
}

void passes_revoke(struct passes *passes, const union endpoint *source)
{
	struct pass *pass;

	pthread_mutex_lock(&passes->lock);
	pass = find(passes, source);
	if (pass != NULL)
		drop(passes, pass);
	pthread_mutex_unlock(&passes->lock);
}

/* A pass is given before the probe connects, so who accepts it sees the count. */
bool passes_take(struct passes *passes, const union endpoint *peer, uint64_t now_ns)
{
	struct pass *pass;
	bool good;

	if (atomic_load(&passes->given) == 0)
		return false;
	pthread_mutex_lock(&passes->lock);
	pass = find(passes, peer);
	good = pass != NULL && now_ns < pass->until_ns;
	if (pass != NULL)
		drop(passes, pass);
	pthread_mutex_unlock(&passes->lock);
	return good;
}
