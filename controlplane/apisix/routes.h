/* SPDX-License-Identifier: Apache-2.0 */
/* What is served under /apisix/admin. schema/openapi.yaml says the same; tests/lint compares them. */
#pragma once

#include "api/routes.h"

#include <stddef.h>

#define APISIX_SEGMENTS_MAX 16 /* of a path; common/http takes no more */

/* count: of the path's decoded segments, the first two being the prefix. *ret_id: the segment at {id}, or NULL. NULL: *ret_status and
 * ret_text say what to answer instead. */
const struct route *apisix_find_route(const char *method, const char *const *segments, size_t count, const char **ret_id,
                                      int *ret_status, char ret_text[160]);
void apisix_each_route(void (*fn)(const struct route *route, void *context), void *context);
