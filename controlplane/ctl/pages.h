/* SPDX-License-Identifier: Apache-2.0 */
/* A list of the API, page by page. */
#pragma once

#include "base/macros.h"
#include "ctl/ctl.h"

#include <stddef.h>

struct page_walk {
	const char *path;  /* with its query, but for limit and cursor */
	size_t limit;      /* at most so many items; 0: all */
	int (*on_item)(json_t *item, void *context, struct error *err); /* other than 0 ends the walk */
	void *context;
	json_t *frame;     /* set by the walk: the last page without its items; the caller's to release */
};

int pages_walk(struct ctl *ctl, struct page_walk *walk, struct error *err) MUST_USE;
