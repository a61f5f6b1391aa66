/* SPDX-License-Identifier: Apache-2.0 */
/* The fields that kinds share, and the kinds without certificates: listeners, upstreams, agents, join tokens. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/body.h"
#include "model/selector.h"

#define LISTENER "\"bind\": \"127.0.0.1:443\", \"upstream\": \"u\""
#define UPSTREAM "\"nodes\": {\"127.0.0.1:80\": 1}"

START_TEST(common_fields_come_and_go)
{
	struct outcome outcome =
		expect_fine(KIND_LISTENER, "{" LISTENER ", \"labels\": {\"b\": \"x/y\", \"a\": \"1\"}, \"desc\": \"hello\","
	                               "\"selector\": {\"zone\": \"eu\", \"app\": \"web\"}, \"status\": 0}");
	json_t *document = render(outcome.resource);

	ck_assert_str_eq(outcome.resource->id, "id");
	ck_assert_str_eq(outcome.resource->labels, "{\"a\":\"1\",\"b\":\"x/y\"}");
	ck_assert_str_eq(outcome.resource->desc, "hello");
	ck_assert_str_eq(outcome.resource->selector, "app=web,zone=eu");
	ck_assert(!outcome.resource->enabled);
	ck_assert_str_eq(json_string_value(json_object_get(document, "id")), "id");
	ck_assert_str_eq(json_string_value(json_object_get(document, "uid")), "0000000000000001000000000000000200000003");
	ck_assert_int_eq(json_integer_value(json_object_get(document, "version")), 42);
	ck_assert_int_eq(json_integer_value(json_object_get(document, "create_time")), 100);
	ck_assert_int_eq(json_integer_value(json_object_get(document, "update_time")), 200);
	ck_assert_int_eq(json_integer_value(json_object_get(document, "status")), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "warnings")), 0);
	expect_round_trip(outcome.resource);
	json_decref(document);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(what_the_server_sets_is_ignored)
{
	struct outcome outcome =
		expect_fine(KIND_LISTENER, "{" LISTENER ", \"id\": \"id\", \"uid\": 1, \"version\": null, \"create_time\": 0,"
	                               "\"update_time\": \"\", \"warnings\": [1], \"wait\": {\"state\": \"acked\"}}");

	ck_assert_uint_eq(outcome.findings.count, 0);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(absent_fields_have_defaults)
{
	struct outcome outcome = expect_fine(KIND_LISTENER, "{" LISTENER ", \"labels\": {}}");

	ck_assert_str_eq(outcome.resource->selector, "");
	ck_assert_ptr_null(outcome.resource->labels);
	ck_assert_ptr_null(outcome.resource->desc);
	ck_assert(outcome.resource->enabled);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(common_fields_are_checked)
{
	static const struct {
		const char *fields, *code, *pointer;
	} rows[] = {
		{"\"foo\": 1", "unknown-field", "/foo"},
		{"\"a/b~\": 1", "unknown-field", "/a~1b~0"},
		{"\"sni\": \"a.test\"", "unknown-field", "/sni"},
		{"\"accept_proxy_protocol\": true", "wrong-type", "/accept_proxy_protocol"},
		{"\"labels\": []", "wrong-type", "/labels"},
		{"\"labels\": {\"a\": 1}", "wrong-type", "/labels/a"},
		{"\"labels\": {\"a\": \"\"}", "invalid-value", "/labels/a"},
		{"\"labels\": {\"a\": \"b c\"}", "invalid-value", "/labels/a"},
		{"\"labels\": {\"\": \"b\"}", "invalid-value", "/labels/"},
		{"\"desc\": 1", "wrong-type", "/desc"},
		{"\"desc\": null", "wrong-type", "/desc"},
		{"\"selector\": \"a=b\"", "wrong-type", "/selector"},
		{"\"selector\": {\"a\": true}", "wrong-type", "/selector/a"},
		{"\"selector\": {\"a\": \"b,c\"}", "invalid-value", "/selector"},
		{"\"selector\": {\"a b\": \"c\"}", "invalid-value", "/selector"},
		{"\"status\": 2", "out-of-range", "/status"},
		{"\"status\": true", "wrong-type", "/status"},
		{"\"id\": \"other\"", "id-mismatch", "/id"},
		{"\"id\": 7", "wrong-type", "/id"},
		{"\"id\": \"-\"", "invalid-value", "/id"},
	};
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "{" LISTENER ", %s}", rows[i].fields);
		expect_error(KIND_LISTENER, text, rows[i].code, rows[i].pointer);
	}
}
END_TEST

START_TEST(lengths_of_common_fields)
{
	char word[600], text[2000];

	memset(word, 'a', sizeof(word));
	word[256] = '\0';
	snprintf(text, sizeof(text), "{" LISTENER ", \"desc\": \"%s\", \"labels\": {\"%s\": \"%s\"}}", word, word, word);
	expect_answer(KIND_LISTENER, text, "bind", "\"127.0.0.1:443\"");
	word[256] = 'a';
	word[257] = '\0';
	snprintf(text, sizeof(text), "{" LISTENER ", \"desc\": \"%s\"}", word);
	expect_error(KIND_LISTENER, text, "out-of-range", "/desc");
	snprintf(text, sizeof(text), "{" LISTENER ", \"labels\": {\"a\": \"%s\"}}", word);
	expect_error(KIND_LISTENER, text, "invalid-value", "/labels/a");
}
END_TEST

START_TEST(all_findings_at_once)
{
	expect_errors(KIND_LISTENER,
	              "{\"bind\": \"localhost:1\", \"protocol\": \"udp\", \"max_connections\": 0, \"tls_options\": \"/\","
	              "\"nonsense\": {}, \"status\": 9, \"labels\": 1, \"selector\": 1, \"desc\": 1}",
	              "unknown-field", "/nonsense", 9);
}
END_TEST

START_TEST(the_id_comes_from_path_or_document)
{
	struct outcome outcome = parse_text(KIND_LISTENER, "", "{" LISTENER ", \"id\": \"mine\"}");

	ck_assert_int_eq(outcome.code, 0);
	ck_assert_str_eq(outcome.resource->id, "mine");
	outcome_deinit(&outcome);
	outcome = parse_text(KIND_LISTENER, "", "{" LISTENER "}");
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "missing-field", "/id"));
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(the_default_reaches_everybody)
{
	struct outcome outcome =
		parse_text(KIND_UPSTREAM, "default", "{" UPSTREAM ", \"status\": 0, \"selector\": {\"a\": \"b\"}}");

	ck_assert_uint_eq(outcome.findings.errors, 2);
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "default-has-selector", "/selector"));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "default-is-disabled", "/status"));
	outcome_deinit(&outcome);
	outcome = parse_text(KIND_UPSTREAM, "default", "{" UPSTREAM ", \"status\": 1, \"selector\": {}}");
	ck_assert_int_eq(outcome.code, 0);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(no_object_no_resource)
{
	json_t *array = json_array();
	struct outcome outcome = parse_json(KIND_LISTENER, "id", array);

	ck_assert_int_eq(outcome.code, E_INVALID);
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "wrong-type", ""));
	outcome_deinit(&outcome);
	json_decref(array);
}
END_TEST

START_TEST(findings_never_carry_raw_input)
{
	struct outcome outcome = parse_text(KIND_TLS_OPTIONS, "id",
	                                    "{\"min_version\": \"\\u001b[31m\\r\\n\\\"x\xc3\xbc"
	                                    "0123456789012345678901234567890123456789012345678901234567890123456789\"}");

	for (size_t i = 0; i < outcome.findings.count; i++)
		for (const char *c = outcome.findings.items[i].detail; *c != '\0'; c++)
			ck_assert(*c >= 0x20 && *c < 0x7f);
	ck_assert_ptr_nonnull(strstr(outcome.findings.items[0].detail, "\\x1b[31m\\x0d\\x0a\\x22x"));
	ck_assert_ptr_nonnull(strstr(outcome.findings.items[0].detail, "..."));
	outcome_deinit(&outcome);
}
END_TEST

/* Listeners ----------------------------------------------------------------------------------------------------------
 */

