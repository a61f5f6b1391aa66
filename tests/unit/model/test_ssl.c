/* SPDX-License-Identifier: Apache-2.0 */
/* SSL objects: pairs, names, fields, what is said of them. */
#include "ssl.h"

#include "channel.pb-c.h"
#include "crypto/cert.h"
#include "crypto/key.h"
#include "model/body.h"

#include <openssl/pem.h>

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

/* Those of another body, as those that were dropped, are not taken for it. */
START_TEST(certificates_that_were_read_are_of_one_body)
{
	struct outcome outcome = parse_pair(leaf->pem, NULL), other = parse_pair(rsa->pem, NULL);
	struct resource_state state = state_of(outcome.resource);
	struct resource_limits limits = limits_now();
	struct error err = ERROR_NULL;
	json_t *document = resource_render(&state, &limits, &err), *same;

	ck_assert_ptr_nonnull(other.resource->certs);
	same = resource_render_parsed(&state, other.resource, &limits, &err);
	ck_assert(json_equal(document, same));
	json_decref(same);
	same = resource_render_parsed(&state, NULL, &limits, &err);
	ck_assert(json_equal(document, same));
	json_decref(same);
	resource_drop_certs(outcome.resource);
	ck_assert_ptr_null(outcome.resource->certs);
	same = resource_render_parsed(&state, outcome.resource, &limits, &err);
	ck_assert(json_equal(document, same));
	json_decref(same);
	json_decref(document);
	outcome_deinit(&outcome);
	outcome_deinit(&other);
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

int main(void)
{
	const TTest *const tests[] = {a_pair_is_read,
	                              no_answer_has_a_key,
	                              a_pair_without_key_awaits_one,
	                              further_pairs_go_by_index,
	                              one_pair_per_slot_of_openssl,
	                              names_are_normalised_and_counted,
	                              uncovered_names_are_warned_about,
	                              the_rest_of_the_fields,
	                              clients_need_a_ca,
	                              certificates_for_origins,
	                              uses_are_judged_by_type,
	                              the_x509_block,
	                              warnings_stand_in_later_answers, certificates_that_were_read_are_of_one_body,
	                              everything_wrong_is_said_at_once};

	return run_with_certificates("model/ssl", tests, ARRAY_LEN(tests));
}
