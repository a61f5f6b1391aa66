/* SPDX-License-Identifier: Apache-2.0 */
/* The document of POST /v1/tokens, and a token's document in answers. Pure. */
#pragma once

#include "access/role.h"
#include "base/error.h"
#include "base/macros.h"
#include "model/findings.h"
#include "store/store_access.h"

#include <jansson.h>

/* Fills id ("" when it is to be made), role, scope, desc, expire_time; all findings at once, E_INVALID. now: unix seconds. */
int token_input_parse(json_t *document, uint64_t now, struct findings *findings, struct store_token *ret, struct error *err) MUST_USE;
/* Seconds as a number, or as a text with a unit: "90d" (s, m, h, d, w). False: neither, or out of range. */
bool token_input_period(const json_t *value, uint64_t *ret_seconds);

/* New reference; NULL without memory. The text of the token is not known here. */
json_t *token_render(const struct store_token *token, uint64_t now);
