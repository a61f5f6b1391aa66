/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a store: made while a control plane runs on it, and put back. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

struct store_backup {
	const char *dir;     /* of the data */
	const char *file;    /* the copy of the database: one file, all of it sealed as in the store */
	const char *keyring; /* the copy of the keyring, or NULL: none */
};

/* Online: takes no lock, writes nothing into the data directory, sees one moment. Both files are made (0600) and durable, or neither
 * exists; one that exists is never replaced (E_EXISTS). The keyring has exactly the keys that this copy of the database needs, also in
 * the middle of a rotation. E_CORRUPT: the database is damaged. */
int store_backup(const struct store_backup *backup, struct error *err) MUST_USE;

/* Into a directory without a store (E_EXISTS), locked meanwhile (E_BUSY). keyring NULL: it is in the directory already. The restored
 * store begins a new epoch and has a new admin token (file admin.token) beside those of the copy. A kill at any instant leaves no store
 * there: do it again. E_CORRUPT: not a store, damaged, or another's keyring; E_VERSION: of a newer release. */
int store_restore(const struct store_backup *backup, struct error *err) MUST_USE;
