/* SPDX-License-Identifier: Apache-2.0 */
/* Can an SSL object shake hands under its options, version by version? From both ends. */
#include "fixture.h"

#include "base/macros.h"

#define X25519_12 "{\"min_version\": \"1.2\", \"max_version\": \"1.2\", \"curve_preferences\": [\"x25519\"]}"
#define X25519_12_13 "{\"min_version\": \"1.2\", \"curve_preferences\": [\"x25519\"]}"

/* What is found when an object with this pair names these options. */
static void expect(const struct made_pair *pair, const char *options, int code, const char *finding)
{
	CLEANUP(outcome_deinit) struct outcome outcome = {0};

	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", options);
	outcome = put_ssl("s", pair, "a.example", true, "{\"tls_options\": \"o\"}");
	ck_assert_msg(outcome.code == code, "%s: %s", options, outcome.findings);
	if (finding != NULL)
		ck_assert_msg(strstr(outcome.findings, finding) != NULL, "no %s: %s", finding, outcome.findings);
	else
		ck_assert_str_eq(outcome.findings, "");
	if (outcome.code == 0)
		must(CHANGE_DELETE, KIND_SSL, "s", NULL);
}

START_TEST(groups_speak_of_curves_below_1_3)
{
	CLEANUP(pair_deinit) struct made_pair p256 = make_ec_pair("a.example"), rsa = make_rsa_pair("a.example"),
										  p384 = make_pair(EVP_EC_gen("P-384"), "a.example");

	expect(&p256, X25519_12, E_INVALID, "curve-not-listed /cert with tls_options/o a client that offers these groups");
	expect(&rsa, X25519_12, 0, NULL);
	expect(&p256, X25519_12_13, 0,
	       "w:curve-not-listed /cert with tls_options/o a client that offers these groups and no other can't shake hands in TLSv1.2");
	expect(&p256, "{\"curve_preferences\": [\"x25519\"]}", 0, NULL);
	expect(&p256, "{\"min_version\": \"1.2\"}", 0, NULL);
	expect(&p384, "{\"min_version\": \"1.2\", \"max_version\": \"1.2\", \"curve_preferences\": [\"x25519\", \"P-256\"]}", E_INVALID,
	       "curve-not-listed");
	expect(&p384, "{\"min_version\": \"1.2\", \"max_version\": \"1.2\", \"curve_preferences\": [\"x25519\", \"P-384\"]}", 0, NULL);
}
END_TEST

START_TEST(suites_are_judged_by_version)
{
	CLEANUP(pair_deinit) struct made_pair p256 = make_ec_pair("a.example"), ed = make_pair(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
	                                                                                       "a.example");

	expect(&p256, "{\"min_version\": \"1.2\", \"cipher_suites\": [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]}", 0,
	       "w:no-common-suite /cert with tls_options/o nothing can shake hands in TLSv1.2");
	expect(&p256, "{\"min_version\": \"1.1\", \"max_version\": \"1.2\", \"cipher_suites\": "
	              "[\"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA\", \"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\"]}", 0,
	       "w:no-common-suite /cert with tls_options/o nothing can shake hands in TLSv1.1");
	expect(&ed, "{\"min_version\": \"1.1\", \"max_version\": \"1.2\", \"cipher_suites\": [\"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA\"]}",
	       0, "w:no-common-suite /cert with tls_options/o nothing can shake hands in TLSv1.1");
	expect(&ed, "{\"min_version\": \"1.1\", \"max_version\": \"1.1\", \"cipher_suites\": [\"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA\"]}",
	       E_INVALID, "no-common-suite /cert");
}
END_TEST

START_TEST(options_are_judged_by_who_uses_them)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	CLEANUP(outcome_deinit) struct outcome put = {0}, partial = {0}, again = {0};

	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{}");
	put = put_ssl("s", &pair, "a.example", true, "{\"tls_options\": \"o\"}");
	ACCEPTED(put);
	must_fail(E_INVALID, "curve-not-listed  ssls/s uses these options, and a client that offers these groups", CHANGE_PUT,
	          KIND_TLS_OPTIONS, "o", X25519_12);
	partial = change(CHANGE_PUT, KIND_TLS_OPTIONS, "o", X25519_12_13);
	ACCEPTED(partial);
	ck_assert_ptr_nonnull(strstr(partial.findings, "w:curve-not-listed  ssls/s uses these options"));
	/* nothing that is judged has changed: who uses them is not looked at again */
	again = change(CHANGE_PATCH, KIND_TLS_OPTIONS, "o", "{\"handshake_timeout\": 5}");
	ACCEPTED(again);
	ck_assert_str_eq(again.findings, "");
	must_fail(E_INVALID, "curve-not-listed", CHANGE_PATCH, KIND_TLS_OPTIONS, "o", "{\"max_version\": \"1.2\"}");
	must_fail(E_INVALID, "curve-not-listed", CHANGE_PUT, KIND_TLS_OPTIONS, "o", X25519_12);
}
END_TEST

START_TEST(objects_for_origins_have_no_options)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.example");
	json_t *document = json_pack("{s:s, s:s, s:s}", "type", "client", "cert", pair.cert_pem, "key", pair.key_pem);
	CLEANUP(outcome_deinit) struct outcome put = {0}, turned = {0};

	must(CHANGE_PUT, KIND_TLS_OPTIONS, "default", X25519_12);
	put = submit(make_request(CHANGE_PUT, KIND_SSL, "c", document));
	ACCEPTED(put);
	ck_assert_str_eq(put.findings, "");
	must_fail(E_INVALID, "/default_ssl", CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{\"default_ssl\": \"c\"}");
	turned = put_ssl("c", &pair, "a.example", false, NULL);
	ACCEPTED(turned);
	must(CHANGE_PUT, KIND_TLS_OPTIONS, "o", "{\"default_ssl\": \"c\"}");
	must_fail(E_INVALID, "/type tls_options/o refers to it", CHANGE_PATCH, KIND_SSL, "c",
	          "{\"type\": \"client\", \"snis\": null}");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {groups_speak_of_curves_below_1_3, suites_are_judged_by_version,
	                              options_are_judged_by_who_uses_them, objects_for_origins_have_no_options};
	Suite *suite = suite_create("change/fit");
	TCase *cases = tcase_create("fit");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, cases);
	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, engine_setup, engine_teardown);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(cases, tests[i]);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