START_TEST(binds_have_one_form)
{
	static const char *const rows[][2] = {
		{"127.0.0.1:443", "127.0.0.1"},
		{"0.0.0.0:443", "0.0.0.0"},
		{"[::]:443", "::"},
		{"[0:0:0:0:0:0:0:1]:443", "::1"},
		{"[2001:DB8::0001]:443", "2001:db8::1"},
		{"[::ffff:127.0.0.1]:443", "::ffff:127.0.0.1"},
	};
	char text[256], answer[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct outcome outcome;

		snprintf(text, sizeof(text), "{\"bind\": \"%s\", \"upstream\": \"u\"}", rows[i][0]);
		outcome = expect_fine(KIND_LISTENER, text);
		ck_assert_str_eq(outcome.resource->host, rows[i][1]);
		ck_assert_uint_eq(outcome.resource->port, 443);
		outcome_deinit(&outcome);
		snprintf(answer, sizeof(answer), strchr(rows[i][1], ':') != NULL ? "\"[%s]:443\"" : "\"%s:443\"", rows[i][1]);
		expect_answer(KIND_LISTENER, text, "bind", answer);
	}
}
END_TEST

START_TEST(binds_that_are_none)
{
	static const char *const binds[] = {"",
	                                    "443",
	                                    ":443",
	                                    "*:443",
	                                    "127.0.0.1",
	                                    "127.0.0.1:",
	                                    "127.0.0.1:0",
	                                    "127.0.0.1:65536",
	                                    "127.0.0.1:-1",
	                                    "127.0.0.1:4 43",
	                                    "localhost:443",
	                                    "::1:443",
	                                    "[::1]",
	                                    "[127.0.0.1]:443",
	                                    "127.1:443",
	                                    "[fe80::1%lo]:443",
	                                    "0127.0.0.1:443",
	                                    "127.0.0.1:443x"};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(binds); i++) {
		snprintf(text, sizeof(text), "{\"bind\": \"%s\", \"upstream\": \"u\"}", binds[i]);
		expect_error(KIND_LISTENER, text, "invalid-value", "/bind");
	}
}
END_TEST

