/* SPDX-License-Identifier: Apache-2.0 */
/* Load for the handshake benchmark: a backend and a number of client threads in one process (to be pinned to another core than the
 * server under test), and the server's CPU time around the run.
 *
 *   load --port P --backend-port B --connections N --threads T [--plain] [--think US] [--sni NAME] [--random-names N] [--each-name N]
 *        [--resume] [--tls12] PID...
 *
 * Each connection: connect, TLS 1.3 handshake, a small request, the answer, close. Prints one JSON object: connections, failures, seconds
 * of wall time, microseconds of CPU of the given processes (all their threads) per connection, and tickets got per connection.
 * --random-names, --each-name: a random one, or one after another, of N names n0.SNI, n1.SNI...
 * --resume: each client offers the ticket that it got last; a handshake that is not resumed with it is a failure.
 * --think: CPU that a client burns before each connection, so that a plain run offers a server the same rate as a TLS run whose clients are
 * busy with their own handshakes: a server that is never idle pays no wake-ups.
 *
 * The backend answers every connection with 128 bytes and closes. Nothing but 127.0.0.1 is ever contacted. */
#include "util.h"

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
#define THREADS_MAX 64

struct run {
	uint16_t port, backend_port;
	long connections;
	long threads;
	bool plain;
	const char *sni;
	long sni_count; /* > 0: names n0.SNI, n1.SNI..., */
	bool each_name; /* one after another */
	bool resume;
	long think_us;
	SSL_CTX *ctx;
	atomic_long next, failures, names, tickets;
	pid_t pids[PIDS_MAX];
	int pids_len;
};

struct client {
	struct run *run;
	unsigned seed;
	SSL_SESSION *session; /* the newest, or NULL */
};

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

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct client *client = SSL_get_app_data(ssl);

	atomic_fetch_add(&client->run->tickets, 1);
	SSL_SESSION_free(client->session);
	client->session = session;
	return 1;
}

static void set_name(struct client *client, SSL *ssl)
{
	struct run *run = client->run;
	char name[256];
	long n;

	if (run->sni_count == 0) {
		SSL_set_tlsext_host_name(ssl, run->sni);
		return;
	}
	n = run->each_name ? atomic_fetch_add(&run->names, 1) : (long)rand_r(&client->seed);
	snprintf(name, sizeof(name), "n%ld.%s", n % run->sni_count, run->sni);
	SSL_set_tlsext_host_name(ssl, name);
}

static bool exchange_tls(struct client *client, int fd)
{
	SSL *ssl = SSL_new(client->run->ctx);
	bool offers = client->run->resume && client->session != NULL, is_fine = false;
	char buffer[1024];
	size_t got = 0;
	int n = 0;

	SSL_set_app_data(ssl, client);
	set_name(client, ssl);
	if (offers)
		SSL_set_session(ssl, client->session);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) == 1 && SSL_write(ssl, request, sizeof(request) - 1) > 0) {
		is_fine = SSL_session_reused(ssl) == offers;
		while ((n = SSL_read(ssl, buffer, sizeof(buffer))) > 0)
			got += (size_t)n;
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	return is_fine && got == ANSWER_LEN;
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
	struct client *client = argument;
	struct run *run = client->run;

	while (atomic_fetch_sub(&run->next, 1) > 0) {
		int fd;
		bool ok;

		think(run->think_us);
		fd = connect_to(run->port, 0);
		ok = fd >= 0 && (run->plain ? exchange_plain(fd) : exchange_tls(client, fd));

		if (!ok)
			atomic_fetch_add(&run->failures, 1);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void run_clients(struct run *run, long connections)
{
	static struct client clients[THREADS_MAX]; /* sessions outlive the warm-up */
	pthread_t threads[THREADS_MAX];

	atomic_store(&run->next, connections);
	for (int i = 0; i < run->threads; i++) {
		clients[i].run = run;
		clients[i].seed += (unsigned)i + (unsigned)getpid() * THREADS_MAX;
		pthread_create(&threads[i], NULL, client_main, &clients[i]);
	}
	for (int i = 0; i < run->threads; i++)
		pthread_join(threads[i], NULL);
}

static void parse(struct run *run, int argc, char **argv, bool *tls12)
{
	long each = 0;
	const struct setting settings[] = {
	    {"port", SETTING_PORT, &run->port},
	    {"backend-port", SETTING_PORT, &run->backend_port},
	    {"connections", SETTING_LONG, &run->connections},
	    {"threads", SETTING_LONG, &run->threads},
	    {"plain", SETTING_FLAG, &run->plain},
	    {"sni", SETTING_TEXT, &run->sni},
	    {"tls12", SETTING_FLAG, tls12},
	    {"random-names", SETTING_LONG, &run->sni_count},
	    {"each-name", SETTING_LONG, &each},
	    {"think", SETTING_LONG, &run->think_us},
	    {"resume", SETTING_FLAG, &run->resume},
	    {NULL, SETTING_FLAG, NULL},
	};

	run->pids_len = read_command_line(argc, argv, settings, run->pids, PIDS_MAX);
	run->each_name = each > 0;
	if (run->each_name)
		run->sni_count = each;
}

static SSL_CTX *make_ctx(bool tls12)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_min_proto_version(ctx, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(ctx, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	return ctx;
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
	if (run.threads < 1 || run.threads > THREADS_MAX)
		return 2;
	run.ctx = make_ctx(tls12);
	if (run.backend_port != 0) {
		listener = listen_on(1, run.backend_port);
		pthread_create(&backend, NULL, backend_main, &listener);
	}
	run_clients(&run, run.connections / 10 + 1); /* warm-up */
	atomic_store(&run.failures, 0);
	atomic_store(&run.tickets, 0);
	cpu = cpu_seconds(run.pids, run.pids_len);
	wall = wall_seconds();
	run_clients(&run, run.connections);
	wall = wall_seconds() - wall;
	cpu = cpu_seconds(run.pids, run.pids_len) - cpu;
	printf("{\"connections\": %ld, \"failures\": %ld, \"wall_s\": %.4f, \"cpu_us_per_connection\": %.2f, \"tickets\": %.2f}\n",
	       run.connections, atomic_load(&run.failures), wall, cpu * 1e6 / (double)run.connections,
	       (double)atomic_load(&run.tickets) / (double)run.connections);
	return atomic_load(&run.failures) == 0 ? 0 : 1;
}
