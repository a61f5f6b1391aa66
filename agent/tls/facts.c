/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/facts.h"

#include "crypto/cert.h"
#include "crypto/crypto.h"

#include <string.h>

#define VERSION 1
#define FLAG_TOO_LONG 1

struct writer {
	uint8_t *at;
};

static void put(struct writer *writer, const void *data, size_t len)
{
	memcpy(writer->at, data, len);
	writer->at += len;
}

static void put_u8(struct writer *writer, uint8_t value)
{
	*writer->at++ = value;
}

static void put_u64(struct writer *writer, uint64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		put_u8(writer, (uint8_t)(value >> shift));
}

size_t facts_encode(const struct facts *facts, uint8_t ret[FACTS_ENCODED_MAX])
{
	struct writer writer = {ret};

	put_u8(&writer, VERSION);
	put_u64(&writer, facts->handshake_at);
	put_u64(&writer, facts->not_after);
	put_u8(&writer, facts->too_long ? FLAG_TOO_LONG : 0);
	put_u8(&writer, facts->chain_len);
	for (size_t i = 0; i < facts->chain_len; i++) {
		const struct facts_cert *cert = &facts->chain[i];

		put(&writer, cert->issuer_sha256, sizeof(cert->issuer_sha256));
		put(&writer, cert->spki_sha256, sizeof(cert->spki_sha256));
		put_u8(&writer, cert->serial_len);
		put(&writer, cert->serial, cert->serial_len);
	}
	return (size_t)(writer.at - ret);
}

static void take(struct cursor *cursor, uint8_t *ret, size_t len)
{
	struct bytes part = cursor_bytes(cursor, len);

	if (!cursor->failed && len > 0)
		memcpy(ret, part.data, len);
}

static bool take_cert(struct cursor *cursor, struct facts_cert *ret)
{
	take(cursor, ret->issuer_sha256, sizeof(ret->issuer_sha256));
	take(cursor, ret->spki_sha256, sizeof(ret->spki_sha256));
	ret->serial_len = cursor_u8(cursor);
	if (ret->serial_len > sizeof(ret->serial))
		return false;
	take(cursor, ret->serial, ret->serial_len);
	return !cursor->failed && (ret->serial_len == 0 || ret->serial[0] != 0);
}

int facts_decode(struct bytes encoded, struct facts *ret)
{
	struct cursor cursor = {encoded.data, encoded.len, false};
	struct facts facts = {0};
	uint8_t flags;

	if (cursor_u8(&cursor) != VERSION)
		return E_SYNTAX;
	facts.handshake_at = cursor_u64(&cursor);
	facts.not_after = cursor_u64(&cursor);
	flags = cursor_u8(&cursor);
	facts.chain_len = cursor_u8(&cursor);
	if (cursor.failed || flags > FLAG_TOO_LONG || facts.chain_len > FACTS_CHAIN_MAX)
		return E_SYNTAX;
	facts.too_long = flags == FLAG_TOO_LONG;
	for (size_t i = 0; i < facts.chain_len; i++)
		if (!take_cert(&cursor, &facts.chain[i]))
			return E_SYNTAX;
	if (cursor.left != 0)
		return E_SYNTAX;
	*ret = facts;
	return 0;
}

int facts_hash_name(const X509_NAME *name, uint8_t ret[32], struct error *err)
{
	unsigned char made[EVP_MAX_MD_SIZE];

	if (X509_NAME_digest(name, EVP_sha256(), made, NULL) != 1)
		return crypto_error(err, "hash a name");
	memcpy(ret, made, 32);
	return 0;
}

struct bytes facts_serial_of(const X509 *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	struct bytes bytes = BYTES(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));

	for (; bytes.len > 0 && bytes.data[0] == 0; bytes.len--)
		bytes.data++;
	return bytes;
}

int facts_read_cert(X509 *cert, struct facts_cert *ret, struct error *err)
{
	struct bytes serial = facts_serial_of(cert);
	int r;

	*ret = (struct facts_cert){0};
	r = facts_hash_name(X509_get_issuer_name(cert), ret->issuer_sha256, err);
	if (r == 0)
		r = cert_spki_sha256(cert, ret->spki_sha256, err);
	if (r < 0)
		return r;
	if (serial.len > sizeof(ret->serial))
		return error_set(err, E_TOO_LARGE, "a serial number of %zu bytes", serial.len);
	ret->serial_len = (uint8_t)serial.len;
	memcpy(ret->serial, serial.data, serial.len);
	return 0;
}

/* Seconds since 1970; before that, and what is no time: 0, which is long ago. */
static uint64_t not_after_of(const X509 *cert)
{
	int64_t at;

	return cert_read_time(X509_get0_notAfter(cert), "notAfter", &at, NULL) == 0 && at > 0 ? (uint64_t)at : 0;
}

int facts_read_chain(const STACK_OF(X509) * chain, struct facts *facts, struct error *err)
{
	struct facts read = {.handshake_at = facts->handshake_at, .not_after = UINT64_MAX};
	int count = sk_X509_num(chain), r;

	read.too_long = count > FACTS_CHAIN_MAX;
	for (int i = 0; i < count; i++) {
		X509 *cert = sk_X509_value(chain, i);
		uint64_t not_after = not_after_of(cert);

		if (not_after < read.not_after)
			read.not_after = not_after;
		if (i >= FACTS_CHAIN_MAX)
			continue;
		r = facts_read_cert(cert, &read.chain[read.chain_len++], err);
		if (r == E_TOO_LARGE)
			read.too_long = true;
		else if (r < 0)
			return r;
	}
	*facts = read;
	return 0;
}
