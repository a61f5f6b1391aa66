/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a channel: messages of every size, back-pressure, and its end at every instant and for every reason. */
#include "pair.h"

#include "net/payload.h"

#include "allocations.h"

#include <stdlib.h>
#include <unistd.h>

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
          the_owner_says_why, last_words_arrive, queue_marks, corked, flush_is_bounded, close_at_every_turn, no_memory,
          no_memory_at_start)
