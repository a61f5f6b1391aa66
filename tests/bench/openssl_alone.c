/* SPDX-License-Identifier: Apache-2.0 */
/* The floor of the handshake benchmark: what OpenSSL itself costs a server per connection. TLS 1.3 handshakes over memory BIOs, a small
 * request read, a small answer written, close_notify; only the server's calls are timed (thread CPU time). resume: by the newest ticket.
 * And the floor of the relay: SSL_write of whole records into nothing.
 *
 *   openssl_alone CERT.pem KEY.pem COUNT TICKETS [resume]      prints {"cpu_us_per_connection": ...}
 *   openssl_alone CERT.pem KEY.pem MEBIBYTES write             prints {"cpu_s_per_gib": ...} */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECORD 16384

struct sides {
	SSL *server, *client;
};

struct bench {
	SSL_CTX *server, *client;
	bool resume;
	SSL_SESSION *session; /* the client's newest, or NULL */
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

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct bench *bench = SSL_get_app_data(ssl);

	SSL_SESSION_free(bench->session);
	bench->session = session;
	return 1;
}

/* Adds to *server the CPU of the server's part. */
static struct sides shake_hands(struct bench *bench, double *server)
{
	struct sides sides = {.client = SSL_new(bench->client)};
	int client_done = 0, server_done = 0;
	double start;

	SSL_set_app_data(sides.client, bench);
	SSL_set_connect_state(sides.client);
	SSL_set_tlsext_host_name(sides.client, "bench.example");
	if (bench->resume && bench->session != NULL)
		SSL_set_session(sides.client, bench->session);
	start = cpu_now();
	sides.server = SSL_new(bench->server);
	SSL_set_accept_state(sides.server);
	*server += cpu_now() - start;
	link_sides(&sides);
	for (int turn = 0; turn < 6 && !(client_done == 1 && server_done == 1); turn++) {
		client_done = SSL_do_handshake(sides.client);
		start = cpu_now();
		server_done = SSL_do_handshake(sides.server);
		*server += cpu_now() - start;
	}
	return sides;
}

static double one_connection(struct bench *bench, bool *ok)
{
	static const char request[] = "GET / HTTP/1.0\r\nHost: bench.example\r\nUser-Agent: load\r\n\r\n";
	bool offers = bench->resume && bench->session != NULL;
	double server = 0, start;
	struct sides sides = shake_hands(bench, &server);
	char answer[128] = {0}, buffer[1024];

	SSL_write(sides.client, request, sizeof(request) - 1);
	start = cpu_now();
	*ok = SSL_read(sides.server, buffer, sizeof(buffer)) == (int)sizeof(request) - 1;
	SSL_write(sides.server, answer, sizeof(answer));
	SSL_shutdown(sides.server);
	server += cpu_now() - start;
	*ok = *ok && SSL_session_reused(sides.server) == offers;
	*ok = *ok && SSL_read(sides.client, buffer, sizeof(buffer)) == (int)sizeof(answer);
	SSL_shutdown(sides.client);
	start = cpu_now();
	SSL_read(sides.server, buffer, sizeof(buffer));
	SSL_free(sides.server);
	server += cpu_now() - start;
	SSL_free(sides.client);
	return server;
}

static int bench_connections(struct bench *bench, long count)
{
	double sum = 0;
	bool ok = true;

	for (long i = 0; i < count / 10 + 1 && ok; i++)
		one_connection(bench, &ok);
	for (long i = 0; i < count && ok; i++)
		sum += one_connection(bench, &ok);
	if (!ok)
		return 1;
	printf("{\"cpu_us_per_connection\": %.2f}\n", sum * 1e6 / (double)count);
	return 0;
}

static int bench_write(struct bench *bench, long mebibytes)
{
	static char record[RECORD];
	double unused = 0, start;
	struct sides sides = shake_hands(bench, &unused);
	bool ok = true;

	SSL_set0_wbio(sides.server, BIO_new(BIO_s_null()));
	start = cpu_now();
	for (long i = 0; i < mebibytes * (1048576 / RECORD) && ok; i++)
		ok = SSL_write(sides.server, record, RECORD) == RECORD;
	printf("{\"cpu_s_per_gib\": %.4f}\n", (cpu_now() - start) * 1024 / (double)mebibytes);
	SSL_free(sides.server);
	SSL_free(sides.client);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct bench bench = {.server = SSL_CTX_new(TLS_server_method()), .client = SSL_CTX_new(TLS_client_method())};
	long count = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
	size_t tickets = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;

	bench.resume = argc > 5 && strcmp(argv[5], "resume") == 0;
	if (count < 1 || SSL_CTX_use_certificate_chain_file(bench.server, argv[1]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(bench.server, argv[2], SSL_FILETYPE_PEM) != 1)
		return 2;
	SSL_CTX_set_num_tickets(bench.server, tickets);
	if (tickets == 0)
		SSL_CTX_set_options(bench.server, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(bench.server, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_cache_mode(bench.client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(bench.client, on_session);
	SSL_CTX_set_min_proto_version(bench.client, TLS1_3_VERSION);
	return argc > 4 && strcmp(argv[4], "write") == 0 ? bench_write(&bench, count) : bench_connections(&bench, count);
}
