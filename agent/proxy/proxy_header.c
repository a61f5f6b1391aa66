/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy_header.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_start[] = "PROXY ";

enum { FAMILY_UNSPEC = 0x0, FAMILY_INET = 0x1, FAMILY_INET6 = 0x2, FAMILY_UNIX = 0x3 };
enum { TRANSPORT_UNSPEC = 0x0, TRANSPORT_STREAM = 0x1 };
enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 }; /* with the version */

enum {
	TLV_ALPN = 0x01,
	TLV_AUTHORITY = 0x02,
	TLV_SSL = 0x20,
	TLV_SSL_VERSION = 0x21,
	TLV_SSL_CN = 0x22,
	TLV_SSL_CIPHER = 0x23,
	TLV_SSL_SIG_ALG = 0x24,
	TLV_SSL_KEY_ALG = 0x25,
	TLV_SSL_CLIENT_CERT = 0x28,
	TLV_IDENTITY = 0xe0,
	TLV_CERTIFICATE_SHA256 = 0xe1,
};

#define V2_HEAD 16
#define V2_BODY_OUT_MAX 65535

/* ---------------------------------------------------------------------------------------------------- version 1 in */

/* The next word of the line, ended by `end`; false: there is none. */
static bool take_word(struct cursor *line, char end, char *word, size_t size)
{
	const uint8_t *at = memchr(line->data, end, line->left);
	size_t len = at != NULL ? (size_t)(at - line->data) : 0;

	if (at == NULL || len == 0 || len >= size || memchr(line->data, 0, len) != NULL)
		return false;
	memcpy(word, line->data, len);
	word[len] = 0;
	cursor_bytes(line, len + 1);
	return true;
}

/* Decimal, no leading zero, up to 65535. */
static bool parse_port(const char *text, in_port_t *ret)
{
	uint32_t port = 0;

	if (text[0] == '0' && text[1] != 0)
		return false;
	for (; *text != 0; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (uint32_t)(*text - '0');
		if (port > 65535)
			return false;
	}
	*ret = htons((uint16_t)port);
	return true;
}

static bool parse_ip(sa_family_t family, const char *text, const char *port, union endpoint *ret)
{
	ret->any.sa_family = family;
	if (family == AF_INET)
		return inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1 && parse_port(port, &ret->v4.sin_port);
	return inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1 && parse_port(port, &ret->v6.sin6_port);
}

/* line: what stands between "PROXY " and the LF; its last byte is the CR. */
static bool parse_v1_line(struct cursor line, struct proxy_header *ret)
{
	char protocol[8], source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], source_port[6], destination_port[6];
	sa_family_t family;

	if (line.left >= 8 && memcmp(line.data, "UNKNOWN", 7) == 0 && (line.data[7] == ' ' || line.data[7] == '\r'))
		return true;
	if (!take_word(&line, ' ', protocol, sizeof(protocol)))
		return false;
	if (strcmp(protocol, "TCP4") == 0)
		family = AF_INET;
	else if (strcmp(protocol, "TCP6") == 0)
		family = AF_INET6;
	else
		return false;
	return take_word(&line, ' ', source, sizeof(source)) && take_word(&line, ' ', destination, sizeof(destination)) &&
	       take_word(&line, ' ', source_port, sizeof(source_port)) &&
	       take_word(&line, '\r', destination_port, sizeof(destination_port)) && line.left == 0 &&
	       parse_ip(family, source, source_port, &ret->source) &&
	       parse_ip(family, destination, destination_port, &ret->destination);
}

static int parse_v1(struct bytes input, struct proxy_header *ret, size_t *ret_len, struct error *err)
{
	size_t seen = input.len < PROXY_HEADER_V1_MAX ? input.len : PROXY_HEADER_V1_MAX, start = sizeof(v1_start) - 1;
	const uint8_t *end = memchr(input.data, '\n', seen);
	struct proxy_header header = {0};

	if (end == NULL && seen < PROXY_HEADER_V1_MAX)
		return 0;
	if (end == NULL || end[-1] != '\r' ||
	    !parse_v1_line((struct cursor){input.data + start, (size_t)(end - input.data) - start, false}, &header))
		return error_set(err, E_SYNTAX, "malformed PROXY header of version 1");
	*ret = header;
	*ret_len = (size_t)(end - input.data) + 1;
	return 1;
}

/* ---------------------------------------------------------------------------------------------------- version 2 in */

static void read_v4(struct cursor *cursor, struct proxy_header *header)
{
	header->source.v4.sin_family = header->destination.v4.sin_family = AF_INET;
	header->source.v4.sin_addr.s_addr = htonl(cursor_u32(cursor));
	header->destination.v4.sin_addr.s_addr = htonl(cursor_u32(cursor));
	header->source.v4.sin_port = htons(cursor_u16(cursor));
	header->destination.v4.sin_port = htons(cursor_u16(cursor));
}

