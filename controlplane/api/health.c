/* SPDX-License-Identifier: Apache-2.0 */
/* /healthz: the loop turns. /readyz: the store answers and the channel listens. */
#include "api/handlers.h"

#include "api/call.h"

void health_live(struct call *call)
{
	call_reply_json(call, 200, json_pack("{s:s}", "status", "ok"));
}

static void run_ready(struct call *call, struct store_reader *reader)
{
	struct store_revision head;

	if (store_head(reader, &head, &call->error) == 0)
		query_format_revision(head.revision, call->revision);
	else
		error_prefix(&call->error, E_UNAVAILABLE, "store");
}

static void reply_ready(struct call *call)
{
	if (publisher_port(call->api->config.publisher) == 0) {
		error_set(&call->error, E_UNAVAILABLE, "the channel does not listen");
		call_reply_error(call);
		return;
	}
	call_reply_json(call, 200, json_pack("{s:s, s:s}", "status", "ready", "revision", call->revision));
}

void health_ready(struct call *call)
{
	call_run(call, run_ready, reply_ready);
}
