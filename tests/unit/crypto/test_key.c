/* SPDX-License-Identifier: Apache-2.0 */
/* Raw keys put to use: each works with its certificate, with no other, and not when a part of it is damaged. */
#include "crypto/key.h"

#include "crypto/crypto.h"

#include "certs.h"
#include "unit.h"

#include <openssl/asn1.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static const char *const types[] = {"P-256", "P-384", "P-521", "ED25519", "RSA"};

struct made {
	EVP_PKEY *key;
	X509 *cert;
	enum cert_key_type type;
	struct secret *raw;
};

static struct made make(const char *type)
{
	struct made made = {.key = certs_make_key(type)};
	const struct certs_spec spec = {.common_name = "x", .key = made.key};
	char *pem = certs_key_pem(made.key, false);
	struct error err = ERROR_NULL;

	made.cert = certs_make(&spec);
	ck_assert_msg(key_parse_pem(pem, strlen(pem), &made.type, &made.raw, &err) == 0, "%s", err.text);
	free(pem);
	return made;
}

static void made_free(struct made *made)
{
	EVP_PKEY_free(made->key);
	X509_free(made->cert);
	secret_free(made->raw);
}

static struct bytes raw_of(const struct made *made)
{
	return BYTES(made->raw->data, made->raw->len);
}

static void check_signs(EVP_PKEY *key, X509 *cert)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
	unsigned char signature[1024];
	size_t len = sizeof(signature);

	ck_assert_int_eq(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
	ck_assert_int_eq(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)"text", 4), 1);
	EVP_MD_CTX_reset(ctx);
	ck_assert_int_eq(EVP_DigestVerifyInit(ctx, NULL, md, NULL, X509_get0_pubkey(cert)), 1);
	ck_assert_int_eq(EVP_DigestVerify(ctx, signature, len, (const unsigned char *)"text", 4), 1);
	ck_assert_int_eq(X509_check_private_key(cert, key), 1);
	EVP_MD_CTX_free(ctx);
}

START_TEST(loads)
{
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct made made = make(types[i]);
		CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;

		ck_assert_msg(key_load(made.type, raw_of(&made), made.cert, &key, &err) == 0, "%s: %s", types[i], err.text);
		check_signs(key, made.cert);
		made_free(&made);
	}
}
END_TEST

START_TEST(compressed_points_load)
{
	struct made made = make("P-256");
	const struct certs_spec spec = {.common_name = "x", .key = made.key};
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	struct error err = ERROR_NULL;

	X509_free(made.cert);
	ck_assert_int_eq(EVP_PKEY_set_utf8_string_param(made.key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"),
	                 1);
	made.cert = certs_make(&spec);
	ck_assert_int_eq(X509_get0_pubkey_bitstr(made.cert)->length, 33);
	ck_assert_msg(key_load(made.type, raw_of(&made), made.cert, &key, &err) == 0, "%s", err.text);
	check_signs(key, made.cert);
	made_free(&made);
}
END_TEST

START_TEST(another_certificate_is_refused)
{
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		for (size_t j = 0; j < ARRAY_LEN(types); j++) {
			struct made a = make(types[i]), b = make(types[j]);
			EVP_PKEY *key = NULL;

			ck_assert_int_eq(key_load(a.type, raw_of(&a), b.cert, &key, &err), E_INVALID);
			ck_assert_ptr_nonnull(strstr(err.text, "does not belong"));
			ck_assert_ptr_null(key);
			made_free(&a);
			made_free(&b);
		}
	}
}
END_TEST

