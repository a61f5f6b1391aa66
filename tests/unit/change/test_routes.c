/* SPDX-License-Identifier: Apache-2.0 */
/* Routes, upstream TLS and what they share with others: references from both ends, upstreams that somebody must bring, overlaps, types of
 * SSL objects, who asks less of clients, whose CAs verify them. */
#include "fixture.h"

#include "change/request.h"

#define UPSTREAM "{\"nodes\": {\"127.0.0.1:80\": 1}}"
#define TLS_UPSTREAM "{\"nodes\": {\"127.0.0.1:80\": 1}, \"scheme\": \"tls\"}"
#define LISTENER(port, more) "{\"bind\": \"127.0.0.1:" port "\"" more "}"
#define ROUTE(sni, more) "{\"snis\": [\"" sni "\"]" more "}"

/* Accepted, with (or without) this among the findings. */
static void expect(bool there, const char *finding, enum change_op op, enum kind kind, const char *id, const char *text)
{
	CLEANUP(outcome_deinit) struct outcome outcome = change(op, kind, id, text);

	ACCEPTED(outcome);
	ck_assert_msg((strstr(outcome.findings, finding) != NULL) == there, "%s/%s: %s \"%s\" in:\n%s",
	              kind_find(kind)->collection, id, there ? "no" : "an unexpected", finding, outcome.findings);
}

static void put_base(void)
{
	must(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM);
	must(CHANGE_PUT, KIND_LISTENER, "l", LISTENER("443", ", \"upstream\": \"u\""));
}

START_TEST(test_references_of_routes)
{
	static const char *const fields[][2] = {{"\"listeners\": [\"x\"]", "/listeners/0 listeners/x"},
	                                        {"\"tls_options\": \"x\"", "/tls_options tls_options/x"},
	                                        {"\"upstream\": \"x\"", "/upstream upstreams/x"},
	                                        {"\"upstream_tls\": \"x\"", "/upstream_tls upstream_tls/x"}};
	char text[256], finding[128];

	put_base();
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		snprintf(text, sizeof(text), ROUTE("a.example", ", %s"), fields[i][0]);
		snprintf(finding, sizeof(finding), "reference-missing %s does not exist", fields[i][1]);
		must_fail(E_INVALID, finding, CHANGE_PUT, KIND_ROUTE, "r", text);
	}
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{}");
	must(CHANGE_PUT, KIND_UPSTREAM_TLS, "t", "{}");
	must(CHANGE_PUT, KIND_ROUTE, "r",
	     ROUTE("a.example", ", \"listeners\": [\"l\"], \"tls_options\": \"o\", \"upstream\": \"u\", \"upstream_tls\": \"t\""));
	must_fail(E_CONFLICT, "referenced  routes/r refers to it (/listeners/0)", CHANGE_DELETE, KIND_LISTENER, "l", NULL);
	must_fail(E_CONFLICT, "referenced  routes/r refers to it (/tls_options)", CHANGE_DELETE, KIND_TLS_OPTIONS, "o", NULL);
	must_fail(E_CONFLICT, "referenced  routes/r refers to it (/upstream)", CHANGE_DELETE, KIND_UPSTREAM, "u", NULL);
	must_fail(E_CONFLICT, "referenced  routes/r refers to it (/upstream_tls)", CHANGE_DELETE, KIND_UPSTREAM_TLS, "t", NULL);
	must(CHANGE_DELETE, KIND_ROUTE, "r", NULL);
	must(CHANGE_DELETE, KIND_LISTENER, "l", NULL);
	must(CHANGE_DELETE, KIND_UPSTREAM_TLS, "t", NULL);
}
END_TEST

