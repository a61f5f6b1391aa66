/* SPDX-License-Identifier: Apache-2.0 */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
DEFINE_CLEANUP_VALUE(int, fd_close);

static int file_error(const char *path, struct error *err)
{
	int number = errno;

	return error_set(err, error_from_errno(number), "%s: %s", path, strerror(number));
}

char *file_path(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int write_all(int fd, struct bytes data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.data, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data.data += n;
		data.len -= (size_t)n;
	}
	return 0;
}

static int sync_directory(const char *dir, struct error *err)
{
	CLEANUP(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0)
		return file_error(dir, err);
	return 0;
}

static int write_beside(const char *path, mode_t mode, struct bytes data, struct error *err)
{
	CLEANUP(fd_close) int fd = -1;

	if (unlink(path) != 0 && errno != ENOENT)
		return file_error(path, err);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0 || fchmod(fd, mode) != 0 || write_all(fd, data) != 0 || fsync(fd) != 0)
		return file_error(path, err);
	return 0;
}

int file_write(const char *dir, const char *name, mode_t mode, struct bytes data, struct error *err)
{
	char path[4096], beside[4096];
	int code;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
	    snprintf(beside, sizeof(beside), "%s/%s.new", dir, name) >= (int)sizeof(beside))
		return error_set(err, E_INVALID, "path of the data directory is too long");
	code = write_beside(beside, mode, data, err);
	if (code != 0)
		return code;
	if (rename(beside, path) != 0)
		return file_error(path, err);
	return sync_directory(dir, err);
}

int file_read(const char *path, struct buf *out, struct error *err)
{
	CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t chunk[4096];
	size_t total = 0;

	if (fd < 0)
		return file_error(path, err);
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(path, err);
		if (n == 0)
			break;
		total += (size_t)n;
		if (total > FILE_MAX_BYTES)
			return error_set(err, E_TOO_LARGE, "%s: larger than %d bytes", path, FILE_MAX_BYTES);
		buf_put(out, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof(chunk)); /* it may have been a key */
	return out->failed ? error_nomem(err) : 0;
}

int file_touch(const char *dir, const char *name, mode_t mode, struct error *err)
{
	char path[4096];
	CLEANUP(fd_close) int fd = -1;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return error_set(err, E_INVALID, "path of the data directory is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode);
	if (fd < 0)
		return file_error(path, err);
	return sync_directory(dir, err);
}
