/* SPDX-License-Identifier: Apache-2.0 */
/* Load for the relay benchmark: a backend and clients in one process (to be pinned to another core than the server under test), and the
 * server's CPU time around the flow; handshakes and the first bytes are over before it is taken.
 *
 *   flow --port P --backend-port B --what down|up|ping --amount N [--connections C] [--plain] PID...
 *
 * down, up: N MiB from the backend to the clients, or from them to it. ping: N times 64 bytes there and back on each connection. Prints one
 * JSON object: seconds of wall time, seconds of the server's CPU, and those per GiB or microseconds per message (there and back are two).
 *
 * What comes is compared byte by byte on connections of their own before anything is measured. Then a client throws away what comes as
 * it is, records and all, so that the server is what takes the time; the backend does not look at it either. */
#include "util.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIDS_MAX 64
#define CONNECTIONS_MAX 64
#define CHUNK (256 * 1024)
#define MESSAGE 64
#define CHECKED (3u * 1024 * 1024 + 17)

enum what { DOWN, UP, PING };
static const char *const what_names[] = {"down", "up", "ping"};

/* What a client asks of the backend, in its first bytes. */
struct order {
	uint64_t size; /* bytes, of PING none */
	uint8_t what, checks;
};

struct run {
	uint16_t port, backend_port;
	enum what what;
	uint64_t amount; /* bytes or messages of each connection */
	int connections;
	bool plain;
	SSL_CTX *ctx;
	pthread_barrier_t ready, begin, end;
	pid_t pids[PIDS_MAX];
	int pids_len;
};

struct client {
	struct run *run;
	int fd;
	SSL *ssl; /* NULL: plain */
};

static uint8_t pattern[CHUNK + 256];

static void die(const char *what)
{
	fprintf(stderr, "flow: %s\n", what);
	exit(1);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Bytes are numbered modulo 256: any of them tells where it belongs. */
static void check(const uint8_t *data, size_t len, uint64_t at)
{
	if (memcmp(data, pattern + at % 256, len) != 0)
		die("bytes came that were not sent");
}

/* ---------------------------------------------------------------------------------------------------------- backend */

static size_t take(int fd, uint8_t *buffer, size_t len, bool checks, uint64_t at)
{
	ssize_t n = recv(fd, buffer, len, checks ? 0 : MSG_TRUNC);

	if (n <= 0)
		fail("backend: the client's bytes");
	if (checks)
		check(buffer, (size_t)n, at);
	return (size_t)n;
}

static void give(int fd, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		uint64_t left = size - at;
		ssize_t n = send(fd, pattern + at % 256, left < CHUNK ? left : CHUNK, 0);

		if (n <= 0)
			fail("backend: send");
		at += (uint64_t)n;
	}
}

static void *backend_connection(void *argument)
{
	int fd = (int)(intptr_t)argument;
	static __thread uint8_t buffer[CHUNK];
	struct order order;
	ssize_t n;

	if (recv(fd, &order, sizeof(order), MSG_WAITALL) != sizeof(order))
		fail("backend: the order");
	if (order.what == DOWN) {
		give(fd, order.size);
	} else if (order.what == UP) {
		for (uint64_t got = 0; got < order.size;)
			got += take(fd, buffer, CHUNK, order.checks, got);
		give(fd, 1);
	} else {
		while ((n = recv(fd, buffer, CHUNK, 0)) > 0 && send(fd, buffer, (size_t)n, 0) == n)
			;
	}
	recv(fd, buffer, 1, 0); /* the client ends it */
	close(fd);
	return NULL;
}

