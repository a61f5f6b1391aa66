/* SPDX-License-Identifier: Apache-2.0 */
/* What client_auth demands of certificates beyond their chain: rules, pins, deny lists, and the modes in which each is judged. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/client_mode.h"
#include "model/body.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define COLONS                                                                                                         \
	"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"
#define BASE64 "sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8="

/* A document with one field of client_auth; owned by the next call. */
static const char *with(const char *verify, const char *field)
{
	static char text[16384];

	snprintf(text, sizeof(text), "{\"client_auth\": {\"verify\": \"%s\", %s%s}}", verify,
	         strcmp(verify, "require") == 0 || strcmp(verify, "verify_if_given") == 0 ? "\"ca_bundle\": \"b\", " : "", field);
	return text;
}

static void answers(const char *field, const char *answer)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "{\"verify\":\"require\",\"ca_bundle\":\"b\",%s}", answer);
	expect_answer(KIND_TLS_OPTIONS, with("require", field), "client_auth", whole);
}

static void refuses(const char *field, const char *code, const char *pointer)
{
	expect_error(KIND_TLS_OPTIONS, with("require", field), code, pointer);
}

START_TEST(allow_rules)
{
	answers("\"allow\": [{\"dns\": \"A.Example.\"}]", "\"allow\":[{\"dns\":[\"a.example\"]}]");
	answers("\"allow\": [{\"dns\": [\"a\", \"*.b\"], \"uri\": \"spiffe://td/*\"}, {\"email\": \"*@B\", \"cn\": \"x y\"}]",
	        "\"allow\":[{\"dns\":[\"a\",\"*.b\"],\"uri\":[\"spiffe://td/*\"]},{\"email\":[\"*@b\"],\"cn\":[\"x y\"]}]");
	answers("\"allow\": [{\"ip\": [\"10.0.0.0/8\", \"::1\"]}]", "\"allow\":[{\"ip\":[\"10.0.0.0/8\",\"::1\"]}]");
	answers("\"allow\": [{\"dn\": \"/O=o/CN=n\"}]", "\"allow\":[{\"dn\":[\"CN=n,O=o\"]}]");
	refuses("\"allow\": []", "out-of-range", "/client_auth/allow");
	refuses("\"allow\": {}", "wrong-type", "/client_auth/allow");
	refuses("\"allow\": [{}]", "missing-field", "/client_auth/allow/0");
	refuses("\"allow\": [{\"dns\": []}]", "out-of-range", "/client_auth/allow/0/dns");
	refuses("\"allow\": [{\"san\": \"a\"}]", "unknown-field", "/client_auth/allow/0/san");
	refuses("\"allow\": [{\"dns\": \"a\"}, {\"dns\": [\"b\", \"*\"]}]", "invalid-value", "/client_auth/allow/1/dns/1");
	refuses("\"allow\": [{\"uri\": \"x\"}]", "invalid-value", "/client_auth/allow/0/uri");
	refuses("\"allow\": [{\"email\": \"x\"}]", "invalid-value", "/client_auth/allow/0/email");
	refuses("\"allow\": [{\"dn\": \"x\"}]", "invalid-value", "/client_auth/allow/0/dn");
	refuses("\"allow\": [{\"cn\": \"\"}]", "invalid-value", "/client_auth/allow/0/cn");
	refuses("\"allow\": [{\"ip\": \"10.0.0.1/8\"}]", "invalid-value", "/client_auth/allow/0/ip");
	refuses("\"allow\": [{\"dns\": 1}]", "wrong-type", "/client_auth/allow/0/dns");
}
END_TEST

