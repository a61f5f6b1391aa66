/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a channel: messages of every size, back-pressure, and its end at every instant and for every reason. */
#include "ends.h"

#include "net/payload.h"

#include "allocations.h"
#include "unit.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct pki pki;
static uv_loop_t loop;

static struct channel_tls *server_tls(void)
{
	return tls_server(pki.controlplane, pki.key, pki.ca, false);
}

static struct channel_tls *client_tls(void)
{
	return tls_client(NULL, pki.agent, pki.key, pki.ca, NULL);
}

static void start_both(struct end *server, struct end *client)
{
	struct channel_tls *server_side = server_tls(), *client_side = client_tls();
	int fds[2];

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	sockets_make(fds);
	end_start(server, &loop, fds[0], server_side, 5000);
	end_start(client, &loop, fds[1], client_side, 5000);
	channel_tls_unref(server_side);
	channel_tls_unref(client_side);
}

static void run_out(const struct end *server, const struct end *client)
{
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	ck_assert_int_eq(server->closed, 1);
	ck_assert_int_eq(client->closed, 1);
}

static void check_why(const struct end *end, int code, const char *words)
{
	ck_assert_msg(end->why.code == code && strstr(end->why.text, words) != NULL, "%d %s (wanted %d %s)", end->why.code,
	              end->why.text, code, words);
}

/* Messages --------------------------------------------------------------------------------------------------------- */

static const size_t sizes[] = {0, 1, 100, 16000, 16384, 16385, 100000, 2 * 1024 * 1024 - 64};

static void send_sizes(struct end *end)
{
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		ck_assert_msg(end_send_renew(end, sizes[i], &err) == 0, "%s", err.text);
}

static void close_after_all(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	if (end->messages == ARRAY_LEN(sizes))
		channel_close(end->channel, true, NULL);
}

static void echo_all(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	struct error err = ERROR_NULL;

	ck_assert_int_eq(channel_send(end->channel, type, message, &err), 0);
}

START_TEST(every_size_there_and_back)
{
	struct end server = {.on_message = echo_all}, client = {.on_open = send_sizes, .on_message = close_after_all};
	size_t total = 0;

	pki_make(&pki);
	start_both(&server, &client);
	run_out(&server, &client);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		total += sizes[i];
	ck_assert_int_eq(server.messages, ARRAY_LEN(sizes));
	ck_assert_uint_eq(server.bytes, total);
	ck_assert_uint_eq(client.bytes, total);
	check_why(&client, E_CLOSED, "closed");
	check_why(&server, E_CLOSED, "closed by the peer");
	pki_free(&pki);
}
END_TEST

static void send_too_much(struct end *end)
{
	struct error err = ERROR_NULL;

	ck_assert_int_eq(end_send_renew(end, CHANNEL_FRAME_MAX, &err), E_TOO_LARGE);
	ck_assert_int_eq(end_send_renew(end, 1, &err), 0); /* nothing is broken by that */
}

static void close_now(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	struct error err = ERROR_NULL;

	channel_close(end->channel, false, NULL);
	channel_close(end->channel, false, NULL);
	channel_close(end->channel, true, NULL);
	ck_assert_int_eq(end_send_renew(end, 1, &err), E_CLOSED);
	ck_assert(!channel_is_writable(end->channel));
}

START_TEST(too_large_to_send)
{
	struct end server = {.on_message = close_now}, client = {.on_open = send_too_much};

	pki_make(&pki);
	start_both(&server, &client);
	run_out(&server, &client);
	ck_assert_int_eq(server.messages, 1);
	pki_free(&pki);
}
END_TEST

/* Three messages arrive at once; the first closes: no further event but the close. */
static void send_three(struct end *end)
{
	struct error err = ERROR_NULL;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(end_send_renew(end, 10, &err), 0);
}

START_TEST(close_inside_on_message)
{
	struct end server = {.on_message = close_now}, client = {.on_open = send_three};

	pki_make(&pki);
	start_both(&server, &client);
	run_out(&server, &client);
	ck_assert_int_eq(server.messages, 1);
	pki_free(&pki);
}
END_TEST

static void close_at_open(struct end *end)
{
	channel_close(end->channel, false, NULL);
}

static void flush_at_open(struct end *end)
{
	struct error err = ERROR_NULL;

	ck_assert_int_eq(end_send_renew(end, 1000000, &err), 0);
	channel_close(end->channel, true, NULL);
	ck_assert_int_eq(end->closed, 0); /* never from inside */
}

START_TEST(close_inside_on_open)
{
	struct end a = {.on_open = close_at_open}, b = {0}, c = {0}, d = {.on_open = close_at_open},
	           e = {.on_open = flush_at_open}, f = {0};

	pki_make(&pki);
	start_both(&a, &b);
	run_out(&a, &b);
	start_both(&c, &d);
	run_out(&c, &d);
	start_both(&e, &f);
	run_out(&e, &f);
	ck_assert_int_eq(f.messages, 1);
	ck_assert_uint_eq(f.bytes, 1000000);
	pki_free(&pki);
}
END_TEST

