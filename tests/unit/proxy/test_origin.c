/* SPDX-License-Identifier: Apache-2.0 */
/* TLS with nodes, and PROXY headers towards them, over loopback sockets. */
#include "origins.h"
#include "proxy/proxy_header.h"
#include "unit.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct plane plane;
static struct pki_cert *ca, *server;

static void use_tls(Tlsplane__Upstream *upstream)
{
	static char id[] = "t";

	upstream->has_tls = 1;
	upstream->tls = 1;
	upstream->upstream_tls = id;
}

static void use_tls_and_v2(Tlsplane__Upstream *upstream)
{
	use_tls(upstream);
	upstream->has_send_proxy_protocol = 1;
	upstream->send_proxy_protocol = 2;
}

static void use_v1(Tlsplane__Upstream *upstream)
{
	upstream->has_send_proxy_protocol = 1;
	upstream->send_proxy_protocol = 1;
}

static void start(void (*change)(Tlsplane__Upstream *upstream), void (*change_tls)(Tlsplane__UpstreamTls *tls))
{
	plane_init(&plane, 1);
	ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	server = pki_make(&(struct pki_spec){.name = "origin", .sans = "IP:127.0.0.1", .issuer = ca});
	plane_begin(&plane);
	plane_put_upstream_tls(&plane, "t", ca, change_tls);
	plane_put_upstream(&plane, "u", &plane.backend_port, 1, change);
	plane_publish(&plane);
}

static void finish(void)
{
	plane_deinit(&plane);
	pki_free(server);
	pki_free(ca);
}

static void open_both(struct peer *client, struct peer *origin)
{
	ck_assert(peer_connect(client, plane.port));
	ck_assert(origin_accept(origin, accept_on(plane.backend), server));
}

START_TEST(test_both_ways)
{
	struct peer client, origin;

	start(use_tls, NULL);
	open_both(&client, &origin);
	peer_write(&client, "hello");
	peer_expect(&origin, "hello");
	peer_write(&origin, "world");
	peer_expect(&client, "world");
	ck_assert_int_eq(SSL_shutdown(client.ssl), 0);
	ck_assert_str_eq(peer_read_end(&origin), "end"); /* close_notify for close_notify */
	peer_write(&origin, "tail");                     /* the other way is still open */
	peer_expect(&client, "tail");
	ck_assert_int_eq(SSL_shutdown(origin.ssl), 1);
	ck_assert_str_eq(peer_read_end(&client), "end");
	peer_close(&client);
	peer_close(&origin);
	ck_assert_uint_eq(plane_counters(&plane).upstream_tls_ok, 1);
	ck_assert_uint_eq(plane_counters(&plane).upstream_failures, 0);
	finish();
}
END_TEST

START_TEST(test_origin_ends_first)
{
	struct peer client, origin;

	start(use_tls, NULL);
	open_both(&client, &origin);
	peer_write(&origin, "all");
	ck_assert_int_eq(SSL_shutdown(origin.ssl), 0);
	peer_expect(&client, "all");
	ck_assert_str_eq(peer_read_end(&client), "end");
	peer_write(&client, "upload"); /* goes on */
	peer_expect(&origin, "upload");
	ck_assert_int_eq(SSL_shutdown(client.ssl), 1);
	ck_assert_str_eq(peer_read_end(&origin), "end");
	peer_close(&client);
	peer_close(&origin);
	finish();
}
END_TEST

/* TLS that ends without close_notify has been cut: neither side may take it for the end. */
START_TEST(test_truncation)
{
	struct peer client, origin;

	start(use_tls, NULL);
	open_both(&client, &origin);
	peer_write(&origin, "half");
	shutdown(origin.fd, SHUT_WR);
	peer_expect(&client, "half");
	ck_assert_str_eq(peer_read_end(&client), "error");
	peer_close(&client);
	peer_close(&origin);
	open_both(&client, &origin);
	peer_write(&client, "half");
	peer_close(&client);
	peer_expect(&origin, "half");
	ck_assert_str_eq(peer_read_end(&origin), "error");
	peer_close(&origin);
	finish();
}
END_TEST

