/* SPDX-License-Identifier: Apache-2.0 */
/* The API's life, and the way of a request to its handler: path, credential, query, content type; each may answer
 * instead.
 *
 *   SERVING --api_close--> CLOSING --HTTP closed and no call left--> (freed)
 *
 * While CLOSING there are no new requests, and waits for agents are cut short. */
#include "api/api.h"

#include "api/apply.h"
#include "api/auth.h"
#include "api/call.h"
#include "api/handlers.h"
#include "api/idempotency.h"
#include "api/poll.h"
#include "api/served.h"
#include "api/write.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECTIONS_MAX 512 /* of each of the listeners, so that the Unix socket is never full of those from elsewhere */
#define WAITING_MAX 256     /* requests that wait, for agents or for a commit, leave half of the connections to others */
#define WAITING_RETRY_SECONDS 5
#define LARGE_MAX 2 /* bodies; each holds a thread of the pool while it is read, and its objects until they are stored */
#define IDLE_SECONDS 60
#define BODY_GRACE_SECONDS 60
#define GRACE_MS 10000

static enum api_method method_of(const char *text)
{
	static const char *const names[] = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0)
			return (enum api_method)i;
	}
	return API_OTHER;
}

static int find_route(struct call *call)
{
	const char *segments[ROUTE_SEGMENTS_MAX];
	const char *id = NULL;
	size_t count = 0;
	int r;

	while (count < ROUTE_SEGMENTS_MAX && (segments[count] = http_path_segment(call->http, count)) != NULL)
		count++;
	r = route_find(http_method(call->http), segments, count, &call->route, &id, call->allow);
	if (r == E_NOT_FOUND)
		return error_set(&call->error, r, "no such path");
	if (r == E_METHOD)
		return error_set(&call->error, r, "this path allows %s", call->allow);
	if (id != NULL && !kind_is_id(id, strlen(id)))
		return error_set(&call->error, E_SYNTAX,
		                 "an id is 1 to 64 of [a-zA-Z0-9._-] and starts with neither '.' nor '-'");
	if (id != NULL)
		snprintf(call->id, sizeof(call->id), "%s", id);
	return 0;
}

static int read_query(struct call *call)
{
	struct query_parameter parameters[HTTP_QUERY_MAX];
	size_t count = http_query_count(call->http);

	for (size_t i = 0; i < count; i++) {
		parameters[i].name = http_query_name(call->http, i);
		parameters[i].value = http_query_value(call->http, i);
	}
	return query_parse(parameters, count, call->route->query, &call->findings, &call->query, &call->error);
}

/* JSON, or no word about it; also what `curl -d` says when nobody tells it otherwise. */
static bool is_json_type(const char *type, bool patch)
{
	static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
	                                    "application/merge-patch+json"};
	size_t len = strcspn(type, "; \t");

	for (size_t i = 0; i < ARRAY_LEN(types) - (patch ? 0 : 1); i++) {
		if (strlen(types[i]) == len && strncasecmp(types[i], type, len) == 0)
			return true;
	}
	return false;
}

static bool has_fitting_type(const struct call *call)
{
	const char *type = http_header(call->http, "Content-Type");

	if (call->route->body_max == 0 || type == NULL || is_json_type(type, call->method == API_PATCH))
		return true;
	return call->route->handle == apply_post && apply_is_lines_type(type);
}

static size_t body_max(const struct call *call)
{
	return call->route->handle == apply_post ? apply_body_max(call) : call->route->body_max;
}

static bool may_wait(const struct call *call)
{
	return call->query.wait || call->query.history.wait_seconds > 0;
}

/* Counted from the head on, so that no write is done whose wait has no place. */
static int take_place_to_wait(struct call *call)
{
	size_t count = 0;

	for (const struct call *other = call->api->calls; other != NULL; other = other->next)
		count += may_wait(other);
	if (!may_wait(call) || count <= WAITING_MAX)
		return 0;
	call->retry_after = WAITING_RETRY_SECONDS;
	return error_set(&call->error, E_UNAVAILABLE, "too many requests are waiting already");
}

/* Answers what need not reach a handler. Returns whether it did. */
static bool is_answered_by_head(struct call *call)
{
	int r;

	if (call->dialect != NULL)
		return call->dialect->is_answered_by_head(call);
	if (strcmp(http_path(call->http), "*") == 0) { /* OPTIONS, of the server as a whole */
		snprintf(call->allow, sizeof(call->allow), "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS");
		call_reply_empty(call, 204);
		return true;
	}
	r = find_route(call);
	if (r == E_METHOD && call->method == API_OPTIONS) {
		call_reply_empty(call, 204);
		return true;
	}
	if (r == 0 && !(call->route->may & MAY_ANYBODY))
		r = auth_check(call);
	if (r == 0)
		r = read_query(call);
	if (r == 0)
		r = take_place_to_wait(call);
	if (r < 0) {
		call_reply_error(call);
		return true;
	}
	if (!has_fitting_type(call)) {
		struct problem problem =
		    problem_from_status(415, call->method == API_PATCH ? "send application/merge-patch+json or application/json"
		                                                       : "send application/json");

		call_reply_problem(call, &problem);
		return true;
	}
	return false;
}

