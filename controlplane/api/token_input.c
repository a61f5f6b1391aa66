/* SPDX-License-Identifier: Apache-2.0 */
/* A member is a row, as in the field tables of objects; tokens are no objects and have a table of their own. */
#include "api/token_input.h"

#include "api/query_rows.h"
#include "change/scope.h"
#include "model/resource.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_MAX UINT64_C(315576000) /* ten years */
#define DESC_MAX 256

struct input {
	struct store_token *token;
	struct findings *findings;
	struct error *err;
	uint64_t now;
	json_t *document;
	enum role role;
	bool has_role;
};

static void fault(struct input *input, const char *code, const char *pointer, const char *detail)
{
	findings_add(input->findings, FINDING_ERROR, code, pointer, "%s", detail);
}

static int read_id(struct input *input, json_t *value)
{
	static const char *const reserved[] = {"tlsplane", "operator"}; /* actors of our own */
	const char *id = json_string_value(value);

	if (id == NULL || !kind_is_id(id, json_string_length(value))) {
		fault(input, id != NULL ? "invalid-value" : "wrong-type", "/id", "1 to 64 of [a-zA-Z0-9._-], not starting with '.' or '-'");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		if (strcmp(id, reserved[i]) == 0)
			fault(input, "invalid-value", "/id", "this name stands for the control plane itself in the history");
	}
	snprintf(input->token->id, sizeof(input->token->id), "%s", id);
	return 0;
}

static int read_role(struct input *input, json_t *value)
{
	const char *name = json_string_value(value);

	input->has_role = name != NULL && role_find(name, &input->role);
	if (!input->has_role)
		fault(input, name != NULL ? "invalid-value" : "wrong-type", "/role", "one of admin, editor, viewer, enroller");
	else
		snprintf(input->token->role, sizeof(input->token->role), "%s", name);
	return 0;
}

static int read_scope(struct input *input, json_t *value)
{
	CLEANUP(scope_unref) struct scope *scope = NULL;
	int r = scope_parse(value, "/scope", input->findings, &scope, input->err);

	if (r < 0)
		return r == E_INVALID ? 0 : r;
	input->token->scope = scope_format(scope);
	return input->token->scope != NULL ? 0 : error_nomem(input->err);
}

static int read_desc(struct input *input, json_t *value)
{
	if (!json_is_string(value) || json_string_length(value) > DESC_MAX) {
		fault(input, json_is_string(value) ? "out-of-range" : "wrong-type", "/desc", "a text of at most 256 bytes");
		return 0;
	}
	input->token->desc = strdup(json_string_value(value));
	return input->token->desc != NULL ? 0 : error_nomem(input->err);
}

static int read_expires_in(struct input *input, json_t *value)
{
	uint64_t seconds;

	if (token_input_period(value, &seconds))
		input->token->expire_time = input->now + seconds;
	else
		fault(input, "invalid-value", "/expires_in", "seconds, or a text like \"90d\" (s, m, h, d, w), at most ten years");
	if (json_object_get(input->document, "expires_at") != NULL)
		fault(input, "conflicting-fields", "/expires_in", "\"expires_in\" and \"expires_at\" exclude each other");
	return 0;
}

static int read_expires_at(struct input *input, json_t *value)
{
	uint64_t time = json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;

	if (!json_is_integer(value) && (!json_is_string(value) || query_parse_moment(json_string_value(value), &time) != NULL))
		fault(input, "wrong-type", "/expires_at", "a time as in 2026-11-21T08:00:00Z, or unix seconds");
	else if (time <= input->now || time > input->now + PERIOD_MAX)
		fault(input, "out-of-range", "/expires_at", "a time in the future, at most ten years away");
	else
		input->token->expire_time = time;
	return 0;
}

static const struct input_row {
	const char *name;
	int (*read)(struct input *input, json_t *value);
} input_rows[] = {
	{"id", read_id},     {"role", read_role},
	{"scope", read_scope}, {"desc", read_desc},
	{"expires_in", read_expires_in}, {"expires_at", read_expires_at},
};

static int read_member(struct input *input, const char *name, json_t *value)
{
	for (size_t i = 0; i < ARRAY_LEN(input_rows); i++) {
		if (strcmp(input_rows[i].name, name) == 0)
			return input_rows[i].read(input, value);
	}
	findings_add(input->findings, FINDING_ERROR, "unknown-field", "", "unknown member \"%.32s\"", name);
	return 0;
}

static int read_members(struct input *input)
{
	const char *name;
	json_t *value;
	int r = 0;

	if (!json_is_object(input->document)) {
		fault(input, "wrong-type", "", "expected an object");
		return 0;
	}
	json_object_foreach(input->document, name, value) {
		if (r == 0)
			r = read_member(input, name, value);
	}
	if (json_object_get(input->document, "role") == NULL)
		fault(input, "missing-field", "/role", "one of admin, editor, viewer, enroller");
	if (input->token->scope != NULL && input->has_role && !role_takes_scope(input->role))
		fault(input, "conflicting-fields", "/scope", "a scope is for the roles editor and viewer");
	return r;
}

int token_input_parse(json_t *document, uint64_t now, struct findings *findings, struct store_token *ret, struct error *err)
{
	CLEANUP(store_token_deinit) struct store_token token = {.create_time = now};
	struct input input = {.token = &token, .findings = findings, .err = err, .now = now, .document = document};
	int r = read_members(&input);

	if (r == 0 && findings->failed)
		r = error_nomem(err);
	if (r == 0 && findings->errors > 0)
		r = error_set(err, E_INVALID, "%zu error%s in the request", findings->errors, findings->errors == 1 ? "" : "s");
	if (r < 0)
		return r;
	*ret = token;
	token = (struct store_token){0};
	return 0;
}

bool token_input_period(const json_t *value, uint64_t *ret_seconds)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	const char *text = json_string_value(value);
	uint64_t number = json_is_integer(value) && json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
	uint32_t factor = 1;

	if (text != NULL) {
		size_t digits = strspn(text, "0123456789");

		if (digits == 0 || digits > 9 || strlen(text) != digits + 1)
			return false;
		number = strtoul(text, NULL, 10);
		factor = 0;
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			if (units[i].unit == text[digits])
				factor = units[i].seconds;
		}
	}
	if (factor == 0 || number == 0 || number > PERIOD_MAX / factor)
		return false;
	*ret_seconds = number * factor;
	return true;
}

static json_t *render_time(uint64_t time)
{
	return time > 0 ? resource_render_time((int64_t)time) : json_null();
}

json_t *token_render(const struct store_token *token, uint64_t now)
{
	json_t *scope = token->scope != NULL ? json_loads(token->scope, 0, NULL) : NULL;
	json_t *document;

	if (token->scope != NULL && scope == NULL)
		return NULL;
	document = json_pack("{s:s, s:s, s:o*, s:s*, s:o, s:s, s:o, s:b, s:o, s:s*}", "id", token->id, "role", token->role, "scope", scope,
	                     "desc", token->desc, "created_at", resource_render_time((int64_t)token->create_time),
	                     "created_by", token->created_by, "expires_at", render_time(token->expire_time), "expired",
	                     token->expire_time != 0 && token->expire_time <= now, "last_used_at", render_time(token->used_time),
	                     "last_used_from", token->used_from[0] != '\0' ? token->used_from : NULL);
	return document;
}
