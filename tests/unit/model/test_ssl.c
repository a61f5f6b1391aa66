/* SPDX-License-Identifier: Apache-2.0 */
/* SSL objects and CA bundles: certificates and keys, good, doubtful and wrong. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "crypto/cert.h"
#include "crypto/key.h"
#include "model/body.h"
#include "pki.h"

#include <openssl/pem.h>

static struct pki_cert *root, *middle, *leaf, *rsa, *ed25519;

static void setup(void)
{
	root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	leaf = pki_make(
		&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test,DNS:*.A.test,IP:127.0.0.1", .issuer = middle});
	rsa = pki_make(&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test", .key = "RSA-2048", .issuer = root});
	ed25519 = pki_make(&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test", .key = "Ed25519", .issuer = root});
}

static json_t *document_of(const char *cert, const char *key)
{
	json_t *document = json_pack("{s:s, s:s}", "sni", "a.test", "cert", cert);

	if (key != NULL)
		json_object_set_new(document, "key", json_string(key));
	return document;
}

static struct outcome parse_pair(const char *cert, const char *key)
{
	json_t *document = document_of(cert, key);
	struct outcome outcome = parse_json(KIND_SSL, "id", document);

	json_decref(document);
	return outcome;
}

static void refuse_json(json_t *document, const char *code, const char *pointer)
{
	struct outcome outcome = parse_json(KIND_SSL, "id", document);

	if (outcome.findings.errors != 1 || !has_finding(&outcome.findings, FINDING_ERROR, code, pointer)) {
		print_findings(&outcome.findings);
		ck_abort_msg("expected %s at %s", code, pointer);
	}
	outcome_deinit(&outcome);
	json_decref(document);
}

static void refuse_pair(const char *cert, const char *key, const char *code, const char *pointer)
{
	refuse_json(document_of(cert, key), code, pointer);
}

/* Accepted with exactly this warning (NULL: with none). */
static void accept_json(json_t *document, const char *code, const char *pointer)
{
	struct outcome outcome = parse_json(KIND_SSL, "id", document);

	if (outcome.code != 0 || outcome.findings.warnings != (code != NULL ? 1 : 0) ||
	    (code != NULL && !has_finding(&outcome.findings, FINDING_WARNING, code, pointer))) {
		print_findings(&outcome.findings);
		ck_abort_msg("expected %s at %s", code, pointer);
	}
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
	json_decref(document);
}

static void accept_pair(const char *cert, const char *key, const char *code, const char *pointer)
{
	accept_json(document_of(cert, key), code, pointer);
}

/* Makes a certificate by spec (issued by root unless self-signed), and expects one error about it. */
static void refuse_spec(struct pki_spec spec, const char *code, const char *pointer)
{
	struct pki_cert *made;

	spec.sans = spec.dns_raw != NULL ? NULL : "DNS:a.test";
	made = pki_make(&spec);
	refuse_pair(made->pem, NULL, code, pointer);
	pki_free(made);
}

static void accept_spec(struct pki_spec spec, const char *code, const char *pointer)
{
	struct pki_cert *made;

	if (spec.sans == NULL)
		spec.sans = "DNS:a.test";
	made = pki_make(&spec);
	accept_pair(made->pem, made->key_pem, code, pointer);
	pki_free(made);
}

