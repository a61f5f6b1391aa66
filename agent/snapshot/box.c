/* SPDX-License-Identifier: Apache-2.0 */
/* Boxes, whatever their kind: counted, found by id, shared while the body is the same. */
#include "model/body.h"
#include "snapshot/references.h"
#include "snapshot/refuse.h"
#include "snapshot/views.h"

#include <stdlib.h>
#include <string.h>

struct box *box_ref(struct box *box)
{
	box->count++;
	return box;
}

struct box *box_unref(struct box *box)
{
	const struct box_ops *ops;

	if (box == NULL || --box->count > 0)
		return NULL;
	ops = &box_ops[box->entry->kind];
	if (ops->clear != NULL)
		ops->clear(box);
	body_free(box->body);
	entry_unref(box->entry);
	free(box);
	return NULL;
}

static struct bytes trie_key(const void *value)
{
	const struct box *box = value;

	return entry_key(box->entry);
}

static void trie_ref(void *value)
{
	box_ref(value);
}

static void trie_unref(void *value)
{
	box_unref(value);
}

const struct trie_ops box_trie_ops = {.key = trie_key, .ref = trie_ref, .unref = trie_unref};

static bool has_same_body(const struct entry *a, const struct entry *b)
{
	return a == b || (a->body.len == b->body.len && memcmp(a->body.data, b->body.data, a->body.len) == 0);
}

static bool is_current(const struct views_build *build, const struct box *known, const struct entry *entry)
{
	if (known == NULL || !has_same_body(known->entry, entry))
		return false;
	return entry->kind != KIND_UPSTREAM_TLS ||
	       upstream_tls_box_is_current(build->views, container_of(known, const struct upstream_tls_box, box));
}

static int box_new(struct views_build *build, struct entry *entry, ProtobufCMessage *body, struct box **ret)
{
	const struct box_ops *ops = &box_ops[entry->kind];
	struct box *box = calloc(1, ops->size);
	int r;

	if (box == NULL) {
		body_free(body);
		return error_nomem(build->err);
	}
	box->count = 1;
	box->entry = entry_ref(entry);
	box->body = body;
	r = ops->fill != NULL ? ops->fill(build, box) : 0;
	if (r < 0) {
		box_unref(box);
		return r;
	}
	*ret = box;
	return 0;
}

int box_make(struct views_build *build, struct entry *entry, struct box **ret)
{
	const struct box *known = build->base != NULL ? views_find(build->base, entry->kind, entry->id) : NULL;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int r;

	if (is_current(build, known, entry)) {
		*ret = box_ref((struct box *)(uintptr_t)known);
		return 0;
	}
	r = decode_checked(entry, &body, build->refusal, build->err);
	if (r == 0)
		r = references_check_own(build->objects, entry, body, build->refusal, build->err);
	return r == 0 ? box_new(build, entry, TAKE_PTR(body), ret) : r;
}
