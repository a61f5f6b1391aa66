/* SPDX-License-Identifier: Apache-2.0 */
/* The server over real sockets: a client thread writes raw bytes and reads to the end, the loop serves. */
#include "http/http.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX 100000

struct fixture {
	uv_loop_t loop;
	struct http_server *server;
	uv_timer_t later;
	uv_async_t client_done;
	struct http_request *waiting;
	unsigned requests, closed;
	bool early;     /* answer in on_head */
	uint64_t delay; /* answer that many ms later; 0: at once */
	bool closing;   /* http_server_close was called */
	bool never;     /* keep the request until the server has closed */
	char seen_id[80], seen_peer[64];
};

struct client {
	struct fixture *fixture;
	const char *send;
	size_t send_len;
	size_t slow_from; /* from here on a byte each 100 ms; 0: never */
	char received[65536];
	size_t received_len, sent;
	bool half_close;
};

static void answer(struct http_request *request, struct fixture *f)
{
	char text[256];
	struct bytes body = http_body(request);
	const struct http_reply_header headers[] = {{"ETag", "\"1-2\""}};
	int len = snprintf(text, sizeof(text), "%s %s q=%s h=%s body=%zu:%.10s", http_method(request), http_path(request),
	                   http_query(request, "q") != NULL ? http_query(request, "q") : "-",
	                   http_header(request, "x-test") != NULL ? http_header(request, "x-test") : "-", body.len,
	                   body.data != NULL ? (const char *)body.data : "");

	snprintf(f->seen_id, sizeof(f->seen_id), "%s", http_request_id(request));
	snprintf(f->seen_peer, sizeof(f->seen_peer), "%s", http_peer(request));
	http_reply(request, &(struct http_reply){.status = 200,
	                                         .content_type = "text/plain",
	                                         .body = text,
	                                         .body_len = (size_t)len,
	                                         .headers = headers,
	                                         .headers_len = 1});
}

static void on_later(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	answer(f->waiting, f);
	f->waiting = NULL;
}

static void on_request(struct http_request *request, void *owner)
{
	struct fixture *f = owner;

	f->requests++;
	if (f->never || f->delay > 0)
		f->waiting = request;
	if (f->delay > 0)
		uv_timer_start(&f->later, on_later, f->delay, 0);
	else if (!f->never)
		answer(request, f);
}

static size_t on_head(struct http_request *request, void *owner)
{
	struct fixture *f = owner;

	if (f->early)
		http_reply(request,
		           &(struct http_reply){.status = 401, .content_type = "text/plain", .body = "who", .body_len = 3});
	return http_path_segment(request, 0) != NULL && strcmp(http_path_segment(request, 0), "small") == 0 ? 10 : BODY_MAX;
}

static void on_refusal(const struct http_request *request, int status, const char *detail, struct buf *body,
                       const char **content_type, void *owner)
{
	buf_printf(body, "refused %d %s", status, detail);
	*content_type = "text/x-refusal";
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed++;
}

static void on_client_done(uv_async_t *async)
{
	struct fixture *f = async->data;

	uv_close((uv_handle_t *)&f->client_done, NULL);
	uv_close((uv_handle_t *)&f->later, NULL);
	if (!f->closing)
		http_server_close(f->server, 1000, on_closed);
	f->closing = true;
}

static void setup(struct fixture *f)
{
	struct http_config config = {.host = "127.0.0.1",
	                             .body_max = BODY_MAX,
	                             .connections_max = 10,
	                             .idle_seconds = 5,
	                             .body_grace_seconds = 1,
	                             .on_head = on_head,
	                             .on_request = on_request,
	                             .on_refusal = on_refusal,
	                             .owner = f};
	struct error err = ERROR_NULL;

	memset(f, 0, sizeof(*f));
	ck_assert_int_eq(uv_loop_init(&f->loop), 0);
	uv_timer_init(&f->loop, &f->later);
	uv_async_init(&f->loop, &f->client_done, on_client_done);
	f->later.data = f->client_done.data = f;
	ck_assert_msg(http_server_start(&f->loop, &config, &f->server, &err) == 0, "%s", err.text);
	ck_assert_uint_ne(http_server_port(f->server), 0);
}

static void client_exchange(struct client *client, uint16_t port)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n;

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	for (size_t sent = 0; sent < client->send_len; sent += (size_t)n) {
		size_t len = client->slow_from > sent ? client->slow_from - sent : client->send_len - sent;

		if (client->slow_from > 0 && sent >= client->slow_from) {
			usleep(100000);
			len = 1;
		}
		n = send(fd, client->send + sent, len, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		client->sent += (size_t)n;
	}
	if (client->half_close)
		shutdown(fd, SHUT_WR);
	while ((n = recv(fd, client->received + client->received_len, sizeof(client->received) - 1 - client->received_len,
	                 0)) > 0)
		client->received_len += (size_t)n;
	client->received[client->received_len] = 0;
	close(fd);
}

