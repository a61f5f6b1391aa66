/* SPDX-License-Identifier: Apache-2.0 */
/* One function per group of keywords, in the order in which APISIX's validator (api7/jsonschema) comes to them. */
#include "apisix/schema.h"

#include "apisix_schema.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_MAX 64 /* characters of a value that a text shows */

json_t *schema_load(void)
{
	return json_loads(apisix_schema_ssl, 0, NULL);
}

PRINTF_LIKE(2, 3) static bool fail(char text[SCHEMA_TEXT_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, SCHEMA_TEXT_MAX, format, args);
	va_end(args);
	return false;
}

/* Puts where it happened before what happened. */
PRINTF_LIKE(2, 3) static bool fail_within(char text[SCHEMA_TEXT_MAX], const char *format, ...)
{
	char what[SCHEMA_TEXT_MAX], where[256];
	va_list args;

	va_start(args, format);
	vsnprintf(where, sizeof(where), format, args);
	va_end(args);
	memcpy(what, text, sizeof(what));
	return fail(text, "%s: %s", where, what);
}

/* Types -------------------------------------------------------------------------------------------------------------- */

static const char *lua_type(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "boolean";
	case JSON_NULL:
		return "userdata";
	default:
		return "table";
	}
}

static bool is_type(const json_t *value, const char *type)
{
	if (strcmp(type, "string") == 0)
		return json_is_string(value);
	if (strcmp(type, "integer") == 0)
		return json_is_integer(value);
	if (strcmp(type, "array") == 0)
		return json_is_array(value);
	assert(strcmp(type, "object") == 0);
	return json_is_object(value);
}

static bool fits_type(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	const char *type = json_string_value(json_object_get(schema, "type"));

	if (type == NULL || is_type(value, type))
		return true;
	return fail(text, "wrong type: expected %s, got %s", type, lua_type(value));
}

/* Objects ------------------------------------------------------------------------------------------------------------ */

static bool fits_properties(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *properties = json_object_get(schema, "properties"), *row, *member;
	const char *name;

	json_object_foreach(properties, name, row)
	{
		member = json_object_get(value, name);
		if (member != NULL && !schema_fits(row, member, text))
			return fail_within(text, "property \"%s\" validation failed", name);
	}
	return true;
}

/* The one pattern for members is ".*". */
static bool fits_members(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *row = json_object_get(json_object_get(schema, "patternProperties"), ".*"), *member;
	const char *name;

	json_object_foreach(value, name, member)
	{
		if (row != NULL && !schema_fits(row, member, text))
			return fail_within(text, "failed to validate %.64s (matching \".*\")", name);
	}
	return true;
}

static bool fits_required(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *name;
	size_t i;

	json_array_foreach(json_object_get(schema, "required"), i, name)
	{
		if (json_object_get(value, json_string_value(name)) == NULL)
			return fail(text, "property \"%s\" is required", json_string_value(name));
	}
	return true;
}

static bool fits_known(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *properties = json_object_get(schema, "properties"), *member;
	const char *name;

	if (!json_is_false(json_object_get(schema, "additionalProperties")))
		return true;
	json_object_foreach(value, name, member)
	{
		if (json_object_get(properties, name) == NULL)
			return fail(text, "additional properties forbidden, found %.64s", name);
	}
	return true;
}

/* Arrays ------------------------------------------------------------------------------------------------------------- */

static bool fits_unique(json_t *value, char text[SCHEMA_TEXT_MAX])
{
	for (size_t i = 1; i < json_array_size(value); i++) {
		for (size_t k = 0; k < i; k++) {
			if (json_equal(json_array_get(value, k), json_array_get(value, i)))
				return fail(text, "expected unique items but items %zu and %zu are equal", k + 1, i + 1);
		}
	}
	return true;
}

static bool fits_array(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *min = json_object_get(schema, "minItems"), *max = json_object_get(schema, "maxItems");
	json_t *row = json_object_get(schema, "items"), *item;
	json_int_t size = (json_int_t)json_array_size(value);
	size_t i;

	if (min != NULL && size < json_integer_value(min))
		return fail(text, "expect array to have at least %lld items", (long long)json_integer_value(min));
	if (max != NULL && size > json_integer_value(max))
		return fail(text, "expect array to have at most %lld items", (long long)json_integer_value(max));
	json_array_foreach(value, i, item)
	{
		if (row != NULL && !schema_fits(row, item, text))
			return fail_within(text, "failed to validate item %zu", i + 1);
	}
	return !json_is_true(json_object_get(schema, "uniqueItems")) || fits_unique(value, text);
}

/* Strings and numbers -------------------------------------------------------------------------------------------------
 */

static bool matches_id(const char *text)
{
	return text[0] != 0 && text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == 0;
}

static bool matches_label(const char *text)
{
	for (size_t i = 0; text[i] != 0; i++) {
		if (isspace((unsigned char)text[i]))
			return false;
	}
	return text[0] != 0;
}

