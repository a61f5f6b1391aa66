/* SPDX-License-Identifier: Apache-2.0 */
#include "http/sockaddr.h"

#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static int parse_address(const char *host, uint16_t port, union address *ret, socklen_t *ret_len, struct error *err)
{
	union address address = {0};

	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
		*ret_len = sizeof(address.in);
	} else if (inet_pton(AF_INET6, host, &address.in6.sin6_addr) == 1) {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
		*ret_len = sizeof(address.in6);
	} else {
		return error_set(err, E_INVALID, "%s is no IP address", host);
	}
	*ret = address;
	return 0;
}

static bool is_loopback(const union address *address)
{
	return address->any.sa_family == AF_INET ? ntohl(address->in.sin_addr.s_addr) >> 24 == 127
	                                         : IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
}

bool sockaddr_is_loopback(const char *host)
{
	union address address = {0};
	socklen_t len;

	return parse_address(host, 0, &address, &len, NULL) == 0 && is_loopback(&address);
}

int sockaddr_listen(const char *host, uint16_t port, bool only_loopback, int *ret_fd, uint16_t *ret_port,
                    struct error *err)
{
	union address address;
	socklen_t len;
	int fd, on = 1;
	int r = parse_address(host, port, &address, &len, err);

	if (r < 0)
		return r;
	if (only_loopback && !is_loopback(&address))
		return error_set(err, E_FORBIDDEN, "%s is not a loopback address, and this port speaks plain HTTP", host);
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, error_from_errno(errno), "socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || bind(fd, &address.any, len) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0 || getsockname(fd, &address.any, &len) < 0) {
		int code = errno == EADDRINUSE ? E_BUSY : error_from_errno(errno);

		error_set(err, code, "listen on %s port %u: %s", host, port, strerror(errno));
		close(fd);
		return code;
	}
	*ret_fd = fd;
	*ret_port = ntohs(address.any.sa_family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
	return 0;
}

/* Is there a socket that nobody listens on any more? */
static bool is_left_behind(const struct sockaddr_un *address)
{
	struct stat info;
	bool dead = false;
	int fd;

	if (lstat(address->sun_path, &info) < 0 || !S_ISSOCK(info.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	dead = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return dead;
}

/* Between bind and chmod nobody can connect: it does not listen yet. */
static int listen_at(int fd, const struct sockaddr_un *address, struct error *err)
{
	if (is_left_behind(address))
		(void)unlink(address->sun_path); /* else bind says so */
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return error_set(err, errno == EADDRINUSE ? E_BUSY : error_from_errno(errno), "%s: %s", address->sun_path,
		                 strerror(errno));
	if (chmod(address->sun_path, 0600) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
		int code = error_set(err, error_from_errno(errno), "%s: %s", address->sun_path, strerror(errno));

		(void)unlink(address->sun_path);
		return code;
	}
	return 0;
}

int sockaddr_listen_unix(const char *path, int *ret_fd, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path) || path[0] == 0)
		return error_set(err, E_INVALID, "a socket's path has 1 to %zu bytes", sizeof(address.sun_path) - 1);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, error_from_errno(errno), "socket: %s", strerror(errno));
	r = listen_at(fd, &address, err);
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

void sockaddr_read_unix_peer(int fd, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_un *address = (void *)ret;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	*ret = (struct sockaddr_storage){.ss_family = AF_UNIX};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		snprintf(address->sun_path, sizeof(address->sun_path), "unix:uid=%u,pid=%d", peer.uid, peer.pid);
	else
		snprintf(address->sun_path, sizeof(address->sun_path), "unix");
	*ret_len = sizeof(*address);
}

void sockaddr_format(const struct sockaddr *address, char text[SOCKADDR_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "";

	snprintf(text, SOCKADDR_TEXT_MAX, "-");
	if (address != NULL && address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, SOCKADDR_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
	} else if (address != NULL && address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, SOCKADDR_TEXT_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else if (address != NULL && address->sa_family == AF_UNIX) {
		const struct sockaddr_un *un = (const void *)address;

		snprintf(text, SOCKADDR_TEXT_MAX, "%.*s", SOCKADDR_TEXT_MAX - 1, un->sun_path);
	}
}

bool http_is_loopback(const char *host)
{
	return sockaddr_is_loopback(host);
}
