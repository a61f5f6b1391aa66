/* SPDX-License-Identifier: Apache-2.0 */
/* What `apply -f` would do: each object of the folder next to the one that the control plane has, and with pruning those that only the
 * control plane has. Both are compared in one spelling (normal.h). The ETags that were seen go into the request, so that what is done
 * is what was shown: if somebody else was faster, nothing is done. */
#pragma once

#include "base/macros.h"
#include "ctl/ctl.h"
#include "ctl/folder.h"

enum plan_op { PLAN_KEEP, PLAN_CREATE, PLAN_UPDATE, PLAN_DELETE, PLAN_OPS_ };

struct step {
	enum plan_op op;
	bool is_known; /* op is right, without a look at the object by itself */
	enum kind kind;
	char id[ID_MAX + 1];
	const struct wanted *wanted; /* NULL: PLAN_DELETE */
	json_t *before, *after;      /* owned; as normal_make; NULL where it is not, and of PLAN_KEEP */
	char etag[160];              /* of before */
};

struct plan {
	struct step *steps; /* owned */
	size_t len, cap;
	size_t counts[PLAN_OPS_];
};

void plan_deinit(struct plan *plan);
DEFINE_CLEANUP_VALUE(struct plan, plan_deinit);

/* One step for each object of the folder, which must outlive the plan. E_INVALID: what is wrong with them stands in ctl->details; nothing
 * was asked of the control plane. */
int plan_check(struct ctl *ctl, const struct folder *folder, struct plan *plan, struct error *err) MUST_USE;
/* Reads what the control plane has. */
int plan_compare(struct ctl *ctl, struct plan *plan, struct error *err) MUST_USE;
/* Adds a deletion for each object that has all the labels (not empty) and is not in the folder. E_SYNTAX: an object of the folder lacks
 * them: the next pruning would not know it. */
int plan_prune(struct ctl *ctl, const struct folder *folder, const json_t *labels, struct plan *plan, struct error *err) MUST_USE;

size_t plan_changes(const struct plan *plan);
void plan_put(const struct plan *plan, struct buf *out); /* the differences, and a last line that counts them */
/* As the API's diff of revisions: {"items": [...]}. New reference; NULL without memory. */
json_t *plan_render(const struct plan *plan);
/* The body of POST /v1/apply as NDJSON: what differs, or all of it. Holds keys. Its items are the steps in their order, those of
 * PLAN_KEEP left out unless all. */
int plan_encode(const struct plan *plan, bool all, struct buf *out, struct error *err) MUST_USE;
