/* SPDX-License-Identifier: Apache-2.0 */
/* States and events of a connection; what happens in each state stands in conn_handshake.c, conn_upstream.c and relay.c. */
#include "proxy/conn.h"

#include "proxy/conn_impl.h"
#include "proxy/conn_log.h"

#include <assert.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LINGER_MS 2000
#define LINGER_BYTES (256 * 1024)
#define HALF_CLOSED_MS (5 * 60 * 1000) /* one way is over and the other silent: who is left has probably gone */

static const uint16_t edges[] = {
    [CONN_WAIT_FIRST_BYTE] = 1 << CONN_PROXY_HEADER | 1 << CONN_HANDSHAKE | 1 << CONN_CLOSED,
    [CONN_PROXY_HEADER] = 1 << CONN_HANDSHAKE | 1 << CONN_CLOSED,
    [CONN_HANDSHAKE] = 1 << CONN_CONNECT | 1 << CONN_CLOSING | 1 << CONN_CLOSED,
    [CONN_CONNECT] = 1 << CONN_UPSTREAM_HANDSHAKE | 1 << CONN_RELAY | 1 << CONN_CLOSING | 1 << CONN_CLOSED,
    [CONN_UPSTREAM_HANDSHAKE] = 1 << CONN_CONNECT | 1 << CONN_RELAY | 1 << CONN_CLOSING | 1 << CONN_CLOSED,
    [CONN_RELAY] = 1 << CONN_CLOSING | 1 << CONN_CLOSED,
    [CONN_CLOSING] = 1 << CONN_CLOSED,
    [CONN_CLOSED] = 0,
};

void conn_move(struct conn *conn, enum conn_state state)
{
	assert((edges[conn->state] >> state & 1) != 0);
	if (conn->state == CONN_HANDSHAKE)
		conn_end_handshake(conn);
	conn->state = state;
	if (state == CONN_HANDSHAKE)
		conn_begin_handshake(conn);
}

void conn_set_deadline(struct conn *conn, uint64_t due_ms)
{
	worker_set_deadline(conn->worker, &conn->deadline, due_ms);
}

static void drop_tls(struct conn *conn)
{
	SSL_free(conn->client.ssl);
	conn->client.ssl = NULL;
}

static void drop_flows(struct conn *conn)
{
	relay_drop(conn->worker, &conn->up);
	relay_drop(conn->worker, &conn->down);
	conn->up = conn->down = (struct flow){0};
	buf_deinit(&conn->ahead);
}

void conn_close(struct conn *conn)
{
	struct worker *worker = conn->worker;

	conn_move(conn, CONN_CLOSED);
	wheel_clear(&worker->wheel, &conn->deadline);
	drop_tls(conn);
	end_close(&conn->client.end);
	conn_drop_upstream(conn);
	drop_flows(conn);
	hello_deinit(&conn->hello);
	if (!conn->is_probe) {
		atomic_fetch_sub_explicit(&conn->point->connections, 1, memory_order_relaxed);
		counters_add(&worker->counters, COUNT_OPEN, -1);
	}
	conn->point = point_unref(conn->point);
	worker_pass_over(worker, conn);
	*(conn->prev != NULL ? &conn->prev->next : &worker->conns.first) = conn->next;
	*(conn->next != NULL ? &conn->next->prev : &worker->conns.last) = conn->prev;
	conn->next_closed = worker->closed;
	worker->closed = conn;
}

void conn_linger(struct conn *conn)
{
	if (conn->client.end.failed || shutdown(conn->client.end.fd, SHUT_WR) != 0) {
		conn_close(conn);
		return;
	}
	conn_move(conn, CONN_CLOSING);
	drop_tls(conn);
	conn_drop_upstream(conn);
	drop_flows(conn);
	conn_set_deadline(conn, worker_now(conn->worker) + LINGER_MS);
}

/* Unless the upstream has ended by itself: then nothing is missing. */
void conn_cut(struct conn *conn)
{
	if (!conn->down.ended)
		end_reset(&conn->upstream.end);
	conn_close(conn);
}

