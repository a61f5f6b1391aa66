/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_header.h"
#include "unit.h"

#include <arpa/inet.h>
#include <string.h>

static const char v2[] = "\r\n\r\n\0\r\nQUIT\n";

static union endpoint address_of(const char *host, uint16_t port)
{
	union endpoint address = {0};

	if (inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
	}
	return address;
}

static const char *show(const union endpoint *address)
{
	static char texts[2][ENDPOINT_TEXT_MAX];
	static unsigned at;

	at = !at;
	endpoint_format(address, texts[at]);
	return texts[at];
}

/* Every beginning wants more; the whole is a header of that length, whatever follows. */
static void expect_done(const char *text, size_t len, const char *source, const char *destination)
{
	struct proxy_header header = {.source.v4.sin_family = 99};
	char longer[8192];
	size_t taken = 0;

	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(proxy_header_parse(BYTES(text, i), &header, &taken, NULL), 0);
	ck_assert_uint_eq(header.source.any.sa_family, 99); /* untouched */
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, text, len);
	ck_assert_int_eq(proxy_header_parse(BYTES(longer, sizeof(longer)), &header, &taken, NULL), 1);
	ck_assert_uint_eq(taken, len);
	ck_assert_str_eq(show(&header.source), source);
	ck_assert_str_eq(show(&header.destination), destination);
}

static void expect_broken(const char *text, size_t len)
{
	struct proxy_header header;
	struct error err = ERROR_NULL;
	size_t taken;

	ck_assert_msg(proxy_header_parse(BYTES(text, len), &header, &taken, &err) == E_SYNTAX, "%.*s", (int)len, text);
	ck_assert_str_ne(err.text, "");
}

