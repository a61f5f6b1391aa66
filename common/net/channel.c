/* SPDX-License-Identifier: Apache-2.0 */
/* A socket, a TLS stream and a queue, and the one state that says what may happen to them.
 *
 *   HANDSHAKING --> OPEN --> FLUSHING --> LINGERING --> GONE
 *        |           |          |             |          ^
 *        +-----------+----------+-------------+----------+      any state may skip ahead, none goes back
 *
 * FLUSHING: no more events but on_close; what is queued goes out, then close_notify and FIN. LINGERING: waiting for the
 * peer's FIN, because closing a socket with unread bytes resets it and takes what we sent last (a Refused, an alert)
 * out of the peer's hands. Both together last at most CLOSE_MS. GONE: handles are closing, on_close comes from the loop
 * when they are.
 *
 * At most one uv_write is under way; meanwhile up to AHEAD_MAX bytes are encrypted ahead. So a queue of shared payloads
 * stays shared, and a slow peer costs its queue of references and two buffers.
 *
 * A crowd that comes at once must not keep all else on the loop waiting for its signatures: a server moves handshakes for TURN_NS of a
 * turn and leaves the rest unread, to be told of again in the next. */
#include "net/channel.h"

#include "base/secret.h"
#include "model/body.h"
#include "net/channel_tls.h"
#include "net/frame.h"
#include "net/payload.h"
#include "stream/tls_stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_MS 2000
#define READ_SIZE (64 * 1024)
#define RECORD_SIZE (16 * 1024)
#define AHEAD_MAX (64 * 1024)
#define TURN_NS 4000000

enum channel_state { HANDSHAKING, OPEN, FLUSHING, LINGERING, GONE };

struct channel {
	enum channel_state state;
	const struct channel_events *events;
	void *owner;
	struct channel_tls *tls;
	struct tls_stream stream;
	struct frame_reader reader;
	struct error why; /* code 0 until closing */
	uv_tcp_t tcp;
	uv_timer_t timer; /* HANDSHAKING: the deadline; FLUSHING and LINGERING: their bound */
	uint64_t handshake_ms;
	unsigned open_handles;
	uv_write_t write;
	struct buf in_flight; /* belongs to write while is_writing */
	bool is_writing;
	uv_shutdown_t shutdown;
	struct payload_queue queue;
	bool is_corked; /* what is sent stays in the queue for a moment */
	bool was_full;  /* on_writable is owed */
	char address[64];
	char alpn[32];
};

static void channel_move(struct channel *channel, enum channel_state to)
{
	assert(to > channel->state);
	channel->state = to;
}

/* End -------------------------------------------------------------------------------------------------------------- */

static void channel_free(struct channel *channel)
{
	payload_queue_deinit(&channel->queue);
	frame_reader_deinit(&channel->reader);
	tls_stream_deinit(&channel->stream);
	buf_deinit(&channel->in_flight);
	channel_tls_unref(channel->tls);
	free(channel);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct channel *channel = handle->data;

	if (--channel->open_handles > 0)
		return;
	channel->events->on_close(channel, &channel->why, channel->owner);
	channel_free(channel);
}

static void channel_gone(struct channel *channel)
{
	channel_move(channel, GONE);
	uv_close((uv_handle_t *)&channel->tcp, on_handle_closed);
	uv_close((uv_handle_t *)&channel->timer, on_handle_closed);
}

/* What the end is called, and nothing else: the first reason stays. */
static void channel_blame(struct channel *channel, const struct error *why)
{
	if (channel->why.code != 0)
		return;
	if (why != NULL && why->code != 0)
		channel->why = *why;
	else
		error_set(&channel->why, E_CLOSED, "closed");
}

static void channel_fail(struct channel *channel, const struct error *why)
{
	if (channel->state == GONE)
		return;
	channel_blame(channel, why);
	channel_gone(channel);
}

/* err, told where it happened if that was in the handshake. */
static void channel_fail_named(struct channel *channel, struct error *err)
{
	if (channel->state == HANDSHAKING)
		error_prefix(err, err->code, "handshake with %s", channel->address);
	channel_fail(channel, err);
}

static void channel_fail_uv(struct channel *channel, const char *what, int status)
{
	struct error err;

	error_set(&err, status == UV_ENOMEM || status == UV_ENOBUFS ? E_NOMEM : E_IO, "%s: %s", what, uv_strerror(status));
	channel_fail_named(channel, &err);
}

static void on_close_timeout(uv_timer_t *timer)
{
	channel_fail(timer->data, NULL); /* the reason is set already */
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	/* The peer's FIN ends it, or the timer. */
}