START_TEST(pins_and_deny_lists)
{
	answers("\"pins\": [\"" COLONS "\"]", "\"pins\":[\"" HEX "\"]");
	answers("\"pins\": [\"" BASE64 "\"]", "\"pins\":[\"" HEX "\"]");
	answers("\"deny_spki\": [\"" HEX "\"]", "\"deny_spki\":[\"" HEX "\"]");
	answers("\"deny_serials\": [\"00:0A:bc\", \"f\", \"0100\"]", "\"deny_serials\":[\"0abc\",\"0f\",\"0100\"]");
	refuses("\"pins\": []", "out-of-range", "/client_auth/pins");
	refuses("\"pins\": [\"" HEX "\", \"" BASE64 "\"]", "duplicate", "/client_auth/pins/1");
	refuses("\"pins\": [\"" HEX "00\"]", "invalid-value", "/client_auth/pins/0");
	refuses("\"pins\": [\"sha1//ABEiM0RVZneImaq7zN3u/wARIjM=\"]", "invalid-value", "/client_auth/pins/0");
	refuses("\"pins\": [\"sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v\"]", "invalid-value", "/client_auth/pins/0");
	refuses("\"deny_spki\": [\"" HEX "\", \"" COLONS "\"]", "duplicate", "/client_auth/deny_spki/1");
	refuses("\"deny_serials\": [\"0\"]", "invalid-value", "/client_auth/deny_serials/0");
	refuses("\"deny_serials\": [\"\"]", "invalid-value", "/client_auth/deny_serials/0");
	refuses("\"deny_serials\": [\"0x12\"]", "invalid-value", "/client_auth/deny_serials/0");
	refuses("\"deny_serials\": [\"112233445566778899aabbccddeeff112233445566\"]", "invalid-value", "/client_auth/deny_serials/0");
	refuses("\"deny_serials\": [\"1\", \"01\"]", "duplicate", "/client_auth/deny_serials/1");
	refuses("\"deny_serials\": [17]", "wrong-type", "/client_auth/deny_serials/0");
}
END_TEST

START_TEST(switches)
{
	answers("\"stale_crls\": \"accept\"", "\"stale_crls\":\"accept\"");
	answers("\"stale_crls\": \"refuse\"", "\"stale_crls\":\"refuse\"");
	answers("\"send_ca_names\": false", "\"send_ca_names\":false");
	answers("\"map_identity\": true", "\"map_identity\":true");
	answers("\"on_tighten\": \"keep\"", "\"on_tighten\":\"keep\"");
	answers("\"on_tighten\": \"close\"", "\"on_tighten\":\"close\"");
	refuses("\"stale_crls\": true", "wrong-type", "/client_auth/stale_crls");
	refuses("\"stale_crls\": \"ignore\"", "invalid-value", "/client_auth/stale_crls");
	refuses("\"on_tighten\": \"drop\"", "invalid-value", "/client_auth/on_tighten");
	refuses("\"send_ca_names\": 1", "wrong-type", "/client_auth/send_ca_names");
}
END_TEST

START_TEST(verify_and_map)
{
	expect_answer(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"verify_and_map\", \"ca_bundle\": \"b\"}}", "client_auth",
	              "{\"verify\":\"require\",\"ca_bundle\":\"b\",\"map_identity\":true}");
	expect_answer(KIND_TLS_OPTIONS,
	              "{\"client_auth\": {\"verify\": \"verify_and_map\", \"map_identity\": true, \"ca_bundle\": \"b\"}}",
	              "client_auth", "{\"verify\":\"require\",\"ca_bundle\":\"b\",\"map_identity\":true}");
	expect_error(KIND_TLS_OPTIONS,
	             "{\"client_auth\": {\"verify\": \"verify_and_map\", \"map_identity\": false, \"ca_bundle\": \"b\"}}",
	             "conflicting-fields", "/client_auth/map_identity");
}
END_TEST

/* In which mode may a condition stand? n: none, r: request, a: require_any, g: verify_if_given, v: require. */
START_TEST(conditions_need_their_mode)
{
	static const char *const modes[] = {"none", "request", "require_any", "verify_if_given", "require"};
	static const struct {
		const char *field, *pointer;
		bool fine[5];
	} cases[] = {
		{"\"allow\": [{\"dns\": \"a\"}]", "/client_auth/allow", {false, false, false, true, true}},
		{"\"map_identity\": true", "/client_auth/map_identity", {false, false, false, true, true}},
		{"\"map_identity\": false", "", {true, true, true, true, true}},
		{"\"pins\": [\"" HEX "\"]", "/client_auth/pins", {false, false, true, true, true}},
		{"\"deny_spki\": [\"" HEX "\"]", "/client_auth/deny_spki", {false, true, true, true, true}},
		{"\"deny_serials\": [\"1\"]", "/client_auth/deny_serials", {false, true, true, true, true}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t k = 0; k < ARRAY_LEN(modes); k++) {
			if (cases[i].fine[k]) {
				struct outcome outcome = expect_fine(KIND_TLS_OPTIONS, with(modes[k], cases[i].field));

				outcome_deinit(&outcome);
			} else {
				expect_error(KIND_TLS_OPTIONS, with(modes[k], cases[i].field), "conflicting-fields", cases[i].pointer);
			}
		}
	}
}
END_TEST

