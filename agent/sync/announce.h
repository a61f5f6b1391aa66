/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent says of its state: Hello, Heartbeat, Ack, Nack, Resync, as messages. Each is made, handed to `send`
 * and forgotten. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/object.h"
#include "snapshot/snapshot.h"

#include <stdbool.h>

struct sender {
	int (*send)(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err);
	void *owner;
};

/* snapshot NULL: holds nothing. */
int announce_hello(const struct sender *sender, const struct snapshot *snapshot, struct revision high_water,
                   struct revision crashed, bool not_durable, struct error *err) MUST_USE;
int announce_heartbeat(const struct sender *sender, const struct snapshot *snapshot, bool not_durable,
                       struct error *err) MUST_USE;
int announce_ack(const struct sender *sender, struct revision revision, struct error *err) MUST_USE;
int announce_nack(const struct sender *sender, struct revision revision, const struct snapshot_refusal *refusal,
                  struct error *err) MUST_USE;
int announce_resync(const struct sender *sender, char **selectors, size_t count, struct error *err) MUST_USE;