START_TEST(listener_fields)
{
	struct outcome outcome =
		expect_fine(KIND_LISTENER, "{\"bind\": \"[::]:8443\", \"upstream\": \"up\", \"tls_options\": \"krakend\","
	                               "\"max_connections\": 1000000, \"protocol\": \"tcp\"}");

	ck_assert_uint_eq(outcome.resource->refs_len, 2);
	ck_assert_int_eq(outcome.resource->refs[0].kind, KIND_UPSTREAM);
	ck_assert_str_eq(outcome.resource->refs[0].id, "up");
	ck_assert_str_eq(outcome.resource->refs[0].pointer, "/upstream");
	ck_assert_int_eq(outcome.resource->refs[1].kind, KIND_TLS_OPTIONS);
	ck_assert_str_eq(outcome.resource->refs[1].pointer, "/tls_options");
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
	expect_answer(KIND_LISTENER, "{" LISTENER "}", "protocol", "\"tcp\"");
	expect_answer(KIND_LISTENER, "{" LISTENER "}", "max_connections", NULL);
	expect_error(KIND_LISTENER, "{" LISTENER ", \"protocol\": \"http\"}", "invalid-value", "/protocol");
	expect_error(KIND_LISTENER, "{" LISTENER ", \"max_connections\": 1000001}", "out-of-range", "/max_connections");
	expect_error(KIND_LISTENER, "{" LISTENER ", \"max_connections\": 1.5}", "wrong-type", "/max_connections");
	expect_error(KIND_LISTENER, "{\"upstream\": \"u\"}", "missing-field", "/bind");
}
END_TEST

/* Upstreams ----------------------------------------------------------------------------------------------------------
 */

