/* SPDX-License-Identifier: Apache-2.0 */
/* Fields under the names of Traefik, Traffic Server, KrakenD, NATS and APISIX: refused, and the answer says what to write here. */
#include "parse.h"

#include "base/macros.h"

#define UPSTREAM(more) "{\"nodes\": {\"127.0.0.1:80\": 1}, " more "}"
#define LISTENER(more) "{\"bind\": \"127.0.0.1:443\", " more "}"
#define ROUTE(more) "{\"snis\": [\"a.test\"], " more "}"
#define CLIENT_AUTH(more) "{\"client_auth\": {\"verify\": \"request\", " more "}}"

static const struct {
	enum kind kind;
	const char *text, *pointer, *advice;
} rows[] = {
	{KIND_TLS_OPTIONS, "{\"minVersion\": \"VersionTLS12\"}", "/minVersion", "\"min_version\""},
	{KIND_TLS_OPTIONS, "{\"cipherSuites\": []}", "/cipherSuites", "\"cipher_suites\""},
	{KIND_TLS_OPTIONS, "{\"sniStrict\": true}", "/sniStrict", "\"sni_strict\""},
	{KIND_TLS_OPTIONS, "{\"clientAuth\": {\"caFiles\": []}}", "/clientAuth", "\"client_auth\""},
	{KIND_TLS_OPTIONS, "{\"disableSessionTickets\": true}", "/disableSessionTickets", "\"session_tickets\": false"},
	{KIND_TLS_OPTIONS, CLIENT_AUTH("\"caFiles\": [\"a.pem\"]"), "/client_auth/caFiles", "\"ca_bundle\""},
	{KIND_TLS_OPTIONS, CLIENT_AUTH("\"skip_mtls_uri_regex\": [\"/\"]"), "/client_auth/skip_mtls_uri_regex", "name of its own"},
	{KIND_TLS_OPTIONS, "{\"verify_client\": \"STRICT\"}", "/verify_client", "\"client_auth\""},
	{KIND_TLS_OPTIONS, "{\"valid_tls_version_min_in\": \"TLSv1_2\"}", "/valid_tls_version_min_in", "\"min_version\""},
	{KIND_TLS_OPTIONS, "{\"enable_mtls\": true}", "/enable_mtls", "\"client_auth\""},
	{KIND_TLS_OPTIONS, "{\"disable_system_ca_pool\": true}", "/disable_system_ca_pool", "never asked"},
	{KIND_TLS_OPTIONS, "{\"timeout\": 2}", "/timeout", "\"handshake_timeout\""},
	{KIND_TLS_OPTIONS, "{\"verify\": true}", "/verify", "\"client_auth\""},
	{KIND_TLS_OPTIONS, "{\"ca_file\": \"ca.pem\"}", "/ca_file", "\"ca\""},
	{KIND_TLS_OPTIONS, "{\"pinned_certs\": []}", "/pinned_certs", "\"pins\""},
	{KIND_UPSTREAM_TLS, "{\"serverName\": \"a.test\"}", "/serverName", "\"server_name\""},
	{KIND_UPSTREAM_TLS, "{\"rootCAs\": []}", "/rootCAs", "\"ca_bundle\""},
	{KIND_UPSTREAM_TLS, "{\"client_sni_policy\": \"host\"}", "/client_sni_policy", "\"sni_policy\""},
	{KIND_UPSTREAM_TLS, "{\"verify_server_policy\": \"ENFORCED\"}", "/verify_server_policy", "\"verify\""},
	{KIND_UPSTREAM_TLS, "{\"client_certs\": [{}]}", "/client_certs", "\"client\""},
	{KIND_UPSTREAM, UPSTREAM("\"type\": \"roundrobin\""), "/type", "weights"},
	{KIND_UPSTREAM, UPSTREAM("\"timeout\": {}"), "/timeout", "\"connect_timeout\""},
	{KIND_LISTENER, LISTENER("\"tls\": {}"), "/tls", "\"tls_options\""},
	{KIND_LISTENER, LISTENER("\"connection_rate_limit\": 9"), "/connection_rate_limit", "\"handshakes_per_second\""},
	{KIND_ROUTE, ROUTE("\"tunnel_route\": \"a:1\""), "/tunnel_route", "\"passthrough\""},
	{KIND_ROUTE, ROUTE("\"ip_allow\": \"10.0.0.0/8\""), "/ip_allow", "\"allow_clients\""},
	{KIND_ROUTE, ROUTE("\"client_cert\": \"x.pem\""), "/client_cert", "\"upstream_tls\""},
};

START_TEST(words_of_others_are_answered_with_ours)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct outcome outcome = parse_text(rows[i].kind, "id", rows[i].text);

		ck_assert_msg(outcome.findings.errors == 1, "%s: %zu errors", rows[i].text, outcome.findings.errors);
		ck_assert_msg(has_finding(&outcome.findings, FINDING_ERROR, "unknown-field", rows[i].pointer), "%s", rows[i].text);
		ck_assert_msg(strstr(outcome.findings.items[0].detail, rows[i].advice) != NULL, "%s: %s", rows[i].text,
		              outcome.findings.items[0].detail);
		outcome_deinit(&outcome);
	}
}
END_TEST

/* What is told about a field that takes a path never repeats the value, which may be a key by mistake. */
START_TEST(files_are_not_read)
{
	static const char *const words[] = {"certFile", "cert_file", "public_key", "keyFile", "key_file", "private_key"};
	char text[128], pointer[32];

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct outcome outcome;

		snprintf(text, sizeof(text), "{\"%s\": \"SECRET\"}", words[i]);
		snprintf(pointer, sizeof(pointer), "/%s", words[i]);
		outcome = parse_text(KIND_SSL, "id", text);
		ck_assert_msg(has_finding(&outcome.findings, FINDING_ERROR, "unknown-field", pointer), "%s", text);
		for (size_t f = 0; f < outcome.findings.count; f++) {
			ck_assert_ptr_null(strstr(outcome.findings.items[f].detail, "SECRET"));
			if (strcmp(outcome.findings.items[f].pointer, pointer) == 0)
				ck_assert_ptr_nonnull(strstr(outcome.findings.items[f].detail, "PEM text"));
		}
		outcome_deinit(&outcome);
	}
}
END_TEST

/* The list of what is known names our fields alone. */
START_TEST(unknown_words_get_our_list)
{
	struct outcome outcome = parse_text(KIND_TLS_OPTIONS, "id", "{\"nonsense\": 1}");

	ck_assert_uint_eq(outcome.findings.errors, 1);
	ck_assert_ptr_nonnull(strstr(outcome.findings.items[0].detail, "min_version"));
	ck_assert_ptr_null(strstr(outcome.findings.items[0].detail, "minVersion"));
	outcome_deinit(&outcome);
}
END_TEST

UNIT_MAIN("model/spellings", words_of_others_are_answered_with_ours, files_are_not_read, unknown_words_get_our_list)
