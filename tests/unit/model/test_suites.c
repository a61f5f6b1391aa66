/* SPDX-License-Identifier: Apache-2.0 */
/* The tables against OpenSSL itself: what they claim to be there works, what they claim to be absent is. */
#include "model/suites.h"

#include "base/macros.h"
#include "unit.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

static const char *const lacking[] = {"DES-CBC3-SHA", "ECDHE-RSA-DES-CBC3-SHA", "RC4-SHA", "ECDHE-ECDSA-RC4-SHA",
                                      "ECDHE-RSA-RC4-SHA"};
static const char *const not_offered[] = {
	"DHE-RSA-AES128-SHA",        "DHE-RSA-AES256-SHA",        "DHE-RSA-AES128-SHA256",    "DHE-RSA-AES256-SHA256",
	"DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305"};

static bool openssl_has(const char *name, uint32_t code)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char list[128];
	bool found = false;

	SSL_CTX_set_security_level(ctx, 0);
	snprintf(list, sizeof(list), "%s:@SECLEVEL=0", name);
	if (SSL_CTX_set_ciphersuites(ctx, strncmp(name, "TLS_", 4) == 0 ? name : "") == 1 &&
	    (strncmp(name, "TLS_", 4) == 0 || SSL_CTX_set_cipher_list(ctx, list) == 1)) {
		STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);

		for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
			found = found || SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(ciphers, i)) == code;
	}
	SSL_CTX_free(ctx);
	return found;
}

static size_t each_suite(void (*check)(const struct suite *suite))
{
	size_t count = 0;

	for (uint32_t code = 0; code <= UINT16_MAX; code++) {
		const struct suite *suite = suite_find_code(code);

		if (suite == NULL)
			continue;
		ck_assert_uint_eq(suite->code, code);
		check(suite);
		count++;
	}
	return count;
}

static void check_suite(const struct suite *suite)
{
	ck_assert_ptr_eq(suite_find(suite->iana), suite);
	if (suite->openssl == NULL) {
		ck_assert_ptr_nonnull(suite->reason);
		return;
	}
	ck_assert_ptr_null(suite->reason);
	ck_assert_ptr_eq(suite_find(suite->openssl), suite);
	ck_assert_msg(openssl_has(suite->openssl, suite->code), "%s", suite->openssl);
	/* OpenSSL's own map from IANA names is a second witness of code, name and table. */
	ck_assert_str_eq(OPENSSL_cipher_name(suite->iana), suite->openssl);
}

