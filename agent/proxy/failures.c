/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/failures.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct failures {
	pthread_mutex_t lock; /* guards what follows */
	uv_async_t *news;
	size_t len;
	struct failure items[FAILURES_MAX];
};

int failures_new(uv_async_t *news, struct failures **ret, struct error *err)
{
	struct failures *failures = calloc(1, sizeof(*failures));

	if (failures == NULL)
		return error_nomem(err);
	pthread_mutex_init(&failures->lock, NULL);
	failures->news = news;
	*ret = failures;
	return 0;
}

struct failures *failures_free(struct failures *failures)
{
	if (failures != NULL) {
		pthread_mutex_destroy(&failures->lock);
		free(failures);
	}
	return NULL;
}

static bool is_noted(const struct failures *failures, const struct entry *entry)
{
	for (size_t i = 0; i < failures->len; i++) {
		if (digest_is_equal(&failures->items[i].digest, &entry->digest))
			return true;
	}
	return false;
}

void failures_note(struct failures *failures, const struct entry *entry, const char *reason)
{
	bool added = false;

	pthread_mutex_lock(&failures->lock);
	if (failures->len < FAILURES_MAX && !is_noted(failures, entry)) {
		struct failure *failure = &failures->items[failures->len++];

		snprintf(failure->id, sizeof(failure->id), "%s", entry->id);
		failure->digest = entry->digest;
		snprintf(failure->reason, sizeof(failure->reason), "%s", reason);
		added = true;
	}
	pthread_mutex_unlock(&failures->lock);
	if (added)
		uv_async_send(failures->news);
}

bool failures_take(struct failures *failures, struct failure *ret)
{
	bool taken = false;

	pthread_mutex_lock(&failures->lock);
	if (failures->len > 0) {
		*ret = failures->items[--failures->len];
		taken = true;
	}
	pthread_mutex_unlock(&failures->lock);
	return taken;
}
