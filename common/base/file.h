/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of a data directory that must survive a power cut: written beside their place (PATH.new), synced, put
 * there by one rename or link, their folder synced. After a crash each is the old one or the new one, never a part; a
 * PATH.new that was left is overwritten. Whoever writes has the folder to itself: file_lock_dir. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stddef.h>
#include <sys/types.h>

/* Appends the content to out. E_NOT_FOUND, E_TOO_LARGE beyond max bytes, E_IO, E_NOMEM. */
int file_load(const char *path, size_t max, struct buf *out, struct error *err) MUST_USE;
/* The same of what is open, from where it stands; path is for messages. */
int file_load_fd(int fd, const char *path, size_t max, struct buf *out, struct error *err) MUST_USE;
/* Durable on return, with exactly this mode. E_NOSPACE, E_IO: the old one stands. */
int file_replace(const char *path, mode_t mode, struct bytes content, struct error *err) MUST_USE;
/* The same for a file that is not there yet. E_EXISTS: it is, and stays as it is. */
int file_create(const char *path, mode_t mode, struct bytes content, struct error *err) MUST_USE;
/* In place, at `at`, of a file that is there: a part of it may be the old one after a crash. Durable on return. E_NOT_FOUND. */
int file_overwrite(const char *path, off_t at, struct bytes content, struct error *err) MUST_USE;
/* Gives a finished file its name, durably. E_EXISTS: something has that name, and stays. */
int file_publish(const char *from, const char *to, struct error *err) MUST_USE;
/* rename(2), made durable. */
int file_rename(const char *from, const char *to, struct error *err) MUST_USE;
/* Makes dir (0700) when it is not there and locks it for this process: *ret_fd, held as long as the lock shall last.
 * E_BUSY: another process has it. */
int file_lock_dir(const char *dir, int *ret_fd, struct error *err) MUST_USE;