static void read_ip6(struct cursor *cursor, struct in6_addr *ret)
{
	struct bytes bytes = cursor_bytes(cursor, sizeof(*ret));

	if (bytes.len == sizeof(*ret))
		memcpy(ret, bytes.data, sizeof(*ret));
}

static void read_v6(struct cursor *cursor, struct proxy_header *header)
{
	header->source.v6.sin6_family = header->destination.v6.sin6_family = AF_INET6;
	read_ip6(cursor, &header->source.v6.sin6_addr);
	read_ip6(cursor, &header->destination.v6.sin6_addr);
	header->source.v6.sin6_port = htons(cursor_u16(cursor));
	header->destination.v6.sin6_port = htons(cursor_u16(cursor));
}

static int parse_v2(struct bytes input, struct proxy_header *ret, size_t *ret_len, struct error *err)
{
	struct cursor cursor = {input.data + sizeof(signature), input.len - sizeof(signature), false};
	uint8_t command = cursor_u8(&cursor), kind = cursor_u8(&cursor), family = kind >> 4, transport = kind & 15;
	uint16_t len = cursor_u16(&cursor);
	struct proxy_header header = {0};

	if (cursor.failed)
		return 0;
	if ((command != COMMAND_LOCAL && command != COMMAND_PROXY) || family > FAMILY_UNIX || transport > TRANSPORT_STREAM)
		return error_set(err, E_SYNTAX, "PROXY header of version 2 with command %02x, family %02x", command, kind);
	if (len > PROXY_HEADER_V2_BODY_MAX)
		return error_set(err, E_SYNTAX, "PROXY header of %u bytes", V2_HEAD + (unsigned)len);
	if (cursor.left < len)
		return 0;
	cursor.left = len;
	if (command == COMMAND_PROXY && transport == TRANSPORT_STREAM && family == FAMILY_INET)
		read_v4(&cursor, &header);
	if (command == COMMAND_PROXY && transport == TRANSPORT_STREAM && family == FAMILY_INET6)
		read_v6(&cursor, &header);
	if (cursor.failed)
		return error_set(err, E_SYNTAX, "PROXY header too short for its addresses");
	*ret = header;
	*ret_len = V2_HEAD + (size_t)len;
	return 1;
}

static bool starts_like(struct bytes input, const void *start, size_t len)
{
	return memcmp(input.data, start, input.len < len ? input.len : len) == 0;
}

int proxy_header_parse(struct bytes input, struct proxy_header *ret, size_t *ret_len, struct error *err)
{
	if (input.len == 0)
		return 0;
	if (starts_like(input, v1_start, sizeof(v1_start) - 1))
		return input.len < sizeof(v1_start) - 1 ? 0 : parse_v1(input, ret, ret_len, err);
	if (starts_like(input, signature, sizeof(signature)))
		return input.len < sizeof(signature) ? 0 : parse_v2(input, ret, ret_len, err);
	return error_set(err, E_SYNTAX, "no PROXY header");
}

/* ------------------------------------------------------------------------------------------------------------- out */

/* Both in one family, as the header needs them. */
struct ends {
	sa_family_t family; /* 0: not known */
	union endpoint source, destination;
};

static bool is_v4(const union endpoint *address)
{
	return address->any.sa_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr);
}

static union endpoint as_v4(const union endpoint *address)
{
	union endpoint v4 = {.v4 = {.sin_family = AF_INET, .sin_port = address->v6.sin6_port}};

	if (address->any.sa_family == AF_INET)
		return *address;
	memcpy(&v4.v4.sin_addr, &address->v6.sin6_addr.s6_addr[12], 4);
	return v4;
}

static union endpoint as_v6(const union endpoint *address)
{
	union endpoint v6 = {.v6 = {.sin6_family = AF_INET6, .sin6_port = address->v4.sin_port}};

	if (address->any.sa_family == AF_INET6)
		return *address;
	v6.v6.sin6_addr.s6_addr[10] = v6.v6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&v6.v6.sin6_addr.s6_addr[12], &address->v4.sin_addr, 4);
	return v6;
}

static struct ends join_ends(const union endpoint *source, const union endpoint *destination)
{
	if (!endpoint_is_known(source) || !endpoint_is_known(destination))
		return (struct ends){.family = 0};
	if (is_v4(source) && is_v4(destination))
		return (struct ends){AF_INET, as_v4(source), as_v4(destination)};
	return (struct ends){AF_INET6, as_v6(source), as_v6(destination)};
}

