/* SPDX-License-Identifier: Apache-2.0 */
/* The relay: two flows, each with its own end.
 *
 *     flow:  open --source ended--> ended --what is pending has gone--> forwarded
 *
 * The worker's one buffer carries everything; only what a sink would not take is copied to a buffer of the connection's
 * own, and as long as that stands the source is not read (back-pressure; the peer's window does the rest). The client's
 * end is close_notify (RFC 8446 6.1); a FIN without it is a truncation, so the upstream is told by a reset, unless it
 * was through itself. */
#include "proxy/conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum flow_result { FLOW_IDLE, FLOW_MOVED, FLOW_SOURCE_FAILED, FLOW_SINK_FAILED };

static bool flow_is_over(const struct flow *flow)
{
	return flow->forwarded && flow->pending == NULL;
}

/* Keeps what the sink would not take. */
static int flow_keep(struct flow *flow, const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	flow->pending = malloc(len);
	if (flow->pending == NULL)
		return E_NOMEM;
	memcpy(flow->pending, data, len);
	flow->from = 0;
	flow->to = (uint32_t)len;
	return 0;
}

static void flow_drop(struct flow *flow)
{
	free(flow->pending);
	flow->pending = NULL;
	flow->from = flow->to = 0;
}

static void watch_client_out(struct conn *conn)
{
	if (!conn->client.watches_out)
		worker_watch_out(conn->worker, conn->client.fd, &conn->client.watch);
	conn->client.watches_out = true;
}

/* Bytes written, 0 when it would block, -1 when the client is gone. */
static ssize_t write_client(struct conn *conn, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		int n = SSL_write(conn->ssl, data + done, (int)(len - done));

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (SSL_get_error(conn->ssl, n) != SSL_ERROR_WANT_WRITE)
			return -1;
		watch_client_out(conn);
		break;
	}
	counters_add(&conn->worker->counters, COUNT_BYTES_OUT, (int64_t)done);
	return (ssize_t)done;
}

static ssize_t write_upstream(struct conn *conn, const uint8_t *data, size_t len)
{
	ssize_t n = end_write(&conn->upstream, data, len);

	return n < 0 && errno == EAGAIN ? 0 : n;
}

/* Offers pending to the sink. */
static enum flow_result flow_flush(struct conn *conn, struct flow *flow,
                                   ssize_t (*write_sink)(struct conn *conn, const uint8_t *data, size_t len))
{
	ssize_t n = write_sink(conn, flow->pending + flow->from, flow->to - flow->from);

	if (n < 0)
		return FLOW_SINK_FAILED;
	flow->from += (uint32_t)n;
	if (flow->from == flow->to)
		flow_drop(flow);
	return n > 0 ? FLOW_MOVED : FLOW_IDLE;
}

/* Fills the worker's buffer with what OpenSSL has: records are small, sends should not be. */
static enum flow_result read_client(struct conn *conn, size_t *ret_len)
{
	uint8_t *buffer = conn->worker->buffer;
	size_t len = 0;

	while (len < WORKER_BUFFER) {
		int n = SSL_read(conn->ssl, buffer + len, (int)(WORKER_BUFFER - len)), e;

		if (n > 0) {
			len += (size_t)n;
			continue;
		}
		e = SSL_get_error(conn->ssl, n);
		if (e == SSL_ERROR_WANT_WRITE)
			watch_client_out(conn); /* the answer to a KeyUpdate waits */
		else if (e == SSL_ERROR_ZERO_RETURN)
			conn->up.ended = true;
		else if (e != SSL_ERROR_WANT_READ && len == 0) /* what came before goes first; the error comes again */
			return FLOW_SOURCE_FAILED;
		break;
	}
	*ret_len = len;
	counters_add(&conn->worker->counters, COUNT_BYTES_IN, (int64_t)len);
	return len > 0 || conn->up.ended ? FLOW_MOVED : FLOW_IDLE;
}

/* The upstream has stopped reading; it may still have something to say, so only this direction ends. */
static enum flow_result up_is_refused(struct conn *conn)
{
	flow_drop(&conn->up);
	conn->up.ended = conn->up.forwarded = true;
	conn->upstream_refuses = true;
	return FLOW_MOVED;
}

static enum flow_result run_up(struct conn *conn)
{
	struct flow *flow = &conn->up;
	enum flow_result result;
	size_t len = 0;
	ssize_t n;

	if (flow->pending != NULL) {
		result = flow_flush(conn, flow, write_upstream);
		return result == FLOW_SINK_FAILED ? up_is_refused(conn) : result;
	}
	if (flow->ended) {
		if (flow->forwarded)
			return FLOW_IDLE;
		if (!flow_is_over(&conn->down)) /* else the socket is closed a moment later */
			shutdown(conn->upstream.fd, SHUT_WR);
		flow->forwarded = true;
		return FLOW_MOVED;
	}
	result = read_client(conn, &len);
	if (result != FLOW_MOVED || len == 0)
		return result;
	n = write_upstream(conn, conn->worker->buffer, len);
	if (n < 0)
		return up_is_refused(conn);
	return flow_keep(flow, conn->worker->buffer + n, len - (size_t)n) == 0 ? FLOW_MOVED : FLOW_SINK_FAILED;
}

/* close_notify, once. */
static enum flow_result end_client(struct conn *conn)
{
	int r;

	conn->client.more = false;
	r = SSL_shutdown(conn->ssl);
	if (r < 0 && SSL_get_error(conn->ssl, r) == SSL_ERROR_WANT_WRITE) {
		watch_client_out(conn);
		return FLOW_IDLE;
	}
	if (r < 0)
		return FLOW_SINK_FAILED;
	conn->down.forwarded = true;
	return FLOW_MOVED;
}

static enum flow_result run_down(struct conn *conn)
{
	struct flow *flow = &conn->down;
	uint8_t *buffer = conn->worker->buffer;
	ssize_t len, n;

	if (flow->pending != NULL)
		return flow_flush(conn, flow, write_client);
	if (flow->ended)
		return flow->forwarded ? FLOW_IDLE : end_client(conn);
	len = end_read(&conn->upstream, buffer, WORKER_BUFFER);
	if (len < 0)
		return errno == EAGAIN ? FLOW_IDLE : FLOW_SOURCE_FAILED;
	if (len == 0) {
		flow->ended = true;
		return FLOW_MOVED;
	}
	/* The FIN is there already and this was all: close_notify comes next, in the same segment. */
	conn->client.more = conn->upstream.ended && len < WORKER_BUFFER;
	n = write_client(conn, buffer, (size_t)len);
	if (n < 0)
		return FLOW_SINK_FAILED;
	return flow_keep(flow, buffer + n, (size_t)(len - n)) == 0 ? FLOW_MOVED : FLOW_SINK_FAILED;
}

enum relay_verdict relay_run(struct conn *conn)
{
	ERR_clear_error();
	for (;;) {
		enum flow_result up = run_up(conn), down;

		if (up == FLOW_SOURCE_FAILED)
			return RELAY_CLIENT_FAILED;
		if (up == FLOW_SINK_FAILED)
			return RELAY_UPSTREAM_FAILED;
		down = run_down(conn);
		if (down == FLOW_SOURCE_FAILED)
			return RELAY_UPSTREAM_FAILED;
		if (down == FLOW_SINK_FAILED)
			return RELAY_CLIENT_FAILED;
		if (flow_is_over(&conn->up) && flow_is_over(&conn->down))
			return RELAY_DONE;
		if (up == FLOW_IDLE && down == FLOW_IDLE)
			return conn->client.failed ? RELAY_CLIENT_FAILED : RELAY_GOES_ON;
	}
}
