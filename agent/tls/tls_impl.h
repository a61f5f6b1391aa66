/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: what holds for every SSL_CTX and every SSL whatever the configuration says. */
#pragma once

#include <openssl/ssl.h>
#include <stdint.h>

/* No tickets and no renegotiation by either side; no compression (CRIME). */
#define TLS_OPTIONS_ALWAYS (SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION)

/* Sessions are never kept: ticket bit, ticket count and cache are off on the context that makes the SSL and on the one
 * it moves to. */
void tls_set_always(SSL_CTX *ctx);
