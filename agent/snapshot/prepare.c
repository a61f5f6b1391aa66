/* SPDX-License-Identifier: Apache-2.0 */
/* Prepare: everything that can be refused about a snapshot, and the derived parts of it (names, views), at the cost of
 * what changed. Nothing that is served is touched; a refusal leaves no trace but parsed certificates in the bounded
 * cache. */
#include "model/body.h"
#include "snapshot/impl.h"
#include "snapshot/refuse.h"
#include "snapshot/ssl_scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool is_held(const struct snapshot *snapshot, const struct entry *entry)
{
	return trie_find(&snapshot->objects[entry->kind], entry_key(entry)) == entry;
}

static bool has_successor(const struct snapshot *snapshot, const struct entry *entry)
{
	return trie_find(&snapshot->objects[entry->kind], entry_key(entry)) != NULL;
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

static bool is_missing(const struct snapshot *next, enum kind kind, struct bytes id)
{
	return id.data != NULL && trie_find(&next->objects[kind], id) == NULL;
}

/* What an SSL object refers to. */
static int check_ssl_references(const struct snapshot *next, const struct entry *entry,
                                struct snapshot_refusal *refusal, struct error *err)
{
	struct ssl_scan scan = {0};

	if (!entry->refers || ssl_scan(entry->body, NULL, NULL, &scan) < 0)
		return 0;
	if (is_missing(next, KIND_TLS_OPTIONS, scan.tls_options))
		return refuse(refusal, err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, "/tls_options",
		              "TLS options \"%.*s\" are not in this holding", (int)scan.tls_options.len, scan.tls_options.data);
	if (is_missing(next, KIND_CA_BUNDLE, scan.ca_bundle))
		return refuse(refusal, err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, "/client/ca_bundle",
		              "CA bundle \"%.*s\" is not in this holding", (int)scan.ca_bundle.len, scan.ca_bundle.data);
	return 0;
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
		r = check_ssl_references(builder->next, entry, refusal, err);
		if (r < 0)
			return r;
	}
	return 0;
}

struct reference_check {
	const struct snapshot *next;
	struct snapshot_refusal *refusal;
	struct error *err;
};

static int check_value(void *value, void *context)
{
	struct reference_check *check = context;

	return check_ssl_references(check->next, value, check->refusal, check->err);
}

/* Who referred to something that went? Only when options or a bundle went without a successor, so that a walk over all
 * SSL objects is rare. Options and listeners are checked when the views are made. */
static int check_referrers(struct snapshot_builder *builder, struct snapshot_refusal *refusal, struct error *err)
{
	struct reference_check check = {builder->next, refusal, err};
	bool needed = false;

	for (size_t i = 0; i < builder->gone.len && !needed; i++) {
		const struct entry *entry = builder->gone.items[i];

		needed =
		    (entry->kind == KIND_TLS_OPTIONS || entry->kind == KIND_CA_BUNDLE) && !has_successor(builder->next, entry);
	}
	return needed ? trie_each(&builder->next->objects[KIND_SSL], check_value, &check) : 0;
}

static int index_names(struct snapshot_builder *builder, struct error *err)
{
	struct trie *names = &builder->next->names;
	int r = 0;

	for (size_t i = 0; i < builder->gone.len && r == 0; i++) {
		if (builder->gone.items[i]->kind == KIND_SSL)
			r = names_remove(names, builder->gone.items[i]);
	}
	for (size_t i = 0; i < builder->fresh.len && r == 0; i++) {
		if (builder->fresh.items[i]->kind == KIND_SSL)
			r = names_add(names, builder->fresh.items[i]);
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

static bool lost_ssl(const struct snapshot_builder *builder)
{
	for (size_t i = 0; i < builder->gone.len; i++) {
		if (builder->gone.items[i]->kind == KIND_SSL && !has_successor(builder->next, builder->gone.items[i]))
			return true;
	}
	return false;
}

static int make_views(struct snapshot_builder *builder, struct snapshot_refusal *refusal, struct error *err)
{
	const struct views *base = builder->base != NULL ? builder->base->views : NULL;
	struct snapshot *next = builder->next;
	int r;

	if (base != NULL && !touches_views(&builder->gone) && !touches_views(&builder->fresh)) {
		next->views = views_ref((struct views *)(uintptr_t)base);
		return lost_ssl(builder) ? views_check_default_ssl(base, &next->objects[KIND_SSL], refusal, err) : 0;
	}
	r = views_new(&builder->context, next->objects, base, refusal, &next->views, err);
	if (r < 0)
		return r;
	return views_check_default_ssl(next->views, &next->objects[KIND_SSL], refusal, err);
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
		r = check_referrers(builder, refusal, err);
	if (r == 0)
		r = make_views(builder, refusal, err);
	if (r == 0)
		r = index_names(builder, err);
	if (r == 0)
		r = warm(builder, sites, warm_max, refusal, err);
	if (r < 0)
		return r;
	selector_sums_prune(&builder->next->sums);
	builder->prepared = true;
	return 0;
}
