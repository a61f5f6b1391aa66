/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns the table of a collection has. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "ctl/table.h"

#include <jansson.h>

struct view;

/* word: a collection of the API ("ssls"), with "-" for "_" and without the plural s as well. NULL: none. */
const struct view *view_find(const char *word);
const char *view_collection(const struct view *view); /* as in the path */
/* fn gets ("", collection, begun) for each. */
void view_each_kind(void (*fn)(struct buf *out, const char *prefix, const char *word, const char *begun), struct buf *out,
                    const char *begun);

struct table view_begin(const struct view *view); /* with its headings */
int view_put_row(const struct view *view, struct table *table, const json_t *item, struct error *err) MUST_USE;

/* ID, names, end, how long until then, issuer: of SSL objects. */
extern const struct view view_expiring;
/* Of a dry run: which name on which agents gets which certificate in place of which. */
extern const struct view view_affected;
