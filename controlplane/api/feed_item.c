/* SPDX-License-Identifier: Apache-2.0 */
#include "api/feed_item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETAGS_MAX 512

void feed_check_members(json_t *object, const char *pointer, const char *const *known, struct findings *findings)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		const char *const *row = known;

		while (*row != NULL && strcmp(*row, name) != 0)
			row++;
		if (*row == NULL)
			findings_add(findings, FINDING_ERROR, "unknown-field", pointer, "unknown member \"%.32s\"", name);
	}
}

static void fault(struct findings *findings, const char *pointer, const char *member, bool present, const char *detail)
{
	char at[48];

	snprintf(at, sizeof(at), "%s/%s", pointer, member);
	findings_add(findings, FINDING_ERROR, present ? "invalid-value" : "missing-field", at, "%s", detail);
}

static bool read_op(json_t *object, const char *pointer, enum change_op *ret, struct findings *findings)
{
	json_t *value = json_object_get(object, "op");
	const char *word = json_string_value(value);

	if (word != NULL && strcmp(word, "put") == 0)
		*ret = CHANGE_PUT;
	else if (word != NULL && strcmp(word, "delete") == 0)
		*ret = CHANGE_DELETE;
	else
		fault(findings, pointer, "op", value != NULL, "\"put\" or \"delete\"");
	return word != NULL && (strcmp(word, "put") == 0 || strcmp(word, "delete") == 0);
}

static bool read_kind(json_t *object, const char *pointer, struct change_item *ret, struct findings *findings)
{
	json_t *value = json_object_get(object, "kind");
	const char *word = json_string_value(value);
	const struct kind_info *info = word != NULL ? kind_find_collection(word) : NULL;

	if (info != NULL && info->travels) {
		ret->kind = info->kind;
		return true;
	}
	fault(findings, pointer, "kind", value != NULL,
	      "one of ssls, tls_options, ca_bundles, listeners, upstreams, routes, upstream_tls");
	return false;
}

static bool read_id(json_t *object, const char *pointer, struct change_item *ret, struct findings *findings)
{
	json_t *value = json_object_get(object, "id");
	const char *id = json_string_value(value);

	if (id != NULL && kind_is_id(id, json_string_length(value))) {
		snprintf(ret->id, sizeof(ret->id), "%s", id);
		return true;
	}
	fault(findings, pointer, "id", value != NULL, "1 to 64 of [a-zA-Z0-9._-], not starting with '.' or '-'");
	return false;
}

static bool read_conditions(json_t *object, const char *pointer, struct change_item *ret, struct findings *findings)
{
	json_t *if_match = json_object_get(object, "if_match"), *if_none_match = json_object_get(object, "if_none_match");
	const char *tags = json_string_value(if_match);
	bool any = json_is_string(if_none_match) && strcmp(json_string_value(if_none_match), "*") == 0;

	if (if_match != NULL &&
	    (tags == NULL || strlen(tags) > ETAGS_MAX || (strcmp(tags, "*") != 0 && strchr(tags, '"') == NULL))) {
		fault(findings, pointer, "if_match", true, "the ETag that the object must have, in its quotes, or \"*\"");
		return false;
	}
	if (if_none_match != NULL && (!any || ret->op == CHANGE_DELETE)) {
		fault(findings, pointer, "if_none_match", true, "\"*\" alone, for an object to be made");
		return false;
	}
	ret->create_only = any;
	ret->if_match = tags != NULL ? strdup(tags) : NULL;
	findings->failed = findings->failed || (tags != NULL && ret->if_match == NULL);
	return true;
}

static bool read_value(json_t *object, const char *pointer, struct change_item *ret, struct findings *findings)
{
	json_t *value = json_object_get(object, "value");

	snprintf(ret->pointer, sizeof(ret->pointer), "%s%s", pointer, ret->op == CHANGE_PUT ? "/value" : "");
	if (ret->op == CHANGE_DELETE && value != NULL)
		fault(findings, pointer, "value", true, "a deletion has none");
	if (ret->op == CHANGE_DELETE)
		return value == NULL;
	if (!json_is_object(value)) {
		fault(findings, pointer, "value", value != NULL, "expected the object's document");
		return false;
	}
	ret->document = json_incref(value);
	return true;
}

bool feed_read_item(json_t *object, const char *pointer, bool with_op, enum change_op op, struct change_item *ret,
                    struct findings *findings)
{
	static const char *const members[] = {"kind", "id", "value", "if_match", "if_none_match", NULL};
	static const char *const members_with_op[] = {"op", "kind", "id", "value", "if_match", "if_none_match", NULL};
	bool fit = true;

	if (!json_is_object(object)) {
		findings_add(findings, FINDING_ERROR, "wrong-type", pointer, "expected an object");
		return false;
	}
	feed_check_members(object, pointer, with_op ? members_with_op : members, findings);
	ret->op = op;
	if (with_op)
		fit = read_op(object, pointer, &ret->op, findings);
	fit = read_kind(object, pointer, ret, findings) && fit;
	fit = read_id(object, pointer, ret, findings) && fit;
	fit = read_conditions(object, pointer, ret, findings) && fit;
	fit = read_value(object, pointer, ret, findings) && fit;
	if (fit && !findings->failed)
		return true;
	json_decref(TAKE_PTR(ret->document));
	free(TAKE_PTR(ret->if_match));
	return false;
}
