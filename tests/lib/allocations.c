/* SPDX-License-Identifier: Apache-2.0 */
#include "allocations.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Of all threads. */
static _Atomic size_t until_failure; /* 0: off */
static atomic_bool has_failed;
static _Thread_local bool is_spared;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void allocations_fail_at(size_t n)
{
	has_failed = false;
	until_failure = n;
}

void allocations_spare_thread(bool spare)
{
	is_spared = spare;
}

bool allocations_stop(void)
{
	until_failure = 0;
	return has_failed;
}

static bool must_fail(void)
{
	size_t left = until_failure;

	if (left == 0 || is_spared)
		return false;
	while (left > 1)
		if (atomic_compare_exchange_weak(&until_failure, &left, left - 1))
			return false;
	if (left == 1)
		has_failed = true;
	return left == 1;
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
