/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and messages: bytes <-> messages, pure. A table says which types exist and what carries each. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"

#define MESSAGE_HEADER_LEN 8

/* Reads a header. 0 with *ret_len and *ret_type, or E_PROTOCOL (unknown type, non-zero reserved) / E_TOO_LARGE. */
int message_read_header(const uint8_t header[MESSAGE_HEADER_LEN], size_t *ret_len, Tlsplane__MessageType *ret_type,
                        struct error *err) MUST_USE;
/* Decodes and walks a payload. Freed with body_free_secret. */
int message_decode(Tlsplane__MessageType type, struct bytes payload, ProtobufCMessage **ret, struct error *err) MUST_USE;
/* Appends header and payload. E_TOO_LARGE beyond a frame. */
int message_encode(Tlsplane__MessageType type, const ProtobufCMessage *message, struct buf *out, struct error *err) MUST_USE;
const char *message_name(Tlsplane__MessageType type);
