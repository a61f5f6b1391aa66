/* SPDX-License-Identifier: Apache-2.0 */
/* The builder: a snapshot in the making and the journal of what changed against its base.
 *
 *   OPEN --drop, remove, put--> OPEN --prepare--> PREPARED --finish--> the snapshot
 *     \--any failure: can only be freed
 *
 * drop, remove and put touch the tries of objects and the sums alone; names and views follow from the settled journal
 * in prepare.c. */
#include "base/error.h"
#include "model/selector.h"
#include "snapshot/impl.h"
#include "snapshot/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct snapshot *snapshot_new(const struct snapshot_context *context, const struct snapshot *base)
{
	struct snapshot *next = calloc(1, sizeof(*next));

	if (next == NULL)
		return NULL;
	if (base == NULL) {
		for (unsigned i = 1; i < SNAPSHOT_KINDS; i++)
			trie_init(&next->objects[i], &entry_trie_ops, context->hash_key);
		trie_init(&next->names, &names_trie_ops, context->hash_key);
		trie_init(&next->patterns, &names_trie_ops, context->hash_key);
		return next;
	}
	if (selector_sums_copy(&base->sums, &next->sums) < 0) {
		free(next);
		return NULL;
	}
	for (unsigned i = 1; i < SNAPSHOT_KINDS; i++)
		trie_clone(&base->objects[i], &next->objects[i]);
	trie_clone(&base->names, &next->names);
	trie_clone(&base->patterns, &next->patterns);
	next->asking = base->asking;
	return next;
}

int snapshot_builder_new(const struct snapshot_context *context, const struct snapshot *base, struct revision revision,
                         const struct digest *chain, struct snapshot_builder **ret, struct error *err)
{
	struct snapshot_builder *builder = calloc(1, sizeof(*builder));

	if (builder == NULL)
		return error_nomem(err);
	builder->next = snapshot_new(context, base);
	if (builder->next == NULL) {
		free(builder);
		return error_nomem(err);
	}
	builder->context = *context;
	builder->base = base;
	builder->trusted = true;
	builder->next->revision = revision;
	builder->next->chain = *chain;
	*ret = builder;
	return 0;
}

struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *builder)
{
	if (builder == NULL)
		return NULL;
	entry_list_deinit(&builder->gone);
	entry_list_deinit(&builder->fresh);
	snapshot_free(builder->next);
	free(builder);
	return NULL;
}

void snapshot_builder_set_revision(struct snapshot_builder *builder, struct revision revision,
                                   const struct digest *chain)
{
	builder->next->revision = revision;
	builder->next->chain = *chain;
}

static struct entry *find_in(const struct snapshot *snapshot, unsigned kind, const char *id)
{
	return snapshot != NULL ? trie_find(&snapshot->objects[kind], BYTES(id, strlen(id))) : NULL;
}

/* Takes entry out of the sums and, if base has it, into the journal; the caller takes it out of the trie. */
static int let_go(struct snapshot_builder *builder, struct entry *entry, struct error *err)
{
	struct selector_sum *sum;
	size_t at;

	if (find_in(builder->base, entry->kind, entry->id) == entry && entry_list_add(&builder->gone, entry) < 0)
		return error_nomem(err);
	sum = selector_sums_find(&builder->next->sums, entry->selector, &at);
	assert(sum != NULL && sum->objects > 0);
	digest_subtract(&sum->digest, &entry->digest);
	sum->objects--;
	builder->next->asking -= entry->has_client;
	return 0;
}

static int remove_entry(struct snapshot_builder *builder, struct entry *entry, struct error *err)
{
	CLEANUP(entry_unref) struct entry *held = entry_ref(entry);
	int r = let_go(builder, held, err);

	if (r < 0)
		return r;
	r = trie_remove(&builder->next->objects[held->kind], entry_key(held));
	return r < 0 ? error_nomem(err) : 0;
}

