/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/net: what a channel needs of its struct channel_tls. */
#pragma once

#include "net/channel.h"

#include <openssl/ssl.h>

struct channel_tls {
	unsigned refs; /* plain: one loop */
	SSL_CTX *ctx;
	BIO_METHOD *method;
	bool server;
	bool allow_expired_client;
	bool is_pinned;
	uint8_t ca_sha256[32];
	struct buf alpn; /* length-prefixed names, RFC 7301 3.1 */
	uint64_t turn, turn_begun; /* server: the loop's turn (its milliseconds) in which a handshake was last moved, and when it began (ns) */
};
