/* SPDX-License-Identifier: Apache-2.0 */
/* TLS options: spellings, ranges, combinations, presets. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/body.h"
#include "pki.h"

static struct pki_cert *ca, *leaf;

static void setup(void)
{
	ca = pki_make(&(struct pki_spec){.name = "CA", .is_ca = true});
	leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = ca});
}

/* {"client_auth": {"ca": PEM, FIELDS}} as text; malloc'd. */
static char *with_ca(const char *pem, const char *fields)
{
	json_t *value = json_string(pem);
	char *quoted = json_dumps(value, JSON_ENCODE_ANY), *text = NULL;

	ck_assert_int_gt(asprintf(&text, "{\"client_auth\": {\"ca\": %s%s}}", quoted, fields), 0);
	free(quoted);
	json_decref(value);
	return text;
}

START_TEST(versions_have_one_form)
{
	static const char *const spellings[] = {"TLSv1.2", "VersionTLS12", "TLS12", "1.2", "tlsv1_2"};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		snprintf(text, sizeof(text), "{\"min_version\": \"%s\", \"max_version\": \"%s\"}", spellings[i], spellings[i]);
		expect_answer(KIND_TLS_OPTIONS, text, "min_version", "\"TLSv1.2\"");
		expect_answer(KIND_TLS_OPTIONS, text, "max_version", "\"TLSv1.2\"");
	}
	expect_answer(KIND_TLS_OPTIONS, "{}", "min_version", "\"TLSv1.3\"");
	expect_answer(KIND_TLS_OPTIONS, "{}", "max_version", "\"TLSv1.3\"");
	expect_error(KIND_TLS_OPTIONS, "{\"min_version\": \"TLSv1.4\"}", "unknown-version", "/min_version");
	expect_error(KIND_TLS_OPTIONS, "{\"min_version\": \"SSLv3\"}", "unknown-version", "/min_version");
	expect_error(KIND_TLS_OPTIONS, "{\"min_version\": 1.2}", "wrong-type", "/min_version");
	expect_error(KIND_TLS_OPTIONS, "{\"max_version\": \"TLSv1.2\"}", "impossible-combination", "/min_version");
}
END_TEST

START_TEST(suites_have_one_form)
{
	expect_answer(
		KIND_TLS_OPTIONS,
		"{\"min_version\": \"1.2\", \"cipher_suites\": [4866, \"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305\", "
		"\"ECDHE-ECDSA-AES128-GCM-SHA256\"]}",
		"cipher_suites",
		"[\"TLS_AES_256_GCM_SHA384\",\"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256\",\"TLS_ECDHE_ECDSA_WITH_AES_128_"
		"GCM_SHA256\"]");
	expect_answer(KIND_TLS_OPTIONS, "{}", "cipher_suites", NULL);
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": []}", "out-of-range", "/cipher_suites");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": \"HIGH\"}", "wrong-type", "/cipher_suites");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [4865, \"HIGH\"]}", "unknown-cipher-suite", "/cipher_suites/1");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [4865, 70401]}", "unknown-cipher-suite", "/cipher_suites/1");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [4865, -1]}", "unknown-cipher-suite", "/cipher_suites/1");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [4865, null]}", "wrong-type", "/cipher_suites/1");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [4865, \"TLS_AES_128_GCM_SHA256\"]}", "duplicate",
	             "/cipher_suites/1");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [5]}", "unsupported-cipher-suite", "/cipher_suites/0");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [\"TLS_FALLBACK_SCSV\"]}", "unsupported-cipher-suite",
	             "/cipher_suites/0");
	expect_errors(KIND_TLS_OPTIONS, "{\"cipher_suites\": [10, 49159, 49169, 49170]}", "unsupported-cipher-suite",
	              "/cipher_suites/3", 4);
}
END_TEST

START_TEST(groups_have_one_form)
{
	expect_answer(KIND_TLS_OPTIONS,
	              "{\"curve_preferences\": [\"CurveP521\", 24, \"P-256\", \"X25519\", \"x448\", \"ffdhe2048\"]}",
	              "curve_preferences", "[\"secp521r1\",\"secp384r1\",\"secp256r1\",\"x25519\",\"x448\",\"ffdhe2048\"]");
	expect_error(KIND_TLS_OPTIONS, "{\"curve_preferences\": []}", "out-of-range", "/curve_preferences");
	expect_error(KIND_TLS_OPTIONS, "{\"curve_preferences\": [\"X25519MLKEM768\"]}", "unsupported-group",
	             "/curve_preferences/0");
	expect_error(KIND_TLS_OPTIONS, "{\"curve_preferences\": [4588]}", "unsupported-group", "/curve_preferences/0");
	expect_error(KIND_TLS_OPTIONS, "{\"curve_preferences\": [\"secp256k1\"]}", "unknown-group", "/curve_preferences/0");
	expect_error(KIND_TLS_OPTIONS, "{\"curve_preferences\": [23, \"prime256v1\"]}", "duplicate",
	             "/curve_preferences/1");
	expect_error(KIND_TLS_OPTIONS, "{\"curve_preferences\": [true]}", "wrong-type", "/curve_preferences/0");
}
END_TEST

