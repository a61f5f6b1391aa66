/* SPDX-License-Identifier: Apache-2.0 */
/* `allow`, pins and deny lists between JSON and body. A rule that says nothing would let everybody in, so it is an error, as is an empty
 * list in a rule. */
#include "model/rule_fields.h"

#include "model/cidr.h"
#include "model/peer.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHA256_LEN 32
#define SERIAL_MAX 20
#define CURL_PREFIX "sha256//"
#define CURL_BASE64_LEN 44 /* of 32 bytes: one '=' at the end */

/* Rules ------------------------------------------------------------------------------------------------------------ */

static int normalise_cn(const char *text, char *ret, struct error *err)
{
	size_t len = strlen(text);

	if (len < 1 || len > PEER_TEXT_MAX)
		return error_set(err, E_SYNTAX, "must be 1 to %d bytes", PEER_TEXT_MAX);
	memcpy(ret, text, len + 1);
	return 0;
}

static char *read_normal(struct field_input *in, const char *text,
                         int (*normalise)(const char *text, char *ret, struct error *err))
{
	char normal[PEER_TEXT_MAX + 1];
	struct error reason = ERROR_NULL;
	int r = normalise(text, normal, &reason);

	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in, "invalid-value", "%s", reason.text);
	return r < 0 ? NULL : field_copy(in, normal);
}

