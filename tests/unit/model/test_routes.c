/* SPDX-License-Identifier: Apache-2.0 */
/* Routes, and the fields of listeners that go with them. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/body.h"

#define ROUTE(more) "{\"snis\": [\"a.example\"]" more "}"
#define LISTENER(more) "{\"bind\": \"127.0.0.1:1\"" more "}"

START_TEST(patterns_have_one_form)
{
	expect_answer(KIND_ROUTE, "{\"snis\": [\"WWW.Example.\", \"*.Example\", \"**.example\", \"*\", \"\", \"b\\u00fccher.example\"]}",
	              "snis", "[\"www.example\",\"*.example\",\"**.example\",\"*\",\"\",\"xn--bcher-kva.example\"]");
	expect_error(KIND_ROUTE, "{\"snis\": [\"a.example\", \"A.EXAMPLE.\"]}", "duplicate", "/snis/1");
	expect_error(KIND_ROUTE, "{\"snis\": [\"\", \"*\", \"\"]}", "duplicate", "/snis/2");
	expect_error(KIND_ROUTE, "{\"snis\": [\"**\"]}", "invalid-value", "/snis/0");
	expect_error(KIND_ROUTE, "{\"snis\": [\"a.*.example\"]}", "invalid-value", "/snis/0");
	expect_error(KIND_ROUTE, "{\"snis\": [\"127.0.0.1\"]}", "invalid-value", "/snis/0");
	expect_error(KIND_ROUTE, "{\"snis\": [7]}", "wrong-type", "/snis/0");
	expect_error(KIND_ROUTE, "{\"snis\": []}", "out-of-range", "/snis");
	expect_error(KIND_ROUTE, "{\"snis\": \"a.example\"}", "wrong-type", "/snis");
	expect_error(KIND_ROUTE, "{}", "missing-field", "/snis");
}
END_TEST

START_TEST(patterns_are_what_the_store_finds_it_by)
{
	struct outcome outcome = expect_fine(KIND_ROUTE, "{\"snis\": [\"\", \"**.B.example\"]}");

	ck_assert_uint_eq(outcome.resource->names_len, 2);
	ck_assert_str_eq(outcome.resource->names[0], "");
	ck_assert_str_eq(outcome.resource->names[1], "**.b.example");
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(references_are_told)
{
	static const struct {
		enum kind kind;
		const char *id, *pointer;
	} refs[] = {
		{KIND_LISTENER, "l1", "/listeners/0"}, {KIND_LISTENER, "l2", "/listeners/1"},
		{KIND_TLS_OPTIONS, "o", "/tls_options"}, {KIND_UPSTREAM, "u", "/upstream"},
		{KIND_UPSTREAM_TLS, "t", "/upstream_tls"},
	};
	struct outcome outcome = expect_fine(KIND_ROUTE, ROUTE(", \"listeners\": [\"l1\", \"l2\"], \"tls_options\": \"o\","
	                                                       "\"upstream\": \"u\", \"upstream_tls\": \"t\""));

	ck_assert_uint_eq(outcome.resource->refs_len, ARRAY_LEN(refs));
	for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
		ck_assert_int_eq(outcome.resource->refs[i].kind, refs[i].kind);
		ck_assert_str_eq(outcome.resource->refs[i].id, refs[i].id);
		ck_assert_str_eq(outcome.resource->refs[i].pointer, refs[i].pointer);
	}
	expect_round_trip(outcome.resource);
	outcome_deinit(&outcome);
	expect_error(KIND_ROUTE, ROUTE(", \"listeners\": [\"l\", \"l\"]"), "duplicate", "/listeners/1");
	expect_error(KIND_ROUTE, ROUTE(", \"listeners\": [\"/\"]"), "invalid-value", "/listeners/0");
	expect_error(KIND_ROUTE, ROUTE(", \"listeners\": \"l\""), "wrong-type", "/listeners");
}
END_TEST

/* To one reader an empty list says nobody, to the other everybody. */
START_TEST(empty_lists_that_would_open_are_refused)
{
	expect_error(KIND_ROUTE, ROUTE(", \"listeners\": []"), "out-of-range", "/listeners");
	expect_error(KIND_ROUTE, ROUTE(", \"allow_clients\": []"), "out-of-range", "/allow_clients");
}
END_TEST

START_TEST(modes_and_what_they_use)
{
	static const struct {
		const char *fields, *pointer;
	} bad[] = {
		{", \"mode\": \"passthrough\", \"tls_options\": \"o\"", "/tls_options"},
		{", \"mode\": \"passthrough\", \"upstream_tls\": \"t\"", "/upstream_tls"},
		{", \"mode\": \"reject\", \"upstream\": \"u\"", "/upstream"},
		{", \"mode\": \"reject\", \"tls_options\": \"o\"", "/tls_options"},
		{", \"mode\": \"reject\", \"upstream_tls\": \"t\"", "/upstream_tls"},
		{", \"mode\": \"reject\", \"allow_clients\": [\"10.0.0.0/8\"]", "/allow_clients"},
	};
	char text[256];

	expect_answer(KIND_ROUTE, ROUTE(), "mode", NULL);
	expect_answer(KIND_ROUTE, ROUTE(", \"mode\": \"terminate\""), "mode", "\"terminate\"");
	expect_answer(KIND_ROUTE, ROUTE(", \"mode\": \"PassThrough\", \"upstream\": \"u\""), "mode", "\"passthrough\"");
	expect_answer(KIND_ROUTE, ROUTE(", \"mode\": \"reject\""), "mode", "\"reject\"");
	expect_error(KIND_ROUTE, ROUTE(", \"mode\": \"tunnel\""), "invalid-value", "/mode");
	expect_error(KIND_ROUTE, ROUTE(", \"mode\": 1"), "wrong-type", "/mode");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), ROUTE("%s"), bad[i].fields);
		expect_error(KIND_ROUTE, text, "conflicting-fields", bad[i].pointer);
	}
}
END_TEST

