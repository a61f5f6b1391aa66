/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's thread: its loop, its messages, its end.
 *
 *     running --stop--> stopping (no sockets, connections drain) --no connection left, or grace over--> ended */
#include "proxy/worker.h"

#include "base/log.h"
#include "crypto/crypto.h"
#include "proxy/conn.h"
#include "proxy/worker_run.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_TURN 128
#define LISTED_PER_TURN 64

enum message_kind { MESSAGE_LISTEN, MESSAGE_UNLISTEN, MESSAGE_STOP };

struct message {
	enum message_kind kind;
	struct point *point; /* LISTEN, UNLISTEN: a reference */
	int fd;              /* LISTEN: owned */
	uint64_t grace_ms;   /* STOP */
	struct message *next;
};

/* ------------------------------------------------------------------------------------------------ the worker's thread
 */

uint64_t worker_now(const struct worker *worker)
{
	return uv_now(&worker->loop);
}

uint64_t worker_now_ns(const struct worker *worker)
{
	return uv_now(&worker->loop) * 1000000;
}

int worker_watch(struct worker *worker, int fd, bool out, struct watch *watch)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (out ? EPOLLOUT : 0), .data.ptr = watch};

	return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : error_from_errno(errno);
}

void worker_watch_out(struct worker *worker, int fd, struct watch *watch)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | EPOLLOUT, .data.ptr = watch};

	epoll_ctl(worker->epoll, EPOLL_CTL_MOD, fd, &event);
}

bool worker_may_log(struct worker *worker, enum worker_lines lines)
{
	return log_budget_take(&worker->log_budgets[lines], worker_now(worker));
}

static void on_due(struct wheel_item *item, void *context)
{
	conn_on_deadline(item);
}

/* Runs only while there are deadlines: an idle worker is not woken. */
static void on_tick(uv_timer_t *timer)
{
	struct worker *worker = container_of(timer, struct worker, tick);

	wheel_run(&worker->wheel, worker_now(worker), on_due, NULL);
	if (worker->wheel.count == 0)
		uv_timer_stop(timer);
}

void worker_set_deadline(struct worker *worker, struct wheel_item *item, uint64_t due_ms)
{
	if (worker->wheel.count == 0) {
		worker->wheel.tick = worker_now(worker) / WHEEL_TICK_MS;
		if (!uv_is_active((uv_handle_t *)&worker->tick))
			uv_timer_start(&worker->tick, on_tick, WHEEL_TICK_MS, WHEEL_TICK_MS);
	}
	wheel_set(&worker->wheel, item, due_ms);
}

static void take_message(struct worker *worker, struct message *message)
{
	switch (message->kind) {
	case MESSAGE_LISTEN:
		acceptor_open(worker, message->point, message->fd);
		break;
	case MESSAGE_UNLISTEN:
		acceptor_close(worker, message->point);
		point_unref(message->point);
		break;
	case MESSAGE_STOP:
		acceptors_close(worker);
		worker->stopping = true;
		worker->stop_at = worker_now(worker) + message->grace_ms;
		break;
	}
	free(message);
}

/* ---------------------------------------------------------------------------------------------------- walks */

void worker_pass_over(struct worker *worker, const struct conn *conn)
{
	for (unsigned i = 0; i < WALKS; i++)
		if (worker->walks[i] == conn)
			worker->walks[i] = conn->prev;
}

static void list_start(struct worker *worker)
{
	worker->walks[WALK_LIST] = worker->conns.last;
}

/* The first list that waits, one at a time. */
static void list_some(struct worker *worker)
{
	struct listing_part *part = worker->listing;
	struct conn *conn = worker->walks[WALK_LIST];
	bool wants = true;

	for (unsigned i = 0; i < LISTED_PER_TURN && conn != NULL && wants; i++, conn = conn->prev)
		wants = conn->is_probe || listing_part_add(part, conn);
	worker->walks[WALK_LIST] = conn;
	if (conn != NULL && wants)
		return;
	worker->listing = part->next;
	list_start(worker);
	listing_part_end(part, worker->shared->news);
}

static bool worker_walks(const struct worker *worker)
{
	return judge_is_due(worker) || worker->listing != NULL;
}

static void run_walks(struct worker *worker, bool is_idle)
{
	if (judge_is_due(worker))
		judge_some(worker, is_idle);
	if (worker->listing != NULL)
		list_some(worker);
}

static void take_parts(struct worker *worker, struct listing_part *asked)
{
	struct listing_part **place = &worker->listing;

	if (asked == NULL)
		return;
	if (worker->listing == NULL)
		list_start(worker);
	while (*place != NULL)
		place = &(*place)->next;
	*place = asked;
}

