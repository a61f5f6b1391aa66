/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: `Authorization: Bearer TOKEN` (RFC 6750) or `X-API-KEY: TOKEN`; and whether they may. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

struct call;

/* Fills call->identity and call->actor. In call->error: E_UNAUTHENTICATED; E_RATE, with call->retry_after; E_FORBIDDEN: the role or the
 * scope does not reach this route (NULL: there is none to reach). */
int auth_check(struct call *call) MUST_USE;
/* Before an answer that came late: E_UNAUTHENTICATED in call->error when the token has been revoked or has expired meanwhile. */
int auth_check_again(struct call *call) MUST_USE;
