/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/apply: many objects, one revision or nothing. The body's two forms are read by feeds (feed.h) on the pool;
 * nothing that grows with it is done here. If-Match means the store as a whole. */
#include "api/apply.h"

#include "api/feed.h"
#include "api/handlers.h"
#include "api/write.h"

#include <string.h>
#include <strings.h>

bool apply_is_lines_type(const char *content_type)
{
	static const char name[] = "application/x-ndjson";
	size_t len = strcspn(content_type, "; \t");

	return len == sizeof(name) - 1 && strncasecmp(content_type, name, len) == 0;
}

static bool is_lines(const struct call *call)
{
	const char *type = http_header(call->http, "Content-Type");

	return type != NULL && apply_is_lines_type(type);
}

size_t apply_body_max(const struct call *call)
{
	return is_lines(call) ? ROUTE_LINES_BODY_MAX : ROUTE_APPLY_BODY_MAX;
}

static void answer_applied(struct call *call, const struct change_result *result)
{
	call->status = 200;
	call->document = json_pack("{s:s, s:b, s:o}", "revision", call->revision, "changed", result->changed, "warnings",
	                           problem_render_findings(&result->findings, FINDING_WARNING, true));
	if (call->document != NULL && problem_add_omitted(call->document, &result->findings) < 0)
		json_decref(TAKE_PTR(call->document));
}

void apply_post(struct call *call)
{
	struct change_request *request = write_request_new(call, 0);

	call->itemized = true;
	if (request != NULL && request->create_only)
		error_set(&call->error, E_SYNTAX, "If-None-Match is for single objects: items have \"if_none_match\"");
	else if (request != NULL)
		request->feed = is_lines(call) ? feed_new_lines(call->http) : feed_new_json(call->http);
	if (request != NULL && request->feed == NULL && call->error.code == 0)
		error_nomem(&call->error);
	if (call->error.code < 0) {
		change_request_free(request);
		call_reply_error(call);
		return;
	}
	write_submit(call, request, answer_applied);
}
