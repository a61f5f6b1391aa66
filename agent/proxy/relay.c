/* SPDX-License-Identifier: Apache-2.0 */
/* The relay: two flows between two sides, each with its own end; a side is a plain socket or TLS.
 *
 *     flow:  open --source ended--> ended --what is pending has gone--> forwarded
 *
 * The worker's one buffer carries everything; only what a sink would not take is copied to a buffer of the connection's
 * own, and as long as that stands the source is not read (back-pressure; the peer's window does the rest). What the kernel takes for each
 * call costs more than TLS, so the buffer holds several records; while connections keep much back, one (clients that stop reading are
 * to cost little).
 *
 * The end of TLS is close_notify (RFC 8446 6.1), that of a plain socket its FIN; each is passed on as the other side's. TLS that ends with
 * a FIN alone has been cut, perhaps by somebody else: from the client, the upstream is told by a reset, unless it was through itself; from
 * the upstream, the client gets what came and a FIN without close_notify. */
#include "proxy/conn_impl.h"

#include "proxy/conn_log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RECORD_MAX 16384 /* bytes of one record: RFC 8446 5.1 */
#define KEPT_FREELY (4 * 1024 * 1024) /* bytes that sinks have not taken, of all connections of a worker */

enum flow_result { FLOW_IDLE, FLOW_MOVED, FLOW_SOURCE_FAILED, FLOW_SINK_FAILED };

static bool flow_is_over(const struct flow *flow)
{
	return flow->forwarded && flow->pending == NULL;
}

/* Keeps what the sink would not take. */
static int flow_keep(struct worker *worker, struct flow *flow, const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	flow->pending = malloc(len);
	if (flow->pending == NULL)
		return E_NOMEM;
	memcpy(flow->pending, data, len);
	flow->from = 0;
	flow->to = (uint32_t)len;
	worker->kept += len;
	return 0;
}

void relay_drop(struct worker *worker, struct flow *flow)
{
	if (flow->pending != NULL)
		worker->kept -= flow->to;
	free(flow->pending);
	flow->pending = NULL;
	flow->from = flow->to = 0;
}

/* How much is read at once. */
static size_t room_of(const struct worker *worker)
{
	return worker->kept < KEPT_FREELY ? WORKER_BUFFER : RECORD_MAX;
}

/* ------------------------------------------------------------------------------------------------------- sides */

static void watch_out(struct conn *conn, struct side *side)
{
	if (!side->end.watches_out)
		worker_watch_out(conn->worker, side->end.fd, &side->end.watch);
	side->end.watches_out = true;
}

/* Under TLS 1.3 a client learns only now that its certificate was not taken. */
static void tls_read_failed(struct conn *conn, struct side *side, int ssl_error)
{
	bool is_alert = ssl_error == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_last_error()) >= SSL_AD_REASON_OFFSET;

	if (side == &conn->upstream && is_alert && conn->bytes_out == 0) {
		origin_explain(conn->origin, side->ssl, ssl_error);
		conn_log_upstream_tls(conn, conn->origin->cause, conn->origin->why.text);
		conn_prove_upstream(conn, false);
	}
	ERR_clear_error();
}

/* Fills the worker's buffer with what OpenSSL has: records are small, sends should not be. */
static enum flow_result read_tls(struct conn *conn, struct side *side, struct flow *flow, size_t *ret_len)
{
	uint8_t *buffer = conn->worker->buffer;
	size_t len = 0, room = room_of(conn->worker);

	while (len < room) {
		int n = SSL_read(side->ssl, buffer + len, (int)(room - len)), e;

		if (n > 0) {
			len += (size_t)n;
			continue;
		}
		e = SSL_get_error(side->ssl, n);
		if (e == SSL_ERROR_WANT_READ)
			break;
		if (e == SSL_ERROR_WANT_WRITE) {
			watch_out(conn, side); /* the answer to a KeyUpdate waits */
			break;
		}
		if (e == SSL_ERROR_ZERO_RETURN) {
			flow->ended = true;
			break;
		}
		tls_read_failed(conn, side, e);
		if (len == 0) /* what came before goes first; the error comes again */
			return FLOW_SOURCE_FAILED;
		break;
	}
	*ret_len = len;
	return len > 0 || flow->ended ? FLOW_MOVED : FLOW_IDLE;
}

static enum flow_result read_raw(struct conn *conn, struct side *side, struct flow *flow, size_t *ret_len)
{
	ssize_t n = end_read(&side->end, conn->worker->buffer, room_of(conn->worker));

	if (n < 0)
		return errno == EAGAIN ? FLOW_IDLE : FLOW_SOURCE_FAILED;
	flow->ended = n == 0;
	*ret_len = (size_t)n;
	return FLOW_MOVED;
}

static enum flow_result read_side(struct conn *conn, struct side *side, struct flow *flow, size_t *ret_len)
{
	*ret_len = 0;
	return side->ssl != NULL ? read_tls(conn, side, flow, ret_len) : read_raw(conn, side, flow, ret_len);
}

/* Records of one write leave in few segments: the kernel is told that more comes. */
static ssize_t write_tls(struct conn *conn, struct side *side, const uint8_t *data, size_t len)
{
	bool more = side->end.more;
	size_t done = 0;

	while (done < len) {
		int n;

		side->end.more = more || len - done > RECORD_MAX;
		n = SSL_write(side->ssl, data + done, (int)(len - done));
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (SSL_get_error(side->ssl, n) != SSL_ERROR_WANT_WRITE) {
			ERR_clear_error();
			return -1;
		}
		watch_out(conn, side);
		break;
	}
	side->end.more = more;
	return (ssize_t)done;
}

