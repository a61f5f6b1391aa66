/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: the wall clock is FUTURE_SECONDS ahead, for what happens to certificates in months; or as
 * many as the eight bytes of FUTURE_FILE say at each moment (int64_t), for clocks that are set while a process runs.
 * Only the wall clock: timers and deadlines go on. (libfaketime does not get along with jemalloc.) */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static int64_t fixed;
static const volatile int64_t *offset = &fixed;

__attribute__((constructor)) static void read_offset(void)
{
	const char *text = getenv("FUTURE_SECONDS"), *path = getenv("FUTURE_FILE");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapped = fd >= 0 ? mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	fixed = text != NULL ? atol(text) : 0;
	if (mapped != MAP_FAILED)
		offset = mapped;
	if (fd >= 0)
		close(fd);
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *ret)
{
	long r = syscall(SYS_clock_gettime, clock, ret);

	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += *offset;
	return (int)r;
}

EXPORTED time_t time(time_t *ret)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (ret != NULL)
		*ret = now.tv_sec;
	return now.tv_sec;
}

EXPORTED int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now = {0, 0};
	int r = clock_gettime(CLOCK_REALTIME, &now);

	*ret = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return r;
}
