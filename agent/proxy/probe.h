/* SPDX-License-Identifier: Apache-2.0 */
/* A probe: a real connection and handshake of the agent with one of its own sockets, to see which leaf it shows. It
 * is past limits, counters, allow_clients and PROXY headers, and ends with the handshake; no upstream hears of it.
 * It offers every version, and signatures of one type of key. What counts is the leaf whose key has signed: in TLS
 * 1.3 always, before that unless the listener demands nothing of the client and refuses all the same. Main thread.
 *
 *     CONNECTING --> SHAKING --done, refused, time--> answered */
#pragma once

#include "proxy/passes.h"
#include "proxy/proxy.h"

#include <openssl/types.h>

struct probe;

struct prober {
	uv_loop_t *loop;
	struct passes *passes; /* owned */
	SSL_CTX *ctx;          /* owned */
	struct probe *probes;  /* under way */
};

int prober_init(struct prober *prober, uv_loop_t *loop, struct error *err) MUST_USE;
void prober_deinit(struct prober *prober); /* zeroed, or after prober_close */
/* address: of a bound socket. As proxy_probe. */
int prober_start(struct prober *prober, const char *address, const char *sni, enum proxy_probe_key key,
                 void (*done)(const struct proxy_probed *result, void *context), void *context, struct error *err) MUST_USE;
void prober_close(struct prober *prober); /* answers all; their memory goes with the loop's next turn */
