/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams beyond their nodes, and how they are spoken TLS with: fields, spellings, contradictions. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/body.h"
#include "pki.h"

#define UPSTREAM(more) "{\"nodes\": {\"127.0.0.1:80\": 1}" more "}"
#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct pki_cert *ca;

START_TEST(schemes)
{
	expect_answer(KIND_UPSTREAM, UPSTREAM(), "scheme", NULL);
	expect_answer(KIND_UPSTREAM, UPSTREAM(", \"scheme\": \"tcp\""), "scheme", "\"tcp\"");
	expect_answer(KIND_UPSTREAM, UPSTREAM(", \"scheme\": \"TLS\""), "scheme", "\"tls\"");
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"scheme\": \"https\""), "invalid-value", "/scheme");
	expect_answer(KIND_UPSTREAM, UPSTREAM(", \"upstream_tls\": \"t\""), "upstream_tls", "\"t\"");
	expect_answer(KIND_UPSTREAM, UPSTREAM(", \"upstream_tls\": \"t\", \"scheme\": \"tls\""), "upstream_tls", "\"t\"");
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"upstream_tls\": \"t\", \"scheme\": \"tcp\""), "conflicting-fields",
	             "/upstream_tls");
}
END_TEST

START_TEST(proxy_protocol_out)
{
	static const char *const spellings[][2] = {{"\"v1\"", "\"v1\""}, {"1", "\"v1\""},   {"\"V2\"", "\"v2\""},
	                                           {"2", "\"v2\""},      {"\"off\"", NULL}};
	static const char *const bad[] = {"\"v3\"", "\"\"", "\"1\""};
	char text[128];

	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		snprintf(text, sizeof(text), UPSTREAM(", \"send_proxy_protocol\": %s"), spellings[i][0]);
		expect_answer(KIND_UPSTREAM, text, "send_proxy_protocol", spellings[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), UPSTREAM(", \"send_proxy_protocol\": %s"), bad[i]);
		expect_error(KIND_UPSTREAM, text, "invalid-value", "/send_proxy_protocol");
	}
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"send_proxy_protocol\": 3"), "out-of-range", "/send_proxy_protocol");
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"send_proxy_protocol\": 0"), "out-of-range", "/send_proxy_protocol");
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"send_proxy_protocol\": true"), "wrong-type", "/send_proxy_protocol");
}
END_TEST

START_TEST(passive_health)
{
	expect_answer(KIND_UPSTREAM, UPSTREAM(", \"max_fails\": 0"), "max_fails", "0");
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"max_fails\": 101"), "out-of-range", "/max_fails");
	expect_answer(KIND_UPSTREAM, UPSTREAM(", \"fail_timeout\": 0.5"), "fail_timeout", "0.5");
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"fail_timeout\": 0"), "out-of-range", "/fail_timeout");
	expect_error(KIND_UPSTREAM, UPSTREAM(", \"fail_timeout\": \"10s\""), "wrong-type", "/fail_timeout");
}
END_TEST

static void expect_advice(enum kind kind, const char *text, const char *pointer)
{
	struct outcome outcome = parse_text(kind, "id", text);

	ck_assert_uint_eq(outcome.findings.errors, 1);
	ck_assert_msg(has_finding(&outcome.findings, FINDING_ERROR, "unknown-field", pointer), "%s", text);
	ck_assert_ptr_nonnull(strstr(outcome.findings.items[0].detail, "type \"client\""));
	ck_assert_ptr_nonnull(strstr(outcome.findings.items[0].detail, "client_ssl"));
	ck_assert_ptr_null(strstr(outcome.findings.items[0].detail, "SECRET"));
	outcome_deinit(&outcome);
}

START_TEST(certificates_never_stand_inline)
{
	static const char *const fields[] = {"client_cert", "client_key", "client_cert_id", "cert", "key"};
	char text[160], pointer[32];

	expect_advice(KIND_UPSTREAM, UPSTREAM(", \"tls\": {\"client_cert\": \"SECRET\", \"client_key\": \"SECRET\"}"), "/tls");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		snprintf(pointer, sizeof(pointer), "/%s", fields[i]);
		snprintf(text, sizeof(text), UPSTREAM(", \"%s\": \"SECRET\""), fields[i]);
		expect_advice(KIND_UPSTREAM, text, pointer);
		snprintf(text, sizeof(text), "{\"%s\": \"SECRET\"}", fields[i]);
		expect_advice(KIND_UPSTREAM_TLS, text, pointer);
	}
}
END_TEST

