/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the link: link.c moves it between connections, greet.c speaks on one. */
#pragma once

#include "net/channel.h"
#include "sync/backoff.h"
#include "sync/dial.h"
#include "sync/link.h"

enum link_state {
	LINK_WAITING,
	LINK_DIALING,
	LINK_HANDSHAKE,
	LINK_ENROLLING,
	LINK_RENEWING,
	LINK_GREETING,
	LINK_OPEN,
	LINK_HELD,
	LINK_CLOSING, /* the channel is on its way out, back-off follows */
	LINK_STOPPING,
};

struct link_address {
	char host[256];
	uint16_t port;
	char last_failure[160]; /* what was logged last, so that a long outage is not a long log */
};

struct link {
	enum link_state state;
	struct link_config config;
	struct link_address addresses[LINK_ADDRESSES_MAX];
	struct backoff backoff;
	struct join_token token; /* while ENROLLING */
	struct dial *dial;
	struct channel *channel;
	uv_timer_t retry, beat;
	unsigned silent;  /* beats without a message from the peer */
	bool uses_next;   /* this connection shows the renewed certificate */
	bool avoid_next;  /* that one was not welcomed: it is the turn of the one in use */
	bool renew_first; /* the peer said that the certificate has expired */
	bool renew_sent, greeted;
	uint64_t renew_after; /* loop milliseconds: the last try to renew in good time is long enough ago */
	bool soon;         /* reconnect at once: something good happened */
	uint64_t floor_ms; /* the peer asked to be left alone for so long */
	uint64_t connects;
	unsigned open_handles;
	void (*on_closed)(void *owner);
	void *closed_owner;
};

void link_set_state(struct link *link, enum link_state to);
void link_set_beat(struct link *link, uint64_t period_ms);
/* Closes the channel because of why; back-off follows. */
void link_fail(struct link *link, const struct error *why);

/* greet.c: the channel is open; a message has come. */
void link_on_open(struct link *link);
void link_on_message(struct link *link, Tlsplane__MessageType type, const ProtobufCMessage *message);
/* Sends Renew when it is time. There is half a life left: a try that comes to nothing costs neither the connection nor a
 * request with each that follows. */
void link_renew_if_due(struct link *link);