START_TEST(nodes_in_both_forms)
{
	expect_answer(KIND_UPSTREAM, "{\"nodes\": {\"B.test:80\": 1, \"10.0.0.1:81\": 0, \"[::0001]:82\": 1000}}", "nodes",
	              "{\"b.test:80\":1,\"10.0.0.1:81\":0,\"[::1]:82\":1000}");
	expect_answer(KIND_UPSTREAM,
	              "{\"nodes\": [{\"host\": \"B.test.\", \"port\": 80, \"weight\": 1}, {\"host\": \"::1\", \"port\": 1, "
	              "\"weight\": 2}]}",
	              "nodes", "{\"b.test:80\":1,\"[::1]:1\":2}");
	expect_answer(KIND_UPSTREAM,
	              "{\"nodes\": {\"b\xc3\xbc"
	              "cher.test:80\": 1}}",
	              "nodes", "{\"xn--bcher-kva.test:80\":1}");
	expect_answer(KIND_UPSTREAM, "{\"nodes\": {\"my_service:80\": 1}}", "nodes", "{\"my_service:80\":1}");
}
END_TEST

START_TEST(nodes_that_are_none)
{
	static const struct {
		const char *nodes, *code, *pointer;
	} rows[] = {
		{"{}", "out-of-range", "/nodes"},
		{"[]", "out-of-range", "/nodes"},
		{"\"a:1\"", "wrong-type", "/nodes"},
		{"{\"a.test\": 1}", "invalid-value", "/nodes/a.test"},
		{"{\"a.test:0\": 1}", "invalid-value", "/nodes/a.test:0"},
		{"{\"*.test:80\": 1}", "invalid-value", "/nodes/*.test:80"},
		{"{\"http://a.test:80\": 1}", "invalid-value", "/nodes/http:~1~1a.test:80"},
		{"{\"127.1:80\": 1}", "invalid-value", "/nodes/127.1:80"},
		{"{\"a.test:80\": 1001}", "out-of-range", "/nodes/a.test:80"},
		{"{\"a.test:80\": -1}", "out-of-range", "/nodes/a.test:80"},
		{"{\"a.test:80\": \"1\"}", "wrong-type", "/nodes/a.test:80"},
		{"{\"a.test:80\": 0}", "out-of-range", "/nodes"},
		{"{\"a.test:80\": 1, \"A.TEST:80\": 1}", "duplicate", "/nodes"},
		{"[{\"host\": \"a\", \"port\": 1}]", "missing-field", "/nodes/0/weight"},
		{"[{\"host\": \"a\", \"port\": 0, \"weight\": 1}]", "out-of-range", "/nodes/0/port"},
		{"[{\"host\": \"a\", \"port\": 1, \"weight\": 1, \"priority\": 1}]", "unknown-field", "/nodes/0/priority"},
		{"[{\"port\": 1, \"weight\": 1}]", "missing-field", "/nodes/0/host"},
		{"[7]", "wrong-type", "/nodes/0"},
	};
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "{\"nodes\": %s}", rows[i].nodes);
		expect_error(KIND_UPSTREAM, text, rows[i].code, rows[i].pointer);
	}
}
END_TEST

START_TEST(nodes_are_counted)
{
	json_t *nodes = json_object(), *document = json_pack("{s:o}", "nodes", nodes);
	struct outcome outcome;
	char key[32];

	for (int i = 0; i < 64; i++) {
		snprintf(key, sizeof(key), "10.0.0.1:%d", i + 1);
		json_object_set_new(nodes, key, json_integer(1));
	}
	outcome = parse_json(KIND_UPSTREAM, "id", document);
	ck_assert_int_eq(outcome.code, 0);
	outcome_deinit(&outcome);
	json_object_set_new(nodes, "10.0.0.2:1", json_integer(1));
	outcome = parse_json(KIND_UPSTREAM, "id", document);
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "out-of-range", "/nodes"));
	outcome_deinit(&outcome);
	json_decref(document);
}
END_TEST

