/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS endpoint may negotiate, as users write it: any spelling that suites.h knows. */
#include "model/crypto_fields.h"

#include "model/suites.h"

void field_read_version(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	uint32_t *slot = field_member(target, field->offset);
	protobuf_c_boolean *has = field_member(target, field->has);

	*slot = field_version(in, value);
	*has = *slot != 0;
}

json_t *field_write_version(struct field_output *out, const struct field *field, const void *source)
{
	const uint32_t *slot = field_member_const(source, field->offset);
	const protobuf_c_boolean *has = field_member_const(source, field->has);

	return *has ? output_text(out, version_name(*slot)) : NULL;
}

/* cipher_suites, curve_preferences: names or integers ---------------------------------------------------------------
 */

static uint32_t read_suite(struct field_input *in, json_t *value)
{
	const struct suite *suite;
	char quoted[QUOTE_MAX];

	if (json_is_integer(value)) {
		json_int_t code = json_integer_value(value);

		suite = code < 0 || code > UINT16_MAX ? NULL : suite_find_code((uint32_t)code);
	} else if (json_is_string(value)) {
		suite = suite_find(json_string_value(value));
	} else {
		field_error(in, "wrong-type", "must be a name or an integer");
		return 0;
	}
	if (suite != NULL && suite->openssl != NULL)
		return suite->code;
	if (suite != NULL)
		field_error(in, "unsupported-cipher-suite", "%s: %s", suite->iana, suite->reason);
	else if (json_is_string(value))
		field_error(in, "unknown-cipher-suite", "unknown cipher suite \"%s\"",
		            field_quote(json_string_value(value), quoted));
	else
		field_error(in, "unknown-cipher-suite", "unknown cipher suite %lld", (long long)json_integer_value(value));
	return 0;
}

static uint32_t read_group(struct field_input *in, json_t *value)
{
	const struct group *group;
	char quoted[QUOTE_MAX];

	if (json_is_integer(value)) {
		json_int_t id = json_integer_value(value);

		group = id < 0 || id > UINT16_MAX ? NULL : group_find_id((uint32_t)id);
	} else if (json_is_string(value)) {
		group = group_find(json_string_value(value));
	} else {
		field_error(in, "wrong-type", "must be a name or an integer");
		return 0;
	}
	if (group != NULL && group->openssl != NULL)
		return group->id;
	if (group != NULL)
		field_error(in, "unsupported-group", "%s: %s", group->iana, group->reason);
	else if (json_is_string(value))
		field_error(in, "unknown-group", "unknown group \"%s\"", field_quote(json_string_value(value), quoted));
	else
		field_error(in, "unknown-group", "unknown group %lld", (long long)json_integer_value(value));
	return 0;
}

/* Code points by read_one, which answers 0 after a finding. */
static void read_codes(struct field_input *in, const struct field *field, json_t *value, void *target,
                       uint32_t (*read_one)(struct field_input *in, json_t *value))
{
	uint32_t **slot = field_member(target, field->offset);
	size_t *count = field_member(target, field->has);

	if (!field_is_array(in, value, 1, CRYPTO_LIST_MAX))
		return;
	*slot = field_alloc(in, json_array_size(value), sizeof(**slot));
	for (size_t i = 0; i < json_array_size(value) && *slot != NULL; i++) {
		size_t mark = field_enter_index(in, i);
		uint32_t code = read_one(in, json_array_get(value, i));

		if (code != 0)
			(*slot)[(*count)++] = code;
		field_leave(in, mark);
	}
}

/* The names of the code points; one without a name was never let in. */
static json_t *write_codes(struct field_output *out, const struct field *field, const void *source,
                           const char *(*name_of)(uint32_t code))
{
	const uint32_t *const *slot = field_member_const(source, field->offset);
	const size_t *count = field_member_const(source, field->has);
	json_t *names = *count == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < *count && names != NULL; i++)
		output_append(out, names, output_text(out, name_of((*slot)[i])));
	return names;
}

static const char *suite_name(uint32_t code)
{
	const struct suite *suite = suite_find_code(code);

	return suite == NULL ? NULL : suite->iana;
}

static const char *group_name(uint32_t id)
{
	const struct group *group = group_find_id(id);

	return group == NULL ? NULL : group->iana;
}

void field_read_suites(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	read_codes(in, field, value, target, read_suite);
}

json_t *field_write_suites(struct field_output *out, const struct field *field, const void *source)
{
	return write_codes(out, field, source, suite_name);
}

void field_read_groups(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	read_codes(in, field, value, target, read_group);
}

json_t *field_write_groups(struct field_output *out, const struct field *field, const void *source)
{
	return write_codes(out, field, source, group_name);
}

void field_read_alpn(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	field_read_texts(in, field, value, target, field_copy);
}
