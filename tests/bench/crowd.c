/* SPDX-License-Identifier: Apache-2.0 */
/* Very many connections on one server: clients and backend in one process (to be pinned to another core).
 *
 *   crowd --port P --backend-port B --idle N [--active N --seconds S --each-ms MS] PID...
 *
 * Idle connections shake hands, have one small request answered, and stay. Prints {"idle": N, "failed": ...} when they are there and waits
 * for a line on standard input, so that the server's memory can be read. Then the active ones: each sends 64 bytes every MS milliseconds
 * (not more than one at a time), which the backend sends back, for S seconds. Prints {"active", "failed", "messages", "cpu_share" of the
 * server, "p50_ms", "p99_ms", "max_ms"}; failed counts connections that could not be made or were ended by anybody else than this.
 *
 * The backend listens on 127.0.0.1 and 127.0.0.2, and clients come from four addresses: ports are few. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIDS_MAX 64
#define MESSAGE 64
#define SOURCES 4
#define BACKENDS 2
#define EVENTS 256
#define OPENERS 16
#define LATENCIES_MAX 4000000

struct client {
	int fd;
	SSL *ssl;       /* of an idle one freed: nothing more will be said */
	bool awaits, gone;
	double sent_at; /* while it awaits its answer */
	double due;     /* else the next message */
};

struct run {
	uint16_t port, backend_port;
	long idle, active;
	double seconds, each_s;
	SSL_CTX *ctx;
	atomic_long failed;
	long messages;
	struct client *clients;
	float *latencies; /* ms */
	pid_t pids[PIDS_MAX];
	int pids_len;
};

/* ---------------------------------------------------------------------------------------------------------- backend */

/* Sends back whatever comes. Small messages on fast sockets: a send that would block is a failure, and shows as one. */
static void echo(int fd)
{
	char buffer[4096];
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || send(fd, buffer, (size_t)n, MSG_DONTWAIT) != n)
		close(fd);
}

static void watch(int epoll, int fd)
{
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

static void *backend_main(void *argument)
{
	const struct run *run = argument;
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC), listeners[BACKENDS];

	for (unsigned i = 0; i < BACKENDS; i++) {
		listeners[i] = listen_on(i + 1, run->backend_port);
		watch(epoll, listeners[i]);
	}
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listeners[0] || fd == listeners[1])
				watch(epoll, accept4(fd, NULL, NULL, SOCK_CLOEXEC));
			else
				echo(fd);
		}
	}
	return NULL;
}

/* ---------------------------------------------------------------------------------------------------------- clients */

static bool exchange(SSL *ssl)
{
	char message[MESSAGE] = {1}, answer[MESSAGE];

	return SSL_write(ssl, message, sizeof(message)) == MESSAGE && SSL_read(ssl, answer, sizeof(answer)) == MESSAGE &&
	       memcmp(message, answer, MESSAGE) == 0;
}

static void client_open(struct run *run, struct client *client, long number)
{
	client->fd = connect_to(run->port, 2 + (unsigned)(number % SOURCES));
	client->ssl = SSL_new(run->ctx);
	SSL_set_tlsext_host_name(client->ssl, "bench.example");
	SSL_set_fd(client->ssl, client->fd);
	client->gone = client->fd < 0 || SSL_connect(client->ssl) != 1 || !exchange(client->ssl);
	if (client->gone)
		run->failed++;
}

struct opener {
	struct run *run;
	long from, to;
	pthread_t thread;
};

static void *opener_main(void *argument)
{
	struct opener *opener = argument;

	for (long i = opener->from; i < opener->to; i++)
		client_open(opener->run, &opener->run->clients[i], i);
	return NULL;
}

static void open_all(struct run *run, long from, long count)
{
	struct opener openers[OPENERS];

	for (long i = 0; i < OPENERS; i++) {
		openers[i] = (struct opener){.run = run, .from = from + count * i / OPENERS, .to = from + count * (i + 1) / OPENERS};
		pthread_create(&openers[i].thread, NULL, opener_main, &openers[i]);
	}
	for (long i = 0; i < OPENERS; i++)
		pthread_join(openers[i].thread, NULL);
}

