/* SPDX-License-Identifier: Apache-2.0 */
/* Holdings over a table of selectors filled by hand; and every allocation of theirs failing once. */
#include "publish/holding.h"

#include "crypto/crypto.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The linker sends the layer's allocations here (-Wl,--wrap). */
static long allocations_left = -1; /* -1: never fails */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool fails_now(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return fails_now() ? NULL : __real_realloc(memory, size);
}

static struct error err;
static struct selector_table table;
static struct holding holding;

/* As a refresh would. A reference stays with the test: objects 0 must not make it go. */
static struct selector *set(const char *text, uint64_t objects, uint64_t revision)
{
	struct selector *selector = selector_table_find(&table, text);

	if (selector == NULL)
		selector = selector_table_ref(&table, text);
	ck_assert_ptr_nonnull(selector);
	selector->steady_from = selector->changed;
	selector->steady_until = selector->changed == 0 ? 0 : table.head.revision.number;
	selector->objects = objects;
	selector->changed = revision;
	memset(selector->digest.bytes, 0, DIGEST_LEN);
	selector->digest.bytes[0] = objects > 0;
	selector->digest.bytes[31] = (uint8_t)revision;
	table.head.revision = (struct revision){1, revision};
	return selector;
}

static void setup(void)
{
	ck_assert_int_eq(crypto_init(&err), 0);
	ck_assert_int_eq(selector_table_init(&table, &err), 0);
	holding = HOLDING_NULL;
}

static void teardown(void)
{
	holding_deinit(&holding, &table);
	selector_table_deinit(&table);
}

static enum holding_act need(const char *text)
{
	for (size_t i = 0; i < holding.len; i++) {
		if (strcmp(holding.items[i].selector->text, text) == 0)
			return holding_item_need(&holding.items[i]);
	}
	return HOLDING_KEEP;
}

static void bring_up_to_date(void)
{
	holding_plan(&holding, &table);
	holding_commit(&holding, table.head.revision.number);
	ck_assert(holding_is_current(&holding));
}

START_TEST(test_labels_choose)
{
	set("", 3, 1);
	set("env=prod", 1, 2);
	set("env=prod,zone=a", 1, 3);
	set("env=test", 1, 4);
	set("zone=a", 0, 5);
	ck_assert_int_eq(holding_relabel(&holding, &table, "env=prod,zone=a", &err), 0);
	ck_assert_uint_eq(holding.len, 3);
	ck_assert_int_eq(need(""), HOLDING_WHOLE);
	ck_assert_int_eq(need("env=prod"), HOLDING_WHOLE);
	ck_assert_int_eq(need("env=prod,zone=a"), HOLDING_WHOLE);
	bring_up_to_date();

	ck_assert_int_eq(holding_relabel(&holding, &table, "env=test", &err), 0);
	ck_assert_int_eq(need(""), HOLDING_KEEP);
	ck_assert_int_eq(need("env=prod"), HOLDING_DROP);
	ck_assert_int_eq(need("env=test"), HOLDING_WHOLE);
	bring_up_to_date();
	ck_assert_uint_eq(holding.len, 4); /* what was just dropped is remembered */
	ck_assert(holding_item_is_concerned(&holding.items[1], 5) && !holding_item_is_concerned(&holding.items[1], 6));
	bring_up_to_date();
	ck_assert_uint_eq(holding.len, 2);
}
END_TEST

START_TEST(test_change)
{
	struct selector *all = set("", 3, 10);

	ck_assert_int_eq(holding_relabel(&holding, &table, "", &err), 0);
	bring_up_to_date();
	set("", 4, 12);
	ck_assert_int_eq(need(""), HOLDING_DELTA);
	ck_assert(holding_has_news(&holding, 11) && !holding_has_news(&holding, 12));

	holding_plan(&holding, &table);
	set("", 5, 14); /* while it is on its way */
	holding_commit(&holding, 12);
	ck_assert_int_eq(need(""), HOLDING_DELTA);
	ck_assert_uint_eq(holding.items[0].since, 12);
	holding_plan(&holding, &table);
	holding_cancel(&holding);
	ck_assert_uint_eq(holding.items[0].since, 12);
	ck_assert(holding_doubt(&holding, ""));
	ck_assert_int_eq(need(""), HOLDING_WHOLE);
	ck_assert(!holding_doubt(&holding, "env=prod"));
	bring_up_to_date();

	all->objects = 0;
	all->changed = 15;
	ck_assert_int_eq(need(""), HOLDING_DROP);
	bring_up_to_date();
	bring_up_to_date();
	ck_assert_uint_eq(holding.len, 0);
}
END_TEST

