/* SPDX-License-Identifier: Apache-2.0 */
/* Waiters inside the layer: sessions tell what happened to an agent, waiters that it concerns hear of it. */
#pragma once

#include "publisher.h"

struct agent;

/* The agent is known to have applied everything up to agent->applied. */
void wait_on_applied(struct agent *agent);
/* The agent refused the update to `refused`; agent->nack says why. */
void wait_on_nack(struct agent *agent, struct revision refused);
/* The agent was deleted: nobody waits for it any more. */
void wait_on_revoked(struct agent *agent);
/* Ends all of them with PUBLISHER_WAIT_CLOSED. */
void wait_close_all(struct publisher *publisher);
/* After a refresh that came late: agents may have applied more than anybody was told. */
void wait_check_all(struct publisher *publisher);
