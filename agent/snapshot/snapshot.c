/* SPDX-License-Identifier: Apache-2.0 */
/* The value and its lookups. Everything here but snapshot_free only reads, so that workers may call it while they hold
 * the snapshot. */
#include "snapshot/snapshot.h"

#include "model/name.h"
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

const struct entry *snapshot_find(const struct snapshot *snapshot, enum kind kind, const char *id)
{
	if ((unsigned)kind >= SNAPSHOT_KINDS)
		return NULL;
	return trie_find(&snapshot->objects[kind], BYTES(id, strlen(id)));
}

static void *lookup_name(struct bytes key, void *context)
{
	const struct trie *names = context;

	return names_best(names, key);
}

const struct entry *snapshot_choose_ssl(const struct snapshot *snapshot, struct bytes name)
{
	struct trie names = snapshot->names; /* borrowed: a lookup changes nothing */

	return name_choose(name, lookup_name, &names);
}

const struct listener_view *snapshot_find_listener(const struct snapshot *snapshot, const char *address)
{
	const struct listener_slot *slot = views_find_listener(snapshot->views, address);

	return slot != NULL ? &slot->view : NULL;
}

size_t snapshot_listener_count(const struct snapshot *snapshot)
{
	return snapshot->views->listeners_len;
}

const struct listener_view *snapshot_listener(const struct snapshot *snapshot, size_t index)
{
	return &snapshot->views->listeners[index].view;
}

struct upstream *snapshot_find_upstream(const struct snapshot *snapshot, const char *id)
{
	const struct upstream_box *box = views_find_upstream(snapshot->views, id);

	return box != NULL ? box->upstream : NULL;
}

size_t snapshot_upstream_count(const struct snapshot *snapshot)
{
	return snapshot->views->upstreams_len;
}

struct upstream *snapshot_upstream(const struct snapshot *snapshot, size_t index)
{
	return snapshot->views->upstreams[index]->upstream;
}

const struct options_view *snapshot_find_options(const struct snapshot *snapshot, const char *id)
{
	const struct options_box *box = id != NULL ? views_find_options(snapshot->views, id) : snapshot->views->fallback;

	return box != NULL ? &box->view : NULL;
}

const Tlsplane__CaBundle *snapshot_find_bundle(const struct snapshot *snapshot, const char *id)
{
	const struct bundle_box *box = views_find_bundle(snapshot->views, id);

	return box != NULL ? (const Tlsplane__CaBundle *)box->body : NULL;
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
	for (unsigned i = 1; i < SNAPSHOT_KINDS; i++)
		trie_deinit(&snapshot->objects[i]);
	selector_sums_deinit(&snapshot->sums);
	free(snapshot);
	return NULL;
}
