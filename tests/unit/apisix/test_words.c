/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals and objects in that API's form. */
#include "apisix/words.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

static const struct row {
	const char *code, *pointer, *detail;
	size_t skip;
	const char *text;
	bool same;
} rows[] = {
	{"invalid-pem", "/cert", "x", 0, "failed to parse cert: PEM_read_bio_X509_AUX() failed", true},
	{"invalid-key", "/key", "x", 0, "failed to parse key: PEM_read_bio_PrivateKey() failed", true},
	{"invalid-pem", "/certs/1", "x", 0,
     "failed to handle cert-key pair[2]: failed to parse cert: PEM_read_bio_X509_AUX() failed", true},
	{"invalid-key", "/keys/0", "x", 0,
     "failed to handle cert-key pair[1]: failed to parse key: PEM_read_bio_PrivateKey() failed", true},
	{"invalid-pem", "/client/ca", "x", 0, "failed to validate client_cert: failed to parse cert: PEM_read_bio_X509_AUX() failed", true},
	{"mismatched-keys", "/keys", "x", 0, "mismatched number of certs and keys", true},
	{"key-required", "/cert", "x", 0, "invalid configuration: then clause did not match", true},
	{"key-required", "/certs/0", "x", 0, "mismatched number of certs and keys", true},
	{"missing-field", "/client/ca", "x", 0,
     "invalid configuration: property \"client\" validation failed: property \"ca\" is required", true},
	{"missing-field", "/cert", "x", 0, "invalid configuration: property \"cert\" is required", true},
	{"unknown-field", "/client/x", "unknown field; known here: ...", 0,
     "invalid configuration: property \"client\" validation failed: additional properties forbidden, found x", true},
	{"unknown-field", "/fqdn", "is \"sni\" here", 0, "invalid configuration: property \"fqdn\" validation failed: is \"sni\" here", false},
	{"invalid-value", "/snis/2", "bad", 0,
     "invalid configuration: property \"snis\" validation failed: failed to validate item 3: bad", false},
	{"key-mismatch", "/ssls/4/key", "no", 7, "invalid configuration: property \"key\" validation failed: no", false},
	{"conflict", "", "other", 0, "invalid configuration: other", false},
	{"conflict", "/x", "other", 99, "invalid configuration: other", false},
};

START_TEST(words_findings)
{
	struct finding finding = {.severity = FINDING_ERROR, .code = rows[_i].code};
	char text[WORDS_MAX];

	strcpy(finding.pointer, rows[_i].pointer);
	strcpy(finding.detail, rows[_i].detail);
	ck_assert_int_eq(words_of_finding(&finding, rows[_i].skip, text), rows[_i].same);
	ck_assert_str_eq(text, rows[_i].text);
}
END_TEST

/* As long as a finding can be, and no longer than there is room. */
START_TEST(words_long_findings)
{
	struct finding finding = {.severity = FINDING_ERROR, .code = "invalid-value"};
	char text[WORDS_MAX];

	for (size_t i = 0; i + 2 < sizeof(finding.pointer); i += 2)
		memcpy(finding.pointer + i, "/a", 3);
	memset(finding.detail, 'x', sizeof(finding.detail) - 1);
	(void)words_of_finding(&finding, 0, text);
	ck_assert_uint_eq(strlen(text), WORDS_MAX - 1);
}
END_TEST

START_TEST(says_details_where_there_is_more)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct problem problem = {.status = 422, .name = "invalid", .title = "Invalid", .detail = "2 errors", .findings = &findings};
	json_t *document;

	findings_add(&findings, FINDING_WARNING, "expired", "/cert", "old");
	findings_add(&findings, FINDING_ERROR, "invalid-key", "/key", "x");
	document = words_of_problem(&problem);
	ck_assert_uint_eq(json_object_size(document), 1);
	ck_assert_str_eq(json_string_value(json_object_get(document, "error_msg")),
	                 "failed to parse key: PEM_read_bio_PrivateKey() failed");
	json_decref(document);
	findings_add(&findings, FINDING_ERROR, "invalid-value", "/desc", "x");
	document = words_of_problem(&problem);
	ck_assert_uint_eq(json_array_size(json_object_get(document, "details")), 2);
	json_decref(document);
	problem = (struct problem){.status = 503, .name = "x", .title = "Unavailable"};
	document = words_of_problem(&problem);
	ck_assert_str_eq(json_string_value(json_object_get(document, "error_msg")), "Unavailable");
	json_decref(document);
}
END_TEST

START_TEST(strips_objects)
{
	static const char text[] = "{\"id\": \"a\", \"type\": \"server\", \"status\": 1, \"sni\": \"x\", \"uid\": \"0\", \"version\": 3, "
							   "\"x509\": {}, \"x509_more\": [], \"warnings\": [], "
							   "\"create_time\": 5, \"update_time\": 6, \"priority\": 2}";
	struct object_view object = {.uid = uid_make(1, 7, 0), .version = 9};
	json_t *read = words_read(json_loads(text, 0, NULL), &object), *written;
	char *dumped = json_dumps(read, JSON_COMPACT | JSON_SORT_KEYS);

	ck_assert_str_eq(dumped, "{\"createdIndex\":7,\"key\":\"/apisix/ssls/a\",\"modifiedIndex\":9,\"value\":{\"create_time\":5,\"id\":\"a\","
							 "\"priority\":2,\"sni\":\"x\",\"update_time\":6}}");
	free(dumped);
	json_decref(read);
	written = words_written(json_loads("{\"id\": \"a\", \"type\": \"client\", \"status\": 0, \"warnings\": [1]}", 0, NULL));
	dumped = json_dumps(written, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(dumped, "{\"key\":\"/apisix/ssls/a\",\"value\":{\"id\":\"a\",\"status\":0,\"type\":\"client\"},\"warnings\":[1]}");
	free(dumped);
	json_decref(written);
}
END_TEST

START_TEST(changes_statuses)
{
	ck_assert_int_eq(words_status(422), 400);
	ck_assert_int_eq(words_status(409), 400);
	ck_assert_int_eq(words_status(413), 400);
	ck_assert_int_eq(words_status(404), 404);
	ck_assert_int_eq(words_status(503), 503);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("apisix/words");
	TCase *tests = tcase_create("all");

	tcase_add_loop_test(tests, words_findings, 0, (int)ARRAY_LEN(rows));
	tcase_add_test(tests, words_long_findings);
	tcase_add_test(tests, says_details_where_there_is_more);
	tcase_add_test(tests, strips_objects);
	tcase_add_test(tests, changes_statuses);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run_suite(suite());
}
