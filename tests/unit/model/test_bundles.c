/* SPDX-License-Identifier: Apache-2.0 */
/* CA bundles. */
#include "ssl.h"

static struct outcome parse_bundle(char *pem)
{
	json_t *document = json_pack("{s:s}", "certs", pem);
	struct outcome outcome = parse_json(KIND_CA_BUNDLE, "id", document);

	json_decref(document);
	free(pem);
	return outcome;
}

START_TEST(bundles)
{
	struct outcome outcome = parse_bundle(pki_join(root->pem, middle->pem, NULL));
	struct pki_cert *old = pki_make(&(struct pki_spec){.is_ca = true, .not_before = -7200, .not_after = -3600});
	json_t *document;

	ck_assert_int_eq(outcome.code, 0);
	document = render(outcome.resource);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "x509")), 2);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(json_object_get(document, "x509"), 0), "subject")), "CN=root");
	expect_round_trip(outcome.resource);
	json_decref(document);
	outcome_deinit(&outcome);
	outcome = parse_bundle(pki_join(root->pem, old->pem, NULL));
	ck_assert_int_eq(outcome.code, 0);
	ck_assert(has_finding(&outcome.findings, FINDING_WARNING, "expired", "/certs"));
	outcome_deinit(&outcome);
	outcome = parse_bundle(pki_join(root->pem, leaf->pem, NULL));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "not-a-ca", "/certs"));
	outcome_deinit(&outcome);
	outcome = parse_bundle(pki_join("", NULL));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "invalid-pem", "/certs"));
	outcome_deinit(&outcome);
	expect_error(KIND_CA_BUNDLE, "{}", "missing-field", "/certs");
	pki_free(old);
}
END_TEST

START_TEST(bundles_are_bounded)
{
	size_t one = strlen(root->pem);
	char *many = malloc(1001 * one + 1);
	struct outcome outcome;

	for (size_t i = 0; i < 1001; i++)
		memcpy(many + i * one, root->pem, one + 1);
	outcome = parse_bundle(strdup(many));
	ck_assert(has_finding(&outcome.findings, FINDING_ERROR, "too-many-certificates", "/certs"));
	outcome_deinit(&outcome);
	many[1000 * one] = '\0';
	outcome = parse_bundle(strdup(many));
	ck_assert_int_eq(outcome.code, 0);
	ck_assert_ptr_null(outcome.resource->certs); /* decoded they are several times as much as the body */
	outcome_deinit(&outcome);
	many[16 * one] = '\0';
	outcome = parse_bundle(many);
	ck_assert_ptr_nonnull(outcome.resource->certs);
	outcome_deinit(&outcome);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {bundles,
	                              bundles_are_bounded};

	return run_with_certificates("model/bundles", tests, ARRAY_LEN(tests));
}
