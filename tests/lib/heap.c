/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: what a process has allocated and not freed, told to whoever asks. It listens on the abstract Unix socket
 * "tlsplane-heap-PID"; each connection is told two numbers and closed: bytes in use of the whole heap, and those of them that are SQLite's
 * (whose page cache grows to a bound that is set). A thread of its own does this, one descriptor is its listener.
 *
 * The number is that of the allocator that is in the process: a sanitizer's, jemalloc's, or libc's. Without a listener nothing is told. */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static size_t sqlite_in_use(void)
{
	int64_t (*used)(void);

	*(void **)&used = find("sqlite3_memory_used");
	return used != NULL ? (size_t)used() : 0;
}

static void *tell_main(void *argument)
{
	int listener = (int)(intptr_t)argument;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		(void)dprintf(fd, "%zu %zu", heap_in_use(), sqlite_in_use());
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

	if (bind(listener, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) != 0 ||
	    listen(listener, 16) != 0)
		return;
	sigfillset(&all); /* signals are the process's own business */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, tell_main, (void *)(intptr_t)listener) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
