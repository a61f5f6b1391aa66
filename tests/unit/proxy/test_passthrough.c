/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes handed on unopened, whatever way the ClientHello comes in; and what a ClientHello may cost. */
#include "base/buf.h"
#include "origins.h"
#include "unit.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct plane plane;
static struct pki_cert *server;

static void send_v1(Tlsplane__Upstream *upstream)
{
	upstream->has_send_proxy_protocol = 1;
	upstream->send_proxy_protocol = 1;
}

static void start(void (*change)(Tlsplane__Upstream *upstream))
{
	plane_init(&plane, 1);
	server = pki_make(&(struct pki_spec){.name = "origin", .sans = "DNS:a.test"});
	plane_begin(&plane);
	plane_put_upstream(&plane, "u", &plane.backend_port, 1, change);
	plane_put_route(&plane, "r", "a.test", TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH, "u");
	plane_publish(&plane);
}

static void finish(void)
{
	plane_deinit(&plane);
	pki_free(server);
}

/* A ClientHello for a.test, one record. groups: NULL, or in the order of preference; a share is sent for the first. */
static void make_hello(const char *groups, struct buf *hello)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char *data;

	ck_assert_int_eq(SSL_set_tlsext_host_name(ssl, "a.test"), 1);
	ck_assert(groups == NULL || SSL_set1_groups_list(ssl, groups) == 1);
	SSL_set_bio(ssl, in, out);
	ck_assert_int_eq(SSL_connect(ssl), -1);
	ERR_clear_error();
	buf_put(hello, data, (size_t)BIO_get_mem_data(out, &data));
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ck_assert(!hello->failed && hello->len > 100);
}

/* The same message in records of `part` bytes. */
static void split_records(const struct buf *hello, size_t part, struct buf *ret)
{
	for (size_t at = 5; at < hello->len; at += part) {
		size_t n = part < hello->len - at ? part : hello->len - at;

		buf_put_u8(ret, 22);
		buf_put_u16(ret, 0x0301);
		buf_put_u16(ret, (uint16_t)n);
		buf_put(ret, hello->data + at, n);
	}
	ck_assert(!ret->failed);
}

static void send_in_parts(int fd, const struct buf *data, size_t part)
{
	for (size_t at = 0; at < data->len; at += part) {
		size_t n = part < data->len - at ? part : data->len - at;

		ck_assert_int_eq(send(fd, data->data + at, n, MSG_NOSIGNAL), (int)n);
		if (part < data->len)
			usleep(200);
	}
}

static void expect_bytes(int fd, const struct buf *data)
{
	uint8_t got[8192];

	ck_assert_uint_le(data->len, sizeof(got));
	ck_assert_int_eq(recv(fd, got, data->len, MSG_WAITALL), (int)data->len);
	ck_assert(memcmp(got, data->data, data->len) == 0);
}

static int connect_nodelay(void)
{
	int fd = connect_to_port(plane.port);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(test_any_fragmentation)
{
	static const struct {
		size_t record, segment;
	} rows[] = {{16384, SIZE_MAX}, {16384, 1}, {1, SIZE_MAX}, {1, 7}, {5, 3}, {100, 64}};
	CLEANUP(buf_deinit) struct buf hello = BUF_NULL;

	start(NULL);
	make_hello(NULL, &hello);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_deinit) struct buf data = BUF_NULL;
		int fd = connect_nodelay(), backend;

		split_records(&hello, rows[i].record, &data);
		send_in_parts(fd, &data, rows[i].segment);
		backend = accept_on(plane.backend);
		expect_bytes(backend, &data);
		fd_write(backend, "answer");
		fd_expect(fd, "answer");
		fd_write(fd, "more");
		fd_expect(backend, "more");
		close(fd);
		ck_assert_str_eq(fd_read_end(backend), "end");
		close(backend);
	}
	ck_assert_uint_eq(plane_counters(&plane).passthrough, ARRAY_LEN(rows));
	ck_assert_uint_eq(plane_counters(&plane).handshakes_ok + plane_counters(&plane).handshakes_failed, 0);
	finish();
}
END_TEST

