/* SPDX-License-Identifier: Apache-2.0 */
#include "origins.h"

#include <check.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

void plane_put_upstream(struct plane *plane, const char *id, const uint16_t *ports, size_t count,
                        void (*change)(Tlsplane__Upstream *upstream))
{
	Tlsplane__Upstream upstream = TLSPLANE__UPSTREAM__INIT;
	Tlsplane__Node nodes[4], *list[4];
	char host[] = "127.0.0.1";

	ck_assert_uint_le(count, 4);
	for (size_t i = 0; i < count; i++) {
		tlsplane__node__init(&nodes[i]);
		nodes[i].host = host;
		nodes[i].port = ports[i];
		nodes[i].weight = 1;
		list[i] = &nodes[i];
	}
	upstream.nodes = list;
	upstream.n_nodes = count;
	if (change != NULL)
		change(&upstream);
	holding_put(&plane->holding, KIND_UPSTREAM, id, &upstream);
}

void plane_put_upstream_tls(struct plane *plane, const char *id, const struct pki_cert *ca,
                            void (*change)(Tlsplane__UpstreamTls *tls))
{
	Tlsplane__UpstreamTls tls = TLSPLANE__UPSTREAM_TLS__INIT;
	ProtobufCBinaryData der = {0, NULL};

	if (ca != NULL) {
		der.len = (size_t)i2d_X509(ca->cert, &der.data);
		tls.ca = &der;
		tls.n_ca = 1;
	}
	if (change != NULL)
		change(&tls);
	holding_put(&plane->holding, KIND_UPSTREAM_TLS, id, &tls);
	OPENSSL_free(der.data);
}

void plane_put_route(struct plane *plane, const char *id, const char *sni, Tlsplane__RouteMode mode, const char *upstream)
{
	Tlsplane__Route route = TLSPLANE__ROUTE__INIT;
	char *snis[] = {(char *)(uintptr_t)sni};

	route.snis = snis;
	route.n_snis = 1;
	route.has_mode = 1;
	route.mode = mode;
	route.upstream = (char *)(uintptr_t)upstream;
	holding_put(&plane->holding, KIND_ROUTE, id, &route);
}

void plane_put_listener(struct plane *plane, void (*change)(Tlsplane__Listener *listener))
{
	Tlsplane__Listener listener = TLSPLANE__LISTENER__INIT;
	char protocol[] = "tcp", host[] = "127.0.0.1", upstream[] = "u";

	listener.host = host;
	listener.port = plane->port;
	listener.protocol = protocol;
	listener.upstream = upstream;
	change(&listener);
	holding_put(&plane->holding, KIND_LISTENER, "l", &listener);
}

static bool accept_with(struct peer *peer, int fd, const struct pki_cert *cert, int verify)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert->cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
	SSL_CTX_set_verify(ctx, verify, NULL);
	peer->fd = fd;
	peer->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	ck_assert_int_eq(SSL_set_fd(peer->ssl, fd), 1);
	if (SSL_accept(peer->ssl) == 1)
		return true;
	peer_close(peer);
	return false;
}

bool origin_accept(struct peer *peer, int fd, const struct pki_cert *cert)
{
	return accept_with(peer, fd, cert, SSL_VERIFY_NONE);
}

bool origin_accept_demanding(struct peer *peer, int fd, const struct pki_cert *cert)
{
	return accept_with(peer, fd, cert, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
}

size_t origin_read_header(int fd, uint8_t *header, size_t size)
{
	size_t len;

	ck_assert_int_eq(recv(fd, header, 16, MSG_WAITALL), 16);
	len = (size_t)header[14] << 8 | header[15];
	ck_assert_uint_le(16 + len, size);
	if (len > 0)
		ck_assert_int_eq(recv(fd, header + 16, len, MSG_WAITALL), (int)len);
	return 16 + len;
}
