/* SPDX-License-Identifier: Apache-2.0 */
/* Durations: which bound each falls under, the sum, the longest; and the text, with counts that only grow. */
#include "base/durations.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

static struct durations durations;

static uint64_t number_of(const char *text, const char *line)
{
	const char *found = strstr(text, line);

	ck_assert_msg(found != NULL, "%s not in %s", line, text);
	return strtoull(found + strlen(line), NULL, 10);
}

static void format(struct buf *out)
{
	*out = BUF_NULL;
	durations_format(&durations, "x", "Time that it took.", out);
	buf_put_u8(out, 0);
	ck_assert(!out->failed);
}

START_TEST(each_under_its_bound)
{
	static const struct {
		uint64_t ns;
		const char *first; /* the first line that counts it */
		const char *before;
	} cases[] = {
		{0, "le=\"0.0001\"} ", NULL},
		{100000, "le=\"0.0001\"} ", NULL},
		{100001, "le=\"0.0005\"} ", "le=\"0.0001\"} "},
		{10000000, "le=\"0.01\"} ", "le=\"0.005\"} "},
		{10000001, "le=\"0.05\"} ", "le=\"0.01\"} "},
		{10000000001, "le=\"+Inf\"} ", "le=\"10\"} "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out;

		durations = (struct durations){0};
		durations_note(&durations, cases[i].ns);
		format(&out);
		ck_assert_uint_eq(number_of((char *)out.data, cases[i].first), 1);
		if (cases[i].before != NULL)
			ck_assert_uint_eq(number_of((char *)out.data, cases[i].before), 0);
		ck_assert_uint_eq(number_of((char *)out.data, "le=\"+Inf\"} "), 1);
		buf_deinit(&out);
	}
}
END_TEST

START_TEST(sum_and_longest)
{
	struct buf out;

	durations = (struct durations){0};
	durations_note(&durations, 3000000);
	durations_note(&durations, 2500000000);
	durations_note(&durations, 7);
	format(&out);
	ck_assert_ptr_nonnull(strstr((char *)out.data, "\nx_seconds_sum 2.503000007\nx_seconds_count 3\n"));
	ck_assert_ptr_nonnull(strstr((char *)out.data, "\nx_longest_seconds 2.500000000\n"));
	ck_assert_uint_eq(number_of((char *)out.data, "le=\"0.0001\"} "), 1);
	ck_assert_uint_eq(number_of((char *)out.data, "le=\"0.005\"} "), 2);
	ck_assert_uint_eq(number_of((char *)out.data, "le=\"1\"} "), 2);
	ck_assert_uint_eq(number_of((char *)out.data, "le=\"10\"} "), 3);
	ck_assert(strncmp((char *)out.data, "# HELP x_seconds Time that it took.\n# TYPE x_seconds histogram\n", 63) == 0);
	buf_deinit(&out);
}
END_TEST

UNIT_MAIN("base/durations", each_under_its_bound, sum_and_longest)
