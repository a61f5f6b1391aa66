/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as it is shown: read from what it has anyway, nothing is kept for it. */
#include "proxy/conn_view.h"

#include "crypto/crypto.h"
#include "model/peer.h"
#include "model/suites.h"
#include "proxy/conn.h"
#include "proxy/conn_impl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

void conn_format_subject(const X509 *cert, char *text, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n = 0;

	if (bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(bio, text, (int)size - 1);
	text[n > 0 ? n : 0] = 0;
	BIO_free(bio);
	ERR_clear_error();
}

bool conn_hash_certificate(const X509 *cert, uint8_t sha256[32])
{
	return X509_digest(cert, EVP_sha256(), sha256, NULL) == 1;
}

uint16_t conn_group_of(SSL *ssl)
{
	static const uint16_t known[] = {29, 23, 24, 25, 30, 256, 257, 258, 259, 260};
	int nid = (int)SSL_get_negotiated_group(ssl);

	if ((nid & TLSEXT_nid_unknown) != 0)
		return (uint16_t)(nid & 0xffff);
	for (size_t i = 0; i < ARRAY_LEN(known) && nid != 0; i++) {
		const struct group *group = group_find_id(known[i]);

		if (group != NULL && group->nid == nid)
			return known[i];
	}
	return 0;
}

#define COPY(place, text) snprintf((place), sizeof(place), "%s", (text))

static void show_client_certificate(const struct conn *conn, struct proxy_conn_info *ret)
{
	SSL *ssl = conn->client.ssl;
	struct trust *trust = conn->hello.seat.trust;
	X509 *cert = SSL_get0_peer_certificate(ssl);
	unsigned char *spki = NULL;
	int len;

	if (cert == NULL)
		return;
	ret->has_certificate = true;
	ret->verified = conn->hello.seat.facts != NULL;
	conn_format_subject(cert, ret->subject, sizeof(ret->subject));
	conn_hash_certificate(cert, ret->certificate_sha256);
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
	if (len > 0 && crypto_sha256(BYTES(spki, (size_t)len), ret->spki_sha256, NULL) < 0)
		memset(ret->spki_sha256, 0, sizeof(ret->spki_sha256));
	OPENSSL_free(spki);
	if (trust_maps_identity(trust) && trust_map_identity(trust, ssl, ret->identity, NULL, NULL) < 0)
		ret->identity[0] = 0;
	ERR_clear_error();
}

static void show_client_tls(const struct conn *conn, struct proxy_conn_info *ret)
{
	SSL *ssl = conn->client.ssl;
	const unsigned char *alpn = NULL;
	unsigned alpn_len = 0;

	ret->version = (uint16_t)SSL_version(ssl);
	ret->suite = (uint16_t)SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));
	ret->group = conn_group_of(ssl);
	ret->resumed = SSL_session_reused(ssl) == 1;
	SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
	for (unsigned i = 0; i < alpn_len && i < sizeof(ret->alpn) - 1; i++)
		ret->alpn[i] = alpn[i] > ' ' && alpn[i] < 127 ? (char)alpn[i] : '?';
	show_client_certificate(conn, ret);
}

static void show_upstream(const struct conn *conn, struct proxy_conn_info *ret)
{
	const struct hello *hello = &conn->hello;
	SSL *ssl = conn->upstream.ssl;

	if (hello->upstream == NULL)
		return;
	COPY(ret->upstream, upstream_id(hello->upstream));
	if (conn->attempt.next > 0) {
		uint16_t port;
		const char *host = upstream_picked_host(hello->upstream, &conn->attempt, &port);

		snprintf(ret->node, sizeof(ret->node), strchr(host, ':') != NULL ? "[%.66s]:%u" : "%.68s:%u", host, port);
	}
	if (ssl == NULL || !SSL_is_init_finished(ssl))
		return;
	ret->upstream_version = (uint16_t)SSL_version(ssl);
	ret->upstream_suite = (uint16_t)SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));
	ret->upstream_resumed = SSL_session_reused(ssl) == 1;
}

static const char *state_of(const struct conn *conn)
{
	static const char *const words[] = {
	    [CONN_WAIT_FIRST_BYTE] = "waiting", [CONN_PROXY_HEADER] = "proxy_header",
	    [CONN_HANDSHAKE] = "handshake",     [CONN_CONNECT] = "connect",
	    [CONN_UPSTREAM_HANDSHAKE] = "upstream_handshake",
	    [CONN_RELAY] = "relay",             [CONN_CLOSING] = "closing",
	    [CONN_CLOSED] = "closing",
	};

	return conn->state == CONN_RELAY && conn->hello.passthrough ? "passthrough" : words[conn->state];
}

void conn_show(const struct conn *conn, struct proxy_conn_info *ret)
{
	*ret = (struct proxy_conn_info){
	    .id = conn->id,
	    .state = state_of(conn),
	    .since_ms = worker_now(conn->worker) - conn->accepted_at,
	    .bytes_in = conn->bytes_in,
	    .bytes_out = conn->bytes_out,
	};
	endpoint_format(&conn->peer, ret->peer);
	endpoint_format(&conn->via, ret->via);
	COPY(ret->listener, conn->point->address);
	COPY(ret->sni, conn->hello.name);
	COPY(ret->route, conn->hello.route);
	COPY(ret->ssl, conn->hello.ssl);
	if (conn->client.ssl != NULL && SSL_is_init_finished(conn->client.ssl))
		show_client_tls(conn, ret);
	show_upstream(conn, ret);
}
