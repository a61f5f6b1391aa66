/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a POST that comes again with the same key is answered and not done again.
 *
 *   no key, or a dry run ------------------------------------------------> handler
 *   key --> the same key is under way: 409
 *       --> [pool] receipt? none -----------------------------------------> handler, which has a receipt written with its change
 *                           of another request: 422
 *                           of this one --> call->replay --> handler, which answers from it
 *
 * A receipt is what the transaction of the change wrote; refusals have none. Keys belong to the token, for 24 hours. */
#pragma once

#include "api/call.h"
#include "store/store_access.h"

/* An answer that was given before. */
struct replay {
	struct store_receipt receipt;
	json_t *answer; /* the object as it was then; NULL: none */
	char etag[64];
	json_t *warnings; /* array, or NULL */
	char **selectors; /* what changed since then, for waits; owned, as are the strings */
	size_t selectors_len;
};

struct replay *replay_free(struct replay *replay);

/* Runs the route's handler, with call->receipt and call->replay as drawn above; or answers. */
void idempotency_begin(struct call *call);
/* What change_submit would have said; everything in it is borrowed from the call's replay, but for findings: the caller's to deinit. */
void replay_result(const struct replay *replay, struct change_result *ret);
