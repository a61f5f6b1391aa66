/* SPDX-License-Identifier: Apache-2.0 */
/* The latency of handshakes: full TLS 1.3 handshakes, one after another, each for a random one of n0.bench.example ... nNAMES-1, until
 * SECONDS are over or SIGTERM comes.
 *
 *   latency PORT NAMES SECONDS
 *
 * Prints {"handshakes", "failed", "p50_ms", "p99_ms", "max_ms"}. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HANDSHAKES_MAX 2000000

static volatile sig_atomic_t stopped;

static void on_stop(int number)
{
	stopped = 1;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* From connect to the handshake's end. */
static bool shake_hands(SSL_CTX *ctx, uint16_t port, const char *name, double *ret_ms)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	SSL *ssl = SSL_new(ctx);
	double begun = now_ms();
	bool ok;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	SSL_set_tlsext_host_name(ssl, name);
	SSL_set_fd(ssl, fd);
	ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && SSL_connect(ssl) == 1;
	*ret_ms = now_ms() - begun;
	if (ok)
		SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
	return ok;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	static double took[HANDSHAKES_MAX];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	size_t len = 0, failed = 0;
	double end;
	long names;

	if (argc != 4 || (names = strtol(argv[2], NULL, 10)) <= 0) {
		fprintf(stderr, "usage: latency PORT NAMES SECONDS\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_stop);
	end = now_ms() + strtod(argv[3], NULL) * 1e3;
	while (stopped == 0 && len < HANDSHAKES_MAX && now_ms() < end) {
		char name[64];

		snprintf(name, sizeof(name), "n%ld.bench.example", random() % names);
		failed += !shake_hands(ctx, (uint16_t)strtoul(argv[1], NULL, 10), name, &took[len]);
		len++;
	}
	if (len == 0)
		return 1;
	qsort(took, len, sizeof(*took), compare);
	printf("{\"handshakes\": %zu, \"failed\": %zu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n", len, failed, took[len / 2],
	       took[len * 99 / 100], took[len - 1]);
	return 0;
}
