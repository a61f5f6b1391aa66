/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: their list, their pool work, their answers. */
#include "api/call.h"

#include "api/idempotency.h"
#include "api/served.h"
#include "base/log.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char no_memory[] =
    "{\"type\":\"urn:tlsplane:error:out-of-memory\",\"title\":\"Out of memory\",\"status\":503}\n";

struct call *call_new(struct api *api, struct http_request *http)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->api = api;
	call->http = http;
	call->begun = uv_hrtime();
	call->failures = memory_failures();
	call->next = api->calls;
	if (api->calls != NULL)
		api->calls->previous = call;
	api->calls = call;
	api->calls_len++;
	return call;
}

void call_free(struct call *call)
{
	struct api *api = call->api;

	if (call->previous != NULL)
		call->previous->next = call->next;
	else
		api->calls = call->next;
	if (call->next != NULL)
		call->next->previous = call->previous;
	api->calls_len--;
	findings_deinit(&call->findings);
	json_decref(call->document);
	identity_deinit(&call->identity);
	change_states_free(call->states);
	json_decref(call->acked);
	json_decref(call->overtaken);
	served_free(call->served);
	free(call->receipt);
	replay_free(call->replay);
	free(call);
	api_end_if_closed(api);
}

/* Pool work ------------------------------------------------------------------------------------------------------- */

static void on_work(uv_work_t *work)
{
	struct call *call = work->data;
	uint64_t failures = memory_failures();
	int r = 0;

	if (call->reader == NULL)
		r = store_reader_open(call->api->config.store, &call->reader, &call->error);
	if (r == 0)
		r = store_begin(call->reader, &call->error);
	if (r < 0)
		return;
	call->run(call, call->reader);
	store_end(call->reader);
	if (memory_judge(failures, 0, &call->error) < 0) /* of what may look found, or not found */
		findings_deinit(&call->findings);
}

static void on_work_done(uv_work_t *work, int status)
{
	struct call *call = work->data;
	struct api *api = call->api;
	struct store_reader *reader = TAKE_PTR(call->reader);

	if (reader != NULL && api->idle_len < API_IDLE_READERS)
		api->idle[api->idle_len++] = reader;
	else
		store_reader_close(reader);
	if (call->error.code < 0)
		call_reply_error(call);
	else
		call->done(call);
}

void call_run(struct call *call, void (*run)(struct call *call, struct store_reader *reader),
              void (*done)(struct call *call))
{
	struct api *api = call->api;

	call->run = run;
	call->done = done;
	call->work.data = call;
	call->reader = api->idle_len > 0 ? api->idle[--api->idle_len] : NULL;
	uv_queue_work(api->config.loop, &call->work, on_work, on_work_done);
}

/* Answers --------------------------------------------------------------------------------------------------------- */

static void log_answer(const struct call *call, int status)
{
	bool write = call->route != NULL && (call->route->query & QUERY_WRITE || call->method == API_POST);

	log_event(write ? LOG_INFO : LOG_DEBUG, "request", LOG_STR("request_id", http_request_id(call->http)),
	          LOG_STR("peer", http_peer(call->http)), LOG_STR("actor", call->actor[0] != 0 ? call->actor : NULL),
	          LOG_STR("method", http_method(call->http)), LOG_STR("path", http_path(call->http)),
	          LOG_I64("status", status), LOG_STR("dry_run", call->query.dry_run ? "true" : NULL),
	          LOG_STR("revision", call->revision[0] != 0 ? call->revision : NULL),
	          LOG_U64("us", (uv_hrtime() - call->begun) / 1000));
}

static void add_header(struct http_reply_header *headers, size_t *n, const char *name, const char *value)
{
	if (value[0] != 0)
		headers[(*n)++] = (struct http_reply_header){name, value};
}

/* Reads are not audited. */
static void note_refusal(struct api *api, const struct http_request *request, const char *actor, bool named, const char *outcome)
{
	const struct change_caller caller = {actor, http_request_id(request), http_peer(request)};
	static const char *const reads[] = {"GET", "HEAD", "OPTIONS"};
	char action[256];

	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		if (strcmp(http_method(request), reads[i]) == 0)
			return;
	}
	snprintf(action, sizeof(action), "%s %s", http_method(request), http_path(request));
	for (char *at = action; *at != 0; at++) {
		if (!isprint((unsigned char)*at))
			*at = '?';
	}
	access_note_refusal(api->config.access, &caller, named, action, outcome);
}

/* What the change layer has told already is not told again; what waits for agents was accepted. */
void call_note_refusal(struct call *call, int status, const char *outcome)
{
	bool named = call->actor[0] != 0 && status != 429;

	if (status >= 400 && !call->audited && !call->query.dry_run)
		note_refusal(call->api, call->http, call->actor, named, outcome);
}

