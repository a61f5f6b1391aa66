/* SPDX-License-Identifier: Apache-2.0 */
#include "apisix/body.h"

#include "apisix/input.h"

#define INLINE_BODY_MAX (64u << 10) /* parsed on the loop: some hundred microseconds at most */

void apisix_refuse(struct call *call, const char *text)
{
	error_set(&call->error, E_SYNTAX, "%s", text);
	call_reply_error(call);
}

static void load(struct call *call)
{
	(void)!input_load(http_body(call->http), &call->document, &call->error);
}

static void on_load(struct call *call, struct store_reader *reader)
{
	load(call);
}

void apisix_load_body(struct call *call, void (*next)(struct call *call))
{
	struct bytes body = http_body(call->http);

	if (body.len > INPUT_BODY_MAX) {
		error_set(&call->error, E_SYNTAX, "invalid request body: request size %zu is greater than the maximum size %u allowed", body.len,
		          INPUT_BODY_MAX);
		call_reply_error(call);
		return;
	}
	if (body.len > INLINE_BODY_MAX) {
		call_run(call, on_load, next);
		return;
	}
	load(call);
	if (call->error.code < 0)
		call_reply_error(call);
	else
		next(call);
}
