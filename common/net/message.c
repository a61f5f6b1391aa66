/* SPDX-License-Identifier: Apache-2.0 */
/* The table of message types, and the codec around it. */
#include "net/message.h"

#include "model/body.h"
#include "net/channel.h"

#include <assert.h>

static const struct message_row {
	const char *name;
	const ProtobufCMessageDescriptor *descriptor;
} message_rows[] = {
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL] = {"Enroll", &tlsplane__enroll__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL_REPLY] = {"EnrollReply", &tlsplane__enroll_reply__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED] = {"Refused", &tlsplane__refused__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW] = {"Renew", &tlsplane__renew__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW_REPLY] = {"RenewReply", &tlsplane__renew_reply__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO] = {"Hello", &tlsplane__hello__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_WELCOME] = {"Welcome", &tlsplane__welcome__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN] = {"UpdateBegin", &tlsplane__update_begin__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_OBJECTS] = {"UpdateObjects", &tlsplane__update_objects__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END] = {"UpdateEnd", &tlsplane__update_end__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK] = {"Ack", &tlsplane__ack__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK] = {"Nack", &tlsplane__nack__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_RESYNC] = {"Resync", &tlsplane__resync__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT] = {"Heartbeat", &tlsplane__heartbeat__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT] = {"Report", &tlsplane__report__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS] = {"TicketKeys", &tlsplane__ticket_keys__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS_HELD] = {"TicketKeysHeld", &tlsplane__ticket_keys_held__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVE_CHECK] = {"ServeCheck", &tlsplane__serve_check__descriptor},
    [TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVED] = {"Served", &tlsplane__served__descriptor},
};

/* NULL: no such type. */
static const struct message_row *message_row_of(unsigned type)
{
	if (type >= ARRAY_LEN(message_rows) || message_rows[type].name == NULL)
		return NULL;
	return &message_rows[type];
}

int message_read_header(const uint8_t header[MESSAGE_HEADER_LEN], size_t *ret_len, Tlsplane__MessageType *ret_type,
                        struct error *err)
{
	struct cursor cursor = {.data = header, .left = MESSAGE_HEADER_LEN};
	uint32_t len = cursor_u32(&cursor);
	uint16_t type = cursor_u16(&cursor), zero = cursor_u16(&cursor);

	if (zero != 0 || message_row_of(type) == NULL)
		return error_set(err, E_PROTOCOL, "a frame of unknown type %u", type);
	if (len > CHANNEL_FRAME_MAX)
		return error_set(err, E_TOO_LARGE, "a frame of %u bytes, at most %u are allowed", len, CHANNEL_FRAME_MAX);
	*ret_len = len;
	*ret_type = (Tlsplane__MessageType)type;
	return 0;
}

int message_decode(Tlsplane__MessageType type, struct bytes payload, ProtobufCMessage **ret, struct error *err)
{
	const struct message_row *row = message_row_of((unsigned)type);
	int r;

	if (row == NULL)
		return error_set(err, E_PROTOCOL, "a message of unknown type %u", (unsigned)type);
	r = body_decode(row->descriptor, payload, ret, err);
	return r < 0 ? error_prefix(err, r, "message %s", row->name) : 0;
}

int message_encode(Tlsplane__MessageType type, const ProtobufCMessage *message, struct buf *out, struct error *err)
{
	const struct message_row *row = message_row_of((unsigned)type);
	size_t len = protobuf_c_message_get_packed_size(message), before = out->len;
	int r;

	assert(row != NULL && row->descriptor == message->descriptor);
	if (len > CHANNEL_FRAME_MAX)
		return error_set(err, E_TOO_LARGE, "message %s of %zu bytes, at most %u are allowed", row->name, len,
		                 CHANNEL_FRAME_MAX);
	buf_put_u32(out, (uint32_t)len);
	buf_put_u16(out, (uint16_t)type);
	buf_put_u16(out, 0);
	r = body_encode(message, out, err);
	if (r < 0) {
		out->len = before;
		return error_prefix(err, r, "message %s", row->name);
	}
	return 0;
}

const char *message_name(Tlsplane__MessageType type)
{
	const struct message_row *row = message_row_of((unsigned)type);

	return row != NULL ? row->name : "unknown";
}
