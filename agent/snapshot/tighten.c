/* SPDX-License-Identifier: Apache-2.0 */
/* Could a connection that passed before be refused now? Each snapshot carries the revision of the last change that
 * could do that, so that any two can be compared, whatever lay between them.
 *
 * Options, bundles, routes and listeners always count. An SSL object counts when it came, went, or changed in more than
 * its pairs while there are any rules for clients at all: a name may now lead to other rules. */
#include "snapshot/impl.h"
#include "snapshot/scan.h"

static bool always_counts(const struct entry *entry)
{
	return entry->kind == KIND_TLS_OPTIONS || entry->kind == KIND_CA_BUNDLE || entry->kind == KIND_ROUTE ||
	       entry->kind == KIND_LISTENER;
}

static const struct entry *find_other(const struct snapshot *snapshot, const struct entry *entry)
{
	return trie_find(&snapshot->objects[entry->kind], entry_key(entry));
}

/* other: the same object on the other side of the change, or NULL. */
static bool changes_words(const struct entry *entry, const struct entry *other)
{
	if (entry->kind != KIND_SSL || entry->client_type)
		return false;
	return other == NULL || !scan_ssl_has_same_words(entry->body, other->body);
}

static int has_rules(void *value, void *context)
{
	const struct options_box *box = value;

	return box->view.body->client_auth != NULL;
}

bool builder_may_tighten(const struct snapshot_builder *builder)
{
	const struct snapshot *next = builder->next;
	bool words = false;

	for (size_t i = 0; i < builder->gone.len; i++) {
		const struct entry *entry = builder->gone.items[i];

		if (always_counts(entry))
			return true;
		words = words || changes_words(entry, find_other(next, entry));
	}
	for (size_t i = 0; i < builder->fresh.len; i++) {
		const struct entry *entry = builder->fresh.items[i];

		if (always_counts(entry))
			return true;
		words = words || changes_words(entry, find_other(builder->base, entry));
	}
	return words && (next->asking > 0 || trie_each(&next->views->boxes[KIND_TLS_OPTIONS], has_rules, NULL) != 0);
}

bool snapshot_may_tighten(const struct snapshot *before, const struct snapshot *after)
{
	return before != NULL &&
	       (before->tightened.epoch != after->tightened.epoch || before->tightened.number != after->tightened.number);
}
