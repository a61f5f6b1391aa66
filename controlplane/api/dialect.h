/* SPDX-License-Identifier: Apache-2.0 */
/* Another admin API over the same objects, under a path of its own: it has its own routes, parameters and words; calls, credentials,
 * changes and their audit are the API's. Assembled with the API, which knows nothing more of it. */
#pragma once

#include "api/problem.h"
#include "http/http.h"

#include <jansson.h>
#include <stdbool.h>

struct call;

struct api_dialect {
	const char *prefix; /* "/apisix/admin": this path and all below */
	/* With the head alone: sets call->route, checks the credential, may answer already (then true). */
	bool (*is_answered_by_head)(struct call *call);
	/* The document of a refusal, whose status may change. call NULL: it was refused before there was one. New reference; NULL: out of
	 * memory. */
	json_t *(*render_problem)(const struct call *call, const struct problem *problem, int *status);
	const char *no_memory;           /* the document of a refusal for which there was none */
	struct http_reply_header header; /* of all answers but 401 */
};

/* Is the path this dialect's? NULL allowed. */
bool dialect_has(const struct api_dialect *dialect, const char *path);