/* Whoever the node is, it gets a ClientHello and never a byte in clear. */
START_TEST(test_wrong_authority)
{
	struct pki_cert *other = pki_make(&(struct pki_spec){.name = "origin", .sans = "IP:127.0.0.1"});
	struct peer client, origin;

	start(use_tls, NULL);
	ck_assert(peer_connect(&client, plane.port));
	peer_write(&client, "secret");
	ck_assert(!origin_accept(&origin, accept_on(plane.backend), other) || strcmp(peer_read_end(&origin), "error") == 0);
	peer_close(&origin);
	ck_assert_str_eq(peer_read_end(&client), "error");
	peer_close(&client);
	plane_wait_for(&plane, upstream_tls_failures[ORIGIN_CAUSE_CHAIN], 1);
	ck_assert_uint_eq(plane_counters(&plane).upstream_failures, 1);
	ck_assert_uint_eq(plane_counters(&plane).bytes_in, 0);
	pki_free(other);
	finish();
}
END_TEST

START_TEST(test_origin_without_tls)
{
	struct peer client;
	int backend;

	start(use_tls, NULL);
	ck_assert(peer_connect(&client, plane.port));
	backend = accept_on(plane.backend);
	fd_write(backend, "220 welcome\r\n");
	ck_assert_str_eq(peer_read_end(&client), "error");
	close(backend);
	peer_close(&client);
	plane_wait_for(&plane, upstream_tls_failures[ORIGIN_CAUSE_PROTOCOL], 1);
	finish();
}
END_TEST

START_TEST(test_next_node)
{
	struct pki_cert *other = pki_make(&(struct pki_spec){.name = "origin", .sans = "IP:127.0.0.1"});
	uint16_t ports[2] = {0, free_port()};
	int second = listen_on(ports[1]);
	struct peer client, origin;

	start(use_tls, NULL);
	ports[0] = plane.backend_port;
	plane_begin(&plane);
	plane_put_upstream(&plane, "u", ports, 2, use_tls);
	plane_publish(&plane);
	ck_assert(peer_connect(&client, plane.port));
	peer_write(&client, "for the second");
	if (origin_accept(&origin, accept_on(plane.backend), other))
		peer_close(&origin);
	ck_assert(origin_accept(&origin, accept_on(second), server));
	peer_expect(&origin, "for the second");
	peer_close(&client);
	peer_close(&origin);
	ck_assert_uint_eq(plane_counters(&plane).upstream_tls_failures[ORIGIN_CAUSE_CHAIN], 1);
	ck_assert_uint_eq(plane_counters(&plane).upstream_failures, 0);
	close(second);
	pki_free(other);
	finish();
}
END_TEST

static void be_quick(Tlsplane__UpstreamTls *tls)
{
	tls->has_handshake_timeout_ms = 1;
	tls->handshake_timeout_ms = 200;
}

START_TEST(test_stalled_handshake)
{
	struct peer client;
	int backend;

	start(use_tls, be_quick);
	ck_assert(peer_connect(&client, plane.port));
	backend = accept_on(plane.backend);
	ck_assert_str_eq(peer_read_end(&client), "error");
	close(backend);
	peer_close(&client);
	plane_wait_for(&plane, upstream_tls_failures[ORIGIN_CAUSE_NONE], 1);
	finish();
}
END_TEST

static void be_permissive(Tlsplane__UpstreamTls *tls)
{
	tls->has_verify = 1;
	tls->verify = TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_PERMISSIVE;
}