/* ---- upstream_tls ---- */

static void expect_warning(const char *text, const char *code, const char *pointer)
{
	struct outcome outcome = expect_fine(KIND_UPSTREAM_TLS, text);

	if (!has_finding(&outcome.findings, FINDING_WARNING, code, pointer)) {
		print_findings(&outcome.findings);
		ck_abort_msg("%s: no warning %s at %s", text, code, pointer);
	}
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
}

static void expect_silence(const char *text)
{
	struct outcome outcome = expect_fine(KIND_UPSTREAM_TLS, text);

	print_findings(&outcome.findings);
	ck_assert_msg(outcome.findings.count == 0, "%s", text);
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
}

START_TEST(nothing_said_is_strict)
{
	struct outcome outcome = expect_fine(KIND_UPSTREAM_TLS, "{}");

	ck_assert_uint_eq(outcome.resource->body_len, 0);
	ck_assert_uint_eq(outcome.findings.count, 0);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(spellings_of_disabled)
{
	static const char *const words[] = {"insecure", "insecureSkipVerify", "allow_insecure_connections"};
	char text[128], pointer[48];

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		snprintf(pointer, sizeof(pointer), "/%s", words[i]);
		snprintf(text, sizeof(text), "{\"%s\": true}", words[i]);
		expect_answer(KIND_UPSTREAM_TLS, text, "verify", "\"DISABLED\"");
		expect_answer(KIND_UPSTREAM_TLS, text, words[i], NULL);
		expect_warning(text, "origin-not-verified", "/verify");
		snprintf(text, sizeof(text), "{\"%s\": true, \"verify\": \"disabled\"}", words[i]);
		expect_warning(text, "origin-not-verified", "/verify");
		snprintf(text, sizeof(text), "{\"%s\": true, \"verify\": \"PERMISSIVE\"}", words[i]);
		expect_error(KIND_UPSTREAM_TLS, text, "conflicting-fields", pointer);
		snprintf(text, sizeof(text), "{\"%s\": false}", words[i]);
		expect_answer(KIND_UPSTREAM_TLS, text, "verify", NULL);
		snprintf(text, sizeof(text), "{\"%s\": false, \"verify\": \"PERMISSIVE\"}", words[i]);
		expect_answer(KIND_UPSTREAM_TLS, text, "verify", "\"PERMISSIVE\"");
		snprintf(text, sizeof(text), "{\"%s\": false, \"verify\": \"DISABLED\"}", words[i]);
		expect_error(KIND_UPSTREAM_TLS, text, "conflicting-fields", pointer);
		snprintf(text, sizeof(text), "{\"%s\": \"true\"}", words[i]);
		expect_error(KIND_UPSTREAM_TLS, text, "wrong-type", pointer);
	}
	expect_error(KIND_UPSTREAM_TLS, "{\"insecure\": true, \"insecureSkipVerify\": false}", "conflicting-fields", "/insecureSkipVerify");
	expect_error(KIND_UPSTREAM_TLS, "{\"verify\": \"off\"}", "invalid-value", "/verify");
	expect_error(KIND_UPSTREAM_TLS, "{\"verify\": false}", "wrong-type", "/verify");
}
END_TEST

