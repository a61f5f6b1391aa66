/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: versions, suites, groups and ALPN, which TLS options and upstream TLS objects have in common. Answers are the
 * canonical names, whatever was written. */
#pragma once

#include "model/list_fields.h"

#define CRYPTO_LIST_MAX 32 /* suites, groups, ALPN protocols */

void field_read_version(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_version(struct field_output *out, const struct field *field, const void *source);

/* Rows made with FIELD_LIST; that of ALPN has a max. Written by field_write_texts. */
void field_read_suites(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_suites(struct field_output *out, const struct field *field, const void *source);
void field_read_groups(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_groups(struct field_output *out, const struct field *field, const void *source);
void field_read_alpn(struct field_input *in, const struct field *field, json_t *value, void *target);