/* Whoever holds the referrer also holds the target; from both ends. */
START_TEST(test_containment)
{
	put_base();
	must(CHANGE_PATCH, KIND_LISTENER, "l", "{\"selector\": {\"site\": \"a\"}}");
	must_fail(E_INVALID, "reference-selector /listeners/0", CHANGE_PUT, KIND_ROUTE, "r",
	          ROUTE("a.example", ", \"listeners\": [\"l\"]"));
	must(CHANGE_PUT, KIND_ROUTE, "r",
	     ROUTE("a.example", ", \"listeners\": [\"l\"], \"selector\": {\"site\": \"a\", \"rack\": \"1\"}"));
	must_fail(E_INVALID, "reference-selector /listeners/0", CHANGE_PATCH, KIND_ROUTE, "r", "{\"selector\": {\"site\": null}}");
	must_fail(E_INVALID, "referenced /selector routes/r", CHANGE_PATCH, KIND_LISTENER, "l",
	          "{\"selector\": {\"site\": \"b\"}}");
	must_fail(E_INVALID, "referenced /status routes/r", CHANGE_PATCH, KIND_LISTENER, "l", "{\"status\": 0}");
	must(CHANGE_PUT, KIND_UPSTREAM_TLS, "t", "{\"selector\": {\"site\": \"a\"}}");
	must_fail(E_INVALID, "reference-selector /upstream_tls", CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"upstream_tls\": \"t\"}");
	must(CHANGE_PUT, KIND_UPSTREAM, "v",
	     "{\"nodes\": {\"127.0.0.1:80\": 1}, \"upstream_tls\": \"t\", \"selector\": {\"site\": \"a\"}}");
	must_fail(E_INVALID, "referenced /selector upstreams/v", CHANGE_PATCH, KIND_UPSTREAM_TLS, "t",
	          "{\"selector\": {\"site\": \"b\"}}");
	must_fail(E_INVALID, "referenced /status upstreams/v", CHANGE_PATCH, KIND_UPSTREAM_TLS, "t", "{\"status\": 0}");
	must(CHANGE_PATCH, KIND_UPSTREAM_TLS, "t", "{\"selector\": null}");
	must(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"upstream_tls\": \"t\"}");
}
END_TEST

START_TEST(test_somebody_brings_the_upstream)
{
	put_base();
	expect(true, "w:no-upstream /upstream there is none", CHANGE_PUT, KIND_LISTENER, "bare", LISTENER("444", ""));
	must_fail(E_INVALID, "no-upstream /upstream listeners/bare has no upstream", CHANGE_PUT, KIND_ROUTE, "r",
	          ROUTE("a.example", ", \"listeners\": [\"l\", \"bare\"]"));
	must(CHANGE_PUT, KIND_ROUTE, "no", ROUTE("b.example", ", \"listeners\": [\"bare\"], \"mode\": \"reject\""));
	must(CHANGE_PUT, KIND_ROUTE, "r", ROUTE("a.example", ", \"listeners\": [\"l\"]"));
	must_fail(E_INVALID, "no-upstream /upstream routes/r names this listener", CHANGE_PATCH, KIND_LISTENER, "l",
	          "{\"upstream\": null}");
	must(CHANGE_PATCH, KIND_ROUTE, "r", "{\"upstream\": \"u\"}");
	expect(false, "no-upstream", CHANGE_PATCH, KIND_LISTENER, "l", "{\"upstream\": null}");
	must_fail(E_INVALID, "no-upstream", CHANGE_PATCH, KIND_ROUTE, "r", "{\"upstream\": null}");
}
END_TEST

START_TEST(test_upstream_of_routes_for_all)
{
	put_base();
	expect(false, "no-upstream", CHANGE_PUT, KIND_ROUTE, "all", ROUTE("*", ""));
	expect(true, "w:no-upstream /upstream routes/all brings no upstream", CHANGE_PUT, KIND_LISTENER, "bare",
	       LISTENER("444", ""));
	expect(true, "w:no-upstream /upstream listeners/bare has no upstream", CHANGE_PUT, KIND_ROUTE, "all",
	       ROUTE("*", ", \"priority\": 1"));
	expect(false, "no-upstream", CHANGE_PUT, KIND_ROUTE, "all", ROUTE("*", ", \"upstream\": \"u\""));
	expect(false, "no-upstream", CHANGE_PATCH, KIND_LISTENER, "bare", "{\"desc\": \"x\"}");
	must(CHANGE_PATCH, KIND_ROUTE, "all", "{\"selector\": {\"site\": \"a\"}}");
	expect(true, "w:no-upstream /upstream there is none", CHANGE_PATCH, KIND_LISTENER, "bare",
	       "{\"selector\": {\"site\": \"b\"}}");
}
END_TEST

