/* SPDX-License-Identifier: Apache-2.0 */
/* The store knows tokens by their SHA-256 alone and finds them by it: no comparison whose time tells how much of a
 * token is right. */
#include "api/auth.h"

#include "api/call.h"
#include "crypto/crypto.h"

#include <string.h>
#include <strings.h>

/* NULL: none. Borrowed from the request. */
static const char *find_credential(const struct call *call)
{
	static const char scheme[] = "Bearer";
	const char *text = http_header(call->http, "Authorization");

	if (text == NULL)
		return http_header(call->http, "X-API-KEY");
	if (strncasecmp(text, scheme, sizeof(scheme) - 1) != 0 || text[sizeof(scheme) - 1] != ' ')
		return NULL;
	text += sizeof(scheme) - 1;
	return text + strspn(text, " ");
}

int auth_check(struct call *call)
{
	const char *token = find_credential(call);
	uint8_t digest[SHA256_LEN];
	int r;

	if (token == NULL || token[0] == 0)
		return error_set(&call->error, E_UNAUTHENTICATED, "send Authorization: Bearer TOKEN or X-API-KEY: TOKEN");
	r = crypto_sha256(BYTES(token, strlen(token)), digest, &call->error);
	if (r == 0)
		r = store_find_token(call->api->reader, digest, call->actor, &call->error);
	if (r == E_NOT_FOUND)
		r = error_set(&call->error, E_UNAUTHENTICATED, "this credential is not known");
	return r;
}