START_TEST(ec_out_of_range_is_refused)
{
	struct made made = make("P-256");
	EVP_PKEY *key = NULL;
	uint8_t raw[33];
	struct error err = ERROR_NULL;

	memset(raw, 0, sizeof(raw));
	ck_assert_int_eq(key_load(made.type, BYTES(raw, 32), made.cert, &key, &err), E_INVALID);
	memset(raw, 0xff, sizeof(raw));
	ck_assert_int_eq(key_load(made.type, BYTES(raw, 32), made.cert, &key, &err), E_INVALID);
	ck_assert_int_eq(key_load(made.type, BYTES(raw, 33), made.cert, &key, &err), E_INVALID);
	ck_assert_int_eq(key_load(made.type, BYTES(raw, 31), made.cert, &key, &err), E_INVALID);
	ck_assert_int_eq(key_load(made.type, BYTES_NULL, made.cert, &key, &err), E_INVALID);
	ck_assert_int_eq(key_load(CERT_KEY_OTHER, raw_of(&made), made.cert, &key, &err), E_INVALID);
	ck_assert_ptr_null(key);
	made_free(&made);
}
END_TEST

/* The eight numbers of an RSA key, the last byte of each changed in turn: a fault in a CRT part would leak the key by a signature. */
START_TEST(damaged_rsa_is_refused)
{
	struct made made = make("RSA");
	struct cursor cursor = {.data = made.raw->data, .left = made.raw->len};
	EVP_PKEY *key = NULL;
	struct error err = ERROR_NULL;

	cursor_bytes(&cursor, 4 + 3); /* SEQUENCE header, version */
	for (int i = 0; i < 8; i++) {
		uint8_t *last, tag = cursor_u8(&cursor), first = cursor_u8(&cursor);
		size_t len = first == 0x82 ? cursor_u16(&cursor) : first == 0x81 ? cursor_u8(&cursor) : first;

		ck_assert_uint_eq(tag, V_ASN1_INTEGER);
		cursor_bytes(&cursor, len);
		ck_assert(!cursor.failed);
		last = made.raw->data + (made.raw->len - cursor.left) - 1;
		*last ^= 2;
		ck_assert_msg(key_load(made.type, raw_of(&made), made.cert, &key, &err) == E_INVALID, "number %d", i);
		*last ^= 2;
	}
	ck_assert_uint_eq(cursor.left, 0);
	for (size_t len = 0; len < made.raw->len; len++)
		ck_assert_int_eq(key_load(made.type, BYTES(made.raw->data, len), made.cert, &key, &err), E_INVALID);
	ck_assert_int_eq(key_load(made.type, raw_of(&made), made.cert, &key, &err), 0);
	EVP_PKEY_free(key);
	made_free(&made);
}
END_TEST

START_TEST(our_own_keys_travel)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL, *back = NULL;
	CLEANUP(secret_free) struct secret *der = NULL;
	uint8_t a[32], b[32];
	struct error err = ERROR_NULL;

	ck_assert_int_eq(key_generate(&key, &err), 0);
	ck_assert_int_eq(cert_key_type_of(key, NULL), CERT_KEY_EC_P256);
	ck_assert_int_eq(key_encode(key, &der, &err), 0);
	ck_assert_int_eq(key_decode(BYTES(der->data, der->len), &back, &err), 0);
	ck_assert_int_eq(EVP_PKEY_eq(key, back), 1);
	ck_assert_int_eq(key_spki_sha256(key, a, &err), 0);
	ck_assert_int_eq(key_spki_sha256(back, b, &err), 0);
	ck_assert_mem_eq(a, b, 32);
	EVP_PKEY_free(back);
	back = NULL;
	ck_assert_int_eq(key_decode(BYTES(der->data, der->len - 1), &back, &err), E_SYNTAX);
	ck_assert_int_eq(key_decode(BYTES_NULL, &back, &err), E_SYNTAX);
	ck_assert_ptr_null(back);
}
END_TEST

START_TEST(spki_of_key_and_certificate_agree)
{
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct made made = make(types[i]);
		uint8_t a[32], b[32];

		ck_assert_int_eq(key_spki_sha256(made.key, a, &err), 0);
		ck_assert_int_eq(cert_spki_sha256(made.cert, b, &err), 0);
		ck_assert_mem_eq(a, b, 32);
		made_free(&made);
	}
}
END_TEST

UNIT_MAIN("crypto/key", loads, compressed_points_load, another_certificate_is_refused, ec_out_of_range_is_refused,
          damaged_rsa_is_refused, our_own_keys_travel, spki_of_key_and_certificate_agree)
