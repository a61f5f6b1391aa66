/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames, cut into parts of the size that the first byte says: any cut gives the same messages and the same end as the
 * whole, and no more memory is held than bytes came. */
#include "model/body.h"
#include "net/frame.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	size_t messages, types; /* types: a sum that tells orders apart */
	int r;
};

static struct outcome take_all(struct bytes stream, size_t part)
{
	struct outcome outcome = {0, 0, 0};
	struct frame_reader reader;
	struct error err = ERROR_NULL;

	frame_reader_init(&reader);
	while (stream.len > 0 && outcome.r >= 0) {
		struct bytes input = {stream.data, part < stream.len ? part : stream.len};

		stream.data += input.len;
		stream.len -= input.len;
		do {
			ProtobufCMessage *message;
			Tlsplane__MessageType type;

			outcome.r = frame_reader_take(&reader, &input, &type, &message, &err);
			if (outcome.r == 1) {
				outcome.types = outcome.types * 31 + (size_t)type;
				outcome.messages++;
				body_free_secret(message);
			}
			assert(reader.payload.cap <= 512 || reader.payload.cap <= 2 * reader.payload.len);
		} while (outcome.r == 1 && input.len > 0);
	}
	frame_reader_deinit(&reader);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, parts;

	if (size < 2)
		return 0;
	whole = take_all(BYTES(data + 1, size - 1), size);
	parts = take_all(BYTES(data + 1, size - 1), (size_t)data[0] + 1);
	assert(whole.messages == parts.messages && whole.types == parts.types && (whole.r < 0) == (parts.r < 0));
	return 0;
}
