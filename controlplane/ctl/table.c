/* SPDX-License-Identifier: Apache-2.0 */
/* Widths are kept while cells come in, so that printing is one walk. */
#include "ctl/table.h"

#include "base/error.h"
#include "ctl/text.h"

#include <assert.h>
#include <string.h>

void table_deinit(struct table *table)
{
	buf_deinit(&table->cells);
}

static void put(struct table *table, const char *text, size_t len)
{
	size_t column = table->count++ % table->columns, width = text_width(text, len);

	assert(table->columns > 0 && table->columns <= TABLE_COLUMNS_MAX);
	if (width > table->widths[column])
		table->widths[column] = width;
	buf_put(&table->cells, text, len);
	buf_put_u8(&table->cells, 0);
}

void table_put(struct table *table, struct buf *text)
{
	if (text->failed)
		table->cells.failed = true;
	else if (text->len == 0)
		put(table, "-", 1);
	else
		put(table, (const char *)text->data, text->len);
}

void table_put_cstr(struct table *table, const char *text)
{
	put(table, text, strlen(text));
}

int table_print(struct table *table, struct buf *out)
{
	const char *cell = (const char *)table->cells.data;

	if (table->cells.failed)
		return E_NOMEM;
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns, len = strlen(cell);

		buf_put(out, cell, len);
		if (column + 1 == table->columns)
			buf_put_str(out, "\n");
		else
			buf_printf(out, "%*s", (int)(table->widths[column] - text_width(cell, len) + 2), "");
		cell += len + 1;
	}
	return out->failed ? E_NOMEM : 0;
}
