/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: rows that are lists. */
#pragma once

#include "model/fields.h"

/* A repeated member: its array and its count. */
#define FIELD_LIST(type, member) .offset = offsetof(type, member), .has = offsetof(type, n_##member)

#define CIDR_LIST_MAX 256 /* ranges of one list */

/* All: field->min to field->max entries; FIELD_LONE. */

/* How many entries value has; 0: none, or a finding. */
size_t field_list_length(struct field_input *in, const struct field *field, json_t *value);
/* Steps to an entry, and its value; a lone one is where the list would be. *ret_mark is for field_leave. */
json_t *field_list_enter(struct field_input *in, json_t *value, size_t index, size_t *ret_mark);

/* Texts. read_one: a malloc'd entry (field_copy), or NULL after a finding or a failure. */
void field_read_texts(struct field_input *in, const struct field *field, json_t *value, void *target,
                      char *(*read_one)(struct field_input *in, const char *text));
json_t *field_write_texts(struct field_output *out, const struct field *field, const void *source);
/* Ids of field->kind, none twice. */
void field_read_refs(struct field_input *in, const struct field *field, json_t *value, void *target);
/* Address ranges, none twice. */
void field_read_ranges(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_ranges(struct field_output *out, const struct field *field, const void *source);
