/* SPDX-License-Identifier: Apache-2.0 */
/*   RESOLVING --addresses--> CONNECTING --connected--> DONE
 *       |                      |   ^ refused, timed out: the next address
 *       \----------------------+---+--none left, cancelled--> DONE
 *
 * The uv handle only carries the connect; what is handed over is a duplicate of its descriptor, since a channel makes
 * its own handle. */
#include "sync/dial.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 3000

enum dial_state { DIAL_RESOLVING, DIAL_CONNECTING, DIAL_DONE };

struct dial {
	enum dial_state state;
	uv_loop_t *loop;
	uv_getaddrinfo_t resolve;
	uv_connect_t connect;
	uv_tcp_t tcp;
	uv_timer_t timer;
	struct addrinfo *addresses, *at;
	bool cancelled, timed_out;
	unsigned open_handles;
	int fd; /* -1: none */
	struct error why;
	void (*on_done)(int fd, const struct error *why, void *owner);
	void *owner;
	char host[256];
};

static void finish(struct dial *dial)
{
	if (dial->addresses != NULL)
		uv_freeaddrinfo(dial->addresses);
	if (dial->cancelled && dial->fd >= 0) {
		close(dial->fd);
		dial->fd = -1;
	}
	if (dial->cancelled)
		error_set(&dial->why, E_CLOSED, "cancelled");
	dial->on_done(dial->fd, &dial->why, dial->owner);
	free(dial);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct dial *dial = handle->data;

	if (--dial->open_handles == 0)
		finish(dial);
}

static void close_handle(struct dial *dial, uv_handle_t *handle)
{
	handle->data = dial;
	uv_close(handle, on_handle_closed);
}

static void end(struct dial *dial)
{
	assert(dial->state != DIAL_DONE);
	dial->state = DIAL_DONE;
	close_handle(dial, (uv_handle_t *)&dial->timer);
}

static void try_address(struct dial *dial);

static void on_tcp_closed(uv_handle_t *handle)
{
	struct dial *dial = handle->data;

	dial->open_handles--;
	if (dial->cancelled || dial->fd >= 0 || dial->at == NULL)
		end(dial);
	else
		try_address(dial);
}

static void take_descriptor(struct dial *dial)
{
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&dial->tcp, &fd) == 0)
		dial->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (dial->fd < 0) {
		error_set(&dial->why, error_from_errno(errno), "%s: %s", dial->host, strerror(errno));
		dial->at = NULL;
	}
}

static void on_connect(uv_connect_t *request, int status)
{
	struct dial *dial = request->data;

	uv_timer_stop(&dial->timer);
	if (status == 0) {
		take_descriptor(dial);
	} else {
		error_set(&dial->why, dial->timed_out ? E_TIMEOUT : E_UNAVAILABLE, "%s: %s", dial->host,
		          dial->timed_out ? "connect timed out" : uv_strerror(status));
		dial->at = dial->at->ai_next;
	}
	if (!uv_is_closing((uv_handle_t *)&dial->tcp))
		uv_close((uv_handle_t *)&dial->tcp, on_tcp_closed);
}

static void on_timeout(uv_timer_t *timer)
{
	struct dial *dial = timer->data;

	/* Closing the handle ends the connect with ECANCELED. */
	dial->timed_out = true;
	uv_close((uv_handle_t *)&dial->tcp, on_tcp_closed);
}

static void try_address(struct dial *dial)
{
	int r = uv_tcp_init(dial->loop, &dial->tcp);

	dial->state = DIAL_CONNECTING;
	if (r < 0) {
		error_set(&dial->why, E_IO, "%s: %s", dial->host, uv_strerror(r));
		end(dial);
		return;
	}
	dial->tcp.data = dial;
	dial->connect.data = dial;
	dial->timed_out = false;
	dial->open_handles++;
	r = uv_tcp_connect(&dial->connect, &dial->tcp, dial->at->ai_addr, on_connect);
	if (r == 0) {
		uv_timer_start(&dial->timer, on_timeout, CONNECT_TIMEOUT_MS, 0);
		return;
	}
	error_set(&dial->why, E_UNAVAILABLE, "%s: %s", dial->host, uv_strerror(r));
	dial->at = dial->at->ai_next;
	uv_close((uv_handle_t *)&dial->tcp, on_tcp_closed);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct dial *dial = request->data;

	dial->addresses = dial->at = addresses;
	if (status < 0)
		error_set(&dial->why, E_UNAVAILABLE, "%s does not resolve: %s", dial->host, uv_strerror(status));
	if (status < 0 || dial->cancelled || dial->at == NULL)
		end(dial);
	else
		try_address(dial);
}

int dial_start(uv_loop_t *loop, const char *host, uint16_t port,
               void (*on_done)(int fd, const struct error *why, void *owner), void *owner, struct dial **ret,
               struct error *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct dial *dial = calloc(1, sizeof(*dial));
	char service[8];
	int r;

	if (dial == NULL)
		return error_nomem(err);
	dial->loop = loop;
	dial->fd = -1;
	dial->on_done = on_done;
	dial->owner = owner;
	dial->resolve.data = dial;
	snprintf(dial->host, sizeof(dial->host), "%s", host);
	snprintf(service, sizeof(service), "%u", port);
	error_set(&dial->why, E_UNAVAILABLE, "%s has no address", host);
	r = uv_getaddrinfo(loop, &dial->resolve, on_resolved, host, service, &hints);
	if (r < 0) {
		free(dial);
		return error_set(err, E_UNAVAILABLE, "resolve %s: %s", host, uv_strerror(r));
	}
	uv_timer_init(loop, &dial->timer); /* cannot fail */
	dial->timer.data = dial;
	dial->open_handles = 1;
	*ret = dial;
	return 0;
}

void dial_cancel(struct dial *dial)
{
	dial->cancelled = true;
	if (dial->state == DIAL_RESOLVING)
		uv_cancel((uv_req_t *)&dial->resolve);
	else if (dial->state == DIAL_CONNECTING && !uv_is_closing((uv_handle_t *)&dial->tcp))
		uv_close((uv_handle_t *)&dial->tcp, on_tcp_closed);
}
