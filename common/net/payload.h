/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/net: a payload, and the queue of a channel, which holds references to payloads until TLS has encrypted
 * them. */
#pragma once

#include "net/channel.h"
#include "stream/tls_stream.h"

struct channel_payload {
	unsigned refs;    /* plain: one loop */
	struct buf frame; /* header and message; sensitive */
};

struct payload_queue {
	struct payload_node *first, **last_next;
	size_t first_done; /* bytes of the first payload that are encrypted */
	size_t bytes;      /* not yet encrypted, of all */
};

void payload_queue_init(struct payload_queue *queue);
void payload_queue_deinit(struct payload_queue *queue);
/* Takes a reference of its own. */
int payload_queue_add(struct payload_queue *queue, struct channel_payload *payload, struct error *err) MUST_USE;
/* Moves bytes from the queue through TLS into stream->out, until that holds `enough` or the queue is empty. */
int payload_queue_encrypt(struct payload_queue *queue, struct tls_stream *stream, size_t enough,
                          struct error *err) MUST_USE;
