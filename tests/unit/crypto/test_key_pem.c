/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as people upload them: every form that is taken, every form that is refused and what the refusal says. */
#include "crypto/key.h"

#include "crypto/crypto.h"

#include "allocations.h"
#include "certs.h"
#include "unit.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse(const char *pem, enum cert_key_type *ret_type, struct secret **ret_raw, struct error *err)
{
	return key_parse_pem(pem, strlen(pem), ret_type, ret_raw, err);
}

static void check_refused(const char *pem, int code, const char *words)
{
	enum cert_key_type type = CERT_KEY_OTHER;
	struct secret *raw = NULL;
	struct error err = ERROR_NULL;

	ck_assert_msg(parse(pem, &type, &raw, &err) == code, "%s (wanted: %s)", err.text, words);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s (wanted: %s)", err.text, words);
	ck_assert_ptr_null(raw);
	ck_assert_int_eq(type, CERT_KEY_OTHER);
}

START_TEST(every_form_gives_the_same_raw_key)
{
	static const struct {
		const char *name;
		enum cert_key_type type;
		size_t raw_len; /* 0: varies */
		bool has_traditional;
	} cases[] = {
	    {"P-256", CERT_KEY_EC_P256, 32, true}, {"P-384", CERT_KEY_EC_P384, 48, true},
	    {"P-521", CERT_KEY_EC_P521, 66, true}, {"ED25519", CERT_KEY_ED25519, 32, false},
	    {"RSA", CERT_KEY_RSA, 0, true},
	};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		EVP_PKEY *key = certs_make_key(cases[i].name);
		struct secret *raws[2] = {NULL, NULL};
		enum cert_key_type type;

		for (int traditional = 0; traditional <= (cases[i].has_traditional ? 1 : 0); traditional++) {
			char *pem = certs_key_pem(key, traditional != 0);

			ck_assert_msg(parse(pem, &type, &raws[traditional], &err) == 0, "%s: %s", cases[i].name, err.text);
			ck_assert_int_eq(type, cases[i].type);
			if (cases[i].raw_len > 0)
				ck_assert_uint_eq(raws[traditional]->len, cases[i].raw_len);
			free(pem);
		}
		if (raws[1] != NULL)
			ck_assert(secret_is_equal(BYTES(raws[0]->data, raws[0]->len), BYTES(raws[1]->data, raws[1]->len)));
		secret_free(raws[0]);
		secret_free(raws[1]);
		EVP_PKEY_free(key);
	}
}
END_TEST

/* A scalar with leading zeros: SEC1 wants it padded, but writers exist that cut it. */
START_TEST(scalars_are_padded)
{
	/* SEQUENCE { INTEGER 1, OCTET STRING 05, [0] { OID prime256v1 } } */
	static const unsigned char der[] = {0x30, 0x12, 0x02, 0x01, 0x01, 0x04, 0x01, 0x05, 0xa0, 0x0a,
	                                    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
	char base64[64], pem[160];
	uint8_t want[32] = {0};
	CLEANUP(secret_free) struct secret *raw = NULL;
	enum cert_key_type type;
	struct error err = ERROR_NULL;

	EVP_EncodeBlock((unsigned char *)base64, der, sizeof(der));
	snprintf(pem, sizeof(pem), "-----BEGIN EC PRIVATE KEY-----\n%s\n-----END EC PRIVATE KEY-----\n", base64);
	ck_assert_msg(parse(pem, &type, &raw, &err) == 0, "%s", err.text);
	want[31] = 5;
	ck_assert_uint_eq(raw->len, 32);
	ck_assert_mem_eq(raw->data, want, 32);
}
END_TEST

START_TEST(parameters_before_it_are_skipped)
{
	static const char parameters[] = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
	EVP_PKEY *key = certs_make_key("P-256");
	char *pem = certs_key_pem(key, true), *text = NULL;
	CLEANUP(secret_free) struct secret *raw = NULL;
	enum cert_key_type type;
	struct error err = ERROR_NULL;

	ck_assert_int_gt(asprintf(&text, "a comment\n%s%strailing text\n", parameters, pem), 0);
	ck_assert_msg(parse(text, &type, &raw, &err) == 0, "%s", err.text);
	ck_assert_int_eq(type, CERT_KEY_EC_P256);
	check_refused(parameters, E_SYNTAX, "no PEM private key");
	free(text);
	free(pem);
	EVP_PKEY_free(key);
}
END_TEST

static char *encrypted_pem(EVP_PKEY *key, bool traditional)
{
	static char password[] = "pw";
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	if (traditional)
		PEM_write_bio_PrivateKey_traditional(bio, key, EVP_aes_128_cbc(), (unsigned char *)password, 2, NULL, NULL);
	else
		PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), password, 2, NULL, NULL);
	len = BIO_get_mem_data(bio, &data);
	text = strndup(data, (size_t)len);
	BIO_free(bio);
	return text;
}

