/* SPDX-License-Identifier: Apache-2.0 */
/* What the channel's CA issues and whom it recognises. */
#include "crypto/authority.h"

#include "crypto/crypto.h"

#include "certs.h"
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1800000000

static X509 *ca;
static EVP_PKEY *ca_key, *key;

static void setup_ca(void)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(authority_make_ca("fleet.example", NOW, &ca, &ca_key, &err) == 0, "%s", err.text);
	key = certs_make_key("P-256");
}

static void drop_ca(void)
{
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
}

static X509 *issue(enum authority_role role, const char *id, int64_t lifetime)
{
	X509 *cert = NULL;
	struct error err = ERROR_NULL;

	ck_assert_msg(authority_issue(ca, ca_key, role, id, key, NOW, lifetime, &cert, &err) == 0, "%s", err.text);
	return cert;
}

START_TEST(the_ca_is_one)
{
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	char domain[256];
	struct error err = ERROR_NULL;

	setup_ca();
	ck_assert_int_eq(cert_info_read(ca, &info, &err), 0);
	ck_assert(info.is_ca && info.is_self_issued);
	ck_assert_int_eq(info.key_type, CERT_KEY_EC_P256);
	ck_assert_int_eq(info.not_before, NOW - AUTHORITY_BACKDATE);
	ck_assert_int_eq(info.not_after, NOW + AUTHORITY_CA_LIFE);
	ck_assert(cert_is_issued_by(ca, ca));
	ck_assert_int_eq(authority_trust_domain(ca, domain, &err), 0);
	ck_assert_str_eq(domain, "fleet.example");
	drop_ca();
}
END_TEST

START_TEST(trust_domains)
{
	static const char *const bad[] = {"", "UPPER", "a/b", "a b", "a,b", "\xc3\xa4"};
	char longest[257];
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_int_eq(authority_make_ca(bad[i], NOW, &ca, &ca_key, &err), E_INVALID);
	memset(longest, 'a', 256);
	longest[256] = 0;
	ck_assert_int_eq(authority_make_ca(longest, NOW, &ca, &ca_key, &err), E_INVALID);
	longest[255] = 0;
	ck_assert_int_eq(authority_make_ca(longest, NOW, &ca, &ca_key, &err), 0);
	key = certs_make_key("P-256");
	X509_free(issue(AUTHORITY_AGENT, "a", 60));
	drop_ca();
}
END_TEST

START_TEST(issued_certificates)
{
	static const struct {
		enum authority_role role;
		const char *id;
		uint32_t use;
	} cases[] = {{AUTHORITY_CONTROLPLANE, NULL, XKU_SSL_SERVER}, {AUTHORITY_AGENT, "edge-1", XKU_SSL_CLIENT}};
	struct error err = ERROR_NULL;

	setup_ca();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(X509_free) X509 *cert = issue(cases[i].role, cases[i].id, AUTHORITY_AGENT_LIFE);
		CLEANUP(cert_info_deinit) struct cert_info info = {0};
		enum authority_role role;
		char id[65];

		ck_assert_int_eq(cert_info_read(cert, &info, &err), 0);
		ck_assert_int_eq(info.not_before, NOW - AUTHORITY_BACKDATE);
		ck_assert_int_eq(info.not_after, NOW + AUTHORITY_AGENT_LIFE);
		ck_assert(!info.is_ca && cert_is_issued_by(cert, ca));
		ck_assert_uint_eq(X509_get_extended_key_usage(cert), cases[i].use);
		ck_assert_int_eq(EVP_PKEY_eq(X509_get0_pubkey(cert), key), 1);
		ck_assert_int_eq(authority_read_identity(cert, "fleet.example", &role, id, &err), 0);
		ck_assert_int_eq(role, cases[i].role);
		ck_assert_str_eq(id, cases[i].id != NULL ? cases[i].id : "");
		ck_assert_int_eq(authority_read_identity(cert, "fleet.exampl", &role, id, &err), E_FORBIDDEN);
		ck_assert_int_eq(authority_read_identity(cert, "fleet.example.com", &role, id, &err), E_FORBIDDEN);
	}
	drop_ca();
}
END_TEST

