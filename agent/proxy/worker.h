/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: one thread that accepts, shakes hands and relays, and shares nothing with the other workers but counted
 * values.
 *
 * It waits in one epoll descriptor for its sockets, edge-triggered: a connection costs one epoll_ctl per socket in its
 * whole life, where uv_poll would make seven. The worker's uv loop (messages from the main thread, the tick of the
 * deadlines) is one more descriptor in that set. */
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "proxy/capture.h"
#include "proxy/counters.h"
#include "proxy/hello.h"
#include "proxy/limit.h"
#include "proxy/listing.h"
#include "proxy/point.h"
#include "proxy/watch.h"
#include "proxy/wheel.h"

#include <openssl/bio.h>
#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#define WORKER_BUFFER (64 * 1024) /* several records; for what must wait a connection keeps a copy */

/* What is the same for all workers; borrowed, must outlive them. */
struct worker_shared {
	SSL_CTX *front;
	BIO_METHOD *bio_method;
	uv_async_t *news;           /* of the main loop: told when sockets are closed, a list is filled or a worker has ended */
	unsigned workers;
	struct limits *limits;
	struct origin_cache *origins;
	struct passes *passes;      /* of the agent's own probes */
	struct hello_context hello; /* reader and tickets are filled in per worker */
};

struct conn;

struct conn_list {
	struct conn *first, *last;
};

struct message;
struct acceptor;

/* What goes through the connections, some per turn; each stands at the next one, or is over (NULL). */
enum walk { WALK_JUDGE, WALK_LIST, WALKS };

/* Lines above debug: a few per second of each sort, so that clients that end in the middle of a handshake hide nothing else. */
enum worker_lines { WORKER_LINES_BROKEN_OFF, WORKER_LINES_REST, WORKER_LINES };

struct worker {
	const struct worker_shared *shared;
	unsigned index;
	pthread_t thread;
	atomic_bool ended; /* the thread touches nothing of ours any more */

	pthread_mutex_t lock; /* guards the inbox: messages to wake */
	struct message *messages;
	struct message *stop; /* made at the start, so that stopping cannot fail */
	bool has_tickets, has_tightened;
	struct ticket_sets *tickets; /* a reference; with has_tickets */
	struct listing_part *asked;
	uv_async_t wake;

	/* the thread's own from here on */
	uv_loop_t loop;
	int epoll;
	uv_timer_t tick, pause;
	struct watch loop_watch;
	bool loop_is_due;
	struct hello_context hello;
	struct wheel wheel;
	struct acceptor *acceptors;
	struct conn_list conns, handshakes;
	struct conn *again;  /* to be run before the next wait: their turn was over, their work was not */
	struct conn *closed; /* freed when no event of this batch can name them any more */
	size_t handshakes_len;
	uint64_t conns_started;
	unsigned generation; /* raised whenever the rules have tightened */
	unsigned pass;       /* the generation at the start of the last pass of WALK_JUDGE: another is due when there is a newer one */
	uint64_t turn;       /* raised with each batch of events */
	struct conn *walks[WALKS];
	struct listing_part *listing; /* being filled, and those that wait */
	bool stopping;
	uint64_t stop_at; /* loop time at which what still drains is closed */
	struct log_budget log_budgets[WORKER_LINES];
	struct counters counters;
	struct agreed agreed;
	size_t kept; /* bytes that connections keep of flows */
	uint8_t buffer[WORKER_BUFFER];
	struct capture_room hello_bytes;
};

int worker_start(const struct worker_shared *shared, unsigned index, struct worker **ret, struct error *err) MUST_USE;
/* Main thread. fd: bound and listening, the worker's from now on; references point. */
int worker_listen(struct worker *worker, struct point *point, int fd, struct error *err) MUST_USE;
/* Accepts what waits, then closes its socket of point; point->sockets counts down, news is sent at 0. */
int worker_unlisten(struct worker *worker, struct point *point, struct error *err) MUST_USE;
/* Main thread; none can fail. From the next ClientHello on these keys (a reference is taken; NULL: none). */
void worker_set_tickets(struct worker *worker, struct ticket_sets *sets);
/* What has been published may refuse connections that are open: they are judged again. */
void worker_tighten(struct worker *worker);
/* part is the worker's until listing_part_end. */
void worker_list(struct worker *worker, struct listing_part *part);
/* Like worker_unlisten for all; connections may go on for grace_ms. Then the thread ends: `ended`, news. No other call
 * but worker_join may follow. */
void worker_stop(struct worker *worker, uint64_t grace_ms);
struct worker *worker_join(struct worker *worker); /* waits for the thread, frees; NULL allowed */

/* For conn.c, on the worker's thread. */
uint64_t worker_now(const struct worker *worker); /* milliseconds */
uint64_t worker_now_ns(const struct worker *worker); /* the same clock */
void worker_pass_over(struct worker *worker, const struct conn *conn); /* it closes: no walk may stand at it */
/* Edge-triggered; out: also when it becomes writable. */
int worker_watch(struct worker *worker, int fd, bool out, struct watch *watch) MUST_USE;
void worker_watch_out(struct worker *worker, int fd,
                      struct watch *watch); /* from now on also when it becomes writable */
void worker_set_deadline(struct worker *worker, struct wheel_item *item, uint64_t due_ms);
bool worker_may_log(struct worker *worker, enum worker_lines lines); /* tells how many were dropped */
