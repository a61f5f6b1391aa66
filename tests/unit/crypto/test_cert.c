/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/cert.h"

#include "crypto/crypto.h"

#include "allocations.h"
#include "certs.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
	size_t count;
	struct buf all;
};

static int remember(struct bytes der, void *context, struct error *err)
{
	struct seen *seen = context;

	seen->count++;
	buf_put(&seen->all, der.data, der.len);
	return 0;
}

static int refuse(struct bytes der, void *context, struct error *err)
{
	return error_set(err, E_CONFLICT, "not this one");
}

static X509 *make(const char *name)
{
	EVP_PKEY *key = certs_make_key("P-256");
	const struct certs_spec spec = {.common_name = name, .key = key};
	X509 *cert = certs_make(&spec);

	EVP_PKEY_free(key);
	return cert;
}

START_TEST(splits_in_order)
{
	X509 *certs[3] = {make("a"), make("b"), make("c")};
	CLEANUP(buf_deinit) struct buf text = BUF_NULL, want = BUF_NULL;
	struct seen seen = {0};
	struct error err = ERROR_NULL;

	for (int i = 0; i < 3; i++) {
		size_t len;
		uint8_t *der = certs_der(certs[i], &len);

		buf_put_str(&text, "Certificate:\n    Data: text around it\n");
		cert_put_pem(BYTES(der, len), &text);
		buf_put(&want, der, len);
		free(der);
	}
	ck_assert_int_eq(cert_each_pem((char *)text.data, text.len, 3, remember, &seen, &err), 0);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_uint_eq(seen.all.len, want.len);
	ck_assert_mem_eq(seen.all.data, want.data, want.len);
	ck_assert_int_eq(cert_each_pem((char *)text.data, text.len, 2, remember, &seen, &err), E_TOO_LARGE);
	ck_assert_int_eq(cert_each_pem((char *)text.data, text.len, 3, refuse, NULL, &err), E_CONFLICT);
	ck_assert_str_eq(err.text, "not this one");
	buf_deinit(&seen.all);
	for (int i = 0; i < 3; i++)
		X509_free(certs[i]);
}
END_TEST

START_TEST(writes_as_openssl_does)
{
	X509 *cert = make("a");
	size_t len;
	uint8_t *der = certs_der(cert, &len);
	char *theirs = certs_pem(cert);
	CLEANUP(buf_deinit) struct buf ours = BUF_NULL;

	cert_put_pem(BYTES(der, len), &ours);
	ck_assert_str_eq(buf_cstr(&ours), theirs);
	free(theirs);
	free(der);
	X509_free(cert);
}
END_TEST

START_TEST(refuses_other_text)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
	    {"", "no PEM block"},
	    {"hello\n", "no PEM block"},
	    {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"},
	    {"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "not a certificate"},
	    {"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "broken"},
	    {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "broken"},
	    {"-----BEGIN CERTIFICATE-----\nAAAA\n", "broken"},
	    {"-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X\n\nAAAA\n-----END CERTIFICATE-----\n",
	     "headers"},
	};
	struct seen seen = {0};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = cert_each_pem(cases[i].text, strlen(cases[i].text), 9, remember, &seen, &err);

		ck_assert_msg(r == E_SYNTAX && strstr(err.text, cases[i].words) != NULL, "%s: %d %s", cases[i].text, r,
		              err.text);
	}
	ck_assert_int_eq(cert_each_pem(NULL, 0, 9, remember, &seen, &err), E_SYNTAX);
	ck_assert_uint_eq(seen.count, 0);
}
END_TEST

START_TEST(parses_exactly_one)
{
	X509 *cert = make("a"), *back = NULL;
	size_t len;
	uint8_t *der = certs_der(cert, &len), *longer = malloc(len + 1);
	struct error err = ERROR_NULL;

	ck_assert_int_eq(cert_parse(BYTES(der, len), &back, &err), 0);
	ck_assert_int_eq(X509_cmp(cert, back), 0);
	X509_free(back);
	back = NULL;
	memcpy(longer, der, len);
	longer[len] = 0;
	ck_assert_int_eq(cert_parse(BYTES(longer, len + 1), &back, &err), E_SYNTAX);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(cert_parse(BYTES(der, i), &back, &err), E_SYNTAX);
	ck_assert_int_eq(cert_parse(BYTES_NULL, &back, &err), E_SYNTAX);
	ck_assert_ptr_null(back);
	free(longer);
	free(der);
	X509_free(cert);
}
END_TEST

START_TEST(issuers)
{
	EVP_PKEY *ca_key = certs_make_key("P-256"), *key = certs_make_key("P-256"), *other_key = certs_make_key("P-256");
	const struct certs_spec ca_spec = {
	    .common_name = "ca", .key = ca_key, .extensions = {"basicConstraints=critical,CA:TRUE"}};
	const struct certs_spec twin_spec = {
	    .common_name = "ca", .key = other_key, .extensions = {"basicConstraints=critical,CA:TRUE"}};
	X509 *ca = certs_make(&ca_spec), *twin = certs_make(&twin_spec), *leaf;
	const struct certs_spec leaf_spec = {.common_name = "leaf", .key = key, .issuer = ca, .issuer_key = ca_key};

	leaf = certs_make(&leaf_spec);
	ck_assert(cert_is_issued_by(leaf, ca));
	ck_assert(cert_is_issued_by(ca, ca));
	ck_assert(!cert_is_issued_by(leaf, twin)); /* same name, another key */
	ck_assert(!cert_is_issued_by(ca, leaf));
	X509_free(leaf);
	X509_free(ca);
	X509_free(twin);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
}
END_TEST

UNIT_MAIN("crypto/cert", splits_in_order, writes_as_openssl_does, refuses_other_text, parses_exactly_one, issuers)
