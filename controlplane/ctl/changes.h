/* SPDX-License-Identifier: Apache-2.0 */
/* How two states of an object differ, for people: a line for the object, a line for each field. PEM is told by fingerprints. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <jansson.h>

/* kind: its collection. before, after: documents as GET renders them, NULL or null where the object is not. Fields that are the same
 * are left out. */
void changes_put(struct buf *out, const char *kind, const char *id, const json_t *before, const json_t *after);
