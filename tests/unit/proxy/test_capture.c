/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "proxy/capture.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static void put_record(struct buf *out, uint8_t type, const void *data, size_t len)
{
	buf_put_u8(out, type);
	buf_put_u16(out, 0x0301);
	buf_put_u16(out, (uint16_t)len);
	buf_put(out, data, len);
}

/* A handshake message of that type and length, in records of `part` bytes; cut off after `keep` bytes of message. */
static void put_message(struct buf *out, uint8_t type, uint32_t len, size_t part, size_t keep)
{
	CLEANUP(buf_deinit) struct buf message = BUF_NULL;

	buf_put_u8(&message, type);
	buf_put_u8(&message, (uint8_t)(len >> 16));
	buf_put_u16(&message, (uint16_t)len);
	for (uint32_t i = 0; i < len; i++)
		buf_put_u8(&message, 1); /* looks like the type of a ClientHello, where it must not be looked for */
	ck_assert(!message.failed);
	for (size_t at = 0; at < message.len && at < keep; at += part)
		put_record(out, 22, message.data + at, part < message.len - at ? part : message.len - at);
}

/* In one piece, byte by byte, and in sevens: the verdict is the same. */
static bool walk_all(const struct buf *data)
{
	static const size_t steps[] = {SIZE_MAX, 1, 7};
	bool verdicts[3];

	for (size_t i = 0; i < 3; i++) {
		struct hello_walk walk = {0};

		verdicts[i] = true;
		for (size_t at = 0; at < data->len && verdicts[i];) {
			size_t n = steps[i] < data->len - at ? steps[i] : data->len - at;

			verdicts[i] = hello_walk(&walk, BYTES(data->data + at, n));
			at += n;
		}
	}
	ck_assert(verdicts[0] == verdicts[1] && verdicts[1] == verdicts[2]);
	return verdicts[0];
}

static bool walk_hello(uint32_t len, size_t part, size_t keep)
{
	CLEANUP(buf_deinit) struct buf data = BUF_NULL;

	put_message(&data, 1, len, part, keep);
	return walk_all(&data);
}

START_TEST(test_sizes)
{
	static const size_t parts[] = {1, 3, 4, 5, 500, 16384};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		ck_assert(walk_hello(512, parts[i], SIZE_MAX));
		ck_assert(walk_hello(HELLO_BYTES_MAX - 4, parts[i], SIZE_MAX));
		ck_assert(!walk_hello(HELLO_BYTES_MAX - 3, parts[i], SIZE_MAX));
		ck_assert(!walk_hello(HELLO_BYTES_MAX - 3, parts[i], 4)); /* the claim is enough */
		ck_assert(!walk_hello(0xffffff, parts[i], 4));
		ck_assert(walk_hello(0xffffff, 3, 3));
	}
}
END_TEST

/* Whole with the very last byte, not before. */
START_TEST(test_whole)
{
	static const size_t parts[] = {1, 3, 4, 16384};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		CLEANUP(buf_deinit) struct buf data = BUF_NULL;
		struct hello_walk walk = {0};

		put_message(&data, 1, 512, parts[i], SIZE_MAX);
		for (size_t at = 0; at < data.len; at++) {
			ck_assert(!walk.whole && !walk.over);
			ck_assert(hello_walk(&walk, BYTES(data.data + at, 1)));
		}
		ck_assert(walk.whole && !walk.over);
	}
}
END_TEST

/* What can't become a ClientHello is known at once. */
START_TEST(test_other_bytes)
{
	static const char *const texts[] = {"GET / HTTP/1.1\r\n", "\x80\x2e\x01\x03\x01", "\x16\x03\x01\x01\x04\x02\x01\x01\x01",
	                                    "\x14\x03\x03\x01\x01\x01", "\x15\x03\x01\x01\x02\x02\x28", "\x17\x03\x03\x01\x05"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct hello_walk walk = {0};

		ck_assert(hello_walk(&walk, BYTES(texts[i], strlen(texts[i]))));
		ck_assert_msg(walk.over && !walk.whole, "row %zu", i);
	}
}
END_TEST

