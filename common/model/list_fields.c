/* SPDX-License-Identifier: Apache-2.0 */
/* Readers and writers of lists: texts, ids, address ranges. An empty list is one that is not given: answers leave it out. */
#include "model/list_fields.h"

#include "model/cidr.h"

#include <stdlib.h>
#include <string.h>

size_t field_list_length(struct field_input *in, const struct field *field, json_t *value)
{
	if ((field->flags & FIELD_LONE) != 0 && json_is_string(value))
		return 1;
	return field_is_array(in, value, (size_t)field->min, (size_t)field->max) ? json_array_size(value) : 0;
}

json_t *field_list_enter(struct field_input *in, json_t *value, size_t index, size_t *ret_mark)
{
	*ret_mark = in->pointer_len;
	if (!json_is_array(value))
		return value;
	*ret_mark = field_enter_index(in, index);
	return json_array_get(value, index);
}

void field_read_texts(struct field_input *in, const struct field *field, json_t *value, void *target,
                      char *(*read_one)(struct field_input *in, const char *text))
{
	char ***slot = field_member(target, field->offset);
	size_t *count = field_member(target, field->has), len = field_list_length(in, field, value), mark;

	*slot = field_alloc(in, len, sizeof(**slot));
	for (size_t i = 0; i < len && *slot != NULL; i++) {
		const char *text = field_text(in, field_list_enter(in, value, i, &mark));
		char *copy = text == NULL ? NULL : read_one(in, text);

		if (copy != NULL)
			(*slot)[(*count)++] = copy;
		field_leave(in, mark);
	}
}

json_t *field_write_texts(struct field_output *out, const struct field *field, const void *source)
{
	char *const *const *slot = field_member_const(source, field->offset);
	const size_t *count = field_member_const(source, field->has);
	json_t *texts = *count == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < *count && texts != NULL; i++)
		output_append(out, texts, output_text(out, (*slot)[i]));
	return texts;
}

/* References ------------------------------------------------------------------------------------------------------- */

static bool has_before(char *const *texts, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(texts[i], text) == 0)
			return true;
	return false;
}

void field_read_refs(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	const struct field entry = {.name = field->name, .kind = field->kind}; /* reads into a lone text */
	char ***slot = field_member(target, field->offset);
	size_t *count = field_member(target, field->has), len = field_list_length(in, field, value), mark;

	*slot = field_alloc(in, len, sizeof(**slot));
	for (size_t i = 0; i < len && *slot != NULL; i++) {
		char *id = NULL;

		field_read_ref(in, &entry, field_list_enter(in, value, i, &mark), &id);
		if (id != NULL && has_before(*slot, *count, id))
			field_error(in, "duplicate", "%s stands twice", id);
		if (id != NULL)
			(*slot)[(*count)++] = id;
		field_leave(in, mark);
	}
}

/* Address ranges --------------------------------------------------------------------------------------------------- */

static bool range_is_before(Tlsplane__IpRange *const *ranges, size_t count, const struct ip *address, uint8_t prefix)
{
	for (size_t i = 0; i < count; i++)
		if (ranges[i]->prefix == prefix && ranges[i]->address.len == address->len &&
		    memcmp(ranges[i]->address.data, address->bytes, address->len) == 0)
			return true;
	return false;
}

static Tlsplane__IpRange *make_range(struct field_input *in, const struct ip *address, uint8_t prefix)
{
	Tlsplane__IpRange *range = field_alloc(in, 1, sizeof(*range));

	if (range == NULL)
		return NULL;
	tlsplane__ip_range__init(range);
	range->prefix = prefix;
	range->address.data = field_alloc(in, address->len, 1);
	if (range->address.data == NULL) {
		free(range);
		return NULL;
	}
	memcpy(range->address.data, address->bytes, address->len);
	range->address.len = address->len;
	return range;
}

static Tlsplane__IpRange *read_range(struct field_input *in, json_t *value, Tlsplane__IpRange *const *ranges, size_t count)
{
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	char quoted[QUOTE_MAX];
	struct ip address;
	uint8_t prefix;

	if (text == NULL)
		return NULL;
	if (cidr_parse(text, &address, &prefix, &reason) < 0)
		field_error(in, "invalid-value", "\"%s\": %s", field_quote(text, quoted), reason.text);
	else if (range_is_before(ranges, count, &address, prefix))
		field_error(in, "duplicate", "%s stands twice", text);
	else
		return make_range(in, &address, prefix);
	return NULL;
}

void field_read_ranges(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__IpRange ***slot = field_member(target, field->offset);
	size_t *count = field_member(target, field->has), len = field_list_length(in, field, value), mark;

	*slot = field_alloc(in, len, sizeof(**slot));
	for (size_t i = 0; i < len && *slot != NULL; i++) {
		Tlsplane__IpRange *range = read_range(in, field_list_enter(in, value, i, &mark), *slot, *count);

		if (range != NULL)
			(*slot)[(*count)++] = range;
		field_leave(in, mark);
	}
}

json_t *field_write_ranges(struct field_output *out, const struct field *field, const void *source)
{
	Tlsplane__IpRange *const *const *slot = field_member_const(source, field->offset);
	const size_t *count = field_member_const(source, field->has);
	json_t *texts = *count == 0 ? NULL : output_json(out, json_array());
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < *count && texts != NULL; i++) {
		cidr_format((*slot)[i], text);
		output_append(out, texts, output_text(out, text));
	}
	return texts;
}
