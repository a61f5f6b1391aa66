/* SPDX-License-Identifier: Apache-2.0 */
/* The keyring of an open store: what seals, what opens, and how one key takes the place of another while all of it runs. Internal to
 * the store.
 *
 * What stands where, step by step. A kill after any of them leaves what the next start can tell apart (sealing_check):
 *
 *     step                                          file   sealing_key   memory   seals
 *     at rest                                       1      1             1        1
 *     store_key_add: file written                   1 2    1             1        1
 *       its transaction committed                   1 2    1 2           1 2      2
 *     store_reseal, many transactions               1 2    1 2           1 2      2
 *     store_clear_log; store_key_retire committed   1 2    2             1 2      2
 *     store_key_forget                              2      2             2        2
 *
 * A row without its key in the file: the wrong keyring, refused. A key of the file without a row is taken in when it is newer than
 * those with one, or seals something; else it leaves the file.
 *
 * Secrets are sealed on the writer's thread, inside the transaction that writes them, and nowhere else: so whatever an old key sealed is
 * in the database before the walk that re-seals it begins. They are opened by any thread, inside the read transaction that read them:
 * the log can be cleared only when no reader sees what was there before, so no reader needs a key that has left. */
#pragma once

#include "store/writer.h"

#include <pthread.h>

struct sealing {
	pthread_rwlock_t lock; /* of keyring: changed by the writer's thread alone */
	struct keyring *keyring;
	struct keyring *next; /* the writer's: in the file, not committed yet; or NULL */
	char *path;           /* of the file */
	bool is_behind;       /* while it opens: the file has keys that the store has given up */
};

/* Loads the keyring of the directory, or makes it. E_CORRUPT when it is missing and not `create`. */
int sealing_open(struct store *store, bool create, struct error *err) MUST_USE;
struct sealing *sealing_free(struct sealing *sealing); /* NULL allowed */
/* In the transaction of a first start: the keys of the file become the store's. */
int sealing_adopt(struct store_writer *writer, uint64_t made, struct error *err) MUST_USE;
/* In the transaction of a later start: the file is the one that sealed this store, and says what this store says. */
int sealing_check(struct store_writer *writer, struct error *err) MUST_USE;
/* After it: the file follows. */
int sealing_save(struct sealing *sealing, struct error *err) MUST_USE;
/* Takes `keyring` over; the one before is wiped. The writer's thread. */
void sealing_put(struct sealing *sealing, struct keyring *keyring);
/* The transaction that added a key has been committed. */
void sealing_take_next(struct store *store);

/* The writer's thread, in a transaction (above). Appends. */
int store_seal(const struct store *store, struct bytes aad, struct bytes plain, struct buf *out, struct error *err) MUST_USE;
int store_unseal(const struct store *store, struct bytes aad, struct bytes sealed, struct secret **ret, struct error *err) MUST_USE;
/* Seals anew what was sealed before, under the newest key. */
int store_seal_anew(const struct store *store, struct bytes aad, struct bytes sealed, struct buf *out, struct error *err) MUST_USE;

/* How a key id stands in a sealed value, and in the columns sealed_by. */
#define SEALED_BY_LEN 4
void sealed_by(uint32_t id, uint8_t ret[SEALED_BY_LEN]);

/* Rows of sealing_key. */
struct sealing_row {
	struct keyring_entry entry;
	uint64_t made;
};

struct sealing_rows {
	struct sealing_row rows[KEYRING_KEYS_MAX];
	size_t len;
};

int sealing_rows_load(struct database *database, struct sealing_rows *ret, struct error *err) MUST_USE;
const struct sealing_row *sealing_rows_find(const struct sealing_rows *rows, const struct keyring_entry *entry);
int sealing_row_put(struct database *database, const struct sealing_row *row, struct error *err) MUST_USE;
/* A copy of the keyring with only the keys that have a row; NULL when all have one. */
int sealing_trim(const struct keyring *keyring, const struct sealing_rows *rows, struct keyring **ret, struct error *err) MUST_USE;

/* reseal.c: how many values the key still seals. */
int sealed_count(struct database *database, uint32_t id, uint64_t *ret, struct error *err) MUST_USE;