START_TEST(a_pair_is_read)
{
	char *chain = pki_join(leaf->pem, middle->pem, NULL);
	struct outcome outcome = parse_pair(chain, leaf->key_pem);
	struct resource *resource = outcome.resource;
	ProtobufCMessage *body = NULL, *secret = NULL;
	struct error err = ERROR_NULL;
	uint8_t spki[32];
	Tlsplane__Ssl *ssl;
	EVP_PKEY *key = NULL;

	ck_assert_int_eq(outcome.code, 0);
	ck_assert_uint_eq(outcome.findings.warnings, 0);
	ck_assert_int_eq(cert_spki_sha256(leaf->cert, spki, &err), 0);
	ck_assert_uint_eq(resource->pairs_len, 1);
	ck_assert(resource->pairs[0].has_key);
	ck_assert_str_eq(resource->pairs[0].pointer, "/cert");
	ck_assert_mem_eq(resource->pairs[0].spki_sha256, spki, 32);
	ck_assert_uint_eq(resource->names_len, 1);
	ck_assert_str_eq(resource->names[0], "a.test");
	ck_assert_int_eq(body_decode(&tlsplane__ssl__descriptor, BYTES(resource->body, resource->body_len), &body, &err),
	                 0);
	ssl = (Tlsplane__Ssl *)body;
	ck_assert_uint_eq(ssl->n_pairs, 1);
	ck_assert_int_eq(ssl->pairs[0]->key_type, TLSPLANE__KEY_TYPE__KEY_EC_P256);
	ck_assert_uint_eq(ssl->pairs[0]->n_chain, 2);
	ck_assert_mem_eq(ssl->pairs[0]->spki_sha256.data, spki, 32);
	ck_assert_int_eq(
		body_decode(&tlsplane__secret__descriptor, BYTES(resource->secret->data, resource->secret->len), &secret, &err),
		0);
	ck_assert_uint_eq(((Tlsplane__Secret *)secret)->n_keys, 1);
	ck_assert_uint_eq(((Tlsplane__Secret *)secret)->keys[0]->data.len, 32);
	ck_assert_int_eq(
		key_load(CERT_KEY_EC_P256, BYTES(((Tlsplane__Secret *)secret)->keys[0]->data.data, 32), leaf->cert, &key, &err),
		0);
	expect_round_trip(resource);
	EVP_PKEY_free(key);
	body_free_secret(secret);
	body_free(body);
	outcome_deinit(&outcome);
	free(chain);
}
END_TEST

START_TEST(no_answer_has_a_key)
{
	struct outcome outcome = parse_pair(leaf->pem, leaf->key_pem);
	json_t *documents[] = {render(outcome.resource), render_input(outcome.resource)};

	for (size_t i = 0; i < 2; i++) {
		char *text = json_dumps(documents[i], 0);

		ck_assert_ptr_null(strstr(text, "PRIVATE"));
		ck_assert_ptr_null(json_object_get(documents[i], "key"));
		ck_assert_ptr_null(json_object_get(documents[i], "keys"));
		free(text);
		json_decref(documents[i]);
	}
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(a_pair_without_key_awaits_one)
{
	struct outcome outcome = parse_pair(leaf->pem, NULL);
	ProtobufCMessage *secret = NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(outcome.code, 0);
	ck_assert(!outcome.resource->pairs[0].has_key);
	ck_assert_int_eq(body_decode(&tlsplane__secret__descriptor,
	                             BYTES(outcome.resource->secret->data, outcome.resource->secret->len), &secret, &err),
	                 0);
	ck_assert_uint_eq(((Tlsplane__Secret *)secret)->keys[0]->data.len, 0);
	ck_assert_int_eq(((Tlsplane__Secret *)secret)->keys[0]->key_type, TLSPLANE__KEY_TYPE__KEY_EC_P256);
	body_free_secret(secret);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(further_pairs_go_by_index)
{
	json_t *document = document_of(leaf->pem, leaf->key_pem), *answer;
	struct outcome outcome;

	json_object_set_new(document, "certs", json_pack("[s, s]", rsa->pem, ed25519->pem));
	outcome = parse_json(KIND_SSL, "id", document);
	ck_assert_uint_eq(outcome.resource->pairs_len, 3);
	ck_assert(outcome.resource->pairs[0].has_key && !outcome.resource->pairs[1].has_key &&
	          !outcome.resource->pairs[2].has_key);
	ck_assert_str_eq(outcome.resource->pairs[2].pointer, "/certs/1");
	outcome_deinit(&outcome);
	json_object_set_new(document, "keys", json_pack("[n, s]", ed25519->key_pem));
	outcome = parse_json(KIND_SSL, "id", document);
	ck_assert(!outcome.resource->pairs[1].has_key && outcome.resource->pairs[2].has_key);
	outcome_deinit(&outcome);
	json_object_set_new(document, "keys", json_pack("[s, s]", rsa->key_pem, ""));
	outcome = parse_json(KIND_SSL, "id", document);
	ck_assert(outcome.resource->pairs[1].has_key && !outcome.resource->pairs[2].has_key);
	answer = render(outcome.resource);
	ck_assert_uint_eq(json_array_size(json_object_get(answer, "certs")), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(answer, "x509_more")), 2);
	expect_round_trip(outcome.resource);
	json_decref(answer);
	outcome_deinit(&outcome);
	json_object_set_new(document, "keys", json_pack("[s]", rsa->key_pem));
	refuse_json(json_incref(document), "mismatched-keys", "/keys");
	json_object_set_new(document, "keys", json_pack("[s, s]", ed25519->key_pem, rsa->key_pem));
	outcome = parse_json(KIND_SSL, "id", document);
	ck_assert_uint_eq(outcome.findings.errors, 2);
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "key-mismatch", "/keys/0"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "key-mismatch", "/keys/1"));
	outcome_deinit(&outcome);
	json_object_del(document, "keys");
	json_object_set_new(document, "certs", json_pack("[s, s, s]", rsa->pem, ed25519->pem, rsa->pem));
	refuse_json(document, "out-of-range", "/certs");
	document = document_of(leaf->pem, NULL);
	json_object_set_new(document, "keys", json_pack("[s]", leaf->key_pem));
	refuse_json(document, "mismatched-keys", "/keys");
}
END_TEST

