/* SPDX-License-Identifier: Apache-2.0 */
/* The server: MHD driven from the loop. MHD's epoll descriptor is watched by a uv_poll and its next deadline by a
 * uv_timer; drive() is the only place that lets MHD work, so every callback below runs inside it (or inside
 * MHD_stop_daemon).
 *
 *   SERVING --http_server_close--> DRAINING --no request left, or grace over--> CLOSING --handles closed--> (freed)
 *
 * Fronts (front.h) accept, one per address, and MHD gets one end of a socket pair per connection.
 *
 * While DRAINING nothing is accepted and new requests on open connections are refused. MHD would abort on a suspended
 * connection when it stops: requests that still wait then are orphaned and their connections resumed. */
#include "http/http.h"

#include "base/log.h"
#include "base/secret.h"
#include "http/front.h"
#include "http/gate.h"
#include "http/host.h"
#include "http/request.h"
#include "http/sockaddr.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTION_MEMORY (64u << 10) /* MHD's own, per connection: bounds the head of a request */

#define BODY_BYTES_PER_MS 32 /* slower than this, after the grace, is a client that wants to hold a place; so is one... */
#define DROPPED_BYTES_PER_MS 1024 /* ...whose body is refused, and slower than this */
#define FRONTS 2             /* TCP, Unix */
#define RETRY_AFTER "5"

struct http_server {
	struct http_config config;
	uv_loop_t *loop;
	struct MHD_Daemon *daemon;
	struct front *fronts[FRONTS];
	size_t fronts_len;
	uint32_t large; /* bodies under way */
	uv_poll_t poll;
	uv_timer_t deadline; /* MHD's next */
	uv_timer_t grace;
	unsigned handles; /* open ones of the three above, and the fronts */
	uint16_t port;
	bool resumed; /* a connection was, since MHD last worked */
	bool draining, closing;
	struct http_request *requests; /* all that have a connection */
	void (*on_closed)(void *owner);
};

static void drive_soon(struct http_server *server);
static void on_deadline(uv_timer_t *timer);
static void server_finish(struct http_server *server);

/* Requests -------------------------------------------------------------------------------------------------------- */

static void list_add(struct http_server *server, struct http_request *request)
{
	request->server = server;
	request->next = server->requests;
	if (server->requests != NULL)
		server->requests->previous = request;
	server->requests = request;
}

static void list_remove(struct http_request *request)
{
	if (request->previous != NULL)
		request->previous->next = request->next;
	else
		request->server->requests = request->next;
	if (request->next != NULL)
		request->next->previous = request->previous;
	request->server->large -= request->large;
	request->large = false;
	request->next = request->previous = NULL;
	request->server = NULL;
	request->connection = NULL;
}

void http_reply(struct http_request *request, const struct http_reply *reply)
{
	if (request->state == REQUEST_ORPHANED) {
		request_free(request);
		return;
	}
	request_set_reply(request, reply, request->server->draining || request->last);
	request_set_state(request, REQUEST_ANSWERED);
	if (request->suspended) {
		request->suspended = false;
		MHD_resume_connection(request->connection);
		drive_soon(request->server);
	}
}

/* Its owner gets no on_request. */
static void drop(struct http_request *request)
{
	const struct http_config *config = &request->server->config;

	if (request->adopted && config->on_drop != NULL)
		config->on_drop(request, config->owner);
	request->adopted = false;
}

static void refuse(struct http_request *request, int status, const char *detail)
{
	const struct http_config *config = &request->server->config;
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	const char *content_type = "text/plain";
	const struct http_reply_header later[] = {{"Retry-After", RETRY_AFTER}};

	log_event(LOG_DEBUG, "request refused", LOG_STR("request_id", request->id), LOG_STR("peer", request->peer),
	          LOG_I64("status", status), LOG_STR("detail", detail));
	if (config->on_refusal != NULL)
		config->on_refusal(request, status, detail, &body, &content_type, config->owner);
	else
		buf_printf(&body, "%s\n", detail);
	drop(request);
	http_reply(request, &(struct http_reply){.status = status,
	                                         .content_type = content_type,
	                                         .body = body.data,
	                                         .body_len = body.len,
	                                         .headers = later,
	                                         .headers_len = status == MHD_HTTP_SERVICE_UNAVAILABLE});
}

static void refuse_body(struct http_request *request)
{
	char detail[80];

	if (request->body_limit == 0) {
		refuse(request, MHD_HTTP_BAD_REQUEST, "this request takes no body");
		return;
	}
	snprintf(detail, sizeof(detail), "the body is larger than %zu bytes", request->body_limit);
	refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, detail);
}

