/* SPDX-License-Identifier: Apache-2.0 */
/* Last known good: one SQLite file in the agent's data directory. Rows have validity intervals in generations, so a
 * change costs what it changes. Secrets rest sealed under the local keyring.
 *
 *   none --candidate durable--> CANDIDATE --mark--> CURRENT --next mark--> BEFORE --minutes later, or erased--> gone
 *                                   \--discard, or found at start: never served, counted as an attempt
 *
 * The high-water mark stands in a file of its own beside it. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "model/object.h"
#include "snapshot/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

struct cache;

struct cache_start {
	struct revision current; /* {0,0}: nothing cached */
	struct digest chain;
	struct revision high_water;
	struct revision crashed; /* {0,0}, or: fell back from this one, or it was found unmarked for the second time */
	bool fell_back;          /* at this start */
	bool swapped;            /* the file is older than the high-water mark, and no fall-back explains it */
	bool read_only;          /* could not be written (full disk): served from all the same, this start is not counted */
	bool set_aside;          /* the file was damaged, of a newer release or sealed under another keyring */
	char damage[256];        /* set_aside: what was wrong with it */
};

/* Opens or makes DIR/cache.db (DIR: 0700, exists), counts the start of *current* (the third death within a minute falls
 * back to the one before), drops an unmarked candidate after counting it. fingerprint: of the local keyring, 8 bytes.
 * E_CORRUPT, E_VERSION: not readable; with `repair` the file is set aside as cache.db.damaged-N instead and an empty
 * one made. E_IO: it can't be read now, and is left as it is. E_BUSY: another process has it. */
int cache_open(const char *dir, const uint8_t fingerprint[8], bool repair, struct cache **ret,
               struct cache_start *ret_start, struct error *err) MUST_USE;
/* After a fall-back, before anything else but cache_load: makes it durable if the one before could be loaded. It may
 * not be whole any more, since what the agent lost is erased from it too: then, or when it can't be made durable, all
 * is as if this start had not fallen back; *start says so, and current is to be loaded instead. No fall-back: does
 * nothing. */
int cache_settle(struct cache *cache, bool loaded, struct cache_start *start, struct error *err) MUST_USE;
struct cache *cache_close(struct cache *cache); /* an orderly end: the start no longer counts as a death */
DEFINE_CLEANUP(struct cache, cache_close);
/* What cache_load found damaged: sets the file aside, goes on with an empty one. The old cache is closed whatever
 * happens. */
int cache_replace_damaged(struct cache *damaged, const uint8_t fingerprint[8], struct cache **ret,
                          struct cache_start *ret_start, struct error *err) MUST_USE;
void cache_note_alive(struct cache *cache); /* a minute after start: clears the count */

/* Every object of current. Bytes are valid for the call. What fn returns other than 0 is returned; E_CORRUPT, E_IO,
 * E_NOMEM. */
int cache_load(struct cache *cache, int (*fn)(const struct snapshot_put *put, void *context, struct error *err),
               void *context, struct error *err) MUST_USE;

/* May this revision be tried? E_REFUSED: it crashed the agent before (twice as candidate, or as current). */
int cache_check_attempt(const struct cache *cache, struct revision revision, struct error *err) MUST_USE;
/* Writes what builder (prepared) changed as the durable candidate. E_NOSPACE, E_IO: nothing changed. One candidate at a
 * time. */
int cache_write_candidate(struct cache *cache, const struct snapshot_builder *builder, struct revision revision,
                          const struct digest *chain, struct error *err) MUST_USE;
/* The candidate is current; what was lost is erased from the one before too; high-water moves. May be called again
 * after a failure. */
int cache_mark(struct cache *cache, struct error *err) MUST_USE;
/* Ticket keys, sealed by the caller. load appends to out; E_NOT_FOUND: none. store replaces them, durably, and overwrites what they were;
 * empty: none are left. After a failure it may be called again: only then is all of the old gone. Not between a fall-back and
 * cache_settle. */
int cache_load_tickets(struct cache *cache, struct buf *out, struct error *err) MUST_USE;
int cache_store_tickets(struct cache *cache, struct bytes sealed, struct error *err) MUST_USE;
/* Some minutes later: the one before goes. A failure only delays it: call again. */
int cache_expire_before(struct cache *cache, struct error *err) MUST_USE;
