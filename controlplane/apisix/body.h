/* SPDX-License-Identifier: Apache-2.0 */
/* A call's body as a document. */
#pragma once

#include "api/call.h"

/* Into call->document (NULL: there is none, or null), on the pool when it is large; then next on the loop. Or answers: beyond 1.5 MiB, no
 * JSON. */
void apisix_load_body(struct call *call, void (*next)(struct call *call));
/* Answers 400 with this text. */
void apisix_refuse(struct call *call, const char *text);
