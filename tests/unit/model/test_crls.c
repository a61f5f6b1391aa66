/* SPDX-License-Identifier: Apache-2.0 */
/* The CRLs of CA bundles. */
#include "parse.h"

#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/body.h"
#include "pki.h"

static struct pki_cert *root, *middle, *foreign, *leaf;

static void setup(void)
{
	root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	foreign = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = middle});
}

static void teardown(void)
{
	pki_free(root);
	pki_free(middle);
	pki_free(foreign);
	pki_free(leaf);
}

/* Both CAs and these CRLs; takes the texts. */
static json_t *bundle_with(char *one, char *two)
{
	char *certs = pki_join(root->pem, middle->pem, NULL), *crls = pki_join(one, two, NULL);
	json_t *document = json_pack("{s:s, s:s}", "certs", certs, "crls", crls);

	free(certs);
	free(crls);
	free(one);
	free(two);
	return document;
}

static struct outcome parse_bundle(char *one, char *two)
{
	json_t *document = bundle_with(one, two);
	struct outcome outcome = parse_json(KIND_CA_BUNDLE, "id", document);

	json_decref(document);
	return outcome;
}

static void refuse(char *crl, const char *code)
{
	struct outcome outcome = parse_bundle(crl, NULL);

	if (outcome.findings.errors != 1 || !has_finding(&outcome.findings, FINDING_ERROR, code, "/crls")) {
		print_findings(&outcome.findings);
		ck_abort_msg("expected %s", code);
	}
	outcome_deinit(&outcome);
}

static void warn(char *one, char *two, const char *code)
{
	struct outcome outcome = parse_bundle(one, two);

	if (outcome.code != 0 || outcome.findings.warnings != (code != NULL) ||
	    (code != NULL && !has_finding(&outcome.findings, FINDING_WARNING, code, "/crls"))) {
		print_findings(&outcome.findings);
		ck_abort_msg("expected %s", code != NULL ? code : "no warning");
	}
	outcome_deinit(&outcome);
}

#define CRL(...) pki_make_crl(&(struct pki_crl_spec){__VA_ARGS__})

START_TEST(lists_come_back)
{
	char *one = CRL(.issuer = root), *two = CRL(.issuer = middle, .revoked = {leaf}, .has_no_next_update = true);
	char *both = pki_join(one, two, NULL);
	struct outcome outcome = parse_bundle(one, two);
	json_t *document, *shown;

	ck_assert_int_eq(outcome.code, 0);
	document = render(outcome.resource);
	ck_assert_str_eq(json_string_value(json_object_get(document, "crls")), both);
	shown = json_object_get(document, "x509_crls");
	ck_assert_uint_eq(json_array_size(shown), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(shown, 0), "issuer")), "CN=root");
	ck_assert_uint_eq(json_string_length(json_object_get(json_array_get(shown, 0), "this_update")), 20);
	ck_assert_uint_eq(json_string_length(json_object_get(json_array_get(shown, 0), "next_update")), 20);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(shown, 0), "revoked")), 0);
	ck_assert_ptr_null(json_object_get(json_array_get(shown, 1), "next_update"));
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(shown, 1), "revoked")), 1);
	expect_round_trip(outcome.resource);
	json_decref(document);
	outcome_deinit(&outcome);
	free(both);
}
END_TEST

START_TEST(lists_that_are_none)
{
	refuse(strdup("nothing"), "invalid-pem");
	refuse(strdup(root->pem), "invalid-pem");
	refuse(CRL(.issuer = foreign), "foreign-crl");
	refuse(CRL(.issuer = leaf), "foreign-crl");
	refuse(CRL(.issuer = root, .extensions = {"2.5.29.27=critical,ASN1:INTEGER:1"}), "unsupported-crl");
	refuse(CRL(.issuer = root, .extensions = {"1.2.3=critical,ASN1:NULL"}), "unsupported-crl");
}
END_TEST

START_TEST(doubts_are_warnings)
{
	warn(CRL(.issuer = root), CRL(.issuer = middle), NULL);
	warn(CRL(.issuer = root), NULL, "ca-without-crl");
	warn(CRL(.issuer = root), CRL(.issuer = middle, .this_update = -7200, .next_update = -3600), "stale-crl");
	warn(CRL(.issuer = root), CRL(.issuer = middle, .this_update = 3600, .next_update = 7200), "not-yet-valid");
	warn(CRL(.issuer = root), CRL(.issuer = middle, .has_no_next_update = true), "crl-never-stale");
}
END_TEST

START_TEST(staleness_shows_in_later_answers)
{
	struct outcome outcome = parse_bundle(CRL(.issuer = root), CRL(.issuer = middle));
	struct resource_state state = state_of(outcome.resource);
	struct resource_limits later = {.rsa_bits_max = 4096, .now = limits_now().now + 2 * 86400};
	struct error err = ERROR_NULL;
	json_t *document = resource_render(&state, &later, &err), *warnings = json_object_get(document, "warnings");

	ck_assert_uint_eq(json_array_size(warnings), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(warnings, 0), "code")), "stale-crl");
	json_decref(document);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(other_values)
{
	json_t *document = json_pack("{s:s, s:i}", "certs", root->pem, "crls", 1);
	struct outcome outcome = parse_json(KIND_CA_BUNDLE, "id", document);

	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "wrong-type", "/crls"));
	json_decref(document);
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(an_object_fits_a_frame)
{
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	size_t size = 1536 * 1024;
	uint8_t *bytes = calloc(1, size);
	ProtobufCBinaryData cert = {size - 10, bytes}, crl = {10, bytes};
	char pointer[256];
	struct error err = ERROR_NULL;

	bundle.certs = &cert;
	bundle.crls = &crl;
	bundle.n_certs = bundle.n_crls = 1;
	ck_assert_int_eq(body_check(KIND_CA_BUNDLE, &bundle.base, pointer, &err), 0);
	crl.len = 11;
	ck_assert_int_eq(body_check(KIND_CA_BUNDLE, &bundle.base, pointer, &err), E_INVALID);
	ck_assert_str_eq(pointer, "/crls");
	crl.len = 0;
	ck_assert_int_eq(body_check(KIND_CA_BUNDLE, &bundle.base, pointer, &err), E_INVALID);
	free(bytes);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {lists_come_back, lists_that_are_none,   doubts_are_warnings, staleness_shows_in_later_answers,
	                              other_values,    an_object_fits_a_frame};
	int failed;

	setup();
	failed = unit_run("model/crls", tests, ARRAY_LEN(tests));
	teardown();
	return failed;
}
