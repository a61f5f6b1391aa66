/* SPDX-License-Identifier: Apache-2.0 */
/* What holds between objects: references from both ends, ports, keys kept by SPKI, overlaps, options that fit. */
#include "fixture.h"

#include "change/request.h"

#define UPSTREAM "{\"nodes\": {\"127.0.0.1:80\": 1}}"
#define UPSTREAM_OF(selector) "{\"nodes\": {\"127.0.0.1:80\": 1}, \"selector\": " selector "}"
#define LISTENER(bind, upstream) "{\"bind\": \"" bind "\", \"upstream\": \"" upstream "\"}"
#define LISTENER_OF(bind, selector) "{\"bind\": \"" bind "\", \"upstream\": \"u\", \"selector\": " selector "}"

START_TEST(test_reference)
{
	must_fail(E_INVALID, "reference-missing /upstream upstreams/u does not exist", CHANGE_PUT, KIND_LISTENER, "l",
	          LISTENER("127.0.0.1:8443", "u"));
	must(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM);
	must(CHANGE_PUT, KIND_LISTENER, "l", LISTENER("127.0.0.1:8443", "u"));
	must_fail(E_CONFLICT, "referenced  listeners/l refers to it (/upstream)", CHANGE_DELETE, KIND_UPSTREAM, "u", NULL);
	must_fail(E_INVALID, "referenced /status listeners/l", CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"status\": 0}");
	must_fail(E_INVALID, "referenced /selector listeners/l", CHANGE_PATCH, KIND_UPSTREAM, "u",
	          "{\"selector\": {\"a\": \"1\"}}");
	must(CHANGE_DELETE, KIND_LISTENER, "l", NULL);
	must(CHANGE_DELETE, KIND_UPSTREAM, "u", NULL);
}
END_TEST

START_TEST(test_reference_selector)
{
	must(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM_OF("{\"a\": \"1\"}"));
	must_fail(E_INVALID, "reference-selector /upstream", CHANGE_PUT, KIND_LISTENER, "l",
	          LISTENER("127.0.0.1:8443", "u"));
	must_fail(E_INVALID, "reference-selector /upstream", CHANGE_PUT, KIND_LISTENER, "l",
	          LISTENER_OF("127.0.0.1:8443", "{\"a\": \"2\"}"));
	must(CHANGE_PUT, KIND_LISTENER, "l", LISTENER_OF("127.0.0.1:8443", "{\"a\": \"1\", \"b\": \"2\"}"));
	must_fail(E_INVALID, "reference-selector /upstream", CHANGE_PATCH, KIND_LISTENER, "l", "{\"selector\": null}");
	must(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"selector\": {\"a\": \"1\", \"b\": \"2\"}}");
	must_fail(E_INVALID, "referenced /selector", CHANGE_PATCH, KIND_UPSTREAM, "u",
	          "{\"selector\": {\"a\": \"1\", \"c\": \"2\"}}");
	must(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"selector\": null}");
}
END_TEST

/* Who is in nobody's holding may refer to what is in nobody's, but not to what is not there. */
START_TEST(test_reference_of_disabled)
{
	must(CHANGE_PUT, KIND_UPSTREAM, "u", "{\"nodes\": {\"127.0.0.1:80\": 1}, \"status\": 0}");
	must_fail(E_INVALID, "reference-disabled /upstream", CHANGE_PUT, KIND_LISTENER, "l",
	          LISTENER("127.0.0.1:8443", "u"));
	must(CHANGE_PUT, KIND_LISTENER, "l", "{\"bind\": \"127.0.0.1:8443\", \"upstream\": \"u\", \"status\": 0}");
	must_fail(E_INVALID, "reference-disabled /upstream", CHANGE_PATCH, KIND_LISTENER, "l", "{\"status\": 1}");
	must_fail(E_CONFLICT, "referenced", CHANGE_DELETE, KIND_UPSTREAM, "u", NULL);
	must(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"status\": 1}");
	must(CHANGE_PATCH, KIND_LISTENER, "l", "{\"status\": 1}");
}
END_TEST

