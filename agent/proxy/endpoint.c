/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>

void endpoint_format(const union endpoint *address, char text[ENDPOINT_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	text[0] = 0;
	if (address->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
		snprintf(text, ENDPOINT_TEXT_MAX, "[%s]:%u", host, ntohs(address->v6.sin6_port));
	} else if (address->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
		snprintf(text, ENDPOINT_TEXT_MAX, "%s:%u", host, ntohs(address->v4.sin_port));
	}
}
