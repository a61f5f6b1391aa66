/* SPDX-License-Identifier: Apache-2.0 */
/* Address ranges: one form for every spelling, and membership against a slow model. */
#include "model/cidr.h"

#include "base/macros.h"

#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *text, uint8_t bytes[16], Tlsplane__IpRange *ret)
{
	struct error err = ERROR_NULL;
	uint8_t prefix;
	struct ip ip;
	int r = cidr_parse(text, &ip, &prefix, &err);

	if (r < 0) {
		ck_assert_int_eq(r, E_SYNTAX);
		ck_assert_str_ne(err.text, "");
		return r;
	}
	memcpy(bytes, ip.bytes, ip.len);
	*ret = (Tlsplane__IpRange)TLSPLANE__IP_RANGE__INIT;
	ret->address = (ProtobufCBinaryData){ip.len, bytes};
	ret->prefix = prefix;
	return 0;
}

START_TEST(ranges_have_one_form)
{
	static const struct {
		const char *text, *normal;
	} rows[] = {
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.1/32", "192.0.2.1"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"192.0.2.128/25", "192.0.2.128/25"},
		{"2001:DB8::/32", "2001:db8::/32"},
		{"2001:db8:0:0::1", "2001:db8::1"},
		{"::/0", "::/0"},
		{"::1/128", "::1"},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::ffff:0:0/96", "0.0.0.0/0"},
	};
	char text[CIDR_TEXT_MAX];
	Tlsplane__IpRange range;
	uint8_t bytes[16];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_msg(parse(rows[i].text, bytes, &range) == 0, "%s", rows[i].text);
		ck_assert(cidr_is_normal(&range));
		cidr_format(&range, text);
		ck_assert_str_eq(text, rows[i].normal);
	}
}
END_TEST

START_TEST(what_is_no_range_is_refused)
{
	static const char *const texts[] = {
		"",           "/",          "10.0.0.0/",   "10.0.0.0/33",      "10.0.0.0/-1",       "10.0.0.0/+8", "10.0.0.0/08",
		"10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.1/8", "10.0.0.0/8/8",     "10.0.0/8",          "010.0.0.0/8", "10.0.0.0/8x",
		"::/129",     "::1/64",     "fe80::1%lo",  "[::1]",            "example.com",       "::ffff:0:0/95",
		"::ffff:10.0.0.1/104", "10.0.0.0/4294967304", "*", "0x7f.0.0.1", "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
	};
	Tlsplane__IpRange range;
	uint8_t bytes[16];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_msg(parse(texts[i], bytes, &range) == E_SYNTAX, "%s", texts[i]);
}
END_TEST

START_TEST(the_range_that_was_meant_is_named)
{
	struct error err = ERROR_NULL;
	uint8_t prefix = 77;
	struct ip ip;

	ck_assert_int_eq(cidr_parse("192.0.2.77/24", &ip, &prefix, &err), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(err.text, "192.0.2.0/24"));
	ck_assert_uint_eq(prefix, 77);
}
END_TEST

START_TEST(bodies_must_be_normal)
{
	static const struct {
		const char *bytes;
		size_t len;
		uint32_t prefix;
		bool normal;
	} rows[] = {
		{"\x0a\0\0\0", 4, 8, true},
		{"\x0a\0\0\1", 4, 8, false},
		{"\x0a\0\0\0", 4, 33, false},
		{"\x0a\0\0", 3, 8, false},
		{"", 0, 0, false},
		{"\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\0", 16, 104, false},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, 0, true},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, 128, true},
		{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, 129, false},
	};
	char text[CIDR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bytes[16];
		Tlsplane__IpRange range = TLSPLANE__IP_RANGE__INIT, *list[] = {&range};
		struct ip ip = {{0x0a}, 4};

		memcpy(bytes, rows[i].bytes, rows[i].len);
		range.address = (ProtobufCBinaryData){rows[i].len, bytes};
		range.prefix = rows[i].prefix;
		ck_assert_msg(cidr_is_normal(&range) == rows[i].normal, "row %zu", i);
		cidr_format(&range, text);
		ck_assert((strcmp(text, "?") == 0) == !rows[i].normal);
		(void)cidr_has(list, 1, &ip); /* reads nothing that is not there */
	}
}
END_TEST

START_TEST(addresses_have_one_form)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr other = {.sa_family = AF_UNIX};
	struct ip a, b, c, d;

	inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
	inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr);
	a = ip_from_sockaddr((struct sockaddr *)&v4);
	b = ip_from_sockaddr((struct sockaddr *)&v6);
	ck_assert_int_eq(ip_parse("192.0.2.1", &c), 0);
	ck_assert_int_eq(ip_parse("::ffff:c000:201", &d), 0);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	ck_assert_mem_eq(&a, &c, sizeof(a));
	ck_assert_mem_eq(&a, &d, sizeof(a));
	ck_assert_uint_eq(a.len, 4);
	ck_assert_uint_eq(ip_from_sockaddr(&other).len, 0);
	ck_assert_int_eq(ip_parse("192.0.2", &a), E_SYNTAX);
	ck_assert_int_eq(ip_parse("192.0.2.1/32", &a), E_SYNTAX);
	ck_assert_int_eq(ip_parse("", &a), E_SYNTAX);
}
END_TEST

/* Bit by bit. */
static bool model_has(const Tlsplane__IpRange *range, const struct ip *ip)
{
	if (range->address.len != ip->len)
		return false;
	for (unsigned bit = 0; bit < range->prefix; bit++)
		if (((range->address.data[bit / 8] ^ ip->bytes[bit / 8]) & (0x80 >> bit % 8)) != 0)
			return false;
	return true;
}

START_TEST(membership_is_that_of_the_model)
{
	unsigned hits = 0;

	srandom(7);
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t bytes[16];
		Tlsplane__IpRange range = TLSPLANE__IP_RANGE__INIT, *list[] = {&range};
		struct ip ip = {.len = random() % 4 == 0 ? 16 : 4};
		size_t len = random() % 4 == 0 ? 16 : 4;

		for (size_t i = 0; i < 16; i++) { /* few bits, so that prefixes meet */
			ip.bytes[i] = (uint8_t)(random() % 2 << random() % 8);
			bytes[i] = random() % 8 == 0 ? (uint8_t)random() : ip.bytes[i];
		}
		range.address = (ProtobufCBinaryData){len, bytes};
		range.prefix = (uint32_t)random() % (uint32_t)(8 * len + 1);
		ck_assert(cidr_has(list, 1, &ip) == model_has(&range, &ip));
		hits += cidr_has(list, 1, &ip);
	}
	ck_assert_uint_gt(hits, 1000);
}
END_TEST

START_TEST(nobody_is_in_no_list)
{
	uint8_t bytes[4] = {0};
	Tlsplane__IpRange all = TLSPLANE__IP_RANGE__INIT, *list[] = {&all};
	struct ip none = {.len = 0}, some = {{1, 2, 3, 4}, 4};

	all.address = (ProtobufCBinaryData){4, bytes};
	ck_assert(cidr_has(list, 1, &some));
	ck_assert(!cidr_has(list, 0, &some));
	ck_assert(!cidr_has(list, 1, &none));
}
END_TEST

UNIT_MAIN("model/cidr", ranges_have_one_form, what_is_no_range_is_refused, the_range_that_was_meant_is_named,
          bodies_must_be_normal, addresses_have_one_form, membership_is_that_of_the_model, nobody_is_in_no_list)