START_TEST(suites_are_as_openssl_says)
{
	ck_assert_uint_eq(each_suite(check_suite), 36);
	for (size_t i = 0; i < ARRAY_LEN(lacking); i++) {
		const struct suite *suite = suite_find(lacking[i]);

		ck_assert_ptr_nonnull(suite);
		ck_assert_ptr_null(suite->openssl);
		ck_assert_msg(!openssl_has(lacking[i], suite->code), "%s", lacking[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(not_offered); i++) {
		const struct suite *suite = suite_find(not_offered[i]);

		ck_assert_ptr_nonnull(suite);
		ck_assert_ptr_null(suite->openssl);
		ck_assert_msg(openssl_has(not_offered[i], suite->code), "%s", not_offered[i]);
		ck_assert_str_eq(OPENSSL_cipher_name(suite->iana), not_offered[i]);
	}
}
END_TEST

/* KrakenD's page lists all its integers. */
START_TEST(krakend_integers)
{
	static const uint32_t has[] = {4865, 4866, 4867, 49199, 49200, 52392, 49196, 52393, 49195, 47,
	                               53,   60,   156,  157,   49161, 49162, 49171, 49172, 49187, 49191};
	static const uint32_t lacks[] = {5, 10, 49159, 49169, 49170};

	for (size_t i = 0; i < ARRAY_LEN(has); i++)
		ck_assert_ptr_nonnull(suite_find_code(has[i])->openssl);
	for (size_t i = 0; i < ARRAY_LEN(lacks); i++)
		ck_assert_ptr_null(suite_find_code(lacks[i])->openssl);
}
END_TEST

START_TEST(other_spellings_of_suites)
{
	ck_assert_uint_eq(suite_find("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305")->code, 0xCCA8);
	ck_assert_uint_eq(suite_find("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305")->code, 0xCCA9);
	ck_assert_uint_eq(suite_find("tls_aes_128_gcm_sha256")->code, 0x1301);
	ck_assert_uint_eq(suite_find("TLS_FALLBACK_SCSV")->code, 0x5600);
	ck_assert_ptr_null(suite_find("TLS_NONSENSE"));
	ck_assert_ptr_null(suite_find(""));
	ck_assert_ptr_null(suite_find("AES128-SHA2")); /* as ATS's default list ends */
	ck_assert_ptr_null(suite_find("HIGH"));
	ck_assert_ptr_null(suite_find("ALL:@SECLEVEL=0"));
	ck_assert_ptr_null(suite_find_code(0));
	ck_assert_ptr_null(suite_find_code(65536 + 0x1301));
}
END_TEST

static void check_suite_versions(const struct suite *suite)
{
	const SSL_CIPHER *found = NULL;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	STACK_OF(SSL_CIPHER) * all;

	SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
	all = SSL_CTX_get_ciphers(ctx);
	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
		if (SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(all, i)) == suite->code)
			found = sk_SSL_CIPHER_value(all, i);
	if (found != NULL) {
		ck_assert_int_eq(suite_is_for(suite, 0x0304), strcmp(SSL_CIPHER_get_version(found), "TLSv1.3") == 0);
		ck_assert_int_eq(suite_is_for(suite, 0x0303), strcmp(SSL_CIPHER_get_version(found), "TLSv1.3") != 0);
		/* OpenSSL calls what came with the first TLS "TLSv1.0", and what SSL 3.0 had "SSLv3". */
		ck_assert_int_eq(suite_is_for(suite, 0x0301), strcmp(SSL_CIPHER_get_version(found), "TLSv1.0") == 0 ||
		                                                  strcmp(SSL_CIPHER_get_version(found), "SSLv3") == 0);
		ck_assert_int_eq(suite_is_ecdhe(suite), SSL_CIPHER_get_kx_nid(found) == NID_kx_ecdhe);
		if (!suite->tls13)
			ck_assert_int_eq(suite->auth == SUITE_AUTH_ECDSA, SSL_CIPHER_get_auth_nid(found) == NID_auth_ecdsa);
	}
	SSL_CTX_free(ctx);
}

START_TEST(suites_know_their_versions)
{
	each_suite(check_suite_versions);
}
END_TEST

START_TEST(groups_are_as_openssl_says)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	size_t count = 0;

	for (uint32_t id = 0; id <= UINT16_MAX; id++) {
		const struct group *group = group_find_id(id);
		char number[8];
		int nid;

		if (group == NULL)
			continue;
		count++;
		snprintf(number, sizeof(number), "%u", id);
		ck_assert_ptr_eq(group_find(number), group);
		ck_assert_ptr_eq(group_find(group->iana), group);
		if (group->openssl == NULL) {
			ck_assert_int_eq(SSL_CTX_set1_groups_list(ctx, group->iana), 0);
			continue;
		}
		ck_assert_ptr_eq(group_find(group->openssl), group);
		ck_assert_int_eq(SSL_CTX_set1_groups_list(ctx, group->openssl), 1);
		nid = group->nid;
		ck_assert_int_eq(SSL_CTX_set1_groups(ctx, &nid, 1), 1);
	}
	ck_assert_uint_eq(count, 13);
	SSL_CTX_free(ctx);
}
END_TEST

START_TEST(other_spellings_of_groups)
{
	ck_assert_uint_eq(group_find("CurveP256")->id, 23);
	ck_assert_uint_eq(group_find("CurveP384")->id, 24);
	ck_assert_uint_eq(group_find("CurveP521")->id, 25);
	ck_assert_uint_eq(group_find("X25519")->id, 29);
	ck_assert_uint_eq(group_find("x25519")->id, 29);
	ck_assert_uint_eq(group_find("prime256v1")->id, 23);
	ck_assert_uint_eq(group_find("X25519MLKEM768")->id, 4588);
	ck_assert_uint_eq(group_find("SecP256r1MLKEM768")->id, 4587);
	ck_assert_ptr_null(group_find("secp256k1"));
	ck_assert_ptr_null(group_find(""));
	ck_assert_ptr_null(group_find("99999999999999999999"));
	ck_assert(group_is_for(group_find("ffdhe2048"), 0x0304));
	ck_assert(!group_is_for(group_find("ffdhe2048"), 0x0303));
	ck_assert(group_is_for(group_find("x448"), 0x0303));
}
END_TEST

START_TEST(versions_under_their_names)
{
	static const char *const prefixes[] = {"TLSv1.", "VersionTLS1", "TLS1", "1.", "TLSv1_", "tlsV1."};
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		for (unsigned minor = 0; minor <= 3; minor++) {
			snprintf(name, sizeof(name), "%s%u", prefixes[i], minor);
			ck_assert_msg(version_find(name) == 0x0301 + minor, "%s", name);
		}
	}
	ck_assert_uint_eq(version_find("TLSv1"), 0x0301);
	ck_assert_uint_eq(version_find("SSLv3"), 0);
	ck_assert_uint_eq(version_find("SSL3.0"), 0);
	ck_assert_uint_eq(version_find("TLSv1.4"), 0);
	ck_assert_uint_eq(version_find(""), 0);
	for (uint32_t version = 0x0301; version <= 0x0304; version++)
		ck_assert_uint_eq(version_find(version_name(version)), version);
	ck_assert_ptr_null(version_name(0x0300));
	ck_assert_ptr_null(version_name(0x0305));
}
END_TEST

UNIT_MAIN("model/suites", suites_are_as_openssl_says, krakend_integers, other_spellings_of_suites,
          suites_know_their_versions, groups_are_as_openssl_says, other_spellings_of_groups, versions_under_their_names)
