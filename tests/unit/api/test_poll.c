/* SPDX-License-Identifier: Apache-2.0 */
/* A call that waits for a commit, without HTTP: what it holds while it waits. */
#include "api/call.h"
#include "api/poll.h"
#include "api/revisions.h"
#include "crypto/crypto.h"

#include "unit.h"

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64];
static uv_loop_t loop;
static struct api api;

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	return remove(path);
}

static void setup(void)
{
	struct store_config config;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(crypto_init(&err), 0);
	snprintf(dir, sizeof(dir), "/tmp/tlsplane-poll-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	config = (struct store_config){.dir = dir};
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	api = (struct api){.config = {.loop = &loop}};
	ck_assert_msg(store_open(&config, &api.config.store, &err) == 0, "%s", err.text);
	poll_init(&api);
}

static void teardown(void)
{
	uv_close((uv_handle_t *)&api.poll_timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	while (api.idle_len > 0)
		store_reader_close(api.idle[--api.idle_len]);
	store_close(api.config.store);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A commit is announced between the reading of an answer and the wait: it is read again, and what was read first goes. */
START_TEST(test_commit_before_the_wait)
{
	json_t *first = json_object();
	struct call *call;

	setup();
	call = call_new(&api, NULL);
	ck_assert_ptr_nonnull(call);
	api.announced = 1; /* the revision that every store begins with */
	call->query.limit = 1;
	call->query.history.has_after = call->query.history.waits = true;
	call->query.history.after.number = 1;
	call->query.history.wait_seconds = 300;
	call->document = json_incref(first);
	poll_wait(call);
	while (!poll_has_waited(call))
		ck_assert_int_ne(uv_run(&loop, UV_RUN_ONCE), 0);
	ck_assert_uint_eq(first->refcount, 1);
	ck_assert_ptr_ne(call->document, first);
	ck_assert_uint_eq(json_array_size(json_object_get(call->document, "items")), 0);
	json_decref(first);
	call_free(call);
	teardown();
}
END_TEST

UNIT_MAIN("api/poll", test_commit_before_the_wait)
