/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters, cursors, revisions, ids, entity tags. */
#include "api/query.h"

#include <check.h>
#include <string.h>

/* `timeout` comes with `wait`, without which it is refused. */
static int parse(const char *name, const char *value, enum query_set takes, struct query *ret)
{
	const struct query_parameter parameters[] = {{name, value}, {"wait", "acked"}};
	size_t count = strcmp(name, "timeout") == 0 ? 2 : 1;
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	int r = query_parse(parameters, count, takes, &findings, ret, &err);

	ck_assert_uint_eq(findings.errors, r < 0 ? 1u : 0u);
	if (r < 0)
		ck_assert_ptr_nonnull(strstr(findings.items[0].detail, name));
	return r;
}

START_TEST(takes_known_parameters)
{
	struct query query;

	ck_assert_int_eq(parse("strict", "true", QUERY_WRITE, &query), 0);
	ck_assert(query.strict);
	ck_assert_uint_eq(query.timeout_seconds, QUERY_WAIT_SECONDS);
	ck_assert_int_eq(parse("wait", "acked", QUERY_WRITE, &query), 0);
	ck_assert(query.wait && !query.strict);
	ck_assert_int_eq(parse("timeout", "300", QUERY_WRITE, &query), 0);
	ck_assert_uint_eq(query.timeout_seconds, 300);
	ck_assert_int_eq(parse("limit", "500", QUERY_PAGE, &query), 0);
	ck_assert_uint_eq(query.limit, 500);
	ck_assert_int_eq(parse("cursor", "1-57-shop.com", QUERY_PAGE, &query), 0);
	ck_assert_uint_eq(query.cursor.revision.epoch, 1);
	ck_assert_uint_eq(query.cursor.revision.number, 57);
	ck_assert_str_eq(query.cursor.after, "shop.com");
}
END_TEST

START_TEST(refuses_timeout_without_wait)
{
	static const struct query_parameter alone = {"timeout", "5"};
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	struct query query;

	ck_assert_int_eq(query_parse(&alone, 1, QUERY_WRITE, &findings, &query, &err), E_SYNTAX);
	ck_assert_uint_eq(findings.errors, 1);
	ck_assert_ptr_nonnull(strstr(findings.items[0].detail, "\"wait\""));
}
END_TEST

START_TEST(dry_run_does_not_wait)
{
	static const struct query_parameter both[] = {{"dry_run", "true"}, {"wait", "acked"}};
	static const struct query_parameter neither[] = {{"dry_run", "false"}, {"wait", "acked"}};
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	struct query query;

	ck_assert_int_eq(parse("dry_run", "true", QUERY_WRITE, &query), 0);
	ck_assert(query.dry_run);
	ck_assert_int_eq(parse("dry_run", "1", QUERY_WRITE, &query), E_SYNTAX);
	ck_assert_int_eq(query_parse(neither, 2, QUERY_WRITE, &findings, &query, &err), 0);
	ck_assert(query.wait && !query.dry_run);
	ck_assert_int_eq(query_parse(both, 2, QUERY_WRITE, &findings, &query, &err), E_SYNTAX);
	ck_assert_uint_eq(findings.errors, 1);
}
END_TEST

/* agent and listener come with it, without which nothing is resolved. */
static int parse_handshake(const char *name, const char *value, struct query *ret)
{
	const struct query_parameter parameters[] = {{"agent", "edge-1"}, {"listener", "https"}, {name, value}};
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;

	return query_parse(parameters, 3, QUERY_RESOLVE, &findings, ret, &err);
}