START_TEST(agent_ids)
{
	static const char *const bad[] = {"", "a/b", "../x", "-a", ".a", "a b", "a,DNS:evil", "a\n", NULL};
	char longest[66];
	X509 *cert = NULL;
	struct error err = ERROR_NULL;

	setup_ca();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_int_eq(authority_issue(ca, ca_key, AUTHORITY_AGENT, bad[i], key, NOW, 60, &cert, &err), E_INVALID);
	memset(longest, 'a', 65);
	longest[65] = 0;
	ck_assert_int_eq(authority_issue(ca, ca_key, AUTHORITY_AGENT, longest, key, NOW, 60, &cert, &err), E_INVALID);
	longest[64] = 0;
	X509_free(issue(AUTHORITY_AGENT, longest, 60));
	drop_ca();
}
END_TEST

START_TEST(no_longer_than_the_ca)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	X509 *late = NULL;
	struct error err = ERROR_NULL;

	setup_ca();
	cert = issue(AUTHORITY_AGENT, "a", 2 * (int64_t)AUTHORITY_CA_LIFE);
	ck_assert_int_eq(cert_info_read(cert, &info, &err), 0);
	ck_assert_int_eq(info.not_after, NOW + AUTHORITY_CA_LIFE);
	ck_assert_int_eq(authority_issue(ca, ca_key, AUTHORITY_AGENT, "a", key, NOW + AUTHORITY_CA_LIFE, 60, &late, &err),
	                 E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "expired"));
	drop_ca();
}
END_TEST

START_TEST(serials_differ)
{
	CLEANUP(X509_free) X509 *a = NULL, *b = NULL;

	setup_ca();
	a = issue(AUTHORITY_AGENT, "a", 60);
	b = issue(AUTHORITY_AGENT, "a", 60);
	ck_assert_int_ne(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
	drop_ca();
}
END_TEST

START_TEST(a_brought_ca_may_be_of_any_type)
{
	static const char *const types[] = {"RSA", "P-384", "ED25519"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct certs_spec spec = {.common_name = "brought", .not_before = NOW - 10, .not_after = NOW + 1000};
		CLEANUP(X509_free) X509 *cert = NULL;

		ca_key = spec.key = certs_make_key(types[i]);
		key = certs_make_key("P-256");
		spec.extensions[0] = "basicConstraints=critical,CA:TRUE";
		spec.extensions[1] = "subjectAltName=URI:spiffe://brought,DNS:ca.example";
		ca = certs_make(&spec);
		cert = issue(AUTHORITY_AGENT, "a", 60);
		ck_assert(cert_is_issued_by(cert, ca));
		drop_ca();
	}
}
END_TEST

START_TEST(requests)
{
	CLEANUP(buf_deinit) struct buf csr = BUF_NULL;
	CLEANUP(EVP_PKEY_free) EVP_PKEY *read = NULL;
	EVP_PKEY *none = NULL;
	struct error err = ERROR_NULL;

	setup_ca();
	ck_assert_int_eq(authority_make_csr(key, &csr, &err), 0);
	ck_assert_int_eq(authority_read_csr(BYTES(csr.data, csr.len), &read, &err), 0);
	ck_assert_int_eq(EVP_PKEY_eq(read, key), 1);
	for (size_t i = 0; i < csr.len; i++) {
		csr.data[i] ^= 1;
		ck_assert_int_lt(authority_read_csr(BYTES(csr.data, csr.len), &none, &err), 0);
		csr.data[i] ^= 1;
	}
	for (size_t len = 0; len < csr.len; len++)
		ck_assert_int_eq(authority_read_csr(BYTES(csr.data, len), &none, &err), E_SYNTAX);
	buf_put_u8(&csr, 0);
	ck_assert_int_eq(authority_read_csr(BYTES(csr.data, csr.len), &none, &err), E_SYNTAX);
	drop_ca();
}
END_TEST

static void ask_for(X509_REQ *request, const char *const (*extensions)[2], size_t count)
{
	STACK_OF(X509_EXTENSION) *asked = sk_X509_EXTENSION_new_null();

	for (size_t i = 0; i < count; i++) {
		X509_EXTENSION *extension = X509V3_EXT_conf(NULL, NULL, extensions[i][0], extensions[i][1]);

		ck_assert_ptr_nonnull(extension);
		ck_assert_int_gt(sk_X509_EXTENSION_push(asked, extension), 0);
	}
	ck_assert_int_eq(X509_REQ_add_extensions(request, asked), 1);
	sk_X509_EXTENSION_pop_free(asked, X509_EXTENSION_free);
}

/* CVE-2021-27098: whatever else a request asks for, its key is all that is taken from it. */
START_TEST(requests_for_more_than_a_key)
{
	static const char *const extensions[][2] = {
	    {"subjectAltName", "URI:spiffe://fleet.example/agent/victim,DNS:victim.example"},
	    {"basicConstraints", "critical,CA:TRUE"},
	    {"extendedKeyUsage", "serverAuth,clientAuth"},
	    {"keyUsage", "keyCertSign"},
	};
	X509_REQ *request = X509_REQ_new();
	unsigned char *der = NULL;
	EVP_PKEY *read = NULL;
	X509 *plain, *cert = NULL;
	char id[65];
	enum authority_role role;
	struct error err = ERROR_NULL;
	int len;

	setup_ca();
	ck_assert_int_eq(X509_REQ_set_pubkey(request, key), 1);
	ck_assert_int_eq(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_ASC,
	                                            (const unsigned char *)"victim", -1, -1, 0),
	                 1);
	ask_for(request, extensions, ARRAY_LEN(extensions));
	ck_assert_int_gt(X509_REQ_sign(request, key, EVP_sha256()), 0);
	len = i2d_X509_REQ(request, &der);
	plain = issue(AUTHORITY_AGENT, "one", 60);
	ck_assert_int_eq(authority_read_csr(BYTES(der, (size_t)len), &read, &err), 0);
	ck_assert_int_eq(authority_issue(ca, ca_key, AUTHORITY_AGENT, "one", read, NOW, 60, &cert, &err), 0);
	ck_assert_int_eq(authority_read_identity(cert, "fleet.example", &role, id, &err), 0);
	ck_assert_str_eq(id, "one");
	ck_assert_int_eq(X509_NAME_cmp(X509_get_subject_name(cert), X509_get_subject_name(plain)), 0);
	ck_assert_int_eq(X509_get_ext_count(cert), X509_get_ext_count(plain));
	for (int i = 0; i < X509_get_ext_count(cert); i++)
		ck_assert_int_eq(ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_get_ext(cert, i)),
		                                       X509_EXTENSION_get_data(X509_get_ext(plain, i))),
		                 0);
	X509_free(cert);
	X509_free(plain);
	EVP_PKEY_free(read);
	OPENSSL_free(der);
	X509_REQ_free(request);
	drop_ca();
}
END_TEST