START_TEST(combinations_that_can_never_shake_hands)
{
	/* 1.2 alone with suites of 1.3 alone, and the other way round */
	expect_error(KIND_TLS_OPTIONS, "{\"min_version\": \"1.2\", \"max_version\": \"1.2\", \"cipher_suites\": [4865]}",
	             "impossible-combination", "/cipher_suites");
	expect_error(KIND_TLS_OPTIONS, "{\"cipher_suites\": [49199]}", "impossible-combination", "/cipher_suites");
	/* a version of the range without any suite */
	expect_error(KIND_TLS_OPTIONS, "{\"min_version\": \"1.2\", \"cipher_suites\": [4865]}", "impossible-combination",
	             "/cipher_suites");
	expect_errors(KIND_TLS_OPTIONS, "{\"min_version\": \"1.0\", \"max_version\": \"1.2\", \"cipher_suites\": [49199]}",
	              "impossible-combination", "/cipher_suites", 2);
	/* what is sound by default is not for versions before 1.2 */
	expect_error(KIND_TLS_OPTIONS, "{\"min_version\": \"1.1\"}", "impossible-combination", "/cipher_suites");
	/* groups of TLS 1.3 alone */
	expect_error(KIND_TLS_OPTIONS, "{\"min_version\": \"1.2\", \"curve_preferences\": [\"ffdhe2048\"]}",
	             "impossible-combination", "/curve_preferences");
}
END_TEST

