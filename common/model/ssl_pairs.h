/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: cert, key, certs, keys of SSL objects. */
#pragma once

#include "model/fields.h"

void ssl_read_cert(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *ssl_write_cert(struct field_output *out, const struct field *field, const void *source);
void ssl_read_certs(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *ssl_write_certs(struct field_output *out, const struct field *field, const void *source);
void ssl_read_key(struct field_input *in, const struct field *field, json_t *value, void *target);
void ssl_read_keys(struct field_input *in, const struct field *field, json_t *value, void *target);

/* After all fields: pairs into the body and the resource, keys into the resource's secret. Nothing when one of them is
 * not sound. */
void ssl_finish_pairs(struct field_input *in, Tlsplane__Ssl *ssl);
