/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/model: rules about a peer's certificate, the same for clients and origins: `allow`, and lists of SHA-256 (pins, deny_spki)
 * and serial numbers. Rows are made with FIELD_LIST, and have .min and .max. */
#pragma once

#include "model/list_fields.h"

#define RULES_MAX 100 /* rules of one `allow`, and values of one key of a rule */
#define PINS_MAX 100
#define DENIED_MAX 1000

/* [{"dns": ..., "uri": ..., "email": ..., "ip": ..., "cn": ..., "dn": ...}]: of PeerRule, made canonical by peer.h. */
void field_read_rules(struct field_input *in, const struct field *field, json_t *value, void *target);
json_t *field_write_rules(struct field_output *out, const struct field *field, const void *source);

/* SHA-256 of a public key (SPKI): 64 hex digits, colons allowed, or curl's "sha256//BASE64". */
void field_read_sha256s(struct field_input *in, const struct field *field, json_t *value, void *target);
/* Serial numbers in hex, colons allowed; kept without leading zeros (RFC 5280 4.1.2.2: at most 20 bytes, not 0). */
void field_read_serials(struct field_input *in, const struct field *field, json_t *value, void *target);
/* Of both: lower-case hex. */
json_t *field_write_hexes(struct field_output *out, const struct field *field, const void *source);

/* "refuse", "accept": of allow_stale_crls, with field_read_word and field_write_word. */
extern const struct field_words field_words_stale_crls;

/* The same of decoded bodies. */
void body_find_rules(struct findings *findings, const char *pointer, Tlsplane__PeerRule *const *rules, size_t count);
void body_find_sha256s(struct findings *findings, const char *pointer, const ProtobufCBinaryData *list, size_t count,
                       size_t max);
void body_find_serials(struct findings *findings, const char *pointer, const ProtobufCBinaryData *list, size_t count);
