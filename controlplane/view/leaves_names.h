/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves_compare looks at: names, and agents in groups of equal labels. Internal to the view layer. */
#pragma once

#include "view/leaves.h"

uint64_t leaves_now(void); /* milliseconds of a clock that never jumps */

/* A list of texts, zeroed to begin. */
struct leaf_names {
	char **items; /* owned */
	size_t len, cap;
};

int leaf_names_add(struct leaf_names *names, const char *name, struct error *err) MUST_USE;
void leaf_names_sort(struct leaf_names *names); /* each once */
void leaf_names_deinit(struct leaf_names *names);
DEFINE_CLEANUP_VALUE(struct leaf_names, leaf_names_deinit);

/* None when nothing differs that a leaf depends on. *omitted grows by the SSL objects that there was no room for. */
int leaf_names_collect(struct store_reader *reader, const struct leaves_question *question, size_t max, struct leaf_names *ret,
                       uint64_t *omitted, struct error *err) MUST_USE;

/* An agent with its labels at both moments, canonical; NULL: it is not there. */
struct leaf_agent {
	char id[ID_MAX + 1];
	char *before, *after; /* owned; may be the same */
};

struct leaf_roll {
	struct leaf_agent *agents; /* in order of their labels */
	size_t len, cap;
};

struct leaf_members {
	const char *before, *after;
	bool differs;
	const struct leaf_agent *agents;
	size_t len;
};

int leaf_roll_call(struct store_reader *reader, const struct leaves_question *question, struct leaf_roll *ret, struct error *err) MUST_USE;
void leaf_roll_deinit(struct leaf_roll *roll);
DEFINE_CLEANUP_VALUE(struct leaf_roll, leaf_roll_deinit);
/* The group that begins at *at. False: that was the last. */
bool leaf_roll_next(const struct leaf_roll *roll, size_t *at, struct leaf_members *ret);
