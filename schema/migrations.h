/* SPDX-License-Identifier: Apache-2.0 */
/* The SQL migrations in sql/, embedded by embed.py: index 0 leads to PRAGMA user_version 1, and so on. */
#pragma once

#include <stddef.h>

extern const char *const schema_migrations[];
extern const size_t schema_migrations_len;