void proxy_header_put_v1(struct buf *out, const union endpoint *source, const union endpoint *destination)
{
	struct ends ends = join_ends(source, destination);
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	if (ends.family == AF_INET && inet_ntop(AF_INET, &ends.source.v4.sin_addr, from, sizeof(from)) != NULL &&
	    inet_ntop(AF_INET, &ends.destination.v4.sin_addr, to, sizeof(to)) != NULL)
		buf_printf(out, "PROXY TCP4 %s %s %u %u\r\n", from, to, ntohs(ends.source.v4.sin_port),
		           ntohs(ends.destination.v4.sin_port));
	else if (ends.family == AF_INET6 && inet_ntop(AF_INET6, &ends.source.v6.sin6_addr, from, sizeof(from)) != NULL &&
	         inet_ntop(AF_INET6, &ends.destination.v6.sin6_addr, to, sizeof(to)) != NULL)
		buf_printf(out, "PROXY TCP6 %s %s %u %u\r\n", from, to, ntohs(ends.source.v6.sin6_port),
		           ntohs(ends.destination.v6.sin6_port));
	else
		buf_put_str(out, "PROXY UNKNOWN\r\n");
}

static void put_tlv(struct buf *out, uint8_t type, struct bytes value)
{
	if (value.len == 0 || value.len > UINT16_MAX)
		return;
	buf_put_u8(out, type);
	buf_put_u16(out, (uint16_t)value.len);
	buf_put(out, value.data, value.len);
}

static void put_text(struct buf *out, uint8_t type, const char *text)
{
	if (text != NULL)
		put_tlv(out, type, BYTES(text, strlen(text)));
}

/* Lengths stand in front of what they measure: filled in when it is there. */
static void set_u16(struct buf *out, size_t at, size_t value)
{
	if (out->failed)
		return;
	out->data[at] = (uint8_t)(value >> 8);
	out->data[at + 1] = (uint8_t)value;
}

static void put_ssl(struct buf *out, const struct proxy_header_tls *tls, bool with_certificate)
{
	size_t at = out->len + 1;

	buf_put_u8(out, TLV_SSL);
	buf_put_u16(out, 0);
	buf_put_u8(out, tls->client);
	buf_put_u32(out, tls->verified ? 0 : 1);
	put_text(out, TLV_SSL_VERSION, tls->version);
	put_text(out, TLV_SSL_CN, tls->common_name);
	put_text(out, TLV_SSL_CIPHER, tls->cipher);
	put_text(out, TLV_SSL_SIG_ALG, tls->sig_alg);
	put_text(out, TLV_SSL_KEY_ALG, tls->key_alg);
	if (with_certificate)
		put_tlv(out, TLV_SSL_CLIENT_CERT, tls->certificate);
	set_u16(out, at, out->len - at - 2);
}

static void put_tlvs(struct buf *out, const struct proxy_header_tls *tls, bool with_certificate)
{
	put_tlv(out, TLV_ALPN, tls->alpn);
	put_text(out, TLV_AUTHORITY, tls->authority);
	if (tls->client != 0)
		put_ssl(out, tls, with_certificate);
	put_text(out, TLV_IDENTITY, tls->identity);
	if (tls->certificate_sha256 != NULL)
		put_tlv(out, TLV_CERTIFICATE_SHA256, BYTES(tls->certificate_sha256, 32));
}

static void put_ends(struct buf *out, const struct ends *ends)
{
	if (ends->family == AF_INET) {
		buf_put(out, &ends->source.v4.sin_addr, 4);
		buf_put(out, &ends->destination.v4.sin_addr, 4);
		buf_put_u16(out, ntohs(ends->source.v4.sin_port));
		buf_put_u16(out, ntohs(ends->destination.v4.sin_port));
	} else if (ends->family == AF_INET6) {
		buf_put(out, &ends->source.v6.sin6_addr, 16);
		buf_put(out, &ends->destination.v6.sin6_addr, 16);
		buf_put_u16(out, ntohs(ends->source.v6.sin6_port));
		buf_put_u16(out, ntohs(ends->destination.v6.sin6_port));
	}
}

void proxy_header_put_v2(struct buf *out, const union endpoint *source, const union endpoint *destination,
                         const struct proxy_header_tls *tls)
{
	struct ends ends = join_ends(source, destination);
	uint8_t family = ends.family == AF_INET ? FAMILY_INET : ends.family == AF_INET6 ? FAMILY_INET6 : FAMILY_UNSPEC;
	uint8_t transport = family != FAMILY_UNSPEC ? TRANSPORT_STREAM : TRANSPORT_UNSPEC;
	size_t start = out->len, body = start + V2_HEAD, tlvs;

	buf_put(out, signature, sizeof(signature));
	buf_put_u8(out, COMMAND_PROXY);
	buf_put_u8(out, (uint8_t)(family << 4 | transport));
	buf_put_u16(out, 0);
	put_ends(out, &ends);
	tlvs = out->len;
	if (tls != NULL) {
		put_tlvs(out, tls, true);
		if (!out->failed && out->len - body > V2_BODY_OUT_MAX) {
			out->len = tlvs;
			put_tlvs(out, tls, false);
		}
	}
	set_u16(out, body - 2, out->len - body);
}