/* What is never looked at, where leaving it out in silence would be laxer than what was written. */
START_TEST(checks_that_would_not_be_made_are_refused)
{
	static const struct {
		const char *text, *pointer;
	} rows[] = {
		{"{\"insecure\": true, \"pins\": [\"" HEX64 "\"]}", "/pins"},
		{"{\"properties\": \"SIGNATURE\", \"allow\": [{\"dns\": \"a.example\"}]}", "/allow"},
		{"{\"properties\": \"SIGNATURE\", \"verify_name\": \"a.example\"}", "/verify_name"},
		{"{\"properties\": \"SIGNATURE\", \"verify_name_policy\": \"host\"}", "/verify_name_policy"},
		{"{\"allow\": [{\"dns\": \"a.example\"}], \"verify_name\": \"a.example\"}", "/allow"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_error(KIND_UPSTREAM_TLS, rows[i].text, "conflicting-fields", rows[i].pointer);
}
END_TEST

/* DISABLED for an hour: the rest may stay. */
START_TEST(disabled_says_what_has_no_effect)
{
	static const char text[] = "{\"verify\": \"DISABLED\", \"properties\": \"NAME\", \"stale_crls\": \"accept\", "
	                           "\"allow\": [{\"dns\": \"a.example\"}]}";
	static const char *const pointers[] = {"/properties", "/stale_crls", "/allow"};

	for (size_t i = 0; i < ARRAY_LEN(pointers); i++)
		expect_warning(text, "no-effect", pointers[i]);
	expect_warning("{\"insecure\": true, \"verify_name\": \"a.example\"}", "no-effect", "/verify_name");
}
END_TEST

/* {"ca": PEM, FIELDS}; malloc'd. */
static char *with_ca(const char *fields)
{
	json_t *value = json_string(ca->pem);
	char *quoted = json_dumps(value, JSON_ENCODE_ANY), *text = NULL;

	ck_assert_int_gt(asprintf(&text, "{\"ca\": %s%s}", quoted, fields), 0);
	free(quoted);
	json_decref(value);
	return text;
}

START_TEST(trust)
{
	char *text = with_ca("");

	expect_silence(text);
	free(text);
	text = with_ca(", \"system_ca\": true");
	expect_silence(text);
	free(text);
	text = with_ca(", \"ca_bundle\": \"b\"");
	expect_error(KIND_UPSTREAM_TLS, text, "conflicting-fields", "/ca");
	free(text);
	text = with_ca(", \"verify\": \"DISABLED\"");
	expect_warning(text, "ca-unused", "/ca");
	free(text);
	text = with_ca(", \"properties\": \"NAME\", \"pins\": [\"" HEX64 "\"]");
	expect_warning(text, "ca-unused", "/ca");
	free(text);
	expect_warning("{\"ca_bundle\": \"b\", \"insecure\": true}", "ca-unused", "/ca_bundle");
	expect_warning("{\"system_ca\": true, \"insecure\": true}", "ca-unused", "/system_ca");
	expect_error(KIND_UPSTREAM_TLS, "{\"system_ca\": false}", "no-trust", "/system_ca");
	expect_error(KIND_UPSTREAM_TLS, "{\"system_ca\": false, \"pins\": [\"" HEX64 "\"]}", "no-trust", "/system_ca");
	expect_error(KIND_UPSTREAM_TLS, "{\"system_ca\": false, \"properties\": \"SIGNATURE\"}", "no-trust", "/system_ca");
	expect_warning("{\"system_ca\": false, \"verify\": \"PERMISSIVE\"}", "no-trust", "/system_ca");
	expect_silence("{\"system_ca\": false, \"properties\": \"NAME\", \"pins\": [\"" HEX64 "\"]}");
	expect_silence("{\"system_ca\": false, \"ca_bundle\": \"b\"}");
	expect_warning("{\"properties\": \"NAME\"}", "origin-not-verified", "/properties");
	expect_error(KIND_UPSTREAM_TLS, "{\"ca\": \"nonsense\"}", "invalid-pem", "/ca");
	expect_error(KIND_UPSTREAM_TLS, "{\"depth\": 101}", "out-of-range", "/depth");
}
END_TEST

START_TEST(names_sent_and_verified)
{
	expect_answer(KIND_UPSTREAM_TLS, "{\"server_name\": \"A.example.\"}", "server_name", "\"a.example\"");
	expect_answer(KIND_UPSTREAM_TLS, "{\"server_name\": \"a.example\", \"sni_policy\": \"name\"}", "sni_policy", NULL);
	expect_answer(KIND_UPSTREAM_TLS, "{\"sni_policy\": \"inbound\"}", "sni_policy", "\"inbound\"");
	expect_answer(KIND_UPSTREAM_TLS, "{\"sni_policy\": \"host\"}", "sni_policy", "\"host\"");
	expect_error(KIND_UPSTREAM_TLS, "{\"sni_policy\": \"name\"}", "missing-field", "/server_name");
	expect_error(KIND_UPSTREAM_TLS, "{\"sni_policy\": \"sni\"}", "invalid-value", "/sni_policy");
	expect_error(KIND_UPSTREAM_TLS, "{\"sni_policy\": \"host\", \"server_name\": \"a.example\"}", "conflicting-fields",
	             "/server_name");
	expect_error(KIND_UPSTREAM_TLS, "{\"server_name\": \"127.0.0.1\"}", "invalid-value", "/server_name");
	expect_error(KIND_UPSTREAM_TLS, "{\"server_name\": \"*.example\"}", "invalid-value", "/server_name");
	expect_answer(KIND_UPSTREAM_TLS, "{\"verify_name\": \"A.example\"}", "verify_name", "\"a.example\"");
	expect_answer(KIND_UPSTREAM_TLS, "{\"verify_name\": \"192.0.2.1\"}", "verify_name", "\"192.0.2.1\"");
	expect_answer(KIND_UPSTREAM_TLS, "{\"verify_name\": \"a.example\"}", "verify_name_policy", NULL);
	expect_answer(KIND_UPSTREAM_TLS, "{\"verify_name_policy\": \"host\"}", "verify_name_policy", "\"host\"");
	expect_answer(KIND_UPSTREAM_TLS, "{\"verify_name_policy\": \"inbound\"}", "verify_name_policy", "\"inbound\"");
	expect_answer(KIND_UPSTREAM_TLS, "{\"verify_name_policy\": \"sni\"}", "verify_name_policy", NULL);
	expect_error(KIND_UPSTREAM_TLS, "{\"verify_name_policy\": \"name\"}", "missing-field", "/verify_name");
	expect_error(KIND_UPSTREAM_TLS, "{\"verify_name_policy\": \"sni\", \"verify_name\": \"a.example\"}",
	             "conflicting-fields", "/verify_name");
	expect_error(KIND_UPSTREAM_TLS, "{\"verify_name_policy\": \"host\", \"verify_name\": \"a.example\"}",
	             "conflicting-fields", "/verify_name");
}
END_TEST

START_TEST(rules_and_pins)
{
	expect_answer(KIND_UPSTREAM_TLS,
	              "{\"allow\": [{\"dns\": \"A.example\", \"ip\": \"10.0.0.0/8\"}, {\"uri\": [\"spiffe://a/b\"]}, {\"cn\": \"x\"}]}",
	              "allow",
	              "[{\"dns\":[\"a.example\"],\"ip\":[\"10.0.0.0/8\"]},{\"uri\":[\"spiffe://a/b\"]},{\"cn\":[\"x\"]}]");
	expect_error(KIND_UPSTREAM_TLS, "{\"allow\": []}", "out-of-range", "/allow");
	expect_error(KIND_UPSTREAM_TLS, "{\"allow\": [{}]}", "missing-field", "/allow/0");
	expect_error(KIND_UPSTREAM_TLS, "{\"allow\": [{\"dns\": []}]}", "out-of-range", "/allow/0/dns");
	expect_error(KIND_UPSTREAM_TLS, "{\"allow\": [{\"dns\": \"a.example\", \"san\": 1}]}", "unknown-field", "/allow/0/san");
	expect_error(KIND_UPSTREAM_TLS, "{\"allow\": {\"dns\": \"a.example\"}}", "wrong-type", "/allow");
}
END_TEST

START_TEST(pins_have_one_form)
{
	static const char *const spellings[] = {
		HEX64,
		"00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
		"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
		"sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=",
	};
	static const char *const bad[] = {"", "00", HEX64 "00", "g0", "sha256//", "sha256//AAAA", ":" HEX64, HEX64 ":",
	                                  "sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v80",
	                                  "sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7==="};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		snprintf(text, sizeof(text), "{\"pins\": [\"%s\"]}", spellings[i]);
		expect_answer(KIND_UPSTREAM_TLS, text, "pins", "[\"" HEX64 "\"]");
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "{\"pins\": [\"%s\"]}", bad[i]);
		expect_error(KIND_UPSTREAM_TLS, text, "invalid-value", "/pins/0");
	}
	expect_error(KIND_UPSTREAM_TLS, "{\"pins\": []}", "out-of-range", "/pins");
	snprintf(text, sizeof(text), "{\"pins\": [\"%s\", \"%s\"]}", HEX64, HEX64);
	expect_error(KIND_UPSTREAM_TLS, text, "duplicate", "/pins/1");
}
END_TEST

