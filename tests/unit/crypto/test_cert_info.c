/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of good certificates, and what hostile ones come to. */
#include "crypto/cert.h"

#include "crypto/crypto.h"

#include "allocations.h"
#include "certs.h"
#include "unit.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static void read_info(X509 *cert, struct cert_info *info)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(cert_info_read(cert, info, &err) == 0, "%s", err.text);
}

START_TEST(facts)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");
	const struct certs_spec spec = {
	    .common_name = "caf\xc3\xa9, inc",
	    .key = key,
	    .not_before = 1700000000,
	    .not_after = 4200000000, /* GeneralizedTime */
	    .extensions =
	        {"subjectAltName=DNS:a.example,DNS:*.b.example,IP:192.0.2.1,IP:2001:db8::1,email:x@y,URI:spiffe://td/x,"
	         "RID:1.2.3",
	         "basicConstraints=critical,CA:TRUE", "extendedKeyUsage=serverAuth"},
	};
	CLEANUP(X509_free) X509 *cert = certs_make(&spec);
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	static const struct {
		int type;
		const char *text;
	} names[] = {{CERT_NAME_DNS, "a.example"},  {CERT_NAME_DNS, "*.b.example"}, {CERT_NAME_IP, "192.0.2.1"},
	             {CERT_NAME_IP, "2001:db8::1"}, {CERT_NAME_EMAIL, "x@y"},       {CERT_NAME_URI, "spiffe://td/x"}};
	uint8_t digest[32];
	unsigned len = sizeof(digest);

	read_info(cert, &info);
	ck_assert_str_eq(info.subject, "CN=caf\xc3\xa9\\, inc");
	ck_assert_str_eq(info.issuer, info.subject);
	ck_assert_str_eq(info.common_name, "caf\xc3\xa9, inc");
	ck_assert_str_eq(info.signature_algorithm, "ecdsa-with-SHA256");
	ck_assert_int_eq(info.not_before, 1700000000);
	ck_assert_int_eq(info.not_after, 4200000000);
	ck_assert_int_eq(info.key_type, CERT_KEY_EC_P256);
	ck_assert_str_eq(info.key_name, "EC P-256");
	ck_assert_uint_eq(info.key_bits, 256);
	ck_assert_uint_eq(info.rsa_exponent, 0);
	ck_assert(info.is_ca && info.is_self_issued && info.may_serve && !info.san_has_nul && !info.has_explicit_curve);
	ck_assert_uint_eq(info.names_len, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ck_assert_int_eq((int)info.names[i].type, names[i].type);
		ck_assert_str_eq(info.names[i].text, names[i].text);
	}
	ck_assert_int_eq(X509_digest(cert, EVP_sha256(), digest, &len), 1);
	ck_assert_mem_eq(info.sha256, digest, 32);
}
END_TEST

START_TEST(key_types)
{
	static const struct {
		const char *make;
		enum cert_key_type type;
		const char *name;
		uint32_t bits;
	} cases[] = {
	    {"RSA", CERT_KEY_RSA, "RSA", 2048},
	    {"RSA:1024", CERT_KEY_RSA, "RSA", 1024},
	    {"P-384", CERT_KEY_EC_P384, "EC P-384", 384},
	    {"P-521", CERT_KEY_EC_P521, "EC P-521", 521},
	    {"ED25519", CERT_KEY_ED25519, "Ed25519", 256},
	    {"ED448", CERT_KEY_OTHER, "ED448", 456},
	    {"secp256k1", CERT_KEY_OTHER, "secp256k1", 256},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key(cases[i].make);
		const struct certs_spec spec = {.key = key};
		CLEANUP(X509_free) X509 *cert = certs_make(&spec);
		CLEANUP(cert_info_deinit) struct cert_info info = {0};

		read_info(cert, &info);
		ck_assert_int_eq(info.key_type, cases[i].type);
		ck_assert_str_eq(info.key_name, cases[i].name);
		ck_assert_uint_eq(info.key_bits, cases[i].bits);
		ck_assert_uint_eq(info.rsa_exponent, cases[i].type == CERT_KEY_RSA ? 65537 : 0);
		ck_assert_str_eq(info.subject, "");
		ck_assert_ptr_null(info.common_name);
		ck_assert(info.may_serve && !info.is_ca);
	}
}
END_TEST

START_TEST(explicit_curve_is_told)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");
	CLEANUP(X509_free) X509 *cert = NULL, *parsed = NULL;
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	const struct certs_spec spec = {.common_name = "x", .key = key};
	struct error err = ERROR_NULL;
	uint8_t *der;
	size_t len;

	ck_assert_int_eq(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
	cert = certs_make(&spec);
	der = certs_der(cert, &len);
	ck_assert_int_eq(cert_parse(BYTES(der, len), &parsed, &err), 0);
	read_info(parsed, &info);
	ck_assert(info.has_explicit_curve);
	free(der);
}
END_TEST

