/* SPDX-License-Identifier: Apache-2.0 */
/* Join tokens, enrolment and its races, renewal, confirmation, labels, revocation. */
#include "fixture.h"

#include "change/engine.h"
#include "channel.pb-c.h"
#include "crypto/authority.h"
#include "model/body.h"

struct enrolled {
	bool done;
	int code;
	char text[768], agent_id[ID_MAX + 1];
	X509 *certificate;
};

static void enrolled_deinit(struct enrolled *enrolled)
{
	X509_free(enrolled->certificate);
}
DEFINE_CLEANUP_VALUE(struct enrolled, enrolled_deinit);

static void on_enrolled(const struct change_enrolled *result, void *context)
{
	struct enrolled *enrolled = context;

	ck_assert(!enrolled->done);
	enrolled->done = true;
	enrolled->code = result->code;
	snprintf(enrolled->text, sizeof(enrolled->text), "%s", result->error.text);
	snprintf(enrolled->agent_id, sizeof(enrolled->agent_id), "%s", result->agent_id);
	if (result->certificate != NULL) {
		X509_up_ref(result->certificate);
		enrolled->certificate = result->certificate;
	}
}

/* A token as its text tells it. */
struct token {
	char id[ID_MAX + 1];
	uint8_t secret_sha256[SHA256_LEN];
};

static size_t decode_base64url(const char *text, size_t len, uint8_t *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned count = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *at = strchr(alphabet, text[i]);

		ck_assert_ptr_nonnull(at);
		bits = bits << 6 | (uint32_t)(at - alphabet);
		count += 6;
		if (count >= 8) {
			count -= 8;
			out[n++] = (uint8_t)(bits >> count);
		}
	}
	return n;
}

static struct token read_token(const json_t *answer)
{
	char text[256], *save = NULL, *part;
	struct token token;
	uint8_t secret[64];

	snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(answer, "token")));
	ck_assert_str_eq(strtok_r(text, ".", &save), "tlsplane1");
	snprintf(token.id, sizeof(token.id), "%s", strtok_r(NULL, ".", &save));
	part = strtok_r(NULL, ".", &save);
	ck_assert_uint_eq(decode_base64url(part, strlen(part), secret), 32);
	OK(crypto_sha256(BYTES(secret, 32), token.secret_sha256, &test_error));
	ck_assert_uint_eq(strlen(strtok_r(NULL, ".", &save)), 64);
	return token;
}

static struct token make_token(const char *text)
{
	CLEANUP(outcome_deinit) struct outcome outcome = change(CHANGE_CREATE, KIND_JOIN_TOKEN, "", text);

	ACCEPTED(outcome);
	return read_token(outcome.answer);
}

static void start_enrol(const struct token *token, EVP_PKEY *key, struct enrolled *enrolled)
{
	struct change_enrol enrol = {.key = key, .source = "127.0.0.1"};

	EVP_PKEY_up_ref(key);
	memcpy(enrol.token_id, token->id, sizeof(enrol.token_id));
	memcpy(enrol.token_secret_sha256, token->secret_sha256, SHA256_LEN);
	OK(key_spki_sha256(key, enrol.spki_sha256, &test_error));
	change_enrol(test_engine, &enrol, on_enrolled, enrolled);
}

static struct enrolled enrol(const struct token *token, EVP_PKEY *key)
{
	struct enrolled enrolled = {0};

	start_enrol(token, key, &enrolled);
	wait_done(&enrolled.done);
	return enrolled;
}

static struct enrolled renew(const char *id, EVP_PKEY *key)
{
	struct enrolled enrolled = {0};

	EVP_PKEY_up_ref(key);
	change_renew(test_engine, id, key, "127.0.0.1", on_enrolled, &enrolled);
	wait_done(&enrolled.done);
	return enrolled;
}

static void confirm(const char *id, EVP_PKEY *key)
{
	uint8_t spki[SHA256_LEN];

	OK(key_spki_sha256(key, spki, &test_error));
	change_confirm_key(test_engine, id, spki);
	while (change_engine_pending(test_engine) > 0)
		uv_run(&test_loop, UV_RUN_ONCE);
}

static EVP_PKEY *new_key(void)
{
	EVP_PKEY *key = NULL;

	OK(key_generate(&key, &test_error));
	return key;
}

