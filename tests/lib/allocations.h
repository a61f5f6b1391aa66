/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the Nth allocation of our own code fail. A test that links allocations_dep has malloc, calloc and realloc wrapped by the
 * linker, in everything linked statically; shared libraries keep theirs. Debian's Check is static and its assertions
 * allocate: none between fail_at and stop.
 *
 *     for (size_t n = 1;; n++) {
 *         allocations_fail_at(n);
 *         r = operation();
 *         if (!allocations_stop())
 *             break;
 *         ck_assert_int_eq(r, E_NOMEM);
 *     }
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The nth allocation from now (1 is the next) and all after it fail. */
void allocations_fail_at(size_t n);
/* Those of this thread never do, so that it may assert meanwhile. */
void allocations_spare_thread(bool spare);
/* Back to normal. True: at least one failed. */
bool allocations_stop(void);
