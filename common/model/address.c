/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and ports. Pure. */
#include "model/address.h"

#include "base/options.h"
#include "model/name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* To binary and back, which leaves one spelling. */
static bool ip_normalise(const char *text, char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, text, address) == 1)
		return inet_ntop(AF_INET, address, host, ADDRESS_HOST_MAX) != NULL;
	return inet_pton(AF_INET6, text, address) == 1 && inet_ntop(AF_INET6, address, host, ADDRESS_HOST_MAX) != NULL;
}

bool address_is_ip(const char *host)
{
	char normal[ADDRESS_HOST_MAX];

	return ip_normalise(host, normal);
}

int address_normalise_host(const char *text, char *host, struct error *err)
{
	if (ip_normalise(text, host))
		return 0;
	return name_normalise(text, false, host, err);
}

bool address_is_normal(const char *host)
{
	char normal[ADDRESS_HOST_MAX];

	return address_normalise_host(host, normal, NULL) == 0 && strcmp(normal, host) == 0;
}

int address_parse(const char *text, char *host, uint16_t *ret_port, struct error *err)
{
	char raw[256], normal[ADDRESS_HOST_MAX];
	uint16_t port;
	int r = options_parse_host_port(text, raw, &port, err);

	if (r < 0)
		return r;
	if (port == 0)
		return error_set(err, E_SYNTAX, "the port must be 1 to 65535");
	r = address_normalise_host(raw, normal, err);
	if (r < 0)
		return r;
	if (text[0] == '[' && strchr(normal, ':') == NULL)
		return error_set(err, E_SYNTAX, "brackets are for IPv6 addresses alone");
	memcpy(host, normal, strlen(normal) + 1);
	*ret_port = port;
	return 0;
}

const char *address_format(const char *host, uint32_t port, char text[ADDRESS_TEXT_MAX])
{
	snprintf(text, ADDRESS_TEXT_MAX, strchr(host, ':') != NULL ? "[%.255s]:%u" : "%.255s:%u", host, port);
	return text;
}