START_TEST(reads_a_handshake)
{
	struct query query;
	const struct query_handshake *handshake = &query.handshake;

	ck_assert_int_eq(parse_handshake("sni", "A b\xff", &query), 0);
	ck_assert_str_eq(handshake->agent, "edge-1");
	ck_assert_str_eq(handshake->listener, "https");
	ck_assert_str_eq(handshake->sni, "A b\xff");
	ck_assert_uint_eq(handshake->alpn_len, 0);
	ck_assert_uint_eq(handshake->client_ip.len, 0);
	ck_assert_int_eq(parse_handshake("alpn", "h2,http/1.1,x", &query), 0);
	ck_assert_uint_eq(handshake->alpn_len, 3);
	ck_assert_str_eq(handshake->alpn_text + handshake->alpn[0], "h2");
	ck_assert_str_eq(handshake->alpn_text + handshake->alpn[2], "x");
	ck_assert_int_eq(parse_handshake("client_ip", "::ffff:10.0.0.1", &query), 0);
	ck_assert_uint_eq(handshake->client_ip.len, 4);
}
END_TEST

START_TEST(refuses_bad_handshakes)
{
	static const struct query_parameter bad[] = {{"sni", ""},          {"alpn", ""},
	                                             {"alpn", "h2,"},      {"alpn", "a b"},
	                                             {"alpn", "h2,\x7f"},  {"client_ip", ""},
	                                             {"client_ip", "1.2"}, {"client_ip", "10.0.0.0/8"},
	                                             {"agent", "again"},   {"snni", "x"},
	                                             {"strict", "true"},   {"limit", "5"}};
	struct query query = {.limit = 7};
	char text[QUERY_SNI_MAX + 2], many[2 * QUERY_ALPN_MAX + 3];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(parse_handshake(bad[i].name, bad[i].value, &query) == E_SYNTAX, "%s=%s", bad[i].name, bad[i].value);
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	ck_assert_int_eq(parse_handshake("sni", text, &query), E_SYNTAX);
	ck_assert_int_eq(parse_handshake("sni", text + 1, &query), 0);
	ck_assert_int_eq(parse_handshake("alpn", text, &query), E_SYNTAX);
	ck_assert_int_eq(parse_handshake("alpn", text + 1, &query), E_SYNTAX); /* one name of 512 bytes */
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 2 == 0 ? 'a' : ',';
	many[2 * QUERY_ALPN_MAX + 1] = 0;
	ck_assert_int_eq(parse_handshake("alpn", many, &query), E_SYNTAX);
	many[2 * QUERY_ALPN_MAX - 1] = 0;
	ck_assert_int_eq(parse_handshake("alpn", many, &query), 0);
	ck_assert_uint_eq(query.handshake.alpn_len, QUERY_ALPN_MAX);
}
END_TEST

START_TEST(names_what_is_missing)
{
	static const struct query_parameter alone = {"sni", "a.test"};
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	struct query query;

	ck_assert_int_eq(query_parse(&alone, 1, QUERY_RESOLVE, &findings, &query, &err), E_SYNTAX);
	ck_assert_uint_eq(findings.errors, 2);
	ck_assert_ptr_nonnull(strstr(findings.items[0].detail, "\"agent\""));
	ck_assert_ptr_nonnull(strstr(findings.items[1].detail, "\"listener\""));
}
END_TEST

START_TEST(refuses_all_else)
{
	static const struct {
		const char *name, *value;
		enum query_set takes;
	} bad[] = {{"strict", "yes", QUERY_WRITE},  {"strict", "", QUERY_WRITE},
	           {"wait", "serve", QUERY_WRITE}, {"timeout", "0", QUERY_WRITE},
	           {"timeout", "301", QUERY_WRITE}, {"timeout", "1s", QUERY_WRITE},
	           {"timeout", "-1", QUERY_WRITE},  {"limit", "501", QUERY_PAGE},
	           {"limit", "0", QUERY_PAGE},      {"limit", " 5", QUERY_PAGE},
	           {"limit", "", QUERY_PAGE},       {"cursor", "", QUERY_PAGE},
	           {"cursor", "1-2-", QUERY_PAGE},  {"cursor", "1-2-.x", QUERY_PAGE},
	           {"cursor", "1--x", QUERY_PAGE},  {"cursor", "99999999999999999999-1-a", QUERY_PAGE},
	           {"limit", "5", QUERY_WRITE},     {"strict", "true", QUERY_PAGE},
	           {"strict", "true", QUERY_NONE},  {"stict", "true", QUERY_WRITE}};
	struct query query = {.limit = 7};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(parse(bad[i].name, bad[i].value, bad[i].takes, &query) == E_SYNTAX, "%s=%s", bad[i].name,
		              bad[i].value);
	ck_assert_uint_eq(query.limit, 7);
}
END_TEST

