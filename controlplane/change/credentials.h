/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens and the audit trail through the writer thread: outside revisions, each with its audit row in the same transaction. Of all four:
 * texts are copied; when the call returns other than 0 (E_NOMEM), done is not called; done may be NULL. */
#pragma once

#include "change/change.h"
#include "store/store_access.h"

/* Makes the token (copied) under its id; text: what is told once, for the receipt. E_CONFLICT: the id is taken. */
int change_create_token(struct change_engine *engine, const struct change_caller *caller, const struct store_token *token,
                        const struct change_receipt *receipt, struct bytes text,
                        void (*done)(const struct error *error, void *context), void *context, struct error *err) MUST_USE;
/* From the commit on nobody is let in by it. E_NOT_FOUND; E_CONFLICT: it is the last admin token that never expires. */
int change_revoke_token(struct change_engine *engine, const struct change_caller *caller, const char *id,
                        void (*done)(const struct error *error, void *context), void *context, struct error *err) MUST_USE;
/* When and from where it was used; no audit row. */
int change_use_token(struct change_engine *engine, const uint8_t sha256[32], uint64_t time, const char *from,
                     void (*done)(const struct error *error, void *context), void *context, struct error *err) MUST_USE;
/* A write that was refused before it reached this layer. */
int change_audit(struct change_engine *engine, const struct change_caller *caller, const char *action, const char *outcome,
                 void (*done)(const struct error *error, void *context), void *context, struct error *err) MUST_USE;