static void bind_pair(const char *first, const char *second, bool collide)
{
	char one[200], two[200];

	snprintf(one, sizeof(one), LISTENER("%s", "u"), first);
	snprintf(two, sizeof(two), LISTENER("%s", "u"), second);
	must(CHANGE_PUT, KIND_LISTENER, "one", one);
	if (collide)
		must_fail(E_CONFLICT, "bind-collision /bind listeners/one", CHANGE_PUT, KIND_LISTENER, "two", two);
	else
		must(CHANGE_PUT, KIND_LISTENER, "two", two);
	must(CHANGE_DELETE, KIND_LISTENER, "one", NULL);
	if (!collide)
		must(CHANGE_DELETE, KIND_LISTENER, "two", NULL);
}

START_TEST(test_binds)
{
	must(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM);
	bind_pair("127.0.0.1:443", "127.0.0.1:443", true);
	bind_pair("127.0.0.1:443", "127.0.0.1:444", false);
	bind_pair("127.0.0.1:443", "127.0.0.2:443", false);
	bind_pair("0.0.0.0:443", "127.0.0.2:443", true);
	bind_pair("127.0.0.2:443", "0.0.0.0:443", true);
	bind_pair("[::]:443", "127.0.0.2:443", true);
	bind_pair("0.0.0.0:443", "[::]:443", true);
	bind_pair("[::1]:443", "[::]:443", true);
	bind_pair("[::1]:443", "[0:0:0:0:0:0:0:1]:443", true);
	bind_pair("[::1]:443", "0.0.0.0:443", false);
	bind_pair("[::1]:443", "127.0.0.1:443", false);
}
END_TEST

START_TEST(test_binds_by_selector)
{
	must(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM);
	must(CHANGE_PUT, KIND_LISTENER, "a", LISTENER_OF("0.0.0.0:443", "{\"site\": \"a\"}"));
	must(CHANGE_PUT, KIND_LISTENER, "b", LISTENER_OF("0.0.0.0:443", "{\"site\": \"b\"}"));
	must_fail(E_CONFLICT, "bind-collision", CHANGE_PUT, KIND_LISTENER, "c",
	          LISTENER_OF("0.0.0.0:443", "{\"rack\": \"a\"}"));
	must_fail(E_CONFLICT, "bind-collision", CHANGE_PATCH, KIND_LISTENER, "b", "{\"selector\": null}");
	must(CHANGE_PUT, KIND_LISTENER, "c", "{\"bind\": \"0.0.0.0:443\", \"upstream\": \"u\", \"status\": 0}");
	must_fail(E_CONFLICT, "bind-collision", CHANGE_PATCH, KIND_LISTENER, "c", "{\"status\": 1}");
	must(CHANGE_PATCH, KIND_LISTENER, "a", "{\"status\": 0}");
	must(CHANGE_DELETE, KIND_LISTENER, "b", NULL);
	must(CHANGE_PATCH, KIND_LISTENER, "c", "{\"status\": 1}");
}
END_TEST

static void stored_secret(const char *id, struct secret **ret)
{
	struct store_row row;

	OK(store_get(test_reader, KIND_SSL, id, 0, &row, &test_error));
	OK(store_open_secret(test_store, &row, ret, &test_error));
	store_row_deinit(&row);
}

START_TEST(test_keys_are_kept)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example"), other = make_ec_pair("a.example");
	CLEANUP(outcome_deinit) struct outcome first = put_ssl("s", &pair, "a.example", true, NULL);
	CLEANUP(outcome_deinit) struct outcome kept = {0}, refused = {0}, fresh = {0}, patched = {0};
	CLEANUP(secret_free) struct secret *before = NULL;
	CLEANUP(secret_free) struct secret *after = NULL;
	char *dump;

	ACCEPTED(first);
	dump = json_dumps(first.answer, 0);
	ck_assert_ptr_null(strstr(dump, "PRIVATE"));
	free(dump);
	stored_secret("s", &before);
	kept = put_ssl("s", &pair, "a.example", false, "{\"priority\": 5}");
	ACCEPTED(kept);
	ck_assert(kept.changed);
	stored_secret("s", &after);
	ck_assert_uint_eq(before->len, after->len);
	ck_assert_mem_eq(before->data, after->data, after->len);
	patched = change(CHANGE_PATCH, KIND_SSL, "s", "{\"priority\": 6}");
	ACCEPTED(patched);
	refused = put_ssl("s", &other, "a.example", false, NULL);
	REFUSED(E_INVALID, "key-required /cert ", refused);
	fresh = put_ssl("t", &pair, "a.example", false, NULL); /* never from another object */
	REFUSED(E_INVALID, "key-required /cert ", fresh);
}
END_TEST

