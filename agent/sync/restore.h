/* SPDX-License-Identifier: Apache-2.0 */
/* The cached snapshot as a value again. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cache/cache.h"
#include "snapshot/snapshot.h"

/* E_CORRUPT, E_INVALID, E_SYNTAX, E_REFUSED: what is cached can't be represented; E_IO, E_NOMEM. No certificate is
 * parsed: a hundred thousand are loaded in a fifth of a second, and one that is bad must not keep the others from being
 * served. */
int restore_snapshot(struct cache *cache, const struct cache_start *start, const struct snapshot_context *context,
                     struct snapshot **ret, struct error *err) MUST_USE;
