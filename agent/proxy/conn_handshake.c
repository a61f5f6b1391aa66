/* SPDX-License-Identifier: Apache-2.0 */
/* A connection from its first byte to the end of the client's handshake, or to the decision that its bytes are handed on unopened.
 *
 * OpenSSL is made when the ClientHello is whole (capture.h), and reads it from there. Limits are asked where they cost least: those of
 * the listener before a byte is read, those of the name inside the ClientHello callback, before the private key works. */
#include "proxy/conn_impl.h"

#include "base/memory.h"
#include "proxy/conn_log.h"
#include "proxy/proxy_header.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#define HANDSHAKES_MAX 4096     /* per worker, under way at once */
#define HANDSHAKE_STALE_MS 1000 /* when there are that many, one older than this makes room */

void conn_begin_handshake(struct conn *conn)
{
	struct conn_list *list = &conn->worker->handshakes;

	conn->handshake_prev = list->last;
	*(list->last != NULL ? &list->last->handshake_next : &list->first) = conn;
	list->last = conn;
	conn->worker->handshakes_len++;
}

void conn_end_handshake(struct conn *conn)
{
	struct conn_list *list = &conn->worker->handshakes;

	*(conn->handshake_prev != NULL ? &conn->handshake_prev->handshake_next : &list->first) = conn->handshake_next;
	*(conn->handshake_next != NULL ? &conn->handshake_next->handshake_prev : &list->last) = conn->handshake_prev;
	conn->worker->handshakes_len--;
	if (!conn->is_probe)
		atomic_fetch_sub_explicit(&conn->point->handshakes, 1, memory_order_relaxed);
	if (conn->is_name_counted)
		limits_release(conn->worker->shared->limits, conn->hello.limits.bucket);
	conn->is_name_counted = false;
	conn->client.end.tap = NULL;
	conn->client.end.ahead_len = 0;
	capture_deinit(&conn->capture);
}

/* ------------------------------------------------------------------------------------------------------- limits */

static void refuse_handshake(struct conn *conn, enum limit limit)
{
	if (conn->is_probe) {
		conn_close(conn);
		return;
	}
	counters_add(&conn->worker->counters, COUNT_REFUSED, 1);
	point_count(&conn->point->refused);
	conn_log_limit(conn->worker, conn->point, limit, "");
	conn_close(conn);
}

/* Too many at once: the oldest makes room if it has stalled, else this one is refused. */
static bool worker_has_room(struct worker *worker)
{
	struct conn *oldest = worker->handshakes.first;

	if (worker->handshakes_len < HANDSHAKES_MAX)
		return true;
	if (worker_now(worker) - oldest->accepted_at < HANDSHAKE_STALE_MS)
		return false;
	refuse_handshake(oldest, LIMIT_HANDSHAKES);
	return true;
}

/* Of the listener and the worker; LIMIT_NONE: one handshake more of the point is counted. */
static enum limit take_handshake(struct conn *conn)
{
	struct point *point = conn->point;
	uint32_t max = atomic_load_explicit(&point->max_handshakes, memory_order_relaxed);
	uint32_t per_second = atomic_load_explicit(&point->handshakes_per_second, memory_order_relaxed);
	int64_t before = atomic_fetch_add_explicit(&point->handshakes, 1, memory_order_relaxed);
	enum limit limit = LIMIT_NONE;

	if ((max != 0 && before >= (int64_t)max) || !worker_has_room(conn->worker))
		limit = LIMIT_HANDSHAKES;
	else if (!rate_take(&point->rate, per_second, worker_now_ns(conn->worker)))
		limit = LIMIT_RATE;
	if (limit != LIMIT_NONE)
		atomic_fetch_sub_explicit(&point->handshakes, 1, memory_order_relaxed);
	return limit;
}

/* Limits of the name that has been decided. False: refused. */
static bool take_name(struct conn *conn, SSL *ssl)
{
	const struct hello_limits *limits = &conn->hello.limits;
	struct worker *worker = conn->worker;
	enum limit limit;

	if (conn->is_probe || (limits->max_handshakes == 0 && limits->handshakes_per_second == 0))
		return true;
	limit = limits_take(worker->shared->limits, limits->bucket, limits->max_handshakes, limits->handshakes_per_second,
	                    worker_now_ns(worker));
	conn->is_name_counted = limit == LIMIT_NONE;
	if (limit == LIMIT_NONE)
		return true;
	conn->cause = CONN_CAUSE_LIMIT;
	conn_log_limit(worker, conn->point, limit, limits->bucket);
	return false;
}