START_TEST(test_overlaps)
{
	static const char self[] = "w:overlap /snis/0 routes/one lists \"*.example\" too";

	put_base();
	must(CHANGE_PUT, KIND_LISTENER, "m", LISTENER("444", ", \"upstream\": \"u\""));
	must(CHANGE_PUT, KIND_ROUTE, "one", ROUTE("*.example", ", \"listeners\": [\"l\"]"));
	expect(false, "overlap", CHANGE_PUT, KIND_ROUTE, "two", ROUTE("*.example", ", \"listeners\": [\"m\"]"));
	expect(false, "overlap", CHANGE_PUT, KIND_ROUTE, "two", ROUTE("**.example", ", \"listeners\": [\"l\"]"));
	expect(true, self, CHANGE_PUT, KIND_ROUTE, "two", ROUTE("*.example", ", \"listeners\": [\"m\", \"l\"]"));
	expect(true, "this one wins", CHANGE_PUT, KIND_ROUTE, "two", ROUTE("*.example", ", \"listeners\": [\"l\"]"));
	expect(true, "that one wins", CHANGE_PATCH, KIND_ROUTE, "two", "{\"priority\": -1}");
	expect(true, "this one wins", CHANGE_PATCH, KIND_ROUTE, "one", "{\"desc\": \"x\"}");
	/* who names the listener wins over priority */
	expect(true, "that one wins", CHANGE_PUT, KIND_ROUTE, "two", ROUTE("*.example", ", \"priority\": 100"));
	expect(true, "this one wins", CHANGE_PATCH, KIND_ROUTE, "one", "{\"desc\": \"y\"}");
	must(CHANGE_PATCH, KIND_ROUTE, "two", "{\"selector\": {\"site\": \"a\"}}");
	expect(true, self, CHANGE_PATCH, KIND_ROUTE, "two", "{\"selector\": {\"rack\": \"1\"}}");
	must(CHANGE_PATCH, KIND_ROUTE, "one", "{\"selector\": {\"rack\": \"2\"}}");
	expect(false, "overlap", CHANGE_PATCH, KIND_ROUTE, "two", "{\"desc\": \"z\"}");
	must(CHANGE_PATCH, KIND_ROUTE, "one", "{\"selector\": null, \"status\": 0}");
	expect(false, "overlap", CHANGE_PATCH, KIND_ROUTE, "two", "{\"desc\": null}");
}
END_TEST

/* No route pays for all that share its pattern. */
START_TEST(test_overlaps_are_bounded)
{
	struct change_request *request = change_request_new(LOOKS_MAX + 1);
	CLEANUP(outcome_deinit) struct outcome many = {0};
	char text[160];

	ck_assert_ptr_nonnull(request);
	for (size_t i = 0; i <= LOOKS_MAX; i++) {
		struct change_item *item = &request->items[i];

		snprintf(text, sizeof(text), ROUTE("*", ", \"mode\": \"reject\", \"selector\": {\"site\": \"s%zu\"}"), i);
		item->op = CHANGE_PUT;
		item->kind = KIND_ROUTE;
		item->document = json_text(text);
		snprintf(item->id, sizeof(item->id), "n%zu", i);
	}
	many = submit(request);
	ACCEPTED(many);
	ck_assert_ptr_null(strstr(many.findings, "overlap"));
	must(CHANGE_PUT, KIND_ROUTE, "z", ROUTE("*", ", \"mode\": \"reject\", \"selector\": {\"site\": \"mine\"}"));
	expect(false, "overlap", CHANGE_PUT, KIND_ROUTE, "zz", ROUTE("*", ", \"mode\": \"reject\", \"selector\": {\"site\": \"mine\"}"));
}
END_TEST

START_TEST(test_passthrough_to_tls)
{
	put_base();
	must(CHANGE_PUT, KIND_UPSTREAM, "s", TLS_UPSTREAM);
	must(CHANGE_PUT, KIND_LISTENER, "m", LISTENER("444", ", \"upstream\": \"s\""));
	expect(false, "passthrough-to-tls", CHANGE_PUT, KIND_ROUTE, "r", ROUTE("a.example", ", \"upstream\": \"s\""));
	expect(false, "passthrough-to-tls", CHANGE_PUT, KIND_ROUTE, "r",
	       ROUTE("a.example", ", \"mode\": \"passthrough\", \"upstream\": \"u\""));
	expect(true, "w:passthrough-to-tls /scheme routes/r", CHANGE_PUT, KIND_UPSTREAM, "u", TLS_UPSTREAM);
	expect(true, "w:passthrough-to-tls /upstream upstreams/u", CHANGE_PATCH, KIND_ROUTE, "r", "{\"desc\": \"x\"}");
	expect(true, "w:passthrough-to-tls /upstream upstreams/s", CHANGE_PUT, KIND_ROUTE, "r",
	       ROUTE("a.example", ", \"mode\": \"passthrough\", \"listeners\": [\"m\"]"));
	/* nothing is asked for where strict is built in */
	expect(false, "w:", CHANGE_PUT, KIND_UPSTREAM, "quiet", TLS_UPSTREAM);
}
END_TEST

