/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/openapi.json: what this binary serves, as it was built. Public: whoever is about to write a client has no
 * credential yet, and nothing in it is of this installation. */
#include "api/handlers.h"

#include "api/call.h"
#include "openapi_json.h"

#include <stdio.h>

void contract_get(struct call *call)
{
	const char *known = http_header(call->http, "If-None-Match");

	snprintf(call->etag, sizeof(call->etag), "%s", openapi_json_etag);
	call_reply_text(call, known != NULL && query_has_etag(known, call->etag) ? 304 : 200, "application/json",
	                BYTES(openapi_json, openapi_json_len));
}
