/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting, and the list of connections: newest first.
 *
 *   ACCEPTING --front_quiesce--> QUIET --front_close--> CLOSING --listener and all connections are gone--> (freed) */
#include "http/front.h"

#include "base/log.h"
#include "http/front_conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 128
#define TELL_MS 1000 /* handshakes without a certificate are told at most that often */

struct front {
	struct front_config config;
	struct front_conn_owner conn_owner;
	struct tls_server *server;
	uv_tcp_t listener;
	bool quiet, listener_closed;
	struct front_conn *newest, *oldest;
	uint32_t open; /* connections that are not GONE */
	uint64_t told_at;
	uint64_t untold; /* refusals since */
	void (*on_closed)(void *owner);
	uint8_t scratch[FRONT_READ_SIZE];
};

static struct front *front_of(const struct front_conn *conn)
{
	return (struct front *)(uintptr_t)container_of(conn->owner, struct front, conn_owner);
}

/* A front whose start failed has no on_closed; it goes all the same. */
static void free_when_closed(struct front *front)
{
	if (!front->listener_closed || front->newest != NULL || (front->on_closed == NULL && front->server != NULL))
		return;
	if (front->on_closed != NULL)
		front->on_closed(front->config.owner);
	tls_server_free(front->server);
	free(front);
}

/* Connections ------------------------------------------------------------------------------------------------------ */

static void list_add(struct front *front, struct front_conn *conn)
{
	conn->next = front->newest;
	if (front->newest != NULL)
		front->newest->previous = conn;
	else
		front->oldest = conn;
	front->newest = conn;
}

static void list_remove(struct front *front, struct front_conn *conn)
{
	if (conn->previous != NULL)
		conn->previous->next = conn->next;
	else
		front->newest = conn->next;
	if (conn->next != NULL)
		conn->next->previous = conn->previous;
	else
		front->oldest = conn->previous;
}

static void on_conn_plain(struct front_conn *conn, int fd)
{
	const struct front *front = front_of(conn);

	front->config.on_plain(fd, (const struct sockaddr *)&conn->peer, (socklen_t)conn->peer_len, front->config.owner);
}

static void on_conn_gone(struct front_conn *conn)
{
	front_of(conn)->open--;
}

static void on_conn_freed(struct front_conn *conn)
{
	struct front *front = front_of(conn);

	list_remove(front, conn);
	free(conn);
	free_when_closed(front);
}

/* True: there is a place for one more. */
static bool make_room(struct front *front)
{
	struct front_conn *conn = front->oldest;

	if (front->open < front->config.connections_max)
		return true;
	while (conn != NULL && conn->state != FRONT_HANDSHAKE)
		conn = conn->previous;
	if (conn == NULL)
		return false;
	front_conn_drop(conn);
	return true;
}

/* Accepted and dropped: libuv would stop accepting otherwise. Takes conn over. */
static void accept_conn(struct front *front, struct front_conn *conn)
{
	struct error err = ERROR_NULL;
	bool room = make_room(front);
	int r;

	conn->owner = &front->conn_owner;
	conn->peer_len = sizeof(conn->peer);
	(void)uv_tcp_init(front->config.loop, &conn->tcp); /* neither can fail */
	(void)uv_timer_init(front->config.loop, &conn->timer);
	list_add(front, conn);
	front->open++;
	r = uv_accept((uv_stream_t *)&front->listener, (uv_stream_t *)&conn->tcp);
	if (r == 0)
		r = uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&conn->peer, &conn->peer_len);
	conn->tcp.data = conn->timer.data = conn;
	conn->handles = 2;
	if (r < 0 || !room || tls_server_accept(front->server, &conn->stream, &err) < 0) {
		log_event(LOG_DEBUG, "https connection refused",
		          LOG_STR("reason", r < 0   ? uv_strerror(r)
		                            : !room ? "too many connections"
		                                    : err.text));
		front_conn_drop(conn);
		return;
	}
	uv_tcp_nodelay(&conn->tcp, 1);
	front_conn_start(conn);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct front *front = stream->data;
	struct front_conn *conn;

	if (status < 0) {
		log_event(LOG_WARNING, "https accept failed", LOG_STR("reason", uv_strerror(status)));
		return;
	}
	conn = calloc(1, sizeof(*conn));
	if (conn != NULL)
		accept_conn(front, conn);
	else
		log_event(LOG_WARNING, "https accept failed", LOG_STR("reason", "out of memory"));
}

/* TLS -------------------------------------------------------------------------------------------------------------- */

static int put_certificate(SSL *ssl, void *owner, struct error *err)
{
	const struct front *front = owner;

	return front->config.tls.put_certificate(ssl, front->config.tls.owner, err);
}

static void on_refusal(const struct error *why, void *owner)
{
	struct front *front = owner;
	uint64_t now = uv_now(front->config.loop);

	if (front->told_at != 0 && now - front->told_at < TELL_MS) {
		front->untold++;
		return;
	}
	log_event(LOG_WARNING, "https handshake refused: there is no certificate to show", LOG_ERR(why),
	          LOG_U64("untold", front->untold));
	front->told_at = now;
	front->untold = 0;
}

/* Life ------------------------------------------------------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle)
{
	struct front *front = handle->data;

	front->listener_closed = true;
	free_when_closed(front);
}

static struct front *front_new(const struct front_config *config)
{
	struct front *front = calloc(1, sizeof(*front));

	if (front == NULL)
		return NULL;
	front->config = *config;
	front->conn_owner = (struct front_conn_owner){.idle_ms = (uint64_t)config->idle_seconds * 1000,
	                                              .scratch = front->scratch,
	                                              .on_plain = on_conn_plain,
	                                              .on_gone = on_conn_gone,
	                                              .on_freed = on_conn_freed};
	(void)uv_tcp_init(config->loop, &front->listener); /* can't fail */
	front->listener.data = front;
	return front;
}

static int listen_on(struct front *front, int fd, struct error *err)
{
	int r = uv_tcp_open(&front->listener, fd);

	if (r < 0)
		close(fd);
	else
		r = uv_listen((uv_stream_t *)&front->listener, BACKLOG, on_connection);
	return r < 0 ? error_set(err, E_IO, "listen: %s", uv_strerror(r)) : 0;
}

int front_start(const struct front_config *config, int fd, struct front **ret, struct error *err)
{
	struct front *front = front_new(config);
	const struct tls_server_hooks hooks = {put_certificate, on_refusal, front};
	int r;

	if (front == NULL) {
		close(fd);
		return error_nomem(err);
	}
	r = listen_on(front, fd, err);
	if (r == 0)
		r = tls_server_new(&hooks, &front->server, err);
	if (r < 0) {
		uv_close((uv_handle_t *)&front->listener, on_listener_closed);
		return r;
	}
	*ret = front;
	return 0;
}

void front_quiesce(struct front *front)
{
	struct front_conn *next;

	assert(!front->quiet);
	front->quiet = true;
	uv_close((uv_handle_t *)&front->listener, on_listener_closed);
	for (struct front_conn *conn = front->newest; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->state == FRONT_HANDSHAKE)
			front_conn_drop(conn);
	}
}

void front_close(struct front *front, void (*on_closed)(void *owner))
{
	assert(front->quiet && front->on_closed == NULL);
	front->on_closed = on_closed;
	for (struct front_conn *conn = front->newest; conn != NULL; conn = conn->next)
		front_conn_end(conn);
	free_when_closed(front);
}
