/* SPDX-License-Identifier: Apache-2.0 */
/* What a dry run would change for clients: "affected" in its answer (view/leaves.h). */
#pragma once

#include "api/call.h"
#include "change/states.h"
#include "view/leaves.h"

/* Takes states over; looks on the pool, against the newest revision; puts "affected" into call->document and answers the call. */
void impact_answer(struct call *call, struct change_states *states);

/* "rsa", "ecdsa", "ed25519": what clients call it. */
const char *impact_key_type(enum leaf_slot slot);