static void end_parts(struct listing_part *part, uv_async_t *news)
{
	struct listing_part *next;

	for (; part != NULL; part = next) {
		next = part->next;
		listing_part_end(part, news);
	}
}

/* ---------------------------------------------------------------------------------------------------- the inbox */

static void take_tickets(struct worker *worker, struct ticket_sets *tickets)
{
	ticket_sets_unref(worker->hello.tickets);
	worker->hello.tickets = tickets;
}

static void on_wake(uv_async_t *async)
{
	struct worker *worker = container_of(async, struct worker, wake);
	struct message *messages, *next;
	struct listing_part *asked;
	struct ticket_sets *tickets;
	bool has_tickets, has_tightened;

	pthread_mutex_lock(&worker->lock);
	messages = TAKE_PTR(worker->messages);
	asked = TAKE_PTR(worker->asked);
	tickets = TAKE_PTR(worker->tickets);
	has_tickets = worker->has_tickets;
	has_tightened = worker->has_tightened;
	worker->has_tickets = worker->has_tightened = false;
	pthread_mutex_unlock(&worker->lock);
	if (has_tickets)
		take_tickets(worker, tickets);
	if (has_tightened)
		worker->generation++;
	take_parts(worker, asked);
	for (; messages != NULL; messages = next) {
		next = messages->next;
		take_message(worker, messages);
	}
}

static void on_loop_event(struct watch *watch, uint32_t events)
{
	container_of(watch, struct worker, loop_watch)->loop_is_due = true;
}

static void run_again_list(struct worker *worker)
{
	struct conn *conn = worker->again, *next;

	worker->again = NULL;
	for (; conn != NULL; conn = next)
		next = conn_run_again(conn);
}

static int wait_time(struct worker *worker)
{
	int timeout = uv_backend_timeout(&worker->loop);
	uint64_t now = worker_now(worker), left;

	if (worker->again != NULL || worker_walks(worker))
		return 0;
	if (!worker->stopping)
		return timeout;
	left = worker->stop_at > now ? worker->stop_at - now : 0;
	return timeout < 0 || (uint64_t)timeout > left ? (int)left : timeout;
}

static void worker_turn(struct worker *worker)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int count;

	uv_update_time(&worker->loop);
	count = epoll_wait(worker->epoll, events, EVENTS_PER_TURN, wait_time(worker));
	uv_update_time(&worker->loop);
	worker->turn++;
	run_again_list(worker);
	for (int i = 0; i < count; i++) {
		struct watch *watch = events[i].data.ptr;

		watch->on_event(watch, events[i].events);
	}
	run_walks(worker, count == 0);
	if (worker->loop_is_due || uv_backend_timeout(&worker->loop) == 0)
		uv_run(&worker->loop, UV_RUN_NOWAIT);
	worker->loop_is_due = false;
	conns_free_closed(worker);
}

static bool worker_is_done(struct worker *worker)
{
	return worker->stopping && (worker->conns.first == NULL || worker_now(worker) >= worker->stop_at);
}

static void on_walk_close(uv_handle_t *handle, void *context)
{
	uv_close(handle, NULL);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	uv_run(&worker->loop, UV_RUN_NOWAIT); /* its descriptors enter its epoll set when it first polls */
	while (!worker_is_done(worker))
		worker_turn(worker);
	conns_close_all(worker);
	assert(worker->kept == 0);
	end_parts(TAKE_PTR(worker->listing), worker->shared->news);
	uv_walk(&worker->loop, on_walk_close, NULL);
	uv_run(&worker->loop, UV_RUN_DEFAULT);
	atomic_store(&worker->ended, true);
	uv_async_send(worker->shared->news);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------ the main thread */

static void worker_free(struct worker *worker)
{
	struct message *next;

	for (struct message *message = worker->messages; message != NULL; message = next) {
		next = message->next;
		if (message->kind == MESSAGE_LISTEN)
			close(message->fd);
		point_unref(message->point);
		free(message);
	}
	free(worker->stop);
	end_parts(worker->asked, worker->shared->news);
	ticket_sets_unref(worker->tickets);
	ticket_sets_unref(worker->hello.tickets);
	if (worker->epoll >= 0)
		close(worker->epoll);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

/* The loop with its handles, and the epoll set around it. */
static int worker_init_loop(struct worker *worker, struct error *err)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &worker->loop_watch};
	int r = uv_loop_init(&worker->loop);

	if (r < 0)
		return error_set(err, E_IO, "start a worker's loop: %s", uv_strerror(r));
	uv_timer_init(&worker->loop, &worker->tick);
	uv_timer_init(&worker->loop, &worker->pause);
	r = uv_async_init(&worker->loop, &worker->wake, on_wake);
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	worker->loop_watch.on_event = on_loop_event;
	if (r == 0 && worker->epoll >= 0 &&
	    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, uv_backend_fd(&worker->loop), &event) == 0)
		return 0;
	error_set(err, E_IO, "start a worker: %s", r < 0 ? uv_strerror(r) : strerror(errno));
	uv_walk(&worker->loop, on_walk_close, NULL);
	uv_run(&worker->loop, UV_RUN_DEFAULT);
	uv_loop_close(&worker->loop);
	return E_IO;
}

