/* SPDX-License-Identifier: Apache-2.0 */
#include "model/selector.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(makes_canonical_text)
{
	const char *keys[] = {"zone", "app", "app-2"}, *values[] = {"eu", "web", "x_1.2"};
	struct error err = ERROR_NULL;
	char *selector = NULL;

	ck_assert_int_eq(selector_make(keys, values, 3, &selector, &err), 0);
	ck_assert_str_eq(selector, "app=web,app-2=x_1.2,zone=eu");
	ck_assert_int_eq(selector_check(selector, &err), 0);
	free(selector);
	ck_assert_int_eq(selector_make(NULL, NULL, 0, &selector, &err), 0);
	ck_assert_str_eq(selector, "");
	free(selector);
}
END_TEST

START_TEST(refuses_what_is_outside_the_grammar)
{
	static const char *const words[] = {"", "a,b", "a=b", "a b", "ä", "a\n", "a/b"};
	char longest[65], *selector = NULL;
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		ck_assert_int_eq(selector_make((const char *[]){words[i]}, (const char *[]){"v"}, 1, &selector, &err),
		                 E_SYNTAX);
		ck_assert_int_eq(selector_make((const char *[]){"k"}, (const char *[]){words[i]}, 1, &selector, &err),
		                 E_SYNTAX);
	}
	ck_assert_int_eq(selector_make((const char *[]){"k", "k"}, (const char *[]){"v", "w"}, 2, &selector, &err),
	                 E_SYNTAX);
	memset(longest, 'a', 64);
	longest[64] = '\0';
	ck_assert_int_eq(selector_make((const char *[]){longest}, (const char *[]){"v"}, 1, &selector, &err), E_SYNTAX);
	longest[63] = '\0';
	ck_assert_int_eq(selector_make((const char *[]){longest}, (const char *[]){longest}, 1, &selector, &err), 0);
	free(selector);
}
END_TEST

START_TEST(bounds_the_conditions)
{
	char words[17][8], *selector = NULL, many[512] = "";
	const char *keys[17];
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < 17; i++) {
		snprintf(words[i], sizeof(words[i]), "k%02zu", i);
		keys[i] = words[i];
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%s%s=v", i > 0 ? "," : "", words[i]);
	}
	ck_assert_int_eq(selector_make(keys, keys, 17, &selector, &err), E_SYNTAX);
	ck_assert_int_eq(selector_check(many, &err), E_SYNTAX);
	ck_assert_int_eq(selector_make(keys, keys, 16, &selector, &err), 0);
	ck_assert_uint_le(strlen(selector), SELECTOR_MAX);
	free(selector);
}
END_TEST

START_TEST(checks_foreign_text)
{
	static const char *const bad[] = {"a",       "a=",      "=b",    ",",        "a=b,",       ",a=b",  "a=b,,c=d",
	                                  "b=1,a=2", "a=1,a=2", "a=b=c", "a=b, c=d", "a=\xc3\xa4", "a=b\n", "a=b,c"};
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(selector_check(bad[i], &err) == E_SYNTAX, "%s", bad[i]);
	ck_assert_int_eq(selector_check("", &err), 0);
	ck_assert_int_eq(selector_check("a=b", &err), 0);
	ck_assert_int_eq(selector_check("a=b,a.b=c", &err), 0);
}
END_TEST

START_TEST(matches_labels)
{
	ck_assert(selector_is_match("", ""));
	ck_assert(selector_is_match("", "a=1"));
	ck_assert(selector_is_match("a=1", "a=1"));
	ck_assert(selector_is_match("b=2", "a=1,b=2,c=3"));
	ck_assert(selector_is_match("a=1,c=3", "a=1,b=2,c=3"));
	ck_assert(!selector_is_match("a=1", ""));
	ck_assert(!selector_is_match("a=1", "a=11"));
	ck_assert(!selector_is_match("a=11", "a=1"));
	ck_assert(!selector_is_match("a=1", "aa=1"));
	ck_assert(!selector_is_match("aa=1", "a=1"));
	ck_assert(!selector_is_match("d=4", "a=1,b=2,c=3"));
	ck_assert(!selector_is_match("a=1,b=3", "a=1,b=2"));
	ck_assert(!selector_is_match("a=1,d=1", "a=1,b=2,c=3"));
}
END_TEST

