/* SPDX-License-Identifier: Apache-2.0 */
/* The frame reader sees the same messages however the stream is cut, and holds no more than came. */
#include "net/frame.h"

#include "model/body.h"
#include "net/channel.h"

#include "allocations.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static void put_ack(struct buf *out, uint64_t revision)
{
	Tlsplane__Ack ack = TLSPLANE__ACK__INIT;
	struct error err = ERROR_NULL;

	ack.epoch = 1;
	ack.revision = revision;
	ck_assert_int_eq(message_encode(TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, &ack.base, out, &err), 0);
}

static void put_empty_report(struct buf *out)
{
	Tlsplane__Report report = TLSPLANE__REPORT__INIT;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(message_encode(TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT, &report.base, out, &err), 0);
}

/* Feeds in parts of `part` bytes; counts messages; the revisions of Acks must count up from 1. */
static int feed(struct bytes stream, size_t part, int *ret_messages, bool *ret_is_between, struct error *err)
{
	struct frame_reader reader;
	uint64_t revision = 0;
	int r = 0, count = 0;

	frame_reader_init(&reader);
	while (stream.len > 0 && r >= 0) {
		struct bytes input = {stream.data, part < stream.len ? part : stream.len};

		stream.data += input.len;
		stream.len -= input.len;
		do {
			ProtobufCMessage *message;
			Tlsplane__MessageType type;

			r = frame_reader_take(&reader, &input, &type, &message, err);
			if (r == 1) {
				count++;
				if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK)
					ck_assert_uint_eq(((Tlsplane__Ack *)message)->revision, ++revision);
				body_free_secret(message);
			}
		} while (r == 1 && input.len > 0);
	}
	*ret_messages = count;
	*ret_is_between = frame_reader_is_between(&reader);
	frame_reader_deinit(&reader);
	return r < 0 ? r : 0;
}

START_TEST(any_cut_gives_the_same_messages)
{
	CLEANUP(buf_deinit) struct buf stream = BUF_NULL;
	struct error err = ERROR_NULL;
	bool is_between;
	int messages;

	put_ack(&stream, 1);
	put_empty_report(&stream);
	put_ack(&stream, 2);
	put_ack(&stream, 3);
	put_empty_report(&stream);
	for (size_t part = 1; part <= stream.len; part++) {
		ck_assert_int_eq(feed(BYTES(stream.data, stream.len), part, &messages, &is_between, &err), 0);
		ck_assert_int_eq(messages, 5);
		ck_assert(is_between);
	}
	for (size_t len = 1; len < MESSAGE_HEADER_LEN; len++) {
		ck_assert_int_eq(feed(BYTES(stream.data, len), 3, &messages, &is_between, &err), 0);
		ck_assert_int_eq(messages, 0);
		ck_assert(!is_between);
	}
}
END_TEST

START_TEST(a_claim_allocates_nothing)
{
	const uint8_t claim[] = {0, 0x20, 0, 0, 0, 4, 0, 0, 0x0a};
	const uint8_t absurd[] = {0x7f, 0xff, 0xff, 0xff, 0, 4, 0, 0};
	struct frame_reader reader;
	struct bytes input = BYTES(claim, sizeof(claim));
	ProtobufCMessage *message;
	Tlsplane__MessageType type;
	struct error err = ERROR_NULL;

	frame_reader_init(&reader);
	ck_assert_int_eq(frame_reader_take(&reader, &input, &type, &message, &err), 0);
	ck_assert_uint_le(reader.payload.cap, 1024);
	frame_reader_deinit(&reader);
	frame_reader_init(&reader);
	input = BYTES(absurd, sizeof(absurd));
	ck_assert_int_eq(frame_reader_take(&reader, &input, &type, &message, &err), E_TOO_LARGE);
	frame_reader_deinit(&reader);
}
END_TEST

START_TEST(bad_payloads_are_refused)
{
	const uint8_t junk[] = {0, 0, 0, 1, 0, 15, 0, 0, 0xff};
	struct error err = ERROR_NULL;
	bool is_between;
	int messages;

	ck_assert_int_lt(feed(BYTES(junk, sizeof(junk)), 2, &messages, &is_between, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "Ack"));
}
END_TEST

START_TEST(no_memory)
{
	CLEANUP(buf_deinit) struct buf stream = BUF_NULL;
	struct frame_reader reader;
	struct bytes input;
	ProtobufCMessage *message;
	Tlsplane__MessageType type;
	struct error err = ERROR_NULL;
	int r;

	put_ack(&stream, 1);
	frame_reader_init(&reader);
	input = BYTES(stream.data, stream.len);
	allocations_fail_at(1);
	r = frame_reader_take(&reader, &input, &type, &message, &err);
	ck_assert(allocations_stop());
	ck_assert_int_eq(r, E_NOMEM);
	frame_reader_deinit(&reader);
}
END_TEST

UNIT_MAIN("net/frame", any_cut_gives_the_same_messages, a_claim_allocates_nothing, bad_payloads_are_refused, no_memory)
