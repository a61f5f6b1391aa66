/* SPDX-License-Identifier: Apache-2.0 */
/* The degraded objects: where the world is not as the configuration wants. A set by (kind, id); the whole of it is
 * reported whenever it changes. Main loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/trie.h"
#include "model/kind.h"
#include "sync/announce.h"

#include <stdbool.h>
#include <stdint.h>

#define DEGRADED_REPORT_MAX 256 /* listed in one Report; the rest is counted */

struct degraded {
	struct trie objects;
	bool changed; /* since it was last reported */
};

void degraded_init(struct degraded *degraded, struct hash_key hash_key);
void degraded_deinit(struct degraded *degraded);

/* reason NULL: all is well with it. Without memory the object is not listed. */
void degraded_set(struct degraded *degraded, enum kind kind, const char *id, const char *reason);
/* Forgets objects that are no longer what they were. */
void degraded_prune(struct degraded *degraded, bool (*is_stale)(enum kind kind, const char *id, void *context),
                    void *context);
size_t degraded_count(const struct degraded *degraded);
/* Sends Report and clears `changed`. */
int degraded_report(struct degraded *degraded, const struct sender *sender, struct error *err) MUST_USE;
