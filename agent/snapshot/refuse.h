/* SPDX-License-Identifier: Apache-2.0 */
/* Saying why an update can't be represented. Private to the snapshot layer. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "snapshot/snapshot.h"

/* Fills both; returns E_REFUSED. entry NULL: no object in particular. */
int refuse(struct snapshot_refusal *refusal, struct error *err, Tlsplane__NackCode code, const struct entry *entry,
           const char *field, const char *format, ...) MUST_USE PRINTF_LIKE(6, 7);

/* Decodes the body of entry and checks that this build can represent it: E_REFUSED, E_NOMEM. *ret: body_free. */
int decode_checked(const struct entry *entry, ProtobufCMessage **ret, struct snapshot_refusal *refusal,
                   struct error *err) MUST_USE;
