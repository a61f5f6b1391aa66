/* SPDX-License-Identifier: Apache-2.0 */
/* The readers and writers that several kinds share. */
#include "model/fields.h"

#include "model/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void field_read_text(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	char **slot = field_member(target, field->offset);
	const char *text = field_text(in, value);

	if (text == NULL)
		return;
	if (strlen(text) > (size_t)field->max)
		field_error(in, "out-of-range", "must be at most %lld bytes", (long long)field->max);
	else
		*slot = field_copy(in, text);
}

json_t *field_write_text(struct field_output *out, const struct field *field, const void *source)
{
	char *const *slot = field_member_const(source, field->offset);

	return output_text(out, *slot);
}

void field_read_bool(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	protobuf_c_boolean *slot = field_member(target, field->offset), *has = field_member(target, field->has);

	if (!json_is_boolean(value)) {
		field_error(in, "wrong-type", "must be true or false");
		return;
	}
	*slot = json_is_true(value);
	*has = true;
}

json_t *field_write_bool(struct field_output *out, const struct field *field, const void *source)
{
	const protobuf_c_boolean *slot = field_member_const(source, field->offset), *has = field_member_const(source, field->has);

	return *has ? output_json(out, json_boolean(*slot)) : NULL;
}

void field_read_u32(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	uint32_t *slot = field_member(target, field->offset);
	protobuf_c_boolean *has = field_member(target, field->has);
	int64_t number;

	if (!field_integer(in, value, field->min, field->max, &number))
		return;
	*slot = (uint32_t)number;
	*has = true;
}

json_t *field_write_u32(struct field_output *out, const struct field *field, const void *source)
{
	const uint32_t *slot = field_member_const(source, field->offset);
	const protobuf_c_boolean *has = field_member_const(source, field->has);

	return *has ? output_json(out, json_integer(*slot)) : NULL;
}

void field_read_i32(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	int32_t *slot = field_member(target, field->offset);
	protobuf_c_boolean *has = field_member(target, field->has);
	int64_t number;

	if (!field_integer(in, value, field->min, field->max, &number))
		return;
	*slot = (int32_t)number;
	*has = true;
}

json_t *field_write_i32(struct field_output *out, const struct field *field, const void *source)
{
	const int32_t *slot = field_member_const(source, field->offset);
	const protobuf_c_boolean *has = field_member_const(source, field->has);

	return *has ? output_json(out, json_integer(*slot)) : NULL;
}

/* min and max are milliseconds; what is finer is rounded. */
void field_read_seconds(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	uint32_t *slot = field_member(target, field->offset);
	protobuf_c_boolean *has = field_member(target, field->has);
	double ms = json_number_value(value) * 1000;

	if (!json_is_number(value)) {
		field_error(in, "wrong-type", "must be a number of seconds");
		return;
	}
	if (!(ms >= (double)field->min && ms <= (double)field->max)) {
		field_error(in, "out-of-range", "must be %g to %g seconds", (double)field->min / 1000,
		            (double)field->max / 1000);
		return;
	}
	*slot = (uint32_t)(ms + 0.5);
	*has = true;
}

json_t *field_write_seconds(struct field_output *out, const struct field *field, const void *source)
{
	const uint32_t *slot = field_member_const(source, field->offset);
	const protobuf_c_boolean *has = field_member_const(source, field->has);

	if (!*has)
		return NULL;
	return output_json(out, *slot % 1000 == 0 ? json_integer(*slot / 1000) : json_real(*slot / 1000.0));
}

/* Words for the values of an enum ---------------------------------------------------------------------------------- */

void field_read_word(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	int *slot = field_member(target, field->offset);
	protobuf_c_boolean *has = field_member(target, field->has);
	const char *text = field_text(in, value);
	char quoted[QUOTE_MAX], known[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < field->words->len && text != NULL; i++) {
		if (strcasecmp(field->words->texts[i], text) == 0) {
			*slot = (int)i;
			*has = true;
			return;
		}
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s\"%s\"", i > 0 ? ", " : "", field->words->texts[i]);
	}
	if (text != NULL)
		field_error(in, "invalid-value", "unknown word \"%s\"; known here: %s", field_quote(text, quoted), known);
}

