/* SPDX-License-Identifier: Apache-2.0 */
/* The time from an HTTP PUT sent to the new leaf served: PUTs two bodies of one SSL object in turn over one connection, and from the moment
 * the request is written makes one handshake after another with the agent until the leaf is that of
 * the body.
 *
 *   put_to_served ADMIN_PORT TOKEN_FILE PATH AGENT_PORT SNI ROUNDS BODY_A BODY_B CERT_A CERT_B
 *
 * Prints {"rounds", "served_ms": {"p50", "p99", "max"}, "answered_ms": {...}, "handshakes", "failed_handshakes"}. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 10000

struct bench {
	uint16_t admin_port, agent_port;
	char token[256];
	const char *path, *sni;
	char *body[2];
	SSL_CTX *ctx;
	int admin;
	long handshakes, failed;
	unsigned char leaf[2][32]; /* SHA-256 of the leaf of each body */
	double served[ROUNDS_MAX], answered[ROUNDS_MAX];
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "put_to_served: %s\n", what);
		exit(1);
	}
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static char *read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	must(in != NULL && text != NULL && fread(text, 1, (1 << 20) - 1, in) > 0, path);
	fclose(in);
	return text;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	return fd;
}

/* One handshake; true when the agent shows `leaf`. */
static bool is_served(struct bench *bench, const unsigned char leaf[32])
{
	int fd = connect_to(bench->agent_port);
	SSL *ssl = SSL_new(bench->ctx);
	unsigned char digest[32];
	bool served = false;

	SSL_set_tlsext_host_name(ssl, bench->sni);
	SSL_set_fd(ssl, fd);
	bench->handshakes++;
	if (SSL_connect(ssl) == 1) {
		X509_digest(SSL_get0_peer_certificate(ssl), EVP_sha256(), digest, NULL);
		served = memcmp(digest, leaf, sizeof(digest)) == 0;
		SSL_shutdown(ssl);
	} else {
		bench->failed++;
	}
	SSL_free(ssl);
	close(fd);
	return served;
}

static void read_leaf(const char *path, unsigned char digest[32])
{
	FILE *in = fopen(path, "r");
	X509 *cert = in != NULL ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;

	must(cert != NULL && X509_digest(cert, EVP_sha256(), digest, NULL) == 1, path);
	X509_free(cert);
	fclose(in);
}

static void send_put(struct bench *bench, const char *body)
{
	static char request[(1 << 20) + 4096];
	int len = snprintf(request, sizeof(request),
	                   "PUT %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
	                   "Content-Length: %zu\r\n\r\n%s",
	                   bench->path, bench->token, strlen(body), body);

	must(write(bench->admin, request, (size_t)len) == len, "write");
}

static bool answer_is_here(struct bench *bench)
{
	struct pollfd fd = {.fd = bench->admin, .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

/* Reads one answer (head, then as many bytes as it says). */
static void read_answer(struct bench *bench)
{
	static char answer[1 << 20];
	size_t have = 0, want = 0;
	char *end, *length;

	for (;;) {
		ssize_t n = read(bench->admin, answer + have, sizeof(answer) - 1 - have);

		must(n > 0, "the answer was cut");
		have += (size_t)n;
		answer[have] = 0;
		end = strstr(answer, "\r\n\r\n");
		if (end == NULL)
			continue;
		length = strcasestr(answer, "content-length:");
		must(length != NULL, "no content length");
		want = (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10);
		if (have >= want)
			break;
	}
	must(strncmp(answer, "HTTP/1.1 20", 11) == 0, answer);
}

static void one_round(struct bench *bench, long round)
{
	double start = now_ms();
	bool answered = false;

	send_put(bench, bench->body[round % 2]);
	for (;;) {
		bool served = is_served(bench, bench->leaf[round % 2]);

		if (!answered && answer_is_here(bench)) {
			bench->answered[round] = now_ms() - start;
			answered = true;
		}
		if (served)
			break;
		must(now_ms() - start < 10000, "the new leaf did not appear within 10 s");
	}
	bench->served[round] = now_ms() - start;
	if (!answered) {
		read_answer(bench);
		bench->answered[round] = now_ms() - start;
		return;
	}
	read_answer(bench);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_quantiles(const char *name, double *values, long count)
{
	qsort(values, (size_t)count, sizeof(*values), compare);
	printf("\"%s\": {\"p50\": %.2f, \"p99\": %.2f, \"max\": %.2f}", name, values[count / 2], values[count * 99 / 100], values[count - 1]);
}

int main(int argc, char **argv)
{
	static struct bench bench;
	long rounds;

	must(argc == 11, "usage: ADMIN_PORT TOKEN_FILE PATH AGENT_PORT SNI ROUNDS BODY_A BODY_B CERT_A CERT_B");
	signal(SIGPIPE, SIG_IGN);
	bench.admin_port = (uint16_t)strtoul(argv[1], NULL, 10);
	snprintf(bench.token, sizeof(bench.token), "%s", read_file(argv[2]));
	bench.token[strcspn(bench.token, "\r\n")] = 0;
	bench.path = argv[3];
	bench.agent_port = (uint16_t)strtoul(argv[4], NULL, 10);
	bench.sni = argv[5];
	rounds = strtol(argv[6], NULL, 10);
	must(rounds > 0 && rounds <= ROUNDS_MAX, "rounds");
	bench.body[0] = read_file(argv[7]);
	bench.body[1] = read_file(argv[8]);
	read_leaf(argv[9], bench.leaf[0]);
	read_leaf(argv[10], bench.leaf[1]);
	bench.ctx = SSL_CTX_new(TLS_client_method());
	bench.admin = connect_to(bench.admin_port);
	for (int i = 0; i < 4; i++) { /* warm-up; ends with body B served */
		one_round(&bench, i);
	}
	bench.handshakes = bench.failed = 0;
	for (long i = 0; i < rounds; i++)
		one_round(&bench, i);
	printf("{\"rounds\": %ld, ", rounds);
	print_quantiles("served_ms", bench.served, rounds);
	printf(", ");
	print_quantiles("answered_ms", bench.answered, rounds);
	printf(", \"handshakes\": %ld, \"failed_handshakes\": %ld}\n", bench.handshakes, bench.failed);
	return bench.failed == 0 ? 0 : 1;
}
