/* SPDX-License-Identifier: Apache-2.0 */
#include "model/kind.h"

#include "channel.pb-c.h"

#include "unit.h"

#include <string.h>

START_TEST(finds_by_number_and_by_word)
{
	for (size_t i = 0; i < kind_table_len; i++) {
		ck_assert_ptr_eq(kind_find(kind_table[i].kind), &kind_table[i]);
		ck_assert_ptr_eq(kind_find_collection(kind_table[i].collection), &kind_table[i]);
		ck_assert_ptr_nonnull(kind_table[i].body);
		ck_assert(kind_table[i].travels == (kind_table[i].kind < 64));
	}
	ck_assert_ptr_null(kind_find(0));
	ck_assert_ptr_null(kind_find(8));
	ck_assert_ptr_null(kind_find(UINT32_MAX));
	ck_assert_ptr_null(kind_find_collection("route"));
	ck_assert_ptr_null(kind_find_collection("SSLS"));
	ck_assert_ptr_null(kind_find_collection(""));
}
END_TEST

START_TEST(numbers_are_those_of_the_channel)
{
	ck_assert_int_eq(KIND_SSL, TLSPLANE__KIND__SSL);
	ck_assert_int_eq(KIND_TLS_OPTIONS, TLSPLANE__KIND__TLS_OPTIONS);
	ck_assert_int_eq(KIND_LISTENER, TLSPLANE__KIND__LISTENER);
	ck_assert_int_eq(KIND_UPSTREAM, TLSPLANE__KIND__UPSTREAM);
	ck_assert_int_eq(KIND_CA_BUNDLE, TLSPLANE__KIND__CA_BUNDLE);
	ck_assert_int_eq(KIND_ROUTE, TLSPLANE__KIND__ROUTE);
	ck_assert_int_eq(KIND_UPSTREAM_TLS, TLSPLANE__KIND__UPSTREAM_TLS);
}
END_TEST

START_TEST(ids_follow_their_grammar)
{
	static const char *const good[] = {"a", "0", "_", "A.b-c_d", "a..", "x-", "default"};
	static const char *const bad[] = {"", ".", "-a", ".a", "a/b", "a b", "a\n", "ä", "a~", "a\x7f", "a:b"};
	char longest[ID_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(kind_is_id(good[i], strlen(good[i])), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!kind_is_id(bad[i], strlen(bad[i])), "%s", bad[i]);
	ck_assert(kind_is_id(longest, ID_MAX));
	ck_assert(!kind_is_id(longest, ID_MAX + 1));
	ck_assert(!kind_is_id("a\0b", 3));
}
END_TEST

UNIT_MAIN("model/kind", finds_by_number_and_by_word, numbers_are_those_of_the_channel, ids_follow_their_grammar)
