/* SPDX-License-Identifier: Apache-2.0 */
/* Durable PUTs per second: each client has one connection and one object, and puts two bodies of it in turn, the next as soon as the last
 * is answered. An '@' in the bodies is replaced by the client's letter.
 *
 *   puts ADMIN_PORT TOKEN_FILE CLIENTS SECONDS BODY_A BODY_B
 *
 * Prints {"puts", "per_second", "p50_ms", "p99_ms", "max_ms"}; what is not answered with 200 or 201 ends the program. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 26
#define PUTS_MAX 1000000
#define TEXT_MAX (64u << 10)

struct client {
	int fd;
	char *requests[2];
	size_t turn; /* how many were sent */
	double sent_at;
	char answer[TEXT_MAX];
	size_t have;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "puts: %s\n", what);
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
	char *text = calloc(1, TEXT_MAX);

	must(in != NULL && text != NULL && fread(text, 1, TEXT_MAX - 1, in) > 0, path);
	fclose(in);
	text[strcspn(text, "\r\n")] = 0; /* JSON on one line, or a token */
	return text;
}

static char *make_request(const char *token, const char *template, char letter)
{
	char *body = strdup(template), *request = malloc(TEXT_MAX + 1024);
	int len;

	must(body != NULL && request != NULL, "memory");
	for (char *at = strchr(body, '@'); at != NULL; at = strchr(at, '@'))
		*at = letter;
	len = snprintf(request, TEXT_MAX + 1024,
	               "PUT /v1/ssls/put-%c HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
	               "Content-Length: %zu\r\n\r\n%s",
	               letter, token, strlen(body), body);
	must(len < (int)TEXT_MAX + 1024, "a body is too long");
	free(body);
	return request;
}

static void start_client(struct client *client, uint16_t port, const char *token, char *const bodies[2], char letter)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	must(connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	for (size_t i = 0; i < 2; i++)
		client->requests[i] = make_request(token, bodies[i], letter);
}

static void send_next(struct client *client)
{
	const char *request = client->requests[client->turn++ % 2];
	size_t len = strlen(request);

	client->have = 0;
	client->sent_at = now_ms();
	must(write(client->fd, request, len) == (ssize_t)len, "write");
}

/* Reads what is there; true: the answer is whole. */
static bool is_answered(struct client *client)
{
	ssize_t n = read(client->fd, client->answer + client->have, TEXT_MAX - 1 - client->have);
	char *end, *length;

	must(n > 0, "an answer was cut");
	client->have += (size_t)n;
	client->answer[client->have] = 0;
	end = strstr(client->answer, "\r\n\r\n");
	if (end == NULL)
		return false;
	must(strncmp(client->answer, "HTTP/1.1 20", 11) == 0, client->answer);
	length = strcasestr(client->answer, "content-length:");
	must(length != NULL && length < end, "no content length");
	return client->have >= (size_t)(end + 4 - client->answer) + strtoul(length + 15, NULL, 10);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print(double *took, size_t count, double seconds)
{
	must(count > 0, "nothing was answered");
	qsort(took, count, sizeof(*took), compare);
	printf("{\"puts\": %zu, \"per_second\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n", count, (double)count / seconds,
	       took[count / 2], took[count * 99 / 100], took[count - 1]);
}

int main(int argc, char **argv)
{
	static struct client clients[CLIENTS_MAX];
	static double took[PUTS_MAX];
	struct pollfd fds[CLIENTS_MAX];
	char *bodies[2], *token;
	size_t len, count = 0;
	double begun, end;

	must(argc == 7, "usage: ADMIN_PORT TOKEN_FILE CLIENTS SECONDS BODY_A BODY_B");
	token = read_file(argv[2]);
	len = strtoul(argv[3], NULL, 10);
	must(len > 0 && len <= CLIENTS_MAX, "1 to 26 clients");
	bodies[0] = read_file(argv[5]);
	bodies[1] = read_file(argv[6]);
	for (size_t i = 0; i < len; i++) {
		start_client(&clients[i], (uint16_t)strtoul(argv[1], NULL, 10), token, bodies, (char)('a' + i));
		fds[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
	}
	begun = now_ms();
	end = begun + strtod(argv[4], NULL) * 1e3;
	for (size_t i = 0; i < len; i++)
		send_next(&clients[i]);
	while (now_ms() < end && count < PUTS_MAX - CLIENTS_MAX) {
		must(poll(fds, len, 10000) > 0, "no answer within 10 s");
		for (size_t i = 0; i < len; i++) {
			if (fds[i].revents == 0 || !is_answered(&clients[i]))
				continue;
			took[count++] = now_ms() - clients[i].sent_at;
			send_next(&clients[i]);
		}
	}
	print(took, count, (now_ms() - begun) / 1e3);
	return 0;
}
