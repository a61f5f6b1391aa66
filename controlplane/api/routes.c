/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and the search in it: some fifty rows, compared one by one, well below a microsecond for a request. */
#include "api/routes.h"

#include "api/handlers.h"

#include <stdio.h>
#include <string.h>

#define LIST_QUERY(number) (QUERY_PAGE | QUERY_LIST | ((number) == KIND_SSL ? QUERY_SSLS : 0))
#define LIST(word, number, may) {"GET", "/v1/" word, LIST_QUERY(number), may, 0, number, objects_list}
#define GET(word, number, may) {"GET", "/v1/" word "/{id}", QUERY_NONE, may, 0, number, objects_get}
#define DELETE_QUERY(number) (QUERY_WRITE | ((number) == KIND_SSL ? QUERY_PURGE : 0))
#define DELETE(word, number, may) {"DELETE", "/v1/" word "/{id}", DELETE_QUERY(number), may, 0, number, objects_delete}
#define PATCH(word, number, may) {"PATCH", "/v1/" word "/{id}", QUERY_WRITE, may, ROUTE_BODY_MAX, number, objects_patch}

/* also: bits for both, who reads and who writes. */
#define CONFIGURATION(word, number, also)                                                                              \
	LIST(word, number, MAY_READ | also), GET(word, number, MAY_READ | also), PATCH(word, number, MAY_WRITE | also), \
	    DELETE(word, number, MAY_WRITE | also),                                                                      \
	    {"POST", "/v1/" word, QUERY_WRITE, MAY_WRITE | also, ROUTE_BODY_MAX, number, objects_create},                \
	    {"PUT", "/v1/" word "/{id}", QUERY_WRITE, MAY_WRITE | also, ROUTE_BODY_MAX, number, objects_put}

static const struct route routes[] = {
    {"GET", "/healthz", QUERY_NONE, MAY_ANYBODY, 0, 0, health_live},
    {"GET", "/readyz", QUERY_NONE, MAY_ANYBODY, 0, 0, health_ready},
    {"GET", "/metrics", QUERY_NONE, MAY_ANYBODY, 0, 0, metrics_get},
    {"GET", "/v1/openapi.json", QUERY_NONE, MAY_ANYBODY, 0, 0, contract_get},
    CONFIGURATION("ssls", KIND_SSL, MAY_SCOPED),
    CONFIGURATION("tls_options", KIND_TLS_OPTIONS, 0),
    CONFIGURATION("ca_bundles", KIND_CA_BUNDLE, 0),
    CONFIGURATION("listeners", KIND_LISTENER, 0),
    CONFIGURATION("upstreams", KIND_UPSTREAM, 0),
    CONFIGURATION("routes", KIND_ROUTE, 0),
    CONFIGURATION("upstream_tls", KIND_UPSTREAM_TLS, 0),
    {"GET", "/v1/agents", QUERY_PAGE | QUERY_LIST, MAY_READ, 0, KIND_AGENT, agents_list},
    {"GET", "/v1/agents/{id}", QUERY_NONE, MAY_READ, 0, KIND_AGENT, agents_get},
    PATCH("agents", KIND_AGENT, MAY_ADMIN),
    DELETE("agents", KIND_AGENT, MAY_ADMIN),
    LIST("join_tokens", KIND_JOIN_TOKEN, MAY_ENROLLER),
    GET("join_tokens", KIND_JOIN_TOKEN, MAY_ENROLLER),
    DELETE("join_tokens", KIND_JOIN_TOKEN, MAY_ENROLLER),
    {"POST", "/v1/join_tokens", QUERY_NONE, MAY_ENROLLER, ROUTE_BODY_MAX, KIND_JOIN_TOKEN, objects_create},
    {"GET", "/v1/audit", QUERY_AUDIT, MAY_ADMIN, 0, 0, audit_list},
    {"GET", "/v1/tokens", QUERY_PAGE, MAY_ADMIN, 0, 0, tokens_list},
    {"POST", "/v1/tokens", QUERY_NONE, MAY_ADMIN, ROUTE_SMALL_BODY_MAX, 0, tokens_create},
    {"GET", "/v1/tokens/{id}", QUERY_NONE, MAY_ADMIN, 0, 0, tokens_get},
    {"DELETE", "/v1/tokens/{id}", QUERY_NONE, MAY_ADMIN, 0, 0, tokens_delete},
    {"GET", "/v1/revisions", QUERY_PAGE | QUERY_HISTORY, MAY_READ, 0, 0, revisions_list},
    {"GET", "/v1/revisions/{revision}", QUERY_PAGE, MAY_READ, 0, 0, revisions_get},
    {"GET", "/v1/revisions/{revision}/diff", QUERY_PAGE | QUERY_DIFF, MAY_READ, 0, 0, revisions_diff},
    {"POST", "/v1/revisions/{revision}/rollback", QUERY_WRITE, MAY_WRITE, ROUTE_SMALL_BODY_MAX, 0, revisions_rollback},
    {"GET", "/v1/keyring", QUERY_NONE, MAY_ADMIN, 0, 0, keyring_get},
    {"POST", "/v1/keyring/rotate", QUERY_NONE, MAY_ADMIN, 0, 0, keyring_rotate},
    {"POST", "/v1/apply", QUERY_WRITE, MAY_WRITE | MAY_SCOPED, ROUTE_APPLY_BODY_MAX, 0, apply_post},
    {"GET", "/v1/resolve", QUERY_RESOLVE, MAY_READ, 0, 0, resolve_get},
};

/* Does the path have these segments? *ret_id is set when it has braces. */
static bool is_match(const char *path, const char *const *segments, size_t count, const char **ret_id)
{
	for (size_t i = 0; i < count; i++) {
		size_t len;

		if (*path++ != '/')
			return false;
		len = strcspn(path, "/");
		if (path[0] == '{')
			*ret_id = segments[i];
		else if (strlen(segments[i]) != len || memcmp(path, segments[i], len) != 0)
			return false;
		path += len;
	}
	return *path == 0 && count > 0;
}

static void add_allowed(const char *method, char allow[ROUTE_ALLOW_MAX])
{
	size_t used = strlen(allow);

	snprintf(allow + used, ROUTE_ALLOW_MAX - used, "%s%s", used > 0 ? ", " : "",
	         strcmp(method, "GET") == 0 ? "GET, HEAD" : method);
}

int route_find(const char *method, const char *const *segments, size_t count, const struct route **ret,
               const char **ret_id, char allow[ROUTE_ALLOW_MAX])
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

	allow[0] = 0;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const char *id = NULL;

		if (!is_match(routes[i].path, segments, count, &id))
			continue;
		if (strcmp(routes[i].method, wanted) == 0) {
			allow[0] = 0;
			*ret = &routes[i];
			*ret_id = id;
			return 0;
		}
		add_allowed(routes[i].method, allow);
	}
	if (allow[0] == 0)
		return E_NOT_FOUND;
	add_allowed("OPTIONS", allow);
	return E_METHOD;
}

void api_each_route(void (*fn)(const struct route *route, void *context), void *context)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		fn(&routes[i], context);
}
