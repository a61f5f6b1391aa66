/* SPDX-License-Identifier: Apache-2.0 */
/* The value and its lookups. Everything here but snapshot_free only reads, so that workers may call it while they hold
 * the snapshot. */
#include "snapshot/snapshot.h"

#include "resolve/decide.h"
#include "snapshot/impl.h"

#include <stdlib.h>
#include <string.h>

struct revision snapshot_revision(const struct snapshot *snapshot)
{
	return snapshot->revision;
}

const struct digest *snapshot_chain(const struct snapshot *snapshot)
{
	return &snapshot->chain;
}

size_t snapshot_object_count(const struct snapshot *snapshot, unsigned kind)
{
	size_t count = 0;

	if (kind > 0)
		return kind < SNAPSHOT_KINDS ? snapshot->objects[kind].count : 0;
	for (unsigned i = 1; i < SNAPSHOT_KINDS; i++)
		count += snapshot->objects[i].count;
	return count;
}

void snapshot_each_digest(const struct snapshot *snapshot,
                          void (*fn)(const char *selector, const struct digest *digest, void *context), void *context)
{
	for (size_t i = 0; i < snapshot->sums.len; i++) {
		const struct selector_sum *sum = &snapshot->sums.items[i];

		if (sum->objects > 0)
			fn(sum->text->text, &sum->digest, context);
	}
}

struct each {
	int (*fn)(const struct entry *entry, void *context);
	void *context;
};

static int each_value(void *value, void *context)
{
	const struct each *each = context;

	return each->fn(value, each->context);
}

int snapshot_each_entry(const struct snapshot *snapshot, int (*fn)(const struct entry *entry, void *context),
                        void *context)
{
	struct each each = {fn, context};
	int r = 0;

	for (unsigned i = 1; i < SNAPSHOT_KINDS && r == 0; i++)
		r = trie_each(&snapshot->objects[i], each_value, &each);
	return r;
}

_Static_assert(SNAPSHOT_PARTS == TRIE_PARTS, "the portions are the index's");

int snapshot_each_ssl(const struct snapshot *snapshot, unsigned part,
                      int (*fn)(const struct entry *entry, void *context), void *context)
{
	struct each each = {fn, context};

	return trie_each_part(&snapshot->objects[KIND_SSL], part, each_value, &each);
}

const struct entry *snapshot_find(const struct snapshot *snapshot, enum kind kind, const char *id)
{
	if ((unsigned)kind >= SNAPSHOT_KINDS)
		return NULL;
	return trie_find(&snapshot->objects[kind], BYTES(id, strlen(id)));
}

const struct entry *snapshot_best_ssl(const struct snapshot *snapshot, struct bytes key)
{
	return names_best(&snapshot->names, key);
}

const struct route_view *snapshot_choose_route(const struct snapshot *snapshot, struct bytes pattern,
                                               const char *listener_id)
{
	const struct route_view *best = NULL;
	struct entry *const *candidates;
	size_t count = names_candidates(&snapshot->patterns, pattern, &candidates);

	for (size_t i = 0; i < count; i++) {
		const struct route_box *box = views_find(snapshot->views, KIND_ROUTE, candidates[i]->id);
		bool names_it;

		if (!decide_route_is_for(box->view.body, listener_id, &names_it))
			continue;
		if (names_it)
			return &box->view;
		if (best == NULL)
			best = &box->view;
	}
	return best;
}

const struct listener_view *snapshot_find_listener(const struct snapshot *snapshot, const char *address)
{
	return views_find_listener(snapshot->views, address);
}

size_t snapshot_listener_count(const struct snapshot *snapshot)
{
	return snapshot->views->listeners_len;
}

const struct listener_view *snapshot_listener(const struct snapshot *snapshot, size_t index)
{
	return &snapshot->views->listeners[index];
}

const struct upstream_view *snapshot_find_upstream_view(const struct snapshot *snapshot, const char *id)
{
	const struct upstream_box *box = views_find(snapshot->views, KIND_UPSTREAM, id);

	return box != NULL ? &box->view : NULL;
}

struct upstream *snapshot_find_upstream(const struct snapshot *snapshot, const char *id)
{
	const struct upstream_view *view = snapshot_find_upstream_view(snapshot, id);

	return view != NULL ? view->upstream : NULL;
}

size_t snapshot_upstream_count(const struct snapshot *snapshot)
{
	return snapshot->views->upstreams_len;
}

struct upstream *snapshot_upstream(const struct snapshot *snapshot, size_t index)
{
	return snapshot->views->upstreams[index];
}

const struct options_view *snapshot_find_options(const struct snapshot *snapshot, const char *id)
{
	const struct options_box *box;

	if (id == NULL)
		return snapshot->views->fallback;
	box = views_find(snapshot->views, KIND_TLS_OPTIONS, id);
	return box != NULL ? &box->view : NULL;
}

const struct upstream_tls_view *snapshot_find_upstream_tls(const struct snapshot *snapshot, const char *id)
{
	const struct upstream_tls_box *box =
	    views_find(snapshot->views, KIND_UPSTREAM_TLS, id != NULL ? id : DECIDE_DEFAULT);

	return box != NULL ? &box->view : NULL;
}

struct origin_profile *snapshot_builtin_origin(const struct snapshot *snapshot)
{
	return snapshot->views->builtin_origin;
}

const Tlsplane__CaBundle *snapshot_find_bundle(const struct snapshot *snapshot, const char *id,
                                               const struct digest **ret_digest)
{
	const struct bundle_box *box = views_find(snapshot->views, KIND_CA_BUNDLE, id);

	if (box == NULL)
		return NULL;
	if (ret_digest != NULL)
		*ret_digest = &box->box.entry->digest;
	return (const Tlsplane__CaBundle *)box->box.body;
}

/* Associated data of a sealed secret: the object and its state, so that no secret can stand in for another. */
void snapshot_site_source(const struct entry *entry, uint8_t *aad, struct site_source *ret)
{
	static const char tag[] = "tlsplane/agent/secret/v1";
	size_t len = 0;

	memcpy(aad, tag, sizeof(tag));
	len += sizeof(tag);
	memcpy(aad + len, entry->uid.bytes, UID_LEN);
	len += UID_LEN;
	for (int shift = 56; shift >= 0; shift -= 8)
		aad[len++] = (uint8_t)(entry->version >> shift);
	_Static_assert(sizeof(tag) + UID_LEN + 8 <= SNAPSHOT_AAD_MAX, "the associated data fits");
	*ret = (struct site_source){
	    .digest = &entry->digest, .body = entry->body, .sealed = entry->sealed, .aad = BYTES(aad, len)};
}

struct snapshot *snapshot_free(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return NULL;
	views_unref(snapshot->views);
	trie_deinit(&snapshot->names);
	trie_deinit(&snapshot->patterns);
	for (unsigned i = 1; i < SNAPSHOT_KINDS; i++)
		trie_deinit(&snapshot->objects[i]);
	selector_sums_deinit(&snapshot->sums);
	free(snapshot);
	return NULL;
}
