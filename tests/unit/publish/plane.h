/* SPDX-License-Identifier: Apache-2.0 */
/* A control plane without its API: real store, change engine and publisher in a directory of its own, on one loop. */
#pragma once

#include "base/log.h"
#include "change/change.h"
#include "crypto/crypto.h"
#include "publish/publisher.h"
#include "store/store.h"
#include "unit.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct error test_error;

#define OK(call)                                                                                                       \
	do {                                                                                                               \
		test_error = ERROR_NULL;                                                                                       \
		int ok_code_ = (call);                                                                                         \
		ck_assert_msg(ok_code_ == 0, "%s: %d %s", #call, ok_code_, test_error.text);                                   \
	} while (0)

/* Runs the loop until the condition holds; fails after some seconds. */
#define UNTIL(condition)                                                                                               \
	do {                                                                                                               \
		uint64_t until_start_ = uv_hrtime();                                                                           \
		while (!(condition)) {                                                                                         \
			ck_assert_msg(uv_hrtime() - until_start_ < UINT64_C(15000000000) * unit_patience(), "never: %s", #condition); \
			uv_run(&plane.loop, UV_RUN_ONCE);                                                                          \
		}                                                                                                              \
	} while (0)

static struct {
	char dir[64];
	uv_loop_t loop;
	uv_timer_t alarm; /* keeps UV_RUN_ONCE from sleeping on */
	struct store *store;
	struct change_engine *changes;
	struct publisher *publisher;
	struct store_reader *reader;
	struct store_revision head;
	bool engine_closed, publisher_closed;
	uint32_t ticket_period; /* of the next start; 0: the default */
} plane;

static inline void on_alarm(uv_timer_t *timer)
{
}

/* Lets the loop run for ms. */
static inline void linger(uint64_t ms)
{
	uint64_t start = uv_hrtime();

	while (uv_hrtime() - start < ms * 1000000)
		uv_run(&plane.loop, UV_RUN_ONCE);
}

static inline void on_commit(const struct change_commit *commit, void *owner)
{
	plane.head = commit->head;
	if (plane.publisher != NULL)
		publisher_announce(plane.publisher, commit);
}

static inline void plane_start(bool new_epoch, uint32_t heartbeat_seconds)
{
	struct store_config store_config = {.dir = plane.dir, .new_epoch = new_epoch, .trust_domain = "test.example"};
	struct change_config change_config = {
		.loop = &plane.loop, .limits = {.rsa_bits_max = 4096}, .on_commit = on_commit};
	struct publisher_config config = {.loop = &plane.loop, .host = "127.0.0.1", .heartbeat_seconds = heartbeat_seconds,
	                                  .ticket_period_seconds = plane.ticket_period};

	plane.engine_closed = plane.publisher_closed = false;
	OK(store_open(&store_config, &plane.store, &test_error));
	OK(store_reader_open(plane.store, &plane.reader, &test_error));
	OK(store_head(plane.reader, &plane.head, &test_error));
	change_config.store = config.store = plane.store;
	OK(change_engine_start(&change_config, &plane.changes, &test_error));
	config.changes = plane.changes;
	OK(publisher_start(&config, &plane.publisher, &test_error));
}

static inline void on_publisher_closed(void *owner)
{
	plane.publisher_closed = true;
}

static inline void on_engine_closed(void *owner)
{
	plane.engine_closed = true;
}

static inline void plane_stop(void)
{
	publisher_close(plane.publisher, on_publisher_closed, NULL);
	UNTIL(plane.publisher_closed);
	plane.publisher = NULL;
	change_engine_close(plane.changes, on_engine_closed);
	UNTIL(plane.engine_closed);
	store_reader_close(plane.reader);
	store_close(plane.store);
}

static inline void plane_setup(void)
{
	OK(crypto_init(&test_error));
	OK(log_set_level(getenv("TEST_LOG") != NULL ? getenv("TEST_LOG") : "error", &test_error));
	snprintf(plane.dir, sizeof(plane.dir), "/tmp/tlsplane-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(plane.dir));
	uv_loop_init(&plane.loop);
	uv_timer_init(&plane.loop, &plane.alarm);
	uv_timer_start(&plane.alarm, on_alarm, 50, 50);
	plane_start(false, 10);
}

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	return remove(path);
}

static inline void plane_teardown(void)
{
	plane_stop();
	uv_close((uv_handle_t *)&plane.alarm, NULL);
	while (uv_run(&plane.loop, UV_RUN_DEFAULT) != 0)
		;
	ck_assert_int_eq(uv_loop_close(&plane.loop), 0);
	nftw(plane.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Changes. -------------------------------------------------------------------------------------------------------- */

struct changed {
	bool done;
	struct revision revision; /* what stands by it */
	json_t *answer;
	char selectors[4][64];
	size_t selectors_len;
};

static inline void on_changed(const struct change_result *result, void *context)
{
	struct changed *changed = context;

	ck_assert_msg(result->code == 0, "change: %s %s", result->error.text,
	              result->findings.count > 0 ? result->findings.items[0].detail : "");
	changed->revision = result->standing;
	changed->answer = result->answer == NULL ? NULL : json_incref(result->answer);
	for (size_t i = 0; i < result->selectors_len && i < ARRAY_LEN(changed->selectors); i++)
		snprintf(changed->selectors[changed->selectors_len++], 64, "%s", result->selectors[i]);
	changed->done = true;
}

/* json NULL: a deletion. The answer, if kept, is the caller's. */
static inline struct changed change(enum change_op op, enum kind kind, const char *id, const char *json)
{
	struct change_request *request = change_request_new(1);
	struct changed changed = {0};

	ck_assert_ptr_nonnull(request);
	request->items[0].op = op;
	request->items[0].kind = kind;
	snprintf(request->items[0].id, sizeof(request->items[0].id), "%s", id);
	if (json != NULL) {
		request->items[0].document = json_loads(json, 0, NULL);
		ck_assert_ptr_nonnull(request->items[0].document);
	}
	snprintf(request->actor, sizeof(request->actor), "test");
	change_submit(plane.changes, request, on_changed, &changed);
	UNTIL(changed.done);
	return changed;
}

static inline struct changed put_upstream(const char *id, const char *selector, unsigned port)
{
	char json[512];
	struct changed changed;

	snprintf(json, sizeof(json), "{\"nodes\": {\"127.0.0.1:%u\": 1}, \"selector\": %s}", port, selector);
	changed = change(CHANGE_PUT, KIND_UPSTREAM, id, json);
	json_decref(changed.answer);
	changed.answer = NULL;
	return changed;
}

static inline struct changed delete_upstream(const char *id)
{
	return change(CHANGE_DELETE, KIND_UPSTREAM, id, NULL);
}

/* Runs the tests, each with a plane of its own. */
static inline int plane_main(const char *name, const TTest *const *tests)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, plane_setup, plane_teardown);
	for (; *tests != NULL; tests++)
		tcase_add_test(tcase, *tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
