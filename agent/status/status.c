/* SPDX-License-Identifier: Apache-2.0 */
/* A page is written at once, but the connection view: it waits for the workers' answer, and the page's memory for the
 * last such answer. */
#include "status/status.h"

#include "base/buf.h"
#include "http/http.h"
#include "status/certificate.h"
#include "status/connections.h"
#include "status/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 1024
#define CONNECTIONS_MAX 64
#define IDLE_SECONDS 30
#define CLOSE_GRACE_MS 500

struct status {
	struct status_sources sources;
	struct certificate_source certificate;
	struct http_server *server; /* NULL: closed */
	unsigned listings;          /* connection views under way */
	struct expiries expiries;
	void (*on_closed)(void *owner);
	void *closed_owner;
};

/* Ending ----------------------------------------------------------------------------------------------------------- */

static void free_when_closed(struct status *status)
{
	if (status->server != NULL || status->listings > 0)
		return;
	status->on_closed(status->closed_owner);
	free(status);
}

static void on_server_closed(void *owner)
{
	struct status *status = owner;

	status->server = NULL;
	free_when_closed(status);
}

void status_close(struct status *status, void (*on_closed)(void *owner), void *owner)
{
	status->on_closed = on_closed;
	status->closed_owner = owner;
	http_server_close(status->server, CLOSE_GRACE_MS, on_server_closed);
}

/* Answers ---------------------------------------------------------------------------------------------------------- */

static void reply_text(struct http_request *request, int code, const char *text)
{
	static const struct http_reply_header allow = {"Allow", "GET, HEAD"};
	struct http_reply reply = {
	    .status = code, .content_type = "text/plain; charset=utf-8", .body = text, .body_len = strlen(text)};

	if (code == 405) {
		reply.headers = &allow;
		reply.headers_len = 1;
	}
	http_reply(request, &reply);
}

static void reply_page(struct http_request *request, const char *content_type, const struct buf *page)
{
	if (page->failed)
		reply_text(request, 503, "out of memory\n");
	else
		http_reply(request,
		           &(struct http_reply){
		               .status = 200, .content_type = content_type, .body = page->data, .body_len = page->len});
}

static void serve_metrics(struct status *status, struct http_request *request)
{
	CLEANUP(buf_deinit) struct buf page = BUF_NULL;

	metrics_write(&status->sources, &status->expiries, &page);
	reply_page(request, "text/plain; version=0.0.4; charset=utf-8", &page);
}

static void serve_health(struct status *status, struct http_request *request)
{
	reply_text(request, 200, "ok\n");
}

static void serve_readiness(struct status *status, struct http_request *request)
{
	bool ready = proxy_snapshot(status->sources.proxy) != NULL;

	reply_text(request, ready ? 200 : 503, ready ? "ready\n" : "nothing to serve yet\n");
}

/* The connection view ---------------------------------------------------------------------------------------------- */

struct listing {
	struct status *status;
	struct http_request *request;
};

static void reply_list(const struct status *status, struct http_request *request, const struct proxy_conn_list *list)
{
	CLEANUP(buf_deinit) struct buf page = BUF_NULL;

	connections_write(status->sources.proxy, list, &page);
	reply_page(request, "application/json", &page);
}

static void on_list(const struct proxy_conn_list *list, void *context)
{
	struct listing *listing = context;
	struct status *status = listing->status;

	if (list == NULL)
		reply_text(listing->request, 503, "out of memory\n");
	else
		reply_list(status, listing->request, list);
	free(listing);
	status->listings--;
	free_when_closed(status);
}

static void start_list(struct status *status, struct http_request *request, size_t limit)
{
	struct listing *listing = malloc(sizeof(*listing));
	struct error err = ERROR_NULL;
	int r;

	if (listing == NULL) {
		reply_text(request, 503, "out of memory\n");
		return;
	}
	*listing = (struct listing){status, request};
	status->listings++;
	r = proxy_list_connections(status->sources.proxy, limit, on_list, listing, &err);
	if (r == 0)
		return;
	status->listings--;
	free(listing);
	reply_text(request, 503, r == E_NOMEM ? "out of memory\n" : "shutting down\n");
}

static int read_limit(const struct http_request *request, size_t *ret, struct error *err)
{
	for (size_t i = 0; i < http_query_count(request); i++)
		if (strcmp(http_query_name(request, i), "limit") != 0)
			return error_set(err, E_INVALID, "%s: unknown parameter; there is limit", http_query_name(request, i));
	return connections_parse_limit(http_query(request, "limit"), ret, err);
}

static void serve_connections(struct status *status, struct http_request *request)
{
	struct proxy_counters counters;
	struct error err = ERROR_NULL;
	char text[sizeof(err.text) + 2];
	size_t limit;

	if (read_limit(request, &limit, &err) < 0) {
		snprintf(text, sizeof(text), "%s\n", err.text);
		reply_text(request, 400, text);
	} else if (limit > 0) {
		start_list(status, request, limit);
	} else {
		proxy_read_counters(status->sources.proxy, &counters);
		reply_list(status, request, &(struct proxy_conn_list){.total = counters.connections_open});
	}
}

/* Dispatch --------------------------------------------------------------------------------------------------------- */

static const struct page {
	const char *path;
	void (*serve)(struct status *status, struct http_request *request); /* answers, now or later */
} pages[] = {
    {"/metrics", serve_metrics},
    {"/healthz", serve_health},
    {"/readyz", serve_readiness},
    {"/v1/connections", serve_connections},
};

static const struct page *find_page(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	}
	return NULL;
}

static void on_request(struct http_request *request, void *owner)
{
	const struct page *page = find_page(http_path(request));

	if (page == NULL)
		reply_text(request, 404, "not found\n");
	else if (strcmp(http_method(request), "GET") != 0 && strcmp(http_method(request), "HEAD") != 0)
		reply_text(request, 405, "only GET and HEAD\n");
	else
		page->serve(owner, request);
}

int status_start(const struct status_config *config, struct status **ret, struct error *err)
{
	struct status *status = calloc(1, sizeof(*status));
	const struct http_tls tls = {.put_certificate = certificate_put,
	                             .owner = status != NULL ? &status->certificate : NULL};
	struct http_config http = {.host = config->host,
	                           .port = config->port,
	                           .tls = config->tls_ssl != NULL ? &tls : NULL,
	                           .body_max = BODY_MAX,
	                           .connections_max = CONNECTIONS_MAX,
	                           .idle_seconds = IDLE_SECONDS,
	                           .body_grace_seconds = IDLE_SECONDS,
	                           .on_request = on_request,
	                           .owner = status};
	int r;

	if (status == NULL)
		return error_nomem(err);
	status->sources = config->sources;
	status->certificate = (struct certificate_source){config->sources.proxy, config->sources.sites, config->tls_ssl};
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
