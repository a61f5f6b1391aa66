/* SPDX-License-Identifier: Apache-2.0 */
/* What all writes share: the body, the change request, its result, the wait for agents. */
#pragma once

#include "api/call.h"

/* Reads the body as JSON into call->document (on the pool when it is large), then calls next on the loop; or answers.
 */
void write_load_body(struct call *call, void (*next)(struct call *call));

/* With what the request says about itself: actor, request id, peer, strict, If-Match (of the store as a whole when the
 * route has no kind), If-None-Match. Fills call->error when NULL. */
struct change_request *write_request_new(struct call *call, size_t items);

/* Submits; when all went well, `answer` leaves the document in call->document (NULL: out of memory) and the status in
 * call->status. Then agents are waited for, if asked; then the call is answered. */
void write_submit(struct call *call, struct change_request *request,
                  void (*answer)(struct call *call, const struct change_result *result));
/* The ordinary answer: the object as rendered, with the warnings of the change joined to its own. */
void write_answer_object(struct call *call, const struct change_result *result);

/* The API closes: answers a call that waits. */
void write_cut_wait(struct call *call);
