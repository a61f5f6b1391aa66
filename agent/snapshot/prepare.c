/* SPDX-License-Identifier: Apache-2.0 */
/* Prepare: everything that can be refused about a snapshot, and the derived parts of it (names, views), at the cost of
 * what changed. Nothing that is served is touched; a refusal leaves no trace but parsed certificates in the bounded
 * cache. */
#include "model/body.h"
#include "snapshot/impl.h"
#include "snapshot/references.h"
#include "snapshot/refuse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool is_held(const struct snapshot *snapshot, const struct entry *entry)
{
	return trie_find(&snapshot->objects[entry->kind], entry_key(entry)) == entry;
}

/* Keeps what is held (or not held) by `snapshot`. */
static void filter(struct entry_list *list, const struct snapshot *snapshot, bool held)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->len; i++) {
		if (is_held(snapshot, list->items[i]) == held)
			list->items[kept++] = list->items[i];
		else
			entry_unref(list->items[i]);
	}
	list->len = kept;
}

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (struct entry *const *)a, y = (uintptr_t) * (struct entry *const *)b;

	return x < y ? -1 : x > y;
}

static void drop_doubles(struct entry_list *list)
{
	size_t kept = 0;

	if (list->len == 0)
		return;
	qsort(list->items, list->len, sizeof(list->items[0]), compare_pointers);
	for (size_t i = 0; i < list->len; i++) {
		if (kept > 0 && list->items[kept - 1] == list->items[i])
			entry_unref(list->items[i]);
		else
			list->items[kept++] = list->items[i];
	}
	list->len = kept;
}

/* The journal becomes the difference: an object that went through several states leaves its first and its last. */
static void settle(struct snapshot_builder *builder)
{
	filter(&builder->fresh, builder->next, true);
	if (builder->restored) {
		drop_doubles(&builder->gone);
		filter(&builder->gone, builder->next, false);
	}
}

/* SSL objects that are new; what came from the cache was checked before it went there. */
static int check_fresh(struct snapshot_builder *builder, struct snapshot_refusal *refusal, struct error *err)
{
	for (size_t i = 0; i < builder->fresh.len && !builder->trusted; i++) {
		const struct entry *entry = builder->fresh.items[i];
		ProtobufCMessage *body = NULL;
		int r;

		if (entry->kind != KIND_SSL)
			continue;
		r = decode_checked(entry, &body, refusal, err);
		if (r < 0)
			return r;
		body_free(body);
		r = references_check_ssl(builder->next->objects, entry, refusal, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Where an entry stands by name; NULL: nowhere. */
static struct trie *index_of(struct snapshot *snapshot, const struct entry *entry)
{
	if (entry->kind == KIND_ROUTE)
		return &snapshot->patterns;
	return entry->kind == KIND_SSL && !entry->client_type ? &snapshot->names : NULL;
}

static int index_names(struct snapshot_builder *builder, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < builder->gone.len && r == 0; i++) {
		struct trie *names = index_of(builder->next, builder->gone.items[i]);

		r = names != NULL ? names_remove(names, builder->gone.items[i]) : 0;
	}
	for (size_t i = 0; i < builder->fresh.len && r == 0; i++) {
		struct trie *names = index_of(builder->next, builder->fresh.items[i]);

		r = names != NULL ? names_add(names, builder->fresh.items[i]) : 0;
	}
	return r < 0 ? error_nomem(err) : 0; /* wire form was checked by put */
}

static bool touches_views(const struct entry_list *list)
{
	for (size_t i = 0; i < list->len; i++) {
		if (list->items[i]->kind != KIND_SSL)
			return true;
	}
	return false;
}

static int make_views(struct snapshot_builder *builder, struct snapshot_refusal *refusal, struct error *err)
{
	struct snapshot *next = builder->next;
	const struct views_change change = {
	    .context = &builder->context,
	    .objects = next->objects,
	    .base = builder->base != NULL ? builder->base->views : NULL,
	    .gone = &builder->gone,
	    .fresh = &builder->fresh,
	};

	if (change.base == NULL || touches_views(&builder->gone) || touches_views(&builder->fresh))
		return views_new(&change, refusal, &next->views, err);
	next->views = views_ref((struct views *)(uintptr_t)change.base);
	return references_check_gone(next->objects, next->views, &builder->gone, refusal, err);
}

static int warm_entry(struct site_cache *sites, const struct entry *entry, struct snapshot_refusal *refusal,
                      struct error *err)
{
	CLEANUP(site_unref) struct site *site = NULL;
	struct error why = ERROR_NULL;
	struct site_source source;
	uint8_t aad[SNAPSHOT_AAD_MAX];
	int r;

	snapshot_site_source(entry, aad, &source);
	r = site_cache_get(sites, &source, &site, &why);
	if (r == E_NOMEM)
		return error_nomem(err);
	if (r < 0)
		return refuse(refusal, err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, "/cert", "%s", why.text);
	return 0;
}

/* Few certificates: parse them now, so that a bad one is refused and a good one costs no handshake its time. */
static int warm(struct snapshot_builder *builder, struct site_cache *sites, size_t max,
                struct snapshot_refusal *refusal, struct error *err)
{
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < builder->fresh.len; i++)
		count += builder->fresh.items[i]->kind == KIND_SSL;
	if (sites == NULL || count > max)
		return 0;
	for (size_t i = 0; i < builder->fresh.len && r == 0; i++) {
		if (builder->fresh.items[i]->kind == KIND_SSL)
			r = warm_entry(sites, builder->fresh.items[i], refusal, err);
	}
	return r;
}

int snapshot_builder_prepare(struct snapshot_builder *builder, struct site_cache *sites, size_t warm_max,
                             struct snapshot_refusal *refusal, struct error *err)
{
	int r;

	assert(!builder->prepared && builder->next->views == NULL);
	settle(builder);
	r = check_fresh(builder, refusal, err);
	if (r == 0)
		r = make_views(builder, refusal, err);
	if (r == 0)
		r = index_names(builder, err);
	if (r == 0)
		r = warm(builder, sites, warm_max, refusal, err);
	if (r < 0)
		return r;
	if (builder->base == NULL || builder_may_tighten(builder))
		builder->next->tightened = builder->next->revision;
	else
		builder->next->tightened = builder->base->tightened;
	selector_sums_prune(&builder->next->sums);
	builder->prepared = true;
	return 0;
}