/* The keys that the store has for an agent, in order. */
static void assert_keys(const char *id, EVP_PKEY *first, EVP_PKEY *second)
{
	EVP_PKEY *expected[] = {first, second};
	size_t count = second != NULL ? 2 : 1;
	ProtobufCMessage *body = NULL;
	Tlsplane__Agent *agent;
	struct store_row row;
	uint8_t spki[SHA256_LEN];

	OK(store_get(test_reader, KIND_AGENT, id, 0, &row, &test_error));
	OK(body_decode(&tlsplane__agent__descriptor, row.state.object.body, &body, &test_error));
	agent = (Tlsplane__Agent *)body;
	ck_assert_uint_eq(agent->n_keys, count);
	for (size_t i = 0; i < count; i++) {
		OK(key_spki_sha256(expected[i], spki, &test_error));
		ck_assert_mem_eq(agent->keys[i]->spki_sha256.data, spki, SHA256_LEN);
	}
	body_free(body);
	store_row_deinit(&row);
}

START_TEST(test_token)
{
	CLEANUP(outcome_deinit) struct outcome made = change(CHANGE_PUT, KIND_JOIN_TOKEN, "t", "{\"ttl\": 60}");
	CLEANUP(outcome_deinit) struct outcome again = {0}, patched = {0};
	struct store_row row;
	const char *text;

	ACCEPTED(made);
	text = json_string_value(json_object_get(made.answer, "token"));
	ck_assert_int_eq(strncmp(text, "tlsplane1.t.", 12), 0);
	OK(store_get(test_reader, KIND_JOIN_TOKEN, "t", 0, &row, &test_error));
	ck_assert_ptr_null(memmem(row.state.object.body.data, row.state.object.body.len, text + 12, 20));
	store_row_deinit(&row);
	again = change(CHANGE_PUT, KIND_JOIN_TOKEN, "t", "{\"ttl\": 60}");
	REFUSED(E_CONFLICT, "exists", again);
	ck_assert_ptr_null(again.answer);
	patched = change(CHANGE_PATCH, KIND_JOIN_TOKEN, "t", "{\"ttl\": 61}");
	REFUSED(E_METHOD, "not-writable", patched);
	must(CHANGE_DELETE, KIND_JOIN_TOKEN, "t", NULL);
}
END_TEST

START_TEST(test_enrol)
{
	EVP_PKEY *key = new_key(), *other = new_key();
	struct token token = make_token("{\"ttl\": 60, \"labels\": {\"site\": \"a\"}}"), wrong = token, unknown = token;
	CLEANUP(enrolled_deinit) struct enrolled first = {0}, again = {0}, refused = {0};
	enum authority_role role;
	struct store_row row;
	char id[65];

	wrong.secret_sha256[0] ^= 1;
	refused = enrol(&wrong, key);
	ck_assert_int_eq(refused.code, E_FORBIDDEN);
	ck_assert_ptr_nonnull(strstr(refused.text, "wrong secret"));
	snprintf(unknown.id, sizeof(unknown.id), "unknown");
	refused = enrol(&unknown, key);
	ck_assert_int_eq(refused.code, E_FORBIDDEN);

	commit_agents_changed = false;
	first = enrol(&token, key);
	ck_assert_int_eq(first.code, 0);
	ck_assert(commit_agents_changed);
	ck_assert_int_eq(strncmp(first.agent_id, "agent-", 6), 0);
	OK(authority_read_identity(first.certificate, "test.example", &role, id, &test_error));
	ck_assert_int_eq(role, AUTHORITY_AGENT);
	ck_assert_str_eq(id, first.agent_id);
	OK(store_get(test_reader, KIND_AGENT, first.agent_id, 0, &row, &test_error));
	ck_assert_str_eq(row.state.labels, "{\"site\":\"a\"}");
	store_row_deinit(&row);
	assert_keys(first.agent_id, key, NULL);

	again = enrol(&token, key);
	ck_assert_msg(again.code == 0, "%s", again.text);
	ck_assert_str_eq(again.agent_id, first.agent_id);
	assert_keys(first.agent_id, key, NULL);
	refused = enrol(&token, other);
	ck_assert_int_eq(refused.code, E_FORBIDDEN);
	ck_assert_ptr_nonnull(strstr(refused.text, "another key"));

	must(CHANGE_DELETE, KIND_AGENT, first.agent_id, NULL);
	ck_assert(commit_agents_changed);
	refused = enrol(&token, key);
	ck_assert_int_eq(refused.code, E_FORBIDDEN);
	ck_assert_ptr_nonnull(strstr(refused.text, "revoked"));
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}
END_TEST

