/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait for the next commit: GET /v1/revisions?after=N&wait=. A waiting call holds the (empty) answer that it gives when its
 * time is over; a commit costs nothing but the answers it makes possible.
 *
 *   call_run --nothing newer--> WAITING --commit--> call_run again
 *                                  \---time is over, the API closes--> answered with what it holds */
#pragma once

#include "api/call.h"

void poll_init(struct api *api);
/* Then, once, api->poll_closed is set and api_end_if_closed called. */
void poll_close(struct api *api);

/* Holds the call, whose answer is in call->document, until there is a revision after call->poll_seen. */
void poll_wait(struct call *call);
/* Was it held, so that its token is to be looked at again before anything is told? */
bool poll_has_waited(const struct call *call);
