/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of cells, printed as columns two spaces apart, the last one as wide as it is. Cells are escaped when they are put in. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <stddef.h>

#define TABLE_COLUMNS_MAX 12

struct table {
	size_t columns;
	struct buf cells;      /* each terminated by NUL, row after row */
	size_t widths[TABLE_COLUMNS_MAX];
	size_t count;          /* cells so far */
};

#define TABLE(columns_) ((struct table){.columns = (columns_)})

void table_deinit(struct table *table);
DEFINE_CLEANUP_VALUE(struct table, table_deinit);
/* The next cell; text is escaped already (text.h). An empty one is shown as "-". */
void table_put(struct table *table, struct buf *text);
void table_put_cstr(struct table *table, const char *text); /* a text of our own */
/* Appends the lines. 0 or E_NOMEM, also when a put had failed. */
int table_print(struct table *table, struct buf *out) MUST_USE;
