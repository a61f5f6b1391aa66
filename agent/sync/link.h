/* SPDX-License-Identifier: Apache-2.0 */
/* The link: reaches one of several control-plane addresses again and again, proves who both are, enrols and renews by
 * itself, and carries messages between. What the messages of configuration mean is apply's. Main loop.
 *
 *   WAITING --timer--> DIALING --connected--> HANDSHAKE --peer checked--> ENROLLING   (no identity yet)
 *      ^                  |                       |                   \-> RENEWING    (certificate expired)
 *      |                  |                       |                   \-> GREETING --Welcome--> OPEN
 *      |                  |                       |                          \--diverged--> HELD (stays connected, is
 * sent nothing)
 *      \------------------+-----------------------+--any end of the channel, back-off--- all of them
 *
 *   any --link_close--> STOPPING --all handles closed--> gone */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "sync/identity.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct link;

struct link_events {
	/* The peer is the control plane: send Hello. */
	void (*on_greet)(void *owner);
	/* Time for a heartbeat. */
	void (*on_beat)(void *owner);
	/* Welcome has come: messages may be sent. */
	void (*on_connected)(void *owner);
	/* An update, heartbeat, ticket key or serve check message; borrowed. */
	void (*on_message)(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner);
	/* After on_greet, once, when that connection has ended. */
	void (*on_disconnected)(void *owner);
	void *owner;
};

#define LINK_ADDRESSES_MAX 16

struct link_config {
	uv_loop_t *loop;
	struct identity *identity; /* borrowed, outlives the link */
	const char *controlplane;  /* "HOST:PORT[,...]" */
	const char *token_path;    /* NULL: none */
	struct link_events events;
};

/* E_SYNTAX: the addresses. */
int link_start(const struct link_config *config, struct link **ret, struct error *err) MUST_USE;
/* on_closed once, from the loop; the link's memory goes right after. No events follow but on_disconnected. */
void link_close(struct link *link, void (*on_closed)(void *owner), void *owner);

/* E_CLOSED: not connected. */
int link_send(struct link *link, Tlsplane__MessageType type, const ProtobufCMessage *message,
              struct error *err) MUST_USE;
/* Ends this connection and tries again; why is logged. */
void link_reconnect(struct link *link, const struct error *why);

bool link_is_connected(const struct link *link);      /* OPEN */
uint64_t link_connect_count(const struct link *link); /* Welcomes since start */