START_TEST(combinations_that_work)
{
	struct outcome outcome = expect_fine(KIND_TLS_OPTIONS, "{\"min_version\": \"1.2\", \"cipher_suites\": [49199]}");

	ck_assert(has_finding(&outcome.findings, FINDING_WARNING, "default-cipher-suites", "/cipher_suites"));
	outcome_deinit(&outcome);
	/* RSA key exchange needs no group */
	outcome = expect_fine(
		KIND_TLS_OPTIONS,
		"{\"min_version\": \"1.2\", \"curve_preferences\": [\"ffdhe2048\"], \"cipher_suites\": [4865, 156]}");
	ck_assert_uint_eq(outcome.findings.warnings, 0);
	outcome_deinit(&outcome);
	outcome = expect_fine(KIND_TLS_OPTIONS,
	                      "{\"min_version\": \"1.0\", \"max_version\": \"1.2\", \"cipher_suites\": [49199, 49171]}");
	ck_assert(has_finding(&outcome.findings, FINDING_WARNING, "old-version", "/min_version"));
	ck_assert_uint_eq(outcome.findings.warnings, 1);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(standing_warnings_are_in_the_answer)
{
	expect_answer(KIND_TLS_OPTIONS, "{\"min_version\": \"1.1\", \"cipher_suites\": [4865, 49171]}", "warnings",
	              "[{\"code\":\"old-version\",\"pointer\":\"/min_version\",\"detail\":\"TLSv1.1 is deprecated (RFC "
	              "8996); OpenSSL's "
	              "security level is lowered to 0 for it\"}]");
}
END_TEST

START_TEST(alpn)
{
	char text[400], name[300];

	expect_answer(KIND_TLS_OPTIONS, "{\"alpn_protocols\": [\"h2\", \"http/1.1\"]}", "alpn_protocols",
	              "[\"h2\",\"http/1.1\"]");
	expect_answer(KIND_TLS_OPTIONS, "{\"alpn_protocols\": []}", "alpn_protocols", NULL);
	expect_error(KIND_TLS_OPTIONS, "{\"alpn_protocols\": [\"\"]}", "out-of-range", "/alpn_protocols/0");
	expect_error(KIND_TLS_OPTIONS, "{\"alpn_protocols\": [\"h2\", \"h2\"]}", "duplicate", "/alpn_protocols/1");
	expect_error(KIND_TLS_OPTIONS, "{\"alpn_protocols\": [1]}", "wrong-type", "/alpn_protocols/0");
	memset(name, 'a', sizeof(name));
	name[255] = '\0';
	snprintf(text, sizeof(text), "{\"alpn_protocols\": [\"%s\"]}", name);
	outcome_deinit(&(struct outcome[]){expect_fine(KIND_TLS_OPTIONS, text)}[0]);
	name[255] = 'a';
	name[256] = '\0';
	snprintf(text, sizeof(text), "{\"alpn_protocols\": [\"%s\"]}", name);
	expect_error(KIND_TLS_OPTIONS, text, "out-of-range", "/alpn_protocols/0");
}
END_TEST

START_TEST(simple_fields)
{
	struct outcome outcome = expect_fine(KIND_TLS_OPTIONS, "{\"default_ssl\": \"fallback\"}");

	ck_assert_uint_eq(outcome.resource->refs_len, 1);
	ck_assert_int_eq(outcome.resource->refs[0].kind, KIND_SSL);
	outcome_deinit(&outcome);
	expect_answer(KIND_TLS_OPTIONS, "{\"sni_strict\": true}", "sni_strict", "true");
	expect_answer(KIND_TLS_OPTIONS, "{\"sni_strict\": false}", "sni_strict", "false");
	expect_answer(KIND_TLS_OPTIONS, "{\"prefer_server_ciphers\": true}", "prefer_server_ciphers", "true");
	expect_answer(KIND_TLS_OPTIONS, "{\"handshake_timeout\": 2.5}", "handshake_timeout", "2.5");
	expect_error(KIND_TLS_OPTIONS, "{\"handshake_timeout\": 0.0001}", "out-of-range", "/handshake_timeout");
	expect_error(KIND_TLS_OPTIONS, "{\"handshake_timeout\": 301}", "out-of-range", "/handshake_timeout");
	expect_error(KIND_TLS_OPTIONS, "{\"sni_strict\": 1}", "wrong-type", "/sni_strict");
	expect_answer(KIND_TLS_OPTIONS, "{\"max_handshakes\": 5}", "max_handshakes", "5");
	expect_answer(KIND_TLS_OPTIONS, "{\"handshakes_per_second\": 1000000}", "handshakes_per_second", "1000000");
	expect_error(KIND_TLS_OPTIONS, "{\"max_handshakes\": 0}", "out-of-range", "/max_handshakes");
	expect_error(KIND_TLS_OPTIONS, "{\"handshakes_per_second\": 1000001}", "out-of-range", "/handshakes_per_second");
	expect_error(KIND_TLS_OPTIONS, "{\"default_ssl\": \"..\"}", "invalid-value", "/default_ssl");
}
END_TEST

START_TEST(session_tickets)
{
	static const struct {
		const char *value, *answer;
	} cases[] = {
		{"true", "true"},
		{"false", "false"},
		{"{}", "true"},
		{"{\"enabled\": false}", "false"},
		{"{\"count\": 8}", "{\"enabled\":true,\"count\":8}"},
		{"{\"lifetime\": 60, \"enabled\": false}", "{\"enabled\":false,\"lifetime\":60}"},
	};
	char text[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "{\"session_tickets\": %s}", cases[i].value);
		expect_answer(KIND_TLS_OPTIONS, text, "session_tickets", cases[i].answer);
	}
	expect_answer(KIND_TLS_OPTIONS, "{}", "session_tickets", NULL);
	expect_error(KIND_TLS_OPTIONS, "{\"session_tickets\": 2}", "wrong-type", "/session_tickets");
	expect_error(KIND_TLS_OPTIONS, "{\"session_tickets\": {\"count\": 0}}", "out-of-range", "/session_tickets/count");
	expect_error(KIND_TLS_OPTIONS, "{\"session_tickets\": {\"count\": 9}}", "out-of-range", "/session_tickets/count");
	expect_error(KIND_TLS_OPTIONS, "{\"session_tickets\": {\"lifetime\": 86401}}", "out-of-range",
	             "/session_tickets/lifetime");
	expect_error(KIND_TLS_OPTIONS, "{\"session_tickets\": {\"number\": 2}}", "unknown-field", "/session_tickets/number");
}
END_TEST

