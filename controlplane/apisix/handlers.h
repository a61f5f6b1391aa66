/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of the table call: each gets a call with a checked credential and answers it exactly once. */
#pragma once

struct call;

void apisix_head(struct call *call);
void apisix_ssls_list(struct call *call);
void apisix_ssls_get(struct call *call);
void apisix_ssls_create(struct call *call);
void apisix_ssls_put(struct call *call);
void apisix_ssls_patch(struct call *call);
void apisix_ssls_delete(struct call *call);
void apisix_schema_get(struct call *call);
void apisix_schema_validate(struct call *call);
void apisix_configs_validate(struct call *call);
