/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

#include <string.h>

void frame_reader_init(struct frame_reader *reader)
{
	*reader = (struct frame_reader){.payload = {.sensitive = true}};
}

void frame_reader_deinit(struct frame_reader *reader)
{
	buf_deinit(&reader->payload);
	reader->header_len = 0;
}

bool frame_reader_is_between(const struct frame_reader *reader)
{
	return reader->header_len == 0;
}

static struct bytes take_front(struct bytes *input, size_t want)
{
	struct bytes taken = {input->data, want < input->len ? want : input->len};

	input->data += taken.len;
	input->len -= taken.len;
	return taken;
}

/* 1: the header is whole and sound. */
static int take_header(struct frame_reader *reader, struct bytes *input, struct error *err)
{
	struct bytes part = take_front(input, MESSAGE_HEADER_LEN - reader->header_len);
	int r;

	if (part.len > 0)
		memcpy(reader->header + reader->header_len, part.data, part.len);
	reader->header_len += part.len;
	if (reader->header_len < MESSAGE_HEADER_LEN)
		return 0;
	r = message_read_header(reader->header, &reader->want, &reader->type, err);
	if (r == 0 && reader->max > 0 && reader->want > reader->max)
		r = error_set(err, E_TOO_LARGE, "a frame of %zu bytes, here at most %zu are allowed", reader->want, reader->max);
	return r < 0 ? r : 1;
}

int frame_reader_take(struct frame_reader *reader, struct bytes *input, Tlsplane__MessageType *ret_type,
                      ProtobufCMessage **ret, struct error *err)
{
	struct bytes part;
	int r;

	if (reader->header_len < MESSAGE_HEADER_LEN) {
		r = take_header(reader, input, err);
		if (r <= 0)
			return r;
	}
	part = take_front(input, reader->want - reader->payload.len);
	buf_put(&reader->payload, part.data, part.len);
	if (reader->payload.failed)
		return error_nomem(err);
	if (reader->payload.len < reader->want)
		return 0;
	r = message_decode(reader->type, BYTES(reader->payload.data, reader->payload.len), ret, err);
	if (r < 0)
		return r;
	*ret_type = reader->type;
	buf_deinit(&reader->payload);
	*reader = (struct frame_reader){.max = reader->max, .payload = {.sensitive = true}};
	return 1;
}
