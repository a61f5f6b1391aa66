/* SPDX-License-Identifier: Apache-2.0 */
/* From the request's headers to access, and from its answer to the route's column. */
#include "api/auth.h"

#include "api/call.h"

#include <string.h>
#include <strings.h>

/* NULL: none. Borrowed from the request. An Authorization of another scheme is for somebody on the way, and says nothing here. */
static const char *find_credential(const struct call *call)
{
	static const char scheme[] = "Bearer ";
	const char *text = http_header(call->http, "Authorization");

	if (text == NULL || strncasecmp(text, scheme, sizeof(scheme) - 1) != 0)
		return http_header(call->http, "X-API-KEY");
	return text + strspn(text + sizeof(scheme) - 1, " ") + sizeof(scheme) - 1;
}

int auth_check(struct call *call)
{
	struct identity *identity = &call->identity;
	int r = access_authenticate(call->api->config.access, find_credential(call), http_peer(call->http), identity, &call->retry_after,
	                            &call->error);

	memcpy(call->actor, identity->id, sizeof(call->actor));
	if (r == 0)
		http_let_in(call->http);
	if (r < 0 || call->route == NULL)
		return r;
	if (!role_may(identity->role, false, call->route->may))
		return error_set(&call->error, E_FORBIDDEN, "the role %s may not do this", role_name(identity->role));
	if (identity->scope != NULL && !role_may(identity->role, true, call->route->may))
		return error_set(&call->error, E_FORBIDDEN, "this token is confined to SSL objects of its scope");
	return 0;
}

int auth_check_again(struct call *call)
{
	return access_check_again(call->api->config.access, &call->identity, &call->error);
}
