/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses, inside common/http. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* A listening, non-blocking descriptor in *ret_fd, and the port that it got (port 0: any). host: an IP address or
 * "localhost". E_INVALID: it is neither; E_FORBIDDEN: not loopback, and only that is allowed; E_BUSY: the port is
 * taken; E_IO. */
int sockaddr_listen(const char *host, uint16_t port, bool only_loopback, int *ret_fd, uint16_t *ret_port,
                    struct error *err) MUST_USE;

/* The same for a Unix socket (mode 0600; what a process left behind at path is replaced, anything else there is E_BUSY).
 * E_INVALID: the path is too long. */
int sockaddr_listen_unix(const char *path, int *ret_fd, struct error *err) MUST_USE;
/* The peer of a connected Unix socket, in words: "unix:uid=1000,pid=77" as its path. */
void sockaddr_read_unix_peer(int fd, struct sockaddr_storage *ret, socklen_t *ret_len);

bool sockaddr_is_loopback(const char *host); /* false also for what is no address */

#define SOCKADDR_TEXT_MAX 64
/* "127.0.0.1:80", "[::1]:80", what sockaddr_read_unix_peer says; else, and for NULL, "-". */
void sockaddr_format(const struct sockaddr *address, char text[SOCKADDR_TEXT_MAX]);
