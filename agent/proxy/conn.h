/* SPDX-License-Identifier: Apache-2.0 */
/* One connection, from accept to close; all of it on its worker's thread.
 *
 *     WAIT_FIRST_BYTE --byte--------------------------> HANDSHAKE --done, or passthrough decided--> CONNECT
 *           \--byte, from a sender of PROXY headers       |   ^                                      |  ^ |
 *               `--> PROXY_HEADER ------whole-------------|---'                           connected, |  | | connected
 *                       |                                 |                     the upstream speaks  |  | |
 *                       | no such header                  | alert sent,                         TLS  v  | |
 *                       |                                 | ClientHello too long  UPSTREAM_HANDSHAKE --' | next node
 *                       |                                 |                                  | done        v
 *                       |                                 |                                  `--------> RELAY --both ways over--> CLOSED
 *                       v                                 v                      no node answers          | upstream failed, client
 *                     CLOSED                           CLOSING <-------------------------------+----------' still sends
 *                                                         \--client's FIN, time--> CLOSED
 *
 *     and from every state: deadline, reset, no memory, rules that tightened --> CLOSED
 *
 * One absolute deadline from accept to the end of the client's handshake, PROXY header included; dripping bytes do not move it. CLOSING
 * reads and discards: a socket closed with unread bytes sends a RST, which would take the alert or the last answer from the client.
 *
 * Passthrough: OpenSSL has parsed the ClientHello and sent nothing; its SSL goes, and the raw bytes that it had read go to the upstream
 * first (capture.h). From then on the client's side is a plain socket. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"
#include "proxy/endpoint.h"
#include "proxy/capture.h"
#include "proxy/end.h"
#include "proxy/hello.h"
#include "proxy/point.h"
#include "proxy/worker.h"
#include "upstream/upstream.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

enum conn_state {
	CONN_WAIT_FIRST_BYTE,
	CONN_PROXY_HEADER,
	CONN_HANDSHAKE,
	CONN_CONNECT,
	CONN_UPSTREAM_HANDSHAKE,
	CONN_RELAY,
	CONN_CLOSING,
	CONN_CLOSED,
};

/* Why it was refused here, where neither the hello nor OpenSSL says so. */
enum conn_cause { CONN_CAUSE_NONE, CONN_CAUSE_SIZE, CONN_CAUSE_LIMIT, CONN_CAUSE_PROXY_HEADER };

/* A peer: its socket, and TLS over it or not. */
struct side {
	struct end end;
	SSL *ssl; /* NULL: raw */
};

/* One direction of the relay. */
struct flow {
	uint8_t *pending;  /* owned: what the sink would not take yet; NULL: nothing */
	uint32_t from, to; /* the part of pending still to go */
	bool ended;        /* the source has no more */
	bool forwarded;    /* and the sink has been told */
};

struct conn {
	enum conn_state state;
	enum conn_cause cause;
	struct worker *worker;
	struct point *point; /* a reference, counted in its connections */
	uint64_t id;
	struct side client, upstream; /* client.ssl: once the ClientHello is whole; NULL again with passthrough */
	uint64_t accepted_at;
	bool is_probe;          /* the agent's own (probe.h): counted nowhere, limited by nothing, and over with the handshake */
	bool deadline_is_final; /* the chosen options' own has taken the listener's place */
	bool is_again;          /* in worker->again */
	bool is_name_counted;   /* limits_release is owed */
	bool upstream_refuses;  /* it reads no more, so what the client still sends is lost */
	bool is_unproven;       /* the node may still refuse our certificate: health has not heard of it yet */
	unsigned generation;    /* of the worker's rules, when decided or judged last */
	struct wheel_item deadline;
	struct flow up, down;   /* client to upstream, upstream to client */
	uint64_t bytes_in, bytes_out;
	struct upstream_attempt attempt;
	uint64_t connected_turn; /* the worker's, when the upstream's socket was made */
	struct origin_seat *origin; /* owned: of upstream.ssl */
	struct buf ahead;           /* for the upstream, before all else: PROXY header, captured bytes */
	size_t ahead_sent;
	struct conn *prev, *next;                     /* worker->conns */
	struct conn *handshake_prev, *handshake_next; /* worker->handshakes, oldest first */
	struct conn *next_again, *next_closed;
	union endpoint peer, via, local; /* who it is, who said so (family 0: nobody), where it came to (family 0: ask the socket) */
	struct capture capture;
	struct hello_walk walk;
	struct hello_hook hook; /* asks hello, then the limits */
	struct hello hello;
};

/* Takes fd over when it returns 0; references point, whose count of connections the caller has raised (not for a probe). */
int conn_start(struct worker *worker, struct point *point, int fd, const struct sockaddr_storage *peer, bool is_probe) MUST_USE;
void conn_on_deadline(struct wheel_item *item);
struct conn *conn_run_again(struct conn *conn); /* returns the next of the list */
void conns_close_all(struct worker *worker);
void conns_free_closed(struct worker *worker);

/* conn_view.c: how it looks now. */
void conn_show(const struct conn *conn, struct proxy_conn_info *ret);

/* judge.c: some connections of the pass under way, or of a new one; due: some are left. is_idle: nobody else waits for this turn. */
bool judge_is_due(const struct worker *worker);
void judge_some(struct worker *worker, bool is_idle);
