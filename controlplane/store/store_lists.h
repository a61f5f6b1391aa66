/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of one kind as they were at one revision, by what objects say (model/facet.h), in order of id or of expiry. The cost is that of
 * the page: the most selective term drives, the others are asked of each row; a page ends when it has looked at `looks` rows. */
#pragma once

#include "model/facet.h"
#include "store/store.h"

/* One of its values must be there. */
struct store_term {
	enum facet_name name;
	bool is_text;
	bool is_masked;        /* of numbers, the lower half does not count when it is 0 here */
	uint64_t numbers[3];
	const char *texts[3];  /* as facets have them; borrowed */
	size_t len;            /* of values; 1 to 3 */
};

#define STORE_TERMS_MAX 16

enum store_order { STORE_BY_ID, STORE_BY_EXPIRY, STORE_BY_EXPIRY_FALLING };

struct store_lister {
	enum kind kind;
	uint64_t revision; /* not 0 */
	struct store_term terms[STORE_TERMS_MAX]; /* all must hold */
	size_t terms_len;
	int status;              /* 1 enabled, 0 disabled, -1 any */
	uint64_t expires_before; /* unix seconds; 0: any */
	enum store_order order;  /* by expiry: of objects that have one */
	size_t looks;            /* how many rows may be looked at */

	/* Where it stands: behind this object. Moves along with what was looked at. */
	char after[ID_MAX + 1]; /* "": at the start */
	uint64_t after_expiry;
	bool ended; /* out: there is nothing behind it */
};

/* E_UNAVAILABLE: the store is of an earlier release and its facets are not complete yet. fn's 1 stops before the row it was called
 * with. */
int store_find(struct store_reader *reader, struct store_lister *lister, int (*fn)(const struct store_row *row, void *context),
               void *context, struct error *err) MUST_USE;