struct selection {
	const char *selector;
	struct entry_list entries;
};

static int select_entry(void *value, void *context)
{
	struct selection *selection = context;
	struct entry *entry = value;

	return strcmp(entry->selector, selection->selector) == 0 ? entry_list_add(&selection->entries, entry) : 0;
}

int snapshot_builder_drop(struct snapshot_builder *builder, const char *selector, struct error *err)
{
	struct selection selection = {.selector = selector};
	struct selector_sum *sum;
	size_t at;
	int r = 0;

	assert(!builder->prepared);
	sum = selector_sums_find(&builder->next->sums, selector, &at);
	if (sum == NULL || sum->objects == 0)
		return 0;
	for (unsigned kind = 1; kind < SNAPSHOT_KINDS && r == 0; kind++)
		r = trie_each(&builder->next->objects[kind], select_entry, &selection);
	if (r < 0)
		r = error_nomem(err);
	for (size_t i = 0; i < selection.entries.len && r == 0; i++)
		r = remove_entry(builder, selection.entries.items[i], err);
	entry_list_deinit(&selection.entries);
	return r;
}

int snapshot_builder_remove(struct snapshot_builder *builder, enum kind kind, const char *id, const char *selector,
                            struct error *err)
{
	struct entry *entry;

	assert(!builder->prepared);
	if ((unsigned)kind == 0 || (unsigned)kind >= SNAPSHOT_KINDS)
		return error_set(err, E_INVALID, "kind %u does not travel", (unsigned)kind);
	entry = find_in(builder->next, kind, id);
	if (entry == NULL || strcmp(entry->selector, selector) != 0)
		return 0;
	return remove_entry(builder, entry, err);
}

static int check_put(const struct snapshot_put *put, struct error *err)
{
	const struct object_view *object = &put->object;
	const struct kind_info *kind = kind_find(object->kind);

	if (kind == NULL || !kind->travels || (unsigned)object->kind >= SNAPSHOT_KINDS)
		return error_set(err, E_INVALID, "kind %u is not known here", (unsigned)object->kind);
	if (!kind_is_id(object->id, strlen(object->id)))
		return error_set(err, E_INVALID, "not an id");
	if (object->body.len > UINT32_MAX)
		return error_set(err, E_INVALID, "body too large");
	if (kind->has_secret != (put->secret.len + put->sealed.len > 0))
		return error_set(err, E_INVALID,
		                 kind->has_secret ? "the secret is missing" : "a secret that does not belong here");
	return selector_check(object->selector, err);
}

static int seal_secret(const struct snapshot_builder *builder, const struct entry_parts *parts, struct bytes secret,
                       struct buf *out, struct error *err)
{
	struct entry place = {.uid = parts->object.uid, .version = parts->object.version};
	struct site_source source;
	uint8_t aad[SNAPSHOT_AAD_MAX];

	snapshot_site_source(&place, aad, &source);
	return keyring_seal(builder->context.keyring, source.aad, secret, out, err);
}

/* What the indexes need, read once. */
static int scan_body(const struct object_view *object, struct entry_parts *parts, struct error *err)
{
	struct scan_ssl scan;
	int r = 0;

	if (object->kind == KIND_ROUTE)
		r = scan_route(object->body, &parts->priority);
	if (object->kind == KIND_SSL) {
		r = scan_ssl(object->body, &scan);
		if (r == 0) {
			parts->priority = scan.priority;
			parts->refers = scan.tls_options.data != NULL || scan.ca_bundle.data != NULL;
			parts->has_client = scan.client.data != NULL;
			parts->client_type = scan.client_type;
			parts->not_after = scan.not_after;
		}
	}
	return r < 0 ? error_set(err, E_SYNTAX, "the body is not a protobuf message") : 0;
}

