/* SPDX-License-Identifier: Apache-2.0 */
#include "allocations.h"

#include <stdlib.h>

static size_t until_failure; /* 0: off */
static bool has_failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void allocations_fail_at(size_t n)
{
	until_failure = n;
	has_failed = false;
}

bool allocations_stop(void)
{
	until_failure = 0;
	return has_failed;
}

static bool must_fail(void)
{
	if (until_failure > 1) {
		until_failure--;
		return false;
	}
	has_failed |= until_failure == 1;
	return until_failure == 1;
}

void *__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return must_fail() ? NULL : __real_realloc(old, size);
}