START_TEST(knows_subsets_and_exclusion)
{
	ck_assert(selector_is_within("a=1,b=2", "a=1"));
	ck_assert(selector_is_within("a=1", ""));
	ck_assert(selector_is_within("a=1", "a=1"));
	ck_assert(!selector_is_within("", "a=1"));
	ck_assert(!selector_is_within("a=1", "a=1,b=2"));
	ck_assert(selector_is_exclusive("a=1", "a=2"));
	ck_assert(selector_is_exclusive("a=1,b=1,c=1", "b=2"));
	ck_assert(!selector_is_exclusive("a=1", "b=2"));
	ck_assert(!selector_is_exclusive("", "a=1"));
	ck_assert(!selector_is_exclusive("a=1,b=2", "b=2,c=3"));
}
END_TEST

/* Every set of labels over three keys and two values, against every selector: the three questions by brute force. */
static void combination(unsigned number, char text[32])
{
	text[0] = '\0';
	for (int key = 0; key < 3; key++, number /= 3)
		if (number % 3 != 0)
			sprintf(text + strlen(text), "%s%c=%u", text[0] != '\0' ? "," : "", "abc"[key], number % 3);
}

START_TEST(agrees_with_brute_force)
{
	char left[32], right[32], labels[32];

	for (unsigned i = 0; i < 27; i++) {
		for (unsigned k = 0; k < 27; k++) {
			bool both = false, within = true;

			combination(i, left);
			combination(k, right);
			for (unsigned l = 0; l < 27; l++) {
				combination(l, labels);
				both = both || (selector_is_match(left, labels) && selector_is_match(right, labels));
				within = within && (!selector_is_match(left, labels) || selector_is_match(right, labels));
			}
			ck_assert_msg(selector_is_exclusive(left, right) == !both, "%s | %s", left, right);
			ck_assert_msg(selector_is_within(left, right) == within, "%s | %s", left, right);
		}
	}
}
END_TEST

static void collect(struct bytes key, struct bytes value, void *context)
{
	char *text = context;

	sprintf(text + strlen(text), "<%.*s:%.*s>", (int)key.len, (const char *)key.data, (int)value.len,
	        (const char *)value.data);
}

START_TEST(visits_each_condition)
{
	char text[128] = "";

	selector_each("a=1,b=22", collect, text);
	ck_assert_str_eq(text, "<a:1><b:22>");
	text[0] = '\0';
	selector_each("", collect, text);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(reads_labels_from_json)
{
	struct error err = ERROR_NULL;
	char *labels = NULL;

	ck_assert_int_eq(selector_from_labels("{\"b\":\"2\",\"a\":\"1\"}", &labels, &err), 0);
	ck_assert_str_eq(labels, "a=1,b=2");
	free(labels);
	ck_assert_int_eq(selector_from_labels(NULL, &labels, &err), 0);
	ck_assert_str_eq(labels, "");
	free(labels);
	ck_assert_int_eq(selector_from_labels("{\"a\":1}", &labels, &err), E_SYNTAX);
	ck_assert_int_eq(selector_from_labels("{\"a\":", &labels, &err), E_SYNTAX);
	ck_assert_int_eq(selector_from_labels("{\"a\":\"b c\"}", &labels, &err), E_SYNTAX);
}
END_TEST

UNIT_MAIN("model/selector", makes_canonical_text, refuses_what_is_outside_the_grammar, bounds_the_conditions,
          checks_foreign_text, matches_labels, knows_subsets_and_exclusion, agrees_with_brute_force,
          visits_each_condition, reads_labels_from_json)
