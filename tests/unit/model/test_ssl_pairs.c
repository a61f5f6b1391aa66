/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates and keys of SSL objects: good, doubtful and wrong. */
#include "ssl.h"

#include "channel.pb-c.h"
#include "crypto/cert.h"
#include "crypto/key.h"
#include "model/body.h"

#include <openssl/pem.h>

START_TEST(certificates_that_are_none)
{
	char *text, *big;

	refuse_pair("", NULL, "invalid-pem", "/cert");
	refuse_pair("nonsense", NULL, "invalid-pem", "/cert");
	refuse_pair("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", NULL, "invalid-pem", "/cert");
	refuse_pair(leaf->key_pem, NULL, "invalid-pem", "/cert");
	text = pki_join(leaf->pem, leaf->key_pem, NULL);
	refuse_pair(text, NULL, "invalid-pem", "/cert");
	free(text);
	text = strndup(leaf->pem, strlen(leaf->pem) - 40);
	refuse_pair(text, NULL, "invalid-pem", "/cert");
	free(text);
	big = malloc(65538);
	memset(big, '\n', 65537);
	big[65537] = '\0';
	refuse_pair(big, NULL, "too-large", "/cert");
	free(big);
	refuse_json(json_pack("{s:s, s:i}", "sni", "a.test", "cert", 1), "wrong-type", "/cert");
	refuse_json(json_pack("{s:s, s:s}", "sni", "a.test", "key", leaf->key_pem), "missing-field", "/cert");
}
END_TEST

START_TEST(bytes_behind_a_certificate)
{
	uint8_t der[4096], *at = der;
	int len = i2d_X509(leaf->cert, &at);
	char *pem, *data;
	BIO *out = BIO_new(BIO_s_mem());

	der[len++] = 0;
	PEM_write_bio(out, "CERTIFICATE", "", der, len);
	BIO_write(out, "", 1);
	BIO_get_mem_data(out, &data);
	pem = strdup(data);
	refuse_pair(pem, NULL, "invalid-pem", "/cert");
	free(pem);
	BIO_free(out);
}
END_TEST

START_TEST(keys_that_are_none)
{
	char *two = pki_join(leaf->key_pem, leaf->key_pem, NULL), *big, *data;
	struct pki_cert *other = pki_make(&(struct pki_spec){.sans = "DNS:a.test"}),
					*ed448 = pki_make(&(struct pki_spec){.key = "Ed448"});
	BIO *out = BIO_new(BIO_s_mem());

	refuse_pair(leaf->pem, "", "invalid-key", "/key");
	refuse_pair(leaf->pem, "nonsense", "invalid-key", "/key");
	refuse_pair(leaf->pem, leaf->pem, "invalid-key", "/key");
	refuse_pair(leaf->pem, two, "invalid-key", "/key");
	refuse_pair(leaf->pem, other->key_pem, "key-mismatch", "/key");
	refuse_pair(leaf->pem, rsa->key_pem, "key-mismatch", "/key");
	refuse_pair(rsa->pem, leaf->key_pem, "key-mismatch", "/key");
	refuse_pair(leaf->pem, ed448->key_pem, "unsupported-key", "/key");
	PEM_write_bio_PrivateKey(out, leaf->key, EVP_aes_128_cbc(), (const unsigned char *)"pass", 4, NULL, NULL);
	BIO_write(out, "", 1);
	BIO_get_mem_data(out, &data);
	refuse_pair(leaf->pem, data, "invalid-key", "/key");
	big = malloc(65538);
	memset(big, '\n', 65537);
	big[65537] = '\0';
	refuse_pair(leaf->pem, big, "too-large", "/key");
	free(big);
	free(two);
	BIO_free(out);
	pki_free(other);
	pki_free(ed448);
}
END_TEST

START_TEST(no_finding_quotes_a_key)
{
	char *broken = strdup(leaf->key_pem), *body = strchr(broken, '\n') + 1, needle[17];
	struct outcome outcome;

	memcpy(needle, body, 16);
	needle[16] = '\0';
	body[40] = '!';
	outcome = parse_pair(leaf->pem, broken);
	ck_assert_uint_eq(outcome.findings.errors, 1);
	ck_assert_ptr_null(strstr(outcome.findings.items[0].detail, needle));
	ck_assert_ptr_null(strstr(outcome.err.text, needle));
	outcome_deinit(&outcome);
	free(broken);
}
END_TEST

/* A key's one line pasted as a field name, or as a value with a few allowed words, comes back cut. */
START_TEST(no_finding_repeats_a_misplaced_key)
{
	static const char secret[] = "MC4CAQAwBQYDK2VwBCIEIJ2nFbl0tKD4m1bQWqjGnVYk3iTrXs7LhZpCeAoMuDfG";
	json_t *document = document_of(leaf->pem, leaf->key_pem);
	struct outcome outcome;

	json_object_set_new(document, secret, json_integer(1));
	json_object_set_new(document, "type", json_string(secret));
	outcome = parse_json(KIND_SSL, "id", document);
	ck_assert_uint_eq(outcome.findings.errors, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_ptr_null(strstr(outcome.findings.items[i].pointer, "YDK2Vw"));
		ck_assert_ptr_null(strstr(outcome.findings.items[i].detail, "YDK2Vw"));
	}
	outcome_deinit(&outcome);
	json_decref(document);
}
END_TEST

