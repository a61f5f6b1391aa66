/* SPDX-License-Identifier: Apache-2.0 */
/* Copying a database as SQLite sees it. Internal to the store. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <sqlite3.h>

/* Makes `to` (0600; what has that name goes, with its journals) of `from`, whoever else works on it, and checks it: one file, not yet
 * synced. *ret: a connection to the copy, to be closed by the caller. */
int copy_database(const char *from, const char *to, sqlite3 **ret, struct error *err) MUST_USE;
/* The file and what SQLite may have left beside it. */
void copy_remove(const char *path);
sqlite3 *copy_close(sqlite3 *handle); /* NULL allowed */
DEFINE_CLEANUP(sqlite3, copy_close);
