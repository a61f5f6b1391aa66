/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's listening sockets, level-triggered: what one turn leaves in the queue is reported again.
 *
 * accept(2) makes a socket before it looks whether anybody waits, so that asking in vain costs as much as sending a segment. A queue is
 * therefore only assumed where the turn before has left one, and then twice as long as what it took.
 *
 *     listening --EMFILE and the like--> paused --a little later--> listening
 *         \--removed--> queue accepted to the end, closed */
#include "proxy/worker_run.h"

#include "base/log.h"
#include "proxy/conn.h"
#include "proxy/conn_log.h"
#include "proxy/passes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define PAUSE_MS 100

struct acceptor {
	struct watch watch;
	struct worker *worker;
	struct point *point; /* a reference */
	int fd;
	struct acceptor *next;
	uint64_t turn;  /* of the worker, when it was reported last; 0: emptied since */
	unsigned batch; /* how many were to be accepted then */
};

static void set_interest(struct worker *worker, uint32_t events)
{
	for (struct acceptor *acceptor = worker->acceptors; acceptor != NULL; acceptor = acceptor->next) {
		struct epoll_event event = {.events = events, .data.ptr = &acceptor->watch};

		epoll_ctl(worker->epoll, EPOLL_CTL_MOD, acceptor->fd, &event);
	}
}

void acceptors_resume(struct worker *worker)
{
	set_interest(worker, EPOLLIN);
}

static void on_pause_over(uv_timer_t *timer)
{
	acceptors_resume(container_of(timer, struct worker, pause));
}

/* Without descriptors or memory the queue stays readable: looking away for a moment keeps the worker from spinning. */
static void acceptors_pause(struct worker *worker, int error_number)
{
	if (worker_may_log(worker, WORKER_LINES_REST))
		log_event(LOG_WARNING, "cannot accept, pausing", LOG_STR("reason", strerror(error_number)));
	set_interest(worker, 0);
	uv_timer_start(&worker->pause, on_pause_over, PAUSE_MS, 0);
}

static void take_connection(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct worker *worker = acceptor->worker;
	struct point *point = acceptor->point;
	int64_t limit = atomic_load_explicit(&point->max_connections, memory_order_relaxed), before;
	union endpoint from;

	memcpy(&from, peer, sizeof(from));
	if (passes_take(worker->shared->passes, &from, uv_hrtime())) {
		if (conn_start(worker, point, fd, peer, true) < 0)
			close(fd);
		return;
	}
	before = atomic_fetch_add_explicit(&point->connections, 1, memory_order_relaxed);

	counters_add(&worker->counters, COUNT_ACCEPTED, 1);
	point_count(&point->accepted);
	if (before >= limit)
		conn_log_limit(worker, point, LIMIT_CONNECTIONS, "");
	else if (conn_start(worker, point, fd, peer, false) == 0)
		return;
	point_count(&point->refused);
	atomic_fetch_sub_explicit(&point->connections, 1, memory_order_relaxed);
	counters_add(&worker->counters, COUNT_REFUSED, 1);
	close(fd);
}

/* Some errors belong to the one connection that died in the queue (accept(2)); after them the next is tried. */
static bool is_about_one(int error_number)
{
	return error_number == EINTR || error_number == ECONNABORTED || error_number == EPROTO ||
	       error_number == ENETDOWN || error_number == ENOPROTOOPT || error_number == EHOSTDOWN ||
	       error_number == ENONET || error_number == EHOSTUNREACH || error_number == ENETUNREACH;
}

/* 0, or the error that ended it: EAGAIN when the queue is empty. */
static int accept_some(struct acceptor *acceptor, unsigned max)
{
	for (unsigned i = 0; i < max; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(acceptor->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			take_connection(acceptor, fd, &peer);
		else if (!is_about_one(errno))
			return errno;
	}
	return 0;
}

static void on_acceptable(struct watch *watch, uint32_t events)
{
	struct acceptor *acceptor = container_of(watch, struct acceptor, watch);
	uint64_t turn = acceptor->worker->turn;
	int e;

	if (acceptor->turn == 0 || acceptor->turn + 1 != turn)
		acceptor->batch = 1;
	else if (acceptor->batch < ACCEPTS_PER_TURN)
		acceptor->batch *= 2;
	e = accept_some(acceptor, acceptor->batch);
	acceptor->turn = e == 0 ? turn : 0;
	if (e != 0 && e != EAGAIN)
		acceptors_pause(acceptor->worker, e);
}

static void point_lost_socket(struct worker *worker, struct point *point)
{
	if (atomic_fetch_sub_explicit(&point->sockets, 1, memory_order_acq_rel) == 1)
		uv_async_send(worker->shared->news);
	point_unref(point);
}

void acceptor_open(struct worker *worker, struct point *point, int fd)
{
	struct acceptor *acceptor = malloc(sizeof(*acceptor));
	struct epoll_event event = {.events = EPOLLIN};

	if (acceptor != NULL) {
		*acceptor = (struct acceptor){{on_acceptable}, worker, point, fd, worker->acceptors, 0, 0};
		event.data.ptr = &acceptor->watch;
	}
	if (acceptor == NULL || epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		log_event(LOG_ERROR, "cannot serve a socket", LOG_STR("address", point->address),
		          LOG_STR("reason", acceptor != NULL ? strerror(errno) : "out of memory"));
		free(acceptor);
		close(fd);
		point_lost_socket(worker, point);
		return;
	}
	worker->acceptors = acceptor;
}

/* Who waits in the queue has been promised service by the kernel's SYN-ACK: accepted to the end before the socket goes.
 */
static void acceptor_end(struct acceptor *acceptor)
{
	while (accept_some(acceptor, ACCEPTS_PER_TURN) == 0)
		;
	close(acceptor->fd);
	point_lost_socket(acceptor->worker, acceptor->point);
	free(acceptor);
}

void acceptor_close(struct worker *worker, struct point *point)
{
	struct acceptor **place = &worker->acceptors, *acceptor;

	while (*place != NULL && (*place)->point != point)
		place = &(*place)->next;
	acceptor = *place;
	if (acceptor == NULL)
		return;
	*place = acceptor->next;
	acceptor_end(acceptor);
}

void acceptors_close(struct worker *worker)
{
	while (worker->acceptors != NULL)
		acceptor_close(worker, worker->acceptors->point);
}
