/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of address ranges: "10.0.0.0/8", "2001:db8::/32", a lone address. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* An address as it is compared: IPv4 and v4-mapped IPv6 are the same 4 bytes. */
struct ip {
	uint8_t bytes[16];
	uint8_t len; /* 4, 16; 0: none known */
};

struct ip ip_from_sockaddr(const struct sockaddr *address); /* other families: none */
int ip_parse(const char *text, struct ip *ret) MUST_USE;    /* E_SYNTAX */

#define CIDR_TEXT_MAX 64
/* E_SYNTAX: with the reason; bits set behind the prefix are an error that names the range that was meant. */
int cidr_parse(const char *text, struct ip *ret_address, uint8_t *ret_prefix, struct error *err) MUST_USE;
/* The one form that a body holds: 4 or 16 bytes that are not v4-mapped, a prefix that they have, no bits behind it. */
bool cidr_is_normal(const Tlsplane__IpRange *range);
/* A range of one address has no prefix in its text. A range that is not normal is "?". */
void cidr_format(const Tlsplane__IpRange *range, char text[CIDR_TEXT_MAX]);
/* No ranges: false. ip of no known address: false. */
bool cidr_has(Tlsplane__IpRange *const *ranges, size_t count, const struct ip *ip);
