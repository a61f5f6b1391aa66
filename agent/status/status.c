/* SPDX-License-Identifier: Apache-2.0 */
#include "status/status.h"

#include "base/buf.h"
#include "http/http.h"
#include "status/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 1024
#define CONNECTIONS_MAX 64
#define IDLE_SECONDS 30
#define CLOSE_GRACE_MS 500

struct status {
	struct status_sources sources;
	struct http_server *server;
	void (*on_closed)(void *owner);
	void *closed_owner;
};

static int write_metrics(const struct status_sources *sources, struct buf *out)
{
	metrics_write(sources, out);
	return 200;
}

static int write_health(const struct status_sources *sources, struct buf *out)
{
	buf_put_str(out, "ok\n");
	return 200;
}

static int write_readiness(const struct status_sources *sources, struct buf *out)
{
	bool ready = proxy_snapshot(sources->proxy) != NULL;

	buf_put_str(out, ready ? "ready\n" : "nothing to serve yet\n");
	return ready ? 200 : 503;
}

/* Ids and addresses need no JSON escapes. */
static int write_connections(const struct status_sources *sources, struct buf *out)
{
	const struct snapshot *snapshot = proxy_snapshot(sources->proxy);
	struct proxy_counters counters;

	proxy_read_counters(sources->proxy, &counters);
	buf_printf(out, "{\"connections\": %" PRIu64 ", \"listeners\": [", counters.connections_open);
	for (size_t i = 0; snapshot != NULL && i < snapshot_listener_count(snapshot); i++) {
		const struct listener_view *listener = snapshot_listener(snapshot, i);
		int64_t connections = proxy_listener_connections(sources->proxy, listener->id);

		buf_printf(out, "%s\n  {\"id\": \"%s\", \"address\": \"%s\", \"bound\": %s, \"connections\": %" PRId64 "}",
		           i > 0 ? "," : "", listener->id, listener->address, connections >= 0 ? "true" : "false",
		           connections > 0 ? connections : 0);
	}
	buf_put_str(out, "]}\n");
	return 200;
}

static const struct page {
	const char *path, *content_type;
	int (*write)(const struct status_sources *sources, struct buf *out); /* returns the HTTP status */
} pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics},
    {"/healthz", "text/plain; charset=utf-8", write_health},
    {"/readyz", "text/plain; charset=utf-8", write_readiness},
    {"/v1/connections", "application/json", write_connections},
};

static const struct page *find_page(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	}
	return NULL;
}

static void reply_text(struct http_request *request, int status, const char *text)
{
	static const struct http_reply_header allow = {"Allow", "GET, HEAD"};
	struct http_reply reply = {
	    .status = status, .content_type = "text/plain; charset=utf-8", .body = text, .body_len = strlen(text)};

	if (status == 405) {
		reply.headers = &allow;
		reply.headers_len = 1;
	}
	http_reply(request, &reply);
}

static void on_request(struct http_request *request, void *owner)
{
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	const struct status *status = owner;
	const struct page *page = find_page(http_path(request));
	struct http_reply reply = {0};

	if (page == NULL) {
		reply_text(request, 404, "not found\n");
		return;
	}
	if (strcmp(http_method(request), "GET") != 0 && strcmp(http_method(request), "HEAD") != 0) {
		reply_text(request, 405, "only GET and HEAD\n");
		return;
	}
	reply.status = page->write(&status->sources, &out);
	if (out.failed) {
		reply_text(request, 503, "out of memory\n");
		return;
	}
	reply.content_type = page->content_type;
	reply.body = out.data;
	reply.body_len = out.len;
	http_reply(request, &reply);
}

int status_start(const struct status_config *config, struct status **ret, struct error *err)
{
	struct status *status = calloc(1, sizeof(*status));
	struct http_config http = {.host = config->host,
	                           .port = config->port,
	                           .body_max = BODY_MAX,
	                           .connections_max = CONNECTIONS_MAX,
	                           .idle_seconds = IDLE_SECONDS,
	                           .on_request = on_request,
	                           .owner = status};
	int r;

	if (status == NULL)
		return error_nomem(err);
	status->sources = config->sources;
	r = http_server_start(config->loop, &http, &status->server, err);
	if (r < 0) {
		free(status);
		return r;
	}
	*ret = status;
	return 0;
}

uint16_t status_port(const struct status *status)
{
	return http_server_port(status->server);
}

static void on_server_closed(void *owner)
{
	struct status *status = owner;

	status->on_closed(status->closed_owner);
	free(status);
}

void status_close(struct status *status, void (*on_closed)(void *owner), void *owner)
{
	status->on_closed = on_closed;
	status->closed_owner = owner;
	http_server_close(status->server, CLOSE_GRACE_MS, on_server_closed);
}