START_TEST(anchors_without_use_are_warned_about)
{
	struct outcome outcome =
		expect_fine(KIND_TLS_OPTIONS, "{\"client_auth\": {\"verify\": \"require_any\", \"ca_bundle\": \"b\"}}");

	ck_assert(has_finding(&outcome.findings, FINDING_WARNING, "ca-unused", "/client_auth/ca_bundle"));
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(demands_are_told)
{
	static const struct {
		const char *mode;
		unsigned bits;
	} cases[] = {
		{"none", 0},
		{"request", CLIENT_ASKED},
		{"require_any", CLIENT_ASKED | CLIENT_DEMANDED},
		{"verify_if_given", CLIENT_ASKED | CLIENT_VERIFIED},
		{"require", CLIENT_ASKED | CLIENT_DEMANDED | CLIENT_VERIFIED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct outcome outcome = expect_fine(KIND_TLS_OPTIONS, with(cases[i].mode, "\"depth\": 1"));

		ck_assert_uint_eq(outcome.resource->client_bits, cases[i].bits);
		outcome_deinit(&outcome);
	}
}
END_TEST

/* A body that no JSON made: the agent's last line. */
START_TEST(bodies_are_judged_alike)
{
	Tlsplane__PeerRule empty = TLSPLANE__PEER_RULE__INIT, loose = TLSPLANE__PEER_RULE__INIT, *rules[] = {&empty};
	Tlsplane__ClientAuth client = TLSPLANE__CLIENT_AUTH__INIT;
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;
	uint8_t zeros[32] = {0};
	ProtobufCBinaryData pin = {31, zeros}, serial = {2, zeros};
	char pointer[256], upper[] = "A.test", bundle[] = "b", *names[] = {upper};
	struct error err = ERROR_NULL;

	options.min_version = options.max_version = 0x0304;
	options.has_min_version = options.has_max_version = client.has_verify = true;
	options.client_auth = &client;
	client.verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
	client.ca_bundle = bundle;
	ck_assert_int_eq(body_check(KIND_TLS_OPTIONS, &options.base, pointer, &err), 0);
	client.allow = rules;
	client.n_allow = 1;
	ck_assert_int_eq(body_check(KIND_TLS_OPTIONS, &options.base, pointer, &err), E_INVALID);
	ck_assert_str_eq(pointer, "/client_auth/allow/0");
	rules[0] = &loose;
	loose.dns = names;
	loose.n_dns = 1;
	ck_assert_int_eq(body_check(KIND_TLS_OPTIONS, &options.base, pointer, &err), E_INVALID);
	ck_assert_str_eq(pointer, "/client_auth/allow/0/dns/0");
	client.n_allow = 0;
	client.pins = &pin;
	client.n_pins = 1;
	ck_assert_int_eq(body_check(KIND_TLS_OPTIONS, &options.base, pointer, &err), E_INVALID);
	ck_assert_str_eq(pointer, "/client_auth/pins/0");
	client.n_pins = 0;
	client.deny_serials = &serial;
	client.n_deny_serials = 1;
	ck_assert_int_eq(body_check(KIND_TLS_OPTIONS, &options.base, pointer, &err), E_INVALID);
	ck_assert_str_eq(pointer, "/client_auth/deny_serials/0");
}
END_TEST

UNIT_MAIN("model/client", allow_rules, pins_and_deny_lists, switches, verify_and_map, conditions_need_their_mode,
          anchors_without_use_are_warned_about, demands_are_told, bodies_are_judged_alike)