static struct outcome put_client_ssl(const char *id, const struct made_pair *pair)
{
	json_t *document = json_pack("{s:s, s:s, s:s}", "type", "client", "cert", pair->cert_pem, "key", pair->key_pem);

	return submit(make_request(CHANGE_PUT, KIND_SSL, id, document));
}

START_TEST(test_types_of_ssl_objects)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit) struct outcome server = put_ssl("server", &pair, "a.example", true, NULL);
	CLEANUP(outcome_deinit) struct outcome client = put_client_ssl("client", &pair);
	CLEANUP(outcome_deinit) struct outcome turned = {0}, back = {0};

	ACCEPTED(server);
	ACCEPTED(client);
	must_fail(E_INVALID, "reference-type /client_ssl ssls/server is of type \"server\"", CHANGE_PUT, KIND_UPSTREAM_TLS, "t",
	          "{\"client_ssl\": \"server\"}");
	must_fail(E_INVALID, "reference-type /default_ssl ssls/client is of type \"client\"", CHANGE_PUT, KIND_TLS_OPTIONS, "o",
	          "{\"default_ssl\": \"client\"}");
	must(CHANGE_PUT, KIND_UPSTREAM_TLS, "t", "{\"client_ssl\": \"client\"}");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{\"default_ssl\": \"server\"}");
	turned = put_ssl("client", &pair, "b.example", true, NULL);
	REFUSED(E_INVALID, "referenced /type upstream_tls/t refers to it (/client_ssl) and needs an object of type \"client\"", turned);
	back = put_client_ssl("server", &pair);
	REFUSED(E_INVALID, "referenced /type tls_options/o refers to it (/default_ssl) and needs an object of type \"server\"", back);
	must_fail(E_CONFLICT, "upstream_tls/t refers to it (/client_ssl)", CHANGE_DELETE, KIND_SSL, "client", NULL);
}
END_TEST

START_TEST(test_lax_routes)
{
	static const char found[] = "w:lax-client-auth /tls_options listeners/l demands client certificates (tls_options/closed), and "
								"routes/r served there does not (tls_options/open)";

	put_ca_bundle("clients");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "closed", "{\"client_auth\": {\"verify\": \"require\", \"ca_bundle\": \"clients\"}}");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "open", "{}");
	must(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM);
	must(CHANGE_PUT, KIND_LISTENER, "l", LISTENER("443", ", \"upstream\": \"u\", \"tls_options\": \"closed\""));
	must(CHANGE_PUT, KIND_LISTENER, "m", LISTENER("444", ", \"upstream\": \"u\""));
	expect(false, "lax", CHANGE_PUT, KIND_ROUTE, "r", ROUTE("a.example", ""));
	expect(false, "lax", CHANGE_PUT, KIND_ROUTE, "r", ROUTE("a.example", ", \"tls_options\": \"open\", \"listeners\": [\"m\"]"));
	expect(false, "lax", CHANGE_PATCH, KIND_LISTENER, "l", "{\"desc\": \"1\"}");
	expect(true, found, CHANGE_PUT, KIND_ROUTE, "r", ROUTE("a.example", ", \"tls_options\": \"open\", \"listeners\": [\"m\", \"l\"]"));
	expect(true, found, CHANGE_PUT, KIND_ROUTE, "r", ROUTE("a.example", ", \"tls_options\": \"open\""));
	expect(true, found, CHANGE_PATCH, KIND_LISTENER, "l", "{\"desc\": \"2\"}");
	expect(true, "w:lax-client-auth /client_auth listeners/l", CHANGE_PATCH, KIND_TLS_OPTIONS, "closed", "{\"desc\": \"3\"}");
	expect(true, "w:lax-client-auth /client_auth listeners/l", CHANGE_PATCH, KIND_TLS_OPTIONS, "open", "{\"desc\": \"4\"}");
	must(CHANGE_PATCH, KIND_LISTENER, "l", "{\"selector\": {\"site\": \"a\"}}");
	expect(false, "lax", CHANGE_PATCH, KIND_ROUTE, "r", "{\"selector\": {\"site\": \"b\"}}");
}
END_TEST