START_TEST(timeouts_are_fractions)
{
	static const char *const good[][2] = {{"5", "5"},     {"0.25", "0.25"}, {"0.001", "0.001"},
	                                      {"300", "300"}, {"1.0004", "1"},  {"0.1", "0.1"}};
	static const char *const bad[] = {"0", "0.0001", "300.001", "-1", "1e308"};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		snprintf(text, sizeof(text), "{" UPSTREAM ", \"connect_timeout\": %s}", good[i][0]);
		expect_answer(KIND_UPSTREAM, text, "connect_timeout", good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "{" UPSTREAM ", \"connect_timeout\": %s}", bad[i]);
		expect_error(KIND_UPSTREAM, text, "out-of-range", "/connect_timeout");
	}
	expect_error(KIND_UPSTREAM, "{" UPSTREAM ", \"connect_timeout\": \"1s\"}", "wrong-type", "/connect_timeout");
}
END_TEST

/* Agents and join tokens ---------------------------------------------------------------------------------------------
 */

START_TEST(agents_take_labels_alone)
{
	struct outcome outcome =
		expect_fine(KIND_AGENT, "{\"labels\": {\"zone\": \"eu\", \"app\": \"web\"}, \"id\": \"id\", \"version\": 3}");
	struct error err = ERROR_NULL;
	char *labels = NULL;

	ck_assert_ptr_null(outcome.resource->body);
	ck_assert_ptr_null(outcome.resource->secret);
	ck_assert_str_eq(outcome.resource->selector, "");
	ck_assert_int_eq(selector_from_labels(outcome.resource->labels, &labels, &err), 0);
	ck_assert_str_eq(labels, "app=web,zone=eu");
	free(labels);
	outcome_deinit(&outcome);
	outcome = expect_fine(KIND_AGENT, "{}");
	ck_assert_ptr_null(outcome.resource->labels);
	outcome_deinit(&outcome);
	expect_error(KIND_AGENT, "{\"labels\": {\"a\": \"x/y\"}}", "invalid-value", "/labels");
	expect_error(KIND_AGENT, "{\"selector\": {}}", "unknown-field", "/selector");
	expect_error(KIND_AGENT, "{\"status\": 0}", "unknown-field", "/status");
	expect_error(KIND_AGENT, "{\"desc\": \"\"}", "unknown-field", "/desc");
}
END_TEST

START_TEST(agents_are_rendered)
{
	Tlsplane__AgentKey key = TLSPLANE__AGENT_KEY__INIT, *keys[] = {&key};
	Tlsplane__Agent agent = TLSPLANE__AGENT__INIT;
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct resource_state state = {
		.object = {.kind = KIND_AGENT, .id = "a1", .selector = ""}, .labels = "{\"a\":\"1\"}", .enabled = true};
	struct resource_limits limits = limits_now();
	uint8_t hash[32] = {0xab};
	struct error err = ERROR_NULL;
	json_t *document;

	key.spki_sha256 = key.certificate_sha256 = (ProtobufCBinaryData){32, hash};
	key.not_after = 86400;
	agent.n_keys = 1;
	agent.keys = keys;
	agent.join_token = (char *)"t1";
	agent.enrolled_at = 1;
	ck_assert_int_eq(body_encode(&agent.base, &body, &err), 0);
	state.object.body = BYTES(body.data, body.len);
	document = resource_render(&state, &limits, &err);
	ck_assert_ptr_nonnull(document);
	ck_assert_str_eq(json_string_value(json_object_get(document, "join_token")), "t1");
	ck_assert_str_eq(json_string_value(json_object_get(document, "enrolled_at")), "1970-01-01T00:00:01Z");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(document, "labels"), "a")), "1");
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(json_object_get(document, "keys"), 0), "not_after")),
		"1970-01-02T00:00:00Z");
	ck_assert_ptr_null(json_object_get(document, "status"));
	json_decref(document);
	document = resource_render_input(&state, &err);
	ck_assert_uint_eq(json_object_size(document), 1);
	json_decref(document);
}
END_TEST

