/* SPDX-License-Identifier: Apache-2.0 */
/* What one agent holds and what it should hold, selector by selector, and the plan that turns one into the other.
 *
 *     plan: what each selector needs     commit: the agent has taken the plan     cancel: it has not
 *
 * Selectors are those that the agent's labels satisfy (wanted) and those of which it has objects (held). */
#pragma once

#include "channel.pb-c.h"
#include "selectors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLDING_SELECTORS_MAX 4096 /* that an agent may report */

enum holding_act {
	HOLDING_KEEP,
	HOLDING_DROP,
	HOLDING_WHOLE,
	HOLDING_DELTA,
};

struct holding_item {
	struct selector *selector; /* a reference */
	uint64_t since;    /* held: the agent's content is that of this revision; dropped: the revision that dropped it */
	bool wanted;       /* labels satisfy the selector */
	bool held;         /* the agent has objects of it */
	bool whole;        /* what it has is not to be built on */
	bool planned_held; /* what `held` becomes with the plan */
	enum holding_act plan; /* KEEP when no plan is under way */
};

struct holding {
	struct holding_item *items; /* by selector text, ascending */
	size_t len, cap;
};

#define HOLDING_NULL ((struct holding){0})

void holding_deinit(struct holding *holding, struct selector_table *table);

/* Takes over what an agent says it holds: equal digests are current as they are; others are as of revision `base`, or
 * to be sent whole (base 0: the agent's state is not in this history). E_PROTOCOL: too many, no selector, a digest of
 * another length. */
int holding_report(struct holding *holding, struct selector_table *table, Tlsplane__SelectorDigest *const *digests,
                   size_t len, uint64_t base, struct error *err) MUST_USE;

/* New labels (canonical text). */
int holding_relabel(struct holding *holding, struct selector_table *table, const char *labels,
                    struct error *err) MUST_USE;
/* One selector more that the labels satisfy. */
int holding_want(struct holding *holding, struct selector_table *table, struct selector *selector,
                 struct error *err) MUST_USE;

/* What an item needs now. */
enum holding_act holding_item_need(const struct holding_item *item);
/* Nothing is needed. */
bool holding_is_current(const struct holding *holding);
/* Something is needed that was not when `revision` was the newest. */
bool holding_has_news(const struct holding *holding, uint64_t revision);

/* What a change of the selector at `revision` did or does to this agent. */
bool holding_item_is_concerned(const struct holding_item *item, uint64_t revision);

/* Puts each item's need in its plan. */
void holding_plan(struct holding *holding, struct selector_table *table);
bool holding_is_dropping(const struct holding *holding); /* the plan drops a selector */
void holding_commit(struct holding *holding, uint64_t revision);
void holding_cancel(struct holding *holding);

/* Are these the digests of what should be held now? Marks none. */
bool holding_is_equal(const struct holding *holding, Tlsplane__SelectorDigest *const *digests, size_t len);
/* Lets each held or wanted selector whose digest differs be sent whole. */
void holding_doubt_unequal(struct holding *holding, Tlsplane__SelectorDigest *const *digests, size_t len);
/* Lets one selector be sent whole; false: it is none of this holding. */
bool holding_doubt(struct holding *holding, const char *selector);

/* The digests of what should be held now, for a message; one allocation, freed with free. NULL without memory. */
struct holding_digests {
	size_t len;
	Tlsplane__SelectorDigest **list;
};
struct holding_digests *holding_digests_new(const struct holding *holding);
