/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations of libraries, and how many of them failed. Libraries seldom say that it was memory: OpenSSL calls a certificate invalid, an
 * algorithm unknown or a signature wrong, Jansson a document malformed, and both do without what they could not have. So what allocates for
 * them counts failures, per thread, and who lets a library decide something looks whether it could:
 *
 *     uint64_t failures = memory_failures();
 *     int r = decide(..., err);
 *
 *     return memory_judge(failures, r, err);
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* As malloc and realloc, but for nothing: size 0 is NULL, and frees. */
void *memory_alloc(size_t size);
void *memory_realloc(void *old, size_t size);
/* As free, but for what may hold a secret. */
void memory_free_wiped(void *memory);

/* Of this thread, since it began. */
uint64_t memory_failures(void);
/* r, or E_NOMEM if since `failures` one more was counted on this thread. */
int memory_judge(uint64_t failures, int r, struct error *err);
