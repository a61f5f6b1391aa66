/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials against a real store: recognised, refused, limited, expired; refusals in the audit trail; and no act without its row. */
#include "../change/fixture.h"

#include "access/access.h"
#include "change/credentials.h"
#include "store/store_access.h"
#include "store/token.h"
#include "unit.h"

static struct access *test_access;

static void start_access(uint32_t rate)
{
	struct access_config config = {.loop = &test_loop, .rate = rate, .summary_ms = 200};

	engine_setup();
	config.store = test_store;
	config.changes = test_engine;
	OK(access_start(&config, &test_access, &test_error));
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

static void close_access(void)
{
	bool closed = false;

	access_close(test_access, on_closed, &closed);
	wait_done(&closed);
}

static void stop_access(void)
{
	close_access();
	engine_teardown();
}

struct waiting {
	bool done;
	struct error error;
};

static void on_done_error(const struct error *error, void *context)
{
	struct waiting *waiting = context;

	waiting->error = *error;
	waiting->done = true;
}

static const struct change_caller caller = {"tester", "req-1", "127.0.0.1:7"};

/* Returns the code; text: TOKEN_TEXT bytes. */
#define TOKEN_TEXT 128
static int make_token(const char *id, const char *role, const char *scope, uint64_t expires, char text[TOKEN_TEXT])
{
	struct store_token token = {.scope = (char *)(uintptr_t)scope, .created_by = "tester", .create_time = 1, .expire_time = expires};
	CLEANUP(buf_deinit) struct buf made = BUF_NULL;
	struct waiting waiting = {0};

	snprintf(token.id, sizeof(token.id), "%s", id);
	snprintf(token.role, sizeof(token.role), "%s", role);
	OK(token_make(role, &made, token.sha256, &test_error));
	OK(change_create_token(test_engine, &caller, &token, NULL, BYTES(made.data, made.len), on_done_error, &waiting, &test_error));
	wait_done(&waiting.done);
	snprintf(text, TOKEN_TEXT, "%.*s", (int)made.len, (const char *)made.data);
	return waiting.error.code;
}

static int revoke_token(const char *id)
{
	struct waiting waiting = {0};

	OK(change_revoke_token(test_engine, &caller, id, on_done_error, &waiting, &test_error));
	wait_done(&waiting.done);
	return waiting.error.code;
}

static int ask(const char *token, const char *peer, struct identity *ret)
{
	CLEANUP(identity_deinit) struct identity identity = {0};
	struct error error = ERROR_NULL;
	uint32_t retry = 0;
	int r = access_authenticate(test_access, token, peer, &identity, &retry, &error);

	ck_assert(token == NULL || token[0] == 0 || strstr(error.text, token) == NULL);
	ck_assert((r == E_RATE) == (retry > 0));
	if (ret != NULL) {
		*ret = identity;
		ret->scope = NULL; /* goes with ours */
	}
	return r;
}

struct trail {
	unsigned rows;
	char text[8192]; /* "actor|action|outcome;" */
};

static int take_audit(const struct store_audit_row *row, void *context)
{
	struct trail *trail = context;
	size_t used = strlen(trail->text);

	trail->rows++;
	snprintf(trail->text + used, sizeof(trail->text) - used, "%s|%s|%s;", row->actor, row->action, row->outcome);
	return 0;
}

static struct trail read_trail(void)
{
	struct trail trail = {0};

	OK(store_list_audit(test_reader, &(struct store_audit_filter){NULL, NULL}, 0, take_audit, &trail, &test_error));
	return trail;
}

START_TEST(recognises_and_forgets)
{
	char text[TOKEN_TEXT];
	struct identity identity;

	start_access(0);
	ck_assert_int_eq(make_token("ci", "editor", NULL, 0, text), 0);
	ck_assert_int_eq(make_token("ci", "viewer", NULL, 0, (char[TOKEN_TEXT]){0}), E_CONFLICT);
	ck_assert_int_eq(ask(text, "127.0.0.1:1", &identity), 0);
	ck_assert_str_eq(identity.id, "ci");
	ck_assert_int_eq(identity.role, ROLE_EDITOR);
	ck_assert_int_eq(access_check_again(test_access, &identity, &test_error), 0);
	ck_assert_int_eq(ask(NULL, "127.0.0.1:1", NULL), E_UNAUTHENTICATED);
	ck_assert_int_eq(ask("", "127.0.0.1:1", NULL), E_UNAUTHENTICATED);
	text[20] ^= 1;
	ck_assert_int_eq(ask(text, "127.0.0.1:1", NULL), E_UNAUTHENTICATED);
	text[20] ^= 1;
	ck_assert_int_eq(revoke_token("ci"), 0);
	ck_assert_int_eq(revoke_token("ci"), E_NOT_FOUND);
	ck_assert_int_eq(ask(text, "127.0.0.1:1", NULL), E_UNAUTHENTICATED);
	ck_assert_int_eq(access_check_again(test_access, &identity, &test_error), E_UNAUTHENTICATED);
	ck_assert_str_eq(strstr(read_trail().text, "tester"),
	                 "tester|create tokens/ci|ok;tester|create tokens/ci|conflict;"
	                 "tester|delete tokens/ci|ok;tester|delete tokens/ci|not-found;");
	stop_access();
}
END_TEST

START_TEST(scopes_come_along_and_a_bad_one_lets_nobody_in)
{
	CLEANUP(identity_deinit) struct identity identity = {0};
	char text[TOKEN_TEXT];
	uint32_t retry;

	start_access(0);
	ck_assert_int_eq(make_token("scoped", "editor", "{\"sni_suffixes\":[\"a.test\"]}", 0, text), 0);
	OK(access_authenticate(test_access, text, "x", &identity, &retry, &test_error));
	ck_assert_ptr_nonnull(identity.scope);
	ck_assert(scope_covers_name(identity.scope, "x.a.test"));
	ck_assert(!scope_covers_name(identity.scope, "b.test"));
	ck_assert_int_eq(make_token("broken", "editor", "{}", 0, text), 0);
	ck_assert_int_eq(ask(text, "x", NULL), E_CORRUPT);
	ck_assert_int_eq(make_token("odd", "emperor", NULL, 0, text), 0);
	ck_assert_int_eq(ask(text, "x", NULL), E_CORRUPT);
	stop_access();
}
END_TEST

START_TEST(expired_ones_are_unknown)
{
	char text[TOKEN_TEXT];

	start_access(0);
	ck_assert_int_eq(make_token("old", "viewer", NULL, (uint64_t)time(NULL) - 1, text), 0);
	ck_assert_int_eq(ask(text, "127.0.0.1:1", NULL), E_UNAUTHENTICATED);
	ck_assert_int_eq(make_token("young", "viewer", NULL, (uint64_t)time(NULL) + 100, text), 0);
	ck_assert_int_eq(ask(text, "127.0.0.1:1", NULL), 0);
	stop_access();
}
END_TEST

START_TEST(the_last_lasting_admin_stays)
{
	char text[TOKEN_TEXT];

	start_access(0);
	ck_assert_int_eq(revoke_token("admin"), E_CONFLICT);
	ck_assert_int_eq(make_token("passing", "admin", NULL, (uint64_t)time(NULL) + 100, text), 0);
	ck_assert_int_eq(make_token("editor", "editor", NULL, 0, text), 0);
	ck_assert_int_eq(revoke_token("admin"), E_CONFLICT);
	ck_assert_int_eq(make_token("lasting", "admin", NULL, 0, text), 0);
	ck_assert_int_eq(revoke_token("admin"), 0);
	ck_assert_int_eq(revoke_token("passing"), 0);
	ck_assert_int_eq(revoke_token("lasting"), E_CONFLICT);
	stop_access();
}
END_TEST

START_TEST(failures_are_limited_by_source)
{
	char text[TOKEN_TEXT];

	start_access(0);
	ck_assert_int_eq(make_token("good", "viewer", NULL, 0, text), 0);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(ask("wrong", "192.0.2.1:1", NULL), E_UNAUTHENTICATED);
	ck_assert_int_eq(ask("wrong", "192.0.2.1:2", NULL), E_RATE);
	ck_assert_int_eq(ask("wrong", "192.0.2.2:1", NULL), E_UNAUTHENTICATED);
	ck_assert_int_eq(ask(text, "192.0.2.1:1", NULL), 0);
	ck_assert_uint_eq(access_counts(test_access).failed_logins, 12);
	stop_access();
}
END_TEST

START_TEST(requests_are_limited_by_token)
{
	char text[TOKEN_TEXT], other[TOKEN_TEXT];
	unsigned passed = 0;

	start_access(5);
	ck_assert_int_eq(make_token("busy", "viewer", NULL, 0, text), 0);
	ck_assert_int_eq(make_token("calm", "viewer", NULL, 0, other), 0);
	for (int i = 0; i < 100; i++) {
		int r = ask(text, "192.0.2.1:1", NULL);

		ck_assert(r == 0 || r == E_RATE);
		passed += r == 0;
	}
	ck_assert_uint_ge(passed, 10);
	ck_assert_uint_lt(passed, 30);
	ck_assert_int_eq(ask(other, "192.0.2.1:1", NULL), 0);
	stop_access();
}
END_TEST

START_TEST(refusals_are_written_and_summed_up)
{
	struct change_caller nobody = {"", "r", "192.0.2.1:1"};
	struct trail trail;

	start_access(0);
	for (int i = 0; i < 100; i++)
		access_note_refusal(test_access, &nobody, false, "PUT /v1/ssls/x", "unauthenticated");
	access_note_refusal(test_access, &caller, true, "PUT /v1/ssls/x", "forbidden");
	for (int i = 0; i < 100; i++) { /* the timer, then its row */
		usleep(10000);
		uv_run(&test_loop, UV_RUN_NOWAIT);
	}
	trail = read_trail();
	ck_assert_ptr_nonnull(strstr(trail.text, "tester|PUT /v1/ssls/x|forbidden;"));
	ck_assert_ptr_nonnull(strstr(trail.text, "|and 40 more refused requests|refused;"));
	access_note_refusal(test_access, &nobody, false, "PUT /v1/ssls/y", "unauthenticated"); /* a new window */
	close_access();
	ck_assert_ptr_nonnull(strstr(read_trail().text, "|PUT /v1/ssls/y|unauthenticated;"));
	engine_teardown();
}
END_TEST

START_TEST(last_use_is_written_once_a_minute)
{
	CLEANUP(store_token_deinit) struct store_token token = {0};
	char text[TOKEN_TEXT];

	start_access(0);
	ck_assert_int_eq(make_token("used", "viewer", NULL, 0, text), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(ask(text, "192.0.2.1:1", NULL), 0);
	close_access();
	OK(store_get_token(test_reader, "used", &token, &test_error));
	ck_assert_uint_ge(token.used_time + 5, (uint64_t)time(NULL));
	ck_assert_str_eq(token.used_from, "192.0.2.1");
	engine_teardown();
}
END_TEST

UNIT_MAIN("access/access", recognises_and_forgets, scopes_come_along_and_a_bad_one_lets_nobody_in, expired_ones_are_unknown,
          the_last_lasting_admin_stays, failures_are_limited_by_source, requests_are_limited_by_token, refusals_are_written_and_summed_up,
          last_use_is_written_once_a_minute)