static int make_entry(struct snapshot_builder *builder, const struct snapshot_put *put, const struct digest *digest,
                      struct entry **ret, struct error *err)
{
	struct entry_parts parts = {.object = put->object, .digest = digest, .sealed = put->sealed};
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	CLEANUP(entry_unref) struct entry *entry = NULL;
	struct selector_sum *sum;
	int r = scan_body(&put->object, &parts, err);

	if (r == 0 && put->secret.len > 0) {
		r = seal_secret(builder, &parts, put->secret, &sealed, err);
		parts.sealed = BYTES(sealed.data, sealed.len);
	}
	if (r < 0)
		return r;
	if (selector_sums_make(&builder->next->sums, put->object.selector, &sum) < 0)
		return error_nomem(err);
	parts.selector = sum->text;
	entry = entry_new(&parts);
	if (entry == NULL || entry_list_add(&builder->fresh, entry) < 0)
		return error_nomem(err);
	*ret = TAKE_PTR(entry);
	return 0;
}

/* entry takes its place, whoever had it. */
static int place_entry(struct snapshot_builder *builder, struct entry *entry, struct error *err)
{
	CLEANUP(entry_unref) struct entry *old = find_in(builder->next, entry->kind, entry->id);
	struct selector_sum *sum;
	int r;

	if (old != NULL) {
		entry_ref(old);
		r = let_go(builder, old, err);
		if (r < 0)
			return r;
	}
	if (selector_sums_make(&builder->next->sums, entry->selector, &sum) < 0)
		return error_nomem(err);
	if (trie_put(&builder->next->objects[entry->kind], entry) < 0)
		return error_nomem(err);
	digest_add(&sum->digest, &entry->digest);
	sum->objects++;
	builder->next->asking += entry->has_client;
	return 0;
}

int snapshot_builder_put(struct snapshot_builder *builder, const struct snapshot_put *put, struct error *err)
{
	CLEANUP(entry_unref) struct entry *entry = NULL;
	struct digest digest;
	int r;

	assert(!builder->prepared);
	r = check_put(put, err);
	if (r < 0)
		return r;
	if (put->digest == NULL) {
		builder->trusted = false;
		r = object_digest(&put->object, &digest, err);
		if (r < 0)
			return r;
	} else {
		digest = *put->digest;
	}
	entry = find_in(builder->base, put->object.kind, put->object.id);
	if (entry != NULL && digest_is_equal(&entry->digest, &digest)) {
		entry_ref(entry);
		if (find_in(builder->next, entry->kind, entry->id) == entry)
			return 0;
		builder->restored = true;
	} else {
		entry = NULL;
		r = make_entry(builder, put, &digest, &entry, err);
		if (r < 0)
			return r;
	}
	return place_entry(builder, entry, err);
}

void snapshot_builder_digest(const struct snapshot_builder *builder, const char *selector, struct digest *ret)
{
	size_t at;
	const struct selector_sum *sum = selector_sums_find(&builder->next->sums, selector, &at);

	*ret = sum != NULL ? sum->digest : DIGEST_NULL;
}

void snapshot_builder_each_digest(const struct snapshot_builder *builder,
                                  void (*fn)(const char *selector, const struct digest *digest, void *context),
                                  void *context)
{
	snapshot_each_digest(builder->next, fn, context);
}

size_t snapshot_builder_gone_count(const struct snapshot_builder *builder)
{
	return builder->gone.len;
}

const struct entry *snapshot_builder_gone(const struct snapshot_builder *builder, size_t index)
{
	return builder->gone.items[index];
}

size_t snapshot_builder_new_count(const struct snapshot_builder *builder)
{
	return builder->fresh.len;
}

const struct entry *snapshot_builder_new_entry(const struct snapshot_builder *builder, size_t index)
{
	return builder->fresh.items[index];
}

struct snapshot *snapshot_builder_finish(struct snapshot_builder *builder)
{
	struct snapshot *next;

	assert(builder->prepared);
	next = TAKE_PTR(builder->next);
	snapshot_builder_free(builder);
	return next;
}