static bool matches_sni(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._[]:";

	if (strcmp(text, "*") == 0)
		return true;
	text += text[0] == '*';
	return text[0] != 0 && text[strspn(text, letters)] == 0;
}

/* The patterns that the schema has; a regular expression would not know more. */
static const struct pattern {
	const char *text;
	bool (*matches)(const char *text);
} patterns[] = {
	{"^[a-zA-Z0-9-_.]+$", matches_id},
	{"^\\S+$", matches_label},
	{"^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$", matches_sni},
};

/* The schema has no others. */
static const struct pattern *find_pattern(const char *text)
{
	size_t i = 0;

	while (i < ARRAY_LEN(patterns) && strcmp(patterns[i].text, text) != 0)
		i++;
	assert(i < ARRAY_LEN(patterns));
	return &patterns[i];
}

/* As Lua's %q does it, for short printable ASCII. */
static void quote(const char *text, char quoted[2 * QUOTE_MAX + 3])
{
	size_t used = 0;

	quoted[used++] = '"';
	for (size_t i = 0; text[i] != 0 && i < QUOTE_MAX; i++) {
		if (text[i] == '"' || text[i] == '\\')
			quoted[used++] = '\\';
		quoted[used++] = isprint((unsigned char)text[i]) ? text[i] : '?';
	}
	quoted[used++] = '"';
	quoted[used] = 0;
}

static bool fits_pattern(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	const char *pattern = json_string_value(json_object_get(schema, "pattern"));
	char expected[2 * QUOTE_MAX + 3], got[2 * QUOTE_MAX + 3];

	if (pattern == NULL || find_pattern(pattern)->matches(json_string_value(value)))
		return true;
	quote(pattern, expected);
	quote(json_string_value(value), got);
	return fail(text, "failed to match pattern %s with %s", expected, got);
}

/* Characters, not bytes: whatever does not go on with one begins one. */
static json_int_t count_characters(const json_t *value)
{
	const char *text = json_string_value(value);
	json_int_t count = 0;

	for (size_t i = 0; i < json_string_length(value); i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

static bool fits_string(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *min = json_object_get(schema, "minLength"), *max = json_object_get(schema, "maxLength");
	json_int_t len = count_characters(value);

	if (min != NULL && len < json_integer_value(min))
		return fail(text, "string too short, expected at least %lld, got %lld", (long long)json_integer_value(min), (long long)len);
	if (max != NULL && len > json_integer_value(max))
		return fail(text, "string too long, expected at most %lld, got %lld", (long long)json_integer_value(max), (long long)len);
	return fits_pattern(schema, value, text);
}

static bool fits_integer(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *min = json_object_get(schema, "minimum");

	if (min == NULL || json_integer_value(value) >= json_integer_value(min))
		return true;
	return fail(text, "expected %lld to be greater than %lld", (long long)json_integer_value(value), (long long)json_integer_value(min));
}

/* Whatever the type --------------------------------------------------------------------------------------------------- */

static bool fits_enum(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *words = json_object_get(schema, "enum"), *word;
	size_t i;

	json_array_foreach(words, i, word)
	{
		if (json_equal(word, value))
			return true;
	}
	return words == NULL || fail(text, "matches none of the enum values");
}

static size_t count_fitting(json_t *schemas, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	size_t count = 0, i;
	json_t *row;

	json_array_foreach(schemas, i, row) count += schema_fits(row, value, text);
	return count;
}

static bool fits_choices(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *any = json_object_get(schema, "anyOf"), *one = json_object_get(schema, "oneOf");

	if (any != NULL && count_fitting(any, value, text) == 0)
		return fail(text, "object matches none of the required");
	if (one != NULL && count_fitting(one, value, text) != 1)
		return fail(text, "value should match only one schema");
	return true;
}

static bool fits_condition(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	json_t *condition = json_object_get(schema, "if");
	bool holds = condition != NULL && schema_fits(condition, value, text);
	json_t *clause = json_object_get(schema, holds ? "then" : "else");

	if (condition == NULL || clause == NULL || schema_fits(clause, value, text))
		return true;
	return fail(text, "%s clause did not match", holds ? "then" : "else");
}

bool schema_fits(json_t *schema, json_t *value, char text[SCHEMA_TEXT_MAX])
{
	if (!fits_type(schema, value, text))
		return false;
	if (json_is_object(value) && !(fits_properties(schema, value, text) && fits_members(schema, value, text) &&
	                               fits_required(schema, value, text) && fits_known(schema, value, text)))
		return false;
	if (json_is_array(value) && !fits_array(schema, value, text))
		return false;
	if (json_is_string(value) && !fits_string(schema, value, text))
		return false;
	if (json_is_integer(value) && !fits_integer(schema, value, text))
		return false;
	return fits_enum(schema, value, text) && fits_choices(schema, value, text) && fits_condition(schema, value, text);
}
