/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket. A plain descriptor under uv_poll rather than a uv_tcp_t: accepting can be stopped and taken up
 * again, and channels want descriptors.
 *
 * Failure modes: at the limit of handshakes polling stops until one ends; out of descriptors or memory it stops for a
 * second. A crowd that comes faster than it can be let in waits in the backlog; of those, who has given up costs nothing. */
#include "listener.h"

#include "base/log.h"
#include "internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16 /* what they bring costs a fraction of a millisecond each: the API waits no longer than that */
#define PAUSE_MS 1000
#define BACKLOG 4096

static int open_socket(const struct addrinfo *address, const char *host, uint16_t port, int *ret, struct error *err)
{
	int on = 1;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_set(err, error_from_errno(errno), "socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		int rc = error_set(err, errno == EADDRINUSE ? E_BUSY : error_from_errno(errno),
		                   "channel listener %s port %u: %s", host, (unsigned)port, strerror(errno));

		close(fd);
		return rc;
	}
	*ret = fd;
	return 0;
}

static uint16_t bound_port(int fd)
{
	union {
		struct sockaddr_in6 v6;
		struct sockaddr_in v4;
		struct sockaddr any;
	} address = {.v6 = {0}};
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len) < 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static int bind_host(const char *host, uint16_t port, int *ret, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *addresses;
	char service[8];
	int rc;

	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	rc = getaddrinfo(host, service, &hints, &addresses);
	if (rc != 0)
		return error_set(err, E_INVALID, "channel listener %s: %s", host, gai_strerror(rc));
	rc = open_socket(addresses, host, port, ret, err);
	freeaddrinfo(addresses);
	return rc;
}

static void set_accepting(struct listener *listener, bool accepting);

static void pause_accepting(struct listener *listener, int error_number)
{
	log_event(LOG_WARNING, "channel accepts nothing for a while", LOG_STR("error", strerror(error_number)));
	listener->resume_at = uv_now(listener->publisher->loop) + PAUSE_MS;
	set_accepting(listener, false);
}

/* Who waited too long in the backlog has hung up. Its ClientHello would cost a signature, and while those of the gone are served, more
 * of the waiting go: a crowd would never be let in. */
static bool is_gone(int fd)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};

	return poll(&peer, 1, 0) == 1;
}

/* False: nothing more to accept now. */
static bool accept_one(struct listener *listener)
{
	struct error err = ERROR_NULL;
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(listener, errno);
		return errno == EINTR || errno == ECONNABORTED;
	}
	if (is_gone(fd)) {
		listener->publisher->counters.connections_refused++;
		close(fd);
		return true;
	}
	if (session_start(listener->publisher, fd, &err) < 0) {
		log_event(LOG_WARNING, "channel connection not taken", LOG_ERR(&err));
		listener->publisher->counters.connections_refused++;
		return true;
	}
	listener->handshakes++;
	return true;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct listener *listener = poll->data;

	if (status < 0) {
		pause_accepting(listener, -status);
		return;
	}
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		if (listener_is_full(listener)) {
			set_accepting(listener, false);
			return;
		}
		if (!accept_one(listener))
			return;
	}
}

static void set_accepting(struct listener *listener, bool accepting)
{
	if (listener->fd < 0 || listener->accepting == accepting)
		return;
	listener->accepting = accepting;
	if (accepting && uv_poll_start(&listener->poll, UV_READABLE, on_poll) < 0)
		listener->accepting = false; /* the next tick tries again */
	if (!accepting)
		uv_poll_stop(&listener->poll);
}

static void resume_if_free(struct listener *listener, uint64_t now)
{
	if (listener_is_full(listener) || now < listener->resume_at)
		return;
	listener->resume_at = 0;
	set_accepting(listener, true);
}

int listener_open(struct listener *listener, struct publisher *publisher, const char *host, uint16_t port,
                  struct error *err)
{
	int rc;

	listener->publisher = publisher;
	listener->tokens_milli = LISTENER_ENROLMENTS_PER_SECOND * 1000;
	listener->refilled_at = uv_now(publisher->loop);
	rc = bind_host(host, port, &listener->fd, err);
	if (rc < 0)
		return rc;
	listener->port = bound_port(listener->fd);
	rc = uv_poll_init(publisher->loop, &listener->poll, listener->fd);
	if (rc < 0) {
		close(listener->fd);
		listener->fd = -1;
		return error_set(err, E_IO, "channel listener: %s", uv_strerror(rc));
	}
	listener->poll.data = listener;
	publisher_pin(publisher);
	set_accepting(listener, true);
	return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;

	publisher_unpin(listener->publisher);
}

void listener_close(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	set_accepting(listener, false);
	uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
	close(listener->fd);
	listener->fd = -1;
}

bool listener_is_full(const struct listener *listener)
{
	return listener->handshakes >= LISTENER_HANDSHAKES_MAX;
}

void listener_on_handshake_done(struct listener *listener)
{
	listener->handshakes--;
	resume_if_free(listener, uv_now(listener->publisher->loop));
}

void listener_on_tick(struct listener *listener, uint64_t now)
{
	resume_if_free(listener, now);
}

bool listener_admit_enrolment(struct listener *listener, uint64_t now, uint32_t *ret_retry_ms)
{
	const uint64_t full = LISTENER_ENROLMENTS_PER_SECOND * 1000;

	listener->tokens_milli += (now - listener->refilled_at) * LISTENER_ENROLMENTS_PER_SECOND;
	listener->refilled_at = now;
	if (listener->tokens_milli > full)
		listener->tokens_milli = full;
	if (listener->tokens_milli < 1000) {
		*ret_retry_ms = (uint32_t)publisher_jitter(2000);
		return false;
	}
	listener->tokens_milli -= 1000;
	return true;
}
