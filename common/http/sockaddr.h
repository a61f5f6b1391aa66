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

#define SOCKADDR_TEXT_MAX 64
/* "127.0.0.1:80", "[::1]:80"; "-" for NULL and families that have no port. */
void sockaddr_format(const struct sockaddr *address, char text[SOCKADDR_TEXT_MAX]);
