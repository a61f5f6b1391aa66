/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "allocations.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

START_TEST(writes_what_the_cursor_reads)
{
	CLEANUP(buf_deinit) struct buf buf = BUF_NULL;
	struct cursor cursor;
	struct bytes lv;

	buf_put_u8(&buf, 0xfe);
	buf_put_u16(&buf, 0xabcd);
	buf_put_u32(&buf, 0xdeadbeef);
	buf_put_u64(&buf, 0x0123456789abcdefu);
	buf_put_lv(&buf, "name", 4);
	buf_put_lv(&buf, NULL, 0);
	ck_assert(!buf.failed);
	ck_assert_mem_eq(buf.data, "\xfe\xab\xcd\xde\xad\xbe\xef\x01\x23\x45\x67\x89\xab\xcd\xef\0\0\0\4name\0\0\0", 27);
	cursor = (struct cursor){.data = buf.data, .left = buf.len};
	ck_assert_uint_eq(cursor_u8(&cursor), 0xfe);
	ck_assert_uint_eq(cursor_u16(&cursor), 0xabcd);
	ck_assert_uint_eq(cursor_u32(&cursor), 0xdeadbeef);
	ck_assert_uint_eq(cursor_u64(&cursor), 0x0123456789abcdefu);
	lv = cursor_lv(&cursor);
	ck_assert_uint_eq(lv.len, 4);
	ck_assert_mem_eq(lv.data, "name", 4);
	ck_assert_uint_eq(cursor_lv(&cursor).len, 0);
	ck_assert_uint_eq(cursor.left, 0);
	ck_assert(!cursor.failed);
}
END_TEST

START_TEST(cursor_stops_at_the_end)
{
	const uint8_t data[] = {0, 0, 0, 9, 'a', 'b'};
	struct cursor cursor = {.data = data, .left = sizeof(data)};

	ck_assert_uint_eq(cursor_lv(&cursor).len, 0); /* claims nine, has two */
	ck_assert(cursor.failed);
	ck_assert_uint_eq(cursor_u8(&cursor), 0); /* once failed, always failed, though bytes are left */
	cursor = (struct cursor){.data = data, .left = sizeof(data)};
	ck_assert_ptr_null(cursor_bytes(&cursor, SIZE_MAX).data);
	ck_assert(cursor.failed);
}
END_TEST

START_TEST(text_is_terminated)
{
	CLEANUP(buf_deinit) struct buf buf = BUF_NULL;
	char *taken;
	size_t len;

	ck_assert_str_eq(buf_cstr(&buf), "");
	buf_printf(&buf, "%s-%d", "a", 7);
	buf_put_str(&buf, "!");
	ck_assert_str_eq(buf_cstr(&buf), "a-7!");
	ck_assert_uint_eq(buf.len, 4);
	taken = buf_take(&buf, &len);
	ck_assert_str_eq(taken, "a-7!");
	ck_assert_uint_eq(len, 4);
	ck_assert_ptr_null(buf.data);
	free(taken);
}
END_TEST

START_TEST(grows)
{
	CLEANUP(buf_deinit) struct buf buf = {.sensitive = true};
	size_t cap;

	for (unsigned i = 0; i < 100000; i++)
		buf_put_u8(&buf, (uint8_t)i);
	ck_assert_uint_eq(buf.len, 100000);
	for (unsigned i = 0; i < 100000; i++)
		ck_assert_uint_eq(buf.data[i], (uint8_t)i);
	cap = buf.cap;
	buf_reset(&buf);
	ck_assert_uint_eq(buf.len, 0);
	ck_assert_uint_eq(buf.cap, cap);
}
END_TEST

START_TEST(failure_is_remembered)
{
	for (int sensitive = 0; sensitive < 2; sensitive++) {
		CLEANUP(buf_deinit) struct buf buf = {.sensitive = sensitive != 0};
		char block[200] = {0};

		buf_put(&buf, "kept", 4);
		allocations_fail_at(1);
		for (int i = 0; i < 10; i++)
			buf_put(&buf, block, sizeof(block));
		ck_assert(allocations_stop());
		ck_assert(buf.failed);
		ck_assert_mem_eq(buf.data, "kept", 4);
		buf_put_u8(&buf, 1); /* memory is back, the gap stays */
		ck_assert(buf.failed);
		ck_assert_ptr_null(buf_cstr(&buf));
		ck_assert_ptr_null(buf_take(&buf, NULL));
		buf_reset(&buf);
		ck_assert(!buf.failed);
	}
}
END_TEST

START_TEST(absurd_lengths_fail)
{
	CLEANUP(buf_deinit) struct buf buf = BUF_NULL;

	buf_put_u8(&buf, 1);
	buf_put(&buf, "", SIZE_MAX / 2);
	ck_assert(buf.failed);
	ck_assert_uint_eq(buf.len, 1);
}
END_TEST

UNIT_MAIN("base/buf", writes_what_the_cursor_reads, cursor_stops_at_the_end, text_is_terminated, grows,
          failure_is_remembered, absurd_lengths_fail)
