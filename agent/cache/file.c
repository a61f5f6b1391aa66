/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/file.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what, const char *path, struct error *err)
{
	int number = errno;

	return error_set(err, error_from_errno(number), "%s %s: %s", what, path, strerror(number));
}

int file_read(const char *path, size_t max, struct buf *out, struct error *err)
{
	uint8_t chunk[4096];
	size_t total = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail("open", path, err);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0 && total + (size_t)n <= max) {
		buf_put(out, chunk, (size_t)n);
		total += (size_t)n;
	}
	secret_wipe(chunk, sizeof(chunk));
	if (n < 0) {
		int r = fail("read", path, err);

		close(fd);
		return r;
	}
	close(fd);
	if (n > 0)
		return error_set(err, E_TOO_LARGE, "%s is larger than %zu bytes", path, max);
	return out->failed ? error_nomem(err) : 0;
}

static int write_all(int fd, struct bytes content)
{
	while (content.len > 0) {
		ssize_t n = write(fd, content.data, content.len);

		if (n < 0)
			return -1;
		content.data += n;
		content.len -= (size_t)n;
	}
	return fsync(fd);
}

/* A rename is durable when the folder is. */
static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, r;

	snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	r = fsync(fd);
	close(fd);
	return r;
}

int file_rename(const char *from, const char *to, struct error *err)
{
	if (rename(from, to) < 0 || sync_folder(to) < 0)
		return fail("replace", to, err);
	return 0;
}

int file_replace(const char *path, struct bytes content, struct error *err)
{
	char next[PATH_MAX];
	int fd, r;

	if (snprintf(next, sizeof(next), "%s.new", path) >= (int)sizeof(next))
		return error_set(err, E_INVALID, "path too long: %s", path);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail("create", next, err);
	r = write_all(fd, content) < 0 ? fail("write", next, err) : 0;
	if (close(fd) < 0 && r == 0)
		r = fail("close", next, err);
	return r == 0 ? file_rename(next, path, err) : r;
}

int file_lock_dir(const char *dir, int *ret_fd, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail("data directory", dir, err);
	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return error_set(err, E_INVALID, "data directory: the path is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail("data directory", dir, err);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return error_set(err, E_BUSY, "data directory %s is in use by another process", dir);
	}
	*ret_fd = fd;
	return 0;
}