START_TEST(test_all_findings_at_once)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit)
	struct outcome outcome = put_ssl("s", &pair, "a.example", false, "{\"tls_options\": \"none\"}");

	REFUSED(E_INVALID, "key-required /cert ", outcome);
	REFUSED(E_INVALID, "reference-missing /tls_options ", outcome);
	ck_assert_uint_eq(commits, 0);
}
END_TEST

static json_t *two_pairs(const struct made_pair *first, bool first_key, const struct made_pair *second, bool second_key)
{
	json_t *document = ssl_document(first, "a.example", first_key, NULL);

	json_object_set_new(document, "certs", json_pack("[s]", second->cert_pem));
	if (second_key)
		json_object_set_new(document, "keys", json_pack("[s]", second->key_pem));
	return document;
}

static struct outcome put_pairs(const struct made_pair *first, bool first_key, const struct made_pair *second,
                                bool second_key)
{
	return submit(make_request(CHANGE_PUT, KIND_SSL, "s", two_pairs(first, first_key, second, second_key)));
}

START_TEST(test_keys_in_any_order)
{
	CLEANUP(pair_deinit) struct made_pair ec = make_ec_pair("a.example"), rsa = make_rsa_pair("a.example");
	CLEANUP(pair_deinit) struct made_pair other = make_rsa_pair("a.example");
	CLEANUP(outcome_deinit) struct outcome first = put_pairs(&ec, true, &rsa, true);
	CLEANUP(outcome_deinit) struct outcome swapped = put_pairs(&rsa, false, &ec, false);
	CLEANUP(outcome_deinit) struct outcome back = put_pairs(&ec, false, &rsa, false);
	CLEANUP(outcome_deinit) struct outcome refused = put_pairs(&ec, false, &other, false);
	CLEANUP(outcome_deinit) struct outcome gone = put_ssl("s", &ec, "a.example", false, NULL);
	CLEANUP(outcome_deinit) struct outcome history = put_pairs(&ec, false, &rsa, false);

	ACCEPTED(first);
	ACCEPTED(swapped);
	ACCEPTED(back);
	REFUSED(E_INVALID, "key-required /certs/0 ", refused);
	ACCEPTED(gone);
	REFUSED(E_INVALID, "key-required /certs/0 ", history); /* the current state has it no longer */
}
END_TEST

START_TEST(test_one_name_twice)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit)
	struct outcome outcome = put_ssl("s", &pair, "a.example", true, "{\"snis\": [\"a.example\", \"A.example.\"]}");

	ck_assert_msg(outcome.code == 0 || outcome.code == E_INVALID, "%d %s", outcome.code, outcome.text);
}
END_TEST

START_TEST(test_overlap)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit) struct outcome first = put_ssl("old", &pair, "a.example", true, NULL);
	CLEANUP(outcome_deinit) struct outcome second = put_ssl("young", &pair, "a.example", true, NULL);
	CLEANUP(outcome_deinit) struct outcome again = put_ssl("old", &pair, "a.example", true, "{\"desc\": \"edited\"}");
	CLEANUP(outcome_deinit) struct outcome higher = put_ssl("old", &pair, "a.example", true, "{\"priority\": 1}");
	CLEANUP(outcome_deinit) struct outcome apart = {0}, strict = {0};
	struct change_request *request =
		make_request(CHANGE_PUT, KIND_SSL, "third", ssl_document(&pair, "a.example", true, NULL));

	ACCEPTED(first);
	ck_assert_ptr_null(strstr(first.findings, "overlap"));
	ACCEPTED(second);
	ck_assert_ptr_nonnull(strstr(second.findings, "w:overlap /snis/0 ssls/old lists a.example too"));
	ck_assert_ptr_nonnull(strstr(second.findings, "this one wins"));
	ck_assert_ptr_nonnull(strstr(again.findings, "that one wins")); /* creation, not last edit */
	ck_assert_ptr_nonnull(strstr(higher.findings, "this one wins"));
	request->strict = true;
	strict = submit(request);
	REFUSED(E_INVALID, "overlap /snis/0", strict);
	must(CHANGE_PATCH, KIND_SSL, "old", "{\"selector\": {\"site\": \"a\"}}");
	apart = put_ssl("young", &pair, "a.example", true, "{\"selector\": {\"site\": \"b\"}}");
	ACCEPTED(apart);
	ck_assert_ptr_null(strstr(apart.findings, "overlap"));
}
END_TEST

