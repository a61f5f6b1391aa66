/* SPDX-License-Identifier: Apache-2.0 */
/* The main of a Check program: UNIT_MAIN("base/error", first_test, second_test). CK_FORK=no in the environment keeps it in one process. */
#pragma once

#include <check.h>
#include <stddef.h>
#include <stdlib.h>

#define UNIT_TIMEOUT 60 /* seconds for one test, sanitizers included */

/* What Check multiplies its limits by (tests/run.sh tsan): for those that a test sets itself. */
static inline unsigned unit_patience(void)
{
	const char *text = getenv("CK_TIMEOUT_MULTIPLIER");

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 1;
}

/* Takes the suite over; what a main returns. For programs that loop a test over a table. */
static inline int unit_run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

static inline int unit_run(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *cases = tcase_create(name);

	tcase_set_timeout(cases, UNIT_TIMEOUT);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(cases, tests[i]);
	suite_add_tcase(suite, cases);
	return unit_run_suite(suite);
}

#define UNIT_MAIN(name, ...)                                                                                           \
	int main(void)                                                                                                     \
	{                                                                                                                  \
		const TTest *const tests[] = {__VA_ARGS__};                                                                    \
                                                                                                                       \
		return unit_run(name, tests, sizeof(tests) / sizeof(tests[0]));                                                \
	}