START_TEST(one_pair_per_slot_of_openssl)
{
	struct pki_cert *p384 = pki_make(&(struct pki_spec){.sans = "DNS:a.test", .key = "P-384", .issuer = root});
	json_t *document = document_of(leaf->pem, leaf->key_pem);

	json_object_set_new(document, "certs", json_pack("[s]", p384->pem));
	refuse_json(document, "duplicate-key-type", "/certs/0");
	pki_free(p384);
}
END_TEST

START_TEST(names_are_normalised_and_counted)
{
	json_t *document = json_pack("{s:[s,s,s], s:s}", "snis", "A.Test.", "x.a.test", "*.a.test", "cert", leaf->pem);
	struct outcome outcome = parse_json(KIND_SSL, "id", document);
	json_t *many = json_array();
	char name[32];

	ck_assert_int_eq(outcome.code, 0);
	ck_assert_uint_eq(outcome.findings.warnings, 0);
	ck_assert_uint_eq(outcome.resource->names_len, 3);
	ck_assert_str_eq(outcome.resource->names[0], "a.test");
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
	json_object_set_new(document, "snis", json_pack("[s,s]", "a.test", "A.TEST"));
	refuse_json(json_incref(document), "duplicate", "/snis");
	json_object_set_new(document, "snis", json_pack("[s,s]", "a.test", "127.0.0.1"));
	refuse_json(json_incref(document), "invalid-value", "/snis/1");
	json_object_set_new(document, "snis", json_array());
	refuse_json(json_incref(document), "out-of-range", "/snis");
	json_object_set_new(document, "sni", json_string("a.test"));
	refuse_json(json_incref(document), "conflicting-fields", "/snis");
	json_object_del(document, "sni");
	json_object_del(document, "snis");
	refuse_json(json_incref(document), "missing-field", "/snis");
	for (int i = 0; i < 1001; i++) {
		snprintf(name, sizeof(name), "n%d.a.test", i);
		json_array_append_new(many, json_string(name));
	}
	json_object_set_new(document, "snis", many);
	refuse_json(json_incref(document), "out-of-range", "/snis");
	json_array_remove(many, 1000);
	accept_json(document, NULL, NULL);
}
END_TEST

START_TEST(uncovered_names_are_warned_about)
{
	json_t *document = json_pack("{s:[s,s,s], s:s}", "snis", "a.test", "y.x.a.test", "*", "cert", leaf->pem);

	accept_json(document, "sni-not-covered", "/snis/1");
	document = json_pack("{s:s, s:s}", "sni", "b.test", "cert", leaf->pem);
	accept_json(document, "sni-not-covered", "/sni");
	document = json_pack("{s:s, s:s}", "sni", "*", "cert", leaf->pem);
	accept_json(document, NULL, NULL);
}
END_TEST

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