struct rows {
	size_t count;
	char last[128];
};

static int on_row(const struct store_audit_row *row, void *context)
{
	struct rows *rows = context;

	rows->count++;
	snprintf(rows->last, sizeof(rows->last), "%s", row->action);
	return 0;
}

static struct rows forbidden_rows(void)
{
	const struct store_audit_filter filter = {.outcome = "forbidden"};
	struct rows rows = {0};

	OK(store_list_audit(test_reader, &filter, 0, on_row, &rows, &test_error));
	return rows;
}

/* Whoever reaches the port can be refused as often as it likes; the audit trail, which nothing is ever taken from, grows by little. */
START_TEST(test_strangers)
{
	struct token token = make_token("{\"ttl\": 60}"), wrong = token, unknown = token;
	CLEANUP(enrolled_deinit) struct enrolled first = {0};
	EVP_PKEY *key = new_key(), *other = new_key();
	struct rows rows;

	wrong.secret_sha256[0] ^= 1;
	snprintf(unknown.id, sizeof(unknown.id), "unknown");
	for (int i = 0; i < 75; i++)
		ck_assert_int_eq(enrol(i % 2 == 0 ? &wrong : &unknown, key).code, E_FORBIDDEN);
	ck_assert_uint_eq(forbidden_rows().count, 60);
	first = enrol(&token, key);
	ck_assert_int_eq(first.code, 0);
	ck_assert_int_eq(enrol(&token, other).code, E_FORBIDDEN); /* this token is one of ours */
	ck_assert_uint_eq(forbidden_rows().count, 61);

	test_engine->strangers.since -= UINT64_C(61) * 1000000000; /* the writer sleeps */
	ck_assert_int_eq(enrol(&wrong, key).code, E_FORBIDDEN);
	rows = forbidden_rows();
	ck_assert_uint_eq(rows.count, 63);
	ck_assert_int_eq(strncmp(rows.last, "enrol ", 6), 0);
	ck_assert_uint_eq(test_engine->strangers.left_out, 0);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}
END_TEST

