/* SPDX-License-Identifier: Apache-2.0 */
/* libuv has no call for either: a descriptor of a high number is watched for a moment, and the pool is given a task. */
#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static int open_high(int *ret, struct error *err)
{
	struct rlimit files = {LOOP_DESCRIPTORS, LOOP_DESCRIPTORS};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), high;

	if (fd < 0)
		return error_set(err, error_from_errno(errno), "event loop: %s", strerror(errno));
	(void)getrlimit(RLIMIT_NOFILE, &files);
	high = fcntl(fd, F_DUPFD_CLOEXEC, files.rlim_cur < LOOP_DESCRIPTORS ? (int)files.rlim_cur - 1 : LOOP_DESCRIPTORS - 1);
	*ret = high >= 0 ? high : fd; /* taken: the table is as good as full grown */
	if (high >= 0)
		close(fd);
	return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
}

static int reserve_descriptors(uv_loop_t *loop, struct error *err)
{
	void *room = calloc(LOOP_DESCRIPTORS + 2, sizeof(void *)); /* asked for here, where lack of it can be told */
	uv_poll_t poll;
	int fd = -1, r;

	if (room == NULL)
		return error_nomem(err);
	free(room);
	r = open_high(&fd, err);
	if (r < 0)
		return r;
	r = uv_poll_init(loop, &poll, fd);
	if (r == 0) {
		(void)uv_poll_start(&poll, UV_READABLE, on_poll);
		uv_close((uv_handle_t *)&poll, NULL);
		uv_run(loop, UV_RUN_DEFAULT);
	}
	close(fd);
	return r < 0 ? error_set(err, E_IO, "event loop: %s", uv_strerror(r)) : 0;
}

static void on_work(uv_work_t *work)
{
}

static void start_pool(uv_loop_t *loop)
{
	uv_work_t work;

	(void)uv_queue_work(loop, &work, on_work, NULL); /* fails only without a work function */
	uv_run(loop, UV_RUN_DEFAULT);
}

int loop_init(uv_loop_t *loop, struct error *err)
{
	int r = uv_loop_init(loop);

	if (r < 0)
		return error_set(err, E_IO, "event loop: %s", uv_strerror(r));
	r = reserve_descriptors(loop, err);
	if (r < 0)
		uv_loop_close(loop);
	else
		start_pool(loop);
	return r;
}
