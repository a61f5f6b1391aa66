/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include "base/secret.h"

#include <malloc.h>
#include <stdlib.h>

static _Thread_local uint64_t failures_seen;

void *memory_alloc(size_t size)
{
	void *memory = size > 0 ? malloc(size) : NULL;

	failures_seen += memory == NULL && size > 0;
	return memory;
}

void *memory_realloc(void *old, size_t size)
{
	void *memory;

	if (size == 0) {
		free(old);
		return NULL;
	}
	memory = realloc(old, size);
	failures_seen += memory == NULL;
	return memory;
}

void memory_free_wiped(void *memory)
{
	if (memory != NULL)
		secret_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

uint64_t memory_failures(void)
{
	return failures_seen;
}

int memory_judge(uint64_t failures, int r, struct error *err)
{
	return failures == failures_seen ? r : error_nomem(err);
}