START_TEST(reports_all_and_never_quotes_raw)
{
	const struct query_parameter parameters[] = {
	    {"a\"<b>", "1"}, {"strict", "true"}, {"strict", "true"}, {"timeout", "x"}};
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	struct query query;

	ck_assert_int_eq(query_parse(parameters, ARRAY_LEN(parameters), QUERY_WRITE, &findings, &query, &err), E_SYNTAX);
	ck_assert_uint_eq(findings.errors, 3);
	ck_assert_ptr_nonnull(strstr(findings.items[0].detail, "a??b?"));
	ck_assert_str_eq(findings.items[1].code, "repeated-parameter");
	ck_assert_str_eq(findings.items[2].code, "bad-parameter");
}
END_TEST

START_TEST(reads_which_revisions)
{
	static const struct query_parameter all[] = {{"after", "2-17"}, {"wait", "30s"}, {"limit", "5"}};
	static const struct query_parameter of_object[] = {{"kind", "ssls"}, {"id", "shop"}, {"actor", "ci"}, {"cursor", "1-9-7"}};
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	struct query query;

	ck_assert_int_eq(query_parse(all, 3, QUERY_PAGE | QUERY_HISTORY, &findings, &query, &err), 0);
	ck_assert(query.history.has_after && query.history.waits && query.history.wait_seconds == 30);
	ck_assert_uint_eq(query.history.after.epoch, 2);
	ck_assert_uint_eq(query.history.after.number, 17);
	ck_assert_int_eq(query_parse(of_object, 4, QUERY_PAGE | QUERY_HISTORY, &findings, &query, &err), 0);
	ck_assert_int_eq(query.history.kind, KIND_SSL);
	ck_assert_str_eq(query.history.id, "shop");
	ck_assert_str_eq(query.history.actor, "ci");
	ck_assert_int_eq(parse("against", "0", QUERY_DIFF, &query), 0);
	ck_assert(query.history.has_against && query.history.against.number == 0);
}
END_TEST

START_TEST(refuses_revisions_that_contradict)
{
	static const struct query_parameter bad[][2] = {
	    {{"kind", "ssls"}, {"limit", "1"}},    {{"id", "shop"}, {"limit", "1"}},   {{"wait", "3s"}, {"limit", "1"}},
	    {{"after", "1"}, {"cursor", "1-9-7"}}, {{"after", "1"}, {"wait", "301s"}}, {{"after", "1"}, {"wait", "s"}},
	    {{"after", "1"}, {"wait", "1ss"}},     {{"after", "1-"}, {"wait", "1"}},   {{"after", "1"}, {"wait", "12345678901234567890"}},
	    {{"kind", "colours"}, {"id", "x"}},
	};
	struct error err = ERROR_NULL;
	struct query query;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;

		ck_assert_msg(query_parse(bad[i], 2, QUERY_PAGE | QUERY_HISTORY, &findings, &query, &err) == E_SYNTAX, "%zu", i);
	}
}
END_TEST