/* Another message is none, however much of it and of the records behind it comes at once. */
START_TEST(test_other_messages)
{
	static const size_t parts[] = {4, 16, 300};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		CLEANUP(buf_deinit) struct buf data = BUF_NULL;
		struct hello_walk walk = {0};

		put_message(&data, 38, 251, parts[i], SIZE_MAX);
		ck_assert(hello_walk(&walk, BYTES(data.data, data.len)));
		ck_assert_msg(walk.over && !walk.whole, "row %zu", i);
	}
}
END_TEST

/* Behind the first hello: a second one is looked at too, other messages and what is encrypted are not. */
START_TEST(test_what_follows)
{
	static const struct {
		uint8_t record;   /* before the second message; 0: none */
		uint8_t message;
		bool passes;
	} rows[] = {{0, 1, false}, {20, 1, false}, {23, 1, true}, {21, 1, true}, {0, 11, true}, {0x47, 1, true}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_deinit) struct buf data = BUF_NULL;

		put_message(&data, 1, 300, 100, SIZE_MAX);
		if (rows[i].record != 0)
			put_record(&data, rows[i].record, "\1", 1);
		put_message(&data, rows[i].message, 100000, 16384, 16384);
		ck_assert_msg(walk_all(&data) == rows[i].passes, "row %zu", i);
	}
}
END_TEST

START_TEST(test_empty_records)
{
	CLEANUP(buf_deinit) struct buf data = BUF_NULL;

	for (int i = 0; i < 10; i++)
		put_record(&data, 22, "", 0);
	put_message(&data, 1, 100000, 16384, 16384);
	ck_assert(!walk_all(&data));
}
END_TEST

static void add(struct capture_room *room, const char *text)
{
	memcpy(room->data + room->len, text, strlen(text));
	room->len += (uint32_t)strlen(text);
}

/* Who waits for what is left waits for no byte too many, and not often. */
START_TEST(test_left)
{
	static const size_t parts[] = {16384, 100, 1};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		CLEANUP(buf_deinit) struct buf data = BUF_NULL;
		struct hello_walk walk = {0};
		size_t at = 0, turns = 0;

		put_message(&data, 1, 20000, parts[i], SIZE_MAX);
		for (; !walk.whole; turns++) {
			size_t left = hello_walk_left(&walk);

			ck_assert_uint_le(left, data.len - at);
			ck_assert(hello_walk(&walk, BYTES(data.data + at, left)));
			at += left;
		}
		ck_assert_uint_eq(at, data.len);
		ck_assert_uint_le(turns, 120);
	}
}
END_TEST

START_TEST(test_keep)
{
	struct capture_room *room = calloc(1, sizeof(*room));
	struct capture capture = {0};
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;

	ck_assert_ptr_nonnull(room);
	ck_assert_int_eq(capture_keep(&capture, room), 0);
	ck_assert_ptr_null(capture.data); /* nothing costs nothing */
	add(room, "ab");
	add(room, "c");
	ck_assert_int_eq(capture_keep(&capture, room), 0);
	ck_assert_uint_eq(room->len, 0);
	add(room, "de");
	ck_assert_int_eq(capture_keep(&capture, room), 0);
	add(room, "f");
	capture_put(&capture, room, &out);
	ck_assert_str_eq(buf_cstr(&out), "abcdef");
	ck_assert_uint_eq(capture_left(&capture, room), CAPTURE_BYTES_MAX - 6);
	room->len = CAPTURE_BYTES_MAX - 5;
	ck_assert_uint_eq(capture_left(&capture, room), 0);
	capture_deinit(&capture);
	ck_assert_uint_eq(capture.len, 0);
	free(room);
}
END_TEST

UNIT_MAIN("proxy/capture", test_sizes, test_whole, test_other_bytes, test_other_messages, test_what_follows, test_empty_records, test_left,
          test_keep)