static ssize_t write_raw(struct conn *conn, struct side *side, const uint8_t *data, size_t len)
{
	ssize_t n = end_write(&side->end, data, len);

	if (n >= 0 && (size_t)n == len)
		return n;
	if (n < 0 && errno != EAGAIN)
		return -1;
	watch_out(conn, side);
	return n > 0 ? n : 0;
}

/* Bytes written, 0 when it would block, -1 when the side takes no more. */
static ssize_t write_side(struct conn *conn, struct side *side, const uint8_t *data, size_t len)
{
	return side->ssl != NULL ? write_tls(conn, side, data, len) : write_raw(conn, side, data, len);
}

/* The last word towards a side, once: close_notify, and in the same segment the FIN, which is_last leaves to the closing of the socket a
 * moment later. */
static enum flow_result end_side(struct conn *conn, struct side *side, bool is_last)
{
	int r = 0;

	side->end.more = side->ssl != NULL;
	if (side->ssl != NULL)
		r = SSL_shutdown(side->ssl);
	if (r >= 0) {
		if (!is_last)
			shutdown(side->end.fd, SHUT_WR);
		return FLOW_MOVED;
	}
	if (SSL_get_error(side->ssl, r) == SSL_ERROR_WANT_WRITE) {
		watch_out(conn, side);
		return FLOW_IDLE;
	}
	ERR_clear_error();
	return FLOW_SINK_FAILED;
}

/* ------------------------------------------------------------------------------------------------------- flows */

/* Offers pending to the sink. */
static enum flow_result flow_flush(struct conn *conn, struct flow *flow, struct side *sink)
{
	ssize_t n = write_side(conn, sink, flow->pending + flow->from, flow->to - flow->from);

	if (n < 0)
		return FLOW_SINK_FAILED;
	flow->from += (uint32_t)n;
	if (flow->from == flow->to)
		relay_drop(conn->worker, flow);
	return n > 0 ? FLOW_MOVED : FLOW_IDLE;
}

static void count_bytes(struct conn *conn, const struct side *source, size_t len)
{
	bool in = source == &conn->client;

	*(in ? &conn->bytes_in : &conn->bytes_out) += len;
	counters_add(&conn->worker->counters, in ? COUNT_BYTES_IN : COUNT_BYTES_OUT, (int64_t)len);
}

/* The end is there already and this was all: close_notify comes next, in the same segment. */
static bool is_all(const struct side *source, const struct flow *flow, size_t len)
{
	return flow->ended || (source->ssl == NULL && source->end.ended && len < RECORD_MAX);
}

static enum flow_result flow_run(struct conn *conn, struct flow *flow, struct side *source, struct side *sink,
                                 const struct flow *other)
{
	uint8_t *buffer = conn->worker->buffer;
	enum flow_result result;
	size_t len;
	ssize_t n;

	if (flow->pending != NULL)
		return flow_flush(conn, flow, sink);
	if (flow->ended) {
		if (flow->forwarded)
			return FLOW_IDLE;
		result = end_side(conn, sink, flow_is_over(other));
		flow->forwarded = result == FLOW_MOVED;
		return result;
	}
	result = read_side(conn, source, flow, &len);
	if (result == FLOW_MOVED && source == &conn->upstream)
		conn_prove_upstream(conn, true);
	if (result != FLOW_MOVED || len == 0)
		return result;
	count_bytes(conn, source, len);
	sink->end.more = sink->ssl != NULL && is_all(source, flow, len);
	n = write_side(conn, sink, buffer, len);
	if (n < 0)
		return FLOW_SINK_FAILED;
	return flow_keep(conn->worker, flow, buffer + n, len - (size_t)n) == 0 ? FLOW_MOVED : FLOW_SOURCE_FAILED; /* lost is cut */
}

/* The upstream has stopped reading; it may still have something to say, so only this direction ends. */
static enum flow_result run_up(struct conn *conn)
{
	struct flow *flow = &conn->up;
	enum flow_result result = flow_run(conn, flow, &conn->client, &conn->upstream, &conn->down);

	if (result != FLOW_SINK_FAILED)
		return result;
	relay_drop(conn->worker, flow);
	flow->ended = flow->forwarded = true;
	conn->upstream_refuses = true;
	return FLOW_MOVED;
}

int relay_begin(struct conn *conn)
{
	struct flow *flow = &conn->up;
	size_t len = 0;

	if (conn->ahead.len == 0)
		return 0;
	if (!conn->hello.passthrough && read_side(conn, &conn->client, flow, &len) == FLOW_MOVED) {
		count_bytes(conn, &conn->client, len);
		buf_put(&conn->ahead, conn->worker->buffer, len);
	}
	if (conn->ahead.failed)
		return E_NOMEM;
	flow->to = (uint32_t)conn->ahead.len;
	flow->pending = (uint8_t *)buf_take(&conn->ahead, NULL);
	if (flow->pending == NULL)
		return E_NOMEM;
	conn->worker->kept += flow->to;
	return 0;
}

enum relay_verdict relay_run(struct conn *conn)
{
	ERR_clear_error();
	for (;;) {
		enum flow_result up = run_up(conn), down;

		if (up == FLOW_SOURCE_FAILED)
			return RELAY_CLIENT_FAILED;
		down = flow_run(conn, &conn->down, &conn->upstream, &conn->client, &conn->up);
		if (down == FLOW_SOURCE_FAILED)
			return RELAY_UPSTREAM_FAILED;
		if (down == FLOW_SINK_FAILED)
			return RELAY_CLIENT_FAILED;
		if (flow_is_over(&conn->up) && flow_is_over(&conn->down))
			return RELAY_DONE;
		if (up == FLOW_IDLE && down == FLOW_IDLE)
			return conn->client.end.failed ? RELAY_CLIENT_FAILED : RELAY_GOES_ON;
	}
}
