/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and the search in it; what APISIX says where it finds nothing. */
#include "apisix/routes.h"

#include "apisix/handlers.h"

#include <stdio.h>
#include <string.h>

#define READ (MAY_READ | MAY_SCOPED)
#define WRITE (MAY_WRITE | MAY_SCOPED)
#define BODY ROUTE_BODY_MAX /* the handlers refuse more than 1.5 MiB, in APISIX's words; reads and DELETE don't look at it */

static const struct route routes[] = {
	{"HEAD", "/apisix/admin", QUERY_NONE, MAY_ANYBODY, 0, 0, apisix_head},
	{"GET", "/apisix/admin/ssls", QUERY_NONE, READ, BODY, KIND_SSL, apisix_ssls_list},
	{"POST", "/apisix/admin/ssls", QUERY_NONE, WRITE, BODY, KIND_SSL, apisix_ssls_create},
	{"PUT", "/apisix/admin/ssls", QUERY_NONE, WRITE, BODY, KIND_SSL, apisix_ssls_put},
	{"GET", "/apisix/admin/ssls/{id}", QUERY_NONE, READ, BODY, KIND_SSL, apisix_ssls_get},
	{"PUT", "/apisix/admin/ssls/{id}", QUERY_NONE, WRITE, BODY, KIND_SSL, apisix_ssls_put},
	{"PATCH", "/apisix/admin/ssls/{id}", QUERY_NONE, WRITE, BODY, KIND_SSL, apisix_ssls_patch},
	{"PATCH", "/apisix/admin/ssls/{id}/{path}", QUERY_NONE, WRITE, BODY, KIND_SSL, apisix_ssls_patch},
	{"DELETE", "/apisix/admin/ssls/{id}", QUERY_NONE, WRITE, BODY, KIND_SSL, apisix_ssls_delete},
	{"GET", "/apisix/admin/schema/{name}", QUERY_NONE, READ, BODY, 0, apisix_schema_get},
	{"POST", "/apisix/admin/schema/validate/{name}", QUERY_NONE, WRITE, BODY, 0, apisix_schema_validate},
	{"POST", "/apisix/admin/configs/validate", QUERY_NONE, WRITE, BODY, 0, apisix_configs_validate},
};

/* What stands in place of a route where APISIX has a handler that refuses. */
static const struct refusal {
	const char *method;
	size_t segments;
	const char *text;
} refusals[] = {
	{"POST", 4, "wrong ssl id, do not need it"},
	{"PATCH", 3, "missing ssl id"},
	{"DELETE", 3, "missing ssl id"},
};

/* {path} stands for one segment or more. */
static bool is_match(const char *path, const char *const *segments, size_t count, const char **ret_id)
{
	const char *id = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t len;

		if (*path++ != '/')
			return false;
		len = strcspn(path, "/");
		if (strcmp(path, "{path}") == 0) {
			path += len;
			break;
		}
		if (strncmp(path, "{id}", 4) == 0)
			id = segments[i];
		else if (path[0] != '{' && (strlen(segments[i]) != len || memcmp(path, segments[i], len) != 0))
			return false;
		path += len;
	}
	*ret_id = id;
	return *path == 0;
}

static void refuse(const char *method, const char *const *segments, size_t count, int *ret_status, char ret_text[160])
{
	bool is_ssls = count >= 3 && strcmp(segments[2], "ssls") == 0;
	bool is_served = is_ssls || (count >= 3 && (strcmp(segments[2], "schema") == 0 || strcmp(segments[2], "configs") == 0));

	for (size_t i = 0; is_ssls && i < ARRAY_LEN(refusals); i++) {
		if (strcmp(refusals[i].method, method) == 0 && refusals[i].segments == count) {
			*ret_status = 400;
			snprintf(ret_text, 160, "%s", refusals[i].text);
			return;
		}
	}
	*ret_status = 404;
	if (is_served || count < 3)
		snprintf(ret_text, 160, "not found");
	else
		snprintf(ret_text, 160, "Unsupported resource type: %.64s", segments[2]);
}

const struct route *apisix_find_route(const char *method, const char *const *segments, size_t count, const char **ret_id,
                                      int *ret_status, char ret_text[160])
{
	const char *wanted = strcmp(method, "HEAD") == 0 && count > 2 ? "GET" : method;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (strcmp(routes[i].method, wanted) == 0 && is_match(routes[i].path, segments, count, ret_id))
			return &routes[i];
	}
	refuse(method, segments, count, ret_status, ret_text);
	return NULL;
}

void apisix_each_route(void (*fn)(const struct route *route, void *context), void *context)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		fn(&routes[i], context);
}