START_TEST(test_permissive)
{
	struct pki_cert *other = pki_make(&(struct pki_spec){.name = "origin", .sans = "IP:127.0.0.1"});
	struct peer client, origin;

	start(use_tls, be_permissive);
	ck_assert(peer_connect(&client, plane.port));
	ck_assert(origin_accept(&origin, accept_on(plane.backend), other));
	peer_write(&client, "hello");
	peer_expect(&origin, "hello");
	peer_close(&client);
	peer_close(&origin);
	plane_wait_for(&plane, upstream_tls_permissive, 1);
	pki_free(other);
	finish();
}
END_TEST

/* Under TLS 1.3 our handshake is done before the origin has seen what we show: its alert is told and counted all the same. */
START_TEST(test_origin_demands_certificate)
{
	struct peer client, origin;

	start(use_tls, NULL);
	ck_assert(peer_connect(&client, plane.port));
	ck_assert(!origin_accept_demanding(&origin, accept_on(plane.backend), server));
	ck_assert_str_eq(peer_read_end(&client), "error");
	peer_close(&client);
	plane_wait_for(&plane, upstream_tls_failures[ORIGIN_CAUSE_ALERT], 1);
	ck_assert_uint_eq(plane_counters(&plane).upstream_tls_ok, 1);
	finish();
}
END_TEST

#define BULK (6u << 20)

static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 31 + at / 4096);
}

/* The origin: reads slowly at first, checks, then sends as much back. */
static void *run_origin(void *argument)
{
	static char cut[] = "cut", wrong[] = "wrong byte", not_taken[] = "not taken";
	struct peer *origin = argument;
	uint8_t data[8192];

	usleep(300000); /* until all buffers are full */
	for (size_t at = 0; at < BULK;) {
		int n = SSL_read(origin->ssl, data, sizeof(data));

		if (n <= 0)
			return cut;
		for (int i = 0; i < n; i++, at++)
			if (data[i] != byte_at(at))
				return wrong;
	}
	for (size_t at = 0; at < BULK;) {
		size_t n = 0;

		for (; n < sizeof(data) && at + n < BULK; n++)
			data[n] = byte_at(at + n);
		if (SSL_write(origin->ssl, data, (int)n) != (int)n)
			return not_taken;
		at += n;
	}
	return NULL;
}

START_TEST(test_back_pressure)
{
	struct peer client, origin;
	uint8_t data[16384];
	pthread_t thread;
	void *problem;

	start(use_tls, NULL);
	open_both(&client, &origin);
	SSL_clear_mode(origin.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_origin, &origin), 0);
	for (size_t at = 0; at < BULK;) {
		size_t n = 0;
		int written;

		for (; n < sizeof(data) && at + n < BULK; n++)
			data[n] = byte_at(at + n);
		written = SSL_write(client.ssl, data, (int)n);
		ck_assert_int_gt(written, 0);
		at += (size_t)written;
	}
	usleep(600000);
	for (size_t at = 0; at < BULK;) {
		int n = SSL_read(client.ssl, data, sizeof(data));

		ck_assert_int_gt(n, 0);
		for (int i = 0; i < n; i++, at++)
			ck_assert_uint_eq(data[i], byte_at(at));
	}
	pthread_join(thread, &problem);
	ck_assert_ptr_null(problem);
	peer_close(&client);
	peer_close(&origin);
	finish();
}
END_TEST

/* The header stands before TLS, and says who the client is. */
START_TEST(test_header_before_tls)
{
	uint8_t header[1024];
	struct proxy_header parsed;
	struct peer client, origin;
	char text[ENDPOINT_TEXT_MAX];
	size_t len, taken;
	int backend;

	start(use_tls_and_v2, NULL);
	ck_assert(peer_connect(&client, plane.port));
	backend = accept_on(plane.backend);
	len = origin_read_header(backend, header, sizeof(header));
	ck_assert_int_eq(proxy_header_parse(BYTES(header, len), &parsed, &taken, NULL), 1);
	endpoint_format(&parsed.source, text);
	ck_assert_int_eq(strncmp(text, "127.0.0.1:", 10), 0);
	ck_assert_uint_eq(ntohs(parsed.destination.v4.sin_port), plane.port);
	ck_assert_ptr_nonnull(memmem(header, len, "a.test", 6));
	ck_assert_ptr_nonnull(memmem(header, len, "TLSv1.3", 7));
	ck_assert(origin_accept(&origin, backend, server));
	peer_write(&client, "hello");
	peer_expect(&origin, "hello");
	peer_close(&client);
	peer_close(&origin);
	finish();
}
END_TEST

