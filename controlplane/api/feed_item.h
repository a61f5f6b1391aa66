/* SPDX-License-Identifier: Apache-2.0 */
/* One item of POST /v1/apply, inside the feeds. */
#pragma once

#include "change/change.h"

/* Findings for members of object that known (NULL at its end) has not. */
void feed_check_members(json_t *object, const char *pointer, const char *const *known, struct findings *findings);
/* object: one item, at pointer. with_op: its member "op" says what is asked, else op does. Fills *ret (zeroed), its parts
 * owned. Returns whether it is fit to be looked at further; findings say what is wrong. E_NOMEM is findings->failed. */
bool feed_read_item(json_t *object, const char *pointer, bool with_op, enum change_op op, struct change_item *ret,
                    struct findings *findings);
