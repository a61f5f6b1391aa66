/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/net: from a stream of bytes in any cut to messages. Memory grows with the bytes that came, never with
 * what a header claims. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "net/message.h"

struct frame_reader {
	uint8_t header[MESSAGE_HEADER_LEN];
	size_t header_len;          /* how much of it is there */
	size_t max;                 /* of a payload; 0: CHANNEL_FRAME_MAX */
	size_t want;                /* payload length, once the header is whole */
	Tlsplane__MessageType type; /* likewise */
	struct buf payload;         /* sensitive: it may hold keys */
};

void frame_reader_init(struct frame_reader *reader);
void frame_reader_deinit(struct frame_reader *reader);

/* Takes bytes off the front of *input, up to the end of one message. 1: *ret is that message, freed with
 * body_free_secret; 0: input is used up and more is needed; or E_PROTOCOL, E_TOO_LARGE, E_NOMEM or what message_decode
 * says: the stream is then lost. */
int frame_reader_take(struct frame_reader *reader, struct bytes *input, Tlsplane__MessageType *ret_type,
                      ProtobufCMessage **ret, struct error *err) MUST_USE;

/* Nothing of a next message has come. */
bool frame_reader_is_between(const struct frame_reader *reader);