/* What comes behind the hello in the same segment (early data) is not lost; the PROXY header stands in front. */
START_TEST(test_what_surrounds_the_hello)
{
	CLEANUP(buf_deinit) struct buf data = BUF_NULL;
	char line[128] = "";
	size_t len = 0;
	int fd, backend;

	start(send_v1);
	make_hello(NULL, &data);
	buf_put(&data, "\x17\x03\x03\x00\x05"
	               "early", 10);
	fd = connect_nodelay();
	send_in_parts(fd, &data, SIZE_MAX);
	backend = accept_on(plane.backend);
	while (len < sizeof(line) - 1 && strchr(line, '\n') == NULL)
		ck_assert_int_eq(recv(backend, line + len++, 1, 0), 1);
	ck_assert_int_eq(strncmp(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ", 31), 0);
	expect_bytes(backend, &data);
	shutdown(fd, SHUT_WR); /* half-closed: the answer still comes */
	ck_assert_str_eq(fd_read_end(backend), "end");
	fd_write(backend, "late answer");
	close(backend);
	fd_expect(fd, "late answer");
	ck_assert_str_eq(fd_read_end(fd), "end");
	close(fd);
	finish();
}
END_TEST

static void step(struct peer *peer, int (*shake)(SSL *ssl), bool *done)
{
	int r = *done ? 1 : shake(peer->ssl);

	if (r == 1) {
		*done = true;
		return;
	}
	ck_assert_int_eq(SSL_get_error(peer->ssl, r), SSL_ERROR_WANT_READ);
}

/* A whole handshake with the origin's own certificate. */
START_TEST(test_handshake_end_to_end)
{
	SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method()), *server_ctx = SSL_CTX_new(TLS_server_method());
	struct peer client, origin = {.fd = -1};
	bool client_done = false, origin_done = false;

	start(NULL);
	client = (struct peer){connect_nodelay(), SSL_new(client_ctx)};
	fcntl(client.fd, F_SETFL, O_NONBLOCK);
	SSL_set_tlsext_host_name(client.ssl, "a.test");
	SSL_set_fd(client.ssl, client.fd);
	step(&client, SSL_connect, &client_done);
	ck_assert_int_eq(SSL_CTX_use_certificate(server_ctx, server->cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(server_ctx, server->key), 1);
	origin = (struct peer){accept_on(plane.backend), SSL_new(server_ctx)};
	fcntl(origin.fd, F_SETFL, O_NONBLOCK);
	SSL_set_fd(origin.ssl, origin.fd);
	for (int i = 0; i < 5000 && !(client_done && origin_done); i++) {
		step(&origin, SSL_accept, &origin_done);
		step(&client, SSL_connect, &client_done);
		usleep(1000);
	}
	ck_assert(client_done && origin_done);
	ck_assert(X509_cmp(SSL_get0_peer_certificate(client.ssl), server->cert) == 0);
	peer_close(&client);
	peer_close(&origin);
	SSL_CTX_free(client_ctx);
	SSL_CTX_free(server_ctx);
	finish();
}
END_TEST

static void send_claim(int fd, uint32_t claim, size_t sent)
{
	CLEANUP(buf_deinit) struct buf data = BUF_NULL;

	buf_put(&data, "\x16\x03\x01\x40\x00\x01", 6);
	buf_put_u8(&data, (uint8_t)(claim >> 16));
	buf_put_u16(&data, (uint16_t)claim);
	for (size_t i = 0; i < sent; i++)
		buf_put_u8(&data, 0);
	ck_assert(!data.failed);
	ck_assert_int_eq(send(fd, data.data, data.len, MSG_NOSIGNAL), (int)data.len);
}

/* The claim alone is refused; one within the bound is waited for. */
START_TEST(test_too_long)
{
	uint8_t alert[7];
	int fd;

	start(NULL);
	fd = connect_nodelay();
	send_claim(fd, 100000, 0);
	ck_assert_int_eq(recv(fd, alert, sizeof(alert), MSG_WAITALL), 7);
	ck_assert(memcmp(alert, "\x15\x03\x01\x00\x02\x02\x2f", 7) == 0); /* illegal_parameter */
	ck_assert_str_eq(fd_read_end(fd), "end");
	close(fd);
	plane_wait_for(&plane, failures_size, 1);
	ck_assert_uint_eq(plane_counters(&plane).handshakes_failed, 1);
	fd = connect_nodelay();
	send_claim(fd, 20000, 5000);
	plane_run(&plane, 100);
	ck_assert_uint_eq(plane_counters(&plane).handshakes_failed, 1);
	close(fd);
	plane_wait_for(&plane, handshakes_failed, 2);
	finish();
}
END_TEST

/* A second hello, after HelloRetryRequest, is bounded too. */
START_TEST(test_too_long_after_retry)
{
	CLEANUP(buf_deinit) struct buf hello = BUF_NULL;
	uint8_t answer[1024];
	int fd;

	plane_init(&plane, 1);
	make_hello("ffdhe2048:X25519", &hello);
	fd = connect_nodelay();
	send_in_parts(fd, &hello, SIZE_MAX);
	ck_assert_int_gt(recv(fd, answer, sizeof(answer), 0), 10);
	ck_assert_uint_eq(answer[0], 22); /* no alert */
	send_claim(fd, 100000, 0);
	plane_wait_for(&plane, failures_size, 1);
	close(fd);
	plane_deinit(&plane);
}
END_TEST

UNIT_MAIN("proxy/passthrough", test_any_fragmentation, test_what_surrounds_the_hello, test_handshake_end_to_end, test_too_long,
          test_too_long_after_retry)
