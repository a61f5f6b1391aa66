/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: `Authorization: Bearer TOKEN` (RFC 6750) or `X-API-KEY: TOKEN`. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

struct call;

/* Fills call->actor. E_UNAUTHENTICATED in call->error: no credential, or one that the store does not know. */
int auth_check(struct call *call) MUST_USE;