START_TEST(the_rest_of_the_fields)
{
	json_t *document = document_of(leaf->pem, leaf->key_pem);

	json_object_update_new(document, json_pack("{s:s, s:[s,s], s:s, s:i, s:{s:s, s:i}}", "type", "server",
	                                           "ssl_protocols", "TLSv1.3", "TLSv1.2", "tls_options", "modern",
	                                           "priority", -5, "client", "ca", root->pem, "depth", 2));
	accept_json(json_incref(document), NULL, NULL);
	json_object_set_new(document, "type", json_string("other"));
	refuse_json(json_incref(document), "invalid-value", "/type");
	json_object_del(document, "type");
	json_object_set_new(document, "ssl_protocols", json_pack("[s,s]", "TLSv1.1", "TLSv1.3"));
	refuse_json(json_incref(document), "invalid-value", "/ssl_protocols");
	json_object_set_new(document, "ssl_protocols", json_array());
	refuse_json(json_incref(document), "out-of-range", "/ssl_protocols");
	json_object_set_new(document, "ssl_protocols", json_pack("[s,s]", "TLSv1.3", "1.3"));
	refuse_json(json_incref(document), "duplicate", "/ssl_protocols/1");
	json_object_set_new(document, "ssl_protocols", json_pack("[s]", "SSLv3"));
	refuse_json(json_incref(document), "unknown-version", "/ssl_protocols/0");
	json_object_set_new(document, "ssl_protocols", json_pack("[s]", "TLSv1.2"));
	json_object_set_new(document, "priority", json_integer(2147483648));
	refuse_json(json_incref(document), "out-of-range", "/priority");
	json_object_del(document, "priority");
	json_object_set_new(document, "validity_end", json_integer(1));
	refuse_json(document, "unknown-field", "/validity_end");
}
END_TEST

START_TEST(clients_need_a_ca)
{
	json_t *document = document_of(leaf->pem, leaf->key_pem);
	struct outcome outcome;

	json_object_set_new(document, "client", json_object());
	refuse_json(json_incref(document), "missing-field", "/client/ca");
	json_object_set_new(document, "client", json_pack("{s:s}", "ca", leaf->pem));
	refuse_json(json_incref(document), "not-a-ca", "/client/ca");
	json_object_set_new(document, "client", json_pack("{s:s}", "verify", "request"));
	accept_json(json_incref(document), NULL, NULL);
	json_object_set_new(document, "client", json_pack("{s:s, s:s}", "ca", root->pem, "verify", "none"));
	accept_json(json_incref(document), "ca-unused", "/client/ca");
	json_object_set_new(document, "client", json_pack("{s:s}", "verify", "verify_if_given"));
	refuse_json(json_incref(document), "missing-field", "/client/ca");
	json_object_set_new(document, "tls_options", json_string("o")); /* whose anchors count, which the change layer looks at */
	accept_json(json_incref(document), NULL, NULL);
	json_object_set_new(document, "client", json_object());
	accept_json(json_incref(document), NULL, NULL);
	json_object_del(document, "tls_options");
	json_object_set_new(document, "client", json_pack("{s:s, s:[s]}", "ca", root->pem, "skip_mtls_uri_regex", "/x"));
	refuse_json(json_incref(document), "unknown-field", "/client/skip_mtls_uri_regex");
	json_object_set_new(document, "client", json_pack("{s:s}", "ca_bundle", "b"));
	outcome = parse_json(KIND_SSL, "id", document);
	ck_assert_uint_eq(outcome.resource->refs_len, 1);
	ck_assert_str_eq(outcome.resource->refs[0].pointer, "/client/ca_bundle");
	outcome_deinit(&outcome);
	json_decref(document);
}
END_TEST

/* Without what only servers have. */
static json_t *client_document(const struct pki_cert *pair)
{
	return json_pack("{s:s, s:s, s:s}", "type", "client", "cert", pair->pem, "key", pair->key_pem);
}