static void *backend_main(void *argument)
{
	int listener = *(int *)argument;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;

		if (fd >= 0 && pthread_create(&thread, NULL, backend_connection, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	}
	return NULL;
}

/* ---------------------------------------------------------------------------------------------------------- clients */

static void client_write(struct client *client, const void *data, size_t len)
{
	int n = client->ssl != NULL ? SSL_write(client->ssl, data, (int)len) : (int)send(client->fd, data, len, 0);

	if (n != (int)len)
		die("a client's write");
}

static size_t client_read(struct client *client, void *data, size_t len)
{
	int n = client->ssl != NULL ? SSL_read(client->ssl, data, (int)len) : (int)recv(client->fd, data, len, 0);

	if (n <= 0)
		die("a client's read");
	return (size_t)n;
}

static void client_open(struct client *client)
{
	struct run *run = client->run;

	client->fd = connect_to(run->port, 0);
	if (client->fd < 0)
		fail("connect");
	client->ssl = run->plain ? NULL : SSL_new(run->ctx);
	if (run->plain)
		return;
	SSL_set_tlsext_host_name(client->ssl, "bench.example");
	SSL_set_fd(client->ssl, client->fd);
	if (SSL_connect(client->ssl) != 1)
		die("handshake");
}

static void client_close(struct client *client)
{
	SSL_free(client->ssl);
	close(client->fd);
}

static void upload(struct client *client, uint64_t size)
{
	uint8_t byte;

	for (uint64_t at = 0, len; at < size; at += len) {
		len = size - at < CHUNK ? size - at : CHUNK;
		client_write(client, pattern + at % 256, len);
	}
	client_read(client, &byte, 1);
}

/* With records around it there is more to come than `size`; that is not waited for. */
static void discard(struct client *client, uint64_t size)
{
	for (uint64_t got = 0; got < size;) {
		ssize_t n = recv(client->fd, NULL, CHUNK, MSG_TRUNC);

		if (n <= 0)
			fail("a client's bytes");
		got += (uint64_t)n;
	}
}

static void download_checked(struct client *client, uint64_t size)
{
	static uint8_t buffer[CHUNK];

	for (uint64_t got = 0; got < size;) {
		size_t n = client_read(client, buffer, sizeof(buffer));

		check(buffer, n, got);
		got += n;
	}
}

static void ping(struct client *client, uint64_t times)
{
	uint8_t message[MESSAGE], answer[MESSAGE];

	for (uint64_t i = 0; i < times; i++) {
		memset(message, (int)(i % 251), sizeof(message));
		client_write(client, message, sizeof(message));
		for (size_t got = 0; got < sizeof(answer);)
			got += client_read(client, answer + got, sizeof(answer) - got);
		if (memcmp(message, answer, sizeof(message)) != 0)
			die("another answer than what was sent");
	}
}

static void *client_main(void *argument)
{
	struct client *client = argument;
	struct run *run = client->run;
	struct order order = {.size = run->amount, .what = (uint8_t)run->what};

	client_open(client);
	if (run->what == PING) {
		client_write(client, &order, sizeof(order));
		ping(client, run->amount / 10 + 1);
	}
	pthread_barrier_wait(&run->ready);
	pthread_barrier_wait(&run->begin);
	if (run->what != PING)
		client_write(client, &order, sizeof(order));
	if (run->what == PING)
		ping(client, run->amount);
	else if (run->what == UP)
		upload(client, run->amount);
	else
		discard(client, run->amount);
	pthread_barrier_wait(&run->end);
	client_close(client);
	return NULL;
}

static void verify(struct run *run)
{
	struct client client = {.run = run};
	struct order order = {.size = CHECKED, .what = (uint8_t)run->what, .checks = true};

	if (run->what == PING)
		return;
	client_open(&client);
	client_write(&client, &order, sizeof(order));
	if (run->what == UP)
		upload(&client, CHECKED);
	else
		download_checked(&client, CHECKED);
	client_close(&client);
}

/* ---------------------------------------------------------------------------------------------------------- the run */

static void measure(struct run *run)
{
	static struct client clients[CONNECTIONS_MAX];
	pthread_t threads[CONNECTIONS_MAX];
	double cpu, wall, units;

	pthread_barrier_init(&run->ready, NULL, (unsigned)run->connections + 1);
	pthread_barrier_init(&run->begin, NULL, (unsigned)run->connections + 1);
	pthread_barrier_init(&run->end, NULL, (unsigned)run->connections + 1);
	for (int i = 0; i < run->connections; i++) {
		clients[i].run = run;
		pthread_create(&threads[i], NULL, client_main, &clients[i]);
	}
	pthread_barrier_wait(&run->ready);
	cpu = cpu_seconds(run->pids, run->pids_len);
	wall = wall_seconds();
	pthread_barrier_wait(&run->begin);
	pthread_barrier_wait(&run->end);
	wall = wall_seconds() - wall;
	cpu = cpu_seconds(run->pids, run->pids_len) - cpu;
	for (int i = 0; i < run->connections; i++)
		pthread_join(threads[i], NULL);
	units = (double)run->amount * run->connections;
	printf("{\"wall_s\": %.3f, \"cpu_s\": %.3f, ", wall, cpu);
	if (run->what == PING)
		printf("\"cpu_us_per_message\": %.2f}\n", cpu * 1e6 / units / 2);
	else
		printf("\"cpu_s_per_gib\": %.4f}\n", cpu * 1073741824 / units);
}

static void parse(struct run *run, int argc, char **argv)
{
	const char *what = what_names[0];
	long amount = 64, connections = 1;
	const struct setting settings[] = {
	    {"port", SETTING_PORT, &run->port},     {"backend-port", SETTING_PORT, &run->backend_port},
	    {"what", SETTING_TEXT, &what},          {"amount", SETTING_LONG, &amount},
	    {"connections", SETTING_LONG, &connections}, {"plain", SETTING_FLAG, &run->plain},
	    {NULL, SETTING_FLAG, NULL},
	};
	int i = 0;

	run->pids_len = read_command_line(argc, argv, settings, run->pids, PIDS_MAX);
	while (i < PING && strcmp(what, what_names[i]) != 0)
		i++;
	run->what = (enum what)i;
	run->amount = (uint64_t)amount;
	run->connections = (int)connections;
}

int main(int argc, char **argv)
{
	struct run run = {0};
	pthread_t backend;
	int listener;

	signal(SIGPIPE, SIG_IGN);
	parse(&run, argc, argv);
	if (run.connections < 1 || run.connections > CONNECTIONS_MAX || run.amount < 1)
		return 2;
	if (run.what != PING)
		run.amount = run.amount * 1048576 / (uint64_t)run.connections;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)i;
	run.ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(run.ctx, TLS1_3_VERSION);
	listener = listen_on(1, run.backend_port);
	pthread_create(&backend, NULL, backend_main, &listener);
	verify(&run);
	measure(&run);
	return 0;
}
