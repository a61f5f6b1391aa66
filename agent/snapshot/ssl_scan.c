/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf encoding: https://protobuf.dev/programming-guides/encoding/ . Field numbers: message Ssl and ClientAuth of
 * channel.proto. */
#include "snapshot/ssl_scan.h"

#include <stddef.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

enum { SSL_SNIS = 1, SSL_CLIENT = 4, SSL_TLS_OPTIONS = 6, SSL_PRIORITY = 7, CLIENT_CA_BUNDLE = 3 };

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

static int scan_client(struct bytes client, struct ssl_scan *scan)
{
	struct cursor cursor = {.data = client.data, .left = client.len};
	struct wire_field field;

	while (read_field(&cursor, &field)) {
		if (field.number == CLIENT_CA_BUNDLE && field.type == WIRE_LEN)
			scan->ca_bundle = field.bytes;
	}
	return cursor.failed ? E_SYNTAX : 0;
}

static int32_t decode_zigzag(uint64_t value)
{
	uint32_t low = (uint32_t)value;

	return (int32_t)((low >> 1) ^ (~(low & 1) + 1));
}

int ssl_scan(struct bytes body, int (*on_name)(struct bytes name, void *context), void *context, struct ssl_scan *ret)
{
	struct cursor cursor = {.data = body.data, .left = body.len};
	struct ssl_scan scan = {0};
	struct wire_field field;
	int r = 0;

	while (r == 0 && read_field(&cursor, &field)) {
		if (field.number == SSL_SNIS && field.type == WIRE_LEN)
			r = on_name != NULL ? on_name(field.bytes, context) : 0;
		else if (field.number == SSL_CLIENT && field.type == WIRE_LEN)
			r = scan_client(field.bytes, &scan);
		else if (field.number == SSL_TLS_OPTIONS && field.type == WIRE_LEN)
			scan.tls_options = field.bytes;
		else if (field.number == SSL_PRIORITY && field.type == WIRE_VARINT)
			scan.priority = decode_zigzag(field.value);
	}
	if (r == 0 && cursor.failed)
		r = E_SYNTAX;
	if (r == 0 && ret != NULL)
		*ret = scan;
	return r;
}
