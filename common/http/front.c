/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting, and the list of connections: newest first. Without memory for one nothing is accepted for a moment, and who comes waits in the
 * backlog: libuv asks no more until the connection that it holds is taken.
 *
 *   ACCEPTING --front_quiesce--> QUIET --front_close--> CLOSING --listener and all connections are gone--> (freed) */
#include "http/front.h"

#include "base/log.h"
#include "http/front_conn.h"
#include "http/sockaddr.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 128
#define RETRY_MS 200
#define TELL_MS 1000 /* handshakes without a certificate are told at most that often */

struct front {
	struct front_config config;
	struct front_conn_owner conn_owner;
	struct tls_server *server;
	union front_socket listener;
	uv_timer_t retry; /* a connection waits to be taken */
	unsigned handles; /* of those two */
	bool started, quiet;
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
	if (front->handles > 0 || front->newest != NULL || (front->on_closed == NULL && front->started))
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
	while (conn != NULL && (conn->is_let_in || conn->state == FRONT_GONE))
		conn = conn->previous;
	if (conn == NULL)
		return false;
	front_conn_drop(conn);
	return true;
}

static void init_socket(const struct front *front, union front_socket *socket)
{
	if (front->config.is_unix)
		(void)uv_pipe_init(front->config.loop, &socket->pipe, 0); /* neither can fail */
	else
		(void)uv_tcp_init(front->config.loop, &socket->tcp);
}

static int read_peer(const struct front *front, struct front_conn *conn)
{
	uv_os_fd_t fd;
	int r;

	conn->peer_len = sizeof(conn->peer);
	if (!front->config.is_unix) {
		uv_tcp_nodelay(&conn->client.tcp, 1);
		return uv_tcp_getpeername(&conn->client.tcp, (struct sockaddr *)&conn->peer, &conn->peer_len);
	}
	r = uv_fileno(&conn->client.handle, &fd);
	if (r == 0) {
		socklen_t len;

		sockaddr_read_unix_peer(fd, &conn->peer, &len);
		conn->peer_len = (int)len;
	}
	return r;
}

/* Accepted and dropped: libuv would stop accepting otherwise. Takes conn over. */
static void accept_conn(struct front *front, struct front_conn *conn)
{
	struct error err = ERROR_NULL;
	bool room = make_room(front);
	int r;

	conn->owner = &front->conn_owner;
	init_socket(front, &conn->client);
	(void)uv_timer_init(front->config.loop, &conn->timer); /* can't fail */
	(void)uv_timer_init(front->config.loop, &conn->head_timer);
	list_add(front, conn);
	front->open++;
	r = uv_accept(&front->listener.stream, &conn->client.stream);
	conn->client.handle.data = conn->timer.data = conn->head_timer.data = conn;
	conn->handles = 3;
	if (r == 0)
		r = read_peer(front, conn);
	if (r < 0 || !room || (front->server != NULL && tls_server_accept(front->server, &conn->stream, &err) < 0)) {
		log_event(LOG_DEBUG, "http connection refused",
		          LOG_STR("reason", r < 0   ? uv_strerror(r)
		                            : !room ? "too many connections"
		                                    : err.text));
		front_conn_drop(conn);
		return;
	}
	front_conn_start(conn);
}

static void take_connection(uv_timer_t *retry)
{
	struct front *front = retry->data;
	struct front_conn *conn = calloc(1, sizeof(*conn));

	if (conn != NULL) {
		accept_conn(front, conn);
		return;
	}
	log_event(LOG_WARNING, "http accepts nothing for a moment", LOG_STR("reason", "out of memory"));
	uv_timer_start(retry, take_connection, RETRY_MS, 0);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct front *front = stream->data;

	if (status < 0)
		log_event(LOG_WARNING, "http accept failed", LOG_STR("reason", uv_strerror(status)));
	else
		take_connection(&front->retry);
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

static void on_handle_closed(uv_handle_t *handle)
{
	struct front *front = handle->data;

	front->handles--;
	free_when_closed(front);
}

static void close_handles(struct front *front)
{
	uv_close(&front->listener.handle, on_handle_closed);
	uv_close((uv_handle_t *)&front->retry, on_handle_closed);
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
	init_socket(front, &front->listener);
	(void)uv_timer_init(config->loop, &front->retry); /* can't fail */
	front->listener.handle.data = front->retry.data = front;
	front->handles = 2;
	return front;
}

static int listen_on(struct front *front, int fd, struct error *err)
{
	int r = front->config.is_unix ? uv_pipe_open(&front->listener.pipe, fd) : uv_tcp_open(&front->listener.tcp, fd);

	if (r < 0)
		close(fd);
	else
		r = uv_listen(&front->listener.stream, BACKLOG, on_connection);
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
	if (r == 0 && config->tls.put_certificate != NULL)
		r = tls_server_new(&hooks, &front->server, err);
	front->started = r == 0;
	if (r < 0) {
		close_handles(front);
		return r;
	}
	*ret = front;
	return 0;
}

/* Numbers are used again: the newest with this one has it now. */
void front_let_in(struct front *front, bool is_unix, int fd)
{
	struct front_conn *conn = front->config.is_unix == is_unix ? front->newest : NULL;

	while (conn != NULL && (conn->state != FRONT_OPEN || conn->plain_fd != fd))
		conn = conn->next;
	if (conn != NULL)
		conn->is_let_in = true;
}

static bool has_asked(const struct front_conn *conn)
{
	return conn->state != FRONT_HANDSHAKE && (conn->state != FRONT_OPEN || conn->gate.heads > 0);
}

void front_quiesce(struct front *front)
{
	struct front_conn *next;

	assert(!front->quiet);
	front->quiet = true;
	close_handles(front);
	for (struct front_conn *conn = front->newest; conn != NULL; conn = next) {
		next = conn->next;
		if (!has_asked(conn))
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
