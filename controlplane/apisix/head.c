/* SPDX-License-Identifier: Apache-2.0 */
/* From a request's head to its handler: path, credential, parameters; and refusals in that API's words. Parameters that APISIX does not
 * know it ignores, and so do we; those that would change what a request does, and can't here, are refused by name. */
#include "apisix/apisix.h"

#include "api/auth.h"
#include "api/call.h"
#include "apisix/handlers.h"
#include "apisix/routes.h"
#include "apisix/words.h"

#include <string.h>

static bool reply_text(struct call *call, int status, const char *text)
{
	struct problem problem = problem_from_status(status, text);

	if (status == 404)
		problem.name = "not-found";
	call_reply_problem(call, &problem);
	return true;
}

/* Sets call->route and call->id; *ret_status: of the refusal in text, when it can't; else 0. */
static void find_route(struct call *call, int *ret_status, char text[160])
{
	const char *segments[APISIX_SEGMENTS_MAX], *id = NULL;
	size_t count = 0;

	*ret_status = 0;
	while (count < APISIX_SEGMENTS_MAX && (segments[count] = http_path_segment(call->http, count)) != NULL)
		count++;
	call->route = apisix_find_route(http_method(call->http), segments, count, &id, ret_status, text);
	if (call->route == NULL || id == NULL)
		return;
	if (kind_is_id(id, strlen(id))) {
		snprintf(call->id, sizeof(call->id), "%s", id);
		return;
	}
	*ret_status = 400;
	snprintf(text, 160,
	         "invalid configuration: property \"id\" validation failed: must be 1 to 64 of [a-zA-Z0-9-_.] that begin with "
	         "neither '-' nor '.'");
}

static const struct unsupported {
	const char *name, *reason;
} parameters[] = {
	{"api_key", "api_key is not taken from the query, which proxies and servers log: send it in the header X-API-KEY"},
	{"ttl", "invalid argument ttl: objects don't vanish by themselves here: delete it when its time is over"},
	{"strict", "strict is a parameter of /v1/ssls"},
	{"dry_run", "dry_run is a parameter of /v1/ssls; POST /apisix/admin/configs/validate tries without effect"},
	{"wait", "wait is a parameter of /v1/ssls"},
	{"timeout", "timeout is a parameter of /v1/ssls"},
	{"purge", "purge is a parameter of /v1/ssls"},
};

static const char *find_unsupported(const struct call *call)
{
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
		if (http_query(call->http, parameters[i].name) != NULL)
			return parameters[i].reason;
	}
	if (http_header(call->http, "Idempotency-Key") != NULL)
		return "Idempotency-Key is a header of /v1: here PUT with an id of yours is safe to repeat";
	return NULL;
}

/* As there, a credential is asked for whatever the path. */
static bool is_answered_by_head(struct call *call)
{
	const char *unsupported;
	char text[160];
	int r = 0, status;

	if (call->method == API_OPTIONS) {
		snprintf(call->allow, sizeof(call->allow), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
		call_reply_empty(call, 204);
		return true;
	}
	find_route(call, &status, text);
	if (call->route == NULL || !(call->route->may & MAY_ANYBODY))
		r = auth_check(call);
	if (r < 0) {
		call_reply_error(call);
		return true;
	}
	if (status != 0)
		return reply_text(call, status, text);
	unsupported = find_unsupported(call);
	return unsupported != NULL && reply_text(call, 400, unsupported);
}

/* Refusals ------------------------------------------------------------------------------------------------------------ */

/* What APISIX says under "failed to check token"; NULL: it is no such refusal. */
static const char *describe_credential(const struct call *call, const struct problem *problem, char text[64])
{
	if (problem->status == 401 && http_header(call->http, "X-API-KEY") == NULL && http_header(call->http, "Authorization") == NULL)
		return "missing apikey";
	if (problem->status == 401)
		return "wrong apikey";
	if (problem->status != 403 || call->route == NULL || role_may(call->identity.role, false, call->route->may))
		return NULL;
	snprintf(text, 64, "invalid method for role %s", role_name(call->identity.role));
	return text;
}

/* An object that somebody else has changed between its reading and its writing by PATCH. */
static bool is_lost_race(const struct call *call, const struct problem *problem)
{
	return call->method == API_PATCH && problem->status == 412 && http_header(call->http, "If-Match") == NULL &&
	       http_header(call->http, "If-None-Match") == NULL;
}

static json_t *render_problem(const struct call *call, const struct problem *problem, int *status)
{
	const char *credential;
	char text[64];

	*status = words_status(problem->status);
	if (call == NULL)
		return words_of_problem(problem);
	credential = describe_credential(call, problem, text);
	if (credential != NULL) {
		*status = 401;
		return json_pack("{s:s, s:s}", "error_msg", "failed to check token", "description", credential);
	}
	if (problem->status == 404 && call->route != NULL && call->route->kind != 0)
		return json_pack("{s:s}", "message", "Key not found");
	if (is_lost_race(call, problem)) {
		*status = 503;
		return json_pack("{s:s}", "error_msg", "value changed before overwritten");
	}
	return words_of_problem(problem);
}

void apisix_head(struct call *call)
{
	call_reply_empty(call, 200);
}

const struct api_dialect apisix_dialect = {
	.prefix = "/apisix/admin",
	.is_answered_by_head = is_answered_by_head,
	.render_problem = render_problem,
	.no_memory = "{\"error_msg\":\"out of memory\"}\n",
	.header = {"X-API-VERSION", "v3"},
};
