/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conn.h"

#include "base/log.h"
#include "proxy/conn_log.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HANDSHAKES_MAX 4096     /* per worker, under way at once */
#define HANDSHAKE_STALE_MS 1000 /* when there are that many, one older than this makes room */
#define LINGER_MS 2000
#define LINGER_BYTES (256 * 1024)
#define HALF_CLOSED_MS (5 * 60 * 1000) /* one way is over and the other silent: who is left has probably gone */

static const uint8_t edges[] = {
    [CONN_WAIT_FIRST_BYTE] = 1 << CONN_HANDSHAKE | 1 << CONN_CLOSED,
    [CONN_HANDSHAKE] = 1 << CONN_CONNECT | 1 << CONN_CLOSING | 1 << CONN_CLOSED,
    [CONN_CONNECT] = 1 << CONN_RELAY | 1 << CONN_CLOSING | 1 << CONN_CLOSED,
    [CONN_RELAY] = 1 << CONN_CLOSING | 1 << CONN_CLOSED,
    [CONN_CLOSING] = 1 << CONN_CLOSED,
    [CONN_CLOSED] = 0,
};

static void handshake_begins(struct conn *conn)
{
	struct conn_list *list = &conn->worker->handshakes;

	conn->handshake_prev = list->last;
	*(list->last != NULL ? &list->last->handshake_next : &list->first) = conn;
	list->last = conn;
	conn->worker->handshakes_len++;
}

static void handshake_ends(struct conn *conn)
{
	struct conn_list *list = &conn->worker->handshakes;

	*(conn->handshake_prev != NULL ? &conn->handshake_prev->handshake_next : &list->first) = conn->handshake_next;
	*(conn->handshake_next != NULL ? &conn->handshake_next->handshake_prev : &list->last) = conn->handshake_prev;
	conn->worker->handshakes_len--;
}

static void conn_move(struct conn *conn, enum conn_state state)
{
	assert((edges[conn->state] >> state & 1) != 0);
	if (conn->state == CONN_HANDSHAKE)
		handshake_ends(conn);
	conn->state = state;
	if (state == CONN_HANDSHAKE)
		handshake_begins(conn);
}

static void set_deadline(struct conn *conn, uint64_t due_ms)
{
	worker_set_deadline(conn->worker, &conn->deadline, due_ms);
}

/* Everything goes but the memory, which an event of this batch may still name. */
static void conn_close(struct conn *conn)
{
	struct worker *worker = conn->worker;

	conn_move(conn, CONN_CLOSED);
	wheel_clear(&worker->wheel, &conn->deadline);
	SSL_free(conn->ssl);
	conn->ssl = NULL;
	end_close(&conn->client);
	end_close(&conn->upstream);
	free(conn->up.pending);
	free(conn->down.pending);
	hello_deinit(&conn->hello);
	atomic_fetch_sub_explicit(&conn->point->connections, 1, memory_order_relaxed);
	conn->point = point_unref(conn->point);
	*(conn->prev != NULL ? &conn->prev->next : &worker->conns.first) = conn->next;
	*(conn->next != NULL ? &conn->next->prev : &worker->conns.last) = conn->prev;
	counters_add(&worker->counters, COUNT_OPEN, -1);
	conn->next_closed = worker->closed;
	worker->closed = conn;
}

/* The last words are on their way: no more from our side, and what the client still sends is read away for a while. */
static void conn_linger(struct conn *conn)
{
	if (conn->client.failed || shutdown(conn->client.fd, SHUT_WR) != 0) {
		conn_close(conn);
		return;
	}
	conn_move(conn, CONN_CLOSING);
	SSL_free(conn->ssl);
	conn->ssl = NULL;
	end_close(&conn->upstream);
	free(conn->up.pending);
	free(conn->down.pending);
	conn->up = conn->down = (struct flow){0};
	set_deadline(conn, worker_now(conn->worker) + LINGER_MS);
}

static void run_closing(struct conn *conn)
{
	size_t read = 0;

	for (;;) {
		ssize_t n = end_read(&conn->client, conn->worker->buffer, WORKER_BUFFER);

		if (n < 0 && errno == EAGAIN)
			return;
		read += n > 0 ? (size_t)n : 0;
		if (n <= 0 || read > LINGER_BYTES) {
			conn_close(conn);
			return;
		}
	}
}

/* ---------------------------------------------------------------------------------------------------- handshake */

/* Too many at once: the oldest makes room if it has stalled, else this one is refused. */
static bool has_room_for_handshake(struct worker *worker)
{
	struct conn *oldest = worker->handshakes.first;

	if (worker->handshakes_len < HANDSHAKES_MAX)
		return true;
	counters_add(&worker->counters, COUNT_REFUSED, 1);
	if (worker_now(worker) - oldest->accepted_at < HANDSHAKE_STALE_MS)
		return false;
	conn_close(oldest);
	return true;
}

