/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of one update become a builder, checked as they come. Part of apply. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "snapshot/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

struct receive {
	struct snapshot_builder *builder; /* owned; NULL: no update under way */
	struct revision revision;
	struct digest chain;
	uint64_t puts, puts_max; /* seen, announced */
	bool resynced;           /* asked again since the last update that came out right */
};

/* Selectors whose digests differ; the texts are borrowed from builder and message. */
struct mismatch {
	char **selectors;
	size_t count, cap;
	bool failed; /* without memory */
};

void mismatch_deinit(struct mismatch *mismatch);
DEFINE_CLEANUP_VALUE(struct mismatch, mismatch_deinit);

/* All may fail with *refusal filled: E_REFUSED or E_NOMEM. After a resync the builder that is there goes on. */
int receive_begin(struct receive *receive, const struct snapshot_context *context, const struct snapshot *base,
                  const Tlsplane__UpdateBegin *begin, struct snapshot_refusal *refusal, struct error *err) MUST_USE;
int receive_objects(struct receive *receive, const Tlsplane__UpdateObjects *objects, struct snapshot_refusal *refusal,
                    struct error *err) MUST_USE;
/* Every selector listed has its digest, and none is held that isn't listed. E_NOMEM. */
int receive_compare(const struct receive *receive, const Tlsplane__UpdateEnd *end, struct mismatch *ret,
                    struct error *err) MUST_USE;
/* The builder, the caller's from now on; resets. */
struct snapshot_builder *receive_take(struct receive *receive);
void receive_reset(struct receive *receive); /* discards the builder; keeps `resynced` */
