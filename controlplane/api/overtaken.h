/* SPDX-License-Identifier: Apache-2.0 */
/* wait=acked, once all agents are at the revision or beyond it: which of its objects a newer revision has changed since, so that agents may
 * never have had this state of them. */
#pragma once

#include "store/store.h"

#include <jansson.h>

/* *ret: a new array of {kind, id, revision: the newest that changed it}, at most 20; NULL: none. It looks at no more than 1,000 objects. */
int overtaken_find(struct store_reader *reader, struct revision written, json_t **ret, struct error *err) MUST_USE;