/* An open site behind a listener that demands certificates: told from whichever side is written. */
START_TEST(test_lax_client_auth)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("open.example");
	CLEANUP(outcome_deinit) struct outcome open = {0}, listener = {0}, own = {0}, strict_options = {0}, apart = {0};

	put_ca_bundle("clients");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "closed", "{\"client_auth\": {\"verify\": \"require\", \"ca_bundle\": \"clients\"}}");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "open", "{}");
	must(CHANGE_PUT, KIND_UPSTREAM, "web", "{\"nodes\": {\"127.0.0.1:1\": 1}}");
	must(CHANGE_PUT, KIND_LISTENER, "main", "{\"bind\": \"127.0.0.1:443\", \"upstream\": \"web\", \"tls_options\": \"closed\"}");
	open = put_ssl("site", &pair, "open.example", true, "{\"tls_options\": \"open\"}");
	ACCEPTED(open);
	ck_assert_ptr_nonnull(strstr(open.findings, "w:lax-client-auth /tls_options listeners/main demands client certificates"));
	ck_assert_ptr_nonnull(strstr(open.findings, "ssls/site"));
	listener = submit(make_request(CHANGE_PATCH, KIND_LISTENER, "main", json_text("{\"max_connections\": 5}")));
	ck_assert_ptr_nonnull(strstr(listener.findings, "w:lax-client-auth /tls_options"));
	strict_options = submit(make_request(CHANGE_PATCH, KIND_TLS_OPTIONS, "closed", json_text("{\"desc\": \"x\"}")));
	ck_assert_ptr_nonnull(strstr(strict_options.findings, "w:lax-client-auth /client_auth"));
	own = put_ssl("site", &pair, "open.example", true, "{\"tls_options\": \"open\", \"client\": {\"ca_bundle\": \"clients\"}}");
	ACCEPTED(own);
	ck_assert_ptr_null(strstr(own.findings, "lax-client-auth"));
	must(CHANGE_PATCH, KIND_LISTENER, "main", "{\"selector\": {\"site\": \"a\"}}");
	apart = put_ssl("site", &pair, "open.example", true, "{\"tls_options\": \"open\", \"selector\": {\"site\": \"b\"}}");
	ACCEPTED(apart);
	ck_assert_ptr_null(strstr(apart.findings, "lax-client-auth"));
}
END_TEST

/* A suite for the key and a suite for the version are not yet one for both. */
START_TEST(test_suite_of_version_and_key)
{
	CLEANUP(pair_deinit) struct made_pair ec = make_ec_pair("a.example"), rsa = make_rsa_pair("a.example");
	static const char only_11[] = "{\"ssl_protocols\": [\"TLSv1.1\"], \"tls_options\": \"mixed\"}";
	CLEANUP(outcome_deinit) struct outcome fits = {0}, never = {0}, newer = {0};

	must(CHANGE_PUT, KIND_TLS_OPTIONS, "mixed",
	     "{\"min_version\": \"TLSv1.1\", \"max_version\": \"TLSv1.2\", \"cipher_suites\":"
	     " [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\", \"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA\"]}");
	fits = put_ssl("ec", &ec, "a.example", true, only_11);
	ACCEPTED(fits);
	never = put_ssl("rsa", &rsa, "a.example", true, only_11);
	REFUSED(E_INVALID, "no-common-suite", never);
	newer = put_ssl("rsa", &rsa, "a.example", true, "{\"tls_options\": \"mixed\"}");
	ACCEPTED(newer);
}
END_TEST