START_TEST(the_owner_says_why)
{
	struct end server = {0}, client = {0};
	struct error why;

	pki_make(&pki);
	start_both(&server, &client);
	error_set(&why, E_FORBIDDEN, "revoked");
	channel_close(server.channel, false, &why);
	run_out(&server, &client);
	check_why(&server, E_FORBIDDEN, "revoked");
	check_why(&client, E_IO, "handshake with 127.0.0.1:");
	pki_free(&pki);
}
END_TEST

/* What is sent last arrives, though the receiver never stops sending and the sender never reads it. */
static void refuse_and_close(struct end *end)
{
	Tlsplane__Refused refused = TLSPLANE__REFUSED__INIT;
	struct error err = ERROR_NULL;
	char text[] = "busy";

	refused.code = TLSPLANE__REFUSED_CODE__REFUSED_BUSY;
	refused.text = text;
	ck_assert_int_eq(channel_send(end->channel, TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED, &refused.base, &err), 0);
	channel_close(end->channel, true, NULL);
}

static void send_a_lot(struct end *end)
{
	struct error err = ERROR_NULL;

	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(end_send_renew(end, 1000000, &err), 0);
}

START_TEST(last_words_arrive)
{
	struct end server = {.on_open = refuse_and_close}, client = {.on_open = send_a_lot};

	pki_make(&pki);
	start_both(&server, &client);
	run_out(&server, &client);
	ck_assert_int_eq(client.messages, 1);
	ck_assert_int_eq(client.last_type, TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED);
	check_why(&client, E_CLOSED, "closed by the peer");
	ck_assert_int_eq(server.messages, 0);
	pki_free(&pki);
}
END_TEST

/* Back-pressure ---------------------------------------------------------------------------------------------------- */

static struct channel_payload *shared;

static void fill(struct end *end)
{
	struct error err = ERROR_NULL;

	while (channel_is_writable(end->channel))
		ck_assert_int_eq(channel_send_payload(end->channel, shared, &err), 0);
	ck_assert_int_eq(end->writable, 0);
	ck_assert_uint_le(shared->refs * channel_payload_len(shared),
	                  CHANNEL_QUEUE_HIGH + 2 * channel_payload_len(shared) + (1 << 20));
}

static void finish(struct end *end)
{
	channel_close(end->channel, true, NULL);
}

START_TEST(queue_marks)
{
	struct end server = {.on_open = fill, .on_writable = finish};
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;
	struct raw_client client = {.alpn = "\012tlsplane/1", .sleep_ms = 200};
	struct error err = ERROR_NULL;

	pki_make(&pki);
	client.certificate = pki.agent;
	client.key = pki.key;
	renew.csr.len = 300000;
	renew.csr.data = calloc(1, renew.csr.len);
	ck_assert_int_eq(channel_payload_new(TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base, &shared, &err), 0);
	free(renew.csr.data);
	ck_assert_int_eq(ends_run_raw(&server, server_tls(), 5000, &client), RAW_CONNECTED | RAW_CLOSED_WELL);
	ck_assert_int_eq(server.writable, 1);
	ck_assert_uint_eq(shared->refs, 1);
	ck_assert_ptr_null(channel_payload_unref(shared));
	pki_free(&pki);
}
END_TEST

/* A payload that is not encrypted yet has two references: ours and the queue's. */
static void send_corked(struct end *end)
{
	struct error err = ERROR_NULL;

	channel_cork(end->channel);
	ck_assert_int_eq(channel_send_payload(end->channel, shared, &err), 0);
	ck_assert_int_eq(channel_send_payload(end->channel, shared, &err), 0);
	ck_assert_uint_eq(shared->refs, 3);
	channel_uncork(end->channel);
	ck_assert_uint_eq(shared->refs, 1);
	ck_assert_int_eq(channel_send_payload(end->channel, shared, &err), 0);
	ck_assert_uint_eq(shared->refs, 1);
}

/* What an answer is made of goes out together; a close, even a sudden one, does not forget it. */
static void answer_and_close(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	struct error err = ERROR_NULL;

	ck_assert_int_eq(channel_send_payload(end->channel, shared, &err), 0);
	ck_assert_uint_gt(shared->refs, 1);
	if (end->messages == 3)
		channel_close(end->channel, false, NULL);
}