void call_note_early_refusal(struct api *api, const struct http_request *request, const char *outcome)
{
	note_refusal(api, request, "", false, outcome);
}

static void send_answer(struct call *call, const struct http_reply *answer)
{
	struct http_reply_header headers[10];
	struct http_reply reply = *answer;
	char retry_after[16] = "";
	size_t n = 0;

	add_header(headers, &n, "Cache-Control", "no-store");
	add_header(headers, &n, "ETag", call->etag);
	add_header(headers, &n, "Tlsplane-Revision", call->revision);
	add_header(headers, &n, "Location", call->location);
	add_header(headers, &n, "Allow", call->allow);
	if (call->retry_after > 0)
		snprintf(retry_after, sizeof(retry_after), "%u", call->retry_after);
	add_header(headers, &n, "Retry-After", retry_after);
	add_header(headers, &n, "Tlsplane-Next", call->next_page);
	add_header(headers, &n, "Idempotency-Replayed", call->replay != NULL ? "true" : "");
	add_header(headers, &n, "WWW-Authenticate", reply.status == 401 ? "Bearer realm=\"tlsplane\"" : "");
	if (call->dialect != NULL && reply.status != 401)
		headers[n++] = call->dialect->header;
	reply.headers = headers;
	reply.headers_len = n;
	call->api->answered[call->method][reply.status / 100 % 6]++;
	log_answer(call, reply.status);
	call_note_refusal(call, reply.status, call->refusal[0] != 0 ? call->refusal : "refused");
	http_reply(call->http, &reply);
	call_free(call);
}

void call_reply_text(struct call *call, int status, const char *content_type, struct bytes text)
{
	struct http_reply reply = {.status = status, .content_type = content_type, .body = text.data, .body_len = text.len};

	send_answer(call, &reply);
}

void call_reply_empty(struct call *call, int status)
{
	call_reply_text(call, status, NULL, BYTES_NULL);
}

/* Of the answer that it will not be; a revision stands. */
static void forget_headers(struct call *call)
{
	call->etag[0] = call->location[0] = call->next_page[0] = 0;
}

struct http_reply call_no_memory_reply(const struct api_dialect *dialect)
{
	const char *text = dialect != NULL ? dialect->no_memory : no_memory;

	return (struct http_reply){.status = 503,
	                           .content_type = dialect != NULL ? "application/json" : PROBLEM_CONTENT_TYPE,
	                           .body = text,
	                           .body_len = strlen(text)};
}

/* What is done stands; only its answer can't be made. */
static void reply_no_memory(struct call *call)
{
	struct http_reply reply = call_no_memory_reply(call->dialect);

	forget_headers(call);
	send_answer(call, &reply);
}

static void reply_document(struct call *call, int status, json_t *document, const char *content_type)
{
	char *text = document != NULL ? json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	size_t len = text != NULL ? strlen(text) : 0;
	bool is_whole = memory_judge(call->failures, 0, NULL) == 0; /* Jansson leaves out of a text what it had no room for */

	json_decref(document);
	if (text != NULL && is_whole) {
		text[len] = '\n'; /* in the terminator's place: the length says where it ends */
		call_reply_text(call, status, content_type, BYTES(text, len + 1));
	} else {
		reply_no_memory(call);
	}
	free(text);
}

void call_reply_json(struct call *call, int status, json_t *document)
{
	reply_document(call, status, document, "application/json");
}

void call_reply_problem(struct call *call, const struct problem *problem)
{
	const struct api_dialect *dialect = call->dialect;
	int status = problem->status;
	json_t *document = dialect != NULL ? dialect->render_problem(call, problem, &status)
	                                   : problem_render(problem, http_request_id(call->http));

	forget_headers(call);
	snprintf(call->refusal, sizeof(call->refusal), "%s", problem->name);
	reply_document(call, status, document, dialect != NULL ? "application/json" : PROBLEM_CONTENT_TYPE);
}

void call_reply_error(struct call *call)
{
	struct problem problem = problem_from_error(&call->error, &call->findings);

	problem.itemized = call->itemized;
	if (problem.status >= 500)
		log_event(LOG_ERROR, "request failed", LOG_STR("request_id", http_request_id(call->http)),
		          LOG_STR("path", http_path(call->http)), LOG_STR("code", problem.name), LOG_ERR(&call->error),
		          LOG_STR("file", call->error.file), LOG_I64("line", call->error.line));
	call_reply_problem(call, &problem);
}

uint64_t call_now(void)
{
	return (uint64_t)time(NULL);
}

struct resource_limits call_limits(const struct call *call)
{
	struct resource_limits limits = call->api->config.limits;

	limits.now = call_now();
	return limits;
}