/* ------------------------------------------------------------------------------------------------- the first bytes */

/* A second hello comes only after HelloRetryRequest, in TLS 1.3, where all that is encrypted says so. */
static bool on_client_bytes(struct end *end, const uint8_t *data, size_t len)
{
	struct conn *conn = container_of(end, struct conn, client.end);

	if (SSL_version(conn->client.ssl) != TLS1_3_VERSION)
		end->tap = NULL;
	else if (!hello_walk(&conn->walk, BYTES(data, len)))
		conn->cause = CONN_CAUSE_SIZE;
	return conn->cause == CONN_CAUSE_NONE;
}

static int on_hello(struct hello_hook *hook, SSL *ssl, int *alert)
{
	struct conn *conn = container_of(hook, struct conn, hook);
	bool was_decided = conn->hello.decided;
	int r = conn->hello.hook.decide(&conn->hello.hook, ssl, alert);

	if (r < 0 || was_decided || !conn->hello.decided)
		return r;
	conn->generation = conn->worker->generation;
	if (take_name(conn, ssl))
		return r;
	*alert = SSL_AD_INTERNAL_ERROR;
	return -1;
}

static int make_ssl(struct conn *conn)
{
	const struct worker_shared *shared = conn->worker->shared;
	struct ip client = ip_from_sockaddr(&conn->peer.any);
	SSL *ssl = SSL_new(shared->front);

	conn->client.ssl = ssl;
	if (ssl == NULL || end_put_on(&conn->client.end, shared->bio_method, ssl) < 0)
		return E_NOMEM;
	hello_init(&conn->hello, &conn->worker->hello, conn->point->address, &client);
	conn->hello.any_client = conn->is_probe;
	conn->hook.decide = on_hello;
	SSL_set_accept_state(ssl);
	conn->client.end.tap = on_client_bytes;
	return hello_hook_set(ssl, &conn->hook);
}

static void start_handshake(struct conn *conn)
{
	enum limit limit = conn->is_probe ? LIMIT_NONE : take_handshake(conn);

	if (limit != LIMIT_NONE) {
		refuse_handshake(conn, limit);
		return;
	}
	conn_move(conn, CONN_HANDSHAKE);
	conn_log_start(conn);
}

/* A client that only connects, or goes away again, costs no SSL. */
void conn_run_wait_first_byte(struct conn *conn)
{
	struct end *end = &conn->client.end;
	struct ip sender;
	char byte;

	if (!end->readable)
		return;
	if (end->ended && recv(end->fd, &byte, 1, MSG_PEEK) != 1) {
		conn_close(conn);
		return;
	}
	sender = ip_from_sockaddr(&conn->peer.any);
	if (!conn->is_probe && point_is_sender(conn->point, &sender))
		conn_move(conn, CONN_PROXY_HEADER);
	else
		start_handshake(conn);
}

static void take_header(struct conn *conn, const struct proxy_header *header)
{
	conn->via = conn->peer;
	if (!endpoint_is_known(&header->source))
		return;
	conn->peer = header->source;
	conn->local = header->destination;
}

static void refuse_header(struct conn *conn, const char *reason)
{
	conn->cause = CONN_CAUSE_PROXY_HEADER;
	conn_log_refusal(conn, reason);
	conn_close(conn);
}

/* The header is looked at where it lies, in the socket, until it is whole: a sender that stalls costs no memory. */
void conn_run_proxy_header(struct conn *conn)
{
	struct end *end = &conn->client.end;
	struct error err = ERROR_NULL;
	struct proxy_header header;
	uint8_t *buffer = conn->worker->buffer;
	ssize_t n = end_peek(end, buffer, PROXY_HEADER_MAX);
	size_t len = 0;
	int r;

	if (n < 0 && errno == EAGAIN)
		return;
	r = n > 0 ? proxy_header_parse(BYTES(buffer, (size_t)n), &header, &len, &err) : 0;
	if (r == 0 && (n <= 0 || end->ended))
		r = error_set(&err, E_CLOSED, "the sender went away before its PROXY header was whole");
	if (r < 0) {
		refuse_header(conn, err.text);
	} else if (r == 0) {
		end->readable = false;
	} else if (end_read(end, buffer, len) != (ssize_t)len) {
		conn_close(conn);
	} else {
		take_header(conn, &header);
		start_handshake(conn);
	}
}

