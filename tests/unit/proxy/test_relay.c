/* SPDX-License-Identifier: Apache-2.0 */
/* Connections from accept to close, over loopback sockets. */
#include "plane.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct plane plane;

static void relay_open(struct peer *peer, int *backend)
{
	ck_assert(peer_connect(peer, plane.port));
	*backend = accept_on(plane.backend);
}

START_TEST(test_client_ends_first)
{
	struct proxy_counters counters;
	struct peer peer;
	int backend;

	plane_init(&plane, 1);
	relay_open(&peer, &backend);
	peer_write(&peer, "hello");
	fd_expect(backend, "hello");
	fd_write(backend, "world");
	peer_expect(&peer, "world");
	ck_assert_int_eq(SSL_shutdown(peer.ssl), 0);
	ck_assert_str_eq(fd_read_end(backend), "end");
	fd_write(backend, "tail"); /* the other way is still open */
	peer_expect(&peer, "tail");
	close(backend);
	ck_assert_str_eq(peer_read_end(&peer), "end");
	peer_close(&peer);
	for (int i = 0; plane_counters(&plane).connections_open > 0 && i < 500; i++)
		plane_run(&plane, 10);
	counters = plane_counters(&plane);
	ck_assert_uint_eq(counters.connections_accepted, 1);
	ck_assert_uint_eq(counters.connections_open, 0);
	ck_assert_uint_eq(counters.handshakes_ok, 1);
	ck_assert_uint_eq(counters.bytes_in, 5);
	ck_assert_uint_eq(counters.bytes_out, 9);
	plane_deinit(&plane);
}
END_TEST