static size_t on_head(struct http_request *request, void *owner)
{
	const struct api_dialect *dialect = ((struct api *)owner)->config.dialect;
	struct call *call = call_new(owner, request);

	if (!dialect_has(dialect, http_path(request)))
		dialect = NULL;
	if (call == NULL) {
		struct http_reply reply = call_no_memory_reply(dialect);

		http_reply(request, &reply);
		return 0;
	}
	http_request_set_data(request, call);
	call->method = method_of(http_method(request));
	call->dialect = dialect;
	return is_answered_by_head(call) ? 0 : body_max(call);
}

static void on_drop(struct http_request *request, void *owner)
{
	call_free(http_request_data(request));
}

static void on_request(struct http_request *request, void *owner)
{
	idempotency_begin(http_request_data(request));
}

static void on_refusal(const struct http_request *request, int status, const char *detail, struct buf *body,
                       const char **content_type, void *owner)
{
	const struct api_dialect *dialect = ((struct api *)owner)->config.dialect;
	bool is_ours = !dialect_has(dialect, http_path(request));
	struct problem problem = problem_from_status(status, detail);
	uint64_t failures = memory_failures();
	json_t *document = is_ours ? problem_render(&problem, http_request_id(request))
	                           : dialect->render_problem(NULL, &problem, &problem.status);
	char *text = document != NULL ? json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	struct call *call = http_request_data(request);

	if (call != NULL) /* it had passed on_head */
		call_note_refusal(call, status, problem.name);
	else
		call_note_early_refusal(owner, request, problem.name);
	if (text != NULL && memory_judge(failures, 0, NULL) == 0)
		buf_printf(body, "%s\n", text);
	*content_type = is_ours ? PROBLEM_CONTENT_TYPE : "application/json";
	free(text);
	json_decref(document);
}

/* Life ------------------------------------------------------------------------------------------------------------ */

static struct api *api_free(struct api *api)
{
	for (size_t i = 0; i < api->idle_len; i++)
		store_reader_close(api->idle[i]);
	store_reader_close(api->reader);
	certificate_free(api->certificate);
	names_deinit(&api->names);
	keyring_free(api->places);
	free(api);
	return NULL;
}
DEFINE_CLEANUP(struct api, api_free);

void api_end_if_closed(struct api *api)
{
	void (*on_closed)(void *owner) = api->on_closed;
	void *owner = api->owner;

	if (!api->closing || !api->http_closed || !api->poll_closed || api->calls_len > 0)
		return;
	api_free(api);
	on_closed(owner);
}

static void on_http_closed(void *owner)
{
	struct api *api = owner;

	api->http_closed = true;
	api_end_if_closed(api);
}

static int start_certificate(struct api *api, struct error *err)
{
	const struct certificate_config config = {
	    .store = api->config.store, .ssl_id = api->config.front.ssl_id, .names = api->names.all};
	int r = certificate_new(&config, &api->certificate, err);

	if (r == 0)
		certificate_follow(api->certificate, api->reader);
	return r;
}

static int start_http(struct api *api, struct error *err)
{
	const struct api_front *front = &api->config.front;
	const struct http_tls tls = {.put_certificate = certificate_put, .owner = api->certificate};
	struct http_config http = {.host = front->host,
	                           .port = front->port,
	                           .is_insecure = front->is_insecure,
	                           .socket_path = front->socket_path,
	                           .tls = front->is_tls ? &tls : NULL,
	                           .hosts = api->names.hosts,
	                           .body_max = ROUTE_LINES_BODY_MAX,
	                           .large_body = ROUTE_BODY_MAX + 1,
	                           .large_max = LARGE_MAX,
	                           .connections_max = CONNECTIONS_MAX,
	                           .idle_seconds = IDLE_SECONDS,
	                           .body_grace_seconds = BODY_GRACE_SECONDS,
	                           .on_head = on_head,
	                           .on_drop = on_drop,
	                           .on_request = on_request,
	                           .on_refusal = on_refusal,
	                           .owner = api};

	return http_server_start(api->config.loop, &http, &api->http, err);
}

int api_start(const struct api_config *config, struct api **ret, struct error *err)
{
	CLEANUP(api_free) struct api *api = calloc(1, sizeof(*api));
	int r;

	if (api == NULL)
		return error_nomem(err);
	api->config = *config;
	r = names_init(&api->names, config->front.names, config->front.host, err);
	if (r == 0)
		r = keyring_make(&api->places, err);
	if (r == 0)
		r = store_reader_open(config->store, &api->reader, err);
	if (r == 0 && config->front.is_tls)
		r = start_certificate(api, err);
	if (r == 0)
		r = start_http(api, err);
	if (r < 0)
		return r;
	poll_init(api);
	*ret = TAKE_PTR(api);
	return 0;
}

uint16_t api_port(const struct api *api)
{
	return http_server_port(api->http);
}

void api_close(struct api *api, void (*on_closed)(void *owner), void *owner)
{
	struct call *next;

	api->closing = true;
	api->on_closed = on_closed;
	api->owner = owner;
	http_server_close(api->http, GRACE_MS, on_http_closed);
	for (struct call *call = api->calls; call != NULL; call = next) {
		next = call->next;
		if (call->wait != NULL)
			write_cut_wait(call);
		else if (served_is_asking(call))
			served_cut(call);
	}
	poll_close(api);
	change_engine_hurry(api->config.changes);
}