static Tlsplane__ClientAuth client_auth;
static ProtobufCBinaryData client_ca;

static void ask_clients(Tlsplane__TlsOptions *options)
{
	tlsplane__client_auth__init(&client_auth);
	client_auth.has_verify = client_auth.has_map_identity = client_auth.map_identity = 1;
	client_auth.verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
	client_auth.ca = &client_ca;
	client_auth.n_ca = 1;
	options->client_auth = &client_auth;
}

/* Of a client that shows a certificate: flags, name, certificate and digest, and the identity that it maps to. */
START_TEST(test_header_of_certificate)
{
	struct pki_cert *own_ca = pki_make(&(struct pki_spec){.name = "clients", .is_ca = true});
	struct pki_cert *own = pki_make(&(struct pki_spec){.name = "me", .sans = "email:me@a.test", .issuer = own_ca, .usage = "clientAuth"});
	uint8_t header[4096], sha256[32], *der = NULL;
	struct peer client;
	size_t len, der_len;
	int backend;

	client_ca = (ProtobufCBinaryData){0, NULL};
	client_ca.len = (size_t)i2d_X509(own_ca->cert, &client_ca.data);
	start(use_tls_and_v2, NULL);
	plane_begin(&plane);
	holding_put_options(&plane.holding, "modern", ask_clients);
	plane_publish(&plane);
	ck_assert(peer_connect_as(&client, plane.port, own));
	backend = accept_on(plane.backend);
	len = origin_read_header(backend, header, sizeof(header));
	der_len = (size_t)i2d_X509(own->cert, &der);
	ck_assert_int_eq(X509_digest(own->cert, EVP_sha256(), sha256, NULL), 1);
	ck_assert_ptr_nonnull(memmem(header, len, "\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x02me", 20));
	ck_assert_ptr_nonnull(memmem(header, len, "EC256", 5));
	ck_assert_ptr_nonnull(memmem(header, len, der, der_len));
	ck_assert_ptr_nonnull(memmem(header, len, "\xe0\0\x09me@a.test\xe1\0\x20", 15));
	ck_assert(memcmp(header + len - 32, sha256, 32) == 0);
	close(backend);
	peer_close(&client);
	OPENSSL_free(der);
	OPENSSL_free(client_ca.data);
	pki_free(own);
	pki_free(own_ca);
	finish();
}
END_TEST

START_TEST(test_header_before_plain)
{
	char line[PROXY_HEADER_V1_MAX + 1] = "", *end;
	struct peer client;
	int backend;
	ssize_t n;

	start(use_v1, NULL);
	ck_assert(peer_connect(&client, plane.port));
	backend = accept_on(plane.backend); /* the header comes at once: who speaks first may be the upstream */
	n = recv(backend, line, sizeof(line) - 1, 0);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(strncmp(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ", 31), 0);
	end = strstr(line, "\r\n");
	ck_assert(end != NULL && end[2] == 0);
	fd_write(backend, "220 welcome");
	peer_expect(&client, "220 welcome");
	peer_write(&client, "hello");
	fd_expect(backend, "hello");
	close(backend);
	peer_close(&client);
	finish();
}
END_TEST

UNIT_MAIN("proxy/origin", test_both_ways, test_origin_ends_first, test_truncation, test_wrong_authority, test_origin_without_tls,
          test_next_node, test_stalled_handshake, test_permissive,
          test_origin_demands_certificate, test_back_pressure, test_header_before_tls,
          test_header_of_certificate, test_header_before_plain)
