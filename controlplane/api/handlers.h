/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of the table call: each gets a call with a checked credential and checked query, and answers it exactly
 * once. */
#pragma once

struct call;

void objects_list(struct call *call);
void objects_get(struct call *call);
void objects_put(struct call *call);
void objects_create(struct call *call);
void objects_patch(struct call *call);
void objects_delete(struct call *call);

void agents_list(struct call *call);
void agents_get(struct call *call);
void revisions_list(struct call *call);
void revisions_get(struct call *call);
void revisions_diff(struct call *call);
void revisions_rollback(struct call *call);
void keyring_get(struct call *call);
void keyring_rotate(struct call *call);
void audit_list(struct call *call);
void tokens_list(struct call *call);
void tokens_get(struct call *call);
void tokens_create(struct call *call);
void tokens_delete(struct call *call);
void apply_post(struct call *call);
void resolve_get(struct call *call);

void contract_get(struct call *call);
void health_live(struct call *call);
void health_ready(struct call *call);
void metrics_get(struct call *call);
