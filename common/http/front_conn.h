/* SPDX-License-Identifier: Apache-2.0 */
/* One connection, inside common/http; without TLS it begins OPEN.
 *
 *   HANDSHAKE --done--> OPEN --the plain end is closed--> FLUSHING --all is out--> LINGERING --the client's FIN--> GONE
 *        \__ failed: the alert goes out ____________________/^
 *   any --reset, cut, a deadline--> GONE
 *
 * HANDSHAKE has one absolute deadline, and so has the head of each request. OPEN: client -> [TLS] -> gate -> plain end,
 * plain end -> [TLS] -> client; of each at most one piece is under way, and its source is not read meanwhile.
 * LINGERING waits for the FIN because closing a socket with unread bytes resets it and takes what we sent last out of
 * the client's hands. An end of TCP without close_notify is a cut and ends the plain end at once; close_notify alone, or
 * the FIN where there is no TLS, is passed on as a half-close. */
#pragma once

#include "base/buf.h"
#include "http/gate.h"
#include "stream/tls_server.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define FRONT_READ_SIZE (16u << 10)

enum front_conn_state { FRONT_HANDSHAKE, FRONT_OPEN, FRONT_FLUSHING, FRONT_LINGERING, FRONT_GONE };

struct front_conn;

struct front_conn_owner { /* outlives the connection */
	uint64_t idle_ms;
	uint8_t *scratch; /* FRONT_READ_SIZE bytes for reading into, shared: taken synchronously */
	void (*on_plain)(struct front_conn *conn, int fd);
	void (*on_gone)(struct front_conn *conn);  /* once, when its state becomes GONE */
	void (*on_freed)(struct front_conn *conn); /* last: all handles are closed; frees it */
};

union front_socket {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
};

struct front_conn {
	struct front_conn *next, *previous; /* the owner's list */
	const struct front_conn_owner *owner;
	enum front_conn_state state;
	struct tls_stream stream; /* ssl NULL: no TLS; its `out` holds what goes to the client all the same */
	struct gate gate;
	struct sockaddr_storage peer;
	int peer_len;
	union front_socket client;
	uv_pipe_t plain;       /* from OPEN on */
	int plain_fd;          /* the other end of it, which its owner has */
	uv_timer_t timer;      /* the handshake, or a client that takes nothing */
	uv_timer_t head_timer; /* the head of a request */
	unsigned handles;
	bool is_let_in;    /* keeps its place when all are taken */
	bool ending;       /* the owner closes: no deadline is moved any more */
	bool client_ended; /* said close_notify, or FIN */
	bool deaf;         /* the plain end takes no more */
	bool reads_client, reads_plain;
	bool is_feeding, is_sending; /* a write to the plain end, to the client is under way */
	struct buf feed, sent;       /* what is being written */
	uv_write_t feeding, sending;
	uv_shutdown_t half_close, last;
};

/* All above handles is set up, the two that are open have conn as their data. */
void front_conn_start(struct front_conn *conn);
/* Handles close with the loop's next turn. */
void front_conn_drop(struct front_conn *conn);
/* What is under way has a last moment to go out. */
void front_conn_end(struct front_conn *conn);
