/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd inside a uv loop: plain HTTP on loopback and on a Unix socket, HTTPS (our own TLS in front) on any
 * address. A request is delivered whole (body bounded); the answer may come later, from the loop. MHD runs in external
 * epoll mode, its epoll descriptor watched by uv_poll; a request that waits is a suspended MHD connection. One loop owns
 * a server and its requests. The process ignores SIGPIPE. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "stream/tls_server.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct http_server;
struct http_request;

struct http_tls {
	/* At each handshake, so that a rotated certificate is served at once: see struct tls_server_hooks. Negative: the
	 * handshake is refused, and why is logged, at most once a second. */
	int (*put_certificate)(SSL *ssl, void *owner, struct error *err);
	void *owner;
};

struct http_config {
	const char *host;           /* without tls it must be loopback: E_FORBIDDEN otherwise; NULL: socket_path alone */
	bool is_insecure;           /* any host without tls */
	const char *socket_path;    /* a Unix socket too, plain, for its owner alone; borrowed; NULL: none */
	const struct http_tls *tls; /* copied; NULL: plain HTTP */
	uint16_t port;              /* 0: any, see http_server_port */
	/* Who may be meant by the Host field of a request (not on the Unix socket): an IP address, "localhost", or one of these,
	 * NULL at their end, borrowed; else 421, since a page may have had its own name resolved to our address. NULL: any. */
	const char *const *hosts;
	size_t body_max;
	size_t large_body;     /* from this size on, announced or come, a body is large; 0: none is */
	uint32_t large_max;    /* so many of those may be under way; who comes next: 503 */
	uint32_t connections_max;
	uint32_t idle_seconds;
	/* After these a body must have come at 32 KB a second, one that is refused at 1 MB a second: else its connection ends. */
	uint32_t body_grace_seconds;
	/* Called with the head alone, before any body is kept: how many bytes of body may come (body_max caps it). May
	 * answer with http_reply already; the body is then dropped and on_request is not called. NULL: body_max. */
	size_t (*on_head)(struct http_request *request, void *owner);
	/* A request that has passed on_head unanswered is lost before on_request (connection closed, body refused): free
	 * its data. NULL: nothing to do. http_reply is not allowed. */
	void (*on_drop)(struct http_request *request, void *owner);
	/* Called with the whole request; answers now or later with http_reply, exactly once. */
	void (*on_request)(struct http_request *request, void *owner);
	/* The answer to something this module refuses itself (too large, bad path...): fills body and content type. Of a target
	 * that is refused the path is "", and of what is no request at all method and path are made up. NULL: text. */
	void (*on_refusal)(const struct http_request *request, int status, const char *detail, struct buf *body,
	                   const char **content_type, void *owner);
	void *owner;
};

/* E_INVALID: host is no IP address; E_FORBIDDEN, E_BUSY, E_NOMEM, E_IO, E_CRYPTO. After a failure the loop may have
 * handles of ours to close: run it once more. */
int http_server_start(uv_loop_t *loop, const struct http_config *config, struct http_server **ret,
                      struct error *err) MUST_USE;
uint16_t http_server_port(const struct http_server *server);
/* Of a host as in the config. */
bool http_is_loopback(const char *host);
/* Stops accepting, lets requests under way finish (at most grace_ms), then closes; on_closed once, then the server's
 * memory goes. */
void http_server_close(struct http_server *server, uint64_t grace_ms, void (*on_closed)(void *owner));

/* All borrowed for the life of the request. path is the raw path without query, checked: starts with '/', no empty, "."
 * or ".." segment, no %2f, %00 or other escape of a control; segments are percent-decoded by http_path_segment. Of
 * "OPTIONS *", which asks about the server as a whole, it is "*". */
const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request);
/* The index-th segment, decoded; NULL beyond the last. */
const char *http_path_segment(const struct http_request *request, size_t index);
/* The name is case-insensitive; NULL: absent. */
const char *http_header(const struct http_request *request, const char *name);
/* Decoded; NULL: absent; "" for a bare name. The first of several. */
const char *http_query(const struct http_request *request, const char *name);
#define HTTP_QUERY_MAX 32 /* parameters; more are refused */
size_t http_query_count(const struct http_request *request);
const char *http_query_name(const struct http_request *request, size_t index);
const char *http_query_value(const struct http_request *request, size_t index);
struct bytes http_body(const struct http_request *request);
/* Gives the memory of its first len bytes back when that is much: they must not be read any more. While a request is
 * delivered and not answered another thread may read its body and call this. */
void http_drop_body(struct http_request *request, size_t len);
const char *http_peer(const struct http_request *request); /* "127.0.0.1:1234", "unix:uid=1000,pid=77" */
/* The client's X-Request-Id if it is sane, else a made one. */
const char *http_request_id(const struct http_request *request);
/* Its client has said who it is: when all connections are taken, those of others make room. On the loop, before it is answered. */
void http_let_in(struct http_request *request);
void *http_request_data(const struct http_request *request);
void http_request_set_data(struct http_request *request, void *data);

struct http_reply_header {
	const char *name, *value;
};

struct http_reply {
	int status;
	const char *content_type; /* NULL: no body */
	const void *body;         /* copied */
	size_t body_len;
	const struct http_reply_header *headers;
	size_t headers_len;
};

/* Answers; from the loop, now or later, exactly once; the request is gone when this returns. Cannot fail: without
 * memory the connection is closed. HEAD drops the body. A request that outlived its server (http_server_close) is just
 * freed. */
void http_reply(struct http_request *request, const struct http_reply *reply);