/* Out -------------------------------------------------------------------------------------------------------------- */

static void channel_pump(struct channel *channel);

static void on_written(uv_write_t *request, int status)
{
	struct channel *channel = request->data;

	channel->is_writing = false;
	buf_deinit(&channel->in_flight);
	if (channel->state == GONE)
		return;
	if (status < 0) {
		channel_fail_uv(channel, "write", status);
		return;
	}
	channel_pump(channel);
	if (channel->state == OPEN && channel->was_full && channel->queue.bytes <= CHANNEL_QUEUE_LOW) {
		channel->was_full = false;
		channel->events->on_writable(channel, channel->owner);
	}
}

static void write_out(struct channel *channel)
{
	uv_buf_t part;
	int r;

	if (channel->is_writing || channel->stream.out.len == 0)
		return;
	channel->in_flight = channel->stream.out;
	channel->stream.out = BUF_NULL;
	part = uv_buf_init((char *)channel->in_flight.data, (unsigned)channel->in_flight.len);
	channel->write.data = channel;
	r = uv_write(&channel->write, (uv_stream_t *)&channel->tcp, &part, 1, on_written);
	if (r < 0) {
		buf_deinit(&channel->in_flight);
		channel_fail_uv(channel, "write", r);
		return;
	}
	channel->is_writing = true;
}

/* All is out: say so, and wait for the peer to hang up. */
static void start_lingering(struct channel *channel)
{
	int r;

	channel_move(channel, LINGERING);
	r = uv_shutdown(&channel->shutdown, (uv_stream_t *)&channel->tcp, on_shutdown);
	if (r < 0)
		channel_fail(channel, NULL);
}

/* Moves what can move towards the socket. Calls no event. */
static void channel_pump(struct channel *channel)
{
	struct error err = ERROR_NULL;

	if (channel->state > FLUSHING)
		return;
	if (payload_queue_encrypt(&channel->queue, &channel->stream, AHEAD_MAX, &err) < 0) {
		channel_fail(channel, &err);
		return;
	}
	if (channel->state == FLUSHING && channel->queue.bytes == 0)
		tls_stream_shutdown(&channel->stream);
	write_out(channel);
	if (channel->state == FLUSHING && channel->queue.bytes == 0 && !channel->is_writing)
		start_lingering(channel);
}

static void channel_flush(struct channel *channel, const struct error *why)
{
	channel_blame(channel, why);
	channel_move(channel, FLUSHING);
	/* Starting a timer that has a callback can't fail. */
	(void)uv_timer_start(&channel->timer, on_close_timeout, CLOSE_MS, 0);
	channel_pump(channel);
}

void channel_close(struct channel *channel, bool flush, const struct error *why)
{
	if (channel->state == GONE || (flush && channel->state >= FLUSHING))
		return;
	if (flush) {
		channel_flush(channel, why);
		return;
	}
	channel_blame(channel, why);
	if (channel->is_corked)
		channel_uncork(channel);
	if (channel->state == OPEN && !channel->is_writing) {
		/* Best effort: tells an end from a cut, costs no wait. */
		tls_stream_shutdown(&channel->stream);
		write_out(channel);
	}
	channel_fail(channel, why);
}

/* In --------------------------------------------------------------------------------------------------------------- */

static void channel_opened(struct channel *channel)
{
	const unsigned char *name;
	unsigned len;
	struct error err;

	SSL_get0_alpn_selected(channel->stream.ssl, &name, &len);
	if (len == 0 || len >= sizeof(channel->alpn)) {
		error_set(&err, E_PROTOCOL, "the peer agreed to no protocol");
		channel_fail_named(channel, &err);
		return;
	}
	memcpy(channel->alpn, name, len);
	/* pick_alpn saw to it; said twice because a slip here would let anybody in. */
	if (strcmp(channel->alpn, CHANNEL_ALPN_ENROLL) != 0 && channel_peer(channel) == NULL) {
		error_set(&err, E_UNAUTHENTICATED, "the peer showed no certificate");
		channel_fail_named(channel, &err);
		return;
	}
	if (strcmp(channel->alpn, CHANNEL_ALPN_ENROLL) == 0)
		channel->reader.max = CHANNEL_ENROLL_FRAME_MAX;
	uv_timer_stop(&channel->timer);
	channel_move(channel, OPEN);
	channel->events->on_open(channel, channel->owner);
}

