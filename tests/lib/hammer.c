/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes in great number against an agent whose configuration changes all the time, each of which tells which revision it was given:
 *
 *   hammer --port P --backends B0,B1 --count N --threads T NAME...
 *
 * Generation G of the configuration is, in one revision: for each NAME a certificate with the subject "generation-G", options whose only
 * ALPN protocol is "g0" or "g1" by the last bit of G, and an upstream that is the backend B0 or B1 by that bit. Both backends are in this
 * process; each answers one byte, its number. A handshake counts as
 *   failed     if it or the exchange of a byte with the backend did not come to its orderly end,
 *   mixed      if certificate, protocol and backend are not of one generation,
 *   backwards  if it began after another had ended that was given a newer generation, of whatever name and thread.
 * Prints one JSON object; reasons of the first failures on standard error. Ends with 1 unless all three are 0. No session is resumed.
 * The agent's listeners and the backends are on 127.0.0.1. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
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

#define THREADS_MAX 64
#define TOLD_MAX 10
#define TIMEOUT_S 20

struct backend {
	int listener;
	char answer;
};

struct run {
	uint16_t port, backend_ports[2];
	long count;
	int threads;
	char **names;
	int names_len;
	SSL_CTX *ctx;
	atomic_long next, failed, mixed, backwards, newest;
};

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Backend. ------------------------------------------------------------------------------------------------------- */

