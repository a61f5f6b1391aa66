/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/point.h"

#include <stdio.h>
#include <stdlib.h>

struct point *point_new(const char *address)
{
	struct point *point = calloc(1, sizeof(*point));

	if (point != NULL) {
		atomic_init(&point->count, 1);
		snprintf(point->address, sizeof(point->address), "%s", address);
	}
	return point;
}

struct point *point_ref(struct point *point)
{
	atomic_fetch_add_explicit(&point->count, 1, memory_order_relaxed);
	return point;
}

struct point *point_unref(struct point *point)
{
	if (point != NULL && atomic_fetch_sub_explicit(&point->count, 1, memory_order_acq_rel) == 1)
		free(point);
	return NULL;
}
