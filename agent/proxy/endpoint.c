/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/endpoint.h"

#include "base/options.h"

#include <arpa/inet.h>
#include <stdio.h>

int endpoint_parse(const char *text, union endpoint *ret, socklen_t *ret_len, struct error *err)
{
	union endpoint address = {.v6 = {0}};
	char host[256];
	uint16_t port;
	int r = options_parse_host_port(text, host, &port, err);

	if (r < 0)
		return r;
	if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		*ret_len = sizeof(address.v4);
	} else if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		*ret_len = sizeof(address.v6);
	} else {
		return error_set(err, E_INVALID, "%s: not an IP address", text);
	}
	*ret = address;
	return 0;
}

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