START_TEST(clients_and_priority)
{
	expect_answer(KIND_ROUTE, ROUTE(", \"allow_clients\": [\"10.0.0.0/8\", \"::ffff:192.0.2.1\", \"2001:DB8::/32\"]"),
	              "allow_clients", "[\"10.0.0.0/8\",\"192.0.2.1\",\"2001:db8::/32\"]");
	expect_error(KIND_ROUTE, ROUTE(", \"allow_clients\": [\"10.0.0.1/8\"]"), "invalid-value", "/allow_clients/0");
	expect_error(KIND_ROUTE, ROUTE(", \"allow_clients\": [\"10.0.0.0/8\", \"10.0.0.0/8\"]"), "duplicate", "/allow_clients/1");
	expect_error(KIND_ROUTE, ROUTE(", \"allow_clients\": \"10.0.0.0/8\""), "wrong-type", "/allow_clients");
	expect_answer(KIND_ROUTE, ROUTE(", \"priority\": -7"), "priority", "-7");
	expect_error(KIND_ROUTE, ROUTE(", \"priority\": 3000000000"), "out-of-range", "/priority");
	expect_error(KIND_ROUTE, ROUTE(", \"hosts\": []"), "unknown-field", "/hosts");
}
END_TEST

START_TEST(listeners_may_leave_the_upstream_to_routes)
{
	expect_answer(KIND_LISTENER, LISTENER(), "upstream", NULL);
	expect_answer(KIND_LISTENER, LISTENER(", \"accept_proxy_protocol\": [\"10.0.0.0/8\"]"), "accept_proxy_protocol",
	              "[\"10.0.0.0/8\"]");
	expect_answer(KIND_LISTENER, LISTENER(", \"accept_proxy_protocol\": []"), "accept_proxy_protocol", NULL); /* nobody */
	expect_answer(KIND_LISTENER, LISTENER(", \"max_handshakes\": 100"), "max_handshakes", "100");
	expect_answer(KIND_LISTENER, LISTENER(", \"handshakes_per_second\": 1000000"), "handshakes_per_second", "1000000");
	expect_error(KIND_LISTENER, LISTENER(", \"max_handshakes\": 0"), "out-of-range", "/max_handshakes");
	expect_error(KIND_LISTENER, LISTENER(", \"handshakes_per_second\": 0.5"), "wrong-type", "/handshakes_per_second");
	expect_error(KIND_LISTENER, LISTENER(", \"accept_proxy_protocol\": true"), "wrong-type", "/accept_proxy_protocol");
}
END_TEST

/* A body that no API made: what the agent must refuse. */
static void expect_bad_body(const Tlsplane__Route *route, const char *expected)
{
	char pointer[256] = "";
	struct error err = ERROR_NULL;

	ck_assert_int_eq(body_check(KIND_ROUTE, &route->base, pointer, &err), E_INVALID);
	ck_assert_str_eq(pointer, expected);
}

START_TEST(bodies_are_checked_again)
{
	char upper[] = "A.example", fine[] = "a.example", bad_id[] = "a/b", *snis[] = {fine, fine}, *ids[] = {bad_id};
	uint8_t address[4] = {10, 0, 0, 1};
	Tlsplane__IpRange range = TLSPLANE__IP_RANGE__INIT, *ranges[] = {&range};
	Tlsplane__Route route = TLSPLANE__ROUTE__INIT;

	expect_bad_body(&route, "/snis");
	route.snis = snis;
	route.n_snis = 2;
	expect_bad_body(&route, "/snis/1");
	snis[0] = upper;
	expect_bad_body(&route, "/snis/0");
	snis[0] = fine;
	route.n_snis = 1;
	route.listeners = ids;
	route.n_listeners = 1;
	expect_bad_body(&route, "/listeners/0");
	route.n_listeners = 0;
	range.address = (ProtobufCBinaryData){4, address};
	range.prefix = 8;
	route.allow_clients = ranges;
	route.n_allow_clients = 1;
	expect_bad_body(&route, "/allow_clients/0");
	range.prefix = 32;
	route.mode = TLSPLANE__ROUTE_MODE__ROUTE_REJECT;
	expect_bad_body(&route, "/allow_clients");
	route.mode = TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH;
	route.upstream_tls = fine;
	expect_bad_body(&route, "/upstream_tls");
}
END_TEST

UNIT_MAIN("model/routes", patterns_have_one_form, patterns_are_what_the_store_finds_it_by, references_are_told,
          empty_lists_that_would_open_are_refused, modes_and_what_they_use, clients_and_priority,
          listeners_may_leave_the_upstream_to_routes, bodies_are_checked_again)
