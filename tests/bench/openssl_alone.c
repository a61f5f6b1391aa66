/* SPDX-License-Identifier: Apache-2.0 */
/* The floor for the handshake benchmark: what OpenSSL itself costs a server per connection. Full TLS 1.3 handshakes over memory BIOs, a
 * small request read, a small answer written, close_notify; only the server's calls are timed (thread CPU time).
 *
 *   openssl_alone CERT.pem KEY.pem COUNT      prints {"cpu_us_per_connection": ...} */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct sides {
	SSL *server, *client;
};

static double cpu_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void link_sides(struct sides *sides)
{
	BIO *to_server = BIO_new(BIO_s_mem()), *to_client = BIO_new(BIO_s_mem());

	BIO_up_ref(to_server);
	BIO_up_ref(to_client);
	SSL_set_bio(sides->server, to_server, to_client);
	SSL_set_bio(sides->client, to_client, to_server);
}

static double one_connection(SSL_CTX *server_ctx, SSL_CTX *client_ctx, bool *ok)
{
	static const char request[] = "GET / HTTP/1.0\r\nHost: bench.example\r\nUser-Agent: load\r\n\r\n";
	struct sides sides = {NULL, NULL};
	char answer[128] = {0}, buffer[1024];
	double server = 0, start;
	int client_done = 0, server_done = 0;

	sides.client = SSL_new(client_ctx);
	SSL_set_connect_state(sides.client);
	SSL_set_tlsext_host_name(sides.client, "bench.example");
	start = cpu_now();
	sides.server = SSL_new(server_ctx);
	SSL_set_accept_state(sides.server);
	server += cpu_now() - start;
	link_sides(&sides);
	for (int turn = 0; turn < 6 && !(client_done == 1 && server_done == 1); turn++) {
		client_done = SSL_do_handshake(sides.client);
		start = cpu_now();
		server_done = SSL_do_handshake(sides.server);
		server += cpu_now() - start;
	}
	SSL_write(sides.client, request, sizeof(request) - 1);
	start = cpu_now();
	*ok = SSL_read(sides.server, buffer, sizeof(buffer)) == (int)sizeof(request) - 1;
	SSL_write(sides.server, answer, sizeof(answer));
	SSL_shutdown(sides.server);
	server += cpu_now() - start;
	*ok = *ok && SSL_read(sides.client, buffer, sizeof(buffer)) == (int)sizeof(answer);
	SSL_shutdown(sides.client);
	start = cpu_now();
	SSL_read(sides.server, buffer, sizeof(buffer));
	SSL_free(sides.server);
	server += cpu_now() - start;
	SSL_free(sides.client);
	return server;
}

int main(int argc, char **argv)
{
	SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
	long count = argc > 3 ? strtol(argv[3], NULL, 10) : 1000;
	double sum = 0;
	bool ok = true;

	if (argc < 3 || SSL_CTX_use_certificate_chain_file(server, argv[1]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server, argv[2], SSL_FILETYPE_PEM) != 1)
		return 2;
	SSL_CTX_set_num_tickets(server, 0);
	SSL_CTX_set_options(server, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_min_proto_version(client, TLS1_3_VERSION);
	for (long i = 0; i < count / 10 && ok; i++)
		one_connection(server, client, &ok);
	for (long i = 0; i < count && ok; i++)
		sum += one_connection(server, client, &ok);
	if (!ok)
		return 1;
	printf("{\"cpu_us_per_connection\": %.2f}\n", sum * 1e6 / (double)count);
	return 0;
}