/* False: refused. */
static bool take_large_place(struct http_request *request)
{
	struct http_server *server = request->server;

	if (request->large)
		return true;
	if (server->large >= server->config.large_max) {
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many large requests are under way");
		return false;
	}
	request->large = true;
	server->large++;
	return true;
}

static bool is_large(const struct http_request *request, uint64_t len)
{
	size_t large = request->server->config.large_body;

	return large > 0 && len >= large;
}

static void take_body_limit(struct http_request *request)
{
	const struct http_config *config = &request->server->config;
	const char *length = http_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

	request->body_limit = config->body_max;
	if (config->on_head != NULL) {
		size_t limit = config->on_head(request, config->owner);

		if (request->state == REQUEST_ANSWERED)
			return;
		if (limit < request->body_limit)
			request->body_limit = limit;
	}
	request->adopted = true;
	/* It is a number, the gate has checked. */
	if (length != NULL && strtoull(length, NULL, 10) > request->body_limit)
		refuse_body(request);
	else if (length != NULL && is_large(request, strtoull(length, NULL, 10)))
		(void)take_large_place(request);
}

static bool refuse_for_gate(struct http_request *request, const char *value)
{
	const struct gate_refusal *refusal = value != NULL ? gate_refusal_of(value) : NULL;

	if (refusal == NULL)
		return false;
	request->last = true;
	refuse(request, refusal->status, refusal->detail);
	return true;
}

static bool is_for_us(const struct http_request *request)
{
	const char *const *hosts = request->server->config.hosts;
	const char *host = http_header(request, MHD_HTTP_HEADER_HOST);

	return hosts == NULL || request->is_unix || host == NULL || host_is_known(host, hosts);
}

static void start_request(struct http_request *request, const char *method)
{
	request->started = true;
	request_take_head(request, method);
	if (refuse_for_gate(request, http_header(request, GATE_FIELD)))
		return;
	if (!is_for_us(request))
		refuse(request, MHD_HTTP_MISDIRECTED_REQUEST, "the Host field names neither an address nor a name of this server");
	else if (request->target_code == E_TOO_LARGE)
		refuse(request, MHD_HTTP_URI_TOO_LONG, request->target_refusal != NULL ? request->target_refusal : "too long");
	else if (request->target_code == E_NOMEM)
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	else if (request->target_code < 0)
		refuse(request, MHD_HTTP_BAD_REQUEST, request->target_refusal != NULL ? request->target_refusal : "bad target");
	else if (request->target.path[0] == '*' && strcmp(method, "OPTIONS") != 0)
		refuse(request, MHD_HTTP_BAD_REQUEST, "request target is no path");
	else if (request->server->draining)
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "shutting down");
	else
		take_body_limit(request);
}

static bool is_too_slow(const struct http_request *request)
{
	uint64_t earned = request->body.len / BODY_BYTES_PER_MS + request->dropped / DROPPED_BYTES_PER_MS;

	return uv_now(request->loop) - request->begun > request->server->config.body_grace_seconds * UINT64_C(1000) + earned;
}

/* data is MHD's own buffer, which lives on with the connection: wiped, since it may hold a key. */
static enum MHD_Result take_body(struct http_request *request, const char *data, size_t len)
{
	if (request->state == REQUEST_ANSWERED)
		request->dropped += len;
	else if (len > request->body_limit - request->body.len)
		refuse_body(request);
	else if (is_too_slow(request))
		refuse(request, MHD_HTTP_REQUEST_TIMEOUT, "the body comes too slowly");
	else if (is_large(request, request->body.len + len) && !take_large_place(request))
		request->dropped += len;
	else if (!body_put(&request->body, data, len, request->body_limit))
		refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	secret_wipe((void *)(uintptr_t)data, len);
	if (request->state != REQUEST_ANSWERED)
		return MHD_YES;
	/* MHD sends no answer before a body is through: who does not come to its end is cut. */
	return is_too_slow(request) || request->dropped > request->server->config.body_max ? MHD_NO : MHD_YES;
}

static enum MHD_Result send_reply(struct http_request *request)
{
	struct MHD_Response *reply = TAKE_PTR(request->reply);
	enum MHD_Result result = MHD_NO;

	if (reply != NULL) {
		result = MHD_queue_response(request->connection, (unsigned)request->reply_status, reply);
		MHD_destroy_response(reply);
	}
	return result;
}

static enum MHD_Result deliver(struct http_request *request)
{
	const struct http_config *config = &request->server->config;

