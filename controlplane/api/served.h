/* SPDX-License-Identifier: Apache-2.0 */
/* wait=served, after all agents have applied the change: which leaves it changed is found on the pool (view/leaves.h), agents are asked to
 * shake hands for them (publish/publisher.h). What a newer revision has changed again meanwhile is not asked, and told as superseded.
 *
 *     acked --> LOOKING (pool) --> ASKING (publisher) --all as wanted--> 200
 *                  ^                  |  `--else--> problem not-served
 *                  `--other leaves seen, and there is a newer revision--' */
#pragma once

#include "api/call.h"
#include "change/change.h"

struct served;

/* Remembers what was written. NULL without memory. */
struct served *served_new(const struct change_result *result, uint64_t timeout_ms);
struct served *served_free(struct served *served); /* NULL allowed */

/* agents: those that have applied it; borrowed. Answers the call, with its document when all is served. */
void served_begin(struct call *call, json_t *agents);
bool served_is_asking(const struct call *call);
/* The API closes: answers a call for which agents are asked. */
void served_cut(struct call *call);