START_TEST(certificates_for_origins)
{
	static const struct {
		const char *field, *value, *pointer;
	} servers_only[] = {
		{"sni", "\"a.test\"", "/sni"},
		{"snis", "[\"a.test\"]", "/snis"},
		{"tls_options", "\"o\"", "/tls_options"},
		{"priority", "0", "/priority"},
		{"ssl_protocols", "[\"TLSv1.3\"]", "/ssl_protocols"},
		{"client", "{\"ca_bundle\": \"b\"}", "/client"},
	};
	json_t *document = client_document(leaf), *answer;
	struct outcome outcome = parse_json(KIND_SSL, "id", document);
	ProtobufCMessage *body = NULL;
	const Tlsplane__Ssl *ssl;

	ck_assert_int_eq(outcome.code, 0);
	ck_assert_uint_eq(outcome.resource->names_len, 0);
	ck_assert_uint_eq(outcome.resource->pairs_len, 1);
	ck_assert_int_eq(body_decode(&tlsplane__ssl__descriptor, BYTES(outcome.resource->body, outcome.resource->body_len), &body,
	                             &outcome.err),
	                 0);
	ssl = (const Tlsplane__Ssl *)body;
	ck_assert(ssl->client_type && ssl->n_snis == 0);
	ck_assert_int_gt((int64_t)ssl->pairs[0]->not_after, (int64_t)time(NULL));
	body_free(body);
	expect_round_trip(outcome.resource);
	answer = render(outcome.resource);
	ck_assert_str_eq(json_string_value(json_object_get(answer, "type")), "client");
	ck_assert_ptr_null(json_object_get(answer, "snis"));
	json_decref(answer);
	outcome_deinit(&outcome);
	for (size_t i = 0; i < ARRAY_LEN(servers_only); i++) {
		json_object_set_new(document, servers_only[i].field, json_loads(servers_only[i].value, JSON_DECODE_ANY, NULL));
		refuse_json(json_incref(document), "conflicting-fields", servers_only[i].pointer);
		json_object_del(document, servers_only[i].field);
	}
	json_object_set_new(document, "certs", json_pack("[s]", rsa->pem));
	json_object_set_new(document, "keys", json_pack("[s]", rsa->key_pem));
	refuse_json(document, "conflicting-fields", "/certs");
}
END_TEST

START_TEST(uses_are_judged_by_type)
{
	struct pki_cert *server = pki_make(&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test", .usage = "serverAuth"});
	struct pki_cert *client = pki_make(&(struct pki_spec){.name = "a.test", .sans = "DNS:a.test", .usage = "clientAuth"});

	accept_json(client_document(client), NULL, NULL);
	accept_json(client_document(server), "not-for-clients", "/cert");
	accept_json(document_of(server->pem, server->key_pem), NULL, NULL);
	accept_json(document_of(client->pem, client->key_pem), "not-for-servers", "/cert");
	pki_free(server);
	pki_free(client);
}
END_TEST

START_TEST(the_x509_block)
{
	char *chain = pki_join(leaf->pem, middle->pem, NULL);
	struct outcome outcome = parse_pair(chain, NULL);
	json_t *document = render(outcome.resource), *x509 = json_object_get(document, "x509"),
		   *sans = json_object_get(x509, "sans");

	ck_assert_str_eq(json_string_value(json_object_get(x509, "subject")), "CN=a.test");
	ck_assert_str_eq(json_string_value(json_object_get(x509, "issuer")), "CN=middle");
	ck_assert_uint_eq(json_array_size(sans), 3);
	ck_assert_str_eq(json_string_value(json_array_get(sans, 0)), "DNS:a.test");
	ck_assert_str_eq(json_string_value(json_array_get(sans, 2)), "IP:127.0.0.1");
	ck_assert_str_eq(json_string_value(json_object_get(x509, "key_type")), "EC P-256");
	ck_assert_int_eq(json_integer_value(json_object_get(x509, "key_size")), 256);
	ck_assert_str_eq(json_string_value(json_object_get(x509, "signature_algorithm")), "ecdsa-with-SHA256");
	ck_assert_uint_eq(json_string_length(json_object_get(x509, "sha256")), 64);
	ck_assert_uint_eq(json_string_length(json_object_get(x509, "spki_sha256")), 64);
	ck_assert_uint_eq(json_string_length(json_object_get(x509, "not_before")), 20);
	ck_assert_uint_eq(json_string_length(json_object_get(x509, "not_after")), 20);
	ck_assert_uint_eq(json_string_length(json_object_get(x509, "serial")), 32);
	ck_assert_int_eq(json_integer_value(json_object_get(x509, "chain_length")), 2);
	ck_assert_ptr_null(json_object_get(document, "x509_more"));
	ck_assert_str_eq(json_string_value(json_object_get(document, "cert")), chain);
	json_decref(document);
	outcome_deinit(&outcome);
	free(chain);
}
END_TEST

START_TEST(warnings_stand_in_later_answers)
{
	struct outcome outcome = parse_pair(leaf->pem, NULL);
	struct resource_state state = state_of(outcome.resource);
	struct resource_limits later = limits_now();
	struct error err = ERROR_NULL;
	json_t *document, *warning;

	ck_assert_uint_eq(outcome.findings.warnings, 0);
	later.now += 365 * 86400;
	document = resource_render(&state, &later, &err);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "warnings")), 1);
	warning = json_array_get(json_object_get(document, "warnings"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(warning, "code")), "expired");
	ck_assert_str_eq(json_string_value(json_object_get(warning, "pointer")), "/cert");
	json_decref(document);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(everything_wrong_is_said_at_once)
{
	struct pki_cert *weak = pki_make(&(struct pki_spec){.sans = "DNS:a.test", .key = "RSA-1024", .issuer = root});
	json_t *document =
		json_pack("{s:[s,s], s:s, s:s, s:[s], s:[s], s:{s:s}, s:s}", "snis", "127.0.0.1", "a.test", "cert", weak->pem,
	              "key", "x", "certs", "y", "keys", "z", "client", "ca", leaf->pem, "bogus", "1");
	struct outcome outcome = parse_json(KIND_SSL, "id", document);

	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "invalid-value", "/snis/0"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "weak-key", "/cert"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "invalid-key", "/key"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "invalid-pem", "/certs/0"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "invalid-key", "/keys/0"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "not-a-ca", "/client/ca"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "unknown-field", "/bogus"));
	ck_assert_uint_eq(outcome.findings.errors, 7);
	outcome_deinit(&outcome);
	json_decref(document);
	pki_free(weak);
}
END_TEST

