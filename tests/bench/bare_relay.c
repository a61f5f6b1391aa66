/* SPDX-License-Identifier: Apache-2.0 */
/* The other half of the floor: a relay without TLS, one thread, epoll, as little as possible: accept, connect to the backend, copy both
 * ways, close. For small messages only (a short write ends the connection).
 *
 *   bare_relay PORT BACKEND_PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair;

struct side {
	struct pair *pair;
	int fd;
	int ended; /* its peer has been told */
};

struct pair {
	struct side side[2]; /* client, backend */
	struct pair *next_dead; /* closed, but events of this batch may still name it */
	int dead;
};

static struct sockaddr_in address_of(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct pair *dead_pairs;

static void pair_close(struct pair *pair)
{
	close(pair->side[0].fd);
	close(pair->side[1].fd);
	pair->dead = 1;
	pair->next_dead = dead_pairs;
	dead_pairs = pair;
}

static void bury(void)
{
	while (dead_pairs != NULL) {
		struct pair *pair = dead_pairs;

		dead_pairs = pair->next_dead;
		free(pair);
	}
}

static void watch(int epoll, struct side *side)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = side};

	epoll_ctl(epoll, EPOLL_CTL_ADD, side->fd, &event);
}

static void accept_one(int epoll, int listener, uint16_t backend_port)
{
	struct sockaddr_in backend = address_of(backend_port);
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
	struct pair *pair;

	if (fd < 0)
		return;
	pair = calloc(1, sizeof(*pair));
	pair->side[0] = (struct side){pair, fd, 0};
	pair->side[1] = (struct side){pair, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 0};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(pair->side[1].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(pair->side[1].fd, (struct sockaddr *)&backend, sizeof(backend)) != 0 && errno != EINPROGRESS) {
		pair_close(pair);
		return;
	}
	watch(epoll, &pair->side[0]);
	watch(epoll, &pair->side[1]);
}

/* Copies until the socket is dry. */
static void copy(struct side *from)
{
	static char buffer[16384];
	struct pair *pair = from->pair;
	struct side *to = &pair->side[from == &pair->side[0]];
	ssize_t n;

	while ((n = read(from->fd, buffer, sizeof(buffer))) > 0) {
		if (write(to->fd, buffer, (size_t)n) != n)
			break;
	}
	if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
		return;
	if (n == 0 && !from->ended) {
		from->ended = 1;
		shutdown(to->fd, SHUT_WR);
		if (!to->ended)
			return;
	}
	pair_close(pair);
}

int main(int argc, char **argv)
{
	struct epoll_event events[64];
	struct sockaddr_in address;
	struct side listening = {NULL, -1, 0};
	int epoll = epoll_create1(EPOLL_CLOEXEC), on = 1;

	if (argc != 3)
		return 2;
	address = address_of((uint16_t)strtoul(argv[1], NULL, 10));
	listening.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listening.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listening.fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listening.fd, 1024) != 0) {
		perror("bare_relay");
		return 1;
	}
	epoll_ctl(epoll, EPOLL_CTL_ADD, listening.fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &listening});
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct side *side = events[i].data.ptr;

			if (side == &listening)
				accept_one(epoll, listening.fd, (uint16_t)strtoul(argv[2], NULL, 10));
			else if (!side->pair->dead)
				copy(side);
		}
		bury();
	}
}
