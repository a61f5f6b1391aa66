/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/receive.h"

#include "model/kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fills refusal from what a call said. kind 0: no object in particular. */
static int explain(struct snapshot_refusal *refusal, Tlsplane__NackCode code, unsigned kind, const char *id,
                   const struct error *err)
{
	*refusal = (struct snapshot_refusal){.code = err->code == E_NOMEM ? TLSPLANE__NACK_CODE__NACK_MEMORY : code,
	                                     .kind = (enum kind)kind};
	snprintf(refusal->id, sizeof(refusal->id), "%.*s", ID_MAX, id);
	snprintf(refusal->reason, sizeof(refusal->reason), "%.*s", (int)sizeof(refusal->reason) - 1, err->text);
	return err->code == E_NOMEM ? E_NOMEM : E_REFUSED;
}

static int open_builder(struct receive *receive, const struct snapshot_context *context, const struct snapshot *base,
                        struct error *err)
{
	if (receive->builder == NULL)
		return snapshot_builder_new(context, base, receive->revision, &receive->chain, &receive->builder, err);
	snapshot_builder_set_revision(receive->builder, receive->revision, &receive->chain);
	return 0;
}

int receive_begin(struct receive *receive, const struct snapshot_context *context, const struct snapshot *base,
                  const Tlsplane__UpdateBegin *begin, struct snapshot_refusal *refusal, struct error *err)
{
	int r;

	receive->revision = (struct revision){begin->epoch, begin->revision};
	memcpy(receive->chain.bytes, begin->chain.data, DIGEST_LEN);
	receive->puts = 0;
	receive->puts_max = begin->objects;
	r = open_builder(receive, context, base, err);
	for (size_t i = 0; i < begin->n_drop && r == 0; i++)
		r = snapshot_builder_drop(receive->builder, begin->drop[i], err);
	for (size_t i = 0; i < begin->n_reset && r == 0; i++)
		r = snapshot_builder_drop(receive->builder, begin->reset[i], err);
	return r < 0 ? explain(refusal, TLSPLANE__NACK_CODE__NACK_UNDECODABLE, 0, "", err) : 0;
}

static int put_envelope(struct receive *receive, const Tlsplane__Envelope *envelope, struct snapshot_refusal *refusal,
                        struct error *err)
{
	const struct kind_info *kind = kind_find(envelope->kind);
	struct snapshot_put put = {.object = {.kind = (enum kind)envelope->kind,
	                                      .id = envelope->id,
	                                      .version = envelope->version,
	                                      .selector = envelope->selector,
	                                      .body = BYTES(envelope->body.data, envelope->body.len)}};
	int r;

	if (kind == NULL || !kind->travels) {
		error_set(err, E_INVALID, "this agent does not know objects of kind %u", envelope->kind);
		return explain(refusal, TLSPLANE__NACK_CODE__NACK_UNKNOWN, envelope->kind, envelope->id, err);
	}
	if (envelope->uid.len != UID_LEN) {
		error_set(err, E_INVALID, "a uid of %zu bytes", envelope->uid.len);
		return explain(refusal, TLSPLANE__NACK_CODE__NACK_UNDECODABLE, envelope->kind, envelope->id, err);
	}
	memcpy(put.object.uid.bytes, envelope->uid.data, UID_LEN);
	if (envelope->has_secret)
		put.secret = BYTES(envelope->secret.data, envelope->secret.len);
	r = snapshot_builder_put(receive->builder, &put, err);
	return r < 0 ? explain(refusal, TLSPLANE__NACK_CODE__NACK_UNDECODABLE, envelope->kind, envelope->id, err) : 0;
}

int receive_objects(struct receive *receive, const Tlsplane__UpdateObjects *objects, struct snapshot_refusal *refusal,
                    struct error *err)
{
	for (size_t i = 0; i < objects->n_remove; i++) {
		const Tlsplane__Removal *removal = objects->remove[i];

		if (snapshot_builder_remove(receive->builder, (enum kind)removal->kind, removal->id, removal->selector, err) <
		    0)
			return explain(refusal, TLSPLANE__NACK_CODE__NACK_UNKNOWN, removal->kind, removal->id, err);
	}
	receive->puts += objects->n_put;
	if (receive->puts > receive->puts_max) {
		error_set(err, E_TOO_LARGE, "more objects than the %llu announced", (unsigned long long)receive->puts_max);
		return explain(refusal, TLSPLANE__NACK_CODE__NACK_LIMIT, 0, "", err);
	}
	for (size_t i = 0; i < objects->n_put; i++) {
		int r = put_envelope(receive, objects->put[i], refusal, err);

		if (r < 0)
			return r;
	}
	return 0;
}

void mismatch_deinit(struct mismatch *mismatch)
{
	free(mismatch->selectors);
}

static void add_mismatch(struct mismatch *mismatch, const char *selector)
{
	if (mismatch->count == mismatch->cap) {
		size_t cap = mismatch->cap > 0 ? 2 * mismatch->cap : 8;
		char **selectors = realloc(mismatch->selectors, cap * sizeof(char *));

		if (selectors == NULL) {
			mismatch->failed = true;
			return;
		}
		mismatch->selectors = selectors;
		mismatch->cap = cap;
	}
	mismatch->selectors[mismatch->count++] = (char *)(uintptr_t)selector;
}

struct comparison {
	const Tlsplane__UpdateEnd *end;
	struct mismatch *mismatch;
};

/* bsearch would rely on an order that the peer only promises. */
static void check_is_listed(const char *selector, const struct digest *digest, void *context)
{
	const struct comparison *comparison = context;

	for (size_t i = 0; i < comparison->end->n_digests; i++) {
		if (strcmp(comparison->end->digests[i]->selector, selector) == 0)
			return;
	}
	add_mismatch(comparison->mismatch, selector);
}

int receive_compare(const struct receive *receive, const Tlsplane__UpdateEnd *end, struct mismatch *ret,
                    struct error *err)
{
	struct comparison comparison = {end, ret};

	for (size_t i = 0; i < end->n_digests; i++) {
		const Tlsplane__SelectorDigest *expected = end->digests[i];
		struct digest digest;

		snapshot_builder_digest(receive->builder, expected->selector, &digest);
		if (expected->digest.len != DIGEST_LEN || memcmp(expected->digest.data, digest.bytes, DIGEST_LEN) != 0)
			add_mismatch(ret, expected->selector);
	}
	snapshot_builder_each_digest(receive->builder, check_is_listed, &comparison);
	return ret->failed ? error_nomem(err) : 0;
}

struct snapshot_builder *receive_take(struct receive *receive)
{
	struct snapshot_builder *builder = TAKE_PTR(receive->builder);

	*receive = (struct receive){0};
	return builder;
}

void receive_reset(struct receive *receive)
{
	bool resynced = receive->resynced;

	snapshot_builder_free(receive->builder);
	*receive = (struct receive){.resynced = resynced};
}