	request_set_state(request, REQUEST_DELIVERED);
	request->adopted = false;
	config->on_request(request, config->owner);
	if (request->state == REQUEST_ANSWERED)
		return send_reply(request);
	request->suspended = true;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

/* MHD calls this with the head, then per piece of body, then with nothing at the end, and again after a resume. An
 * answer known before the end is kept until the body is through (answering at once would reset the connection under a
 * client that is still sending), unless the client waits to be told whether to send. */
static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *data, size_t *data_len, void **slot)
{
	struct http_request *request = *slot;
	size_t len = *data_len;

	if (request == NULL)
		return MHD_NO;
	if (!request->started) {
		start_request(request, method);
		if (request->state == REQUEST_ANSWERED && request_awaits_continue(request))
			return send_reply(request);
		return MHD_YES;
	}
	if (len > 0) {
		*data_len = 0;
		return take_body(request, data, len);
	}
	if (request->state != REQUEST_ANSWERED)
		(void)refuse_for_gate(request, MHD_lookup_connection_value(connection, MHD_FOOTER_KIND, GATE_FIELD));
	return request->state == REQUEST_ANSWERED ? send_reply(request) : deliver(request);
}

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
	struct http_server *server = context;
	struct http_request *request = request_new(server->loop, connection, target);

	if (request != NULL)
		list_add(server, request);
	return request;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode why)
{
	struct http_request *request = *slot;

	if (request == NULL)
		return;
	*slot = NULL;
	drop(request);
	list_remove(request);
	if (request->state == REQUEST_DELIVERED)
		request_set_state(request, REQUEST_ORPHANED);
	else
		request_free(request);
}

void http_let_in(struct http_request *request)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	for (size_t i = 0; info != NULL && i < request->server->fronts_len; i++)
		front_let_in(request->server->fronts[i], request->is_unix, info->connect_fd);
}

/* The target is parsed by us, from the raw text. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

/* MHD takes each socket for one of TCP and tells, twice per connection, that options of TCP can't be set; ours are ends of socket pairs,
 * which hold nothing back. It has no option to say so. */
static bool is_about_tcp(const char *format)
{
	static const char set[] = "Setting %s option to ", push[] = "Failed to push the data from buffers";

	return strncmp(format, set, sizeof(set) - 1) == 0 || strncmp(format, push, sizeof(push) - 1) == 0;
}

__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format, va_list args)
{
	char text[256];

	if (!log_is_on(LOG_DEBUG) || is_about_tcp(format))
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\r\n")] = 0;
	log_event(LOG_DEBUG, "http", LOG_STR("detail", text));
}

/* The loop -------------------------------------------------------------------------------------------------------- */

static void drive(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG wait;

	server->resumed = false;
	MHD_run(server->daemon);
	if (server->draining && server->requests == NULL)
		server_finish(server);
	else if (server->resumed)
		drive_soon(server);
	else if (MHD_get_timeout(server->daemon, &wait) == MHD_YES)
		uv_timer_start(&server->deadline, on_deadline, wait, 0);
	else
		uv_timer_stop(&server->deadline);
}