static void channel_shake_hands(struct channel *channel)
{
	struct error err = ERROR_NULL;
	int r = tls_stream_handshake(&channel->stream, &err);

	if (r < 0) {
		error_prefix(&err, err.code, "handshake with %s", channel->address);
		channel_flush(channel, &err); /* the alert tells the peer why */
		return;
	}
	if (r == 1)
		channel_opened(channel);
	channel_pump(channel);
}

static int channel_take_plain(struct channel *channel, struct bytes plain, struct error *err)
{
	Tlsplane__MessageType type;
	ProtobufCMessage *message;
	int r;

	while (plain.len > 0 && channel->state == OPEN) {
		r = frame_reader_take(&channel->reader, &plain, &type, &message, err);
		if (r <= 0)
			return r;
		channel->events->on_message(channel, type, message, channel->owner);
		body_free_secret(message);
	}
	return 0;
}

static void channel_read_plain(struct channel *channel)
{
	uint8_t plain[RECORD_SIZE];
	struct error err = ERROR_NULL;
	size_t len;
	int r;

	channel_cork(channel); /* the pump at the end takes the answers to all messages that came */
	do {
		r = tls_stream_read(&channel->stream, plain, sizeof(plain), &len, &err);
		if (r == 0 && len > 0) {
			r = channel_take_plain(channel, BYTES(plain, len), &err);
			secret_wipe(plain, len);
		}
	} while (r == 0 && len > 0 && channel->state == OPEN);
	channel->is_corked = false;
	if (channel->state != OPEN)
		return;
	if (r == E_CLOSED && !frame_reader_is_between(&channel->reader))
		error_set(&err, E_PROTOCOL, "closed by the peer within a message");
	if (r < 0)
		channel_close(channel, false, &err);
	else
		channel_pump(channel); /* an answer of TLS itself */
}

static void channel_take(struct channel *channel, struct bytes in)
{
	channel->stream.in = in;
	if (channel->state == HANDSHAKING)
		channel_shake_hands(channel);
	if (channel->state == OPEN)
		channel_read_plain(channel);
	channel->stream.in = BYTES_NULL; /* anything left is behind the end */
}

static void channel_ended(struct channel *channel, int status)
{
	struct error err;

	if (channel->state >= FLUSHING) {
		channel_fail(channel, NULL);
	} else if (status != UV_EOF) {
		channel_fail_uv(channel, "read", status);
	} else {
		error_set(&err, E_IO, "the peer hung up without a word");
		channel_fail_named(channel, &err);
	}
}

static bool is_turn_spent(struct channel_tls *tls, const uv_loop_t *loop)
{
	uint64_t now = uv_hrtime();

	if (tls->turn != uv_now(loop)) {
		tls->turn = uv_now(loop);
		tls->turn_begun = now;
	}
	return now - tls->turn_begun >= TURN_NS;
}

/* One for all channels of a thread: what was read is used up before on_read returns. None at all: nothing is read now. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	static _Thread_local char memory[READ_SIZE];
	struct channel *channel = handle->data;
	bool later = channel->state == HANDSHAKING && channel->tls->server && is_turn_spent(channel->tls, handle->loop);

	*ret = later ? uv_buf_init(NULL, 0) : uv_buf_init(memory, sizeof(memory));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *memory)
{
	struct channel *channel = stream->data;

	if (len == UV_ENOBUFS && memory->base == NULL)
		return; /* on_alloc put it off */
	if (len < 0)
		channel_ended(channel, (int)len);
	else if (len > 0 && channel->state < FLUSHING)
		channel_take(channel, BYTES(memory->base, (size_t)len));
}

/* Start ------------------------------------------------------------------------------------------------------------ */

static void on_handshake_timeout(uv_timer_t *timer)
{
	struct channel *channel = timer->data;
	struct error err;

	error_set(&err, E_TIMEOUT, "not done after %llu ms", (unsigned long long)channel->handshake_ms);
	channel_fail_named(channel, &err);
}

static void read_address(struct channel *channel)
{
	struct sockaddr_storage peer;
	int len = sizeof(peer);
	char host[INET6_ADDRSTRLEN];
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&peer;

	snprintf(channel->address, sizeof(channel->address), "-");
	if (uv_tcp_getpeername(&channel->tcp, (struct sockaddr *)&peer, &len) < 0)
		return;
	if (peer.ss_family == AF_INET && uv_ip4_name(in4, host, sizeof(host)) == 0)
		snprintf(channel->address, sizeof(channel->address), "%s:%u", host, ntohs(in4->sin_port));
	else if (peer.ss_family == AF_INET6 && uv_ip6_name(in6, host, sizeof(host)) == 0)
		snprintf(channel->address, sizeof(channel->address), "[%s]:%u", host, ntohs(in6->sin6_port));
}

