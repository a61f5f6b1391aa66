/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): who the connection comes from, told by the one in front. Pure.
 *
 * In: both versions, told apart by their first bytes. Version 2: LOCAL or PROXY; families UNSPEC and UNIX, like "UNKNOWN" in version 1,
 * leave the addresses unknown: those of the socket stay. What follows the addresses (TLVs) is passed over.
 * Out: what is known is told; version 2 with these TLVs (numbers in hexadecimal):
 *
 *     01 ALPN         the protocol agreed with the client
 *     02 AUTHORITY    its server name
 *     20 SSL          client flags (01 TLS, 02 certificate in this connection, 04 in this session), verify (0: verified), then
 *                     21 VERSION ("TLSv1.3"), 22 CN of the client, 23 CIPHER (OpenSSL's name), 24 SIG_ALG and 25 KEY_ALG of our
 *                     certificate, 28 the client's certificate (DER)
 *     E0              identity that the client's certificate maps to (UTF-8)
 *     E1              SHA-256 of the client's certificate (32 bytes)
 *
 * 28 is what HAProxy calls PP2_SUBTYPE_SSL_CLIENT_CERT; E0 and E1 are of the range for applications' own. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "proxy/endpoint.h"

#include <stdbool.h>
#include <stdint.h>

#define PROXY_HEADER_V1_MAX 107                /* with CRLF */
#define PROXY_HEADER_V2_BODY_MAX 4096          /* what is taken in; the format allows 65,535 */
#define PROXY_HEADER_MAX (16 + PROXY_HEADER_V2_BODY_MAX)

struct proxy_header {
	union endpoint source, destination; /* family 0: unknown */
};

/* Reads the header that input begins with. 1: whole, *ret_len bytes long; 0: needs more bytes; E_SYNTAX: no such header. Never needs
 * more than PROXY_HEADER_MAX bytes to know. */
int proxy_header_parse(struct bytes input, struct proxy_header *ret, size_t *ret_len, struct error *err) MUST_USE;

#define PROXY_CLIENT_SSL 1
#define PROXY_CLIENT_CERT_CONN 2
#define PROXY_CLIENT_CERT_SESS 4

/* What is told; all borrowed, NULL or empty: not told. */
struct proxy_header_tls {
	uint8_t client;  /* PROXY_CLIENT_*; 0: no SSL TLV */
	bool verified;
	struct bytes alpn;
	const char *authority, *version, *common_name, *cipher, *sig_alg, *key_alg, *identity;
	struct bytes certificate; /* DER; left out when it does not fit */
	const uint8_t *certificate_sha256; /* 32 bytes */
};

/* Append a header. A failure to grow stays with out. Addresses of two families are both told as IPv6. */
void proxy_header_put_v1(struct buf *out, const union endpoint *source, const union endpoint *destination);
void proxy_header_put_v2(struct buf *out, const union endpoint *source, const union endpoint *destination,
                         const struct proxy_header_tls *tls); /* NULL: no TLVs */
