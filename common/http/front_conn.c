/* SPDX-License-Identifier: Apache-2.0 */
#include "http/front_conn.h"

#include "base/log.h"
#include "base/secret.h"
#include "http/sockaddr.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDSHAKE_MS 10000
#define HEAD_MS 10000
#define CLOSE_MS 2000
#define UNSENT_MAX (64u << 10) /* TLS's own answers (alerts, key updates) to a client that reads none of them */

static void pump(struct front_conn *conn);

static void move(struct front_conn *conn, enum front_conn_state to)
{
	assert(to > conn->state);
	conn->state = to;
}

static void log_failure(const struct front_conn *conn, const struct error *why)
{
	char peer[SOCKADDR_TEXT_MAX];

	if (!log_is_on(LOG_DEBUG))
		return;
	sockaddr_format((const struct sockaddr *)&conn->peer, peer);
	log_event(LOG_DEBUG, "http connection failed", LOG_STR("peer", peer), LOG_ERR(why));
}

/* End -------------------------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct front_conn *conn = handle->data;

	if (--conn->handles > 0)
		return;
	tls_stream_deinit(&conn->stream);
	gate_deinit(&conn->gate);
	buf_deinit(&conn->feed);
	buf_deinit(&conn->sent);
	conn->owner->on_freed(conn);
}

void front_conn_drop(struct front_conn *conn)
{
	if (conn->state == FRONT_GONE)
		return;
	move(conn, FRONT_GONE);
	uv_close(&conn->client.handle, on_handle_closed);
	uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
	uv_close((uv_handle_t *)&conn->head_timer, on_handle_closed);
	if (conn->handles == 4)
		uv_close((uv_handle_t *)&conn->plain, on_handle_closed);
	conn->owner->on_gone(conn);
}

static void on_deadline(uv_timer_t *timer)
{
	struct front_conn *conn = timer->data;
	struct error err;

	error_set(&err, E_TIMEOUT,
	          conn->state == FRONT_HANDSHAKE ? "handshake not done in time" : "the client takes nothing");
	if (conn->state < FRONT_LINGERING)
		log_failure(conn, &err);
	front_conn_drop(conn);
}

/* Starting a timer that has a callback can't fail. */
static void set_deadline(struct front_conn *conn, uint64_t ms)
{
	if (!conn->ending)
		(void)uv_timer_start(&conn->timer, on_deadline, ms, 0);
}

void front_conn_end(struct front_conn *conn)
{
	if (conn->state == FRONT_HANDSHAKE) {
		front_conn_drop(conn);
	} else if (conn->state != FRONT_GONE) {
		set_deadline(conn, CLOSE_MS);
		conn->ending = true;
	}
}

static void on_last(uv_shutdown_t *request, int status)
{
	/* The client's FIN ends it, or the deadline. */
}

static void linger(struct front_conn *conn)
{
	move(conn, FRONT_LINGERING);
	set_deadline(conn, CLOSE_MS);
	if (uv_shutdown(&conn->last, &conn->client.stream, on_last) < 0)
		front_conn_drop(conn);
}

/* No more plain bytes in either direction; what TLS has to say goes out. */
static void flush(struct front_conn *conn)
{
	move(conn, FRONT_FLUSHING);
	set_deadline(conn, conn->owner->idle_ms);
	uv_timer_stop(&conn->head_timer);
	if (conn->stream.ssl != NULL)
		tls_stream_shutdown(&conn->stream);
}

