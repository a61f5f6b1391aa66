/* SPDX-License-Identifier: Apache-2.0 */
/* base/file.h by the names of a data directory. Internal to the store. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <sys/types.h>

#define FILE_CONTENT_MAX (1024 * 1024) /* of what is read here */

/* "DIR/NAME", malloc'd; NULL without memory. */
char *file_path(const char *dir, const char *name);
/* Replaces dir/name by these bytes, durably. */
int file_write(const char *dir, const char *name, mode_t mode, struct bytes data, struct error *err) MUST_USE;
/* Makes the file, empty, if it is absent. */
int file_touch(const char *dir, const char *name, mode_t mode, struct error *err) MUST_USE;
