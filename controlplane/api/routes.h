/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of what is served. schema/openapi.yaml says the same; a test compares them. */
#pragma once

#include "access/role.h"
#include "api/query.h"
#include "base/macros.h"
#include "model/kind.h"

#include <stdbool.h>
#include <stddef.h>

struct call;

#define ROUTE_BODY_MAX (8u << 20)
#define ROUTE_SMALL_BODY_MAX (256u << 10) /* of what the loop itself looks through */
#define ROUTE_APPLY_BODY_MAX (64u << 20)
#define ROUTE_LINES_BODY_MAX (256u << 20) /* the same as NDJSON: never in memory as a whole once it is read */
#define ROUTE_SEGMENTS_MAX 6 /* more than any path has */
#define ROUTE_ALLOW_MAX 64
#define ROUTE_LOCATION_MAX (64 + ID_MAX)

struct route {
	const char *method;
	const char *path; /* "/v1/ssls/{id}": a segment in braces takes any id */
	enum query_set query;
	unsigned may;    /* bits of access/role.h */
	size_t body_max; /* 0: takes no body */
	enum kind kind;  /* of the collection; 0: none */
	void (*handle)(struct call *call);
};

/* Segments are decoded; HEAD finds GET. *ret_id: the segment at the braces, or NULL. E_NOT_FOUND: no such path.
 * E_METHOD: the path has other methods; allow lists them, and is "" in all other cases. */
int route_find(const char *method, const char *const *segments, size_t count, const struct route **ret,
               const char **ret_id, char allow[ROUTE_ALLOW_MAX]) MUST_USE;
void api_each_route(void (*fn)(const struct route *route, void *context), void *context);
