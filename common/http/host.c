/* SPDX-License-Identifier: Apache-2.0 */
#include "http/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 255

static bool is_address(const char *host, size_t len)
{
	unsigned char address[16];

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		char inner[HOST_MAX + 1] = "";

		memcpy(inner, host + 1, len - 2);
		return inet_pton(AF_INET6, inner, address) == 1;
	}
	return inet_pton(AF_INET, host, address) == 1;
}

bool host_is_known(const char *text, const char *const *names)
{
	char host[HOST_MAX + 1] = "";
	const char *end = text[0] == '[' ? strchr(text, ']') : text;
	size_t len;

	if (end == NULL)
		return false;
	len = (size_t)(end - text) + strcspn(end, ":");
	if (len == 0 || len > HOST_MAX)
		return false;
	memcpy(host, text, len);
	if (is_address(host, len))
		return true;
	if (host[len - 1] == '.')
		host[len - 1] = 0;
	if (strcasecmp(host, "localhost") == 0)
		return true;
	while (*names != NULL && strcasecmp(*names, host) != 0)
		names++;
	return *names != NULL;
}
