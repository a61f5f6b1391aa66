/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf encoding: https://protobuf.dev/programming-guides/encoding/ . Field numbers: messages Ssl, Pair, ClientAuth
 * and Route of channel.proto. */
#include "snapshot/scan.h"

#include <stddef.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

enum { SNIS = 1 }; /* of Ssl and of Route */
enum {
	SSL_PAIRS = 3,
	SSL_CLIENT = 4,
	SSL_TLS_OPTIONS = 6,
	SSL_PRIORITY = 7,
	SSL_CLIENT_TYPE = 8,
	PAIR_NOT_AFTER = 1000,
	CLIENT_CA_BUNDLE = 3,
	ROUTE_PRIORITY = 8,
};

struct wire_field {
	uint64_t number;
	enum wire_type type;
	uint64_t value;     /* WIRE_VARINT */
	struct bytes bytes; /* WIRE_LEN */
};

static uint64_t read_varint(struct cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = cursor_u8(cursor);

		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	cursor->failed = true;
	return 0;
}

/* The next field; false at the end or on broken bytes (then cursor->failed). */
static bool read_field(struct cursor *cursor, struct wire_field *field)
{
	uint64_t tag, len;

	if (cursor->left == 0)
		return false;
	tag = read_varint(cursor);
	*field = (struct wire_field){.number = tag >> 3, .type = (enum wire_type)(tag & 7)};
	switch (field->type) {
	case WIRE_VARINT:
		field->value = read_varint(cursor);
		break;
	case WIRE_64:
		cursor_bytes(cursor, 8);
		break;
	case WIRE_LEN:
		len = read_varint(cursor);
		if (len > cursor->left)
			cursor->failed = true;
		else
			field->bytes = cursor_bytes(cursor, (size_t)len);
		break;
	case WIRE_32:
		cursor_bytes(cursor, 4);
		break;
	default:
		cursor->failed = true;
	}
	return !cursor->failed;
}

static int32_t decode_zigzag(uint64_t value)
{
	uint32_t low = (uint32_t)value;

	return (int32_t)((low >> 1) ^ (~(low & 1) + 1));
}

int scan_names(struct bytes body, int (*on_name)(struct bytes name, void *context), void *context)
{
	struct cursor cursor = {.data = body.data, .left = body.len};
	struct wire_field field;
	int r = 0;

	while (r == 0 && read_field(&cursor, &field)) {
		if (field.number == SNIS && field.type == WIRE_LEN)
			r = on_name(field.bytes, context);
	}
	return r == 0 && cursor.failed ? E_SYNTAX : r;
}

static int scan_client(struct bytes client, struct scan_ssl *scan)
{
	struct cursor cursor = {.data = client.data, .left = client.len};
	struct wire_field field;

	scan->client = client;
	while (read_field(&cursor, &field)) {
		if (field.number == CLIENT_CA_BUNDLE && field.type == WIRE_LEN)
			scan->ca_bundle = field.bytes;
	}
	return cursor.failed ? E_SYNTAX : 0;
}

static int scan_pair(struct bytes pair, struct scan_ssl *scan)
{
	struct cursor cursor = {.data = pair.data, .left = pair.len};
	struct wire_field field;

	while (read_field(&cursor, &field)) {
		if (field.number == PAIR_NOT_AFTER && field.type == WIRE_VARINT &&
		    (scan->not_after == 0 || field.value < scan->not_after))
			scan->not_after = field.value;
	}
	return cursor.failed ? E_SYNTAX : 0;
}

static int scan_ssl_message(const struct wire_field *field, struct scan_ssl *scan)
{
	switch (field->number) {
	case SSL_PAIRS:
		return scan_pair(field->bytes, scan);
	case SSL_CLIENT:
		return scan_client(field->bytes, scan);
	case SSL_TLS_OPTIONS:
		scan->tls_options = field->bytes;
		return 0;
	default:
		return 0;
	}
}

int scan_ssl(struct bytes body, struct scan_ssl *ret)
{
	struct cursor cursor = {.data = body.data, .left = body.len};
	struct scan_ssl scan = {0};
	struct wire_field field;
	int r = 0;

	while (r == 0 && read_field(&cursor, &field)) {
		if (field.type == WIRE_LEN)
			r = scan_ssl_message(&field, &scan);
		else if (field.type == WIRE_VARINT && field.number == SSL_PRIORITY)
			scan.priority = decode_zigzag(field.value);
		else if (field.type == WIRE_VARINT && field.number == SSL_CLIENT_TYPE)
			scan.client_type = field.value != 0;
	}
	if (r == 0 && cursor.failed)
		r = E_SYNTAX;
	if (r == 0)
		*ret = scan;
	return r;
}

/* The next field that is not a pair. */
static bool read_word(struct cursor *cursor, struct wire_field *field)
{
	while (read_field(cursor, field)) {
		if (field->number != SSL_PAIRS)
			return true;
	}
	return false;
}

static bool is_equal(const struct wire_field *a, const struct wire_field *b)
{
	return a->number == b->number && a->type == b->type && a->value == b->value && a->bytes.len == b->bytes.len &&
	       (a->bytes.len == 0 || memcmp(a->bytes.data, b->bytes.data, a->bytes.len) == 0);
}

bool scan_ssl_has_same_words(struct bytes a, struct bytes b)
{
	struct cursor at_a = {.data = a.data, .left = a.len}, at_b = {.data = b.data, .left = b.len};
	struct wire_field field_a, field_b;

	while (read_word(&at_a, &field_a)) {
		if (!read_word(&at_b, &field_b) || !is_equal(&field_a, &field_b))
			return false;
	}
	return !at_a.failed && !read_word(&at_b, &field_b) && !at_b.failed;
}

int scan_route(struct bytes body, int32_t *ret_priority)
{
	struct cursor cursor = {.data = body.data, .left = body.len};
	struct wire_field field;
	int32_t priority = 0;

	while (read_field(&cursor, &field)) {
		if (field.number == ROUTE_PRIORITY && field.type == WIRE_VARINT)
			priority = decode_zigzag(field.value);
	}
	if (cursor.failed)
		return E_SYNTAX;
	*ret_priority = priority;
	return 0;
}