static void *backend_main(void *argument)
{
	const struct backend *backend = argument;
	char buffer[64];

	for (;;) {
		int fd = accept4(backend->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (read(fd, buffer, sizeof(buffer)) > 0 && write(fd, &backend->answer, 1) != 1)
			perror("backend");
		close(fd);
	}
	return NULL;
}

static void start_backend(struct backend *backend, uint16_t port, char answer)
{
	struct sockaddr_in address = loopback(port);
	int on = 1;
	pthread_t thread;

	*backend = (struct backend){socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), answer};
	setsockopt(backend->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(backend->listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(backend->listener, 1024) != 0 ||
	    pthread_create(&thread, NULL, backend_main, backend) != 0) {
		perror("hammer: backend");
		exit(2);
	}
}

/* Clients. ------------------------------------------------------------------------------------------------------- */

struct seen {
	long generation;
	char protocol, backend;
};

static int connect_to(uint16_t port)
{
	const struct linger reset = {.l_onoff = 1}; /* no connection waits for its port to be free again */
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static long generation_of(SSL *ssl)
{
	static const char prefix[] = "generation-";
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	char text[64] = "";

	if (leaf == NULL ||
	    X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, text, sizeof(text)) <= (int)sizeof(prefix) - 1 ||
	    strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return -1;
	return strtol(text + sizeof(prefix) - 1, NULL, 10);
}

/* NULL, or what did not succeed. */
static const char *exchange(SSL *ssl, struct seen *ret)
{
	const unsigned char *protocol;
	unsigned len;
	char more;

	if (SSL_connect(ssl) != 1)
		return "handshake";
	if (SSL_write(ssl, "?", 1) != 1 || SSL_read(ssl, &ret->backend, 1) != 1)
		return "answer";
	if (SSL_read(ssl, &more, 1) > 0 || (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) == 0)
		return "orderly end";
	SSL_get0_alpn_selected(ssl, &protocol, &len);
	ret->protocol = len == 2 ? (char)protocol[1] : '-';
	ret->generation = generation_of(ssl);
	return ret->generation >= 0 ? NULL : "subject";
}

static void tell(struct run *run, const char *what)
{
	char text[256] = "";
	unsigned long code = ERR_get_error();

	if (atomic_fetch_add(&run->failed, 1) >= TOLD_MAX)
		return;
	if (code != 0)
		ERR_error_string_n(code, text, sizeof(text));
	fprintf(stderr, "hammer: no %s: %s %s\n", what, text, strerror(errno));
}

static void judge(struct run *run, const struct seen *seen, long floor)
{
	char bit = (char)('0' + seen->generation % 2);
	long newest = atomic_load(&run->newest);

	if ((seen->protocol != bit || seen->backend != bit) && atomic_fetch_add(&run->mixed, 1) < TOLD_MAX)
		fprintf(stderr, "hammer: mixed: generation %ld, protocol g%c, backend %c\n", seen->generation, seen->protocol, seen->backend);
	if (seen->generation < floor && atomic_fetch_add(&run->backwards, 1) < TOLD_MAX)
		fprintf(stderr, "hammer: generation %ld after %ld\n", seen->generation, floor);
	while (newest < seen->generation && !atomic_compare_exchange_weak(&run->newest, &newest, seen->generation))
		;
}

static void visit(struct run *run, const char *name)
{
	long floor = atomic_load(&run->newest);
	int fd = connect_to(run->port);
	SSL *ssl = fd >= 0 ? SSL_new(run->ctx) : NULL;
	struct seen seen = {0};
	const char *lacking;

	if (ssl == NULL) {
		tell(run, "connection");
	} else {
		SSL_set_tlsext_host_name(ssl, name);
		SSL_set_fd(ssl, fd);
		lacking = exchange(ssl, &seen);
		if (lacking != NULL)
			tell(run, lacking);
		else
			judge(run, &seen, floor);
	}
	SSL_free(ssl);
	ERR_clear_error();
	if (fd >= 0)
		close(fd);
}

static void *client_main(void *argument)
{
	struct run *run = argument;
	long left;

	while ((left = atomic_fetch_sub(&run->next, 1)) > 0)
		visit(run, run->names[left % run->names_len]);
	return NULL;
}

static void run_clients(struct run *run)
{
	pthread_t threads[THREADS_MAX];

	atomic_store(&run->next, run->count);
	for (int i = 0; i < run->threads; i++) {
		if (pthread_create(&threads[i], NULL, client_main, run) != 0)
			exit(2);
	}
	for (int i = 0; i < run->threads; i++)
		pthread_join(threads[i], NULL);
}

static void parse(struct run *run, int argc, char **argv)
{
	static const struct option options[] = {
	    {"port", 1, NULL, 'p'}, {"backends", 1, NULL, 'b'}, {"count", 1, NULL, 'n'}, {"threads", 1, NULL, 't'}, {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			run->port = (uint16_t)strtoul(optarg, NULL, 10);
		else if (option == 'b' && sscanf(optarg, "%hu,%hu", &run->backend_ports[0], &run->backend_ports[1]) != 2)
			exit(2);
		else if (option == 'n')
			run->count = strtol(optarg, NULL, 10);
		else if (option == 't')
			run->threads = (int)strtol(optarg, NULL, 10);
		else if (option == '?')
			exit(2);
	}
	run->names = argv + optind;
	run->names_len = argc - optind;
	if (run->names_len < 1 || run->threads < 1 || run->threads > THREADS_MAX)
		exit(2);
}

int main(int argc, char **argv)
{
	static const unsigned char protocols[] = "\x02g0\x02g1";
	struct run run = {.count = 1000, .threads = 4};
	struct backend backends[2];
	struct timespec start, end;

	signal(SIGPIPE, SIG_IGN);
	parse(&run, argc, argv);
	for (int i = 0; i < 2; i++)
		start_backend(&backends[i], run.backend_ports[i], (char)('0' + i));
	run.ctx = SSL_CTX_new(TLS_client_method());
	if (run.ctx == NULL || SSL_CTX_set_alpn_protos(run.ctx, protocols, sizeof(protocols) - 1) != 0)
		return 2;
	SSL_CTX_set_session_cache_mode(run.ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_min_proto_version(run.ctx, TLS1_3_VERSION);
	clock_gettime(CLOCK_MONOTONIC, &start);
	run_clients(&run);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("{\"handshakes\": %ld, \"failed\": %ld, \"mixed\": %ld, \"backwards\": %ld, \"newest\": %ld, \"seconds\": %.2f}\n", run.count,
	       atomic_load(&run.failed), atomic_load(&run.mixed), atomic_load(&run.backwards), atomic_load(&run.newest),
	       (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9);
	return atomic_load(&run.failed) + atomic_load(&run.mixed) + atomic_load(&run.backwards) == 0 ? 0 : 1;
}
