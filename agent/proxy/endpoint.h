/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of sockets: IPv4, IPv6, or none (family 0), as small as they come. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

union endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

#define ENDPOINT_TEXT_MAX 64

static inline bool endpoint_is_known(const union endpoint *address)
{
	return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

/* What endpoint_format writes. E_SYNTAX, E_INVALID. */
int endpoint_parse(const char *text, union endpoint *ret, socklen_t *ret_len, struct error *err) MUST_USE;
/* "127.0.0.1:80", "[::1]:80"; "" for none. */
void endpoint_format(const union endpoint *address, char text[ENDPOINT_TEXT_MAX]);
