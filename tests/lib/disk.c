/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: the disk below the folder DISK_FOLDER, as bad as a test wants it. Two things, each only if
 * asked for:
 *
 * - DISK_CONTROL names a file of struct control, which the test maps too and may change at any time: the calls that
 * it marks are counted, and from the one with the number `at` on they are made to fail, to write less than they were
 * told, or to kill the process. - DISK_LOG names a file to which every change of a file is appended in the order in
 * which it took effect (struct record), every sync once it is done, and the beginning of every HTTP answer before it
 * leaves. tests/e2e/harness/powercut.py makes of it what a disk may hold when the power goes. DISK_LIES: files (or
 * the folder) whose path ends so are never synced, though everybody is told that they are.
 *
 * What is mapped (SQLite's -shm) is not seen: it need not survive. Folders in the folder are not seen either. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define FDS_MAX 65536
#define ANSWER_MAX 1024

enum call {
	CALL_READ,     /* of a file's content */
	CALL_LOOK,     /* an open that only reads */
	CALL_OPEN,     /* any other open */
	CALL_WRITE,
	CALL_TRUNCATE,
	CALL_SYNC,     /* of a file or of the folder */
	CALL_NAME,     /* link and rename */
	CALL_UNLINK,
};

enum action { ACTION_KILL, ACTION_FAIL, ACTION_SHORT };

struct control {
	_Atomic int32_t calls;  /* a bit for each enum call that counts */
	_Atomic int32_t action; /* SHORT: half of what a write wants to write; other calls fail */
	_Atomic int32_t error;  /* an errno */
	_Atomic int32_t stays;  /* 0: one call; 1: it and all that follow (SHORT: these fail) */
	_Atomic int64_t at;     /* from 1; 0: off */
	_Atomic int64_t seen, struck;
};

enum change {
	CHANGE_CREATE = 1,
	CHANGE_WRITE,
	CHANGE_TRUNCATE,
	CHANGE_SYNC,
	CHANGE_SYNC_FOLDER,
	CHANGE_RENAME,
	CHANGE_LINK,
	CHANGE_UNLINK,
	ANSWER
};

/* Followed by the name, the second name, the data. */
struct record {
	uint32_t change, name_len, second_len, data_len;
	uint64_t file, offset; /* inode */
};

struct opened {
	uint64_t file; /* 0: not below the folder */
	bool is_folder, is_lied_about;
};

static const char *folder;
static size_t folder_len;
static struct control *control;
static int log_fd = -1;
static const char *lies; /* NULL: nobody is lied to */
static struct opened opened[FDS_MAX];
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER; /* a change and its record are one step */

static int raw_open(const char *path, int flags, mode_t mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

__attribute__((constructor)) static void read_environment(void)
{
	const char *path = getenv("DISK_CONTROL");
	int fd = path != NULL ? raw_open(path, O_RDWR | O_CLOEXEC, 0) : -1;
	void *mapped = fd >= 0 ? mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (mapped != MAP_FAILED)
		control = mapped;
	if (fd >= 0)
		close(fd);
	path = getenv("DISK_LOG");
	if (path != NULL)
		log_fd = raw_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	folder = getenv("DISK_FOLDER");
	folder_len = folder != NULL ? strlen(folder) : 0;
	lies = getenv("DISK_LIES");
}

static bool is_below(const char *path)
{
	return folder_len > 0 && strncmp(path, folder, folder_len) == 0 && (path[folder_len] == '/' || path[folder_len] == 0);
}

static bool ends_with(const char *path, const char *end)
{
	size_t len = strlen(path), end_len = strlen(end);

	return len >= end_len && strcmp(path + len - end_len, end) == 0;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static struct opened opened_at(int fd)
{
	return fd >= 0 && fd < FDS_MAX ? opened[fd] : (struct opened){0};
}

/* True: this call is to go wrong. */
static bool strikes(enum call call)
{
	int64_t at, number;

	if (control == NULL || (control->calls >> call & 1) == 0)
		return false;
	number = atomic_fetch_add(&control->seen, 1) + 1;
	at = control->at;
	if (at == 0 || number < at || (number > at && control->stays == 0))
		return false;
	atomic_fetch_add(&control->struck, 1);
	if (control->action == ACTION_KILL)
		raise(SIGKILL);
	errno = control->error;
	return true;
}

static void note(enum change change, uint64_t file, off_t offset, const char *name, const char *second, const void *data, size_t len)
{
	struct record record = {change, (uint32_t)strlen(name), (uint32_t)strlen(second), (uint32_t)len, file, (uint64_t)offset};
	struct iovec parts[] = {
		{&record, sizeof(record)}, {(void *)name, record.name_len}, {(void *)second, record.second_len}, {(void *)data, len}};
	int kept = errno;

	if (log_fd >= 0)
		(void)!syscall(SYS_writev, log_fd, parts, 4);
	errno = kept;
}

/* Opening and closing -------------------------------------------------------------------------------------------- */

static void remember(int fd, const char *path, int flags, bool existed)
{
	struct stat found;

	if (fd < 0 || fd >= FDS_MAX || fstat(fd, &found) != 0)
		return;
	opened[fd] = (struct opened){found.st_ino, S_ISDIR(found.st_mode), lies != NULL && ends_with(path, lies)};
	if (!existed)
		note(CHANGE_CREATE, found.st_ino, 0, name_of(path), "", NULL, 0);
	else if ((flags & O_TRUNC) != 0)
		note(CHANGE_TRUNCATE, found.st_ino, 0, "", "", NULL, 0);
}

static int open_at(const char *path, int flags, mode_t mode)
{
	int fd;

	if (!is_below(path)) {
		fd = raw_open(path, flags, mode);
		if (fd >= 0 && fd < FDS_MAX)
			opened[fd] = (struct opened){0};
		return fd;
	}
	if (strikes((flags & (O_ACCMODE | O_CREAT)) == O_RDONLY ? CALL_LOOK : CALL_OPEN))
		return -1;
	pthread_mutex_lock(&order);
	{
		bool existed = syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;

		fd = raw_open(path, flags, mode);
		remember(fd, path, flags, existed);
	}
	pthread_mutex_unlock(&order);
	return fd;
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

EXPORTED int close(int fd)
{
	if (fd >= 0 && fd < FDS_MAX)
		opened[fd] = (struct opened){0};
	return (int)syscall(SYS_close, fd);
}

/* Content -------------------------------------------------------------------------------------------------------- */

EXPORTED ssize_t read(int fd, void *data, size_t len)
{
	return opened_at(fd).file != 0 && strikes(CALL_READ) ? -1 : (ssize_t)syscall(SYS_read, fd, data, len);
}

EXPORTED ssize_t pread(int fd, void *data, size_t len, off_t offset)
{
	return opened_at(fd).file != 0 && strikes(CALL_READ) ? -1 : (ssize_t)syscall(SYS_pread64, fd, data, len, offset);
}

EXPORTED ssize_t pread64(int fd, void *data, size_t len, off_t offset)
{
	return pread(fd, data, len, offset);
}

/* How much a write of `len` may write: all, half, nothing (errno is set). */
static size_t allowed(size_t len)
{
	if (!strikes(CALL_WRITE))
		return len;
	return control->action == ACTION_SHORT && len > 1 && control->struck == 1 ? len / 2 : 0;
}

/* offset -1: where the file stands. */
static ssize_t write_at(int fd, const void *data, size_t len, off_t offset)
{
	size_t part = allowed(len);
	ssize_t n;

	if (part == 0 && len > 0)
		return -1;
	pthread_mutex_lock(&order);
	if (offset >= 0) {
		n = (ssize_t)syscall(SYS_pwrite64, fd, data, part, offset);
	} else {
		n = (ssize_t)syscall(SYS_write, fd, data, part);
		offset = n > 0 ? (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) - n : 0;
	}
	if (n > 0)
		note(CHANGE_WRITE, opened_at(fd).file, offset, "", "", data, (size_t)n);
	pthread_mutex_unlock(&order);
	return n;
}

/* What leaves for somebody who will take it for a promise. */
static void note_answer(const void *data, size_t len)
{
	static const char start[] = "HTTP/1.1 ";

	if (log_fd < 0 || len < sizeof(start) || memcmp(data, start, sizeof(start) - 1) != 0)
		return;
	pthread_mutex_lock(&order);
	note(ANSWER, 0, 0, "", "", data, len < ANSWER_MAX ? len : ANSWER_MAX);
	pthread_mutex_unlock(&order);
}

EXPORTED ssize_t write(int fd, const void *data, size_t len)
{
	if (opened_at(fd).file != 0)
		return write_at(fd, data, len, -1);
	note_answer(data, len);
	return (ssize_t)syscall(SYS_write, fd, data, len);
}

EXPORTED ssize_t writev(int fd, const struct iovec *parts, int count)
{
	if (opened_at(fd).file != 0) { /* nobody does: it would have to be noted */
		errno = ENOSYS;
		return -1;
	}
	if (count > 0)
		note_answer(parts[0].iov_base, parts[0].iov_len);
	return (ssize_t)syscall(SYS_writev, fd, parts, count);
}

EXPORTED ssize_t send(int fd, const void *data, size_t len, int flags)
{
	note_answer(data, len);
	return (ssize_t)syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (message->msg_iovlen > 0)
		note_answer(message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
	return (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return opened_at(fd).file != 0 ? write_at(fd, data, len, offset) : (ssize_t)syscall(SYS_pwrite64, fd, data, len, offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
	return pwrite(fd, data, len, offset);
}

EXPORTED int ftruncate(int fd, off_t len)
{
	struct opened file = opened_at(fd);
	int r;

	if (file.file != 0 && strikes(CALL_TRUNCATE))
		return -1;
	pthread_mutex_lock(&order);
	r = (int)syscall(SYS_ftruncate, fd, len);
	if (r == 0 && file.file != 0)
		note(CHANGE_TRUNCATE, file.file, len, "", "", NULL, 0);
	pthread_mutex_unlock(&order);
	return r;
}

EXPORTED int ftruncate64(int fd, off_t len)
{
	return ftruncate(fd, len);
}

static int sync_by(long number, int fd)
{
	struct opened file = opened_at(fd);
	int r;

	if (file.file == 0)
		return (int)syscall(number, fd);
	if (strikes(CALL_SYNC))
		return -1;
	if (file.is_lied_about)
		return 0;
	pthread_mutex_lock(&order); /* what is written meanwhile waits: it would be synced or not */
	r = (int)syscall(number, fd);
	if (r == 0)
		note(file.is_folder ? CHANGE_SYNC_FOLDER : CHANGE_SYNC, file.file, 0, "", "", NULL, 0);
	pthread_mutex_unlock(&order);
	return r;
}

EXPORTED int fsync(int fd)
{
	return sync_by(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd)
{
	return sync_by(SYS_fdatasync, fd);
}

/* Names ---------------------------------------------------------------------------------------------------------- */

static int change_name(enum call call, enum change change, long number, const char *path, const char *second)
{
	bool ours = is_below(path);
	int r;

	if (ours && strikes(call))
		return -1;
	pthread_mutex_lock(&order);
	r = (int)syscall(number, path, second);
	if (r == 0 && ours)
		note(change, 0, 0, name_of(path), second != NULL ? name_of(second) : "", NULL, 0);
	pthread_mutex_unlock(&order);
	return r;
}

EXPORTED int rename(const char *from, const char *to)
{
	return change_name(CALL_NAME, CHANGE_RENAME, SYS_rename, from, to);
}

EXPORTED int link(const char *from, const char *to)
{
	return change_name(CALL_NAME, CHANGE_LINK, SYS_link, from, to);
}

EXPORTED int unlink(const char *path)
{
	return change_name(CALL_UNLINK, CHANGE_UNLINK, SYS_unlink, path, NULL);
}
