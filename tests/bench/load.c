/* SPDX-License-Identifier: Apache-2.0 */
/* Load for the handshake benchmark: a backend and a number of client threads in one process (to be pinned to another core than the
 * server under test), and the server's CPU time around the run.
 *
 *   load --port P --backend-port B --connections N --threads T [--plain] [--think US] [--sni NAME] [--random-names N] [--tls12] PID...
 *
 * Each connection: connect, full TLS 1.3 handshake (no resumption), a small request, the answer, close. Prints one JSON object:
 * connections, failures, seconds of wall time, and microseconds of CPU of the given processes (all their threads) per connection.
 * --think: CPU that a client burns before each connection, so that a plain run offers a server the same rate as a TLS run whose clients are
 * busy with their own handshakes: a server that is never idle pays no wake-ups.
 *
 * The backend answers every connection with 128 bytes and closes. Nothing but 127.0.0.1 is ever contacted. */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_LEN 128
#define PIDS_MAX 64

struct run {
	uint16_t port, backend_port;
	long connections;
	int threads;
	bool plain;
	const char *sni;
	long sni_count; /* > 0: a random name among n0.SNI, n1.SNI... */
	long think_us;
	SSL_CTX *ctx;
	atomic_long next, failures;
	pid_t pids[PIDS_MAX];
	int pids_len;
};

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1024) != 0) {
		perror("backend");
		exit(1);
	}
	return fd;
}

static void *backend_main(void *argument)
{
	int listener = *(int *)argument;
	char buffer[4096], answer[ANSWER_LEN];

	memset(answer, 'a', sizeof(answer));
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (read(fd, buffer, sizeof(buffer)) > 0 && write(fd, answer, sizeof(answer)) < 0)
			perror("backend write");
		close(fd);
	}
	return NULL;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static const char request[] = "GET / HTTP/1.0\r\nHost: bench.example\r\nUser-Agent: load\r\n\r\n";

static bool exchange_plain(int fd)
{
	char buffer[1024];
	size_t got = 0;
	ssize_t n;

	if (write(fd, request, sizeof(request) - 1) < 0)
		return false;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		got += (size_t)n;
	return got == ANSWER_LEN;
}

static bool exchange_tls(struct run *run, int fd, unsigned *seed)
{
	SSL *ssl = SSL_new(run->ctx);
	char buffer[1024], name[256];
	size_t got = 0;
	int n = 0;

	snprintf(name, sizeof(name), "%s", run->sni);
	if (run->sni_count > 0)
		snprintf(name, sizeof(name), "n%ld.%s", (long)(rand_r(seed) % run->sni_count), run->sni);
	SSL_set_tlsext_host_name(ssl, name);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) == 1 && SSL_write(ssl, request, sizeof(request) - 1) > 0) {
		while ((n = SSL_read(ssl, buffer, sizeof(buffer))) > 0)
			got += (size_t)n;
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	return got == ANSWER_LEN;
}

static double thread_cpu_us(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e6 + (double)used.tv_nsec * 1e-3;
}

static void think(long us)
{
	double until = thread_cpu_us() + (double)us;

	while (us > 0 && thread_cpu_us() < until)
		;
}

static void *client_main(void *argument)
{
	struct run *run = argument;
	unsigned seed = (unsigned)(uintptr_t)&seed;

	while (atomic_fetch_sub(&run->next, 1) > 0) {
		int fd;
		bool ok;

		think(run->think_us);
		fd = connect_to(run->port);
		ok = fd >= 0 && (run->plain ? exchange_plain(fd) : exchange_tls(run, fd, &seed));

		if (!ok)
			atomic_fetch_add(&run->failures, 1);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static double cpu_seconds(const struct run *run)
{
	double sum = 0;

	for (int i = 0; i < run->pids_len; i++) {
		struct timespec used;
		clockid_t clock;

		if (clock_getcpuclockid(run->pids[i], &clock) == 0 && clock_gettime(clock, &used) == 0)
			sum += (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
	}
	return sum;
}

static double wall_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run_clients(struct run *run, long connections)
{
	pthread_t threads[64];

	atomic_store(&run->next, connections);
	for (int i = 0; i < run->threads; i++)
		pthread_create(&threads[i], NULL, client_main, run);
	for (int i = 0; i < run->threads; i++)
		pthread_join(threads[i], NULL);
}

static void parse(struct run *run, int argc, char **argv, bool *tls12)
{
	static const struct option options[] = {
	    {"port", 1, NULL, 'p'},   {"backend-port", 1, NULL, 'b'}, {"connections", 1, NULL, 'n'}, {"threads", 1, NULL, 't'},
	    {"plain", 0, NULL, 'P'},  {"sni", 1, NULL, 's'},          {"tls12", 0, NULL, '2'},       {"random-names", 1, NULL, 'r'},
	    {"think", 1, NULL, 'T'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			run->port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			run->backend_port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			run->connections = strtol(optarg, NULL, 10);
			break;
		case 't':
			run->threads = (int)strtol(optarg, NULL, 10);
			break;
		case 'P':
			run->plain = true;
			break;
		case 's':
			run->sni = optarg;
			break;
		case 'r':
			run->sni_count = strtol(optarg, NULL, 10);
			break;
		case 'T':
			run->think_us = strtol(optarg, NULL, 10);
			break;
		case '2':
			*tls12 = true;
			break;
		default:
			exit(2);
		}
	}
	while (optind < argc && run->pids_len < PIDS_MAX)
		run->pids[run->pids_len++] = (pid_t)strtol(argv[optind++], NULL, 10);
}

int main(int argc, char **argv)
{
	struct run run = {.connections = 2000, .threads = 4, .sni = "bench.example"};
	double cpu, wall;
	pthread_t backend;
	bool tls12 = false;
	int listener;

	signal(SIGPIPE, SIG_IGN);
	parse(&run, argc, argv, &tls12);
	if (run.threads < 1 || run.threads > 64)
		return 2;
	run.ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(run.ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_min_proto_version(run.ctx, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(run.ctx, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	if (run.backend_port != 0) {
		listener = listen_on(run.backend_port);
		pthread_create(&backend, NULL, backend_main, &listener);
	}
	run_clients(&run, run.connections / 10 + 1); /* warm-up */
	atomic_store(&run.failures, 0);
	cpu = cpu_seconds(&run);
	wall = wall_seconds();
	run_clients(&run, run.connections);
	wall = wall_seconds() - wall;
	cpu = cpu_seconds(&run) - cpu;
	printf("{\"connections\": %ld, \"failures\": %ld, \"wall_s\": %.4f, \"cpu_us_per_connection\": %.2f}\n", run.connections,
	       atomic_load(&run.failures), wall, cpu * 1e6 / (double)run.connections);
	return atomic_load(&run.failures) == 0 ? 0 : 1;
}
