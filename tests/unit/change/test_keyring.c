/* SPDX-License-Identifier: Apache-2.0 */
/* The rotation by the engine: begun by a job, ended by the writer thread between changes, gone on with after a restart, kept waiting by a
 * reader without keeping changes waiting. */
#include "fixture.h"

#include "store/store_write.h"

struct rotated {
	bool done;
	int code;
	uint32_t id;
};

static void on_rotated(const struct change_rotated *result, void *context)
{
	struct rotated *rotated = context;

	ck_assert(!rotated->done);
	*rotated = (struct rotated){true, result->code, result->id};
}

static struct rotated rotate(void)
{
	const struct change_caller caller = {"tester", "request", "here"};
	struct rotated rotated = {0};

	OK(change_rotate_keyring(test_engine, &caller, NULL, on_rotated, &rotated, &test_error));
	wait_done(&rotated.done);
	return rotated;
}

static size_t keys_now(uint64_t *ret_left)
{
	struct store_key keys[KEYRING_KEYS_MAX];
	size_t len = 0;

	OK(store_list_keys(test_reader, keys, KEYRING_KEYS_MAX, &len, &test_error));
	*ret_left = len > 1 ? keys[0].seals : 0;
	return len;
}

/* Until one key is left, or for so many milliseconds; the loop turns meanwhile. */
static bool is_over_within(unsigned milliseconds)
{
	uint64_t left;

	for (unsigned i = 0; i < milliseconds; i++) {
		if (keys_now(&left) == 1)
			return true;
		uv_run(&test_loop, UV_RUN_NOWAIT);
		uv_sleep(1);
	}
	return false;
}

static void fill(unsigned count)
{
	CLEANUP(pair_deinit) struct made_pair pair = make_ec_pair("a.test");

	for (unsigned i = 0; i < count; i++) {
		CLEANUP(outcome_deinit) struct outcome outcome = {0};
		char id[16];

		snprintf(id, sizeof(id), "s%u", i);
		outcome = put_ssl(id, &pair, "a.test", true, NULL);
		ACCEPTED(outcome);
	}
}

START_TEST(rotates_by_itself)
{
	uint64_t head;
	struct rotated rotated;
	char trouble[CHANGE_TROUBLE_MAX];

	fill(100);
	head = head_number();
	rotated = rotate();
	ck_assert_int_eq(rotated.code, 0);
	ck_assert_uint_eq(rotated.id, 2);
	must(CHANGE_PUT, KIND_UPSTREAM, "u", "{\"nodes\": {\"127.0.0.1:1\": 1}}");
	ck_assert(is_over_within(10000));
	ck_assert_uint_eq(head_number(), head + 1);
	change_keyring_trouble(test_engine, trouble);
	ck_assert_str_eq(trouble, "");
	rotated = rotate();
	ck_assert_int_eq(rotated.code, 0);
	ck_assert_uint_eq(rotated.id, 3);
	ck_assert(is_over_within(10000));
}
END_TEST

START_TEST(waits_for_a_reader_and_lets_changes_pass)
{
	CLEANUP(store_reader_close) struct store_reader *reader = NULL;
	struct store_revision head;
	struct rotated rotated;
	char trouble[CHANGE_TROUBLE_MAX];
	uint64_t left = 1;

	fill(3);
	OK(store_reader_open(test_store, &reader, &test_error));
	OK(store_begin(reader, &test_error));
	OK(store_head(reader, &head, &test_error));
	ck_assert_int_eq(rotate().code, 0);
	ck_assert(!is_over_within(300));
	ck_assert_uint_eq(keys_now(&left), 2);
	ck_assert_uint_eq(left, 0);
	change_keyring_trouble(test_engine, trouble);
	ck_assert_ptr_nonnull(strstr(trouble, "reads"));
	rotated = rotate();
	ck_assert_int_eq(rotated.code, E_CONFLICT);
	must(CHANGE_PUT, KIND_UPSTREAM, "u", "{\"nodes\": {\"127.0.0.1:1\": 1}}");
	store_end(reader);
	ck_assert(is_over_within(15000));
}
END_TEST

START_TEST(goes_on_after_a_restart)
{
	uint64_t left = 0;

	fill(200);
	ck_assert_int_eq(rotate().code, 0);
	stop_engine(); /* 64 at a time, with pauses: not over by then */
	start_engine();
	ck_assert(keys_now(&left) == 2 || left == 0);
	ck_assert(is_over_within(10000));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keyring");
	TCase *tcase = tcase_create("keyring");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, rotates_by_itself);
	tcase_add_test(tcase, waits_for_a_reader_and_lets_changes_pass);
	tcase_add_test(tcase, goes_on_after_a_restart);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