/* --------------------------------------------------------------------------------------------------- the handshake */

static void count_agreed(struct conn *conn)
{
	SSL *ssl = conn->client.ssl;
	struct proxy_agreed what = {
	    .version = (uint16_t)SSL_version(ssl),
	    .suite = (uint16_t)SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)),
	    .group = conn_group_of(ssl),
	    .resumed = SSL_session_reused(ssl) == 1,
	};

	agreed_count(&conn->worker->agreed, &what, 1);
}

static void handshake_done(struct conn *conn)
{
	struct counters *counters = &conn->worker->counters;
	bool changed = conn->generation != conn->worker->generation;

	seat_settle(&conn->hello.seat, conn->client.ssl, 0);
	trust_take_off(conn->client.ssl);
	if (conn->is_probe) {
		conn_log_handshake(conn);
		conn_close(conn);
		return;
	}
	counters_add(counters, COUNT_HANDSHAKES_OK, 1);
	point_count(&conn->point->handshakes_ok);
	if (conn->hello.seat.ignored_ticket)
		counters_add(counters, COUNT_TICKETS_IGNORED, 1);
	count_agreed(conn);
	conn_log_handshake(conn);
	if (conn_put_ahead(conn) < 0) {
		conn_close(conn);
		return;
	}
	conn_move(conn, CONN_CONNECT);
	if (!changed || conn_judge(conn))
		conn_connect(conn);
}

/* The bytes go on as they came; the SSL has said nothing. Of a hello in the form of SSL 2 they are not all here. */
static void begin_passthrough(struct conn *conn)
{
	if (!conn->walk.whole || conn->is_probe) { /* behind it is nothing of ours to see */
		conn_log_failure(conn, SSL_ERROR_SSL);
		conn_close(conn);
		return;
	}
	counters_add(&conn->worker->counters, COUNT_PASSTHROUGH, 1);
	SSL_free(conn->client.ssl);
	conn->client.ssl = NULL;
	conn_log_passthrough(conn);
	if (conn_put_ahead(conn) < 0) {
		conn_close(conn);
		return;
	}
	conn_move(conn, CONN_CONNECT);
	conn_connect(conn);
}

/* In OpenSSL's place, which has not seen the hello: fatal, illegal_parameter (RFC 8446 6.2), in the clear as all is until then. */
static void send_alert(struct conn *conn)
{
	static const uint8_t alert[] = {21, 3, 1, 0, 2, 2, SSL_AD_ILLEGAL_PARAMETER};

	end_write(&conn->client.end, alert, sizeof(alert));
}

/* OpenSSL has sent its alert; what it will send no more is nothing. */
static void handshake_failed(struct conn *conn, int ssl_error)
{
	if (conn->client.ssl != NULL)
		seat_settle(&conn->hello.seat, conn->client.ssl, ERR_peek_last_error());
	conn_log_failure(conn, ssl_error);
	if (conn->cause == CONN_CAUSE_SIZE)
		send_alert(conn);
	if (ssl_error == SSL_ERROR_SSL || conn->cause == CONN_CAUSE_SIZE)
		conn_linger(conn);
	else
		conn_close(conn);
}

static void await_client(struct conn *conn, int ssl_error)
{
	struct end *end = &conn->client.end;

	if (ssl_error == SSL_ERROR_WANT_WRITE && !end->watches_out) {
		end->watches_out = true;
		worker_watch_out(conn->worker, end->fd, &end->watch);
	}
}

