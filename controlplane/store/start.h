/* SPDX-License-Identifier: Apache-2.0 */
/* What store_open does after the lock: schema, first contents, standing contents. Internal to the store. */
#pragma once

#include "store/writer.h"

/* Brings the schema to this build's. *ret_empty: the store has no contents yet. */
int migrate(struct database *database, bool *ret_empty, struct error *err) MUST_USE;

/* First start, in one transaction: keyring fingerprint, CA, admin token, presets as revision 1. */
int first_start(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;
/* Later starts: keyring and CA are those of this store; presets as this build has them; a new epoch when asked for. */
int later_start(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;

/* The CA of the store, made or brought at first start, into store->ca and store->ca_key. */
int ca_create(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;
int ca_load(struct store_writer *writer, const struct store_config *config, struct error *err) MUST_USE;
/* What the CA's key is sealed for. Appends. */
int ca_key_aad(struct database *database, struct buf *aad, struct error *err) MUST_USE;
/* ca.pem, for people and for curl; nothing reads it back. */
int ca_write_file(struct store *store, struct error *err) MUST_USE;
