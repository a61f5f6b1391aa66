/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the store: one writer, one transaction at a time, several revisions per commit (group commit). Only controlplane/change
 * may include this header (tests/lint checks it).
 *
 *     begin -> { savepoint -> put/delete... -> revision_end | savepoint_rollback }* -> commit | rollback
 */
#pragma once

#include "store/store.h"
#include "store/store_access.h"
#include "store/store_tickets.h"

struct store_writer; /* one connection, one thread */

int store_writer_open(struct store *store, struct store_writer **ret, struct error *err) MUST_USE;
struct store_writer *store_writer_close(struct store_writer *writer);
DEFINE_CLEANUP(struct store_writer, store_writer_close);

/* Sees the writer's own uncommitted rows; for all of store.h's reads inside the transaction. */
struct store_reader *store_writer_reader(struct store_writer *writer);

int store_write_begin(struct store_writer *writer, struct error *err) MUST_USE;
/* Durable when it returns 0 (synchronous=FULL). On failure everything since begin is undone. */
int store_write_commit(struct store_writer *writer, struct error *err) MUST_USE;
void store_write_rollback(struct store_writer *writer);

struct store_author {
	const char *actor, *request_id, *source;
	uint64_t now; /* unix seconds */
};

/* One revision inside the transaction; nothing else may be open. */
int store_revision_begin(struct store_writer *writer, const struct store_author *author, struct error *err) MUST_USE;
/* The number it will have. */
struct revision store_revision_next(const struct store_writer *writer);

/* How its summary is to begin, before anything is written: "rollback to 1-7: ". */
void store_revision_entitle(struct store_writer *writer, const char *title);

/* The uid of a new object is made here. A put with the same content as the current state is E_EXISTS and does nothing (the caller
 * decides what a no-op is worth); one that this revision has changed already is E_CONFLICT. secret: plain, sealed here;
 * NULL: none. names, refs, bind are indexed. ret_row: a copy, NULL when not wanted. After any other failure abort the revision. */
struct store_put {
	const struct resource *resource;
	struct bytes body;           /* final */
	const struct secret *secret; /* final */
};
int store_put(struct store_writer *writer, const struct store_put *put, struct store_row *ret_row, struct error *err) MUST_USE;
/* E_NOT_FOUND: no such current object. */
int store_delete(struct store_writer *writer, enum kind kind, const char *id, struct error *err) MUST_USE;

/* Writes the revision row with chain hash, selector digests, audit row; *ret tells. E_EXISTS when nothing changed: then no revision
 * was made and nothing written (store_audit can tell of it). The revision is over, whatever is returned. */
int store_revision_end(struct store_writer *writer, struct store_revision *ret, struct error *err) MUST_USE;
void store_revision_abort(struct store_writer *writer);
/* Would store_revision_end make one? */
bool store_revision_has_changes(const struct store_writer *writer);

/* Selectors whose content the newest ended revision touched. Valid until the next revision begins. */
size_t store_touched_count(const struct store_writer *writer);
const char *store_touched(const struct store_writer *writer, size_t index);

/* Cuts history (store_history.h): the floor rises to `floor`, and up to `max` rows of what is below go, in a transaction. *ret_done: all
 * of it is gone. */
int store_prune(struct store_writer *writer, uint64_t floor, size_t max, bool *ret_done, struct error *err) MUST_USE;
/* Erases the secrets of the object's ended states, in a transaction, outside revisions; *ret_count had one. They are out of the files when
 * store_clear_log has emptied the log after the commit. */
int store_purge_secrets(struct store_writer *writer, enum kind kind, const char *id, size_t *ret_count, struct error *err) MUST_USE;
/* Gives up to `max` states that an earlier release wrote what lists find them by (store_lists.h), in a transaction.
 * *ret_done: all have it. */
int store_fill_facets(struct store_writer *writer, size_t max, bool *ret_done, struct error *err) MUST_USE;

int store_audit(struct store_writer *writer, const struct store_author *author, const char *action, const char *outcome,
                struct error *err) MUST_USE; /* a refused write */
/* Tokens and receipts (store_access.h). E_EXISTS: the id is taken. E_NOT_FOUND. Whoever loses a token loses its receipts. */
int store_put_token(struct store_writer *writer, const struct store_token *token, struct error *err) MUST_USE;
int store_delete_token(struct store_writer *writer, const char *id, struct error *err) MUST_USE;
/* Does nothing when the token is gone. */
int store_use_token(struct store_writer *writer, const uint8_t sha256[32], uint64_t time, const char *from, struct error *err) MUST_USE;
/* Takes the place of one that is over; drops what is over, and of this token the oldest beyond STORE_RECEIPTS_MAX. */
int store_put_receipt(struct store_writer *writer, const struct store_receipt *receipt, struct error *err) MUST_USE;
/* Does nothing for an agent that does not exist. */
int store_put_agent_status(struct store_writer *writer, const struct store_agent_status *status, struct error *err) MUST_USE;
/* The set of `selector` becomes these keys (store_tickets.h); what is not among them is erased. Numbers of new keys were never used in
 * this set. A key's mark of being lost stays. Outside revisions. */
int store_put_ticket_keys(struct store_writer *writer, const char *selector, const struct store_ticket_key *keys, size_t len,
                          struct error *err) MUST_USE;
/* Marks as lost the keys of each set that labels `before` satisfy and `after` don't; after NULL: the agent is gone. Canonical texts. */
int store_lose_ticket_keys(struct store_writer *writer, const char *before, const char *after, struct error *err) MUST_USE;
/* Rotation of the keyring; every step may be the last before a kill (sealing.h). --------------------------------------- */

/* A new key, in the file when this returns. E_CONFLICT: one is being rotated out already. Whatever it returns, the transaction stands. */
int store_key_make(struct store_writer *writer, struct error *err) MUST_USE;
/* That key seals from the commit on. */
int store_key_add(struct store_writer *writer, const struct store_author *author, uint32_t *ret_id, struct error *err) MUST_USE;
/* A rotation is not over: there is a key that the newest takes the place of. */
bool store_has_old_key(const struct store_writer *writer);

/* A walk over what the oldest key still seals; zeroed to begin. */
struct store_reseal {
	size_t place;
	int64_t after;
	uint64_t stuck; /* values that can't be opened: they stay, and so must the key */
	char why[256];  /* of the first of them */
};

/* Seals anew up to `max` values. *ret_done: the walk is over. */
int store_reseal(struct store_writer *writer, struct store_reseal *walk, size_t max, bool *ret_done, struct error *err) MUST_USE;
/* Outside a transaction: what is in the write-ahead log goes into the database. *ret_left: pages that had to stay. whole: all of it, and
 * the log is emptied, so that nothing which was overwritten stands anywhere, and no reader sees it; E_BUSY when one does: later. */
int store_clear_log(struct store_writer *writer, bool whole, uint64_t *ret_left, struct error *err) MUST_USE;
/* After the log was cleared, in a transaction: the store needs the oldest key no more. E_CONFLICT: it still seals something. */
int store_key_retire(struct store_writer *writer, const struct store_author *author, struct error *err) MUST_USE;
/* After its commit: the key leaves memory and file. */
int store_key_forget(struct store_writer *writer, struct error *err) MUST_USE;

/* True if an agent ever had this id. */
int store_agent_id_is_used(struct store_writer *writer, const char *id, bool *ret, struct error *err) MUST_USE;