START_TEST(test_upstream_ends_first)
{
	struct peer peer;
	int backend;

	plane_init(&plane, 1);
	relay_open(&peer, &backend);
	fd_write(backend, "banner");
	shutdown(backend, SHUT_WR);
	peer_expect(&peer, "banner");
	ck_assert_str_eq(peer_read_end(&peer), "end");
	peer_write(&peer, "upload"); /* goes on */
	fd_expect(backend, "upload");
	ck_assert_int_eq(SSL_shutdown(peer.ssl), 1);
	ck_assert_str_eq(fd_read_end(backend), "end");
	close(backend);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

/* A FIN without close_notify may be an attacker's: the upstream must not take it for the end. */
START_TEST(test_truncation)
{
	struct peer peer;
	int backend;

	plane_init(&plane, 1);
	relay_open(&peer, &backend);
	peer_write(&peer, "half");
	peer_close(&peer);
	fd_expect(backend, "half");
	ck_assert_str_eq(fd_read_end(backend), "error");
	close(backend);
	relay_open(&peer, &backend); /* but when the upstream was through, it is an ordinary end */
	shutdown(backend, SHUT_WR);
	ck_assert_str_eq(peer_read_end(&peer), "end");
	peer_close(&peer);
	ck_assert_str_eq(fd_read_end(backend), "end");
	close(backend);
	plane_deinit(&plane);
}
END_TEST

/* The upstream is reset in the middle: the client must see that it was not the end. */
START_TEST(test_upstream_reset)
{
	const struct linger linger = {1, 0};
	struct peer peer;
	int backend;

	plane_init(&plane, 1);
	relay_open(&peer, &backend);
	fd_write(backend, "half");
	peer_expect(&peer, "half");
	setsockopt(backend, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(backend);
	ck_assert_str_eq(peer_read_end(&peer), "error");
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 31 + at / 4096);
}

static void fill(uint8_t *data, size_t len, size_t at)
{
	for (size_t i = 0; i < len; i++)
		data[i] = byte_at(at + i);
}

static void check(const uint8_t *data, size_t len, size_t at)
{
	size_t same = 0;

	while (same < len && data[same] == byte_at(at + same))
		same++;
	ck_assert_uint_eq(same, len);
}

#define STUCK_MS 300
#define STUCK_MAX (24u << 20) /* sockets' buffers of four ends; a relay that kept reading would take all there is */

/* Writes without blocking until nobody has taken a byte for a while. */
static size_t write_until_stuck(ssize_t (*write_some)(void *to, const uint8_t *data, size_t len), void *to)
{
	static uint8_t data[8192];
	size_t done = 0;

	for (int idle = 0; idle < STUCK_MS / 5;) {
		ssize_t n;

		fill(data, sizeof(data), done);
		n = write_some(to, data, sizeof(data));
		if (n > 0) {
			done += (size_t)n;
			idle = 0;
			ck_assert_uint_lt(done, STUCK_MAX);
		} else {
			usleep(5000);
			idle++;
		}
	}
	return done;
}

static ssize_t write_peer(void *to, const uint8_t *data, size_t len)
{
	return SSL_write(((struct peer *)to)->ssl, data, (int)len);
}

static ssize_t write_fd(void *to, const uint8_t *data, size_t len)
{
	return send(*(int *)to, data, len, MSG_NOSIGNAL);
}

static void set_blocking(int fd, bool blocking)
{
	fcntl(fd, F_SETFL, blocking ? 0 : O_NONBLOCK);
}

START_TEST(test_back_pressure_up)
{
	static uint8_t data[65536];
	size_t sent, got = 0;
	struct peer peer;
	int backend;

	plane_init(&plane, 1);
	relay_open(&peer, &backend);
	set_blocking(peer.fd, false);
	sent = write_until_stuck(write_peer, &peer);
	ck_assert_uint_gt(sent, 1u << 16);
	while (got < sent) {
		ssize_t n = recv(backend, data, sizeof(data), 0);

		ck_assert_int_gt(n, 0);
		check(data, (size_t)n, got);
		got += (size_t)n;
	}
	fd_write(backend, "ok"); /* alive both ways */
	set_blocking(peer.fd, true);
	peer_expect(&peer, "ok");
	close(backend);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

START_TEST(test_back_pressure_down)
{
	static uint8_t data[65536];
	size_t sent, got = 0;
	struct peer peer;
	int backend;

	plane_init(&plane, 1);
	relay_open(&peer, &backend);
	set_blocking(backend, false);
	sent = write_until_stuck(write_fd, &backend);
	ck_assert_uint_gt(sent, 1u << 16);
	shutdown(backend, SHUT_WR); /* the end comes after all of it */
	peer_write(&peer, "while stuck");
	set_blocking(backend, true);
	fd_expect(backend, "while stuck");
	while (got < sent) {
		int n = SSL_read(peer.ssl, data, sizeof(data));

		ck_assert_int_gt(n, 0);
		check(data, (size_t)n, got);
		got += (size_t)n;
	}
	ck_assert_str_eq(peer_read_end(&peer), "end");
	close(backend);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

/* Both at once, more than any buffer holds. */
static void *backend_echo(void *argument)
{
	int fd = *(int *)argument;
	uint8_t data[20000];
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		for (ssize_t done = 0; done < n;) {
			ssize_t w = send(fd, data + done, (size_t)(n - done), MSG_NOSIGNAL);

			if (w <= 0)
				return NULL;
			done += w;
		}
	shutdown(fd, SHUT_WR);
	return NULL;
}

START_TEST(test_echo)
{
	static uint8_t data[65536];
	const size_t total = 8u << 20;
	size_t sent = 0, got = 0;
	pthread_t thread;
	struct peer peer;
	int backend;

	plane_init(&plane, 2);
	relay_open(&peer, &backend);
	pthread_create(&thread, NULL, backend_echo, &backend);
	set_blocking(peer.fd, false);
	while (got < total) {
		int n;

		if (sent < total) {
			size_t len = 1 + sent % 30011 < total - sent ? 1 + sent % 30011 : total - sent;

			fill(data, len, sent);
			n = SSL_write(peer.ssl, data, (int)len);
			sent += n > 0 ? (size_t)n : 0;
		}
		n = SSL_read(peer.ssl, data, sizeof(data));
		if (n > 0) {
			check(data, (size_t)n, got);
			got += (size_t)n;
		}
	}
	ck_assert_int_eq(SSL_shutdown(peer.ssl), 0);
	set_blocking(peer.fd, true);
	ck_assert_str_eq(peer_read_end(&peer), "end");
	pthread_join(thread, NULL);
	close(backend);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

START_TEST(test_next_node)
{
	uint16_t ports[3];
	struct peer peer;
	int backend;

	plane_init(&plane, 1);
	ports[0] = free_port();
	ports[1] = plane.backend_port;
	ports[2] = free_port();
	plane_begin(&plane);
	holding_put_upstream(&plane.holding, "u", ports, 3);
	plane_publish(&plane);
	for (int i = 0; i < 4; i++) {
		relay_open(&peer, &backend);
		peer_write(&peer, "x");
		fd_expect(backend, "x");
		close(backend);
		peer_close(&peer);
	}
	ck_assert_uint_eq(plane_counters(&plane).upstream_failures, 0);
	plane_begin(&plane);
	holding_put_upstream(&plane.holding, "u", ports, 1);
	plane_publish(&plane);
	ck_assert(peer_connect(&peer, plane.port)); /* the handshake is our part of it */
	ck_assert_str_eq(peer_read_end(&peer), "error");
	plane_wait_for(&plane, upstream_failures, 1);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

static void be_short(Tlsplane__TlsOptions *options)
{
	options->has_handshake_timeout_ms = 1;
	options->handshake_timeout_ms = 400;
}

/* Neither silence nor a byte now and then gets more than the deadline; and silence costs no SSL. */
START_TEST(test_deadline)
{
	const uint8_t hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03};
	uint64_t start, took;
	int silent, dripping;

	plane_init(&plane, 1);
	plane_begin(&plane);
	holding_put_options(&plane.holding, "modern", be_short);
	plane_publish(&plane);
	start = uv_hrtime();
	silent = connect_to_port(plane.port);
	dripping = connect_to_port(plane.port);
	for (size_t i = 0; i < sizeof(hello); i++) {
		ssize_t n = send(dripping, &hello[i], 1, MSG_NOSIGNAL);

		ck_assert(n == 1 || i > 5);
		usleep(50000);
	}
	ck_assert_str_ne(fd_read_end(dripping), "data");
	ck_assert_str_ne(fd_read_end(silent), "data");
	took = (uv_hrtime() - start) / 1000000;
	ck_assert_uint_ge(took, 350);
	ck_assert_uint_lt(took, 2000);
	plane_wait_for(&plane, handshakes_timed_out, 2);
	close(silent);
	close(dripping);
	plane_deinit(&plane);
}
END_TEST

START_TEST(test_limit)
{
	int fds[3];

	plane_init(&plane, 2);
	plane_begin(&plane);
	holding_put_listener(&plane.holding, "l", "127.0.0.1", plane.port, "u", NULL, 2);
	plane_publish(&plane);
	for (int i = 0; i < 3; i++) {
		fds[i] = connect_to_port(plane.port);
		plane_wait_for(&plane, connections_accepted, i + 1);
	}
	ck_assert_str_ne(fd_read_end(fds[2]), "data");
	ck_assert_uint_eq(plane_counters(&plane).connections_refused, 1);
	ck_assert_int_eq((int)plane_connections(&plane, "l"), 2);
	close(fds[0]); /* room again */
	while (plane_connections(&plane, "l") > 1)
		plane_run(&plane, 5);
	fds[0] = connect_to_port(plane.port);
	plane_wait_for(&plane, connections_accepted, 4);
	ck_assert_uint_eq(plane_counters(&plane).connections_refused, 1);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	plane_deinit(&plane);
}
END_TEST

START_TEST(test_garbage)
{
	struct proxy_counters counters;
	uint8_t alert[7];
	int fd;

	plane_init(&plane, 1);
	fd = connect_to_port(plane.port);
	fd_write(fd, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
	ck_assert_str_ne(fd_read_end(fd), "silence");
	close(fd);
	fd = connect_to_port(
	    plane.port); /* a record that is no handshake: an alert comes, and is not lost to unread bytes */
	ck_assert_int_eq(send(fd, "\x15\x03\x01\x00\x02\x02\x28 and more and more", 24, 0), 24);
	ck_assert_int_ge(recv(fd, alert, sizeof(alert), MSG_WAITALL), 0);
	close(fd);
	plane_wait_for(&plane, handshakes_failed, 2);
	counters = plane_counters(&plane);
	ck_assert_uint_eq(counters.failures_protocol, 2);
	ck_assert_uint_eq(counters.handshakes_ok, 0);
	plane_deinit(&plane);
}
END_TEST

/* A flood of messages that carry no data ends in nothing worse than its own connection's turns. */
START_TEST(test_key_updates)
{
	struct peer flood, other;
	int flood_backend, backend;

	plane_init(&plane, 1);
	relay_open(&flood, &flood_backend);
	relay_open(&other, &backend);
	for (int i = 0; i < 3000; i++) {
		ck_assert_int_eq(SSL_key_update(flood.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		ck_assert_int_eq(SSL_do_handshake(flood.ssl), 1);
		if (i % 500 == 0) {
			peer_write(&other, "x");
			fd_expect(backend, "x");
		}
	}
	peer_write(&flood, "after");
	fd_expect(flood_backend, "after");
	close(flood_backend);
	close(backend);
	peer_close(&flood);
	peer_close(&other);
	plane_deinit(&plane);
}
END_TEST

/* While clients hammer, the object is replaced again and again: no handshake fails, and no answer is lost. */
static atomic_bool stop;
static atomic_uint served;

static void *hammer(void *argument)
{
	while (!atomic_load(&stop)) {
		struct peer peer;

		ck_assert(peer_connect(&peer, plane.port));
		peer_write(&peer, "ping");
		peer_expect(&peer, "pong");
		peer_close(&peer);
		atomic_fetch_add(&served, 1);
	}
	return NULL;
}

static void *answer(void *argument)
{
	for (;;) {
		int fd = accept(plane.backend, NULL, NULL);
		char ping[4];

		if (fd < 0)
			return NULL;
		if (recv(fd, ping, sizeof(ping), MSG_WAITALL) == 4)
			send(fd, "pong", 4, MSG_NOSIGNAL);
		close(fd);
	}
}

START_TEST(test_swaps)
{
	pthread_t clients[2], backend;

	plane_init(&plane, 2);
	pthread_create(&backend, NULL, answer, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&clients[i], NULL, hammer, NULL);
	for (int i = 0; i < 200; i++) {
		plane_begin(&plane);
		holding_put_ssl(&plane.holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {plane.cert}});
		if (i % 10 == 0)
			holding_put_upstream(&plane.holding, "u", &plane.backend_port, 1);
		plane_publish(&plane);
		plane_run(&plane, 1);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(clients[i], NULL);
	shutdown(plane.backend, SHUT_RDWR);
	pthread_join(backend, NULL);
	ck_assert_uint_gt(atomic_load(&served), 10);
	ck_assert_uint_eq(plane_counters(&plane).handshakes_failed, 0);
	plane_deinit(&plane);
}
END_TEST

/* Stopping: no new connections, those there may finish. */
static void on_stopped(void *owner)
{
	((struct plane *)owner)->closed = true;
}

START_TEST(test_drain)
{
	struct peer peer;
	int backend;

	plane_init(&plane, 2);
	relay_open(&peer, &backend);
	proxy_close(plane.proxy, 5000, on_stopped);
	plane.proxy = NULL;
	plane_run(&plane, 100);
	ck_assert_int_lt(connect_to_port(plane.port), 0);
	ck_assert(!plane.closed);
	peer_write(&peer, "last");
	fd_expect(backend, "last");
	fd_write(backend, "words");
	close(backend);
	peer_expect(&peer, "words");
	ck_assert_str_eq(peer_read_end(&peer), "end");
	SSL_shutdown(peer.ssl);
	peer_close(&peer);
	plane_deinit(&plane);
}
END_TEST

UNIT_MAIN("proxy/relay", test_client_ends_first, test_upstream_ends_first, test_truncation, test_upstream_reset,
          test_back_pressure_up, test_back_pressure_down, test_echo, test_next_node, test_deadline, test_limit,
          test_garbage, test_key_updates, test_swaps, test_drain)