static void client_run(void *context)
{
	struct client *client = context;

	client_exchange(client, http_server_port(client->fixture->server));
	uv_async_send(&client->fixture->client_done);
}

static void exchange_slowly(struct fixture *f, struct client *client, const char *text, size_t len, size_t slow_from)
{
	uv_thread_t thread;

	*client = (struct client){.fixture = f, .send = text, .send_len = len, .slow_from = slow_from};
	ck_assert_int_eq(uv_thread_create(&thread, client_run, client), 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	uv_thread_join(&thread);
	ck_assert_uint_eq(f->closed, 1);
	ck_assert_int_eq(uv_loop_close(&f->loop), 0);
}

static void exchange(struct fixture *f, struct client *client, const char *text, size_t len)
{
	exchange_slowly(f, client, text, len, 0);
}

static struct client client; /* large */

static void exchange_text(struct fixture *f, const char *text)
{
	exchange(f, &client, text, strlen(text));
}

static void expect(const char *part)
{
	ck_assert_msg(strstr(client.received, part) != NULL, "%s not in: %s", part, client.received);
}

START_TEST(answers_at_once_and_keeps_the_connection)
{
	struct fixture f;

	setup(&f);
	exchange_text(&f, "GET /a/b?q=x%20y HTTP/1.1\r\nHost: x\r\nX-Test: t\r\nX-Request-Id: me-1\r\n\r\n"
	                  "PUT /c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
	ck_assert_uint_eq(f.requests, 2);
	expect("HTTP/1.1 200");
	expect("GET /a/b q=x y h=t body=0:");
	expect("PUT /c q=- h=- body=5:hello");
	expect("X-Request-Id: me-1");
	expect("ETag: \"1-2\"");
	ck_assert_int_eq(strncmp(f.seen_peer, "127.0.0.1:", 10), 0);
	ck_assert_str_ne(f.seen_id, "me-1"); /* of the second: made */
	ck_assert_str_ne(f.seen_id, "");
}
END_TEST

START_TEST(answers_later)
{
	struct fixture f;

	setup(&f);
	f.delay = 20;
	exchange_text(&f,
	              "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
	              "GET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	ck_assert_uint_eq(f.requests, 2);
	expect("POST /c q=- h=- body=7:abcdefg");
	expect("GET /d");
}
END_TEST

START_TEST(head_has_no_body)
{
	struct fixture f;
	const char *end;

	setup(&f);
	exchange_text(&f, "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	expect("HTTP/1.1 200");
	end = strstr(client.received, "\r\n\r\n");
	ck_assert_ptr_nonnull(end);
	ck_assert_str_eq(end + 4, "");
}
END_TEST

START_TEST(refuses_bad_targets)
{
	static const char *const targets[] = {"/a//b", "/a/../b", "/a%2fb", "/a%00", "*", "/a%2e%2e/%2e%2e"};
	char text[256];
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		setup(&f);
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", targets[i]);
		exchange_text(&f, text);
		if (strcmp(targets[i], "/a%2e%2e/%2e%2e") != 0)
			ck_assert_uint_eq(f.requests, 0);
		expect("HTTP/1.1 400");
		expect("text/x-refusal");
		expect("refused 400");
	}
}
END_TEST

START_TEST(refuses_large_bodies)
{
	static const char *const heads[] = {
	    "PUT /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello world",
	    ("PUT /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "b\r\nhello world\r\n0\r\n\r\n"),
	    "PUT /small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
	    "PUT /small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999999999999999\r\n\r\n"};
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		setup(&f);
		exchange_text(&f, heads[i]);
		ck_assert_uint_eq(f.requests, 0);
		expect("HTTP/1.1 413");
		ck_assert_ptr_null(strstr(client.received, "100 Continue"));
	}
}
END_TEST

START_TEST(takes_a_body_up_to_the_limit)
{
	static char text[BODY_MAX + 256];
	struct fixture f;
	size_t len = (size_t)sprintf(text, "PUT /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
	                             BODY_MAX);

	setup(&f);
	memset(text + len, 'k', BODY_MAX);
	exchange(&f, &client, text, len + BODY_MAX);
	expect("body=100000:kkkkkkkkkk");
}
END_TEST

START_TEST(early_answer_drops_the_body)
{
	struct fixture f;

	setup(&f);
	f.early = true;
	exchange_text(&f, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
	                  "PUT /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
	ck_assert_uint_eq(f.requests, 0);
	expect("HTTP/1.1 401");
	ck_assert_ptr_nonnull(strstr(strstr(client.received, "HTTP/1.1 401") + 1, "HTTP/1.1 401"));
}
END_TEST

/* A body that trickles ends its connection, wanted or not; one that is slow within the grace is taken. */
START_TEST(a_body_has_a_deadline)
{
	static const char head[] = "PUT /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 60\r\n\r\n";
	char text[sizeof(head) + 60];
	size_t len = sizeof(head) - 1;
	struct fixture f;

	memcpy(text, head, len);
	memset(text + len, 'k', 60);
	for (int early = 0; early < 2; early++) {
		setup(&f);
		f.early = early == 1;
		exchange_slowly(&f, &client, text, len + 60, len);
		ck_assert_uint_eq(f.requests, 0);
		ck_assert_uint_ge(client.sent, len + 9);
		ck_assert_uint_lt(client.sent, len + 40);
		ck_assert_uint_eq(client.received_len, 0);
	}
	setup(&f);
	exchange_slowly(&f, &client, text, len + 60, len + 57);
	expect("body=60:kkkkkkkkkk");
}
END_TEST

/* OPTIONS may ask about the server as a whole; no other method may. */
START_TEST(takes_the_asterisk_form)
{
	struct fixture f;

	setup(&f);
	exchange_text(&f, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	expect("OPTIONS * q=-");
}
END_TEST

static void close_now(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	if (f->requests == 0)
		return;
	uv_timer_stop(timer);
	f->closing = true;
	http_server_close(f->server, 500, on_closed);
}

/* Runs the loop until the server, closed once the request is there, is gone. */
static void exchange_while_closing(struct fixture *f, const char *text)
{
	uv_thread_t thread;
	uv_timer_t timer;

	uv_timer_init(&f->loop, &timer);
	timer.data = f;
	uv_timer_start(&timer, close_now, 5, 5);
	client = (struct client){.fixture = f, .send = text, .send_len = strlen(text)};
	ck_assert_int_eq(uv_thread_create(&thread, client_run, &client), 0);
	while (f->closed == 0)
		uv_run(&f->loop, UV_RUN_ONCE);
	uv_thread_join(&thread);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&f->loop), 0);
}

START_TEST(closing_finishes_what_is_under_way)
{
	struct fixture f;

	setup(&f);
	f.delay = 40;
	exchange_while_closing(&f, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
	expect("GET /slow");
	expect("Connection: close");
}
END_TEST

START_TEST(closing_orphans_what_takes_too_long)
{
	struct fixture f;

	setup(&f);
	f.never = true;
	exchange_while_closing(&f, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_uint_eq(client.received_len, 0);
	ck_assert_ptr_nonnull(f.waiting);
	ck_assert_ptr_null(http_header(f.waiting, "Host"));
	answer(f.waiting, &f); /* frees it */
}
END_TEST

START_TEST(listens_on_loopback_alone)
{
	static const char *const hosts[] = {"0.0.0.0", "::", "192.0.2.1", "::ffff:127.0.0.1"};
	struct http_config config = {.body_max = 1, .connections_max = 1, .on_request = on_request};
	struct http_server *server = NULL;
	struct error err = ERROR_NULL;
	uv_loop_t loop;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		config.host = hosts[i];
		ck_assert_int_eq(http_server_start(&loop, &config, &server, &err), E_FORBIDDEN);
		ck_assert_ptr_nonnull(strstr(err.text, "loopback"));
	}
	config.host = "example.com";
	ck_assert_int_eq(http_server_start(&loop, &config, &server, &err), E_INVALID);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(names_a_taken_port)
{
	struct fixture f;
	struct http_config config = {.host = "127.0.0.1", .body_max = 1, .connections_max = 1, .on_request = on_request};
	struct http_server *second = NULL;
	struct error err = ERROR_NULL;

	setup(&f);
	config.port = http_server_port(f.server);
	ck_assert_int_eq(http_server_start(&f.loop, &config, &second, &err), E_BUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "Address already in use"));
	uv_async_send(&f.client_done);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(f.closed, 1);
	ck_assert_int_eq(uv_loop_close(&f.loop), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http/http");
	TCase *cases = tcase_create("server");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, answers_at_once_and_keeps_the_connection);
	tcase_add_test(cases, answers_later);
	tcase_add_test(cases, head_has_no_body);
	tcase_add_test(cases, refuses_bad_targets);
	tcase_add_test(cases, refuses_large_bodies);
	tcase_add_test(cases, takes_a_body_up_to_the_limit);
	tcase_add_test(cases, early_answer_drops_the_body);
	tcase_add_test(cases, a_body_has_a_deadline);
	tcase_add_test(cases, takes_the_asterisk_form);
	tcase_add_test(cases, closing_finishes_what_is_under_way);
	tcase_add_test(cases, closing_orphans_what_takes_too_long);
	tcase_add_test(cases, listens_on_loopback_alone);
	tcase_add_test(cases, names_a_taken_port);
	tcase_set_timeout(cases, 20);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