/* How many of them the server has ended. */
static void count_ended(struct run *run, long from, long to)
{
	for (long i = from; i < to; i++) {
		char byte;
		struct client *client = &run->clients[i];

		if (!client->gone && recv(client->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
			run->failed++;
	}
}

static void send_message(struct run *run, struct client *client, double now)
{
	char message[MESSAGE] = {1};

	client->awaits = true;
	client->sent_at = now;
	client->due += run->each_s;
	if (SSL_write(client->ssl, message, sizeof(message)) != MESSAGE) {
		client->gone = true;
		run->failed++;
	}
}

static void take_answer(struct run *run, struct client *client)
{
	char answer[MESSAGE];
	int n = SSL_read(client->ssl, answer, sizeof(answer));

	if (client->gone || (n <= 0 && SSL_get_error(client->ssl, n) == SSL_ERROR_WANT_READ))
		return;
	if (n != MESSAGE) {
		client->gone = true;
		run->failed++;
		return;
	}
	client->awaits = false;
	if (run->messages < LATENCIES_MAX)
		run->latencies[run->messages++] = (float)((wall_seconds() - client->sent_at) * 1e3);
}

/* Those whose turn it is; they were opened in the order of their turns. */
static void send_due(struct run *run, struct client *active, double now)
{
	static long next;

	for (long i = 0; i < run->active && active[next].due <= now; i++) {
		struct client *client = &active[next];

		if (!client->gone && !client->awaits)
			send_message(run, client, now);
		else
			client->due += run->each_s;
		next = (next + 1) % run->active;
	}
}

static void run_active(struct run *run, struct client *active)
{
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	double begun = wall_seconds(), now = begun;

	for (long i = 0; i < run->active; i++) {
		if (active[i].gone)
			continue;
		active[i].due = begun + run->each_s * (double)i / (double)run->active;
		fcntl(active[i].fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(epoll, EPOLL_CTL_ADD, active[i].fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &active[i]});
	}
	while (now < begun + run->seconds) {
		int n;

		send_due(run, active, now);
		n = epoll_wait(epoll, events, EVENTS, 1);
		for (int i = 0; i < n; i++)
			take_answer(run, events[i].data.ptr);
		now = wall_seconds();
	}
	close(epoll);
}

/* ---------------------------------------------------------------------------------------------------------- the run */

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static void tell_active(struct run *run, double cpu, double wall)
{
	size_t len = (size_t)run->messages;

	qsort(run->latencies, len, sizeof(float), compare);
	if (len == 0)
		len = 1;
	printf("{\"active\": %ld, \"failed\": %ld, \"messages\": %ld, \"cpu_share\": %.3f, \"cpu_us_per_message\": %.2f, ", run->active,
	       atomic_load(&run->failed), run->messages, cpu / wall, cpu * 1e6 / (double)len / 2);
	printf("\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n", run->latencies[len / 2], run->latencies[len * 99 / 100],
	       run->latencies[len - 1]);
}

static void be_idle(struct run *run)
{
	char line[16];

	open_all(run, 0, run->idle);
	for (long i = 0; i < run->idle; i++) {
		SSL_free(run->clients[i].ssl); /* without a word to the server */
		run->clients[i].ssl = NULL;
	}
	printf("{\"idle\": %ld, \"failed\": %ld}\n", run->idle, atomic_load(&run->failed));
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		exit(1);
}

static void be_active(struct run *run)
{
	struct client *active = run->clients + run->idle;
	double cpu, wall;

	open_all(run, run->idle, run->active);
	cpu = cpu_seconds(run->pids, run->pids_len);
	wall = wall_seconds();
	run_active(run, active);
	cpu = cpu_seconds(run->pids, run->pids_len) - cpu;
	wall = wall_seconds() - wall;
	count_ended(run, 0, run->idle);
	tell_active(run, cpu, wall);
}

static void parse(struct run *run, int argc, char **argv)
{
	double each_ms = 1000;
	const struct setting settings[] = {
	    {"port", SETTING_PORT, &run->port},       {"backend-port", SETTING_PORT, &run->backend_port}, {"idle", SETTING_LONG, &run->idle},
	    {"active", SETTING_LONG, &run->active},   {"seconds", SETTING_DOUBLE, &run->seconds},         {"each-ms", SETTING_DOUBLE, &each_ms},
	    {NULL, SETTING_FLAG, NULL},
	};

	run->pids_len = read_command_line(argc, argv, settings, run->pids, PIDS_MAX);
	run->each_s = each_ms / 1e3;
}

int main(int argc, char **argv)
{
	struct run run = {.seconds = 1};
	struct rlimit files;
	pthread_t backend;

	signal(SIGPIPE, SIG_IGN);
	parse(&run, argc, argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	run.clients = calloc((size_t)(run.idle + run.active + 1), sizeof(*run.clients));
	run.latencies = calloc(LATENCIES_MAX, sizeof(*run.latencies));
	run.ctx = SSL_CTX_new(TLS_client_method());
	if (run.clients == NULL || run.latencies == NULL || run.ctx == NULL)
		return 1;
	SSL_CTX_set_min_proto_version(run.ctx, TLS1_3_VERSION);
	SSL_CTX_set_mode(run.ctx, SSL_MODE_RELEASE_BUFFERS);
	pthread_create(&backend, NULL, backend_main, &run);
	be_idle(&run);
	if (run.active > 0)
		be_active(&run);
	return atomic_load(&run.failed) == 0 ? 0 : 1;
}
