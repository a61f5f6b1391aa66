/* SPDX-License-Identifier: Apache-2.0 */
#include "net/message.h"

#include "model/body.h"
#include "net/channel.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

START_TEST(headers)
{
	static const struct {
		uint8_t header[MESSAGE_HEADER_LEN];
		int r;
	} cases[] = {
	    {{0, 0, 0, 0, 0, 1, 0, 0}, 0},
	    {{0, 0x20, 0, 0, 0, 19, 0, 0}, 0}, /* 2 MiB */
	    {{0, 0x20, 0, 1, 0, 19, 0, 0}, E_TOO_LARGE},
	    {{0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0}, E_TOO_LARGE},
	    {{0, 0, 0, 0, 0, 0, 0, 0}, E_PROTOCOL},
	    {{0, 0, 0, 0, 0, 6, 0, 0}, E_PROTOCOL}, /* a gap in the table */
	    {{0, 0, 0, 0, 0, 23, 0, 0}, 0},
	    {{0, 0, 0, 0, 0, 24, 0, 0}, E_PROTOCOL},
	    {{0, 0, 0, 0, 0xff, 0xff, 0, 0}, E_PROTOCOL},
	    {{0, 0, 0, 0, 0, 1, 0, 1}, E_PROTOCOL},
	    {{0, 0, 0, 0, 0, 1, 1, 0}, E_PROTOCOL},
	};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		Tlsplane__MessageType type = TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK;
		size_t len = 77;

		ck_assert_int_eq(message_read_header(cases[i].header, &len, &type, &err), cases[i].r);
		if (cases[i].r < 0)
			ck_assert(len == 77 && type == TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK);
	}
}
END_TEST

START_TEST(every_type_has_a_name)
{
	const ProtobufCEnumDescriptor *types = &tlsplane__message_type__descriptor;

	for (unsigned i = 0; i < types->n_values; i++) {
		uint8_t header[MESSAGE_HEADER_LEN] = {0, 0, 0, 0, 0, (uint8_t)types->values[i].value, 0, 0};
		Tlsplane__MessageType type;
		struct error err = ERROR_NULL;
		size_t len;

		ck_assert_int_eq(message_read_header(header, &len, &type, &err), 0);
		ck_assert_str_ne(message_name(type), "unknown");
	}
	ck_assert_str_eq(message_name((Tlsplane__MessageType)999), "unknown");
}
END_TEST

START_TEST(round_trip)
{
	Tlsplane__Refused refused = TLSPLANE__REFUSED__INIT, *back;
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	ProtobufCMessage *message = NULL;
	Tlsplane__MessageType type;
	struct error err = ERROR_NULL;
	char text[] = "later";
	size_t len;

	refused.code = TLSPLANE__REFUSED_CODE__REFUSED_BUSY;
	refused.text = text;
	refused.has_retry_after_ms = 1;
	refused.retry_after_ms = 500;
	ck_assert_int_eq(message_encode(TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED, &refused.base, &out, &err), 0);
	ck_assert_int_eq(message_read_header(out.data, &len, &type, &err), 0);
	ck_assert_uint_eq(len, out.len - MESSAGE_HEADER_LEN);
	ck_assert_int_eq(type, TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED);
	ck_assert_msg(message_decode(type, BYTES(out.data + MESSAGE_HEADER_LEN, len), &message, &err) == 0, "%s", err.text);
	back = (Tlsplane__Refused *)message;
	ck_assert_str_eq(back->text, "later");
	ck_assert_uint_eq(back->retry_after_ms, 500);
	body_free_secret(message);
}
END_TEST

START_TEST(refusals_name_the_message)
{
	ProtobufCMessage *message = NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_lt(message_decode(TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, BYTES("\xff", 1), &message, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "Ack"));
	ck_assert_int_lt(message_decode(TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, BYTES_NULL, &message, &err),
	                 0); /* required fields */
	ck_assert_int_eq(message_decode((Tlsplane__MessageType)999, BYTES_NULL, &message, &err), E_PROTOCOL);
	ck_assert_ptr_null(message);
	ck_assert_int_eq(message_decode(TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT, BYTES_NULL, &message, &err), 0);
	body_free_secret(message);
}
END_TEST

START_TEST(unknown_fields)
{
	/* Ack {1, 2} with field 15, and with field 1000 */
	static const uint8_t known[] = {0x08, 1, 0x10, 2}, low[] = {0x08, 1, 0x10, 2, 0x78, 1},
	                     high[] = {0x08, 1, 0x10, 2, 0xc0, 0x3e, 1};
	ProtobufCMessage *message = NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(message_decode(TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, BYTES(low, sizeof(low)), &message, &err),
	                 E_INVALID);
	ck_assert_int_eq(message_decode(TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, BYTES(known, sizeof(known)), &message, &err),
	                 0);
	body_free_secret(message);
	ck_assert_int_eq(message_decode(TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, BYTES(high, sizeof(high)), &message, &err), 0);
	body_free_secret(message);
}
END_TEST

START_TEST(too_large_to_send)
{
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	struct error err = ERROR_NULL;

	buf_put_str(&out, "kept");
	renew.csr.len = CHANNEL_FRAME_MAX; /* and its own header */
	renew.csr.data = calloc(1, renew.csr.len);
	ck_assert_int_eq(message_encode(TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base, &out, &err), E_TOO_LARGE);
	ck_assert_uint_eq(out.len, 4);
	renew.csr.len = CHANNEL_FRAME_MAX - 4; /* its tag and length */
	ck_assert_int_eq(message_encode(TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base, &out, &err), 0);
	ck_assert_uint_eq(out.len, 4 + MESSAGE_HEADER_LEN + CHANNEL_FRAME_MAX);
	free(renew.csr.data);
}
END_TEST

UNIT_MAIN("net/message", headers, every_type_has_a_name, round_trip, refusals_name_the_message, unknown_fields,
          too_large_to_send)
