/* SPDX-License-Identifier: Apache-2.0 */
#include "plane.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_TIMEOUT 10 /* seconds */

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int listen_on(uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 128), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

uint16_t free_port(void)
{
	int fd = listen_on(0);
	uint16_t port = port_of(fd);

	close(fd);
	return port;
}

static void set_timeout(int fd)
{
	const struct timeval timeout = {.tv_sec = READ_TIMEOUT};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

int connect_to_port(uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	set_timeout(fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

int accept_on(int listener)
{
	int fd;

	set_timeout(listener);
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	set_timeout(fd);
	return fd;
}

static void on_state(const char *listener_id, const char *reason, void *owner)
{
	struct plane *plane = owner;

	ck_assert_uint_lt(plane->states_len, 8);
	snprintf(plane->states[plane->states_len++], sizeof(plane->states[0]), "%s: %s", listener_id,
	         reason != NULL ? reason : "well");
}

void plane_begin(struct plane *plane)
{
	holding_begin(&plane->holding, proxy_snapshot(plane->proxy));
}

void plane_publish(struct plane *plane)
{
	proxy_publish(plane->proxy, holding_finish(&plane->holding));
}

void plane_init(struct plane *plane, unsigned workers)
{
	struct proxy_config config;
	struct error err = ERROR_NULL;

	memset(plane, 0, sizeof(*plane));
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&plane->loop);
	holding_init(&plane->holding, &plane->loop);
	ck_assert_int_eq(origin_cache_new(64, &plane->origins, &err), 0);
	config = (struct proxy_config){.loop = &plane->loop,
	                               .workers = workers,
	                               .sites = plane->holding.sites,
	                               .trusts = plane->holding.trusts,
	                               .origins = plane->origins,
	                               .on_listener_state = on_state,
	                               .owner = plane};
	ck_assert_msg(proxy_start(&config, &plane->proxy, &err) == 0, "%s", err.text);
	ck_assert_ptr_null(proxy_snapshot(plane->proxy));
	plane->backend = listen_on(0);
	plane->backend_port = port_of(plane->backend);
	plane->port = free_port();
	plane->cert = pki_make(&(struct pki_spec){.name = "a", .sans = "DNS:a.test"});
	plane_begin(plane);
	holding_put_options(&plane->holding, "modern", NULL);
	holding_put_upstream(&plane->holding, "u", &plane->backend_port, 1);
	holding_put_listener(&plane->holding, "l", "127.0.0.1", plane->port, "u", NULL, 0);
	holding_put_ssl(&plane->holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {plane->cert}});
	plane_publish(plane);
}

static void on_closed(void *owner)
{
	((struct plane *)owner)->closed = true;
}

void plane_deinit(struct plane *plane)
{
	if (plane->proxy != NULL)
		proxy_close(plane->proxy, 0, on_closed);
	while (!plane->closed)
		uv_run(&plane->loop, UV_RUN_ONCE);
	uv_run(&plane->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&plane->loop), 0);
	origin_cache_free(plane->origins);
	holding_deinit(&plane->holding);
	pki_free(plane->cert);
	close(plane->backend);
}

void plane_run(struct plane *plane, uint64_t ms)
{
	uint64_t until = uv_hrtime() + ms * 1000000;

	do {
		uv_run(&plane->loop, UV_RUN_NOWAIT);
		usleep(1000);
	} while (uv_hrtime() < until);
}

int64_t plane_connections(const struct plane *plane, const char *listener_id)
{
	struct proxy_listener_counters counters;

	return proxy_listener_read(plane->proxy, listener_id, &counters) ? counters.connections : -1;
}

struct proxy_counters plane_counters(const struct plane *plane)
{
	struct proxy_counters counters;

	proxy_read_counters(plane->proxy, &counters);
	return counters;
}

bool peer_connect(struct peer *peer, uint16_t port)
{
	return peer_connect_as(peer, port, NULL);
}

bool peer_connect_as(struct peer *peer, uint16_t port, const struct pki_cert *cert)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (cert != NULL) {
		ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert->cert), 1);
		ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
	}
	peer->fd = connect_to_port(port);
	peer->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	ck_assert_ptr_nonnull(peer->ssl);
	SSL_set_mode(peer->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	ck_assert_int_eq(SSL_set_tlsext_host_name(peer->ssl, "a.test"), 1);
	if (peer->fd >= 0 && SSL_set_fd(peer->ssl, peer->fd) == 1 && SSL_connect(peer->ssl) == 1)
		return true;
	peer_close(peer);
	return false;
}

void peer_close(struct peer *peer)
{
	SSL_free(peer->ssl);
	if (peer->fd >= 0)
		close(peer->fd);
	*peer = (struct peer){.fd = -1};
}

void peer_expect(struct peer *peer, const char *text)
{
	char got[256] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		int n = SSL_read(peer->ssl, got + len, (int)(strlen(text) - len));

		ck_assert_int_gt(n, 0);
		len += (size_t)n;
	}
	ck_assert_str_eq(got, text);
}

void peer_write(struct peer *peer, const char *text)
{
	ck_assert_int_eq(SSL_write(peer->ssl, text, (int)strlen(text)), (int)strlen(text));
}

void fd_expect(int fd, const char *text)
{
	char got[256] = "";

	ck_assert_int_eq(recv(fd, got, strlen(text), MSG_WAITALL), (int)strlen(text));
	ck_assert_str_eq(got, text);
}

void fd_write(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

const char *peer_read_end(struct peer *peer)
{
	char byte;
	int n, e;

	ERR_clear_error();
	n = SSL_read(peer->ssl, &byte, 1);
	e = SSL_get_error(peer->ssl, n);
	ERR_clear_error();
	return n > 0                                       ? "data"
	       : e == SSL_ERROR_ZERO_RETURN                ? "end"
	       : errno == EAGAIN && e == SSL_ERROR_SYSCALL ? "silence"
	                                                   : "error";
}

const char *fd_read_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n > 0 ? "data" : n == 0 ? "end" : errno == EAGAIN ? "silence" : "error";
}