static void run_closing(struct conn *conn)
{
	size_t read = 0;

	for (;;) {
		ssize_t n = end_read(&conn->client.end, conn->worker->buffer, WORKER_BUFFER);

		if (n < 0 && errno == EAGAIN)
			return;
		read += n > 0 ? (size_t)n : 0;
		if (n <= 0 || read > LINGER_BYTES) {
			conn_close(conn);
			return;
		}
	}
}

static void run_relay(struct conn *conn)
{
	switch (relay_run(conn)) {
	case RELAY_DONE:
		if (!conn->upstream_refuses)
			conn_close(conn);
		else
			conn_linger(conn);
		return;
	case RELAY_CLIENT_FAILED: /* gone without a word */
		conn_cut(conn);
		return;
	case RELAY_UPSTREAM_FAILED: /* the client gets what there is, and no close_notify behind it */
		conn_linger(conn);
		return;
	case RELAY_GOES_ON:
		break;
	}
	if (conn->up.forwarded != conn->down.forwarded)
		conn_set_deadline(conn, worker_now(conn->worker) + HALF_CLOSED_MS);
}

/* ------------------------------------------------------------------------------------------------------- events */

static void (*const run_state[])(struct conn *conn) = {
    [CONN_WAIT_FIRST_BYTE] = conn_run_wait_first_byte,
    [CONN_PROXY_HEADER] = conn_run_proxy_header,
    [CONN_HANDSHAKE] = conn_run_handshake,
    [CONN_CONNECT] = conn_run_connect,
    [CONN_UPSTREAM_HANDSHAKE] = conn_run_upstream_handshake,
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

	end_begin_turn(&conn->client.end);
	end_begin_turn(&conn->upstream.end);
	do {
		before = conn->state;
		if (before != CONN_CLOSED)
			run_state[before](conn);
	} while (conn->state != before);
	if (conn->state != CONN_CLOSED && (end_has_more(&conn->client.end) || end_has_more(&conn->upstream.end)))
		run_again_later(conn);
}

static void on_client_event(struct watch *watch, uint32_t events)
{
	struct end *end = container_of(watch, struct end, watch);
	struct conn *conn = container_of(end, struct conn, client.end);

	end_note(end, events);
	conn_run(conn);
}

/* An event of the batch in which the socket was made is about the one before it, under the same watch. */
void conn_on_upstream_event(struct watch *watch, uint32_t events)
{
	struct end *end = container_of(watch, struct end, watch);
	struct conn *conn = container_of(end, struct conn, upstream.end);

	if (conn->connected_turn == conn->worker->turn)
		return;
	end_note(end, events);
	conn_run(conn);
}

void conn_on_deadline(struct wheel_item *item)
{
	struct conn *conn = container_of(item, struct conn, deadline);

	if (conn->state == CONN_CONNECT || conn->state == CONN_UPSTREAM_HANDSHAKE) {
		conn_upstream_timed_out(conn);
		return;
	}
	if (conn->state <= CONN_HANDSHAKE) {
		if (!conn->is_probe)
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

int conn_start(struct worker *worker, struct point *point, int fd, const struct sockaddr_storage *peer, bool is_probe)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (conn == NULL)
		return E_NOMEM;
	conn->state = CONN_WAIT_FIRST_BYTE;
	conn->worker = worker;
	conn->is_probe = is_probe;
	conn->client.end = (struct end){.watch = {on_client_event}, .fd = fd, .writable = true};
	conn->upstream.end.fd = -1;
	conn->accepted_at = worker_now(worker);
	memcpy(&conn->peer, peer, sizeof(conn->peer));
	if (worker_watch(worker, fd, false, &conn->client.end.watch) < 0) {
		free(conn);
		return E_NOMEM;
	}
	conn->id = ++worker->conns_started * worker->shared->workers + worker->index;
	conn->point = point_ref(point);
	conn->prev = worker->conns.last;
	*(worker->conns.last != NULL ? &worker->conns.last->next : &worker->conns.first) = conn;
	worker->conns.last = conn;
	if (!is_probe)
		counters_add(&worker->counters, COUNT_OPEN, 1);
	conn_set_deadline(conn, conn->accepted_at + atomic_load_explicit(&point->handshake_timeout_ms, memory_order_relaxed));
	return 0;
}

void conns_close_all(struct worker *worker)
{
	while (worker->conns.first != NULL)
		conn_cut(worker->conns.first);
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
