/* SPDX-License-Identifier: Apache-2.0 */
/* The server side of HTTPS: TLS 1.2 and 1.3 as the preset `intermediate` has them, ALPN http/1.1, neither tickets nor
 * session cache, no renegotiation. It holds no certificate: its owner puts one on each SSL at the ClientHello, so a
 * rotated one is served at once. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "stream/tls_stream.h"

#include <openssl/types.h>

/* All as long as the server lives; on the thread that runs the streams. */
struct tls_server_hooks {
	/* Puts the certificate on ssl and, if it wants to know its clients, SSL_set_verify with a store and CA names.
	 * Negative: the handshake is refused with internal_error. May be called twice for one handshake
	 * (HelloRetryRequest). */
	int (*put_certificate)(SSL *ssl, void *owner, struct error *err);
	/* A refusal of put_certificate, to be told. */
	void (*on_refusal)(const struct error *why, void *owner);
	void *owner;
};

struct tls_server;

int tls_server_new(const struct tls_server_hooks *hooks, struct tls_server **ret, struct error *err) MUST_USE;
struct tls_server *tls_server_free(struct tls_server *server); /* NULL allowed; after its streams */
DEFINE_CLEANUP(struct tls_server, tls_server_free);

/* A stream that awaits a ClientHello; *stream must stay where it is. */
int tls_server_accept(const struct tls_server *server, struct tls_stream *stream, struct error *err) MUST_USE;