START_TEST(what_is_negotiated)
{
	expect_answer(KIND_UPSTREAM_TLS, "{}", "min_version", NULL);
	expect_answer(KIND_UPSTREAM_TLS, "{\"min_version\": \"TLS13\"}", "min_version", "\"TLSv1.3\"");
	expect_error(KIND_UPSTREAM_TLS, "{\"max_version\": \"TLSv1.1\"}", "impossible-combination", "/min_version");
	expect_warning("{\"min_version\": \"1.0\", \"cipher_suites\": [\"ECDHE-RSA-AES128-SHA\", 4865]}", "old-version",
	               "/min_version");
	expect_error(KIND_UPSTREAM_TLS, "{\"cipher_suites\": [\"TLS_AES_128_GCM_SHA256\"]}", "impossible-combination",
	             "/cipher_suites");
	expect_error(KIND_UPSTREAM_TLS, "{\"cipher_suites\": [\"RC4-SHA\"]}", "unsupported-cipher-suite", "/cipher_suites/0");
	expect_answer(KIND_UPSTREAM_TLS, "{\"curve_preferences\": [\"CurveP256\", 29]}", "curve_preferences",
	              "[\"secp256r1\",\"x25519\"]");
	expect_answer(KIND_UPSTREAM_TLS, "{\"alpn_protocols\": [\"h2\", \"http/1.1\"]}", "alpn_protocols",
	              "[\"h2\",\"http/1.1\"]");
	expect_error(KIND_UPSTREAM_TLS, "{\"alpn_protocols\": [\"\"]}", "out-of-range", "/alpn_protocols/0");
	expect_answer(KIND_UPSTREAM_TLS, "{\"handshake_timeout\": 2.5}", "handshake_timeout", "2.5");
	expect_answer(KIND_UPSTREAM_TLS, "{\"session_reuse\": false}", "session_reuse", "false");
	expect_answer(KIND_UPSTREAM_TLS, "{\"stale_crls\": \"accept\"}", "stale_crls", "\"accept\"");
	expect_answer(KIND_UPSTREAM_TLS, "{\"stale_crls\": \"refuse\"}", "stale_crls", "\"refuse\"");
	expect_error(KIND_UPSTREAM_TLS, "{\"stale_crls\": true}", "wrong-type", "/stale_crls");
}
END_TEST