/* A broken promise of TLS: the alert is in the stream's out already. */
static void fail(struct front_conn *conn, const struct error *why)
{
	log_failure(conn, why);
	if (why->code == E_NOMEM)
		front_conn_drop(conn);
	else
		flush(conn);
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

static void on_sent(uv_write_t *request, int status)
{
	struct front_conn *conn = request->data;

	conn->is_sending = false;
	buf_deinit(&conn->sent);
	if (conn->state == FRONT_GONE)
		return;
	if (status < 0) {
		front_conn_drop(conn);
		return;
	}
	if (conn->state == FRONT_OPEN && !conn->ending)
		uv_timer_stop(&conn->timer);
	pump(conn);
}

static void send_out(struct front_conn *conn)
{
	uv_buf_t part;

	if (conn->is_sending || conn->stream.out.len == 0)
		return;
	conn->sent = conn->stream.out;
	conn->stream.out = BUF_NULL;
	part = uv_buf_init((char *)conn->sent.data, (unsigned)conn->sent.len);
	conn->sending.data = conn;
	if (uv_write(&conn->sending, &conn->client.stream, &part, 1, on_sent) < 0) {
		buf_deinit(&conn->sent);
		front_conn_drop(conn);
		return;
	}
	conn->is_sending = true;
	if (conn->state != FRONT_HANDSHAKE)
		set_deadline(conn, conn->owner->idle_ms);
}

static void on_half_closed(uv_shutdown_t *request, int status)
{
	/* MHD sees the end of the request, or is gone itself. */
}

static void end_feed(struct front_conn *conn)
{
	if (!conn->deaf && uv_shutdown(&conn->half_close, (uv_stream_t *)&conn->plain, on_half_closed) < 0)
		front_conn_drop(conn);
	conn->deaf = true;
}

/* What MHD refuses to read is dropped: its answer may still be on the way. */
static void on_fed(uv_write_t *request, int status)
{
	struct front_conn *conn = request->data;

	conn->is_feeding = false;
	buf_deinit(&conn->feed);
	if (conn->state != FRONT_OPEN)
		return;
	conn->deaf = conn->deaf || status < 0;
	if (conn->client_ended)
		end_feed(conn);
	pump(conn);
}

static void on_head_late(uv_timer_t *timer);

/* The head's time runs while its bytes could come. */
static void watch_head(struct front_conn *conn)
{
	uv_handle_t *timer = (uv_handle_t *)&conn->head_timer;

	if (!gate_is_within_head(&conn->gate))
		uv_timer_stop(&conn->head_timer);
	else if (!uv_is_active(timer))
		(void)uv_timer_start(&conn->head_timer, on_head_late, HEAD_MS, 0); /* has a callback: can't fail */
}

static void feed(struct front_conn *conn)
{
	uv_buf_t part;

	watch_head(conn);
	if (conn->feed.failed || conn->gate.line.failed) {
		front_conn_drop(conn);
		return;
	}
	if (conn->deaf || conn->feed.len == 0) {
		buf_deinit(&conn->feed);
		if (conn->client_ended)
			end_feed(conn);
		return;
	}
	part = uv_buf_init((char *)conn->feed.data, (unsigned)conn->feed.len);
	conn->feeding.data = conn;
	if (uv_write(&conn->feeding, (uv_stream_t *)&conn->plain, &part, 1, on_fed) < 0)
		front_conn_drop(conn);
	else
		conn->is_feeding = true;
}

static void on_head_late(uv_timer_t *timer)
{
	struct front_conn *conn = timer->data;

	if (conn->state != FRONT_OPEN)
		return;
	if (conn->is_feeding) { /* it is us who did not read */
		watch_head(conn);
		return;
	}
	conn->feed = (struct buf){.sensitive = true};
	gate_expire(&conn->gate, &conn->feed);
	feed(conn);
	pump(conn);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct front_conn *conn = handle->data;

	*ret = uv_buf_init((char *)conn->owner->scratch, FRONT_READ_SIZE);
}

static void take_clear(struct front_conn *conn, const uv_buf_t *memory, size_t len)
{
	conn->feed = (struct buf){.sensitive = true};
	gate_feed(&conn->gate, BYTES(memory->base, len), &conn->feed);
	secret_wipe(memory->base, len);
	feed(conn);
}

/* One read from the socket makes at most that much and one record that was there in part. */
static void take_plain(struct front_conn *conn)
{
	uint8_t plain[FRONT_READ_SIZE];
	struct error err = ERROR_NULL;
	size_t len;
	int r;

	conn->feed = (struct buf){.sensitive = true};
	do {
		r = tls_stream_read(&conn->stream, plain, sizeof(plain), &len, &err);
		if (r == 0)
			gate_feed(&conn->gate, BYTES(plain, len), &conn->feed);
	} while (r == 0 && len > 0);
	secret_wipe(plain, sizeof(plain));
	conn->client_ended = r == E_CLOSED;
	if (r < 0 && r != E_CLOSED) {
		buf_deinit(&conn->feed);
		fail(conn, &err);
		return;
	}
	feed(conn);
}

/* Both ends of the pair are made; one of them is the owner's from here on. */
static void open_plain(struct front_conn *conn)
{
	struct error err;
	int ends[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
		error_set(&err, E_IO, "make a socket pair: %s", strerror(errno));
		fail(conn, &err);
		return;
	}
	(void)uv_pipe_init(conn->client.handle.loop, &conn->plain, 0); /* can't fail */
	conn->plain.data = conn;
	conn->handles = 4;
	r = uv_pipe_open(&conn->plain, ends[0]);
	if (r < 0) {
		close(ends[0]);
		close(ends[1]);
		front_conn_drop(conn);
		return;
	}
	move(conn, FRONT_OPEN);
	uv_timer_stop(&conn->timer);
	conn->plain_fd = ends[1];
	conn->owner->on_plain(conn, ends[1]);
}

static void shake_hands(struct front_conn *conn)
{
	struct error err = ERROR_NULL;
	int r = tls_stream_handshake(&conn->stream, &err);

	if (r < 0)
		fail(conn, &err);
	else if (r == 1)
		open_plain(conn);
}

static void on_client(uv_stream_t *stream, ssize_t len, const uv_buf_t *memory)
{
	struct front_conn *conn = stream->data;

	if (len == UV_EOF && conn->stream.ssl == NULL && conn->state == FRONT_OPEN) {
		conn->client_ended = true;
		end_feed(conn);
		pump(conn);
		return;
	}
	if (len < 0) {
		front_conn_drop(conn);
		return;
	}
	if (len == 0 || conn->state >= FRONT_FLUSHING)
		return;
	if (conn->stream.ssl == NULL) {
		take_clear(conn, memory, (size_t)len);
		pump(conn);
		return;
	}
	conn->stream.in = BYTES(memory->base, (size_t)len);
	if (conn->state == FRONT_HANDSHAKE)
		shake_hands(conn);
	if (conn->state == FRONT_OPEN)
		take_plain(conn);
	conn->stream.in = BYTES_NULL; /* anything left is behind the end */
	pump(conn);
}

/* Plain bytes into what goes to the client. */
static int put_out(struct front_conn *conn, struct bytes plain, struct error *err)
{
	size_t done;
	int r = 0;

	if (conn->stream.ssl == NULL) {
		buf_put(&conn->stream.out, plain.data, plain.len);
		return conn->stream.out.failed ? error_nomem(err) : 0;
	}
	while (r == 0 && plain.len > 0) {
		r = tls_stream_write(&conn->stream, plain, &done, err);
		if (r == 0)
			plain = BYTES(plain.data + done, plain.len - done);
	}
	return r;
}

static void on_plain(uv_stream_t *stream, ssize_t len, const uv_buf_t *memory)
{
	struct front_conn *conn = stream->data;
	struct error err = ERROR_NULL;
	int r;

	if (len < 0) {
		flush(conn);
		pump(conn);
		return;
	}
	r = put_out(conn, BYTES(memory->base, (size_t)len), &err);
	secret_wipe(memory->base, (size_t)len);
	if (r < 0) {
		log_failure(conn, &err);
		front_conn_drop(conn);
		return;
	}
	pump(conn);
}

/* Pace ------------------------------------------------------------------------------------------------------------- */

static bool wants_client(const struct front_conn *conn)
{
	switch (conn->state) {
	case FRONT_HANDSHAKE:
		return conn->stream.out.len <= UNSENT_MAX;
	case FRONT_OPEN:
		return !conn->is_feeding && !conn->client_ended && !conn->deaf && conn->stream.out.len <= UNSENT_MAX;
	case FRONT_LINGERING:
		return true;
	default:
		return false;
	}
}

static void pace(struct front_conn *conn)
{
	bool client = wants_client(conn);
	bool plain = conn->state == FRONT_OPEN && !conn->is_sending;
	int r = 0;

	if (client && !conn->reads_client)
		r = uv_read_start(&conn->client.stream, on_alloc, on_client);
	else if (!client && conn->reads_client)
		uv_read_stop(&conn->client.stream);
	if (plain && !conn->reads_plain && r == 0)
		r = uv_read_start((uv_stream_t *)&conn->plain, on_alloc, on_plain);
	else if (!plain && conn->reads_plain)
		uv_read_stop((uv_stream_t *)&conn->plain);
	conn->reads_client = client;
	conn->reads_plain = plain;
	if (r < 0)
		front_conn_drop(conn);
}

/* The last step of every event: what can go out goes, then the sources are opened or closed. */
static void pump(struct front_conn *conn)
{
	if (conn->state < FRONT_LINGERING)
		send_out(conn);
	if (conn->state == FRONT_FLUSHING && !conn->is_sending)
		linger(conn);
	if (conn->state != FRONT_GONE)
		pace(conn);
}

void front_conn_start(struct front_conn *conn)
{
	if (conn->stream.ssl != NULL)
		set_deadline(conn, HANDSHAKE_MS);
	else
		open_plain(conn);
	pump(conn);
}
