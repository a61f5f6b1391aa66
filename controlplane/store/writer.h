/* SPDX-License-Identifier: Apache-2.0 */
/* The writer's state, shared by the files that write. Internal to the store.
 *
 *     IDLE --begin--> OPEN --revision_begin--> REVISION
 *       ^             |  ^                        |
 *       +---commit----+  +---revision_end/abort---+
 *          rollback (from OPEN or REVISION) */
#pragma once

#include "base/trie.h"
#include "store/reader.h"
#include "store/store_write.h"

enum writer_state { WRITER_IDLE, WRITER_OPEN, WRITER_REVISION };

/* Running sum of one selector in the open revision. */
struct selector_sum {
	struct digest digest;
	uint64_t objects;
	char selector[]; /* key in writer->sums */
};

struct store_writer {
	struct store_reader reader; /* its connection is the one that writes */
	enum writer_state state;
	struct store_revision head; /* as of the last revision ended in the transaction */
	struct store_author author; /* borrowed while a revision is open */
	bool key_added;             /* by this transaction: it seals from the commit on */
	bool spoilt;                /* what was refused in it could not be undone, for want of memory: it is never committed */

	/* The open revision. */
	struct revision next;
	uint32_t ordinal;             /* of the next new object */
	struct chain_change *changes; /* ids owned */
	size_t changes_len, changes_cap;
	char summary[256];
	size_t summary_len;
	size_t title_len; /* of it */
	uint32_t summary_left_out;
	struct trie sums;              /* finds, owns nothing */
	struct selector_sum **touched; /* owned */
	size_t touched_len, touched_cap;
};

/* SQLite undoes the whole transaction by itself on some failures (disk full, I/O, memory); what runs after that would
 * commit by itself. Fails, with the code of that failure, when it has happened. */
int writer_check(struct store_writer *writer, struct error *err) MUST_USE;
/* Drops what is known of the open or newest revision. */
void writer_forget_revision(struct store_writer *writer);
/* Adds or takes away one held object. */
int sums_change(struct store_writer *writer, const char *selector, const struct digest *digest, bool add,
                struct error *err) MUST_USE;
/* For the chain hash, the summary and the list of changed ids. */
int note_change(struct store_writer *writer, const struct object_view *object, bool deleted,
                const struct digest *digest, struct error *err) MUST_USE;

/* As store_revision_begin; the revision belongs to the next epoch. */
int revision_begin_epoch(struct store_writer *writer, const struct store_author *author, struct error *err) MUST_USE;
/* As store_revision_end; a revision without changes is made when allow_empty says so. summary: NULL for one made of the
 * changes. */
int revision_end_as(struct store_writer *writer, const char *summary, bool allow_empty, struct store_revision *ret,
                    struct error *err) MUST_USE;
