/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: allocations fail, whoever asks for memory: our code, OpenSSL, SQLite, libuv, Jansson, libc itself. MEMORY_CONTROL
 * names a file of struct control, which the test maps too and may change at any time; without it, and while `at` is 0, nothing fails and
 * all is counted. It stands in front of every allocator (libc's, jemalloc's, a sanitizer's): memory is given back to that one directly.
 * What a sanitizer's own strdup takes, and what jemalloc and libc take by mmap, is not seen. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum threads { THREADS_ALL, THREADS_MAIN, THREADS_OTHERS };

struct control {
	_Atomic int32_t threads; /* whose allocations count */
	_Atomic int32_t stays;   /* 0: one allocation; 1: it and all that follow */
	_Atomic int64_t at;      /* from 1; 0: off */
	_Atomic int64_t seen, struck;
	_Atomic uint64_t site;   /* who asked for the first that failed: an address in the process */
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
	const char *path = getenv("MEMORY_CONTROL");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = fd >= 0 ? mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (mapped != MAP_FAILED)
		control = mapped;
	if (fd >= 0)
		close(fd);
}

static bool counts(void)
{
	int32_t threads = control->threads;

	return threads == THREADS_ALL || (threads == THREADS_MAIN) == (gettid() == getpid());
}

/* True: this one is to fail. */
static bool strikes(const void *site)
{
	int64_t at, number;

	if (control == NULL || !counts())
		return false;
	number = atomic_fetch_add(&control->seen, 1) + 1;
	at = control->at;
	if (at == 0 || number < at || (number > at && control->stays == 0))
		return false;
	if (atomic_fetch_add(&control->struck, 1) == 0)
		control->site = (uintptr_t)site;
	errno = ENOMEM;
	return true;
}

EXPORTED void *malloc(size_t size)
{
	static void *(*next)(size_t size);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "malloc");
	return strikes(__builtin_return_address(0)) ? NULL : next(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
	static void *(*next)(size_t count, size_t size);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "calloc");
	return strikes(__builtin_return_address(0)) ? NULL : next(count, size);
}

EXPORTED void *realloc(void *old, size_t size)
{
	static void *(*next)(void *old, size_t size);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "realloc");
	return strikes(__builtin_return_address(0)) ? NULL : next(old, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
	static void *(*next)(size_t alignment, size_t size);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "aligned_alloc");
	return strikes(__builtin_return_address(0)) ? NULL : next(alignment, size);
}

EXPORTED int posix_memalign(void **ret, size_t alignment, size_t size)
{
	static int (*next)(void **ret, size_t alignment, size_t size);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "posix_memalign");
	return strikes(__builtin_return_address(0)) ? ENOMEM : next(ret, alignment, size);
}