/* Whoever lacks a bit of (ask, demand, verify) asks less; each mode against each. */
START_TEST(test_lax_by_mode)
{
	static const struct {
		const char *mode;
		unsigned bits;
	} modes[] = {{"none", 0}, {"request", 1}, {"require_any", 3}, {"verify_if_given", 5}, {"require", 7}};
	char text[160];

	put_ca_bundle("clients");
	must(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		snprintf(text, sizeof(text), "{\"client_auth\": {\"verify\": \"%s\"%s}}", modes[i].mode,
		         (modes[i].bits & 4) != 0 ? ", \"ca_bundle\": \"clients\"" : "");
		must(CHANGE_PUT, KIND_TLS_OPTIONS, modes[i].mode, text);
	}
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		snprintf(text, sizeof(text), LISTENER("443", ", \"upstream\": \"u\", \"tls_options\": \"%s\""), modes[i].mode);
		must(CHANGE_PUT, KIND_LISTENER, "l", text);
		for (size_t k = 0; k < ARRAY_LEN(modes); k++) {
			snprintf(text, sizeof(text), ROUTE("a.example", ", \"tls_options\": \"%s\""), modes[k].mode);
			expect((modes[i].bits & ~modes[k].bits) != 0, "lax-client-auth", CHANGE_PUT, KIND_ROUTE, "r", text);
		}
	}
}
END_TEST

/* An SSL object that verifies clients and names no CA takes those of its options. */
START_TEST(test_anchors_of_options)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit) struct outcome missing = {0}, fine = {0};

	put_ca_bundle("clients");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{}");
	missing = put_ssl("s", &pair, "a.example", true, "{\"tls_options\": \"o\", \"client\": {\"depth\": 2}}");
	REFUSED(E_INVALID, "missing-field /client/ca", missing);
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{\"client_auth\": {\"verify\": \"verify_if_given\", \"ca_bundle\": \"clients\"}}");
	fine = put_ssl("s", &pair, "a.example", true, "{\"tls_options\": \"o\", \"client\": {\"depth\": 2}}");
	ACCEPTED(fine);
	must_fail(E_INVALID, "referenced /client_auth ssls/s verifies clients by the CAs", CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{}");
	must_fail(E_INVALID, "referenced /client_auth ssls/s", CHANGE_PUT, KIND_TLS_OPTIONS, "o",
	          "{\"client_auth\": {\"verify\": \"none\", \"ca_bundle\": \"clients\"}}");
	must(CHANGE_PATCH, KIND_SSL, "s", "{\"client\": {\"verify\": \"request\", \"depth\": null}}");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{}");
}
END_TEST

/* Everything generic, for both kinds: created, read back, patched, deleted, undone as one. */
START_TEST(test_as_any_other_kind)
{
	struct change_request *request = change_request_new(4);
	CLEANUP(outcome_deinit) struct outcome all = {0}, patched = {0};
	static const struct {
		enum kind kind;
		const char *id, *text;
	} items[] = {
		{KIND_ROUTE, "r", "{\"snis\": [\"\"], \"listeners\": [\"l\"], \"upstream_tls\": \"t\"}"},
		{KIND_UPSTREAM_TLS, "t", "{\"verify\": \"PERMISSIVE\"}"},
		{KIND_LISTENER, "l", "{\"bind\": \"127.0.0.1:443\", \"upstream\": \"u\"}"},
		{KIND_UPSTREAM, "u", UPSTREAM},
	};

	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		request->items[i].op = CHANGE_PUT;
		request->items[i].kind = items[i].kind;
		request->items[i].document = json_text(items[i].text);
		snprintf(request->items[i].id, sizeof(request->items[i].id), "%s", items[i].id);
	}
	all = submit(request);
	ACCEPTED(all);
	ck_assert_uint_eq(all.revision.changes, 4);
	patched = change(CHANGE_PATCH, KIND_ROUTE, "r", "{\"snis\": [\"B.example\"], \"upstream_tls\": null}");
	ACCEPTED(patched);
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(patched.answer, "snis"), 0)), "b.example");
	ck_assert_ptr_null(json_object_get(patched.answer, "upstream_tls"));
	must(CHANGE_DELETE, KIND_UPSTREAM_TLS, "t", NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("routes");
	TCase *tcase = tcase_create("routes");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, test_references_of_routes);
	tcase_add_test(tcase, test_containment);
	tcase_add_test(tcase, test_somebody_brings_the_upstream);
	tcase_add_test(tcase, test_upstream_of_routes_for_all);
	tcase_add_test(tcase, test_overlaps);
	tcase_add_test(tcase, test_overlaps_are_bounded);
	tcase_add_test(tcase, test_passthrough_to_tls);
	tcase_add_test(tcase, test_types_of_ssl_objects);
	tcase_add_test(tcase, test_lax_routes);
	tcase_add_test(tcase, test_lax_by_mode);
	tcase_add_test(tcase, test_anchors_of_options);
	tcase_add_test(tcase, test_as_any_other_kind);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
