/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
DEFINE_CLEANUP_VALUE(int, fd_close);

static int fail(const char *what, const char *path, struct error *err)
{
	int number = errno;

	return error_set(err, error_from_errno(number), "%s %s: %s", what, path, strerror(number));
}

int file_load_fd(int fd, const char *path, size_t max, struct buf *out, struct error *err)
{
	uint8_t part[4096];
	size_t total = 0;
	ssize_t n;

	do {
		n = read(fd, part, sizeof(part));
		if (n > 0)
			total += (size_t)n;
		if (n > 0 && total <= max)
			buf_put(out, part, (size_t)n);
	} while ((n > 0 && total <= max) || (n < 0 && errno == EINTR));
	secret_wipe(part, sizeof(part)); /* it may have been a key */
	if (n < 0)
		return fail("read", path, err);
	if (total > max)
		return error_set(err, E_TOO_LARGE, "%s is larger than %zu bytes", path, max);
	return out->failed ? error_nomem(err) : 0;
}

int file_load(const char *path, size_t max, struct buf *out, struct error *err)
{
	CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail("open", path, err) : file_load_fd(fd, path, max, out, err);
}

static int write_all(int fd, struct bytes content)
{
	while (content.len > 0) {
		ssize_t n = write(fd, content.data, content.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		content.data += n;
		content.len -= (size_t)n;
	}
	return 0;
}

/* A rename is durable when the folder is. */
static int sync_folder(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(fd_close) int fd = -1;
	char folder[PATH_MAX];

	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	else
		snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return fail("sync", folder, err);
	return 0;
}

static int write_beside(const char *path, mode_t mode, struct bytes content, char beside[PATH_MAX], struct error *err)
{
	CLEANUP(fd_close) int fd = -1;

	if (snprintf(beside, PATH_MAX, "%s.new", path) >= PATH_MAX)
		return error_set(err, E_INVALID, "path too long: %s", path);
	if (unlink(beside) < 0 && errno != ENOENT)
		return fail("replace", beside, err);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return fail("create", beside, err);
	if (fchmod(fd, mode) < 0 || write_all(fd, content) < 0 || fsync(fd) < 0) {
		int r = fail("write", beside, err);

		unlink(beside); /* on a full disk it would be in the way of others */
		return r;
	}
	return 0;
}

int file_rename(const char *from, const char *to, struct error *err)
{
	return rename(from, to) < 0 ? fail("replace", to, err) : sync_folder(to, err);
}

int file_replace(const char *path, mode_t mode, struct bytes content, struct error *err)
{
	char beside[PATH_MAX];
	int r = write_beside(path, mode, content, beside, err);

	return r == 0 ? file_rename(beside, path, err) : r;
}

int file_create(const char *path, mode_t mode, struct bytes content, struct error *err)
{
	struct stat found;
	char beside[PATH_MAX];
	int r;

	if (lstat(path, &found) == 0)
		return error_set(err, E_EXISTS, "%s is there already", path);
	r = write_beside(path, mode, content, beside, err);
	if (r < 0)
		return r;
	if (link(beside, path) < 0)
		r = errno == EEXIST ? error_set(err, E_EXISTS, "%s is there already", path) : fail("create", path, err);
	unlink(beside);
	return r == 0 ? sync_folder(path, err) : r;
}

int file_overwrite(const char *path, off_t at, struct bytes content, struct error *err)
{
	CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return fail("open", path, err);
	if (lseek(fd, at, SEEK_SET) < 0 || write_all(fd, content) < 0 || fdatasync(fd) < 0)
		return fail("write", path, err);
	return 0;
}

int file_publish(const char *from, const char *to, struct error *err)
{
	CLEANUP(fd_close) int fd = open(from, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return fail("sync", from, err);
	if (link(from, to) < 0)
		return errno == EEXIST ? error_set(err, E_EXISTS, "%s is there already", to) : fail("create", to, err);
	unlink(from);
	return sync_folder(to, err);
}

int file_lock_dir(const char *dir, int *ret_fd, struct error *err)
{
	CLEANUP(fd_close) int fd = -1;
	char path[PATH_MAX];

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail("data directory", dir, err);
	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return error_set(err, E_INVALID, "data directory: the path is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EROFS) {
		fd = open(path, O_RDONLY | O_CLOEXEC); /* it locks just as well */
		errno = EROFS;
	}
	if (fd < 0)
		return fail("data directory", dir, err);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? error_set(err, E_BUSY, "data directory %s is in use by another process", dir)
		                            : fail("data directory", dir, err);
	*ret_fd = fd;
	fd = -1;
	return 0;
}