START_TEST(client_modes_under_their_names)
{
	static const char *const require[] = {"\"require\"", "\"STRICT\"", "\"strict\"", "\"RequireAndVerifyClientCert\"",
	                                      "2",           "\"2\"",      "true"};
	static const char *const none[] = {"\"none\"", "\"NONE\"", "\"NoClientCert\"", "0", "false"};
	static const struct {
		const char *value, *answer;
		bool verifies;
	} between[] = {
		{"\"request\"", "request", false},
		{"\"RequestClientCert\"", "request", false},
		{"\"require_any\"", "require_any", false},
		{"\"RequireAnyClientCert\"", "require_any", false},
		{"\"verify_if_given\"", "verify_if_given", true},
		{"\"VerifyClientCertIfGiven\"", "verify_if_given", true},
		{"\"MODERATE\"", "verify_if_given", true},
		{"1", "verify_if_given", true},
		{"\"1\"", "verify_if_given", true},
	};
	char text[256], fields[128];

	for (size_t i = 0; i < ARRAY_LEN(require); i++) {
		struct outcome outcome;
		json_t *document;
		char *with;

		snprintf(fields, sizeof(fields), ", \"verify\": %s", require[i]);
		with = with_ca(ca->pem, fields);
		outcome = expect_fine(KIND_TLS_OPTIONS, with);
		document = render(outcome.resource);
		ck_assert_str_eq(json_string_value(json_object_get(json_object_get(document, "client_auth"), "verify")),
		                 "require");
		ck_assert_str_eq(json_string_value(json_object_get(json_object_get(document, "client_auth"), "ca")), ca->pem);
		expect_round_trip(outcome.resource);
		json_decref(document);
		outcome_deinit(&outcome);
		free(with);
		snprintf(text, sizeof(text), "{\"client_auth\": {\"verify\": %s}}", require[i]);
		expect_error(KIND_TLS_OPTIONS, text, "missing-field", "/client_auth/ca");
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		snprintf(text, sizeof(text), "{\"client_auth\": {\"verify\": %s}}", none[i]);
		expect_answer(KIND_TLS_OPTIONS, text, "client_auth", "{\"verify\":\"none\"}");
	}
	for (size_t i = 0; i < ARRAY_LEN(between); i++) {
		char answer[128];

		snprintf(text, sizeof(text), "{\"client_auth\": {\"verify\": %s}}", between[i].value);
		snprintf(answer, sizeof(answer), "{\"verify\":\"%s\"}", between[i].answer);
		if (between[i].verifies)
			expect_error(KIND_TLS_OPTIONS, text, "missing-field", "/client_auth/ca");
		else
			expect_answer(KIND_TLS_OPTIONS, text, "client_auth", answer);
		snprintf(text, sizeof(text), "{\"client_auth\": {\"verify\": %s, \"ca_bundle\": \"b\"}}", between[i].value);
		snprintf(answer, sizeof(answer), "{\"verify\":\"%s\",\"ca_bundle\":\"b\"}", between[i].answer);
		expect_answer(KIND_TLS_OPTIONS, text, "client_auth", answer);
	}
	expect_error(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"maybe\"}}", "invalid-value",
	             "/client_auth/verify");
	expect_error(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": 3}}", "out-of-range", "/client_auth/verify");
	expect_error(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": null}}", "wrong-type", "/client_auth/verify");
	expect_error(KIND_TLS_OPTIONS, "{\"client_auth\": {}}", "missing-field", "/client_auth/verify");
}
END_TEST

START_TEST(client_trust)
{
	struct outcome outcome = expect_fine(
		KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"require\", \"ca_bundle\": \"b\", \"depth\": 0}}");
	char *text;

	ck_assert_uint_eq(outcome.resource->refs_len, 1);
	ck_assert_int_eq(outcome.resource->refs[0].kind, KIND_CA_BUNDLE);
	ck_assert_str_eq(outcome.resource->refs[0].pointer, "/client_auth/ca_bundle");
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
	expect_error(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"require\", \"ca_bundle\": \"b\", \"depth\": 101}}",
	             "out-of-range", "/client_auth/depth");
	expect_error(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"require\", \"ca_bundle\": \"b\", \"allow\": []}}",
	             "out-of-range", "/client_auth/allow");
	expect_error(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"require\", \"ca\": \"\"}}", "invalid-pem",
	             "/client_auth/ca");
	text = with_ca(leaf->pem, ", \"verify\": \"require\"");
	expect_error(KIND_TLS_OPTIONS, text, "not-a-ca", "/client_auth/ca");
	free(text);
	text = with_ca(ca->pem, ", \"verify\": \"require\", \"ca_bundle\": \"b\"");
	expect_error(KIND_TLS_OPTIONS, text, "conflicting-fields", "/client_auth/ca");
	free(text);
	text = with_ca(ca->pem, ", \"verify\": \"none\"");
	outcome = expect_fine(KIND_TLS_OPTIONS, text);
	ck_assert(has_finding(&outcome.findings, FINDING_WARNING, "ca-unused", "/client_auth/ca"));
	outcome_deinit(&outcome);
	free(text);
}
END_TEST

