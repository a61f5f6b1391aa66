/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/capture.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_CHANGE_CIPHER_SPEC = 20, RECORD_HANDSHAKE = 22 };
#define CLIENT_HELLO 1

/* Moves up to want - *have bytes from data to head. True: head is full. */
static bool gather(struct bytes *data, uint8_t *head, uint8_t *have, size_t want)
{
	size_t n = want - *have < data->len ? want - *have : data->len;

	memcpy(head + *have, data->data, n);
	*have = (uint8_t)(*have + n);
	data->data += n;
	data->len -= n;
	return *have == want;
}

static bool walk_messages(struct hello_walk *walk, struct bytes data)
{
	while (data.len > 0 && !walk->over) {
		size_t n = walk->message_left < data.len ? walk->message_left : data.len;

		walk->message_left -= (uint32_t)n;
		data.data += n;
		data.len -= n;
		walk->whole = walk->whole || (n > 0 && walk->message_left == 0);
		if (data.len == 0 || !gather(&data, walk->message, &walk->message_len, sizeof(walk->message)))
			continue;
		walk->message_len = 0;
		walk->message_left = (uint32_t)walk->message[1] << 16 | (uint32_t)walk->message[2] << 8 | walk->message[3];
		walk->over = walk->message[0] != CLIENT_HELLO || walk->message_left == 0;
		if (!walk->over && walk->message_left > HELLO_BYTES_MAX - sizeof(walk->message))
			return false;
	}
	return true;
}

bool hello_walk(struct hello_walk *walk, struct bytes data)
{
	while (data.len > 0 && !walk->over) {
		struct bytes part = {data.data, walk->record_left < data.len ? walk->record_left : data.len};

		if (walk->type == RECORD_HANDSHAKE && !walk_messages(walk, part))
			return false;
		walk->record_left = (uint16_t)(walk->record_left - part.len);
		data.data += part.len;
		data.len -= part.len;
		if (data.len == 0 || !gather(&data, walk->head, &walk->head_len, sizeof(walk->head)))
			continue;
		walk->head_len = 0;
		walk->type = walk->head[0];
		walk->record_left = (uint16_t)(walk->head[3] << 8 | walk->head[4]);
		walk->over = walk->over ||
		             (walk->type != RECORD_HANDSHAKE && (walk->type != RECORD_CHANGE_CIPHER_SPEC || !walk->whole));
	}
	return true;
}

size_t hello_walk_left(const struct hello_walk *walk)
{
	return walk->message_left > 0 ? walk->message_left : 1;
}

size_t capture_left(const struct capture *capture, const struct capture_room *room)
{
	return CAPTURE_BYTES_MAX - capture->len - room->len;
}

int capture_keep(struct capture *capture, struct capture_room *room)
{
	uint8_t *data;

	if (room->len == 0)
		return 0;
	data = realloc(capture->data, capture->len + room->len);
	if (data == NULL)
		return E_NOMEM;
	memcpy(data + capture->len, room->data, room->len);
	capture->data = data;
	capture->len += room->len;
	room->len = 0;
	return 0;
}

void capture_put(const struct capture *capture, const struct capture_room *room, struct buf *out)
{
	buf_put(out, capture->data, capture->len);
	buf_put(out, room->data, room->len);
}

void capture_deinit(struct capture *capture)
{
	free(capture->data);
	*capture = (struct capture){0};
}
