/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/crypto.h"

#include "unit.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

START_TEST(starts_without_configuration)
{
	struct error err = ERROR_NULL;

	setenv("OPENSSL_CONF", "/nonexistent/openssl.cnf", 1); /* would fail or change what is served, were it read */
	ck_assert_int_eq(crypto_init(&err), 0);
	ck_assert_int_eq(crypto_init(&err), 0);
}
END_TEST

START_TEST(hashes)
{
	uint8_t digest[SHA256_LEN];
	char text[2 * SHA256_LEN + 1];
	struct error err = ERROR_NULL;

	ck_assert_int_eq(crypto_sha256(BYTES("abc", 3), digest, &err), 0);
	crypto_hex(digest, sizeof(digest), text);
	ck_assert_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-2 B.1 */
	ck_assert_int_eq(crypto_sha256(BYTES_NULL, digest, &err), 0);
	crypto_hex(digest, sizeof(digest), text);
	ck_assert_str_eq(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(hex_there_and_back)
{
	const uint8_t data[] = {0x00, 0x9a, 0xf0, 0xff};
	uint8_t back[sizeof(data)] = {1, 1, 1, 1};
	char text[2 * sizeof(data) + 1];

	crypto_hex(data, sizeof(data), text);
	ck_assert_str_eq(text, "009af0ff");
	ck_assert(crypto_unhex(text, 8, back));
	ck_assert_mem_eq(back, data, sizeof(data));
	ck_assert(crypto_unhex("", 0, back));
	ck_assert(!crypto_unhex("009af0f", 7, back));
	ck_assert(!crypto_unhex("0g", 2, back));
	ck_assert(!crypto_unhex("g0", 2, back));
	ck_assert(!crypto_unhex("0A", 2, back));
}
END_TEST

START_TEST(random_differs)
{
	uint8_t a[32] = {0}, b[32] = {0};
	struct hash_key key = {0, 0};
	struct error err = ERROR_NULL;

	ck_assert_int_eq(crypto_random(a, sizeof(a), &err), 0);
	ck_assert_int_eq(crypto_random(b, sizeof(b), &err), 0);
	ck_assert_int_ne(memcmp(a, b, sizeof(a)), 0);
	ck_assert_int_eq(crypto_random(NULL, 0, &err), 0);
	ck_assert_int_eq(crypto_hash_key(&key, &err), 0);
	ck_assert(key.k0 != 0 && key.k1 != 0);
}
END_TEST

START_TEST(error_takes_the_queue)
{
	const unsigned char junk[] = {0x30, 0x01};
	const unsigned char *at = junk;
	struct error err = ERROR_NULL;

	ck_assert_ptr_null(d2i_X509(NULL, &at, sizeof(junk)));
	ck_assert_int_eq(crypto_error(&err, "parse %s", "it"), E_CRYPTO);
	ck_assert_int_eq(strncmp(err.text, "parse it: ", 10), 0);
	ck_assert_uint_eq(ERR_peek_error(), 0);
	ck_assert_int_eq(crypto_error(&err, "again"), E_CRYPTO);
	ck_assert_str_eq(err.text, "again: OpenSSL gave no reason");
	ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
	ck_assert_int_eq(crypto_error(&err, "memory"), E_NOMEM);
}
END_TEST

UNIT_MAIN("crypto/crypto", starts_without_configuration, hashes, hex_there_and_back, random_differs, error_takes_the_queue)