START_TEST(requests_of_other_keys)
{
	static const char *const types[] = {"RSA", "P-384", "secp256k1"};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		CLEANUP(EVP_PKEY_free) EVP_PKEY *other = certs_make_key(types[i]);
		CLEANUP(buf_deinit) struct buf csr = BUF_NULL;
		EVP_PKEY *none = NULL;

		ck_assert_int_eq(authority_make_csr(other, &csr, &err), 0);
		ck_assert_int_eq(authority_read_csr(BYTES(csr.data, csr.len), &none, &err), E_INVALID);
	}
}
END_TEST

START_TEST(identities_that_are_none)
{
	static const char *const names[] = {
	    "subjectAltName=DNS:fleet.example",
	    "subjectAltName=URI:spiffe://fleet.example/agent/a,URI:spiffe://fleet.example/agent/b",
	    "subjectAltName=URI:https://fleet.example/agent/a",
	    "subjectAltName=URI:spiffe://fleet.example",
	    "subjectAltName=URI:spiffe://fleet.example/",
	    "subjectAltName=URI:spiffe://fleet.example/agent/",
	    "subjectAltName=URI:spiffe://fleet.example/agent/a/b",
	    "subjectAltName=URI:spiffe://fleet.example/agent/../controlplane",
	    "subjectAltName=URI:spiffe://fleet.example/controlplane/",
	    "subjectAltName=URI:spiffe://fleet.example/Agent/a",
	    "subjectAltName=URI:spiffe://fleet.example.evil/agent/a",
	    "subjectAltName=URI:SPIFFE://fleet.example/agent/a",
	    "keyUsage=digitalSignature",
	};
	struct error err = ERROR_NULL;

	setup_ca();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct certs_spec spec = {.common_name = "x", .key = key, .extensions = {names[i]}};
		CLEANUP(X509_free) X509 *cert = certs_make(&spec);
		enum authority_role role;
		char id[65] = "untouched";

		ck_assert_msg(authority_read_identity(cert, "fleet.example", &role, id, &err) == E_FORBIDDEN, "%s", names[i]);
		ck_assert_str_eq(id, "untouched");
	}
	drop_ca();
}
END_TEST

UNIT_MAIN("crypto/authority", the_ca_is_one, trust_domains, issued_certificates, agent_ids, no_longer_than_the_ca,
          serials_differ, a_brought_ca_may_be_of_any_type, requests, requests_for_more_than_a_key, requests_of_other_keys,
          identities_that_are_none)
