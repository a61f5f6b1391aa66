/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS front: a client thread with OpenSSL's own sockets, the loop serves. */
#include "base/log.h"
#include "http/http.h"
#include "pki.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX (4u << 20)
#define ANSWER_LARGE (3u << 20)
#define CONNECTIONS_MAX 4

static struct scene {
	uv_loop_t loop;
	struct http_server *server;
	uv_async_t client_done;
	void (*script)(void);
	unsigned requests, closed;
	char peer[64], received[64];
	size_t body_len;
	bool body_is_whole;
	struct pki_cert *ca, *first, *second, *client;
	_Atomic(struct pki_cert *) shown; /* NULL: there is none */
	bool ask_clients;
	uint32_t idle_seconds;
	int receive_buffer; /* of the client; 0: as it is */
} scene;

/* Server ----------------------------------------------------------------------------------------------------------- */

static int put_certificate(SSL *ssl, void *owner, struct error *err)
{
	struct pki_cert *shown = scene.shown;

	if (shown == NULL)
		return error_set(err, E_NOT_FOUND, "no such SSL object");
	if (scene.ask_clients) {
		X509_STORE *store = X509_STORE_new();

		X509_STORE_add_cert(store, scene.ca->cert);
		SSL_set0_verify_cert_store(ssl, store);
		SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return SSL_use_cert_and_key(ssl, shown->cert, shown->key, NULL, 1) == 1 ? 0 : E_CRYPTO;
}

static bool is_pattern(struct bytes body)
{
	for (size_t i = 0; i < body.len; i++)
		if (body.data[i] != (uint8_t)(i * 7))
			return false;
	return true;
}

static void on_request(struct http_request *request, void *owner)
{
	static uint8_t large[ANSWER_LARGE];
	bool wants_much = strcmp(http_path(request), "/large") == 0;
	struct http_reply reply = {.status = 200, .content_type = "text/plain", .body = "fine\n", .body_len = 5};

	scene.requests++;
	scene.body_len = http_body(request).len;
	scene.body_is_whole = is_pattern(http_body(request));
	snprintf(scene.peer, sizeof(scene.peer), "%s", http_peer(request));
	if (http_header(request, "X-Known") != NULL)
		http_let_in(request);
	if (wants_much) {
		for (size_t i = 0; i < sizeof(large); i++)
			large[i] = (uint8_t)(i * 7);
		reply.body = large;
		reply.body_len = sizeof(large);
	}
	http_reply(request, &reply);
}

static void on_closed(void *owner)
{
	scene.closed++;
}

static void on_client_done(uv_async_t *async)
{
	uv_close((uv_handle_t *)async, NULL);
	http_server_close(scene.server, 1000, on_closed);
}

static void run_script(void *context)
{
	scene.script();
	uv_async_send(&scene.client_done);
}

static void set_stage(void)
{
	signal(SIGPIPE, SIG_IGN); /* as both mains do */
	scene.ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	scene.first = pki_make(&(struct pki_spec){.name = "first", .sans = "DNS:a.test", .issuer = scene.ca});
	scene.second =
	    pki_make(&(struct pki_spec){.name = "second", .sans = "DNS:a.test", .issuer = scene.ca, .key = "RSA-2048"});
	scene.client = pki_make(&(struct pki_spec){.name = "client", .issuer = scene.ca, .usage = "clientAuth"});
	scene.shown = scene.first;
	scene.idle_seconds = 60; /* no test but those that say less is about idleness, however slow the machine */
	ck_assert_int_eq(log_set_level("error", NULL), 0);
}

static void play(void (*script)(void))
{
	const struct http_tls tls = {.put_certificate = put_certificate};
	const struct http_config config = {.host = "127.0.0.1",
	                                   .tls = &tls,
	                                   .body_max = BODY_MAX,
	                                   .connections_max = CONNECTIONS_MAX,
	                                   .idle_seconds = scene.idle_seconds,
	                                   .on_request = on_request};
	struct error err = ERROR_NULL;
	uv_thread_t thread;

	uv_loop_init(&scene.loop);
	uv_async_init(&scene.loop, &scene.client_done, on_client_done);
	ck_assert_msg(http_server_start(&scene.loop, &config, &scene.server, &err) == 0, "%s", err.text);
	scene.script = script;
	ck_assert_int_eq(uv_thread_create(&thread, run_script, NULL), 0);
	uv_run(&scene.loop, UV_RUN_DEFAULT);
	uv_thread_join(&thread);
	ck_assert_uint_eq(scene.closed, 1);
	ck_assert_int_eq(uv_loop_close(&scene.loop), 0);
	pki_free(scene.ca);
	pki_free(scene.first);
	pki_free(scene.second);
	pki_free(scene.client);
}

/* Client ----------------------------------------------------------------------------------------------------------- */

struct caller {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
};

static struct caller dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(http_server_port(scene.server)),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct caller caller = {.fd = socket(AF_INET, SOCK_STREAM, 0), .ctx = SSL_CTX_new(TLS_client_method())};
	struct timeval limit = {.tv_sec = 20};

	setsockopt(caller.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (scene.receive_buffer > 0)
		setsockopt(caller.fd, SOL_SOCKET, SO_RCVBUF, &scene.receive_buffer, sizeof(scene.receive_buffer));
	ck_assert_int_eq(connect(caller.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(caller.ctx), scene.ca->cert);
	SSL_CTX_set_verify(caller.ctx, SSL_VERIFY_PEER, NULL);
	caller.ssl = SSL_new(caller.ctx);
	SSL_set_fd(caller.ssl, caller.fd);
	return caller;
}

static void hang_up(struct caller *caller)
{
	SSL_free(caller->ssl);
	SSL_CTX_free(caller->ctx);
	close(caller->fd);
}

/* The reason of OpenSSL's error: alerts are SSL_AD_REASON_OFFSET + number. */
static int failed_handshake(struct caller *caller)
{
	ERR_clear_error();
	ck_assert_int_ne(SSL_connect(caller->ssl), 1);
	return ERR_GET_REASON(ERR_peek_error());
}

static void say(struct caller *caller, const char *text)
{
	ck_assert_int_eq(SSL_write(caller->ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* Until close_notify; anything else fails. Returns how much came; the first bytes are in scene.received. */
static size_t listen_to_end(struct caller *caller, bool slowly)
{
	static char data[65536];
	size_t total = 0;
	int n;

	ERR_clear_error(); /* of another connection */
	while ((n = SSL_read(caller->ssl, data, sizeof(data))) > 0) {
		if (total == 0)
			snprintf(scene.received, sizeof(scene.received), "%.*s", n, data);
		total += (size_t)n;
		if (slowly)
			usleep(2000);
	}
	ck_assert_int_eq(SSL_get_error(caller->ssl, n), SSL_ERROR_ZERO_RETURN);
	return total;
}

#define GET "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define GET_KNOWN "GET / HTTP/1.1\r\nHost: a.test\r\nX-Known: yes\r\n\r\n" /* on_request lets it in */
#define GET_LAST "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

static const char *shown_name(struct caller *caller)
{
	static char name[64];
	X509 *cert = SSL_get1_peer_certificate(caller->ssl);

	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
	X509_free(cert);
	return name;
}

static void exchange_with(int version, const char *expected)
{
	const unsigned char *alpn;
	struct caller caller = dial();
	unsigned alpn_len;

	SSL_set_min_proto_version(caller.ssl, version);
	SSL_set_max_proto_version(caller.ssl, version);
	SSL_set_alpn_protos(caller.ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
	ck_assert_int_eq(SSL_connect(caller.ssl), 1);
	ck_assert_int_eq(SSL_version(caller.ssl), version);
	ck_assert_str_eq(shown_name(&caller), expected);
	SSL_get0_alpn_selected(caller.ssl, &alpn, &alpn_len);
	ck_assert_uint_eq(alpn_len, 8);
	ck_assert_mem_eq(alpn, "http/1.1", 8);
	say(&caller, GET GET_LAST);
	ck_assert_uint_gt(listen_to_end(&caller, false), 100);
	ck_assert_int_eq(strncmp(scene.received, "HTTP/1.1 200", 12), 0);
	ck_assert_int_eq(SSL_session_reused(caller.ssl), 0);
	hang_up(&caller);
}

/* Tests ------------------------------------------------------------------------------------------------------------ */

static void script_versions(void)
{
	exchange_with(TLS1_3_VERSION, "first");
	exchange_with(TLS1_2_VERSION, "first");
	scene.shown = scene.second; /* rotated: another key type even */
	exchange_with(TLS1_2_VERSION, "second");
	exchange_with(TLS1_3_VERSION, "second");
}

START_TEST(serves_both_versions_and_rotates)
{
	set_stage();
	play(script_versions);
	ck_assert_uint_eq(scene.requests, 8);
	ck_assert_int_eq(strncmp(scene.peer, "127.0.0.1:", 10), 0);
}
END_TEST

static void script_refusals(void)
{
	struct caller caller = dial();

	SSL_set_security_level(caller.ssl, 0);
	SSL_set_min_proto_version(caller.ssl, TLS1_1_VERSION);
	SSL_set_max_proto_version(caller.ssl, TLS1_1_VERSION);
	ck_assert_int_eq(failed_handshake(&caller), SSL_AD_REASON_OFFSET + SSL_AD_PROTOCOL_VERSION);
	hang_up(&caller);
	caller = dial();
	SSL_set_alpn_protos(caller.ssl, (const unsigned char *)"\x02h2", 3);
	ck_assert_int_eq(failed_handshake(&caller), SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
	hang_up(&caller);
	scene.shown = NULL;
	caller = dial();
	ck_assert_int_eq(failed_handshake(&caller), SSL_AD_REASON_OFFSET + SSL_AD_INTERNAL_ERROR);
	hang_up(&caller);
	scene.shown = scene.first;
	exchange_with(TLS1_3_VERSION, "first");
}

START_TEST(refuses)
{
	set_stage();
	play(script_refusals);
	ck_assert_uint_eq(scene.requests, 2);
}
END_TEST

static void script_clients(void)
{
	struct caller caller = dial();
	char byte;

	ck_assert_int_eq(SSL_connect(caller.ssl), 1); /* TLS 1.3: the refusal comes after */
	ck_assert_int_le(SSL_read(caller.ssl, &byte, 1), 0);
	ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REQUIRED);
	hang_up(&caller);
	caller = dial();
	SSL_use_cert_and_key(caller.ssl, scene.client->cert, scene.client->key, NULL, 1);
	ck_assert_int_eq(SSL_connect(caller.ssl), 1);
	say(&caller, GET_LAST);
	ck_assert_uint_gt(listen_to_end(&caller, false), 10);
	hang_up(&caller);
}

/* The hook may ask for client certificates. */
START_TEST(asks_clients)
{
	set_stage();
	scene.ask_clients = true;
	play(script_clients);
	ck_assert_uint_eq(scene.requests, 1);
}
END_TEST

static void script_large(void)
{
	static uint8_t body[BODY_MAX];
	struct caller caller = dial();

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	ck_assert_int_eq(SSL_connect(caller.ssl), 1);
	say(&caller, "PUT /large HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n");
	ck_assert_int_eq(SSL_write(caller.ssl, body, (int)sizeof(body)), (int)sizeof(body));
	ck_assert_uint_gt(listen_to_end(&caller, true), ANSWER_LARGE);
	hang_up(&caller);
}

/* More than all buffers hold in both directions, read slowly. */
START_TEST(holds_back)
{
	set_stage();
	play(script_large);
	ck_assert_uint_eq(scene.body_len, BODY_MAX);
	ck_assert(scene.body_is_whole);
}
END_TEST

static void script_deaf(void)
{
	struct caller caller = dial();
	static char data[65536];
	size_t total = 0;
	int n;

	ck_assert_int_eq(SSL_connect(caller.ssl), 1);
	say(&caller, "GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n");
	sleep(3 * unit_patience());
	while ((n = SSL_read(caller.ssl, data, sizeof(data))) > 0)
		total += (size_t)n;
	ck_assert_int_ne(SSL_get_error(caller.ssl, n), SSL_ERROR_ZERO_RETURN);
	ck_assert_uint_lt(total, ANSWER_LARGE);
	hang_up(&caller);
}

/* Who takes nothing is cut, and that is no orderly end. */
START_TEST(cuts_who_takes_nothing)
{
	set_stage();
	scene.idle_seconds = 1;
	scene.receive_buffer = 4096;
	play(script_deaf);
	ck_assert_uint_eq(scene.requests, 1);
}
END_TEST

static void script_half_close(void)
{
	struct caller caller = dial();

	ck_assert_int_eq(SSL_connect(caller.ssl), 1);
	say(&caller, GET);
	ck_assert_int_eq(SSL_shutdown(caller.ssl), 0); /* close_notify; the other direction is still open */
	ck_assert_uint_gt(listen_to_end(&caller, false), 10);
	hang_up(&caller);
}

START_TEST(answers_after_close_notify)
{
	set_stage();
	play(script_half_close);
	ck_assert_uint_eq(scene.requests, 1);
	ck_assert_int_eq(strncmp(scene.received, "HTTP/1.1 200", 12), 0);
}
END_TEST

static void script_cut(void)
{
	struct caller caller = dial();
	char byte;

	ck_assert_int_eq(SSL_connect(caller.ssl), 1);
	say(&caller, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhel");
	shutdown(caller.fd, SHUT_WR);
	ck_assert_int_le(SSL_read(caller.ssl, &byte, 1), 0);
	hang_up(&caller);
}

START_TEST(delivers_nothing_cut)
{
	set_stage();
	play(script_cut);
	ck_assert_uint_eq(scene.requests, 0);
}
END_TEST

static void script_noise(void)
{
	struct caller caller = dial();
	char data[64];

	ck_assert_int_gt((int)send(caller.fd, GET, sizeof(GET) - 1, 0), 0); /* plain HTTP */
	while (recv(caller.fd, data, sizeof(data), 0) > 0)
		; /* an alert, then the end */
	hang_up(&caller);
	caller = dial();
	ck_assert_int_eq(SSL_connect(caller.ssl), 1);
	ck_assert_int_gt((int)send(caller.fd, "\x17\x03\x03\x00\x20garbage that is no record......", 37, 0), 0);
	ck_assert_int_le(SSL_read(caller.ssl, data, 1), 0);
	ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_AD_REASON_OFFSET + SSL_AD_BAD_RECORD_MAC);
	hang_up(&caller);
}

START_TEST(refuses_noise)
{
	set_stage();
	play(script_noise);
	ck_assert_uint_eq(scene.requests, 0);
}
END_TEST

static void ask(struct caller *caller, const char *text)
{
	char answer[4096];

	*caller = dial();
	ck_assert_int_eq(SSL_connect(caller->ssl), 1);
	say(caller, text);
	ck_assert_int_gt(SSL_read(caller->ssl, answer, sizeof(answer)), 10);
}

/* Every place is taken by somebody who says nothing: the oldest goes, handshake or not. Then by those who have asked
 * something, and are strangers all the same: they go too. Then by those who have been let in: the new one goes. */
static void script_full(void)
{
	struct caller silent[CONNECTIONS_MAX], strangers[CONNECTIONS_MAX], open[CONNECTIONS_MAX], late;
	char byte;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		silent[i] = dial();
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		ask(&strangers[i], GET);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		ck_assert_int_le((int)recv(silent[i].fd, &byte, 1, 0), 0);
		hang_up(&silent[i]);
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		ask(&open[i], GET_KNOWN);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		ck_assert_int_le(SSL_read(strangers[i].ssl, &byte, 1), 0);
		hang_up(&strangers[i]);
	}
	late = dial();
	ck_assert_int_ne(SSL_connect(late.ssl), 1);
	hang_up(&late);
	say(&open[0], GET_LAST);
	ck_assert_uint_gt(listen_to_end(&open[0], false), 10);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		hang_up(&open[i]);
}

START_TEST(makes_room)
{
	set_stage();
	play(script_full);
	ck_assert_uint_eq(scene.requests, 2 * CONNECTIONS_MAX + 1);
}
END_TEST

static struct caller left_open[2];

static void script_leave(void)
{
	left_open[0] = dial();
	left_open[1] = dial();
	ck_assert_int_eq(SSL_connect(left_open[0].ssl), 1);
	say(&left_open[0], GET);
	ck_assert_int_gt(SSL_read(left_open[0].ssl, scene.received, sizeof(scene.received)), 0);
}

/* One idle and one silent connection when the server closes: close_notify for the first, and both end. */
START_TEST(closes_with_open_connections)
{
	set_stage();
	play(script_leave);
	(void)listen_to_end(&left_open[0], false);
	hang_up(&left_open[0]);
	hang_up(&left_open[1]);
}
END_TEST

static void script_nothing(void)
{
}

START_TEST(closes_unused)
{
	set_stage();
	play(script_nothing);
}
END_TEST

/* With TLS any address is allowed, without it loopback alone; a failed start leaves nothing open. */
START_TEST(starts_where_allowed)
{
	const struct http_tls tls = {.put_certificate = put_certificate};
	struct http_config config = {.host = "0.0.0.0",
	                             .tls = &tls,
	                             .body_max = 10,
	                             .connections_max = 1,
	                             .idle_seconds = 1,
	                             .on_request = on_request};
	struct http_server *server, *second;
	uv_loop_t loop;

	uv_loop_init(&loop);
	ck_assert_int_eq(http_server_start(&loop, &config, &server, NULL), 0);
	config.port = http_server_port(server);
	ck_assert_int_eq(http_server_start(&loop, &config, &second, NULL), E_BUSY);
	config.tls = NULL;
	ck_assert_int_eq(http_server_start(&loop, &config, &second, NULL), E_FORBIDDEN);
	http_server_close(server, 0, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

UNIT_MAIN("http/https", serves_both_versions_and_rotates, refuses, asks_clients, holds_back, cuts_who_takes_nothing,
          answers_after_close_notify, delivers_nothing_cut, refuses_noise, makes_room, closes_with_open_connections,
          closes_unused, starts_where_allowed)
