/* SPDX-License-Identifier: Apache-2.0 */
/* Findings with the name of their item; agents with their reason; nothing raw. */
#include "ctl/problem_text.h"

#include "unit.h"

static void put_item(struct buf *out, size_t index, void *context)
{
	if (index == 3)
		buf_put_str(out, "ssls/shop (shop.json)");
}

static void check(const char *json, problem_item_fn *item, const char *expected)
{
	json_t *document = json_loads(json, 0, NULL);
	struct buf out = BUF_NULL;

	ck_assert_ptr_nonnull(document);
	problem_put(&out, document, item, NULL);
	ck_assert_str_eq(buf_cstr(&out) != NULL ? (const char *)out.data : "", expected);
	buf_deinit(&out);
	json_decref(document);
}

START_TEST(findings)
{
	static const char one[] =
		"{\"errors\": [{\"code\": \"key-mismatch\", \"pointer\": \"/3/value/key\", "
		"\"detail\": \"wrong \\u001b\", \"index\": 3}]}";

	check(one, put_item, "  error: ssls/shop (shop.json) /key wrong \\x1b (key-mismatch)\n");
	check(one, NULL, "  error: /3/value/key wrong \\x1b (key-mismatch)\n");
	check("{\"errors\": [{\"code\": \"c\", \"pointer\": \"/9/id\", \"detail\": \"d\", \"index\": 9}], \"omitted\": 7}", put_item,
	      "  error: /9/id d (c)\n  and 7 more\n");
	check("{\"warnings\": [{\"code\": \"expired\", \"pointer\": \"\", \"detail\": \"d\"}]}", put_item, "  warning: d (expired)\n");
	check("{\"errors\": [{\"code\": \"failed\", \"pointer\": \"/3/if_match\", \"detail\": \"d\", \"index\": 3}]}", put_item,
	      "  error: ssls/shop (shop.json) d (failed)\n");
}
END_TEST

START_TEST(agents)
{
	check("{\"agents\": [{\"id\": \"a\", \"state\": \"pending\", \"reason\": \"no answer yet\"},"
	      "{\"id\": \"b\", \"state\": \"acked\"}]}", NULL,
	      "  agent a: pending, no answer yet\n  agent b: acked\n");
	check("{\"agents\": [{\"id\": \"a\", \"state\": \"degraded\", \"objects\": [{\"kind\": \"listeners\", \"id\": \"l\","
	      "\"reason\": \"taken\\u0007\"}]}]}", NULL, "  agent a: degraded\n    listeners/l: taken\\x07\n");
}
END_TEST

START_TEST(what_was_seen)
{
	check("{\"agents\": [{\"id\": \"a\", \"state\": \"not-served\", \"names\": [{\"listener\": \"l\", \"sni\": \"x.test\","
	      "\"key_type\": \"rsa\", \"expected\": \"01\", \"seen\": null, \"reason\": \"refused\"}]},"
	      "{\"count\": 3, \"state\": \"served\"}]}",
	      NULL, "  agent a: not-served\n    \"x.test\" on l, rsa: expected 01, seen -, refused\n  agents, 3: served\n");
}
END_TEST

START_TEST(names_by_rights)
{
	check("{\"names\": {\"changed\": 2, \"checked\": 1, \"shadowed\": [\"a.test\\u001b\"], \"superseded\": ["
	      "{\"listener\": \"l\", \"sni\": \"\", \"key_type\": \"rsa\", \"revision\": \"1-9\"}]}}",
	      NULL,
	      "  warning: a.test\\x1b is answered by another object or a route\n  \"\" on l: changed again by revision 1-9\n");
}
END_TEST

START_TEST(what_is_no_problem)
{
	check("{}", put_item, "");
	check("{\"errors\": 5, \"agents\": \"x\"}", put_item, "");
}
END_TEST

UNIT_MAIN("ctl/problem_text", findings, agents, what_was_seen, names_by_rights, what_is_no_problem)