START_TEST(test_v1)
{
	static const struct {
		const char *line, *source, *destination;
	} good[] = {
	    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1:56324", "198.51.100.2:443"},
	    {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n", "255.255.255.255:65535", "255.255.255.255:0"},
	    {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1", "[::1]:2"},
	    {"PROXY UNKNOWN\r\n", "", ""},
	    {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "",
	     ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		expect_done(good[i].line, strlen(good[i].line), good[i].source, good[i].destination);
}
END_TEST

START_TEST(test_v1_broken)
{
	static const char *const lines[] = {
	    "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",      "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n",   "PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n",   "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n",       "PROXY TCP4 192.0.2.256 198.51.100.2 1 443\r\n",
	    "PROXY TCP4 ::1 ::1 1 443\r\n",                       "PROXY TCP6 192.0.2.1 192.0.2.1 1 443\r\n",
	    "PROXY TCP5 192.0.2.1 198.51.100.2 56324 443\r\n",    "PROXY UNKNOWNX\r\n",
	    "PROXY \r\n",                                         "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\r\n",
	    "PROXY  TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",   "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\rX\n",
	};
	char endless[PROXY_HEADER_V1_MAX];

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		expect_broken(lines[i], strlen(lines[i]));
	memset(endless, 'a', sizeof(endless));
	memcpy(endless, "PROXY UNKNOWN ", 14);
	expect_broken(endless, sizeof(endless)); /* without its end within the limit */
	expect_broken("PROXY TCP4 192.0.2.1\0 198.51.100.2 56324 443\r\n", 46);
	expect_broken("\x16\x03\x01", 3);
	expect_broken("GET / HTTP/1.1\r\n", 16);
	expect_broken("PR0", 3);
	expect_broken("\r\n\r\n\r", 5);
}
END_TEST

static size_t make_v2(char *out, uint8_t command, uint8_t family, const void *body, uint16_t len)
{
	memcpy(out, v2, 12);
	out[12] = (char)command;
	out[13] = (char)family;
	out[14] = (char)(len >> 8);
	out[15] = (char)(len & 255);
	memcpy(out + 16, body, len);
	return 16 + (size_t)len;
}

START_TEST(test_v2)
{
	static const char v4[] = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
	                         "\x04\x00\x02xy";
	static const uint8_t v6[36] = {[0] = 0x20, [1] = 1, [15] = 9, [31] = 1, [33] = 7, [35] = 8};
	static char body[PROXY_HEADER_V2_BODY_MAX], text[PROXY_HEADER_MAX];

	expect_done(text, make_v2(text, 0x21, 0x11, v4, 12), "192.0.2.1:56324", "198.51.100.2:443");
	expect_done(text, make_v2(text, 0x21, 0x11, v4, sizeof(v4) - 1), "192.0.2.1:56324", "198.51.100.2:443");
	expect_done(text, make_v2(text, 0x21, 0x21, v6, sizeof(v6)), "[2001::9]:7", "[::1]:8");
	expect_done(text, make_v2(text, 0x20, 0x11, v4, 12), "", ""); /* LOCAL: whatever it says */
	expect_done(text, make_v2(text, 0x20, 0x00, "", 0), "", "");
	expect_done(text, make_v2(text, 0x21, 0x00, "", 0), "", "");
	expect_done(text, make_v2(text, 0x21, 0x31, body, 216), "", "");
	expect_done(text, make_v2(text, 0x21, 0x11, body, sizeof(body)), "0.0.0.0:0", "0.0.0.0:0");
}
END_TEST

START_TEST(test_v2_broken)
{
	char text[64], body[32] = "";

	expect_broken(text, make_v2(text, 0x11, 0x11, body, 12)); /* version 1 in this form */
	expect_broken(text, make_v2(text, 0x22, 0x11, body, 12));
	expect_broken(text, make_v2(text, 0x21, 0x41, body, 12));
	expect_broken(text, make_v2(text, 0x21, 0x12, body, 12)); /* datagrams */
	expect_broken(text, make_v2(text, 0x21, 0x11, body, 11));
	expect_broken(text, make_v2(text, 0x21, 0x21, body, 12));
	make_v2(text, 0x21, 0x11, body, 0);
	text[14] = PROXY_HEADER_V2_BODY_MAX >> 8;
	text[15] = 1;
	expect_broken(text, 16); /* too long: known before it has come */
}
END_TEST

static void expect_v1_out(const char *source, const char *destination, const char *line)
{
	union endpoint from = address_of(source, 1000), to = address_of(destination, 443);
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;

	proxy_header_put_v1(&out, &from, &to);
	ck_assert_str_eq(buf_cstr(&out), line);
}

START_TEST(test_v1_out)
{
	expect_v1_out("192.0.2.1", "192.0.2.2", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n");
	expect_v1_out("::ffff:192.0.2.1", "192.0.2.2", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n");
	expect_v1_out("2001:db8::1", "::1", "PROXY TCP6 2001:db8::1 ::1 1000 443\r\n");
	expect_v1_out("192.0.2.1", "::1", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1000 443\r\n");
	expect_v1_out("", "::1", "PROXY UNKNOWN\r\n");
	expect_v1_out("::1", "", "PROXY UNKNOWN\r\n");
}
END_TEST

/* The value of the first TLV of a type. */
static struct bytes find_tlv(struct bytes tlvs, uint8_t type)
{
	struct cursor cursor = {tlvs.data, tlvs.len, false};

	while (cursor.left > 0) {
		uint8_t at = cursor_u8(&cursor);
		struct bytes value = cursor_bytes(&cursor, cursor_u16(&cursor));

		ck_assert(!cursor.failed);
		if (at == type)
			return value;
	}
	return BYTES_NULL;
}

static void expect_tlv(struct bytes tlvs, uint8_t type, const char *text)
{
	struct bytes value = find_tlv(tlvs, type);

	ck_assert_uint_eq(value.len, strlen(text));
	ck_assert(memcmp(value.data, text, value.len) == 0);
}

START_TEST(test_v2_out)
{
	union endpoint from = address_of("192.0.2.1", 1000), to = address_of("192.0.2.2", 443);
	uint8_t sha[32] = {1, 2, 3};
	struct proxy_header_tls tls = {.client = PROXY_CLIENT_SSL | PROXY_CLIENT_CERT_SESS, .verified = true,
	                               .alpn = BYTES("h2", 2), .authority = "a.test", .version = "TLSv1.3", .common_name = "me",
	                               .cipher = "TLS_AES_128_GCM_SHA256", .sig_alg = "RSA-SHA256", .key_alg = "RSA2048",
	                               .identity = "me@a.test", .certificate = BYTES("DER", 3), .certificate_sha256 = sha};
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	struct bytes tlvs, ssl;

	buf_put_str(&out, "before");
	proxy_header_put_v2(&out, &from, &to, &tls);
	ck_assert(!out.failed);
	expect_done((char *)out.data + 6, out.len - 6, "192.0.2.1:1000", "192.0.2.2:443");
	tlvs = BYTES(out.data + 6 + 16 + 12, out.len - 6 - 16 - 12);
	expect_tlv(tlvs, 0x01, "h2");
	expect_tlv(tlvs, 0x02, "a.test");
	expect_tlv(tlvs, 0xe0, "me@a.test");
	ck_assert(memcmp(find_tlv(tlvs, 0xe1).data, sha, 32) == 0);
	ssl = find_tlv(tlvs, 0x20);
	ck_assert(ssl.len > 5 && memcmp(ssl.data, "\x05\0\0\0\0", 5) == 0);
	ssl = BYTES(ssl.data + 5, ssl.len - 5);
	expect_tlv(ssl, 0x21, "TLSv1.3");
	expect_tlv(ssl, 0x22, "me");
	expect_tlv(ssl, 0x23, "TLS_AES_128_GCM_SHA256");
	expect_tlv(ssl, 0x24, "RSA-SHA256");
	expect_tlv(ssl, 0x25, "RSA2048");
	expect_tlv(ssl, 0x28, "DER");
}
END_TEST

START_TEST(test_v2_out_limits)
{
	static uint8_t der[65530];
	union endpoint none = {0};
	struct proxy_header_tls tls = {.client = PROXY_CLIENT_SSL, .authority = "a.test", .certificate = BYTES(der, sizeof(der))};
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	struct bytes tlvs;

	proxy_header_put_v2(&out, &none, &none, &tls); /* does not fit: left out, the rest is whole */
	ck_assert_uint_lt(out.len, 100);
	expect_done((char *)out.data, out.len, "", "");
	tlvs = BYTES(out.data + 16, out.len - 16);
	expect_tlv(tlvs, 0x02, "a.test");
	ck_assert(memcmp(find_tlv(tlvs, 0x20).data, "\x01\0\0\0\x01", 5) == 0); /* TLS without a verified certificate */
	ck_assert_uint_eq(find_tlv(tlvs, 0x20).len, 5);
	buf_reset(&out);
	proxy_header_put_v2(&out, &none, &none, NULL);
	ck_assert_uint_eq(out.len, 16);
	expect_done((char *)out.data, out.len, "", "");
}
END_TEST

UNIT_MAIN("proxy/proxy_header", test_v1, test_v1_broken, test_v2, test_v2_broken, test_v1_out, test_v2_out, test_v2_out_limits)