/* CA bundles ---------------------------------------------------------------------------------------------------------
 */

static struct outcome parse_bundle(char *pem)
{
	json_t *document = json_pack("{s:s}", "certs", pem);
	struct outcome outcome = parse_json(KIND_CA_BUNDLE, "id", document);

	json_decref(document);
	free(pem);
	return outcome;
}

START_TEST(bundles)
{
	struct outcome outcome = parse_bundle(pki_join(root->pem, middle->pem, NULL));
	struct pki_cert *old = pki_make(&(struct pki_spec){.is_ca = true, .not_before = -7200, .not_after = -3600});
	json_t *document;

	ck_assert_int_eq(outcome.code, 0);
	document = render(outcome.resource);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "x509")), 2);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(json_object_get(document, "x509"), 0), "subject")), "CN=root");
	expect_round_trip(outcome.resource);
	json_decref(document);
	outcome_deinit(&outcome);
	outcome = parse_bundle(pki_join(root->pem, old->pem, NULL));
	ck_assert_int_eq(outcome.code, 0);
	ck_assert(has_finding(&outcome.findings, FINDING_WARNING, "expired", "/certs"));
	outcome_deinit(&outcome);
	outcome = parse_bundle(pki_join(root->pem, leaf->pem, NULL));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "not-a-ca", "/certs"));
	outcome_deinit(&outcome);
	outcome = parse_bundle(pki_join("", NULL));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "invalid-pem", "/certs"));
	outcome_deinit(&outcome);
	expect_error(KIND_CA_BUNDLE, "{}", "missing-field", "/certs");
	pki_free(old);
}
END_TEST

START_TEST(bundles_are_bounded)
{
	size_t one = strlen(root->pem);
	char *many = malloc(1001 * one + 1);
	struct outcome outcome;

	for (size_t i = 0; i < 1001; i++)
		memcpy(many + i * one, root->pem, one + 1);
	outcome = parse_bundle(strdup(many));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "too-many-certificates", "/certs"));
	outcome_deinit(&outcome);
	many[1000 * one] = '\0';
	outcome = parse_bundle(many);
	ck_assert_int_eq(outcome.code, 0);
	outcome_deinit(&outcome);
}
END_TEST

static void teardown(void)
{
	pki_free(root);
	pki_free(middle);
	pki_free(leaf);
	pki_free(rsa);
	pki_free(ed25519);
}

int main(void)
{
	const TTest *const tests[] = {a_pair_is_read,
	                              no_answer_has_a_key,
	                              a_pair_without_key_awaits_one,
	                              further_pairs_go_by_index,
	                              one_pair_per_slot_of_openssl,
	                              names_are_normalised_and_counted,
	                              uncovered_names_are_warned_about,
	                              certificates_that_are_none,
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
	                              chains,
	                              the_rest_of_the_fields,
	                              clients_need_a_ca,
	                              certificates_for_origins, uses_are_judged_by_type, the_x509_block,
	                              warnings_stand_in_later_answers,
	                              everything_wrong_is_said_at_once,
	                              bundles,
	                              bundles_are_bounded};
	int failed;

	setup();
	failed = unit_run("model/ssl", tests, ARRAY_LEN(tests));
	teardown();
	return failed;
}