START_TEST(writes_what_it_reads)
{
	struct query_cursor cursor = {{INT64_MAX, INT64_MAX}, ""};
	char text[QUERY_CURSOR_MAX], revision[QUERY_REVISION_MAX];
	struct error err = ERROR_NULL;
	struct revision read;
	struct query query;

	memset(cursor.after, 'x', ID_MAX);
	query_format_cursor(&cursor, text);
	ck_assert_int_eq(parse("cursor", text, QUERY_PAGE, &query), 0);
	ck_assert_str_eq(query.cursor.after, cursor.after);
	ck_assert_int_eq(revision_compare(query.cursor.revision, cursor.revision), 0);
	query_format_revision(cursor.revision, revision);
	ck_assert_int_eq(query_parse_revision(revision, &read, &err), 0);
	ck_assert_int_eq(revision_compare(read, cursor.revision), 0);
	/* beyond what the store holds */
	ck_assert_int_eq(query_parse_revision("1-9223372036854775808", &read, &err), E_SYNTAX);
	ck_assert_int_eq(parse("cursor", "9223372036854775808-1-x", QUERY_PAGE, &query), E_SYNTAX);
	ck_assert_int_eq(parse("after", "9223372036854775807", QUERY_AUDIT, &query), 0);
	ck_assert_int_eq(parse("after", "9223372036854775808", QUERY_AUDIT, &query), E_SYNTAX);
}
END_TEST

START_TEST(reads_revisions)
{
	static const char *const bad[] = {"", "-", "1-", "-1", "1-2-3", "x", "1-x", " 1", "18446744073709551616"};
	struct revision revision = {7, 7};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(query_parse_revision(bad[i], &revision, &err) == E_SYNTAX, "%s", bad[i]);
	ck_assert_uint_eq(revision.epoch, 7);
	ck_assert_int_eq(query_parse_revision("12", &revision, &err), 0);
	ck_assert_uint_eq(revision.epoch, 0);
	ck_assert_uint_eq(revision.number, 12);
}
END_TEST

START_TEST(makes_ids_that_sort_by_time)
{
	char ids[3][ID_MAX + 1];
	struct error err = ERROR_NULL;

	ck_assert_int_eq(query_make_id(1700000000000, ids[0], &err), 0);
	ck_assert_int_eq(query_make_id(1700000000001, ids[1], &err), 0);
	ck_assert_int_eq(query_make_id(1700000000001, ids[2], &err), 0);
	ck_assert_uint_eq(strlen(ids[0]), 26);
	ck_assert(kind_is_id(ids[0], 26));
	ck_assert_int_lt(strcmp(ids[0], ids[1]), 0);
	ck_assert_str_ne(ids[1], ids[2]);
	ck_assert_int_eq(strncmp(ids[1], ids[2], 9), 0); /* 45 of the 48 bits of time */
}
END_TEST

START_TEST(compares_entity_tags)
{
	ck_assert(query_has_etag("*", "\"1-2\""));
	ck_assert(query_has_etag("\"1-2\"", "\"1-2\""));
	ck_assert(query_has_etag("\"9-9\", W/\"1-2\"", "\"1-2\""));
	ck_assert(!query_has_etag("\"1-22\"", "\"1-2\""));
	ck_assert(!query_has_etag("\"x, \\\"1-2\\\"\"", "\"1-3\""));
	ck_assert(!query_has_etag("", "\"1-2\""));
	ck_assert(!query_has_etag("\"", "\"1-2\""));
	ck_assert(!query_has_etag("1-2", "\"1-2\""));
	ck_assert(!query_has_etag(",,, ,", "\"1-2\""));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api/query");
	TCase *cases = tcase_create("query");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, takes_known_parameters);
	tcase_add_test(cases, refuses_timeout_without_wait);
	tcase_add_test(cases, dry_run_does_not_wait);
	tcase_add_test(cases, refuses_all_else);
	tcase_add_test(cases, reads_a_handshake);
	tcase_add_test(cases, refuses_bad_handshakes);
	tcase_add_test(cases, names_what_is_missing);
	tcase_add_test(cases, reports_all_and_never_quotes_raw);
	tcase_add_test(cases, reads_which_revisions);
	tcase_add_test(cases, refuses_revisions_that_contradict);
	tcase_add_test(cases, writes_what_it_reads);
	tcase_add_test(cases, reads_revisions);
	tcase_add_test(cases, makes_ids_that_sort_by_time);
	tcase_add_test(cases, compares_entity_tags);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
