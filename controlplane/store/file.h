/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of the data directory: whole, durable, or not there. Internal to the store. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <sys/types.h>

#define FILE_MAX_BYTES (1024 * 1024)

/* "DIR/NAME", malloc'd; NULL without memory. */
char *file_path(const char *dir, const char *name);
/* Replaces dir/name by these bytes: written beside it, synced, renamed, the directory synced. */
int file_write(const char *dir, const char *name, mode_t mode, struct bytes data, struct error *err) MUST_USE;
/* Appends the contents to out; E_TOO_LARGE beyond FILE_MAX_BYTES. */
int file_read(const char *path, struct buf *out, struct error *err) MUST_USE;
/* Makes the file, empty, if it is absent. */
int file_touch(const char *dir, const char *name, mode_t mode, struct error *err) MUST_USE;
