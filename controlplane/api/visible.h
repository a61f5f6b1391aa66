/* SPDX-License-Identifier: Apache-2.0 */
/* What of the store a caller may see: with a scope, what the scope covers; an enroller, the join tokens it has made; else everything. */
#pragma once

#include "api/call.h"

/* Reads only what does not change while the call runs; any thread. */
int visible_check(const struct call *call, struct store_reader *reader, const struct store_row *row, bool *ret, struct error *err) MUST_USE;
/* The agents of a wait, as the caller may know them: with a scope, how many are in which state. New reference; NULL without memory, and
 * for NULL. */
json_t *visible_agents(const struct call *call, json_t *agents);
/* False: every row is. */
bool visible_is_limited(const struct call *call);
