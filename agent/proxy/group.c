/* SPDX-License-Identifier: Apache-2.0 */
/* SO_REUSEPORT shares a port among sockets of one user, also with another process that did the same: two agents on one
 * machine would split the connections in silence. So the first socket is bound and listens *without* the option, which
 * fails when anybody has the port; only then it gets the option and the others join. (Listening at once matters: two
 * sockets with SO_REUSEADDR may be bound to one port as long as neither listens, and the second listen fails.) */
#include "proxy/group.h"

#include "proxy/endpoint.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096      /* the kernel caps it at net.core.somaxconn */
#define KEEPALIVE_IDLE 60 /* seconds until a silent client is asked whether it is still there */

static int set_flag(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* Accepted sockets inherit NODELAY and keep-alive, which saves the calls per connection. "::" serves IPv4 as well. */
static int set_options(int fd, const union endpoint *address)
{
	bool dual = address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);

	if (address->any.sa_family == AF_INET6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual) != 0)
		return -1;
	return set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) | set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1) |
	       set_flag(fd, SOL_SOCKET, SO_KEEPALIVE, 1) | set_flag(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
}

static int open_one(const union endpoint *address, socklen_t len, bool first)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), saved;

	if (fd < 0)
		return -1;
	if (set_options(fd, address) == 0 && (first || set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0) &&
	    bind(fd, &address->any, len) == 0 && listen(fd, BACKLOG) == 0 &&
	    (!first || set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int code_of(int error_number)
{
	switch (error_number) {
	case EADDRINUSE:
		return E_BUSY;
	case EACCES:
	case EPERM:
		return E_FORBIDDEN;
	case EADDRNOTAVAIL:
		return E_UNAVAILABLE;
	default:
		return error_from_errno(error_number);
	}
}

int group_open(const char *address, unsigned count, int *fds, struct error *err)
{
	union endpoint parsed;
	socklen_t len = 0;
	int r = endpoint_parse(address, &parsed, &len, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < count; i++) {
		fds[i] = open_one(&parsed, len, i == 0);
		if (fds[i] < 0) {
			int saved = errno;

			group_close(fds, i);
			return error_set(err, code_of(saved), "%s: %s", address, strerror(saved));
		}
	}
	return 0;
}

void group_close(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}
