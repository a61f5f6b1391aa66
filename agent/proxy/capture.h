/* SPDX-License-Identifier: Apache-2.0 */
/* The raw bytes of a connection until its ClientHello is whole, and a walk over their records and messages (RFC 8446 5.1, 4) that tells
 * when it is. OpenSSL is made after that: a client that stalls before costs what it has sent and no more, and one whose ClientHello is too
 * long, or only claims to be, is refused at once (OpenSSL would make room for what is claimed, up to 128 KiB). Passthrough hands the bytes
 * on.
 *
 * What one turn reads is gathered in memory of the worker; only a ClientHello that does not come whole in one turn is kept in the
 * connection's own. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a ClientHello, its 4 bytes of header included. OpenSSL keeps room for 4/3 of it until the end of the handshake, so
 * this decides whether a stalled client costs less than 64 KiB; the longest that clients send have 2 KiB (ML-KEM). */
#define HELLO_BYTES_MAX (24 * 1024)
#define CAPTURE_BYTES_MAX (HELLO_BYTES_MAX + 8 * 1024) /* with record headers, and what came behind it */

/* Where the walk is; starts as zeros. */
struct hello_walk {
	uint8_t head[5], head_len; /* of the record that begins */
	uint8_t type;              /* of the record under way */
	uint16_t record_left;
	uint8_t message[4], message_len; /* header of the message that begins */
	uint32_t message_left;
	bool whole; /* a ClientHello has been seen to its end */
	bool over;  /* something else has begun, or it is no TLS: OpenSSL judges it */
};

/* False: a ClientHello longer than HELLO_BYTES_MAX has begun. */
bool hello_walk(struct hello_walk *walk, struct bytes data);
/* So many bytes at least must come before the ClientHello is whole, in whatever records. */
size_t hello_walk_left(const struct hello_walk *walk);

/* Bytes of this turn, one per worker. */
struct capture_room {
	uint32_t len;
	uint8_t data[CAPTURE_BYTES_MAX];
};

/* Bytes of earlier turns; starts as zeros. */
struct capture {
	uint8_t *data; /* owned; NULL: none */
	uint32_t len;
};

/* How much more may come; 0: too much has. */
size_t capture_left(const struct capture *capture, const struct capture_room *room);
/* The turn is over: what is in room is kept. E_NOMEM. */
int capture_keep(struct capture *capture, struct capture_room *room) MUST_USE;
/* All of it, behind `out`. */
void capture_put(const struct capture *capture, const struct capture_room *room, struct buf *out);
void capture_deinit(struct capture *capture); /* to zeros */