#define RULE_TEXTS(word)                                                                                               \
	static char *read_one_##word(struct field_input *in, const char *text)                                             \
	{                                                                                                                  \
		return read_normal(in, text, WITH_##word);                                                                     \
	}                                                                                                                  \
	static void read_##word(struct field_input *in, const struct field *field, json_t *value, void *target)            \
	{                                                                                                                  \
		field_read_texts(in, field, value, target, read_one_##word);                                                   \
	}
#define WITH_dns peer_normalise_dns
#define WITH_uri peer_normalise_uri
#define WITH_email peer_normalise_email
#define WITH_cn normalise_cn
#define WITH_dn peer_normalise_dn

RULE_TEXTS(dns)
RULE_TEXTS(uri)
RULE_TEXTS(email)
RULE_TEXTS(cn)
RULE_TEXTS(dn)

#define RULE_ROW(word) FIELD_LIST(Tlsplane__PeerRule, word), .min = 1, .max = RULES_MAX, .flags = FIELD_LONE

static const struct field rule_rows[] = {
	{"dns", read_dns, field_write_texts, RULE_ROW(dns)},
	{"uri", read_uri, field_write_texts, RULE_ROW(uri)},
	{"email", read_email, field_write_texts, RULE_ROW(email)},
	{"ip", field_read_ranges, field_write_ranges, RULE_ROW(ip)},
	{"cn", read_cn, field_write_texts, RULE_ROW(cn)},
	{"dn", read_dn, field_write_texts, RULE_ROW(dn)},
};
static const struct field_table rule_table = FIELD_TABLE(rule_rows);

static Tlsplane__PeerRule *read_rule(struct field_input *in, json_t *value)
{
	static const struct field as_object = {.below = &rule_table};
	Tlsplane__PeerRule *rule = field_alloc(in, 1, sizeof(*rule));

	if (rule == NULL)
		return NULL;
	tlsplane__peer_rule__init(rule);
	field_read_object(in, &as_object, value, rule);
	if (json_is_object(value) && json_object_size(value) == 0)
		field_error(in, "missing-field", "must have at least one of \"dns\", \"uri\", \"email\", \"ip\", \"cn\", \"dn\"");
	return rule;
}

void field_read_rules(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__PeerRule ***slot = field_member(target, field->offset);
	size_t *count = field_member(target, field->has), len = field_list_length(in, field, value), mark;

	*slot = field_alloc(in, len, sizeof(**slot));
	for (size_t i = 0; i < len && *slot != NULL; i++) {
		Tlsplane__PeerRule *rule = read_rule(in, field_list_enter(in, value, i, &mark));

		if (rule != NULL)
			(*slot)[(*count)++] = rule;
		field_leave(in, mark);
	}
}

json_t *field_write_rules(struct field_output *out, const struct field *field, const void *source)
{
	Tlsplane__PeerRule *const *const *slot = field_member_const(source, field->offset);
	const size_t *count = field_member_const(source, field->has);
	json_t *rules = *count == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < *count && rules != NULL; i++) {
		json_t *rule = output_json(out, json_object());

		if (rule != NULL)
			fields_write(out, &rule_table, (*slot)[i], rule);
		output_append(out, rules, rule);
	}
	return rules;
}

/* Bytes written in hex or base64 ----------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Pairs of digits, with a colon between two pairs allowed. 0: not so, or longer than max. */
static size_t parse_hex(const char *text, uint8_t *bytes, size_t max)
{
	size_t len = 0;

	while (*text != '\0') {
		if (*text == ':' && len > 0)
			text++;
		if (len == max || hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
			return 0;
		bytes[len++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		text += 2;
	}
	return len;
}

static bool parse_sha256(const char *text, uint8_t bytes[SHA256_LEN])
{
	uint8_t decoded[CURL_BASE64_LEN / 4 * 3];
	const char *base64 = text + strlen(CURL_PREFIX);

	if (strncmp(text, CURL_PREFIX, strlen(CURL_PREFIX)) != 0)
		return parse_hex(text, bytes, SHA256_LEN) == SHA256_LEN;
	if (strlen(base64) != CURL_BASE64_LEN || strchr(base64, '=') != base64 + CURL_BASE64_LEN - 1 ||
	    EVP_DecodeBlock(decoded, (const unsigned char *)base64, CURL_BASE64_LEN) != sizeof(decoded))
		return false;
	memcpy(bytes, decoded, SHA256_LEN);
	return true;
}

/* How many bytes one entry has; 0 after a finding. */
static size_t read_sha256(struct field_input *in, const char *text, uint8_t *bytes)
{
	char quoted[QUOTE_MAX];

	if (parse_sha256(text, bytes))
		return SHA256_LEN;
	field_error(in, "invalid-value",
	            "\"%s\" is no SHA-256 of a public key: 64 hex digits, or \"sha256//\" and 44 characters of base64",
	            field_quote(text, quoted));
	return 0;
}

static size_t read_serial(struct field_input *in, const char *text, uint8_t *bytes)
{
	uint8_t parsed[2 * SERIAL_MAX];
	char quoted[QUOTE_MAX], even[4 * SERIAL_MAX + 2];
	size_t len, zeros = 0;

	/* openssl prints an odd number of digits nowhere, but people drop a leading zero */
	snprintf(even, sizeof(even), "%s%s", strchr(text, ':') == NULL && strlen(text) % 2 == 1 ? "0" : "", text);
	len = strlen(text) < sizeof(even) - 1 ? parse_hex(even, parsed, sizeof(parsed)) : 0;
	while (zeros < len && parsed[zeros] == 0)
		zeros++;
	if (len - zeros < 1 || len - zeros > SERIAL_MAX) {
		field_error(in, "invalid-value", "\"%s\" is no serial number: 1 to %d bytes in hex, not 0",
		            field_quote(text, quoted), SERIAL_MAX);
		return 0;
	}
	memcpy(bytes, parsed + zeros, len - zeros);
	return len - zeros;
}

static bool bytes_are_before(const ProtobufCBinaryData *list, size_t count, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].len == len && memcmp(list[i].data, bytes, len) == 0)
			return true;
	return false;
}

static void read_entry(struct field_input *in, json_t *value, ProtobufCBinaryData *list, size_t *count,
                       size_t (*read_one)(struct field_input *in, const char *text, uint8_t *bytes))
{
	const char *text = field_text(in, value);
	uint8_t bytes[SHA256_LEN];
	size_t len = text == NULL ? 0 : read_one(in, text, bytes);

	if (len == 0)
		return;
	if (bytes_are_before(list, *count, bytes, len)) {
		field_error(in, "duplicate", "stands twice");
		return;
	}
	list[*count].data = field_alloc(in, len, 1);
	if (list[*count].data == NULL)
		return;
	memcpy(list[*count].data, bytes, len);
	list[(*count)++].len = len;
}

static void read_entries(struct field_input *in, const struct field *field, json_t *value, void *target,
                         size_t (*read_one)(struct field_input *in, const char *text, uint8_t *bytes))
{
	ProtobufCBinaryData **slot = field_member(target, field->offset);
	size_t *count = field_member(target, field->has), len = field_list_length(in, field, value), mark;

	*slot = field_alloc(in, len, sizeof(**slot));
	for (size_t i = 0; i < len && *slot != NULL; i++) {
		read_entry(in, field_list_enter(in, value, i, &mark), *slot, count, read_one);
		field_leave(in, mark);
	}
}

void field_read_sha256s(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	read_entries(in, field, value, target, read_sha256);
}

void field_read_serials(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	read_entries(in, field, value, target, read_serial);
}

json_t *field_write_hexes(struct field_output *out, const struct field *field, const void *source)
{
	const ProtobufCBinaryData *const *slot = field_member_const(source, field->offset);
	const size_t *count = field_member_const(source, field->has);
	json_t *texts = *count == 0 ? NULL : output_json(out, json_array());
	char text[2 * SHA256_LEN + 1];

	for (size_t i = 0; i < *count && texts != NULL; i++) {
		text[0] = '\0';
		for (size_t k = 0; k < (*slot)[i].len && k < SHA256_LEN; k++)
			snprintf(text + 2 * k, 3, "%02x", (*slot)[i].data[k]);
		output_append(out, texts, output_text(out, text));
	}
	return texts;
}

static const char *const stale_crls[] = {"refuse", "accept"};

const struct field_words field_words_stale_crls = {stale_crls, ARRAY_LEN(stale_crls)};