/* Who shares a name with very many does not pay for all of them. */
START_TEST(test_overlap_among_many)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("*");
	CLEANUP(outcome_deinit) struct outcome few = {0}, many = {0}, last = {0};
	struct change_request *request = change_request_new(LOOKS_MAX);
	char selector[64];

	ck_assert_ptr_nonnull(request);
	last = put_ssl("z-all", &pair, "*", true, NULL);
	few = put_ssl("mine", &pair, "*", true, "{\"selector\": {\"site\": \"mine\"}}");
	ck_assert_ptr_nonnull(strstr(few.findings, "w:overlap"));
	for (size_t i = 0; i < LOOKS_MAX; i++) {
		struct change_item *item = &request->items[i];

		snprintf(selector, sizeof(selector), "{\"selector\": {\"site\": \"s%zu\"}}", i);
		item->op = CHANGE_PUT;
		item->kind = KIND_SSL;
		item->document = ssl_document(&pair, "*", true, selector);
		snprintf(item->id, sizeof(item->id), "n%zu", i);
	}
	many = submit(request);
	ACCEPTED(many);
	outcome_deinit(&few);
	few = put_ssl("mine", &pair, "*", true, "{\"selector\": {\"site\": \"mine\"}, \"priority\": 1}");
	ACCEPTED(few);
	ck_assert_ptr_null(strstr(few.findings, "w:overlap"));
}
END_TEST

/* The object "default" holds for listeners that name no options. */
START_TEST(test_lax_against_default)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("open.example");
	CLEANUP(outcome_deinit) struct outcome open = {0}, options = {0}, relaxed = {0};

	put_ca_bundle("clients");
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "open", "{}");
	must(CHANGE_PUT, KIND_UPSTREAM, "web", "{\"nodes\": {\"127.0.0.1:1\": 1}}");
	must(CHANGE_PUT, KIND_LISTENER, "main", "{\"bind\": \"127.0.0.1:443\", \"upstream\": \"web\"}");
	must(CHANGE_PUT, KIND_LISTENER, "own", "{\"bind\": \"127.0.0.1:444\", \"upstream\": \"web\", \"tls_options\": \"open\"}");
	open = put_ssl("site", &pair, "open.example", true, "{\"tls_options\": \"open\"}");
	ck_assert_ptr_null(strstr(open.findings, "lax-client-auth"));
	options = change(CHANGE_PUT, KIND_TLS_OPTIONS, "default",
	                 "{\"client_auth\": {\"verify\": \"require\", \"ca_bundle\": \"clients\"}}");
	ACCEPTED(options);
	ck_assert_ptr_nonnull(strstr(options.findings, "w:lax-client-auth /client_auth listeners/main demands"));
	ck_assert_ptr_null(strstr(options.findings, "listeners/own"));
	outcome_deinit(&open);
	open = put_ssl("site", &pair, "open.example", true, "{\"tls_options\": \"open\", \"priority\": 1}");
	ck_assert_ptr_nonnull(strstr(open.findings, "w:lax-client-auth /tls_options listeners/main demands"));
	ck_assert_ptr_null(strstr(open.findings, "listeners/own"));
	relaxed = change(CHANGE_PUT, KIND_TLS_OPTIONS, "open", "{\"desc\": \"x\"}");
	ck_assert_ptr_nonnull(strstr(relaxed.findings, "w:lax-client-auth /client_auth listeners/main demands"));
}
END_TEST

