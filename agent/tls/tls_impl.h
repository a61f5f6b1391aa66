/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: what holds for every SSL_CTX and every SSL whatever the configuration says. */
#pragma once

#include <openssl/ssl.h>
#include <stdint.h>

/* No renegotiation by either side; no compression (CRIME). Tickets are off until tickets_put_on: a profile says nothing of them. */
#define TLS_OPTIONS_ALWAYS (SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION)

/* NO_AUTO_CHAIN: without it OpenSSL builds the certificate chain anew, by verifying, at every handshake of a leaf that came alone. */
#define TLS_MODES (SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN)

/* Bytes of the client's certificates (100 KiB in OpenSSL): room is made for what is claimed, and up to this much there is already. */
#define TLS_CERT_LIST_MAX (16 * 1024)

/* Sessions are never kept here: cache off, so that a session id resumes nothing and a ticket always carries the session itself. */
void tls_set_always(SSL_CTX *ctx);
