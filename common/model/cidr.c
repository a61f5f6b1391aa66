/* SPDX-License-Identifier: Apache-2.0 */
/* Address ranges. IPv4 and v4-mapped IPv6 (RFC 4291 2.5.5.2) are one address here, in ranges too, so that no spelling of an address slips
 * past a list. */
#include "model/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define V4_LEN 4
#define V6_LEN 16
#define MAPPED_LEN 12

static const uint8_t mapped_prefix[MAPPED_LEN] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const uint8_t *bytes)
{
	return memcmp(bytes, mapped_prefix, MAPPED_LEN) == 0;
}

static struct ip ip_from_v4(const void *bytes)
{
	struct ip ip = {.len = V4_LEN};

	memcpy(ip.bytes, bytes, V4_LEN);
	return ip;
}

static struct ip ip_from_v6(const uint8_t *bytes)
{
	struct ip ip = {.len = V6_LEN};

	if (is_mapped(bytes))
		return ip_from_v4(bytes + MAPPED_LEN);
	memcpy(ip.bytes, bytes, V6_LEN);
	return ip;
}

struct ip ip_from_sockaddr(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	switch (address->sa_family) {
	case AF_INET:
		memcpy(&v4, address, sizeof(v4));
		return ip_from_v4(&v4.sin_addr);
	case AF_INET6:
		memcpy(&v6, address, sizeof(v6));
		return ip_from_v6(v6.sin6_addr.s6_addr);
	default:
		return (struct ip){.len = 0};
	}
}

int ip_parse(const char *text, struct ip *ret)
{
	uint8_t bytes[V6_LEN];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*ret = ip_from_v4(bytes);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*ret = ip_from_v6(bytes);
	else
		return E_SYNTAX;
	return 0;
}

/* Clears the bits behind the prefix; false when there were some. */
static bool clear_host_bits(uint8_t *bytes, size_t len, unsigned prefix)
{
	bool clear = true;

	for (size_t i = 0; i < len; i++) {
		unsigned kept = prefix >= 8 * (i + 1) ? 8 : prefix > 8 * i ? prefix - 8 * (unsigned)i : 0;
		uint8_t mask = (uint8_t)(0xff << (8 - kept));

		clear = clear && (bytes[i] & ~mask) == 0;
		bytes[i] &= mask;
	}
	return clear;
}

static void format_range(const uint8_t *bytes, size_t len, unsigned prefix, char text[CIDR_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(len == V4_LEN ? AF_INET : AF_INET6, bytes, address, sizeof(address));
	if (prefix == 8 * len)
		snprintf(text, CIDR_TEXT_MAX, "%s", address);
	else
		snprintf(text, CIDR_TEXT_MAX, "%s/%u", address, prefix);
}

/* One to three digits without a sign or a leading zero. False: none such. */
static bool parse_prefix(const char *text, unsigned max, unsigned *ret)
{
	unsigned value = 0;
	size_t len = strspn(text, "0123456789");

	if (len < 1 || len > 3 || text[len] != '\0' || (text[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++)
		value = value * 10 + (unsigned)(text[i] - '0');
	*ret = value;
	return value <= max;
}

int cidr_parse(const char *text, struct ip *ret_address, uint8_t *ret_prefix, struct error *err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	char host[INET6_ADDRSTRLEN], meant[CIDR_TEXT_MAX];
	uint8_t bytes[V6_LEN];
	size_t size;
	unsigned prefix;
	struct ip ip;

	if (len >= sizeof(host))
		return error_set(err, E_SYNTAX, "not an IP address or a range such as 10.0.0.0/8 or 2001:db8::/32");
	memcpy(host, text, len);
	host[len] = '\0';
	size = strchr(host, ':') == NULL ? V4_LEN : V6_LEN;
	if (inet_pton(size == V4_LEN ? AF_INET : AF_INET6, host, bytes) != 1)
		return error_set(err, E_SYNTAX, "not an IP address or a range such as 10.0.0.0/8 or 2001:db8::/32");
	prefix = (unsigned)(8 * size);
	if (slash != NULL && !parse_prefix(slash + 1, prefix, &prefix))
		return error_set(err, E_SYNTAX, "the prefix length must be 0 to %u", (unsigned)(8 * size));
	if (!clear_host_bits(bytes, size, prefix)) {
		format_range(bytes, size, prefix, meant);
		return error_set(err, E_SYNTAX, "has bits set behind its prefix; %s is the range that it lies in", meant);
	}
	ip = size == V4_LEN ? ip_from_v4(bytes) : ip_from_v6(bytes);
	*ret_address = ip;
	*ret_prefix = (uint8_t)(ip.len == size ? prefix : prefix - 8 * MAPPED_LEN);
	return 0;
}

bool cidr_is_normal(const Tlsplane__IpRange *range)
{
	uint8_t bytes[V6_LEN];
	size_t len = range->address.len;

	if ((len != V4_LEN && len != V6_LEN) || range->prefix > 8 * len)
		return false;
	memcpy(bytes, range->address.data, len);
	return clear_host_bits(bytes, len, range->prefix) && (len == V4_LEN || !is_mapped(bytes));
}

void cidr_format(const Tlsplane__IpRange *range, char text[CIDR_TEXT_MAX])
{
	if (cidr_is_normal(range))
		format_range(range->address.data, range->address.len, range->prefix, text);
	else
		snprintf(text, CIDR_TEXT_MAX, "?");
}

static bool range_has(const Tlsplane__IpRange *range, const struct ip *ip)
{
	unsigned whole = range->prefix / 8, rest = range->prefix % 8;

	if (range->address.len != ip->len || range->prefix > 8u * ip->len)
		return false;
	if (memcmp(range->address.data, ip->bytes, whole) != 0)
		return false;
	return rest == 0 || ((range->address.data[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}

bool cidr_has(Tlsplane__IpRange *const *ranges, size_t count, const struct ip *ip)
{
	for (size_t i = 0; i < count && ip->len > 0; i++)
		if (range_has(ranges[i], ip))
			return true;
	return false;
}
