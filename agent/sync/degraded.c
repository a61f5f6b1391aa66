/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/degraded.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REASON_MAX 256

struct degraded_object {
	unsigned kind;
	uint64_t since;
	char reason[REASON_MAX];
	char key[ID_MAX + 16]; /* "KIND/ID" */
};

static struct bytes object_key(const void *value)
{
	const struct degraded_object *object = value;

	return BYTES(object->key, strlen(object->key));
}

static void object_unref(void *value)
{
	free(value);
}

/* The set is never cloned: a value is in it once. */
static const struct trie_ops ops = {.key = object_key, .ref = NULL, .unref = object_unref};

static const char *object_id(const struct degraded_object *object)
{
	return strchr(object->key, '/') + 1;
}

void degraded_init(struct degraded *degraded, struct hash_key hash_key)
{
	trie_init(&degraded->objects, &ops, hash_key);
	degraded->changed = false;
}

void degraded_deinit(struct degraded *degraded)
{
	trie_deinit(&degraded->objects);
}

static void clear(struct degraded *degraded, struct degraded_object *object)
{
	const struct kind_info *kind = kind_find(object->kind);

	log_event(LOG_INFO, "no longer degraded", LOG_STR("kind", kind->noun), LOG_STR("id", object_id(object)));
	if (trie_remove(&degraded->objects, object_key(object)) == 0)
		degraded->changed = true;
}

static void add(struct degraded *degraded, enum kind kind, const char *key, const char *reason)
{
	struct degraded_object *object = calloc(1, sizeof(*object));

	if (object == NULL)
		return;
	object->kind = kind;
	object->since = (uint64_t)time(NULL);
	snprintf(object->reason, sizeof(object->reason), "%s", reason);
	snprintf(object->key, sizeof(object->key), "%s", key);
	if (trie_put(&degraded->objects, object) < 0) {
		free(object);
		return;
	}
	log_event(LOG_WARNING, "degraded", LOG_STR("kind", kind_find(kind)->noun), LOG_STR("id", object_id(object)),
	          LOG_STR("reason", object->reason));
	degraded->changed = true;
}

void degraded_set(struct degraded *degraded, enum kind kind, const char *id, const char *reason)
{
	struct degraded_object *object;
	char key[ID_MAX + 16];

	snprintf(key, sizeof(key), "%u/%.*s", (unsigned)kind, ID_MAX, id);
	object = trie_find(&degraded->objects, BYTES(key, strlen(key)));
	if (object == NULL && reason != NULL) {
		add(degraded, kind, key, reason);
	} else if (object != NULL && reason == NULL) {
		clear(degraded, object);
	} else if (object != NULL && strncmp(object->reason, reason, sizeof(object->reason) - 1) != 0) {
		snprintf(object->reason, sizeof(object->reason), "%s", reason);
		degraded->changed = true;
	}
}

/* The first stale object. */
struct search {
	bool (*is_stale)(enum kind kind, const char *id, void *context);
	void *context;
	struct degraded_object *found;
};

static int find_stale(void *value, void *context)
{
	struct search *search = context;
	struct degraded_object *object = value;

	if (!search->is_stale((enum kind)object->kind, object_id(object), search->context))
		return 0;
	search->found = object;
	return 1;
}

void degraded_prune(struct degraded *degraded, bool (*is_stale)(enum kind kind, const char *id, void *context),
                    void *context)
{
	struct search search = {.is_stale = is_stale, .context = context};

	while (trie_each(&degraded->objects, find_stale, &search) == 1) {
		if (trie_remove(&degraded->objects, object_key(search.found)) < 0)
			return;
		degraded->changed = true;
	}
}

size_t degraded_count(const struct degraded *degraded)
{
	return degraded->objects.count;
}

struct listing {
	Tlsplane__ObjectReason items[DEGRADED_REPORT_MAX], *list[DEGRADED_REPORT_MAX];
	size_t len;
};

static int list_object(void *value, void *context)
{
	struct degraded_object *object = value;
	struct listing *listing = context;
	Tlsplane__ObjectReason *item = &listing->items[listing->len];

	tlsplane__object_reason__init(item);
	item->kind = object->kind;
	item->id = (char *)(uintptr_t)object_id(object);
	item->reason = object->reason;
	item->has_since = true;
	item->since = object->since;
	listing->list[listing->len++] = item;
	return listing->len == DEGRADED_REPORT_MAX;
}

int degraded_report(struct degraded *degraded, const struct sender *sender, struct error *err)
{
	struct listing *listing = calloc(1, sizeof(*listing));
	Tlsplane__Report report = TLSPLANE__REPORT__INIT;
	int r;

	if (listing == NULL)
		return error_nomem(err);
	r = trie_each(&degraded->objects, list_object, listing); /* 1: there are more */
	report.n_degraded = listing->len;
	report.degraded = listing->list;
	report.has_more = r == 1 && degraded->objects.count > listing->len;
	report.more = report.has_more ? (uint32_t)(degraded->objects.count - listing->len) : 0;
	r = sender->send(TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT, &report.base, sender->owner, err);
	if (r == 0)
		degraded->changed = false;
	free(listing);
	return r;
}
