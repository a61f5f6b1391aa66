/* SPDX-License-Identifier: Apache-2.0 */
/* States in the store's place: found by id and by name; and the names that patterns stand for. */
#include "model/body.h"
#include "view/leaves.h"
#include "view/overlay.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A row that owns its body. */
static struct store_row make_row(const char *id, const char *a, const char *b, bool enabled)
{
	Tlsplane__Ssl ssl = TLSPLANE__SSL__INIT;
	char *names[] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b};
	struct store_row row = {.row_id = 1};

	ssl.snis = names;
	ssl.n_snis = b != NULL ? 2 : 1;
	row.memory = malloc(protobuf_c_message_get_packed_size(&ssl.base));
	row.state.object.kind = KIND_SSL;
	row.state.object.id = id;
	row.state.object.body = BYTES(row.memory, protobuf_c_message_pack(&ssl.base, row.memory));
	row.state.enabled = enabled;
	return row;
}

static void add(struct view_overlay *overlay, const char *id, const char *a, const char *b, bool enabled)
{
	struct store_row row = make_row(id, a, b, enabled);

	ck_assert_int_eq(view_overlay_add(overlay, KIND_SSL, id, &row, NULL), 0);
	ck_assert_ptr_null(row.memory); /* taken over */
}

static int collect(const struct store_row *row, void *context)
{
	strcat(context, row->state.object.id);
	return 0;
}

static int stop(const struct store_row *row, void *context)
{
	return E_NOMEM;
}

START_TEST(test_finds)
{
	CLEANUP(view_overlay_deinit) struct view_overlay overlay = {0};
	char found[16] = "";

	add(&overlay, "c", "x.test", "y.test", true);
	add(&overlay, "a", "x.test", NULL, true);
	add(&overlay, "b", "x.test", NULL, false);
	ck_assert_int_eq(view_overlay_add(&overlay, KIND_SSL, "gone", NULL, NULL), 0);
	ck_assert_int_eq(view_overlay_sort(&overlay, NULL), 0);

	ck_assert_str_eq(view_overlay_find(&overlay, KIND_SSL, "c")->row.state.object.id, "c");
	ck_assert_ptr_null(view_overlay_find(&overlay, KIND_SSL, "gone")->row.memory);
	ck_assert_ptr_null(view_overlay_find(&overlay, KIND_SSL, "d"));
	ck_assert_ptr_null(view_overlay_find(&overlay, KIND_ROUTE, "c"));
	ck_assert_ptr_null(view_overlay_find(NULL, KIND_SSL, "c"));

	ck_assert_int_eq(view_overlay_each(&overlay, KIND_SSL, "x.test", collect, found), 0);
	ck_assert(strcmp(found, "ac") == 0 || strcmp(found, "ca") == 0); /* the disabled one is in nobody's holding */
	found[0] = 0;
	ck_assert_int_eq(view_overlay_each(&overlay, KIND_SSL, "y.test", collect, found), 0);
	ck_assert_str_eq(found, "c");
	ck_assert_int_eq(view_overlay_each(&overlay, KIND_ROUTE, "y.test", collect, found), 0);
	ck_assert_int_eq(view_overlay_each(&overlay, KIND_SSL, "z.test", collect, found), 0);
	ck_assert_str_eq(found, "c");
	ck_assert_int_eq(view_overlay_each(&overlay, KIND_SSL, "y.test", stop, NULL), E_NOMEM);
}
END_TEST

START_TEST(test_empty)
{
	CLEANUP(view_overlay_deinit) struct view_overlay overlay = {0};

	ck_assert_int_eq(view_overlay_sort(&overlay, NULL), 0);
	ck_assert_ptr_null(view_overlay_find(&overlay, KIND_SSL, "c"));
	ck_assert_int_eq(view_overlay_each(&overlay, KIND_SSL, "x.test", stop, NULL), 0);
}
END_TEST

START_TEST(test_names_of_patterns)
{
	static const char *const rows[][2] = {{"", ""},
	                                      {"x.test", "x.test"},
	                                      {"*.x.test", "tlsplane-probe.x.test"},
	                                      {"**.x.test", "tlsplane-probe.x.test"},
	                                      {"*", "tlsplane-probe.invalid"}};
	char name[NAME_MAX_LEN + 1], longest[NAME_MAX_LEN + 1] = "*.";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert(leaf_make_name(rows[i][0], name));
		ck_assert_str_eq(name, rows[i][1]);
	}
	memset(longest + 2, 'a', NAME_MAX_LEN - 2);
	ck_assert(!leaf_make_name(longest, name));
	ck_assert(leaf_make_name(longest + 2, name));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("view/overlay");
	TCase *tcase = tcase_create("overlay");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, test_finds);
	tcase_add_test(tcase, test_empty);
	tcase_add_test(tcase, test_names_of_patterns);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
