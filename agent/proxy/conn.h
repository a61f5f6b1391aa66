/* SPDX-License-Identifier: Apache-2.0 */
/* One connection, from accept to close; all of it on its worker's thread.
 *
 *     WAIT_FIRST_BYTE --byte--> HANDSHAKE --done--> CONNECT --connected--> RELAY --both ways over--> CLOSED
 *           |                       |                  |                     |
 *           |                       | alert sent       | no node answers     | upstream failed, client still sends
 *           |                       +------------------+---------------------+--> CLOSING
 *           |                                                                        \--client's FIN, time--> CLOSED
 *           +-- and from every state: deadline, reset, no memory --> CLOSED
 *
 * One absolute deadline from accept to the end of the handshake; dripping bytes do not move it. CLOSING reads and
 * discards: a socket closed with unread bytes sends a RST, which would take the alert or the last answer from the
 * client. */
#pragma once

#include "base/macros.h"
#include "proxy/end.h"
#include "proxy/hello.h"
#include "proxy/point.h"
#include "proxy/worker.h"
#include "upstream/upstream.h"

#include <netinet/in.h>
#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

enum conn_state { CONN_WAIT_FIRST_BYTE, CONN_HANDSHAKE, CONN_CONNECT, CONN_RELAY, CONN_CLOSING, CONN_CLOSED };

/* One direction of the relay. */
struct flow {
	uint8_t *pending;  /* owned: what the sink would not take yet; NULL: nothing */
	uint32_t from, to; /* the part of pending still to go */
	bool ended;        /* the source has no more */
	bool forwarded;    /* and the sink has been told */
};

struct conn {
	enum conn_state state;
	struct worker *worker;
	struct point *point; /* a reference, counted in its connections */
	SSL *ssl;            /* from the first byte on */
	struct end client, upstream;
	uint64_t accepted_at;
	bool deadline_is_final; /* the chosen options' own has taken the listener's place */
	bool is_again;          /* in worker->again */
	struct wheel_item deadline;
	struct flow up, down;  /* client to upstream, upstream to client */
	bool upstream_refuses; /* it reads no more, so what the client still sends is lost */
	struct upstream_attempt attempt;
	struct conn *prev, *next;                     /* worker->conns */
	struct conn *handshake_prev, *handshake_next; /* worker->handshakes, oldest first */
	struct conn *next_again, *next_closed;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	struct hello hello;
};

/* Takes fd over when it returns 0; references point, whose count of connections the caller has raised. */
int conn_start(struct worker *worker, struct point *point, int fd, const struct sockaddr_storage *peer) MUST_USE;
void conn_on_deadline(struct wheel_item *item);
struct conn *conn_run_again(struct conn *conn); /* returns the next of the list */
void conns_close_all(struct worker *worker);
void conns_free_closed(struct worker *worker);

/* relay.c. Moves what can be moved in this turn of the two ends. */
enum relay_verdict {
	RELAY_GOES_ON,
	RELAY_DONE, /* both ways over, in order */
	RELAY_CLIENT_FAILED,
	RELAY_UPSTREAM_FAILED,
};
enum relay_verdict relay_run(struct conn *conn);