json_t *field_write_word(struct field_output *out, const struct field *field, const void *source)
{
	const int *slot = field_member_const(source, field->offset);
	const protobuf_c_boolean *has = field_member_const(source, field->has);

	return *has && (size_t)*slot < field->words->len ? output_text(out, field->words->texts[*slot]) : NULL;
}

void field_read_refused(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	field_error(in, "unknown-field", "%s", field->advice);
}

/* References, objects, PEM ------------------------------------------------------------------------------------------ */

static void resource_add_ref(struct field_input *in, enum kind kind, const char *id)
{
	struct resource *resource = in->resource;
	struct resource_ref *refs = reallocarray(resource->refs, resource->refs_len + 1, sizeof(*refs));

	if (refs == NULL) {
		field_fail(in, error_nomem(in->err));
		return;
	}
	resource->refs = refs;
	refs[resource->refs_len] = (struct resource_ref){.kind = kind};
	snprintf(refs[resource->refs_len].id, sizeof(refs->id), "%s", id);
	snprintf(refs[resource->refs_len].pointer, sizeof(refs->pointer), "%.63s", in->pointer);
	resource->refs_len++;
}

void field_read_ref(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	char **slot = field_member(target, field->offset);
	const char *id = field_text(in, value);

	if (id == NULL)
		return;
	if (!kind_is_id(id, strlen(id))) {
		field_error(in, "invalid-value",
		            "must be the id of a %s: 1 to 64 of letters, digits, '_', '.', '-', not beginning with '.' or '-'",
		            kind_find(field->kind)->noun);
		return;
	}
	*slot = field_copy(in, id);
	resource_add_ref(in, field->kind, id);
}

void field_read_object(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	const struct field_table *const tables[] = {field->below, NULL};

	if (!field_is_object(in, value))
		return;
	fields_read(in, field->below, value, target);
	fields_find_unknown(in, tables, value);
}

uint16_t field_version(struct field_input *in, json_t *value)
{
	const char *text = field_text(in, value);
	char quoted[QUOTE_MAX];
	uint16_t version;

	if (text == NULL)
		return 0;
	version = version_find(text);
	if (version == 0)
		field_error(in, "unknown-version", "unknown version \"%s\"; use TLSv1.0, TLSv1.1, TLSv1.2 or TLSv1.3",
		            field_quote(text, quoted));
	return version;
}

bool field_read_pem(struct field_input *in, json_t *value, size_t text_max, size_t max, struct cert_list *list)
{
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	int r;

	if (text == NULL)
		return false;
	if (json_string_length(value) > text_max) {
		field_error(in, "too-large", "must be at most %zu bytes of PEM", text_max);
		return false;
	}
	r = cert_list_load_pem(list, text, json_string_length(value), max, &reason);
	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in,
		            r == E_SYNTAX      ? "invalid-pem"
		            : r == E_TOO_LARGE ? "too-many-certificates"
		                               : "invalid-certificate",
		            "%s", reason.text);
	return r == 0;
}

void field_copy_ders(struct field_input *in, const struct cert_list *list, size_t *ret_count,
                     ProtobufCBinaryData **ret_ders)
{
	int r = cert_list_copy_ders(list, ret_ders, in->err);

	if (r < 0)
		field_fail(in, r);
	else
		*ret_count = list->len;
}

json_t *output_pem(struct field_output *out, const ProtobufCBinaryData *ders, size_t count)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	for (size_t i = 0; i < count; i++)
		cert_put_pem(BYTES(ders[i].data, ders[i].len), &text);
	return output_json(out, text.failed ? NULL : json_stringn((const char *)text.data, text.len));
}