START_TEST(uses)
{
	static const struct {
		const char *extension;
		bool may_serve, must_staple;
	} cases[] = {
	    {"extendedKeyUsage=clientAuth", false},
	    {"extendedKeyUsage=clientAuth,serverAuth", true},
	    {"extendedKeyUsage=anyExtendedKeyUsage", true},
	    {"extendedKeyUsage=codeSigning", false},
	    {"keyUsage=digitalSignature", true},
	    {"tlsfeature=status_request", true, true},
	    {"tlsfeature=13,status_request_v2", true, true},
	    {"tlsfeature=13", true},
	    {"1.3.6.1.5.5.7.1.24=DER:0500", true}, /* NULL in place of the list */
	};
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct certs_spec spec = {.common_name = "x", .key = key, .extensions = {cases[i].extension}};
		CLEANUP(X509_free) X509 *cert = certs_make(&spec);
		CLEANUP(cert_info_deinit) struct cert_info info = {0};

		read_info(cert, &info);
		ck_assert_msg(info.may_serve == cases[i].may_serve, "%s", cases[i].extension);
		ck_assert_msg(info.must_staple == cases[i].must_staple, "%s", cases[i].extension);
	}
}
END_TEST

static X509 *with_dns_name(EVP_PKEY *key, const char *text, int len)
{
	const struct certs_spec spec = {.common_name = "x", .key = key};
	X509 *cert = certs_make(&spec);
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *string = ASN1_IA5STRING_new();

	ASN1_STRING_set(string, text, len);
	GENERAL_NAME_set0_value(name, GEN_DNS, string);
	sk_GENERAL_NAME_push(names, name);
	ck_assert_int_eq(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0), 1);
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	GENERAL_NAMES_free(names);
	return cert;
}

START_TEST(nul_in_a_name_is_told)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");
	CLEANUP(X509_free) X509 *cert = with_dns_name(key, "good.example\0.evil.example", 26);
	CLEANUP(cert_info_deinit) struct cert_info info = {0};

	read_info(cert, &info);
	ck_assert(info.san_has_nul);
	ck_assert_str_eq(info.names[0].text, "good.example\\00.evil.example");
}
END_TEST

START_TEST(names_are_safe_to_show)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");
	CLEANUP(X509_free) X509 *cert = with_dns_name(key, "a\x1b[2J\n\xff", 7), *empty = with_dns_name(key, "", 0);
	CLEANUP(cert_info_deinit) struct cert_info info = {0}, empty_info = {0};

	read_info(cert, &info);
	ck_assert_str_eq(info.names[0].text, "a\\1b[2J\\0a\\ff");
	ck_assert(!info.san_has_nul);
	read_info(empty, &empty_info);
	ck_assert_str_eq(empty_info.names[0].text, "");
}
END_TEST

static void check_refused_extension(int nid, const unsigned char *der, int len, const char *words)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");
	const struct certs_spec spec = {.common_name = "x", .key = key};
	CLEANUP(X509_free) X509 *cert = certs_make(&spec);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;
	struct cert_info info = {0};
	struct error err = ERROR_NULL;

	ASN1_OCTET_STRING_set(value, der, len);
	extension = X509_EXTENSION_create_by_NID(NULL, nid, 0, value);
	ck_assert_int_eq(X509_add_ext(cert, extension, -1), 1);
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(cert_info_read(cert, &info, &err), E_INVALID);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_ptr_null(info.subject);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
}

START_TEST(malformed_extensions_are_refused)
{
	static const unsigned char junk[] = {0x30, 0x05, 0x01}, odd_ip[] = {0x30, 0x05, 0x87, 0x03, 1, 2, 3};

	check_refused_extension(NID_subject_alt_name, junk, sizeof(junk), "alternative names");
	check_refused_extension(NID_subject_alt_name, odd_ip, sizeof(odd_ip), "IP address");
	check_refused_extension(NID_basic_constraints, junk, sizeof(junk), "extension");
	check_refused_extension(NID_ext_key_usage, junk, sizeof(junk), "extension");
}
END_TEST

/* One bit of a good certificate turned, each in its turn: an answer of any kind, but always one. */
START_TEST(damaged_certificates_get_an_answer)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");
	const struct certs_spec spec = {
	    .common_name = "x", .key = key, .extensions = {"subjectAltName=DNS:a,IP:1.2.3.4,RID:1.2"}};
	CLEANUP(X509_free) X509 *cert = certs_make(&spec);
	struct error err = ERROR_NULL;
	size_t len;
	uint8_t *der = certs_der(cert, &len);

	for (size_t i = 0; i < 8 * len; i++) {
		X509 *parsed = NULL;
		struct cert_info info = {0};

		der[i / 8] ^= (uint8_t)(1 << i % 8);
		if (cert_parse(BYTES(der, len), &parsed, &err) == 0 && cert_info_read(parsed, &info, &err) == 0)
			cert_info_deinit(&info);
		X509_free(parsed);
		der[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	free(der);
}
END_TEST

START_TEST(no_memory)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = certs_make_key("P-256");
	const struct certs_spec spec = {.common_name = "x", .key = key, .extensions = {"subjectAltName=DNS:a,DNS:b"}};
	CLEANUP(X509_free) X509 *cert = certs_make(&spec);

	for (size_t n = 1;; n++) {
		struct cert_info info = {0};
		struct error err = ERROR_NULL;
		bool failed;
		int r;

		allocations_fail_at(n);
		r = cert_info_read(cert, &info, &err);
		failed = allocations_stop();
		cert_info_deinit(&info);
		if (!failed)
			break;
		ck_assert_int_eq(r, E_NOMEM);
	}
}
END_TEST

UNIT_MAIN("crypto/cert_info", facts, key_types, explicit_curve_is_told, uses, nul_in_a_name_is_told,
          names_are_safe_to_show, malformed_extensions_are_refused, damaged_certificates_get_an_answer, no_memory)
