/* SPDX-License-Identifier: Apache-2.0 */
/* A query parameter as a row of a table. Internal to query*.c. */
#pragma once

#include "api/query.h"

struct parameter_row {
	const char *name;
	enum query_set takes;
	/* NULL, or what is expected. */
	const char *(*parse)(const char *value, struct query *query);
	bool repeats; /* may be given several times */
};

/* query_filter.c: what lists filter and sort by. */
extern const struct parameter_row query_filter_rows[];
extern const size_t query_filter_rows_len;

/* Unix seconds, or RFC 3339. NULL, or what is expected. */
const char *query_parse_moment(const char *value, uint64_t *ret);