START_TEST(corked)
{
	struct end server = {.on_open = send_corked}, client = {.on_message = answer_and_close};
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;
	struct error err = ERROR_NULL;

	pki_make(&pki);
	renew.csr.len = 100;
	renew.csr.data = calloc(1, renew.csr.len);
	ck_assert_int_eq(channel_payload_new(TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base, &shared, &err), 0);
	free(renew.csr.data);
	start_both(&server, &client);
	run_out(&server, &client);
	ck_assert_int_eq(client.messages, 3);
	ck_assert_int_eq(server.messages, 3);
	ck_assert_ptr_null(channel_payload_unref(shared));
	pki_free(&pki);
}
END_TEST

static void fill_and_flush(struct end *end)
{
	fill(end);
	channel_close(end->channel, true, NULL);
}

/* A peer that takes nothing holds a flush for two seconds, no longer. */
START_TEST(flush_is_bounded)
{
	struct end server = {.on_open = fill_and_flush};
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;
	struct raw_client client = {.alpn = "\012tlsplane/1", .sleep_ms = 2500};
	struct error err = ERROR_NULL;
	uint64_t start = uv_hrtime();

	pki_make(&pki);
	client.certificate = pki.agent;
	client.key = pki.key;
	renew.csr.len = 2000000;
	renew.csr.data = calloc(1, renew.csr.len);
	ck_assert_int_eq(channel_payload_new(TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base, &shared, &err), 0);
	free(renew.csr.data);
	ends_run_raw(&server, server_tls(), 5000, &client);
	ck_assert_uint_ge((uv_hrtime() - start) / 1000000, 1900);
	check_why(&server, E_CLOSED, "closed");
	channel_payload_unref(shared);
	pki_free(&pki);
}
END_TEST

/* Hostile peers ---------------------------------------------------------------------------------------------------- */

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

/* Every instant ---------------------------------------------------------------------------------------------------- */

static void ping_pong(struct end *end, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	struct error err = ERROR_NULL;

	if (end->messages >= 5)
		channel_close(end->channel, end->messages % 2 == 0, NULL);
	else if (channel_send(end->channel, type, message, &err) < 0)
		channel_close(end->channel, false, &err);
}

static void serve(struct end *end)
{
	struct error err = ERROR_NULL;

	if (end_send_renew(end, 40000, &err) < 0)
		channel_close(end->channel, false, &err);
}

/* Closes one end after n turns of the loop. False: it had ended before. */
static bool close_at_turn(int n, bool at_server, bool flush)
{
	struct end server = {.on_message = ping_pong}, client = {.on_open = serve, .on_message = ping_pong};
	struct end *end = at_server ? &server : &client;
	bool alive = true;

	start_both(&server, &client);
	for (int i = 0; i < n && alive; i++)
		alive = uv_run(&loop, UV_RUN_ONCE) != 0;
	if (end->channel != NULL)
		channel_close(end->channel, flush, NULL);
	run_out(&server, &client);
	return alive;
}

START_TEST(close_at_every_turn)
{
	pki_make(&pki);
	for (int way = 0; way < 4; way++) {
		int n = 0;

		while (close_at_turn(n, (way & 1) != 0, (way & 2) != 0))
			n++;
		ck_assert_int_gt(n, 10);
	}
	pki_free(&pki);
}
END_TEST

/* From the nth allocation on nothing can be had: whatever happens, both ends close once, and nothing leaks. */
static bool run_without_memory(size_t n)
{
	struct end server = {.on_message = ping_pong}, client = {.on_open = serve, .on_message = ping_pong};
	bool failed;

	start_both(&server, &client);
	allocations_fail_at(n);
	uv_run(&loop, UV_RUN_DEFAULT);
	failed = allocations_stop();
	run_out(&server, &client);
	return failed;
}

START_TEST(no_memory)
{
	size_t n = 1;

	pki_make(&pki);
	while (run_without_memory(n))
		n++;
	ck_assert_uint_gt(n, 10);
	pki_free(&pki);
}
END_TEST

START_TEST(no_memory_at_start)
{
	struct channel_tls *tls;
	struct channel *channel = NULL;
	struct error err = ERROR_NULL;
	int fds[2], r;

	pki_make(&pki);
	tls = client_tls();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	sockets_make(fds);
	allocations_fail_at(1);
	r = channel_start(&loop, fds[0], tls, 1000, &end_events, NULL, &channel, &err);
	ck_assert(allocations_stop());
	ck_assert_int_eq(r, E_NOMEM);
	ck_assert_int_eq(close(fds[0]), -1); /* it was closed */
	close(fds[1]);
	channel_tls_unref(tls);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	pki_free(&pki);
}
END_TEST

UNIT_MAIN("net/channel", every_size_there_and_back, too_large_to_send, close_inside_on_message, close_inside_on_open,
          the_owner_says_why, last_words_arrive, queue_marks, corked, flush_is_bounded, bad_frames, garbage_instead_of_tls,
          a_crowd_leaves_the_loop_to_others, silence_ends_at_the_deadline, a_cut_is_told_from_an_end, bad_descriptor,
          close_at_every_turn, no_memory, no_memory_at_start)