START_TEST(test_steady)
{
	struct selector *all = set("", 3, 10);

	table.head.revision.number = 19;
	set("", 4, 20);
	ck_assert_uint_eq(selector_steady_since(all, 10), 10);
	ck_assert_uint_eq(selector_steady_since(all, 15), 10);
	ck_assert_uint_eq(selector_steady_since(all, 19), 10);
	ck_assert_uint_eq(selector_steady_since(all, 9), 9);
	ck_assert_uint_eq(selector_steady_since(all, 20), 20);
}
END_TEST

static void report(const char *selector, const struct digest *digest, uint64_t base, int expected)
{
	Tlsplane__SelectorDigest value = TLSPLANE__SELECTOR_DIGEST__INIT, *list[] = {&value};

	value.selector = (char *)selector;
	value.digest = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)digest->bytes};
	ck_assert_int_eq(holding_report(&holding, &table, list, 1, base, &err), expected);
}

START_TEST(test_report)
{
	struct selector *all = set("", 3, 10), *prod = set("env=prod", 1, 11);
	struct digest other = {{9}};

	report("", &all->digest, 0, 0);
	report("env=prod", &other, 0, 0);
	report("gone=yes", &other, 7, 0);
	report("none=here", &DIGEST_NULL, 7, 0);
	report("b=1,a=2", &other, 7, E_PROTOCOL);
	ck_assert_int_eq(holding_relabel(&holding, &table, "env=prod", &err), 0);
	ck_assert_uint_eq(holding.len, 3);
	ck_assert_int_eq(need(""), HOLDING_KEEP); /* equal digests, whatever the revision */
	ck_assert_int_eq(need("env=prod"), HOLDING_WHOLE);
	ck_assert_int_eq(need("gone=yes"), HOLDING_DROP);
	holding_deinit(&holding, &table);
	ck_assert_ptr_null(selector_table_find(&table, "gone=yes"));

	report("env=prod", &other, 7, 0);
	ck_assert_int_eq(holding_relabel(&holding, &table, "env=prod", &err), 0);
	ck_assert_int_eq(need("env=prod"), HOLDING_DELTA);
	ck_assert_uint_eq(prod->refs, 2);
}
END_TEST

START_TEST(test_equal)
{
	Tlsplane__SelectorDigest a = TLSPLANE__SELECTOR_DIGEST__INIT, b = TLSPLANE__SELECTOR_DIGEST__INIT;
	Tlsplane__SelectorDigest *both[] = {&a, &b}, *twice[] = {&a, &a};
	struct holding_digests *digests;

	a.selector = (char *)"";
	a.digest = (ProtobufCBinaryData){DIGEST_LEN, set("", 3, 10)->digest.bytes};
	b.selector = (char *)"env=prod";
	b.digest = (ProtobufCBinaryData){DIGEST_LEN, set("env=prod", 1, 11)->digest.bytes};
	ck_assert_int_eq(holding_relabel(&holding, &table, "env=prod", &err), 0);
	bring_up_to_date();
	digests = holding_digests_new(&holding);
	ck_assert_uint_eq(digests->len, 2);
	ck_assert(holding_is_equal(&holding, digests->list, digests->len));
	free(digests);
	ck_assert(holding_is_equal(&holding, both, 2));
	ck_assert(!holding_is_equal(&holding, both, 1));
	ck_assert(!holding_is_equal(&holding, twice, 2));
	holding_doubt_unequal(&holding, both, 1);
	ck_assert_int_eq(need(""), HOLDING_KEEP);
	ck_assert_int_eq(need("env=prod"), HOLDING_WHOLE);
}
END_TEST

static int exercise(void)
{
	static const struct digest digest = {{1}};
	Tlsplane__SelectorDigest value = TLSPLANE__SELECTOR_DIGEST__INIT, *list[] = {&value};
	int rc;

	value.selector = (char *)"old=1";
	value.digest = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)digest.bytes};
	rc = holding_report(&holding, &table, list, 1, 3, &err);
	return rc == 0 ? holding_relabel(&holding, &table, "a=1,b=2,c=3,d=4,e=5", &err) : rc;
}

START_TEST(test_no_memory)
{
	static const char *const texts[] = {"", "a=1", "b=2", "c=3", "d=4", "e=5"};
	long count = 0;
	int rc = E_NOMEM;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		set(texts[i], 1, i + 1);
	for (; rc == E_NOMEM; count++) {
		ck_assert_int_lt(count, 100);
		holding_deinit(&holding, &table);
		allocations_left = count;
		rc = exercise();
		allocations_left = -1;
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_int_gt(count, 3);
	ck_assert_uint_eq(holding.len, 7);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_labels_choose, test_change, test_steady,
	                              test_report,        test_equal,  test_no_memory};
	Suite *suite = suite_create("holding");
	TCase *tcase = tcase_create("holding");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