static int make_ssl(struct conn *conn)
{
	const struct worker_shared *shared = conn->worker->shared;

	conn->ssl = SSL_new(shared->front);
	if (conn->ssl == NULL || end_put_on(&conn->client, shared->bio_method, conn->ssl) < 0)
		return E_NOMEM;
	hello_init(&conn->hello, &conn->worker->hello, conn->point->address);
	SSL_set_accept_state(conn->ssl);
	return hello_hook_set(conn->ssl, &conn->hello.hook);
}

/* A client that only connects, or goes away again, costs no SSL. */
static void run_wait_first_byte(struct conn *conn)
{
	char byte;

	if (!conn->client.readable)
		return;
	if ((conn->client.ended && recv(conn->client.fd, &byte, 1, MSG_PEEK) != 1) ||
	    !has_room_for_handshake(conn->worker) || make_ssl(conn) < 0) {
		conn_close(conn);
		return;
	}
	conn_move(conn, CONN_HANDSHAKE);
}

static void connect_next(struct conn *conn);

static void handshake_done(struct conn *conn)
{
	struct counters *counters = &conn->worker->counters;

	counters_add(counters, COUNT_HANDSHAKES_OK, 1);
	if (SSL_version(conn->ssl) == TLS1_3_VERSION)
		counters_add(counters, COUNT_TLS13, 1);
	else if (SSL_version(conn->ssl) == TLS1_2_VERSION)
		counters_add(counters, COUNT_TLS12, 1);
	conn_log_handshake(conn);
	conn_move(conn, CONN_CONNECT);
	connect_next(conn);
}

/* OpenSSL has sent its alert; what it will send no more is nothing. */
static void handshake_failed(struct conn *conn, int ssl_error)
{
	conn_log_failure(conn, ssl_error);
	if (ssl_error == SSL_ERROR_SSL)
		conn_linger(conn);
	else
		conn_close(conn);
}

static void run_handshake(struct conn *conn)
{
	int r, e;

	ERR_clear_error();
	r = SSL_do_handshake(conn->ssl);
	if (conn->hello.decided && !conn->deadline_is_final) {
		conn->deadline_is_final = true;
		set_deadline(conn, conn->accepted_at + conn->hello.handshake_timeout_ms);
	}
	if (r == 1) {
		handshake_done(conn);
		return;
	}
	e = SSL_get_error(conn->ssl, r);
	if (e == SSL_ERROR_WANT_WRITE && !conn->client.watches_out) {
		conn->client.watches_out = true;
		worker_watch_out(conn->worker, conn->client.fd, &conn->client.watch);
	} else if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
		handshake_failed(conn, e);
	}
}

/* ------------------------------------------------------------------------------------------------------ connect */

static void on_upstream_event(struct watch *watch, uint32_t events);

/* 0: under way or there; negative: this address is not to be had. */
static int connect_to(struct conn *conn, const struct sockaddr_storage *address, socklen_t len)
{
	const int on = 1;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_from_errno(errno);
	conn->upstream = (struct end){.watch = {on_upstream_event}, .fd = fd, .watches_out = true};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if ((connect(fd, (const struct sockaddr *)address, len) == 0 || errno == EINPROGRESS) &&
	    worker_watch(conn->worker, fd, true, &conn->upstream.watch) == 0)
		return 0;
	end_close(&conn->upstream);
	return E_IO;
}

/* Addresses in the order that the upstream gives, each with the whole connect timeout. */
static void connect_next(struct conn *conn)
{
	struct upstream *upstream = conn->hello.upstream;
	struct sockaddr_storage address;
	socklen_t len;

	while (upstream_pick(upstream, &conn->attempt, &address, &len) == 0) {
		if (connect_to(conn, &address, len) == 0) {
			set_deadline(conn, worker_now(conn->worker) + upstream_connect_timeout_ms(upstream));
			return;
		}
		upstream_report(upstream, &conn->attempt, false);
	}
	counters_add(&conn->worker->counters, COUNT_UPSTREAM_FAILURES, 1);
	conn_log_no_upstream(conn);
	conn_linger(conn);
}

static void connect_failed(struct conn *conn)
{
	upstream_report(conn->hello.upstream, &conn->attempt, false);
	end_close(&conn->upstream);
	connect_next(conn);
}

/* Until a node has answered the client is not read: what it sends waits in its socket. */
static void run_connect(struct conn *conn)
{
	if (conn->client.failed) {
		conn_close(conn);
	} else if (conn->upstream.failed) {
		connect_failed(conn);
	} else if (conn->upstream.writable) {
		upstream_report(conn->hello.upstream, &conn->attempt, true);
		wheel_clear(&conn->worker->wheel, &conn->deadline);
		conn->hello.upstream = upstream_unref(conn->hello.upstream);
		conn_move(conn, CONN_RELAY);
	}
}

/* -------------------------------------------------------------------------------------------------------- relay */