START_TEST(the_default_reaches_everybody)
{
	struct outcome outcome = parse_text(KIND_UPSTREAM_TLS, "default", "{\"selector\": {\"a\": \"1\"}}");

	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "default-has-selector", "/selector"));
	outcome_deinit(&outcome);
	outcome = parse_text(KIND_UPSTREAM_TLS, "default", "{\"status\": 0}");
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "default-is-disabled", "/status"));
	outcome_deinit(&outcome);
}
END_TEST

/* A body that no API made. */
static void expect_bad_body(const Tlsplane__UpstreamTls *tls, const char *expected)
{
	char pointer[256] = "";
	struct error err = ERROR_NULL;

	ck_assert_int_eq(body_check(KIND_UPSTREAM_TLS, &tls->base, pointer, &err), E_INVALID);
	ck_assert_str_eq(pointer, expected);
}

START_TEST(bodies_are_checked_again)
{
	Tlsplane__UpstreamTls tls = TLSPLANE__UPSTREAM_TLS__INIT;
	Tlsplane__PeerRule rule = TLSPLANE__PEER_RULE__INIT, *rules[] = {&rule};
	ProtobufCBinaryData pin = {31, (uint8_t *)HEX64};
	char upper[] = "A.example", *dns[] = {upper};

	tls.pins = &pin;
	tls.n_pins = 1;
	expect_bad_body(&tls, "/pins/0");
	tls.n_pins = 0;
	tls.allow = rules;
	tls.n_allow = 1;
	expect_bad_body(&tls, "/allow/0");
	rule.dns = dns;
	rule.n_dns = 1;
	expect_bad_body(&tls, "/allow/0/dns/0");
	tls.n_allow = 0;
	tls.server_name = upper;
	expect_bad_body(&tls, "/server_name");
	tls.server_name = NULL;
	tls.has_min_version = true;
	tls.min_version = 0x0300;
	expect_bad_body(&tls, "/min_version");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {schemes, proxy_protocol_out, passive_health, certificates_never_stand_inline,
	                              nothing_said_is_strict, spellings_of_disabled,
	                              checks_that_would_not_be_made_are_refused,
	                              disabled_says_what_has_no_effect, trust, names_sent_and_verified, rules_and_pins,
	                              pins_have_one_form, what_is_negotiated, the_default_reaches_everybody,
	                              bodies_are_checked_again};
	int failed;

	ca = pki_make(&(struct pki_spec){.name = "CA", .is_ca = true});
	failed = unit_run("model/upstreams", tests, ARRAY_LEN(tests));
	pki_free(ca);
	return failed;
}
