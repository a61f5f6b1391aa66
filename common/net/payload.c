/* SPDX-License-Identifier: Apache-2.0 */
/* One encoded frame, shared by the queues of many channels, and those queues. */
#include "net/payload.h"

#include "net/message.h"

#include <stdlib.h>

int channel_payload_new(Tlsplane__MessageType type, const ProtobufCMessage *message, struct channel_payload **ret,
                        struct error *err)
{
	CLEANUP(channel_payload_unref) struct channel_payload *payload = calloc(1, sizeof(*payload));
	int r;

	if (payload == NULL)
		return error_nomem(err);
	payload->refs = 1;
	payload->frame.sensitive = true;
	r = message_encode(type, message, &payload->frame, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(payload);
	return 0;
}

struct channel_payload *channel_payload_ref(struct channel_payload *payload)
{
	payload->refs++;
	return payload;
}

struct channel_payload *channel_payload_unref(struct channel_payload *payload)
{
	if (payload == NULL || --payload->refs > 0)
		return NULL;
	buf_deinit(&payload->frame);
	free(payload);
	return NULL;
}

struct payload_node {
	struct payload_node *next;
	struct channel_payload *payload; /* a reference */
};

void payload_queue_init(struct payload_queue *queue)
{
	*queue = (struct payload_queue){.last_next = &queue->first};
}

static void drop_first(struct payload_queue *queue)
{
	struct payload_node *node = queue->first;

	queue->first = node->next;
	if (queue->first == NULL)
		queue->last_next = &queue->first;
	queue->first_done = 0;
	channel_payload_unref(node->payload);
	free(node);
}

void payload_queue_deinit(struct payload_queue *queue)
{
	while (queue->first != NULL)
		drop_first(queue);
	queue->bytes = 0;
}

int payload_queue_add(struct payload_queue *queue, struct channel_payload *payload, struct error *err)
{
	struct payload_node *node = malloc(sizeof(*node));

	if (node == NULL)
		return error_nomem(err);
	*node = (struct payload_node){NULL, channel_payload_ref(payload)};
	*queue->last_next = node;
	queue->last_next = &node->next;
	queue->bytes += payload->frame.len;
	return 0;
}

int payload_queue_encrypt(struct payload_queue *queue, struct tls_stream *stream, size_t enough, struct error *err)
{
	size_t done;
	int r;

	while (queue->first != NULL && stream->out.len < enough) {
		const struct buf *frame = &queue->first->payload->frame;

		r = tls_stream_write(stream, BYTES(frame->data + queue->first_done, frame->len - queue->first_done), &done,
		                     err);
		if (r < 0)
			return r;
		queue->first_done += done;
		queue->bytes -= done;
		if (queue->first_done == frame->len)
			drop_first(queue);
	}
	return 0;
}

size_t channel_payload_len(const struct channel_payload *payload)
{
	return payload->frame.len;
}
