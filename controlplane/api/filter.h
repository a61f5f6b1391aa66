/* SPDX-License-Identifier: Apache-2.0 */
/* A list's parameters as the store asks them. */
#pragma once

#include "api/query.h"
#include "change/scope.h"
#include "model/name.h"
#include "store/store_lists.h"

struct filter {
	struct store_lister lister;   /* borrows from below */
	char names[3][NAME_MAX_LEN + 1]; /* reversed: exact, wildcard, "*" */
};

/* kind, revision, looks and where it stands are the caller's. E_SYNTAX: a server name that is none. */
int filter_make(const struct query *query, struct filter *ret, struct error *err) MUST_USE;
/* What the scope leaves out need not be looked at, as far as facets know; the rest is the caller's to check. scope: NULL allowed. */
void filter_confine(struct filter *filter, const struct scope *scope);
/* False: all objects, by id. */
bool filter_is_needed(const struct query *query, const struct scope *scope);
/* Less than all of them. */
bool filter_leaves_out(const struct query *query);
/* "ID", or "EXPIRY.ID" where expiry orders. */
void filter_write_place(const struct store_lister *lister, char after[QUERY_AFTER_MAX + 1]);
int filter_read_place(const char *after, struct store_lister *lister, struct error *err) MUST_USE;
