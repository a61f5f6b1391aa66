/* SPDX-License-Identifier: Apache-2.0 */
/* A running data plane on loopback, a backend and blocking clients, all driven from the test's own thread: the workers
 * have theirs. Whatever fails ends the test. */
#pragma once

#include "holding.h"
#include "proxy/proxy.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plane {
	uv_loop_t loop;
	struct holding holding;
	struct origin_cache *origins;
	struct proxy *proxy;
	struct pki_cert *cert;
	int backend;                 /* listening */
	uint16_t backend_port, port; /* port: free, for the listener */
	char states[8][160];         /* "listener: reason", newest last */
	size_t states_len;
	bool closed;
};

/* With a listener "l" on port, an upstream "u" to the backend, an SSL object for a.test, options "modern". */
void plane_init(struct plane *plane, unsigned workers);
void plane_deinit(struct plane *plane);
/* Runs the main loop until *flag, or for so many milliseconds. */
void plane_run(struct plane *plane, uint64_t ms);
void plane_begin(struct plane *plane);
void plane_publish(struct plane *plane);
int64_t plane_connections(const struct plane *plane, const char *listener_id); /* -1: no bound socket */
struct proxy_counters plane_counters(const struct plane *plane);
/* Waits until a counter (by address within *counters) is at least value; the workers count a moment later. */
#define plane_wait_for(plane, counter, value)                                                                          \
	do {                                                                                                               \
		for (int tries_ = 0; plane_counters(plane).counter < (uint64_t)(value) && tries_ < 500; tries_++)              \
			plane_run((plane), 10);                                                                                    \
		ck_assert_uint_eq(plane_counters(plane).counter, (uint64_t)(value));                                           \
	} while (0)

uint16_t free_port(void);
int listen_on(uint16_t port);       /* exclusively */
int connect_to_port(uint16_t port); /* blocking, with a timeout of some seconds on reads; -1: refused */
int accept_on(int listener);

struct peer {
	int fd;
	SSL *ssl;
};

/* TLS 1.3 for a.test. False: refused or failed. */
bool peer_connect(struct peer *peer, uint16_t port);
bool peer_connect_as(struct peer *peer, uint16_t port, const struct pki_cert *cert); /* cert: of the client; NULL: none */
void peer_close(struct peer *peer); /* without close_notify */
/* Reads exactly len bytes into a static buffer and compares. */
void peer_expect(struct peer *peer, const char *text);
void peer_write(struct peer *peer, const char *text);
void fd_expect(int fd, const char *text);
void fd_write(int fd, const char *text);
/* "end": close_notify or FIN; "error": anything else but data. */
const char *peer_read_end(struct peer *peer);
const char *fd_read_end(int fd);
