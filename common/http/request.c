/* SPDX-License-Identifier: Apache-2.0 */
/* A request's life and what its owner may ask of it. */
#include "http/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

static_assert(TARGET_PARAMETERS_MAX == HTTP_QUERY_MAX, "one limit, in two headers: target.h stands alone");

struct http_request *request_new(uv_loop_t *loop, struct MHD_Connection *connection, const char *target)
{
	struct http_request *request = calloc(1, sizeof(*request));
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct error err = ERROR_NULL;

	if (request == NULL)
		return NULL;
	request->connection = connection;
	request->state = REQUEST_HEAD;
	request->loop = loop;
	request->begun = uv_now(loop);
	request->body = BODY_NULL;
	request->is_unix = info != NULL && info->client_addr->sa_family == AF_UNIX;
	sockaddr_format(info != NULL ? info->client_addr : NULL, request->peer);
	request->target_code = target_parse(target, &request->target, &err);
	if (request->target_code < 0)
		request->target_refusal = strdup(err.text);
	return request;
}

void request_free(struct http_request *request)
{
	if (request->reply != NULL)
		MHD_destroy_response(request->reply);
	target_deinit(&request->target);
	free(request->target_refusal);
	body_deinit_later(&request->body, request->loop);
	free(request);
}

void request_set_state(struct http_request *request, enum request_state state)
{
	static const unsigned from[] = {
	    [REQUEST_DELIVERED] = 1u << REQUEST_HEAD,
	    [REQUEST_ANSWERED] = 1u << REQUEST_HEAD | 1u << REQUEST_DELIVERED,
	    [REQUEST_ORPHANED] = 1u << REQUEST_DELIVERED,
	};

	assert(from[state] & 1u << request->state);
	request->state = state;
}

/* Unique in this process and, by 32 random bits, very likely among its restarts. */
static void make_id(char id[REQUEST_ID_MAX + 1])
{
	static uint32_t start;
	static uint64_t count;

	if (count++ == 0 && getrandom(&start, sizeof(start), 0) != sizeof(start))
		start = 0;
	snprintf(id, REQUEST_ID_MAX + 1, "%08x-%llx", start, (unsigned long long)count);
}

static bool is_sane_id(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len <= REQUEST_ID_MAX &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

void request_take_head(struct http_request *request, const char *method)
{
	const char *id = http_header(request, "X-Request-Id");

	snprintf(request->method, sizeof(request->method), "%s", method);
	if (id != NULL && is_sane_id(id))
		snprintf(request->id, sizeof(request->id), "%s", id);
	else
		make_id(request->id);
}

static bool add_headers(struct MHD_Response *response, const struct http_request *request,
                        const struct http_reply *reply, bool closing)
{
	bool ok = MHD_add_response_header(response, "X-Request-Id", request->id) == MHD_YES;

	if (reply->content_type != NULL)
		ok = ok && MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type) == MHD_YES;
	if (closing)
		ok = ok && MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
	for (size_t i = 0; i < reply->headers_len; i++)
		ok = ok && MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) == MHD_YES;
	return ok;
}

void request_set_reply(struct http_request *request, const struct http_reply *reply, bool closing)
{
	size_t len = reply->content_type != NULL ? reply->body_len : 0;
	struct MHD_Response *response;

	/* MHD copies from here and changes nothing; its prototype lacks the const. */
	response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)reply->body, MHD_RESPMEM_MUST_COPY);
	if (response != NULL && !add_headers(response, request, reply, closing)) {
		MHD_destroy_response(response);
		response = NULL;
	}
	request->reply = response;
	request->reply_status = reply->status;
}

const char *http_method(const struct http_request *request)
{
	return request->method;
}

const char *http_path(const struct http_request *request)
{
	return request->target.path != NULL ? request->target.path : "";
}

const char *http_path_segment(const struct http_request *request, size_t index)
{
	return index < request->target.segments_len ? request->target.segments[index] : NULL;
}

const char *http_header(const struct http_request *request, const char *name)
{
	if (request->connection == NULL)
		return NULL;
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->target.parameters_len; i++) {
		if (strcmp(request->target.parameters[i].name, name) == 0)
			return request->target.parameters[i].value;
	}
	return NULL;
}

size_t http_query_count(const struct http_request *request)
{
	return request->target.parameters_len;
}

const char *http_query_name(const struct http_request *request, size_t index)
{
	return index < request->target.parameters_len ? request->target.parameters[index].name : NULL;
}

const char *http_query_value(const struct http_request *request, size_t index)
{
	return index < request->target.parameters_len ? request->target.parameters[index].value : NULL;
}

struct bytes http_body(const struct http_request *request)
{
	return body_bytes(&request->body);
}

void http_drop_body(struct http_request *request, size_t len)
{
	body_drop(&request->body, len);
}

const char *http_peer(const struct http_request *request)
{
	return request->peer;
}

const char *http_request_id(const struct http_request *request)
{
	return request->id;
}

void *http_request_data(const struct http_request *request)
{
	return request->data;
}

void http_request_set_data(struct http_request *request, void *data)
{
	request->data = data;
}

bool request_awaits_continue(const struct http_request *request)
{
	const char *expect = http_header(request, MHD_HTTP_HEADER_EXPECT);

	return expect != NULL && strcasecmp(expect, "100-continue") == 0;
}
