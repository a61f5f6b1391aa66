/* SPDX-License-Identifier: Apache-2.0 */
#include "model/findings.h"

#include "unit.h"

#include <string.h>

START_TEST(keeps_and_counts)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;

	findings_add(&findings, FINDING_ERROR, "one", "/a", "number %d", 1);
	findings_add(&findings, FINDING_WARNING, "two", "", "plain");
	ck_assert_uint_eq(findings.count, 2);
	ck_assert_uint_eq(findings.errors, 1);
	ck_assert_uint_eq(findings.warnings, 1);
	ck_assert_str_eq(findings.items[0].detail, "number 1");
	ck_assert_str_eq(findings.items[1].pointer, "");
	findings_make_strict(&findings);
	ck_assert_uint_eq(findings.errors, 2);
	ck_assert_uint_eq(findings.warnings, 0);
	ck_assert_int_eq(findings.items[1].severity, FINDING_ERROR);
}
END_TEST

START_TEST(an_error_takes_a_warnings_place)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;

	for (int i = 0; i < 150; i++)
		findings_add(&findings, FINDING_WARNING, "warning", "/w", "%d", i);
	ck_assert_uint_eq(findings.count, FINDINGS_MAX);
	for (int i = 0; i < 150; i++)
		findings_add(&findings, FINDING_ERROR, "error", "/e", "%d", i);
	ck_assert_uint_eq(findings.count, FINDINGS_MAX);
	ck_assert_uint_eq(findings.errors, 150);
	ck_assert_uint_eq(findings.warnings, 150);
	for (size_t i = 0; i < findings.count; i++)
		ck_assert_int_eq(findings.items[i].severity, FINDING_ERROR);
	ck_assert_str_eq(findings.items[0].detail, "0");
}
END_TEST

START_TEST(appends_behind_a_prefix)
{
	CLEANUP(findings_deinit) struct findings all = FINDINGS_NULL, more = FINDINGS_NULL;

	for (int i = 0; i < 120; i++)
		findings_add(&more, i == 0 ? FINDING_ERROR : FINDING_WARNING, "x", "/cert", "y");
	findings_add(&all, FINDING_ERROR, "x", "", "y");
	findings_append(&all, "/put/3", &more);
	ck_assert_str_eq(all.items[1].pointer, "/put/3/cert");
	ck_assert_uint_eq(all.errors, 2);
	ck_assert_uint_eq(all.warnings, 119);
	ck_assert_uint_eq(all.count, FINDINGS_MAX);
}
END_TEST

START_TEST(truncates_at_whole_characters)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	char text[600];

	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'a', sizeof(text));
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x92\xa9", 4);
		text[sizeof(text) - 1] = '\0';
		findings_add(&findings, FINDING_ERROR, "x", text, "%s", text);
	}
	for (size_t shift = 0; shift < 4; shift++) {
		ck_assert_uint_eq((strlen(findings.items[shift].pointer) - shift) % 4, 0);
		ck_assert_uint_gt(strlen(findings.items[shift].pointer), 250);
		ck_assert_uint_eq((strlen(findings.items[shift].detail) - shift) % 4, 0);
	}
}
END_TEST

UNIT_MAIN("model/findings", keeps_and_counts, an_error_takes_a_warnings_place, appends_behind_a_prefix,
          truncates_at_whole_characters)
