/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes for writing, a cursor for reading. Integers are big-endian. A buf that fails to grow remembers it
 * (`failed`), ignores later puts, and is asked once at the end: writers need no check per call. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned */
	size_t len;
	size_t cap;
	bool failed;    /* an allocation failed; data is a prefix of what was asked */
	bool sensitive; /* set by the owner of a buf that holds a secret: old memory is wiped when it grows or goes */
};

#define BUF_NULL ((struct buf){0})

void buf_deinit(struct buf *buf);
DEFINE_CLEANUP_VALUE(struct buf, buf_deinit);
void buf_reset(struct buf *buf); /* empties, keeps the memory, clears `failed` */

void buf_put(struct buf *buf, const void *data, size_t len);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
void buf_put_str(struct buf *buf, const char *text); /* no terminator */
void buf_put_lv(struct buf *buf, const void *data, size_t len); /* u32 length, then bytes */
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* A zero-terminated copy of the pointer's bytes: puts a NUL behind data without counting it. NULL if it failed. */
const char *buf_cstr(struct buf *buf);
/* Hands the memory over (zero-terminated, length without it in *ret_len, may be NULL). NULL if it failed. Empties buf. */
char *buf_take(struct buf *buf, size_t *ret_len);

/* A borrowed span. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

#define BYTES_NULL ((struct bytes){NULL, 0})
#define BYTES(pointer, length) ((struct bytes){(const uint8_t *)(pointer), (length)})

/* A read cursor over borrowed bytes; a read beyond the end sets `failed` and yields zeros. */
struct cursor {
	const uint8_t *data;
	size_t left;
	bool failed;
};

uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
struct bytes cursor_bytes(struct cursor *cursor, size_t len);
struct bytes cursor_lv(struct cursor *cursor);