/* From here on handles are on the loop, and every end is on_close's. */
static void channel_launch(struct channel *channel)
{
	int r;

	read_address(channel);
	uv_tcp_nodelay(&channel->tcp, 1);
	(void)uv_timer_start(&channel->timer, on_handshake_timeout, channel->handshake_ms, 0);
	r = uv_read_start((uv_stream_t *)&channel->tcp, on_alloc, on_read);
	if (r < 0)
		channel_fail_uv(channel, "read", r);
	else
		channel_shake_hands(channel); /* a client speaks first; a server finds nothing to read yet */
}

static int channel_adopt(struct channel *channel, uv_loop_t *loop, int fd, struct error *err)
{
	int r = uv_tcp_init(loop, &channel->tcp);

	if (r < 0)
		return error_set(err, E_IO, "make socket handle: %s", uv_strerror(r));
	(void)uv_timer_init(loop, &channel->timer); /* can't fail */
	channel->tcp.data = channel;
	channel->timer.data = channel;
	channel->open_handles = 2;
	r = uv_tcp_open(&channel->tcp, fd);
	return r < 0 ? error_set(err, E_IO, "take over socket: %s", uv_strerror(r)) : 0;
}

static void on_unborn_closed(uv_handle_t *handle)
{
	struct channel *channel = handle->data;

	if (--channel->open_handles == 0)
		channel_free(channel);
}

int channel_start(uv_loop_t *loop, int fd, struct channel_tls *tls, uint64_t handshake_ms,
                  const struct channel_events *events, void *owner, struct channel **ret, struct error *err)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (channel == NULL) {
		close(fd);
		return error_nomem(err);
	}
	channel->events = events;
	channel->owner = owner;
	channel->handshake_ms = handshake_ms;
	payload_queue_init(&channel->queue);
	channel->tls = channel_tls_ref(tls);
	frame_reader_init(&channel->reader);
	r = tls_stream_init(&channel->stream, tls->ctx, tls->method, tls->server, err);
	if (r == 0)
		r = channel_adopt(channel, loop, fd, err);
	if (r == 0) {
		channel_launch(channel);
		*ret = channel;
		return 0;
	}
	close(fd);
	if (channel->open_handles == 0) {
		channel_free(channel);
	} else {
		uv_close((uv_handle_t *)&channel->tcp, on_unborn_closed);
		uv_close((uv_handle_t *)&channel->timer, on_unborn_closed);
	}
	return r;
}

/* Asked by the owner ----------------------------------------------------------------------------------------------- */

int channel_send_payload(struct channel *channel, struct channel_payload *payload, struct error *err)
{
	int r;

	if (channel->state != OPEN)
		return error_set(err, E_CLOSED, "the channel is not open");
	r = payload_queue_add(&channel->queue, payload, err);
	if (r < 0)
		return r;
	if (channel->queue.bytes > CHANNEL_QUEUE_HIGH)
		channel->was_full = true;
	if (!channel->is_corked)
		channel_pump(channel);
	return 0;
}

void channel_cork(struct channel *channel)
{
	channel->is_corked = true;
}

void channel_uncork(struct channel *channel)
{
	channel->is_corked = false;
	channel_pump(channel);
}

int channel_send(struct channel *channel, Tlsplane__MessageType type, const ProtobufCMessage *message,
                 struct error *err)
{
	CLEANUP(channel_payload_unref) struct channel_payload *payload = NULL;
	int r;

	if (channel->state != OPEN)
		return error_set(err, E_CLOSED, "the channel is not open");
	r = channel_payload_new(type, message, &payload, err);
	return r < 0 ? r : channel_send_payload(channel, payload, err);
}

bool channel_is_writable(const struct channel *channel)
{
	return channel->state == OPEN && channel->queue.bytes <= CHANNEL_QUEUE_HIGH;
}

X509 *channel_peer(const struct channel *channel)
{
	return SSL_get0_peer_certificate(channel->stream.ssl);
}

bool channel_peer_is_expired(const struct channel *channel)
{
	return channel->stream.peer_is_expired;
}

const char *channel_alpn(const struct channel *channel)
{
	return channel->alpn;
}

const char *channel_address(const struct channel *channel)
{
	return channel->address;
}

STACK_OF(X509) * channel_peer_chain(const struct channel *channel)
{
	return SSL_get0_verified_chain(channel->stream.ssl);
}
