/* SPDX-License-Identifier: Apache-2.0 */
/* labels, desc, selector, status, and what the server sets. */
#include "model/common_fields.h"

#include "model/selector.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 64
#define LABEL_MAX 256
#define DESC_MAX 256

static bool text_has_space(const char *text)
{
	for (; *text != '\0'; text++)
		if (isspace((unsigned char)*text))
			return true;
	return false;
}

static bool label_is_valid(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= LABEL_MAX && !text_has_space(text);
}

static void check_label(struct field_input *in, const char *name, json_t *value)
{
	size_t mark = field_enter(in, name);
	const char *text = field_text(in, value);

	if (!label_is_valid(name))
		field_error(in, "invalid-value", "a label's name must be 1 to %d bytes without white space", LABEL_MAX);
	else if (text != NULL && !label_is_valid(text))
		field_error(in, "invalid-value", "a label's value must be 1 to %d bytes without white space", LABEL_MAX);
	field_leave(in, mark);
}

static void read_labels(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	size_t errors = in->findings->errors;
	const char *name;
	json_t *label;

	if (!field_is_object(in, value))
		return;
	if (json_object_size(value) > LABELS_MAX)
		field_error(in, "out-of-range", "must have at most %d labels", LABELS_MAX);
	json_object_foreach(value, name, label) check_label(in, name, label);
	if (in->findings->errors > errors || json_object_size(value) == 0)
		return;
	in->resource->labels = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
	if (in->resource->labels == NULL)
		field_fail(in, error_nomem(in->err));
}

static json_t *write_labels(struct field_output *out, const struct field *field, const void *source)
{
	const char *labels = out->state->labels;

	return labels == NULL ? NULL : output_json(out, json_loads(labels, 0, NULL));
}

/* The canonical text of {"key": "value"...}, or NULL after a finding. */
static char *read_conditions(struct field_input *in, json_t *value)
{
	const char **keys, **values, *name;
	struct error reason = ERROR_NULL;
	char *selector = NULL;
	size_t count = 0, errors = in->findings->errors;
	json_t *member;

	keys = field_alloc(in, 2 * json_object_size(value) + 1, sizeof(*keys));
	if (keys == NULL)
		return NULL;
	values = keys + json_object_size(value);
	json_object_foreach(value, name, member)
	{
		size_t mark = field_enter(in, name);

		keys[count] = name;
		values[count++] = field_text(in, member);
		field_leave(in, mark);
	}
	if (in->findings->errors == errors) {
		int r = selector_make(keys, values, count, &selector, &reason);

		if (r == E_NOMEM)
			field_fail(in, error_nomem(in->err));
		else if (r < 0)
			field_error(in, "invalid-value", "%s", reason.text);
	}
	free(keys);
	return selector;
}

static void read_agent_labels(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	if (!field_is_object(in, value))
		return;
	free(read_conditions(in, value));
	read_labels(in, field, value, target);
}

static void read_desc(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	const char *text = field_text(in, value);

	if (text == NULL)
		return;
	if (strlen(text) > DESC_MAX)
		field_error(in, "out-of-range", "must be at most %d bytes", DESC_MAX);
	else
		in->resource->desc = field_copy(in, text);
}

static json_t *write_desc(struct field_output *out, const struct field *field, const void *source)
{
	return output_text(out, out->state->desc);
}

static void read_selector(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	char *selector;

	if (!field_is_object(in, value))
		return;
	selector = read_conditions(in, value);
	if (selector == NULL)
		return;
	free(in->resource->selector);
	in->resource->selector = selector;
}

struct selector_writer {
	struct field_output *out;
	json_t *object;
};

static void write_condition(struct bytes key, struct bytes value, void *context)
{
	struct selector_writer *writer = context;
	json_t *text = output_json(writer->out, json_stringn((const char *)value.data, value.len));

	if (text != NULL && json_object_setn_new(writer->object, (const char *)key.data, key.len, text) != 0)
		writer->out->failed = true;
}

static json_t *write_selector(struct field_output *out, const struct field *field, const void *source)
{
	const char *selector = out->state->object.selector;
	struct selector_writer writer = {out, NULL};

	if (selector == NULL || selector[0] == '\0')
		return NULL;
	writer.object = output_json(out, json_object());
	if (writer.object != NULL)
		selector_each(selector, write_condition, &writer);
	return writer.object;
}

static void read_status(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	int64_t status;

	if (field_integer(in, value, 0, 1, &status))
		in->resource->enabled = status == 1;
}

static json_t *write_status(struct field_output *out, const struct field *field, const void *source)
{
	return output_json(out, json_integer(out->state->enabled));
}

static void read_id(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	const char *id = field_text(in, value);

	if (id == NULL)
		return;
	if (!kind_is_id(id, strlen(id)))
		field_error(in, "invalid-value",
		            "must be 1 to %d of letters, digits, '_', '.', '-', not beginning with '.' or '-'", ID_MAX);
	else if (in->id[0] != '\0' && strcmp(id, in->id) != 0)
		field_error(in, "id-mismatch", "differs from the id in the path");
	else
		memcpy(in->resource->id, id, strlen(id) + 1);
}

static json_t *write_id(struct field_output *out, const struct field *field, const void *source)
{
	return output_text(out, out->state->object.id);
}

static json_t *write_uid(struct field_output *out, const struct field *field, const void *source)
{
	char text[2 * UID_LEN + 1];

	uid_format(&out->state->object.uid, text);
	return output_text(out, text);
}

static json_t *write_version(struct field_output *out, const struct field *field, const void *source)
{
	return output_json(out, json_integer((json_int_t)out->state->object.version));
}

static json_t *write_create_time(struct field_output *out, const struct field *field, const void *source)
{
	return output_json(out, json_integer((json_int_t)out->state->create_time));
}

static json_t *write_update_time(struct field_output *out, const struct field *field, const void *source)
{
	return output_json(out, json_integer((json_int_t)out->state->update_time));
}

static const struct field labels_rows[] = {{"labels", read_labels, write_labels}};
static const struct field agent_labels_rows[] = {{"labels", read_agent_labels, write_labels}};
static const struct field desc_rows[] = {{"desc", read_desc, write_desc}};

static const struct field placement_rows[] = {
	{"selector", read_selector, write_selector},
	{"status", read_status, write_status},
};

static const struct field identity_rows[] = {
	{"id", read_id, write_id, .flags = FIELD_SERVER},
	{"uid", NULL, write_uid, .flags = FIELD_SERVER},
	{"version", NULL, write_version, .flags = FIELD_SERVER},
	{"create_time", NULL, write_create_time, .flags = FIELD_SERVER},
	{"update_time", NULL, write_update_time, .flags = FIELD_SERVER},
	{"warnings", NULL, NULL, .flags = FIELD_SERVER}, /* written last, by resource.c */
	{"wait", NULL, NULL, .flags = FIELD_SERVER},     /* the API puts it into answers to writes that waited */
};

const struct field_table field_table_labels = FIELD_TABLE(labels_rows);
const struct field_table field_table_agent_labels = FIELD_TABLE(agent_labels_rows);
const struct field_table field_table_desc = FIELD_TABLE(desc_rows);
const struct field_table field_table_placement = FIELD_TABLE(placement_rows);
const struct field_table field_table_identity = FIELD_TABLE(identity_rows);
