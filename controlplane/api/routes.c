/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and the search in it: some fifty rows, compared one by one, well below a microsecond for a request. */
#include "api/routes.h"

#include "api/handlers.h"

#include <stdio.h>
#include <string.h>

#define LIST(word, number) {"GET", "/v1/" word, QUERY_PAGE, false, 0, number, objects_list}
#define GET(word, number) {"GET", "/v1/" word "/{id}", QUERY_NONE, false, 0, number, objects_get}
#define DELETE(word, number) {"DELETE", "/v1/" word "/{id}", QUERY_WRITE, false, 0, number, objects_delete}
#define PATCH(word, number) {"PATCH", "/v1/" word "/{id}", QUERY_WRITE, false, ROUTE_BODY_MAX, number, objects_patch}

#define CONFIGURATION(word, number)                                                                                    \
	LIST(word, number), GET(word, number), PATCH(word, number), DELETE(word, number),                                  \
	    {"POST", "/v1/" word, QUERY_WRITE, false, ROUTE_BODY_MAX, number, objects_create},                             \
	    {"PUT", "/v1/" word "/{id}", QUERY_WRITE, false, ROUTE_BODY_MAX, number, objects_put}

static const struct route routes[] = {
    {"GET", "/healthz", QUERY_NONE, true, 0, 0, health_live},
    {"GET", "/readyz", QUERY_NONE, true, 0, 0, health_ready},
    {"GET", "/metrics", QUERY_NONE, true, 0, 0, metrics_get},
    CONFIGURATION("ssls", KIND_SSL),
    CONFIGURATION("tls_options", KIND_TLS_OPTIONS),
    CONFIGURATION("ca_bundles", KIND_CA_BUNDLE),
    CONFIGURATION("listeners", KIND_LISTENER),
    CONFIGURATION("upstreams", KIND_UPSTREAM),
    CONFIGURATION("routes", KIND_ROUTE),
    CONFIGURATION("upstream_tls", KIND_UPSTREAM_TLS),
    {"GET", "/v1/agents", QUERY_PAGE, false, 0, KIND_AGENT, agents_list},
    {"GET", "/v1/agents/{id}", QUERY_NONE, false, 0, KIND_AGENT, agents_get},
    PATCH("agents", KIND_AGENT),
    DELETE("agents", KIND_AGENT),
    LIST("join_tokens", KIND_JOIN_TOKEN),
    GET("join_tokens", KIND_JOIN_TOKEN),
    DELETE("join_tokens", KIND_JOIN_TOKEN),
    {"POST", "/v1/join_tokens", QUERY_NONE, false, ROUTE_BODY_MAX, KIND_JOIN_TOKEN, objects_create},
    {"GET", "/v1/revisions", QUERY_PAGE, false, 0, 0, revisions_list},
    {"GET", "/v1/revisions/{revision}", QUERY_NONE, false, 0, 0, revisions_get},
    {"POST", "/v1/apply", QUERY_WRITE, false, ROUTE_APPLY_BODY_MAX, 0, apply_post},
    {"GET", "/v1/resolve", QUERY_RESOLVE, false, 0, 0, resolve_get},
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