/* Signals are the main thread's. */
static int start_thread(struct worker *worker, struct error *err)
{
	sigset_t all, before;
	char name[16];
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e != 0)
		return error_set(err, E_IO, "start a worker's thread: %s", strerror(e));
	snprintf(name, sizeof(name), "worker-%u", worker->index % 1000);
	pthread_setname_np(worker->thread, name);
	return 0;
}

int worker_start(const struct worker_shared *shared, unsigned index, struct worker **ret, struct error *err)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (worker == NULL)
		return error_nomem(err);
	worker->shared = shared;
	worker->index = index;
	worker->epoll = -1;
	worker->hello = shared->hello;
	worker->hello.reader = index;
	pthread_mutex_init(&worker->lock, NULL);
	worker->stop = calloc(1, sizeof(*worker->stop));
	r = worker->stop != NULL ? worker_init_loop(worker, err) : error_nomem(err);
	if (r == 0) {
		wheel_init(&worker->wheel, worker_now(worker));
		r = start_thread(worker, err);
		if (r < 0) {
			uv_walk(&worker->loop, on_walk_close, NULL);
			uv_run(&worker->loop, UV_RUN_DEFAULT);
			uv_loop_close(&worker->loop);
		}
	}
	if (r < 0) {
		worker_free(worker);
		return r;
	}
	*ret = worker;
	return 0;
}

static void worker_send(struct worker *worker, struct message *message)
{
	struct message **place = &worker->messages;

	pthread_mutex_lock(&worker->lock);
	while (*place != NULL)
		place = &(*place)->next;
	*place = message;
	pthread_mutex_unlock(&worker->lock);
	uv_async_send(&worker->wake);
}

static int send_about_point(struct worker *worker, enum message_kind kind, struct point *point, int fd,
                            struct error *err)
{
	struct message *message = malloc(sizeof(*message));

	if (message == NULL)
		return error_nomem(err);
	*message = (struct message){.kind = kind, .point = point_ref(point), .fd = fd};
	worker_send(worker, message);
	return 0;
}

int worker_listen(struct worker *worker, struct point *point, int fd, struct error *err)
{
	return send_about_point(worker, MESSAGE_LISTEN, point, fd, err);
}

int worker_unlisten(struct worker *worker, struct point *point, struct error *err)
{
	return send_about_point(worker, MESSAGE_UNLISTEN, point, -1, err);
}

void worker_set_tickets(struct worker *worker, struct ticket_sets *sets)
{
	struct ticket_sets *before;

	pthread_mutex_lock(&worker->lock);
	before = worker->tickets;
	worker->tickets = sets != NULL ? ticket_sets_ref(sets) : NULL;
	worker->has_tickets = true;
	pthread_mutex_unlock(&worker->lock);
	ticket_sets_unref(before);
	uv_async_send(&worker->wake);
}

void worker_tighten(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->has_tightened = true;
	pthread_mutex_unlock(&worker->lock);
	uv_async_send(&worker->wake);
}

void worker_list(struct worker *worker, struct listing_part *part)
{
	struct listing_part **place = &worker->asked;

	pthread_mutex_lock(&worker->lock);
	while (*place != NULL)
		place = &(*place)->next;
	*place = part;
	pthread_mutex_unlock(&worker->lock);
	uv_async_send(&worker->wake);
}

void worker_stop(struct worker *worker, uint64_t grace_ms)
{
	struct message *message = worker->stop;

	if (message == NULL)
		return;
	worker->stop = NULL;
	*message = (struct message){.kind = MESSAGE_STOP, .grace_ms = grace_ms};
	worker_send(worker, message);
}

struct worker *worker_join(struct worker *worker)
{
	if (worker == NULL)
		return NULL;
	pthread_join(worker->thread, NULL);
	uv_loop_close(&worker->loop);
	worker_free(worker);
	return NULL;
}
