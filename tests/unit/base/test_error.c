/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "unit.h"

#include <errno.h>
#include <string.h>

START_TEST(table_is_whole)
{
	for (int code = E_NOMEM; code < E_LAST_; code++) {
		ck_assert_ptr_nonnull(error_name(code));
		ck_assert_ptr_nonnull(error_title(code));
		ck_assert_int_ge(error_http_status(code), 400);
		ck_assert_int_le(error_http_status(code), 599);
		for (int other = E_NOMEM; other < code; other++)
			ck_assert_str_ne(error_name(code), error_name(other));
	}
	ck_assert(error_is_retryable(E_RATE));
	ck_assert(!error_is_retryable(E_INVALID));
}
END_TEST

START_TEST(set_fills_and_returns)
{
	struct error err = ERROR_NULL;

	ck_assert_int_eq(error_set(&err, E_IO, "open %s", "x"), E_IO);
	ck_assert_int_eq(err.code, E_IO);
	ck_assert_str_eq(err.text, "open x");
	ck_assert_ptr_nonnull(strstr(err.file, "test_error.c"));
	ck_assert_int_eq(error_set(NULL, E_BUSY, "nobody listens"), E_BUSY);
	ck_assert_int_eq(error_nomem(&err), E_NOMEM);
}
END_TEST

START_TEST(prefix_keeps_the_code)
{
	struct error err = ERROR_NULL;

	error_set(&err, E_SYNTAX, "line %d", 3);
	ck_assert_int_eq(error_prefix(&err, E_SYNTAX, "file %s", "a"), E_SYNTAX);
	ck_assert_str_eq(err.text, "file a: line 3");
	ck_assert_int_eq(error_prefix(NULL, E_SYNTAX, "file"), E_SYNTAX);
}
END_TEST

START_TEST(long_texts_are_cut)
{
	struct error err = ERROR_NULL;
	char text[2048];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	error_set(&err, E_IO, "%s", text);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	error_prefix(&err, E_IO, "%s", text);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
}
END_TEST

START_TEST(errno_maps)
{
	ck_assert_int_eq(error_from_errno(ENOSPC), E_NOSPACE);
	ck_assert_int_eq(error_from_errno(EDQUOT), E_NOSPACE);
	ck_assert_int_eq(error_from_errno(ENOENT), E_NOT_FOUND);
	ck_assert_int_eq(error_from_errno(ENOMEM), E_NOMEM);
	ck_assert_int_eq(error_from_errno(EACCES), E_IO);
}
END_TEST

UNIT_MAIN("base/error", table_is_whole, set_fills_and_returns, prefix_keeps_the_code, long_texts_are_cut, errno_maps)
