/* SPDX-License-Identifier: Apache-2.0 */
/* What a request is confined to: a scope (change/scope.h), or what its actor has made. Internal to the change layer. */
#pragma once

#include "change/request.h"

/* Before the store is asked: is this kind of object within reach at all? False: refused. */
bool confine_kind(struct request_job *job, size_t index);
/* before: the current state, NULL: none. *ret false: refused, in the same words whether it exists or not. */
int confine_before(struct request_job *job, size_t index, struct store_reader *reader, const struct store_row *before, bool *ret,
                   struct error *err) MUST_USE;
/* The document as parsed: what would be written. */
void confine_after(struct request_job *job, size_t index, json_t *document);
/* What a finding may say to who asked: the detail, or words that name no object of others. */
const char *confine_detail(const struct request_job *job, const char *finding, const char *detail);
