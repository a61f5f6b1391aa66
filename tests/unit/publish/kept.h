/* SPDX-License-Identifier: Apache-2.0 */
/* What a scripted agent keeps: objects with their digests, and the sums that it reports. */
#pragma once

#include "channel.pb-c.h"
#include "plane.h"

struct kept { /* an object */
	struct kept *next;
	unsigned kind;
	char id[ID_MAX + 1];
	char selector[320];
	struct digest digest;
};

static inline void kept_free_all(struct kept **list)
{
	for (struct kept *kept = *list, *next; kept != NULL; kept = next) {
		next = kept->next;
		free(kept);
	}
	*list = NULL;
}

static inline void kept_drop_selector(struct kept **list, const char *selector)
{
	for (struct kept **link = list; *link != NULL;) {
		struct kept *kept = *link;

		if (strcmp(kept->selector, selector) != 0) {
			link = &kept->next;
			continue;
		}
		*link = kept->next;
		free(kept);
	}
}

/* selector NULL: whatever it has. */
static inline void kept_remove(struct kept **list, unsigned kind, const char *id, const char *selector)
{
	for (struct kept **link = list; *link != NULL; link = &(*link)->next) {
		struct kept *kept = *link;

		if (kept->kind != kind || strcmp(kept->id, id) != 0)
			continue;
		if (selector == NULL || strcmp(kept->selector, selector) == 0) {
			*link = kept->next;
			free(kept);
		}
		return;
	}
}

static inline void kept_put(struct kept **list, const Tlsplane__Envelope *envelope)
{
	struct kept *kept = calloc(1, sizeof(*kept));
	struct object_view view = {.kind = envelope->kind,
	                           .id = envelope->id,
	                           .version = envelope->version,
	                           .selector = envelope->selector,
	                           .body = BYTES(envelope->body.data, envelope->body.len)};

	ck_assert_uint_eq(envelope->uid.len, UID_LEN);
	memcpy(view.uid.bytes, envelope->uid.data, UID_LEN);
	kept_remove(list, envelope->kind, envelope->id, NULL);
	kept->kind = envelope->kind;
	snprintf(kept->id, sizeof(kept->id), "%s", envelope->id);
	snprintf(kept->selector, sizeof(kept->selector), "%s", envelope->selector);
	OK(object_digest(&view, &kept->digest, &test_error));
	kept->next = *list;
	*list = kept;
}

static inline bool kept_has(struct kept *const *list, unsigned kind, const char *id)
{
	for (const struct kept *kept = *list; kept != NULL; kept = kept->next) {
		if (kept->kind == kind && strcmp(kept->id, id) == 0)
			return true;
	}
	return false;
}

#define SUMS_MAX 16

struct sums { /* digests of what a peer holds, by selector */
	size_t len;
	Tlsplane__SelectorDigest values[SUMS_MAX], *list[SUMS_MAX];
	struct digest digests[SUMS_MAX];
};

static inline int compare_sums(const void *a, const void *b)
{
	return strcmp((*(Tlsplane__SelectorDigest *const *)a)->selector, (*(Tlsplane__SelectorDigest *const *)b)->selector);
}

static inline void kept_sum(struct kept *const *list, struct sums *sums)
{
	memset(sums, 0, sizeof(*sums));
	for (struct kept *kept = *list; kept != NULL; kept = kept->next) {
		size_t i = 0;

		while (i < sums->len && strcmp(sums->values[i].selector, kept->selector) != 0)
			i++;
		if (i == sums->len) {
			ck_assert_uint_lt(i, SUMS_MAX);
			tlsplane__selector_digest__init(&sums->values[i]);
			sums->values[i].selector = kept->selector;
			sums->values[i].digest = (ProtobufCBinaryData){DIGEST_LEN, sums->digests[i].bytes};
			sums->list[i] = &sums->values[i];
			sums->len++;
		}
		digest_add(&sums->digests[i], &kept->digest);
	}
	qsort(sums->list, sums->len, sizeof(sums->list[0]), compare_sums);
}

static inline bool sums_are(const struct sums *sums, Tlsplane__SelectorDigest *const *digests, size_t len)
{
	if (len != sums->len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (strcmp(digests[i]->selector, sums->list[i]->selector) != 0 ||
		    memcmp(digests[i]->digest.data, sums->list[i]->digest.data, DIGEST_LEN) != 0)
			return false;
	}
	return true;
}
