/* SPDX-License-Identifier: Apache-2.0 */
#include "apisix/body.h"

#include "apisix/input.h"

#define INLINE_BODY_MAX (16u << 10) /* read on the loop: some hundred microseconds at most */

int apisix_take_body(struct call *call, const char *missing)
{
	int r = input_load(http_body(call->http), &call->document, &call->error);

	return r == 0 && call->document == NULL ? error_set(&call->error, E_SYNTAX, "%s", missing) : r;
}

void apisix_load_body(struct call *call, void (*read)(struct call *call, struct store_reader *reader), void (*next)(struct call *call))
{
	struct bytes body = http_body(call->http);

	if (body.len > INLINE_BODY_MAX && body.len <= INPUT_BODY_MAX) {
		call_run(call, read, next);
		return;
	}
	if (body.len <= INPUT_BODY_MAX)
		read(call, NULL);
	else
		error_set(&call->error, E_SYNTAX, "invalid request body: request size %zu is greater than the maximum size %u allowed", body.len,
		          INPUT_BODY_MAX);
	if (call->error.code < 0)
		call_reply_error(call);
	else
		next(call);
}