/* Wakes us when so much is there, or the end. A client may put each byte into a packet of its own, which shall not cost a turn each. */
static void wake_at(const struct conn *conn, size_t bytes)
{
	const int least = (int)bytes;

	(void)setsockopt(conn->client.end.fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
}

/* Reads what is there of the ClientHello. 1: it is whole, or nothing that could become one; 0: more must come; negative: it never will. */
static int read_hello(struct conn *conn)
{
	struct capture_room *room = &conn->worker->hello_bytes;

	while (!conn->walk.whole && !conn->walk.over) {
		size_t left = capture_left(&conn->capture, room);
		ssize_t n = left > 0 ? end_read(&conn->client.end, room->data + room->len, left) : 0;

		if (n < 0 && errno == EAGAIN) {
			/* Of the first byte the kernel tells unasked; a mark that was set for an earlier piece is to be lowered. */
			if (hello_walk_left(&conn->walk) > 1 || conn->capture.data != NULL)
				wake_at(conn, hello_walk_left(&conn->walk));
			return 0;
		}
		if (n > 0 && hello_walk(&conn->walk, BYTES(room->data + room->len, (size_t)n))) {
			room->len += (uint32_t)n;
			continue;
		}
		if (n > 0 || left == 0)
			conn->cause = CONN_CAUSE_SIZE;
		return E_CLOSED;
	}
	return 1;
}

/* OpenSSL gets what has been read in one piece. */
static int begin_tls(struct conn *conn)
{
	struct capture_room *room = &conn->worker->hello_bytes;
	struct capture *capture = &conn->capture;
	struct end *end = &conn->client.end;

	if (capture->data != NULL && capture_keep(capture, room) < 0)
		return E_NOMEM;
	if (capture->data != NULL)
		wake_at(conn, 1);
	end->ahead = capture->data != NULL ? capture->data : room->data;
	end->ahead_len = capture->data != NULL ? capture->len : room->len;
	return make_ssl(conn);
}

/* The room is the next connection's: what OpenSSL has not taken yet stays with this one. */
static int keep_ahead(struct conn *conn)
{
	struct capture *capture = &conn->capture;
	struct end *end = &conn->client.end;

	if (end->ahead_len == 0) {
		capture_deinit(capture);
	} else if (capture->data == NULL) {
		if (capture_keep(capture, &conn->worker->hello_bytes) < 0)
			return E_NOMEM;
		end->ahead = capture->data + capture->len - end->ahead_len;
	}
	return 0;
}

/* All but tickets has been said (TLS 1.3): nobody waits for them, so they may travel with the first answer; without one the kernel sends
 * them a moment later. */
static bool owes_tickets_alone(const SSL *ssl)
{
	return SSL_version(ssl) == TLS1_3_VERSION && SSL_get_state(ssl) == TLS_ST_EARLY_DATA;
}

/* An allocation that failed may have been a rule's, or part of what a rule was judged by: nobody is let in on what is left. */
static int shake(struct conn *conn, int *ret_error)
{
	uint64_t failures = memory_failures();
	int r;

	ERR_clear_error();
	conn->client.end.more = owes_tickets_alone(conn->client.ssl);
	r = SSL_do_handshake(conn->client.ssl);
	conn->client.end.more = false;
	*ret_error = r == 1 ? SSL_ERROR_NONE : SSL_get_error(conn->client.ssl, r);
	return memory_judge(failures, 0, &conn->worker->hello.error);
}

static void go_on(struct conn *conn)
{
	int e, r = shake(conn, &e);

	if (conn->hello.decided && !conn->hello.passthrough && !conn->deadline_is_final) {
		conn->deadline_is_final = true;
		conn_set_deadline(conn, conn->accepted_at + conn->hello.handshake_timeout_ms);
	}
	if (r < 0)
		handshake_failed(conn, SSL_ERROR_SYSCALL);
	else if (e == SSL_ERROR_WANT_CLIENT_HELLO_CB)
		begin_passthrough(conn);
	else if (keep_ahead(conn) < 0)
		conn_close(conn);
	else if (e == SSL_ERROR_NONE)
		handshake_done(conn);
	else if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		await_client(conn, e);
	else
		handshake_failed(conn, e);
}

void conn_run_handshake(struct conn *conn)
{
	int r;

	if (conn->client.ssl == NULL) {
		conn->worker->hello_bytes.len = 0;
		r = read_hello(conn);
		if (r < 0) {
			ERR_clear_error();
			handshake_failed(conn, SSL_ERROR_SYSCALL);
			return;
		}
		r = r == 0 ? capture_keep(&conn->capture, &conn->worker->hello_bytes) : begin_tls(conn);
		if (r < 0)
			conn_close(conn);
		if (conn->client.ssl == NULL || r < 0)
			return;
	}
	go_on(conn);
}