START_TEST(key_kinds_that_are_served)
{
	static const char *const kinds[] = {"P-256", "P-384", "P-521", "Ed25519", "RSA-2048", "RSA-3072"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		accept_spec((struct pki_spec){.key = kinds[i], .issuer = root}, NULL, NULL);
}
END_TEST

START_TEST(key_kinds_that_are_not)
{
	static const char *const kinds[] = {"secp256k1", "brainpoolP256r1", "P-224", "Ed448", "RSA-PSS-2048", "DSA-2048"};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		refuse_spec((struct pki_spec){.key = kinds[i], .issuer = root}, "unsupported-key", "/cert");
	refuse_spec((struct pki_spec){.key = "P-256", .issuer = root, .explicit_curve = true}, "unsupported-key", "/cert");
	refuse_spec((struct pki_spec){.key = "RSA-1024", .issuer = root}, "weak-key", "/cert");
	refuse_spec((struct pki_spec){.key = "RSA-2048", .issuer = root, .rsa_exponent = 3}, "weak-key", "/cert");
}
END_TEST

START_TEST(large_rsa_keys_need_the_option)
{
	struct pki_cert *large = pki_make(&(struct pki_spec){.sans = "DNS:a.test", .key = "RSA-4104", .issuer = root});
	struct resource_limits limits = limits_now();
	json_t *document = document_of(large->pem, large->key_pem);
	struct findings findings = FINDINGS_NULL;
	struct resource *resource = NULL;
	struct error err = ERROR_NULL;

	refuse_json(json_incref(document), "key-too-large", "/cert");
	limits.rsa_bits_max = 8192;
	ck_assert_int_eq(resource_parse(KIND_SSL, "id", document, &limits, &findings, &resource, &err), 0);
	resource_free(resource);
	findings_deinit(&findings);
	json_decref(document);
	pki_free(large);
}
END_TEST

START_TEST(signatures_below_the_security_level)
{
	refuse_spec((struct pki_spec){.issuer = root, .digest = "SHA1"}, "weak-signature", "/cert");
	refuse_spec((struct pki_spec){.issuer = rsa, .digest = "MD5"}, "weak-signature", "/cert");
	accept_spec((struct pki_spec){.digest = "SHA1"}, NULL, NULL); /* self-signed: proves nothing anyway */
}
END_TEST

START_TEST(names_in_certificates)
{
	refuse_spec((struct pki_spec){.issuer = root, .dns_raw = "a.test\0.evil", .dns_raw_len = 12}, "name-has-nul",
	            "/cert");
}
END_TEST

START_TEST(doubts_are_warnings)
{
	accept_spec((struct pki_spec){.issuer = root, .not_before = -7200, .not_after = -3600}, "expired", "/cert");
	accept_spec((struct pki_spec){.issuer = root, .not_before = 3600, .not_after = 7200}, "not-yet-valid", "/cert");
	accept_spec((struct pki_spec){.issuer = root, .usage = "clientAuth"}, "not-for-servers", "/cert");
	accept_spec((struct pki_spec){.issuer = root, .tls_feature = "status_request"}, "must-staple", "/cert");
	accept_spec((struct pki_spec){.issuer = root, .usage = "serverAuth,clientAuth", .tls_feature = "13"}, NULL, NULL);
	accept_spec((struct pki_spec){.is_ca = true}, NULL, NULL); /* openssl req -x509 makes these */
}
END_TEST

START_TEST(chains)
{
	const char *const l = leaf->pem, *const m = middle->pem, *const r = root->pem;
	char *long_chain = strdup(""), *next;
	struct {
		char *pem;
		const char *code;
	} rows[] = {
		{pki_join(l, m, r, NULL), NULL},
		{pki_join(l, m, NULL), NULL},
		{pki_join(l, NULL), NULL},
		{pki_join(l, r, NULL), "chain-incomplete"},
		{pki_join(l, m, m, NULL), "chain-duplicate"},
		{pki_join(l, l, m, NULL), "chain-duplicate"},
		{pki_join("Bag Attributes: x\n", l, "\nsubject= y\n", m, NULL), NULL},
	};
	struct outcome outcome;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		accept_pair(rows[i].pem, leaf->key_pem, rows[i].code, "/cert");
		free(rows[i].pem);
	}
	next = pki_join(l, r, m, NULL);
	outcome = parse_pair(next, leaf->key_pem);
	ck_assert_int_eq(outcome.code, 0);
	ck_assert(has_finding(&outcome.findings, FINDING_WARNING, "chain-disordered", "/cert"));
	outcome_deinit(&outcome);
	free(next);
	next = pki_join(m, l, NULL); /* the first must be the leaf: the key says which */
	refuse_pair(next, leaf->key_pem, "key-mismatch", "/key");
	free(next);
	for (int i = 0; i < 10; i++) {
		next = pki_join(long_chain, i == 0 ? l : m, NULL);
		free(long_chain);
		long_chain = next;
	}
	accept_pair(long_chain, leaf->key_pem, "chain-duplicate", "/cert");
	next = pki_join(long_chain, r, NULL);
	refuse_pair(next, leaf->key_pem, "too-many-certificates", "/cert");
	free(next);
	free(long_chain);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {certificates_that_are_none,
	                              bytes_behind_a_certificate,
	                              keys_that_are_none,
	                              no_finding_quotes_a_key,
	                              no_finding_repeats_a_misplaced_key,
	                              key_kinds_that_are_served,
	                              key_kinds_that_are_not,
	                              large_rsa_keys_need_the_option,
	                              signatures_below_the_security_level,
	                              names_in_certificates,
	                              doubts_are_warnings,
	                              chains};

	return run_with_certificates("model/ssl_pairs", tests, ARRAY_LEN(tests));
}
