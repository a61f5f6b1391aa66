/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: what a process has allocated and not freed, told to whoever asks. It listens on the abstract Unix socket
 * "tlsplane-heap-PID"; each connection is told two numbers and closed: bytes in use of the whole heap, and those of them that are SQLite's
 * (whose page cache grows to a bound that is set). A thread of its own does this, one descriptor is its listener.
 *
 * Both are what the allocator that is in the process makes of it: a sanitizer, jemalloc, or libc. SQLite's own count
 * leaves out what its pages are rounded up by, a sixth in jemalloc. Without a listener nothing is told. */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void *find(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

static size_t heap_in_use(void)
{
	size_t (*sanitizer)(void), bytes = 0, len = sizeof(bytes);
	int (*jemalloc)(const char *name, void *old, size_t *old_len, void *new, size_t new_len);
	uint64_t epoch = 1; /* written: the statistics are brought up to date */
	struct mallinfo2 info;

	*(void **)&sanitizer = find("__sanitizer_get_current_allocated_bytes");
	if (sanitizer != NULL)
		return sanitizer();
	*(void **)&jemalloc = find("mallctl");
	if (jemalloc != NULL && jemalloc("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0 &&
	    jemalloc("stats.allocated", &bytes, &len, NULL, 0) == 0)
		return bytes;
	info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static atomic_size_t sqlite_in_use;

static void *sqlite_alloc(int len)
{
	void *made = malloc((size_t)len);

	sqlite_in_use += malloc_usable_size(made);
	return made;
}

static void sqlite_release(void *held)
{
	sqlite_in_use -= malloc_usable_size(held);
	free(held);
}

static void *sqlite_resize(void *held, int len)
{
	size_t before = malloc_usable_size(held);
	void *made = realloc(held, (size_t)len);

	if (made != NULL)
		sqlite_in_use += malloc_usable_size(made) - before;
	return made;
}

static int sqlite_size(void *held)
{
	return (int)malloc_usable_size(held);
}

static int sqlite_round(int len)
{
	return (len + 7) & ~7;
}

static int sqlite_init(void *unused)
{
	(void)unused;
	return SQLITE_OK;
}

static void sqlite_shutdown(void *unused)
{
	(void)unused;
}

/* Before anybody has opened a database. */
static void count_sqlite(void)
{
	static const sqlite3_mem_methods methods = {sqlite_alloc, sqlite_release, sqlite_resize,   sqlite_size,
	                                            sqlite_round, sqlite_init,    sqlite_shutdown, NULL};
	int (*config)(int option, ...);

	*(void **)&config = find("sqlite3_config");
	if (config != NULL)
		(void)config(SQLITE_CONFIG_MALLOC, &methods);
}

static void *tell_main(void *argument)
{
	int listener = (int)(intptr_t)argument;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		(void)dprintf(fd, "%zu %zu", heap_in_use(), (size_t)sqlite_in_use);
		close(fd);
	}
	return NULL;
}

__attribute__((constructor)) static void start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "tlsplane-heap-%d", getpid());
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sigset_t all, before;
	pthread_t thread;

	count_sqlite();
	if (bind(listener, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) != 0 ||
	    listen(listener, 16) != 0)
		return;
	sigfillset(&all); /* signals are the process's own business */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, tell_main, (void *)(intptr_t)listener) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
