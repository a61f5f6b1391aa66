/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/facts.h"

#include "pki.h"
#include "unit.h"

#include <openssl/rand.h>
#include <string.h>

static struct facts some(uint8_t chain_len)
{
	struct facts facts = {.handshake_at = 1700000000, .not_after = 1800000000, .chain_len = chain_len};

	for (uint8_t i = 0; i < chain_len; i++) {
		struct facts_cert *cert = &facts.chain[i];

		ck_assert_int_eq(RAND_bytes(cert->issuer_sha256, 32), 1);
		ck_assert_int_eq(RAND_bytes(cert->spki_sha256, 32), 1);
		cert->serial_len = (uint8_t)(i == 0 ? 20 : i - 1); /* the longest, none, one byte... */
		memset(cert->serial, 0x5a, cert->serial_len);
	}
	return facts;
}

START_TEST(test_round_trip)
{
	for (uint8_t len = 0; len <= FACTS_CHAIN_MAX; len++) {
		uint8_t encoded[FACTS_ENCODED_MAX];
		struct facts facts = some(len), back;
		size_t size;

		facts.too_long = len % 2 == 1;
		size = facts_encode(&facts, encoded);
		ck_assert_uint_le(size, FACTS_ENCODED_MAX);
		ck_assert_int_eq(facts_decode(BYTES(encoded, size), &back), 0);
		ck_assert_uint_eq(back.handshake_at, facts.handshake_at);
		ck_assert_uint_eq(back.not_after, facts.not_after);
		ck_assert(back.too_long == facts.too_long);
		ck_assert_int_eq(back.chain_len, len);
		ck_assert_mem_eq(back.chain, facts.chain, sizeof(facts.chain));
	}
}
END_TEST

START_TEST(test_strict)
{
	uint8_t encoded[FACTS_ENCODED_MAX + 1];
	struct facts facts = some(2), back = {.not_after = 77};
	size_t size = facts_encode(&facts, encoded);
	const struct {
		size_t at;
		uint8_t value;
	} rows[] = {
		{0, 0}, {0, 2},                   /* version */
		{17, 2},                          /* flags */
		{18, 0}, {18, 1}, {18, 3}, {18, FACTS_CHAIN_MAX + 1}, {18, 255}, /* length of the chain */
		{19 + 64, 21}, {19 + 64, 255},    /* length of a serial */
		{19 + 65, 0},                     /* leading zero */
	};

	for (size_t len = 0; len < size; len++)
		ck_assert_int_eq(facts_decode(BYTES(encoded, len), &back), E_SYNTAX);
	encoded[size] = 0;
	ck_assert_int_eq(facts_decode(BYTES(encoded, size + 1), &back), E_SYNTAX);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t saved = encoded[rows[i].at];

		encoded[rows[i].at] = rows[i].value;
		ck_assert_msg(facts_decode(BYTES(encoded, size), &back) == E_SYNTAX, "row %zu", i);
		encoded[rows[i].at] = saved;
	}
	ck_assert_uint_eq(back.not_after, 77); /* untouched on failure */
	ck_assert_int_eq(facts_decode(BYTES_NULL, &back), E_SYNTAX);
}
END_TEST

START_TEST(test_chain)
{
	struct pki_cert *certs[10] = {NULL};
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct facts facts = {.handshake_at = 5};

	for (int i = 0; i < 10; i++)
		certs[i] = pki_make(&(struct pki_spec){.name = "x", .not_before = -10, .not_after = i == 4 ? 1000 : 5000});
	for (int i = 0; i < 8; i++)
		sk_X509_push(chain, certs[i]->cert);
	ck_assert_int_eq(facts_read_chain(chain, &facts, NULL), 0);
	ck_assert_uint_eq(facts.handshake_at, 5);
	ck_assert_int_eq(facts.chain_len, 8);
	ck_assert(!facts.too_long);
	ck_assert_uint_le(facts.not_after, (uint64_t)time(NULL) + 1000);
	ck_assert_uint_gt(facts.not_after, (uint64_t)time(NULL) + 900);
	sk_X509_push(chain, certs[8]->cert);
	ck_assert_int_eq(facts_read_chain(chain, &facts, NULL), 0);
	ck_assert_int_eq(facts.chain_len, 8);
	ck_assert(facts.too_long);
	sk_X509_free(chain);
	for (int i = 0; i < 10; i++)
		pki_free(certs[i]);
}
END_TEST

/* A serial longer than RFC 5280 allows can't be carried: the session is never resumed. */
START_TEST(test_long_serial)
{
	struct pki_cert *cert = pki_make(&(struct pki_spec){.name = "x"});
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct facts facts = {0};
	uint8_t serial[21];

	memset(serial, 0x11, sizeof(serial));
	ck_assert_int_eq(ASN1_STRING_set(X509_get_serialNumber(cert->cert), serial, sizeof(serial)), 1);
	sk_X509_push(chain, cert->cert);
	ck_assert_int_eq(facts_read_chain(chain, &facts, NULL), 0);
	ck_assert(facts.too_long);
	ck_assert_uint_eq(facts_serial_of(cert->cert).len, 21);
	serial[0] = 0;
	ck_assert_int_eq(ASN1_STRING_set(X509_get_serialNumber(cert->cert), serial, sizeof(serial)), 1);
	ck_assert_int_eq(facts_read_chain(chain, &facts, NULL), 0);
	ck_assert(!facts.too_long);
	ck_assert_int_eq(facts.chain[0].serial_len, 20);
	sk_X509_free(chain);
	pki_free(cert);
}
END_TEST

UNIT_MAIN("tls/facts", test_round_trip, test_strict, test_chain, test_long_serial)
