/* SPDX-License-Identifier: Apache-2.0 */
/* What store_open does after the lock: schema, first contents, standing contents. Internal to the store. */
#pragma once

#include "store/writer.h"

#define STORE_DATABASE "store.db"
#define STORE_RESTORE "store.db.restore" /* what is being restored; never beside a store */

/* A directory, made if absent, locked; its database has this name and is not opened yet. */
int store_make(const char *dir, const char *database, struct store **ret, struct error *err) MUST_USE;
/* Opens it: schema, keyring, contents. restored: it must have contents, and gets an admin token of its own (file admin.token, unless
 * one that the store knows is there); the database is one file then. */
int store_start(struct store *store, const struct store_config *config, bool restored, struct error *err) MUST_USE;

/* Brings the schema to this build's. *ret_empty: the store has no contents yet. */
int migrate(struct database *database, bool *ret_empty, struct error *err) MUST_USE;

/* First start, in one transaction: keyring fingerprint, CA, admin token, presets as revision 1. */
int first_start(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;
/* After a restore: nobody may have the text of a token that the backup knows. */
int restored_start(struct store_writer *writer, struct error *err) MUST_USE;
/* Later starts: keyring and CA are those of this store; presets as this build has them; a new epoch when asked for. */
int later_start(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;

/* The CA of the store, made or brought at first start, into store->ca and store->ca_key. */
int ca_create(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;
int ca_load(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;
/* What the CA's key is sealed for. Appends. */
int ca_key_aad(struct database *database, struct buf *aad, struct error *err) MUST_USE;
/* ca.pem, for people and for curl; nothing reads it back. */
int ca_write_file(struct store *store, struct error *err) MUST_USE;
