/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection as a pure machine. Ciphertext goes in by `in`, comes out in `out`; nothing here
 * knows a socket. Its BIO reads `in` and writes `out` directly, so an idle connection holds no buffers. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct tls_stream {
	SSL *ssl;
	struct bytes in;      /* borrowed, set by the owner before a call; what is left is not yet taken */
	struct buf out;       /* for the socket; the owner takes it away */
	bool peer_is_expired; /* its certificate is, and that was let pass */
	const char *refusal;  /* static: why our own rules refused the peer or its certificate; NULL: OpenSSL says */
};

/* The BIO's method; freed with BIO_meth_free, after the streams that use it. NULL without memory. */
BIO_METHOD *tls_stream_new_method(void);

/* *stream must stay where it is: the SSL's app data points to it. */
int tls_stream_init(struct tls_stream *stream, SSL_CTX *ctx, const BIO_METHOD *method, bool server,
                    struct error *err) MUST_USE;
void tls_stream_deinit(struct tls_stream *stream); /* zeroed allowed */

/* 1: done; 0: needs more from the peer; E_UNAUTHENTICATED: one side's certificate was refused; E_PROTOCOL, E_CRYPTO,
 * E_NOMEM. The alert for the peer, if any, is in out. */
int tls_stream_handshake(struct tls_stream *stream, struct error *err) MUST_USE;

/* Plain bytes. 0 with *ret_len > 0, or *ret_len == 0: needs more from the peer. E_CLOSED: the peer said close_notify.
 */
int tls_stream_read(struct tls_stream *stream, uint8_t *data, size_t size, size_t *ret_len, struct error *err) MUST_USE;

/* Encrypts at most one record of data. */
int tls_stream_write(struct tls_stream *stream, struct bytes data, size_t *ret_len, struct error *err) MUST_USE;

/* close_notify into out, once; nothing before the handshake is done. */
void tls_stream_shutdown(struct tls_stream *stream);
