/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes and the read cursor. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAP 256

static void buf_move_and_wipe(struct buf *buf, uint8_t *to)
{
	if (buf->data == NULL)
		return;
	memcpy(to, buf->data, buf->len);
	explicit_bzero(buf->data, buf->cap);
	free(buf->data);
}

static bool buf_reserve(struct buf *buf, size_t more)
{
	size_t cap = buf->cap > 0 ? buf->cap : BUF_FIRST_CAP;
	uint8_t *data;

	if (buf->failed)
		return false;
	if (more <= buf->cap - buf->len)
		return true;
	if (more > SIZE_MAX / 2 - buf->len) {
		buf->failed = true;
		return false;
	}
	while (cap < buf->len + more)
		cap *= 2;
	data = buf->sensitive ? malloc(cap) : realloc(buf->data, cap);
	if (data == NULL) {
		buf->failed = true;
		return false;
	}
	if (buf->sensitive)
		buf_move_and_wipe(buf, data);
	buf->data = data;
	buf->cap = cap;
	return true;
}

void buf_deinit(struct buf *buf)
{
	if (buf->sensitive && buf->data != NULL)
		explicit_bzero(buf->data, buf->cap);
	free(buf->data);
	*buf = BUF_NULL;
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
}

void buf_put(struct buf *buf, const void *data, size_t len)
{
	if (len == 0 || !buf_reserve(buf, len))
		return;
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
	buf_put(buf, &value, 1);
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
	uint8_t raw[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	buf_put(buf, raw, sizeof(raw));
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
	uint8_t raw[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};

	buf_put(buf, raw, sizeof(raw));
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
	buf_put_u32(buf, (uint32_t)(value >> 32));
	buf_put_u32(buf, (uint32_t)value);
}

void buf_put_str(struct buf *buf, const char *text)
{
	buf_put(buf, text, strlen(text));
}

void buf_put_lv(struct buf *buf, const void *data, size_t len)
{
	buf_put_u32(buf, (uint32_t)len);
	buf_put(buf, data, len);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args, again;
	int need;

	va_start(args, format);
	va_copy(again, args);
	need = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (need >= 0 && buf_reserve(buf, (size_t)need + 1)) {
		vsnprintf((char *)buf->data + buf->len, (size_t)need + 1, format, again);
		buf->len += (size_t)need;
	}
	va_end(again);
}

const char *buf_cstr(struct buf *buf)
{
	if (!buf_reserve(buf, 1))
		return NULL;
	buf->data[buf->len] = 0;
	return (const char *)buf->data;
}

char *buf_take(struct buf *buf, size_t *ret_len)
{
	char *taken;

	if (buf_cstr(buf) == NULL) {
		buf_deinit(buf);
		return NULL;
	}
	taken = (char *)buf->data;
	if (ret_len != NULL)
		*ret_len = buf->len;
	*buf = BUF_NULL;
	return taken;
}

static uint64_t cursor_uint(struct cursor *cursor, size_t size)
{
	struct bytes raw = cursor_bytes(cursor, size);
	uint64_t value = 0;

	for (size_t i = 0; i < raw.len; i++)
		value = value << 8 | raw.data[i];
	return value;
}

uint8_t cursor_u8(struct cursor *cursor)
{
	return (uint8_t)cursor_uint(cursor, 1);
}

uint16_t cursor_u16(struct cursor *cursor)
{
	return (uint16_t)cursor_uint(cursor, 2);
}

uint32_t cursor_u32(struct cursor *cursor)
{
	return (uint32_t)cursor_uint(cursor, 4);
}

uint64_t cursor_u64(struct cursor *cursor)
{
	return cursor_uint(cursor, 8);
}

struct bytes cursor_bytes(struct cursor *cursor, size_t len)
{
	struct bytes taken;

	if (cursor->failed || len > cursor->left) {
		cursor->failed = true;
		return BYTES_NULL;
	}
	taken = BYTES(cursor->data, len);
	cursor->data += len;
	cursor->left -= len;
	return taken;
}

struct bytes cursor_lv(struct cursor *cursor)
{
	uint32_t len = cursor_u32(cursor);

	return cursor_bytes(cursor, len);
}
