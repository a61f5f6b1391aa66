/* SPDX-License-Identifier: Apache-2.0 */
/* A frame of the channel: header, then the payload that it claims. What decodes encodes again to bytes that decode. */
#include "model/body.h"
#include "net/message.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(body_free_secret) ProtobufCMessage *message = NULL;
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	Tlsplane__MessageType type;
	struct error err = ERROR_NULL;
	size_t len;

	if (size < MESSAGE_HEADER_LEN || message_read_header(data, &len, &type, &err) < 0)
		return 0;
	assert(message_name(type) != NULL);
	/* The claimed length decides how much is awaited, never how much is there. */
	if (message_decode(type, BYTES(data + MESSAGE_HEADER_LEN, size - MESSAGE_HEADER_LEN), &message, &err) < 0)
		return 0;
	assert(message_encode(type, message, &out, &err) == 0);
	return 0;
}