START_TEST(join_tokens_are_read)
{
	struct outcome outcome = expect_fine(
		KIND_JOIN_TOKEN, "{\"ttl\": 60, \"agent_id\": \"a1\", \"labels\": {\"a\": \"b\"}, \"desc\": \"x\"}");

	ck_assert_uint_eq(outcome.resource->ttl, 60);
	ck_assert_str_eq(outcome.resource->agent_id, "a1");
	ck_assert_ptr_null(outcome.resource->body);
	outcome_deinit(&outcome);
	outcome = expect_fine(KIND_JOIN_TOKEN, "{}");
	ck_assert_uint_eq(outcome.resource->ttl, 600);
	ck_assert_ptr_null(outcome.resource->agent_id);
	outcome_deinit(&outcome);
	expect_error(KIND_JOIN_TOKEN, "{\"ttl\": 0}", "out-of-range", "/ttl");
	expect_error(KIND_JOIN_TOKEN, "{\"ttl\": 2592001}", "out-of-range", "/ttl");
	expect_error(KIND_JOIN_TOKEN, "{\"agent_id\": \"a/b\"}", "invalid-value", "/agent_id");
	expect_error(KIND_JOIN_TOKEN, "{\"labels\": {\"a\": \"b=c\"}}", "invalid-value", "/labels");
	expect_error(KIND_JOIN_TOKEN, "{\"secret\": \"x\"}", "unknown-field", "/secret");
	expect_error(KIND_JOIN_TOKEN, "{\"token\": \"x\"}", "unknown-field", "/token");
}
END_TEST

START_TEST(join_tokens_are_rendered_without_secret)
{
	Tlsplane__JoinToken token = TLSPLANE__JOIN_TOKEN__INIT;
	CLEANUP(buf_deinit) struct buf body = BUF_NULL;
	struct resource_state state = {
		.object = {.kind = KIND_JOIN_TOKEN, .id = "t1", .selector = ""}, .desc = "x", .enabled = true};
	struct resource_limits limits = limits_now();
	struct error err = ERROR_NULL;
	uint8_t hash[32] = {0xcd, 0xef};
	json_t *document;
	char *text;

	token.secret_sha256 = (ProtobufCBinaryData){32, hash};
	token.expires_at = 1000000000;
	token.agent_id = (char *)"a1";
	token.used_by = (char *)"a1";
	ck_assert_int_eq(body_encode(&token.base, &body, &err), 0);
	state.object.body = BYTES(body.data, body.len);
	document = resource_render(&state, &limits, &err);
	text = json_dumps(document, 0);
	ck_assert_str_eq(json_string_value(json_object_get(document, "expires_at")), "2001-09-09T01:46:40Z");
	ck_assert_str_eq(json_string_value(json_object_get(document, "used_by")), "a1");
	ck_assert_ptr_null(strstr(text, "secret"));
	ck_assert_ptr_null(strstr(text, "cdef"));
	free(text);
	json_decref(document);
}
END_TEST

START_TEST(damaged_bodies_are_corrupt)
{
	struct resource_state state = {
		.object = {.kind = KIND_LISTENER, .id = "x", .selector = "", .body = BYTES("\xff\xff", 2)}};
	struct resource_limits limits = limits_now();
	struct error err = ERROR_NULL;

	ck_assert_ptr_null(resource_render(&state, &limits, &err));
	ck_assert_int_eq(err.code, E_CORRUPT);
	state.object.kind = (enum kind)9;
	ck_assert_ptr_null(resource_render(&state, &limits, &err));
	ck_assert_int_eq(err.code, E_CORRUPT);
}
END_TEST

UNIT_MAIN("model/resource", common_fields_come_and_go, what_the_server_sets_is_ignored, absent_fields_have_defaults,
          common_fields_are_checked, lengths_of_common_fields, all_findings_at_once, the_id_comes_from_path_or_document,
          the_default_reaches_everybody, no_object_no_resource, findings_never_carry_raw_input, binds_have_one_form,
          binds_that_are_none, listener_fields, nodes_in_both_forms, nodes_that_are_none, nodes_are_counted,
          timeouts_are_fractions, agents_take_labels_alone, agents_are_rendered, join_tokens_are_read,
          join_tokens_are_rendered_without_secret, damaged_bodies_are_corrupt)