START_TEST(refusals_say_why)
{
	EVP_PKEY *key = certs_make_key("P-256");
	const struct certs_spec spec = {.common_name = "x", .key = key};
	X509 *cert = certs_make(&spec);
	char *pem = certs_key_pem(key, false), *cert_pem = certs_pem(cert), *two = NULL, *text;

	ck_assert_int_gt(asprintf(&two, "%s%s", pem, pem), 0);
	check_refused(two, E_SYNTAX, "several");
	check_refused("", E_SYNTAX, "no PEM private key");
	check_refused("hello", E_SYNTAX, "no PEM private key");
	check_refused(cert_pem, E_SYNTAX, "a certificate where");
	check_refused("-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n", E_SYNTAX, "broken PEM");
	check_refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", E_SYNTAX, "PKCS#8");
	check_refused("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", E_SYNTAX, "EC private key");
	check_refused("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", E_SYNTAX,
	              "RSA private key");
	check_refused("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n", E_INVALID, "DSA");
	check_refused("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", E_SYNTAX,
	              "OpenSSH");
	check_refused("-----BEGIN X\n-----\n-----BEGIN Y-----\nAAAA\n-----END Y-----\n", E_SYNTAX, "not a private key");
	text = encrypted_pem(key, false);
	check_refused(text, E_SYNTAX, "encrypted");
	free(text);
	text = encrypted_pem(key, true);
	check_refused(text, E_SYNTAX, "encrypted");
	free(text);
	pem[strlen(pem) - 20] = 0; /* cut within the END line */
	check_refused(pem, E_SYNTAX, "broken PEM");
	free(two);
	free(pem);
	free(cert_pem);
	X509_free(cert);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(other_types_are_refused)
{
	static const struct {
		const char *type, *words;
	} cases[] = {{"secp256k1", "secp256k1"}, {"secp224r1", "secp224r1"}, {"ED448", "ED448"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		EVP_PKEY *key = certs_make_key(cases[i].type);
		char *pem = certs_key_pem(key, false);

		check_refused(pem, E_INVALID, cases[i].words);
		free(pem);
		if (strncmp(cases[i].type, "secp", 4) == 0) {
			pem = certs_key_pem(key, true);
			check_refused(pem, E_INVALID, cases[i].words);
			free(pem);
		}
		EVP_PKEY_free(key);
	}
}
END_TEST

START_TEST(explicit_curves_are_refused)
{
	EVP_PKEY *key = certs_make_key("P-256");
	char *pem;

	ck_assert_int_eq(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
	for (int traditional = 0; traditional < 2; traditional++) {
		pem = certs_key_pem(key, traditional != 0);
		check_refused(pem, E_INVALID, "explicit");
		free(pem);
	}
	EVP_PKEY_free(key);
}
END_TEST

/* No cut of a good file may crash, or pass for a key. */
START_TEST(every_prefix)
{
	EVP_PKEY *key = certs_make_key("P-256");
	char *pem = certs_key_pem(key, true);
	size_t len = strlen(pem);
	enum cert_key_type type;
	struct secret *raw = NULL;
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < len - 1; i++)
		ck_assert_int_eq(key_parse_pem(pem, i, &type, &raw, &err), E_SYNTAX);
	free(pem);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(no_memory)
{
	EVP_PKEY *key = certs_make_key("P-256");
	char *pem = certs_key_pem(key, true);
	enum cert_key_type type;
	struct secret *raw = NULL;
	struct error err = ERROR_NULL;
	int r;

	allocations_fail_at(1);
	r = parse(pem, &type, &raw, &err);
	ck_assert(allocations_stop());
	ck_assert_int_eq(r, E_NOMEM);
	free(pem);
	EVP_PKEY_free(key);
}
END_TEST

UNIT_MAIN("crypto/key_pem", every_form_gives_the_same_raw_key, scalars_are_padded, parameters_before_it_are_skipped,
          refusals_say_why, other_types_are_refused, explicit_curves_are_refused, every_prefix, no_memory)
