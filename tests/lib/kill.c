/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: the process is killed just before its KILL_AT-th call (from 1) that changes a file, counted from the first time
 * that it creates a file whose path ends in KILL_FROM. With every number from 1 up, a test goes through all the moments at which a crash
 * makes a difference to what is on disk. KILL_WRITES=0: writes don't count, only what orders or names them. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static long kill_at;
static bool counts_writes = true;
static const char *kill_from = "";
static atomic_bool armed;
static atomic_long calls;

__attribute__((constructor)) static void read_environment(void)
{
	const char *at = getenv("KILL_AT"), *from = getenv("KILL_FROM");

	counts_writes = getenv("KILL_WRITES") == NULL || strcmp(getenv("KILL_WRITES"), "0") != 0;
	kill_at = at != NULL ? atol(at) : 0;
	kill_from = from != NULL ? from : "";
}

static void count(void)
{
	if (atomic_load(&armed) && atomic_fetch_add(&calls, 1) + 1 == kill_at)
		raise(SIGKILL);
}

static int open_at(const char *path, int flags, mode_t mode)
{
	size_t len = strlen(path), wanted = strlen(kill_from);

	if ((flags & O_CREAT) != 0) {
		if (kill_at > 0 && len >= wanted && strcmp(path + len - wanted, kill_from) == 0)
			atomic_store(&armed, true);
		count();
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
	return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

EXPORTED int open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_at(path, flags, mode);
}

EXPORTED int open64(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_at(path, flags | O_LARGEFILE, mode);
}

EXPORTED ssize_t write(int fd, const void *data, size_t len)
{
	struct stat found;

	if (counts_writes && fd > 2 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode))
		count();
	return (ssize_t)syscall(SYS_write, fd, data, len);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	if (counts_writes)
		count();
	return (ssize_t)syscall(SYS_pwrite64, fd, data, len, offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
	return pwrite(fd, data, len, offset);
}

EXPORTED int ftruncate(int fd, off_t len)
{
	count();
	return (int)syscall(SYS_ftruncate, fd, len);
}

EXPORTED int ftruncate64(int fd, off_t len)
{
	return ftruncate(fd, len);
}

EXPORTED int fsync(int fd)
{
	count();
	return (int)syscall(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd)
{
	count();
	return (int)syscall(SYS_fdatasync, fd);
}

EXPORTED int rename(const char *from, const char *to)
{
	count();
	return (int)syscall(SYS_rename, from, to);
}

EXPORTED int link(const char *from, const char *to)
{
	count();
	return (int)syscall(SYS_link, from, to);
}

EXPORTED int unlink(const char *path)
{
	count();
	return (int)syscall(SYS_unlink, path);
}
