/* SPDX-License-Identifier: Apache-2.0 */
/* What peers do to a channel: garbage, silence, a cut, and a crowd of them. */
#include "pair.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(bad_frames)
{
	static const struct {
		const char *bytes;
		size_t len;
		int code;
		const char *words;
	} cases[] = {
	    {"\x00\x20\x00\x01\x00\x04\x00\x00", 8, E_TOO_LARGE, "2097153"},
	    {"\xff\xff\xff\xff\x00\x04\x00\x00", 8, E_TOO_LARGE, "4294967295"},
	    {"\x00\x00\x00\x00\x00\x63\x00\x00", 8, E_PROTOCOL, "unknown type 99"},
	    {"GET / HTTP/1.1\r\n\r\n", 18, E_PROTOCOL, "unknown type"},
	    {"\x00\x00\x00\x02\x00\x0f\x00\x00\xff\xff", 10, E_SYNTAX, "Ack"},
	    {"\x00\x00\x00\x06\x00\x0f\x00\x00\x08\x01\x10\x02\x78\x01", 14, E_INVALID, "Ack"},
	};
	struct raw_client client = {.alpn = "\012tlsplane/1"};

	pki_make(&pki);
	client.certificate = pki.agent;
	client.key = pki.key;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct end server = {0};

		client.bytes = BYTES(cases[i].bytes, cases[i].len);
		ends_run_raw(&server, server_tls(), 5000, &client);
		ck_assert_int_eq(server.opened, 1);
		ck_assert_int_eq(server.messages, 0);
		check_why(&server, cases[i].code, cases[i].words);
	}
	pki_free(&pki);
}
END_TEST

START_TEST(garbage_instead_of_tls)
{
	static const struct {
		const char *bytes;
		size_t len;
		int code;
	} cases[] = {
	    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, E_CRYPTO},
	    {"SSH-2.0-x\r\n", 11, E_CRYPTO},
	    {"\x16\x03\x01\xff\xff\x01", 6, E_CRYPTO},
	    {"\x15\x03\x01\x00\x02\x02\x28", 7, E_CRYPTO},
	    {"\x16\x03\x01", 3, E_TIMEOUT},
	};

	pki_make(&pki);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct end server = {0};
		struct raw_client client = {.without_tls = true, .bytes = BYTES(cases[i].bytes, cases[i].len)};

		ends_run_raw(&server, server_tls(), 300, &client);
		ck_assert_int_eq(server.opened, 0);
		check_why(&server, cases[i].code, "handshake with 127.0.0.1:");
	}
	pki_free(&pki);
}
END_TEST

#define CROWD 200

static int count_answered(const int *fds)
{
	struct pollfd polled;
	int answered = 0;

	for (size_t i = 0; i < CROWD; i++) {
		polled = (struct pollfd){.fd = fds[i], .events = POLLIN};
		answered += poll(&polled, 1, 0);
	}
	return answered;
}

/* 200 signatures take longer than a turn may: some are answered in the first one, all in the end. */
START_TEST(a_crowd_leaves_the_loop_to_others)
{
	static struct end servers[CROWD], clients[CROWD];
	struct channel_tls *server_side, *client_side;
	uv_loop_t clients_loop;
	int fds[2], client_fds[CROWD], opened = 0;

	pki_make(&pki);
	server_side = server_tls();
	client_side = client_tls();
	ck_assert_int_eq(uv_loop_init(&loop) + uv_loop_init(&clients_loop), 0);
	for (size_t i = 0; i < CROWD; i++) {
		servers[i] = clients[i] = (struct end){0};
		sockets_make(fds);
		client_fds[i] = fds[1];
		end_start(&servers[i], &loop, fds[0], server_side, 60000);
		end_start(&clients[i], &clients_loop, fds[1], client_side, 60000);
	}
	uv_run(&loop, UV_RUN_NOWAIT);
	ck_assert_int_gt(count_answered(client_fds), 0);
	ck_assert_int_lt(count_answered(client_fds), CROWD);
	while (opened < 2 * CROWD) {
		uv_run(&clients_loop, UV_RUN_NOWAIT);
		uv_run(&loop, UV_RUN_NOWAIT);
		opened = 0;
		for (size_t i = 0; i < CROWD; i++) {
			ck_assert_int_eq(servers[i].closed + clients[i].closed, 0);
			opened += servers[i].opened + clients[i].opened;
		}
	}
	for (size_t i = 0; i < CROWD; i++) {
		channel_close(servers[i].channel, false, NULL);
		channel_close(clients[i].channel, false, NULL);
	}
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT) + uv_run(&clients_loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop) + uv_loop_close(&clients_loop), 0);
	channel_tls_unref(server_side);
	channel_tls_unref(client_side);
	pki_free(&pki);
}
END_TEST

START_TEST(silence_ends_at_the_deadline)
{
	struct end server = {0};
	struct raw_client client = {.without_tls = true, .bytes = BYTES("\x16\x03\x01\x00\x10", 5)};
	uint64_t start = uv_hrtime();

	pki_make(&pki);
	ends_run_raw(&server, server_tls(), 300, &client);
	check_why(&server, E_TIMEOUT, "300 ms");
	ck_assert_uint_ge((uv_hrtime() - start) / 1000000, 290);
	pki_free(&pki);
}
END_TEST

static void cut_peer(struct end *end)
{
	uv_os_fd_t fd = *(int *)end->context;
	struct linger none = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	shutdown(fd, SHUT_RDWR);
}

/* A FIN without close_notify is no orderly end. */
START_TEST(a_cut_is_told_from_an_end)
{
	struct end server = {.on_open = cut_peer}, client = {0};
	struct channel_tls *server_side, *client_side;
	int fds[2];

	pki_make(&pki);
	server_side = server_tls();
	client_side = client_tls();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	sockets_make(fds);
	server.context = &fds[1];
	end_start(&server, &loop, fds[0], server_side, 5000);
	end_start(&client, &loop, fds[1], client_side, 5000);
	channel_tls_unref(server_side);
	channel_tls_unref(client_side);
	run_out(&server, &client);
	check_why(&server, E_IO, "");
	pki_free(&pki);
}
END_TEST

START_TEST(bad_descriptor)
{
	struct channel_tls *tls;
	struct channel *channel = NULL;
	struct error err = ERROR_NULL;

	pki_make(&pki);
	tls = server_tls();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(channel_start(&loop, 999, tls, 1000, &end_events, NULL, &channel, &err), E_IO);
	ck_assert_ptr_null(channel);
	channel_tls_unref(tls);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	pki_free(&pki);
}
END_TEST
UNIT_MAIN("net/channel_peers", bad_frames, garbage_instead_of_tls, a_crowd_leaves_the_loop_to_others,
          silence_ends_at_the_deadline, a_cut_is_told_from_an_end, bad_descriptor)