START_TEST(test_expired_token)
{
	struct token token = make_token("{\"ttl\": 1}");
	CLEANUP(enrolled_deinit) struct enrolled refused = {0};
	EVP_PKEY *key = new_key();

	sleep(2);
	refused = enrol(&token, key);
	ck_assert_int_eq(refused.code, E_FORBIDDEN);
	ck_assert_ptr_nonnull(strstr(refused.text, "expired"));
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(test_fixed_id)
{
	struct token one = make_token("{\"ttl\": 60, \"agent_id\": \"edge-1\"}"),
				 two = make_token("{\"ttl\": 60, \"agent_id\": \"edge-1\"}");
	CLEANUP(enrolled_deinit) struct enrolled first = {0}, second = {0};
	EVP_PKEY *key = new_key(), *other = new_key();

	first = enrol(&one, key);
	ck_assert_int_eq(first.code, 0);
	ck_assert_str_eq(first.agent_id, "edge-1");
	second = enrol(&two, other);
	ck_assert_int_eq(second.code, E_FORBIDDEN);
	must(CHANGE_DELETE, KIND_AGENT, "edge-1", NULL);
	must_fail(E_INVALID, "agent-id-used /agent_id", CHANGE_CREATE, KIND_JOIN_TOKEN, "",
	          "{\"ttl\": 60, \"agent_id\": \"edge-1\"}");
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}
END_TEST

/* Two keys, one token, at the same time: exactly one wins, every time. */
START_TEST(test_race)
{
	EVP_PKEY *keys[2] = {new_key(), new_key()};

	for (int round = 0; round < 250; round++) {
		struct token token = make_token("{\"ttl\": 600}");
		struct enrolled results[4] = {0};
		int won[2] = {0, 0};

		for (int i = 0; i < 4; i++) /* each key twice */
			start_enrol(&token, keys[i % 2], &results[i]);
		for (int i = 0; i < 4; i++) {
			wait_done(&results[i].done);
			won[i % 2] += results[i].code == 0;
			if (results[i].code != 0)
				ck_assert_int_eq(results[i].code, E_FORBIDDEN);
			enrolled_deinit(&results[i]);
		}
		ck_assert(won[0] + won[1] == 2 && (won[0] == 0 || won[1] == 0));
	}
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
}
END_TEST

START_TEST(test_renew)
{
	struct token token = make_token("{\"ttl\": 60}");
	EVP_PKEY *first = new_key(), *second = new_key(), *third = new_key();
	CLEANUP(enrolled_deinit) struct enrolled enrolled = enrol(&token, first);
	CLEANUP(enrolled_deinit) struct enrolled once = renew(enrolled.agent_id, second);
	CLEANUP(enrolled_deinit) struct enrolled twice = {0}, old = {0}, gone = {0};
	const char *id = enrolled.agent_id;

	ck_assert_int_eq(once.code, 0);
	assert_keys(id, first, second);
	confirm(id, first); /* the older connecting drops nothing */
	assert_keys(id, first, second);
	twice = renew(id, third); /* the one in between never connected */
	ck_assert_int_eq(twice.code, 0);
	assert_keys(id, first, third);
	confirm(id, second);
	assert_keys(id, first, third);
	confirm(id, third);
	assert_keys(id, third, NULL);
	confirm(id, third);
	assert_keys(id, third, NULL);
	old = enrol(&token, first);
	ck_assert_int_eq(old.code, E_FORBIDDEN);
	ck_assert_ptr_nonnull(strstr(old.text, "newer key"));
	must(CHANGE_DELETE, KIND_AGENT, id, NULL);
	gone = renew(id, second);
	ck_assert_int_eq(gone.code, E_FORBIDDEN);
	EVP_PKEY_free(first);
	EVP_PKEY_free(second);
	EVP_PKEY_free(third);
}
END_TEST

START_TEST(test_labels)
{
	struct token token = make_token("{\"ttl\": 60, \"labels\": {\"site\": \"a\"}}");
	EVP_PKEY *key = new_key();
	CLEANUP(enrolled_deinit) struct enrolled enrolled = enrol(&token, key);
	CLEANUP(outcome_deinit) struct outcome patched = {0};
	struct store_row row;

	commit_agents_changed = false;
	patched = change(CHANGE_PATCH, KIND_AGENT, enrolled.agent_id, "{\"labels\": {\"rack\": \"7\", \"site\": null}}");
	ACCEPTED(patched);
	ck_assert(patched.changed && commit_agents_changed);
	ck_assert_str_eq(patched.selectors, "");
	OK(store_get(test_reader, KIND_AGENT, enrolled.agent_id, 0, &row, &test_error));
	ck_assert_str_eq(row.state.labels, "{\"rack\":\"7\"}");
	store_row_deinit(&row);
	assert_keys(enrolled.agent_id, key, NULL);
	must_fail(E_INVALID, "/nonsense", CHANGE_PATCH, KIND_AGENT, enrolled.agent_id, "{\"nonsense\": 1}");
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(test_status)
{
	struct token token = make_token("{\"ttl\": 60}");
	EVP_PKEY *key = new_key();
	CLEANUP(enrolled_deinit) struct enrolled enrolled = enrol(&token, key);
	struct store_agent_status status = {.last_seen = 1, .report = (char *)"{}"}, got = {0};

	snprintf(status.id, sizeof(status.id), "%s", enrolled.agent_id);
	for (uint64_t i = 1; i <= 100; i++) {
		status.last_seen = i;
		change_agent_status(test_engine, &status);
	}
	for (int i = 0; i < 300 && store_get_agent_status(test_reader, status.id, &got, &test_error) != 0; i++)
		usleep(10000);
	ck_assert_uint_eq(got.last_seen, 100);
	store_agent_status_deinit(&got);
	status.last_seen = 200; /* written by the close */
	change_agent_status(test_engine, &status);
	stop_engine();
	start_engine();
	OK(store_get_agent_status(test_reader, status.id, &got, &test_error));
	ck_assert_uint_eq(got.last_seen, 200);
	store_agent_status_deinit(&got);
	EVP_PKEY_free(key);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agents");
	TCase *tcase = tcase_create("agents");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, engine_setup, engine_teardown);
	tcase_add_test(tcase, test_token);
	tcase_add_test(tcase, test_enrol);
	tcase_add_test(tcase, test_strangers);
	tcase_add_test(tcase, test_expired_token);
	tcase_add_test(tcase, test_fixed_id);
	tcase_add_test(tcase, test_race);
	tcase_add_test(tcase, test_renew);
	tcase_add_test(tcase, test_labels);
	tcase_add_test(tcase, test_status);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
