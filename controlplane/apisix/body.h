/* SPDX-License-Identifier: Apache-2.0 */
/* A call's body as a document, wherever there is time to read and judge it. */
#pragma once

#include "api/call.h"

/* read: takes the body and judges it, its refusal in call->error, where the time that this takes is nobody's: on the loop, when the body is
 * small (reader NULL then), else on the pool. Then next on the loop; or an answer: read has refused it, or it has more than 1.5 MiB. */
void apisix_load_body(struct call *call, void (*read)(struct call *call, struct store_reader *reader), void (*next)(struct call *call));
/* For read: the body as call->document. E_SYNTAX: no JSON; or there is none, or null, and `missing` says so. */
int apisix_take_body(struct call *call, const char *missing) MUST_USE;
