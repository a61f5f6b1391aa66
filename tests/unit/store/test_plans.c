/* SPDX-License-Identifier: Apache-2.0 */
/* How SQLite would run each statement: everything by index, nothing by a scan, so that a write or a delta costs what it
 * changes. */
#include "opened.h"

#include "store/statements.h"
#include "store/writer.h"

START_TEST(test_plan)
{
	const struct statement_text *text = &statement_table[_i];
	sqlite3 *handle = writer->reader.database.handle;
	sqlite3_stmt *plan = NULL;
	char sql[2048];

	ck_assert_ptr_nonnull(text->sql);
	snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", text->sql);
	if (_i <= STMT_SAVEPOINT_RELEASE) /* BEGIN and its like have no plan */
		return;
	ck_assert_msg(sqlite3_prepare_v2(handle, sql, -1, &plan, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(handle));
	while (sqlite3_step(plan) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(plan, 3);
		bool scans = strstr(detail, "SCAN") != NULL && strstr(detail, "SCAN CONSTANT ROW") == NULL &&
		             strstr(detail, "SCAN (subquery") == NULL && strstr(detail, "SCAN SUBQUERY") == NULL;

		ck_assert_msg(!scans || text->reads_all, "%s\nis run as: %s", text->sql, detail);
		/* Sorting is fine where what is sorted is small: states that ended after the revision of a scan. */
		if (_i != STMT_SCAN_SELECTOR)
			ck_assert_msg(strstr(detail, "TEMP B-TREE") == NULL, "%s\nis run as: %s", text->sql, detail);
	}
	sqlite3_finalize(plan);
}
END_TEST

/* A WHERE of an index that compares a column with a constant makes SQLite prepare statements that compare it with a parameter anew,
 * whenever another value is bound: half of what a write costs. */
START_TEST(test_stays_prepared)
{
	sqlite3 *handle = writer->reader.database.handle;
	sqlite3_stmt *statement = NULL;

	if (_i <= STMT_SAVEPOINT_RELEASE)
		return;
	ck_assert_int_eq(sqlite3_exec(handle, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v3(handle, statement_table[_i].sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), SQLITE_OK);
	for (int round = 1; round <= 3; round++) {
		for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++)
			ck_assert_int_eq(sqlite3_bind_int(statement, i, round), SQLITE_OK);
		(void)sqlite3_step(statement); /* a constraint may refuse such values */
		(void)sqlite3_reset(statement);
	}
	ck_assert_msg(sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_REPREPARE, 0) == 0, "%s", statement_table[_i].sql);
	sqlite3_finalize(statement);
	ck_assert_int_eq(sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plans");
	TCase *tcase = tcase_create("plans");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_unchecked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, test_plan, 0, STMT_COUNT_);
	tcase_add_loop_test(tcase, test_stays_prepared, 0, STMT_COUNT_);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
