/* SPDX-License-Identifier: Apache-2.0 */
/* What readers and the writer share inside the store. */
#pragma once

#include "store/database.h"
#include "store/store.h"

#include <openssl/types.h>

struct store {
	char *dir;
	char *path;  /* of the database */
	int lock_fd; /* -1: not locked */
	struct sealing *sealing; /* sealing.h */
	X509 *ca;
	EVP_PKEY *ca_key;
};

struct store_reader {
	struct store *store;
	struct database database;
	bool is_writers; /* inside a write transaction: begin and end mean nothing */
};

/* Borrows from the statement's row. */
int row_load(const struct statement *statement, struct store_row *row, struct error *err) MUST_USE;
#define ROW_COLUMNS 15 /* that row_load takes; further ones start here */
/* A row of its own memory. */
int row_copy(const struct store_row *row, struct store_row *ret, struct error *err) MUST_USE;

/* Steps through a started statement and calls fn per row until it returns other than 0. */
typedef int row_fn(const struct store_row *row, void *context);
int rows_each(struct statement *statement, row_fn *fn, void *context, struct error *err) MUST_USE;

/* Associated data of a sealed secret. */
void secret_aad(enum kind kind, const struct uid *uid, uint64_t version, struct buf *out);

int meta_get(struct database *database, const char *key, struct buf *out, struct error *err) MUST_USE; /* E_NOT_FOUND */
int meta_put(struct database *database, const char *key, struct bytes value, struct error *err) MUST_USE;
/* Numbers; absent is 0. */
int meta_get_number(struct database *database, const char *key, uint64_t *ret, struct error *err) MUST_USE;
int meta_set_number(struct database *database, const char *key, uint64_t value, struct error *err) MUST_USE;

int revision_load(const struct statement *statement, struct store_revision *ret, struct error *err) MUST_USE;
