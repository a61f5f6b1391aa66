/* SPDX-License-Identifier: Apache-2.0 */
/* In front of libmicrohttpd (whose own TLS would be GnuTLS, and whose own refusals are HTML), inside common/http:
 * accepts, ends TLS with our OpenSSL code if there is TLS, checks how requests are framed (gate.h), and hands the plain
 * bytes on through a socket pair whose other end its owner gives to MHD. Bounded:
 * connections, the handshake's time, and a few records per direction and connection; who can't take bytes stops the
 * other from sending. One loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "http/http.h"

#include <sys/socket.h>
#include <uv.h>

struct front;

struct front_config {
	uv_loop_t *loop;
	struct http_tls tls;      /* put_certificate NULL: plain */
	bool is_unix;             /* a Unix socket */
	uint32_t connections_max; /* open ones; when full, the oldest that has not been let in goes, else the new one */
	uint32_t idle_seconds;    /* a client that takes nothing for that long is cut */
	/* The plain end of a connection whose handshake is done: takes fd over, also when it fails. */
	void (*on_plain)(int fd, const struct sockaddr *peer, socklen_t peer_len, void *owner);
	void *owner;
};

/* fd: a listening socket, taken over in any case. E_NOMEM, E_IO, E_CRYPTO; after a failure the loop has handles to
 * close: run it. */
int front_start(const struct front_config *config, int fd, struct front **ret, struct error *err) MUST_USE;
/* The client behind this plain end has said who it is: its connection keeps its place. Else anybody could keep all of
 * them, with heads and bodies that never end, or by reading nothing. */
void front_let_in(struct front *front, bool is_unix, int fd);
/* Stops accepting and drops who has sent no request yet. */
void front_quiesce(struct front *front);
/* After the owner has closed all plain ends: lets the rest flow out for a moment; on_closed once, at once if nothing is
 * open, then its memory goes. */
void front_close(struct front *front, void (*on_closed)(void *owner));