START_TEST(presets_are_whole)
{
	static const char *const ids[] = {"modern", "intermediate", "old", "krakend"};
	struct error err = ERROR_NULL;
	struct resource *preset = NULL;
	size_t count = 0;

	while (resource_preset(count, &preset, &err) == 0) {
		ProtobufCMessage *body = NULL;
		char pointer[256];
		json_t *document;

		ck_assert_str_eq(preset->id, ids[count]);
		ck_assert(resource_is_preset(KIND_TLS_OPTIONS, preset->id));
		ck_assert_int_eq(
			body_decode(&tlsplane__tls_options__descriptor, BYTES(preset->body, preset->body_len), &body, &err), 0);
		ck_assert_int_eq(body_check(KIND_TLS_OPTIONS, body, pointer, &err), 0);
		ck_assert(((Tlsplane__TlsOptions *)body)->builtin);
		body_free(body);
		document = render(preset);
		ck_assert(json_is_true(json_object_get(document, "builtin")));
		json_decref(document);
		preset = resource_free(preset);
		count++;
	}
	ck_assert_uint_eq(count, 4);
	ck_assert_int_eq(resource_preset(4, &preset, &err), E_NOT_FOUND);
	ck_assert(!resource_is_preset(KIND_SSL, "modern"));
	ck_assert(!resource_is_preset(KIND_TLS_OPTIONS, "default"));
}
END_TEST

/* The block that sslscan printed of KrakenD's defaults: one version, this order of suites, P-521 preferred, no x25519. */
START_TEST(krakend_is_what_was_scanned)
{
	static const struct {
		const char *field, *answer;
	} expected[] = {
		{"min_version", "\"TLSv1.3\""},
		{"max_version", "\"TLSv1.3\""},
		{"prefer_server_ciphers", "true"},
		{"cipher_suites", "[\"TLS_AES_128_GCM_SHA256\",\"TLS_AES_256_GCM_SHA384\",\"TLS_CHACHA20_POLY1305_SHA256\"]"},
		{"curve_preferences", "[\"secp521r1\",\"secp384r1\",\"secp256r1\"]"},
	};
	struct error err = ERROR_NULL;
	struct resource *preset = NULL;
	json_t *document;

	ck_assert_int_eq(resource_preset(3, &preset, &err), 0);
	ck_assert_str_eq(preset->id, "krakend");
	document = render(preset);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		char *text = json_dumps(json_object_get(document, expected[i].field), JSON_COMPACT | JSON_ENCODE_ANY);

		ck_assert_str_eq(text, expected[i].answer);
		free(text);
	}
	json_decref(document);
	resource_free(preset);
}
END_TEST

START_TEST(a_copy_of_a_preset_is_an_ordinary_object)
{
	struct error err = ERROR_NULL;
	struct resource *preset = NULL;
	struct outcome outcome;
	json_t *document;

	ck_assert_int_eq(resource_preset(3, &preset, &err), 0);
	document = render(preset);
	outcome = parse_json(KIND_TLS_OPTIONS, "krakend", document);
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "reserved-id", "/id"));
	outcome_deinit(&outcome);
	json_object_del(document, "id");
	outcome = parse_json(KIND_TLS_OPTIONS, "mine", document);
	ck_assert_int_eq(outcome.code, 0);
	json_decref(document);
	document = render(outcome.resource);
	ck_assert(!json_is_true(json_object_get(document, "builtin")));
	ck_assert_uint_eq(json_array_size(json_object_get(document, "curve_preferences")), 3);
	json_decref(document);
	outcome_deinit(&outcome);
	resource_free(preset);
}
END_TEST

static void teardown(void)
{
	pki_free(ca);
	pki_free(leaf);
}

int main(void)
{
	const TTest *const tests[] = {versions_have_one_form,
	                              suites_have_one_form,
	                              groups_have_one_form,
	                              combinations_that_can_never_shake_hands,
	                              combinations_that_work,
	                              standing_warnings_are_in_the_answer,
	                              alpn,
	                              simple_fields,
	                              session_tickets,
	                              client_modes_under_their_names,
	                              client_trust,
	                              presets_are_whole,
	                              krakend_is_what_was_scanned,
	                              a_copy_of_a_preset_is_an_ordinary_object};
	int failed;

	setup();
	failed = unit_run("model/tls_options", tests, ARRAY_LEN(tests));
	teardown();
	return failed;
}
