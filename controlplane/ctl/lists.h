/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a whole collection, as `get` makes it. */
#pragma once

#include "base/macros.h"
#include "ctl/ctl.h"

/* word: as for view_find; it must be there. Takes --limit. */
int list_run(struct ctl *ctl, const char *word, struct error *err) MUST_USE;