/* The client is gone without a word. The upstream must not take what it has for the whole, unless it has ended by
 * itself. */
static void client_failed(struct conn *conn)
{
	if (!conn->down.ended)
		end_reset(&conn->upstream);
	conn_close(conn);
}

static void run_relay(struct conn *conn)
{
	enum relay_verdict verdict = relay_run(conn);

	switch (verdict) {
	case RELAY_DONE:
		if (!conn->upstream_refuses)
			conn_close(conn);
		else
			conn_linger(conn);
		return;
	case RELAY_CLIENT_FAILED:
		client_failed(conn);
		return;
	case RELAY_UPSTREAM_FAILED:
		conn_linger(conn);
		return;
	case RELAY_GOES_ON:
		break;
	}
	if (conn->up.forwarded != conn->down.forwarded)
		set_deadline(conn, worker_now(conn->worker) + HALF_CLOSED_MS);
}

/* ------------------------------------------------------------------------------------------------------- events */

static void (*const run_state[])(struct conn *conn) = {
    [CONN_WAIT_FIRST_BYTE] = run_wait_first_byte,
    [CONN_HANDSHAKE] = run_handshake,
    [CONN_CONNECT] = run_connect,
    [CONN_RELAY] = run_relay,
    [CONN_CLOSING] = run_closing,
};

static void run_again_later(struct conn *conn)
{
	if (conn->is_again)
		return;
	conn->is_again = true;
	conn->next_again = conn->worker->again;
	conn->worker->again = conn;
}

/* A step may make the next one possible; an edge is reported once, so the next is tried at once. What a turn leaves is
 * for the next. */
static void conn_run(struct conn *conn)
{
	enum conn_state before;

	end_begin_turn(&conn->client);
	end_begin_turn(&conn->upstream);
	do {
		before = conn->state;
		if (before != CONN_CLOSED)
			run_state[before](conn);
	} while (conn->state != before);
	if (conn->state != CONN_CLOSED && (end_has_more(&conn->client) || end_has_more(&conn->upstream)))
		run_again_later(conn);
}

static void on_client_event(struct watch *watch, uint32_t events)
{
	struct end *end = container_of(watch, struct end, watch);
	struct conn *conn = container_of(end, struct conn, client);

	end_note(end, events);
	conn_run(conn);
}

static void on_upstream_event(struct watch *watch, uint32_t events)
{
	struct end *end = container_of(watch, struct end, watch);
	struct conn *conn = container_of(end, struct conn, upstream);

	end_note(end, events);
	conn_run(conn);
}

void conn_on_deadline(struct wheel_item *item)
{
	struct conn *conn = container_of(item, struct conn, deadline);

	if (conn->state == CONN_CONNECT) {
		connect_failed(conn);
		return;
	}
	if (conn->state == CONN_WAIT_FIRST_BYTE || conn->state == CONN_HANDSHAKE) {
		counters_add(&conn->worker->counters, COUNT_HANDSHAKES_TIMED_OUT, 1);
		conn_log_timeout(conn);
	}
	conn_close(conn);
}

struct conn *conn_run_again(struct conn *conn)
{
	struct conn *next = conn->next_again;

	conn->is_again = false;
	conn_run(conn);
	return next;
}

int conn_start(struct worker *worker, struct point *point, int fd, const struct sockaddr_storage *peer)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		return E_NOMEM;
	conn->state = CONN_WAIT_FIRST_BYTE;
	conn->worker = worker;
	conn->client = (struct end){.watch = {on_client_event}, .fd = fd, .writable = true};
	conn->upstream.fd = -1;
	conn->accepted_at = worker_now(worker);
	memcpy(&conn->peer, peer, sizeof(conn->peer));
	if (worker_watch(worker, fd, false, &conn->client.watch) < 0) {
		free(conn);
		return E_NOMEM;
	}
	conn->point = point_ref(point);
	conn->prev = worker->conns.last;
	*(worker->conns.last != NULL ? &worker->conns.last->next : &worker->conns.first) = conn;
	worker->conns.last = conn;
	counters_add(&worker->counters, COUNT_OPEN, 1);
	set_deadline(conn, conn->accepted_at + atomic_load_explicit(&point->handshake_timeout_ms, memory_order_relaxed));
	return 0;
}

void conns_close_all(struct worker *worker)
{
	while (worker->conns.first != NULL)
		conn_close(worker->conns.first);
	for (; worker->again != NULL; worker->again = worker->again->next_again)
		worker->again->is_again = false;
	conns_free_closed(worker);
}

void conns_free_closed(struct worker *worker)
{
	struct conn **place = &worker->closed, *conn;

	while ((conn = *place) != NULL) {
		if (conn->is_again) { /* its turn comes first, and does nothing */
			place = &conn->next_closed;
			continue;
		}
		*place = conn->next_closed;
		free(conn);
	}
}