static void on_deadline(uv_timer_t *timer)
{
	drive(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	drive(poll->data);
}

/* MHD's descriptor does not tell of a resumed connection; it must be run. Not from here: we may be inside it. */
static void drive_soon(struct http_server *server)
{
	server->resumed = true;
	uv_timer_start(&server->deadline, on_deadline, 0, 0);
}

static void handle_closed(struct http_server *server)
{
	if (--server->handles > 0)
		return;
	if (server->on_closed != NULL)
		server->on_closed(server->config.owner);
	free(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

static void on_front_closed(void *owner)
{
	handle_closed(owner);
}

static void close_handles(struct http_server *server)
{
	uv_close((uv_handle_t *)&server->poll, on_handle_closed);
	uv_close((uv_handle_t *)&server->deadline, on_handle_closed);
	uv_close((uv_handle_t *)&server->grace, on_handle_closed);
}

static void server_finish(struct http_server *server)
{
	if (server->closing)
		return;
	server->closing = true;
	uv_poll_stop(&server->poll); /* before MHD closes the descriptor */
	for (struct http_request *request = server->requests; request != NULL; request = request->next) {
		if (request->suspended) {
			request->suspended = false;
			MHD_resume_connection(request->connection);
		}
	}
	MHD_stop_daemon(server->daemon);
	assert(server->requests == NULL);
	for (size_t i = 0; i < server->fronts_len; i++)
		front_close(server->fronts[i], on_front_closed); /* what MHD has answered still flows out */
	close_handles(server);
}

static void on_grace_over(uv_timer_t *timer)
{
	server_finish(timer->data);
}

void http_server_close(struct http_server *server, uint64_t grace_ms, void (*on_closed)(void *owner))
{
	assert(!server->draining);
	server->draining = true;
	server->on_closed = on_closed;
	for (size_t i = 0; i < server->fronts_len; i++)
		front_quiesce(server->fronts[i]);
	if (server->config.socket_path != NULL)
		(void)unlink(server->config.socket_path);
	uv_timer_start(&server->grace, on_grace_over, server->requests != NULL ? grace_ms : 0, 0);
}

/* Start ----------------------------------------------------------------------------------------------------------- */

/* The plain end of a connection. MHD closes fd also when it has no place for it. */
static void on_plain(int fd, const struct sockaddr *peer, socklen_t peer_len, void *owner)
{
	struct http_server *server = owner;

	if (MHD_add_connection(server->daemon, fd, peer, peer_len) == MHD_YES)
		drive_soon(server);
}

/* It gets its connections from the fronts, which bound them. */
static struct MHD_Daemon *start_daemon(struct http_server *server)
{
	const struct http_config *config = &server->config;
	unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;

	/* clang-format off */
	return MHD_start_daemon(flags, 0,
	                        NULL, NULL, on_access, server,
	                        MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	                        MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
	                        MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
	                        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
	                        MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->connections_max * FRONTS,
	                        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->idle_seconds,
	                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
	                        MHD_OPTION_STRICT_FOR_CLIENT, 1,
	                        MHD_OPTION_END);
	/* clang-format on */
}

static int start_watching(struct http_server *server, uv_loop_t *loop, struct error *err)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int started;

	if (info == NULL || uv_poll_init(loop, &server->poll, info->epoll_fd) < 0)
		return error_set(err, E_IO, "watching the HTTP server's descriptor failed");
	uv_timer_init(loop, &server->deadline);
	uv_timer_init(loop, &server->grace);
	server->handles = 3 + (unsigned)server->fronts_len;
	server->poll.data = server->deadline.data = server->grace.data = server;
	started = uv_poll_start(&server->poll, UV_READABLE, on_readable);
	assert(started == 0); /* it fails only for a descriptor that is watched already */
	return 0;
}

/* Takes fd over. */
static int start_front(struct http_server *server, int fd, const struct http_tls *tls, bool is_unix, struct error *err)
{
	const struct front_config config = {.loop = server->loop,
	                                    .tls = tls != NULL ? *tls : (struct http_tls){0},
	                                    .is_unix = is_unix,
	                                    .connections_max = server->config.connections_max,
	                                    .idle_seconds = server->config.idle_seconds,
	                                    .on_plain = on_plain,
	                                    .owner = server};
	int r = front_start(&config, fd, &server->fronts[server->fronts_len], err);

	if (r == 0)
		server->fronts_len++;
	return r;
}

static int start_fronts(struct http_server *server, struct error *err)
{
	struct http_config *config = &server->config;
	bool only_loopback = config->tls == NULL && !config->is_insecure;
	int fd, r = 0;

	if (config->host != NULL) {
		r = sockaddr_listen(config->host, config->port, only_loopback, &fd, &server->port, err);
		if (r == 0)
			r = start_front(server, fd, config->tls, false, err);
	}
	if (config->socket_path == NULL || r < 0) {
		config->socket_path = NULL;
		return r;
	}
	r = sockaddr_listen_unix(config->socket_path, &fd, err);
	if (r < 0)
		config->socket_path = NULL; /* not ours to unlink */
	return r == 0 ? start_front(server, fd, NULL, true, err) : r;
}

/* The fronts' own failure needs nothing undone: they accept nothing before the loop runs. */
static int start_parts(struct http_server *server, struct error *err)
{
	int r = start_fronts(server, err);

	if (r < 0)
		return r;
	server->daemon = start_daemon(server);
	if (server->daemon == NULL)
		return error_set(err, E_IO, "starting the HTTP server failed");
	return start_watching(server, server->loop, err);
}

static void ignore_closed(void *owner)
{
}

int http_server_start(uv_loop_t *loop, const struct http_config *config, struct http_server **ret, struct error *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int r;

	if (server == NULL)
		return error_nomem(err);
	server->config = *config;
	server->loop = loop;
	r = start_parts(server, err);
	if (r < 0) {
		if (server->daemon != NULL)
			MHD_stop_daemon(server->daemon);
		for (size_t i = 0; i < server->fronts_len; i++) {
			front_quiesce(server->fronts[i]);
			front_close(server->fronts[i], ignore_closed);
		}
		if (server->config.socket_path != NULL)
			(void)unlink(server->config.socket_path);
		free(server);
		return r;
	}
	server->config.tls = NULL; /* the front has its copy */
	*ret = server;
	return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}
