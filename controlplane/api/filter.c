/* SPDX-License-Identifier: Apache-2.0 */
/* What the words of a query mean as facets (model/facet.h). */
#include "api/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct store_term *add_term(struct store_lister *lister, enum facet_name name, uint64_t number)
{
	struct store_term *term = &lister->terms[lister->terms_len++];

	*term = (struct store_term){.name = name, .numbers = {number}, .len = 1};
	return term;
}

static void add_label(struct store_lister *lister, const char *text)
{
	const char *equals = strchr(text, '=');
	char key[256];

	snprintf(key, sizeof(key), "%.*s", (int)(equals != NULL ? equals - text : (ptrdiff_t)strlen(text)), text);
	add_term(lister, FACET_LABEL, facet_hash(key, equals != NULL ? equals + 1 : NULL));
}

/* Who serves a name lists it, or the wildcard that covers it, or "*". A wildcard is looked for as it stands. */
static int add_name(struct filter *filter, const char *text, struct error *err)
{
	struct store_term *term;
	char name[NAME_MAX_LEN + 1], wildcard[NAME_MAX_LEN + 3];
	const char *rest;
	int r = name_normalise(text, true, name, err);

	if (r < 0)
		return r == E_NOMEM ? r : error_set(err, E_SYNTAX, "query parameter \"sni\": not a server name");
	term = add_term(&filter->lister, FACET_SNI, 0);
	term->is_text = true;
	facet_reverse(name, filter->names[0]);
	term->texts[0] = filter->names[0];
	rest = strchr(name, '.');
	if (name[0] != '*' && rest != NULL) {
		snprintf(wildcard, sizeof(wildcard), "*%s", rest);
		facet_reverse(wildcard, filter->names[term->len]);
		term->texts[term->len] = filter->names[term->len];
		term->len++;
	}
	if (strcmp(name, "*") != 0) {
		facet_reverse("*", filter->names[term->len]);
		term->texts[term->len] = filter->names[term->len];
		term->len++;
	}
	return 0;
}

int filter_make(const struct query *query, struct filter *ret, struct error *err)
{
	const struct query_filter *filter = &query->filter;
	struct store_lister *lister = &ret->lister;

	*ret = (struct filter){0};
	lister->status = filter->status == QUERY_ANY_STATUS ? -1 : filter->status == QUERY_ENABLED;
	lister->expires_before = filter->expires_before;
	lister->order = filter->order;
	for (size_t i = 0; i < filter->labels_len; i++)
		add_label(lister, filter->labels[i]);
	if (filter->type != NULL)
		add_term(lister, FACET_TYPE, strcmp(filter->type, "client") == 0);
	if (filter->issuer != NULL)
		add_term(lister, FACET_ISSUER, facet_hash(filter->issuer, NULL));
	if (filter->has_fingerprint)
		add_term(lister, FACET_FINGERPRINT, facet_of_digest(filter->fingerprint));
	if (filter->has_key_type)
		add_term(lister, FACET_KEY_TYPE, facet_key_type(filter->key_type, filter->key_bits))->is_masked = true;
	return filter->sni != NULL ? add_name(ret, filter->sni, err) : 0;
}

bool filter_leaves_out(const struct query *query)
{
	const struct query_filter *filter = &query->filter;

	return filter->labels_len > 0 || filter->status != QUERY_ANY_STATUS || filter->type != NULL || filter->sni != NULL ||
	       filter->issuer != NULL || filter->expires_before != 0 || filter->has_fingerprint || filter->has_key_type;
}

void filter_confine(struct filter *filter, const struct scope *scope)
{
	const char *value = NULL, *key = scope != NULL ? scope_first_label(scope, &value) : NULL;

	if (key != NULL)
		add_term(&filter->lister, FACET_LABEL, facet_hash(key, value));
}

bool filter_is_needed(const struct query *query, const struct scope *scope)
{
	const char *value;

	return filter_leaves_out(query) || query->filter.order != STORE_BY_ID ||
	       (scope != NULL && scope_first_label(scope, &value) != NULL);
}

void filter_write_place(const struct store_lister *lister, char after[QUERY_AFTER_MAX + 1])
{
	if (lister->order == STORE_BY_ID)
		snprintf(after, QUERY_AFTER_MAX + 1, "%s", lister->after);
	else
		snprintf(after, QUERY_AFTER_MAX + 1, "%" PRIu64 ".%s", lister->after_expiry, lister->after);
}

int filter_read_place(const char *after, struct store_lister *lister, struct error *err)
{
	int used = 0;

	if (after[0] != 0 && lister->order != STORE_BY_ID &&
	    (sscanf(after, "%" SCNu64 ".%n", &lister->after_expiry, &used) != 1 || used == 0 || lister->after_expiry > INT64_MAX))
		return error_set(err, E_SYNTAX, "the cursor is not one of this order");
	after += used;
	if (after[0] != 0 && !kind_is_id(after, strlen(after)))
		return error_set(err, E_SYNTAX, "the cursor is not one of this list");
	snprintf(lister->after, sizeof(lister->after), "%s", after);
	return 0;
}
