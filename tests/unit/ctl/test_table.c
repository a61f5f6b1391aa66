/* SPDX-License-Identifier: Apache-2.0 */
/* Columns: as wide as what stands in them, counted in characters. */
#include "ctl/table.h"

#include "ctl/text.h"
#include "ctl/views.h"
#include "unit.h"

#include <string.h>

static void put(struct table *table, const char *text)
{
	struct buf cell = BUF_NULL;

	text_put_cstr(&cell, text);
	table_put(table, &cell);
	buf_deinit(&cell);
}

START_TEST(aligns)
{
	struct table table = TABLE(3);
	struct buf out = BUF_NULL;

	table_put_cstr(&table, "ID");
	table_put_cstr(&table, "NAME");
	table_put_cstr(&table, "LAST");
	put(&table, "long-id");
	put(&table, "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc");
	put(&table, "x");
	put(&table, "");
	put(&table, "\x1b[m");
	put(&table, "y");
	ck_assert_int_eq(table_print(&table, &out), 0);
	ck_assert_str_eq(buf_cstr(&out), "ID       NAME    LAST\n"
	                                 "long-id  \xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc   x\n"
	                                 "-        \\x1b[m  y\n");
	buf_deinit(&out);
	table_deinit(&table);
}
END_TEST

/* Each kind that the API lists has a view, under all its spellings, and none is empty. */
START_TEST(views)
{
	static const char *const words[] = {"ssls", "ssl", "tls-options", "tls_options", "upstream-tls", "agents",
	                                    "join-tokens", "tokens", "revisions"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const struct view *view = view_find(words[i]);
		struct table table;

		ck_assert_msg(view != NULL, "%s", words[i]);
		table = view_begin(view);
		ck_assert_uint_gt(table.columns, 2);
		table_deinit(&table);
	}
	ck_assert_str_eq(view_collection(view_find("tls-option")), "tls_options");
	ck_assert_ptr_null(view_find("ss"));
	ck_assert_ptr_null(view_find(""));
	ck_assert_ptr_null(view_find("sslsx"));
}
END_TEST

static const char *row_of(const char *kind, const char *json, struct buf *out)
{
	const struct view *view = view_find(kind);
	struct table table = view_begin(view);
	json_t *item = json_loads(json, 0, NULL);
	struct error err = ERROR_NULL;

	ck_assert_ptr_nonnull(item);
	ck_assert_int_eq(view_put_row(view, &table, item, &err), 0);
	ck_assert_int_eq(table_print(&table, out), 0);
	table_deinit(&table);
	json_decref(item);
	return strchr(buf_cstr(out), '\n') + 1;
}

START_TEST(rows)
{
	static const struct {
		const char *kind, *json, *has;
	} cases[] = {
	    {"ssls", "{\"id\": \"a\", \"sni\": \"x.test\", \"status\": 0}", "x.test"},
	    {"ssls", "{\"id\": \"a\", \"snis\": [\"x\", \"y\"], \"status\": 0}", "x,y"},
	    {"ssls", "{\"id\": \"a\", \"status\": 0}", "off"},
	    {"ssls", "{\"id\": \"a\", \"x509\": {\"not_after\": \"2026-11-21T08:24:50Z\"}}", "2026-11-21 08:24:50Z"},
	    {"agents", "{\"id\": \"a\", \"connected\": true, \"behind\": false, \"degraded\": []}", " ok "},
	    {"agents", "{\"id\": \"a\", \"connected\": true, \"degraded\": [{}], \"degraded_more\": 4}", "degraded (5)"},
	    {"agents", "{\"id\": \"a\", \"connected\": true, \"behind\": true}", "behind"},
	    {"agents", "{\"id\": \"a\", \"connected\": true, \"behind\": true, \"last_nack\": {}}", "refused"},
	    {"agents", "{\"id\": \"a\", \"connected\": false}", "away"},
	    {"agents", "{\"id\": \"a\", \"diverged\": true}", "diverged"},
	    {"tokens", "{\"id\": \"a\", \"scope\": {\"sni_suffixes\": [\"*.a\"]}}", "*.a"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = BUF_NULL;
		const char *row = row_of(cases[i].kind, cases[i].json, &out);

		ck_assert_msg(strstr(row, cases[i].has) != NULL, "%s: %s", cases[i].json, row);
		buf_deinit(&out);
	}
}
END_TEST

UNIT_MAIN("ctl/table", aligns, views, rows)
