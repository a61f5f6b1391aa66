/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that must survive a power cut: replaced whole, synced, their folder synced. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stddef.h>

/* Appends the content to out. E_NOT_FOUND, E_TOO_LARGE beyond max, E_IO, E_NOMEM. */
int file_read(const char *path, size_t max, struct buf *out, struct error *err) MUST_USE;
/* Mode 0600; durable on return. E_NOSPACE, E_IO: the old one stands. */
int file_replace(const char *path, struct bytes content, struct error *err) MUST_USE;
/* rename(2), made durable. */
int file_rename(const char *from, const char *to, struct error *err) MUST_USE;
/* Makes dir (0700) when it is not there and locks it for this process: *ret_fd, held as long as the lock shall last.
 * E_BUSY. */
int file_lock_dir(const char *dir, int *ret_fd, struct error *err) MUST_USE;