START_TEST(test_options_must_fit)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit)
	struct outcome doubtful = put_ssl("s", &pair, "a.example", true, "{\"ssl_protocols\": [\"TLSv1.2\"]}");
	CLEANUP(outcome_deinit)
	struct outcome impossible =
		put_ssl("s", &pair, "a.example", true, "{\"ssl_protocols\": [\"TLSv1.2\"], \"tls_options\": \"modern\"}");
	CLEANUP(outcome_deinit)
	struct outcome fine =
		put_ssl("s", &pair, "a.example", true, "{\"ssl_protocols\": [\"TLSv1.2\"], \"tls_options\": \"intermediate\"}");
	CLEANUP(outcome_deinit) struct outcome suites = {0}, used = {0};
	static const char rsa_only[] = "{\"min_version\": \"TLSv1.2\", \"max_version\": \"TLSv1.2\","
								   "\"cipher_suites\": [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]}";
	static const char both[] = "{\"min_version\": \"TLSv1.2\", \"max_version\": \"TLSv1.2\","
							   "\"cipher_suites\": [\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\"]}";

	ACCEPTED(doubtful);
	ck_assert_ptr_nonnull(strstr(doubtful.findings, "w:no-common-version /ssl_protocols"));
	REFUSED(E_INVALID, "no-common-version /ssl_protocols", impossible);
	ACCEPTED(fine);
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "mine", rsa_only);
	suites = put_ssl("s", &pair, "a.example", true, "{\"tls_options\": \"mine\"}");
	REFUSED(E_INVALID, "no-common-suite /cert", suites);
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "mine", both);
	used = put_ssl("s", &pair, "a.example", true, "{\"tls_options\": \"mine\"}");
	ACCEPTED(used);
	must_fail(E_INVALID, "no-common-suite  ssls/s uses these options", CHANGE_PUT, KIND_TLS_OPTIONS, "mine", rsa_only);
}
END_TEST

START_TEST(test_default_options)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit) struct outcome outcome = {0};

	must(CHANGE_PUT, KIND_TLS_OPTIONS, "default", "{\"min_version\": \"TLSv1.2\"}");
	outcome = put_ssl("s", &pair, "a.example", true, "{\"ssl_protocols\": [\"TLSv1.2\"]}");
	ACCEPTED(outcome);
	ck_assert_ptr_null(strstr(outcome.findings, "no-common-version"));
	must_fail(E_INVALID, "/selector", CHANGE_PATCH, KIND_TLS_OPTIONS, "default", "{\"selector\": {\"a\": \"b\"}}");
}
END_TEST

START_TEST(test_disabled_is_held_by_nobody)
{
	CLEANUP(outcome_deinit) struct outcome outcome = {0};

	outcome = change(CHANGE_PUT, KIND_UPSTREAM, "u", UPSTREAM_OF("{\"a\": \"1\"}"));
	ck_assert_str_eq(outcome.selectors, "a=1;");
	outcome = (outcome_deinit(&outcome), change(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"status\": 0}"));
	ck_assert_str_eq(outcome.selectors, "a=1;");
	outcome = (outcome_deinit(&outcome), change(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"desc\": \"x\"}"));
	ACCEPTED(outcome);
	ck_assert(outcome.changed);
	ck_assert_str_eq(outcome.selectors, "");
	outcome = (outcome_deinit(&outcome),
	           change(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"status\": 1, \"selector\": {\"a\": \"2\"}}"));
	ck_assert_str_eq(outcome.selectors, "a=2;");
	outcome = (outcome_deinit(&outcome), change(CHANGE_PATCH, KIND_UPSTREAM, "u", "{\"selector\": {\"a\": \"1\"}}"));
	ck_assert_uint_eq(strlen(outcome.selectors), strlen("a=1;a=2;"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rules");
	TCase *tcase = tcase_create("rules");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, test_reference);
	tcase_add_test(tcase, test_reference_selector);
	tcase_add_test(tcase, test_reference_of_disabled);
	tcase_add_test(tcase, test_binds);
	tcase_add_test(tcase, test_binds_by_selector);
	tcase_add_test(tcase, test_keys_are_kept);
	tcase_add_test(tcase, test_all_findings_at_once);
	tcase_add_test(tcase, test_keys_in_any_order);
	tcase_add_test(tcase, test_one_name_twice);
	tcase_add_test(tcase, test_overlap);
	tcase_add_test(tcase, test_lax_client_auth);
	tcase_add_test(tcase, test_lax_against_default);
	tcase_add_test(tcase, test_overlap_among_many);
	tcase_add_test(tcase, test_suite_of_version_and_key);
	tcase_add_test(tcase, test_options_must_fit);
	tcase_add_test(tcase, test_default_options);
	tcase_add_test(tcase, test_disabled_is_held_by_nobody);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
