/* SPDX-License-Identifier: Apache-2.0 */
/* Serve checks: in order, a few at once, all of them answered; who asked may go at any time. */
#include "sync/checks.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define UNDER_WAY_MAX 64

static struct checks checks;
static struct {
	void (*done)(const struct proxy_probed *result, void *context);
	void *context;
	char sni[64];
} under_way[UNDER_WAY_MAX];
static size_t under_way_len, started, sent;
static uint64_t sent_ids[64];
static char sent_text[2048];

static int probe(const char *listener_id, const char *sni, enum proxy_probe_key key,
                 void (*done)(const struct proxy_probed *result, void *context), void *context, void *owner, struct error *err)
{
	if (strcmp(listener_id, "nowhere") == 0)
		return error_set(err, E_NOT_FOUND, "the listener has no bound socket");
	ck_assert_uint_lt(under_way_len, PROXY_PROBES_MAX);
	under_way[under_way_len].done = done;
	under_way[under_way_len].context = context;
	snprintf(under_way[under_way_len++].sni, sizeof(under_way[0].sni), "%s", sni);
	started++;
	return 0;
}

static int take_message(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err)
{
	const Tlsplane__Served *served = (const Tlsplane__Served *)message;

	ck_assert_int_eq(type, TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVED);
	sent_ids[sent++] = served->id;
	sent_text[0] = 0;
	for (size_t i = 0; i < served->n_answers && strlen(sent_text) < 1000; i++) {
		const Tlsplane__ServeAnswer *answer = served->answers[i];
		size_t used = strlen(sent_text);

		ck_assert(answer->has_leaf_sha256 == (answer->reason == NULL));
		snprintf(sent_text + used, sizeof(sent_text) - used, "%s;", answer->has_leaf_sha256 ? "leaf" : answer->reason);
	}
	return 0;
}

static void setup(void)
{
	checks = (struct checks){.ports = {probe, take_message, NULL}};
	under_way_len = started = sent = 0;
}

static void ask(uint64_t id, size_t count, const char *listener)
{
	Tlsplane__ServeQuestion questions[300], *list[300];
	Tlsplane__ServeCheck message = TLSPLANE__SERVE_CHECK__INIT;

	for (size_t i = 0; i < count; i++) {
		tlsplane__serve_question__init(&questions[i]);
		questions[i].listener = (char *)(uintptr_t)listener;
		questions[i].sni = i % 2 == 0 ? (char *)(uintptr_t)"a.test" : NULL;
		questions[i].key = TLSPLANE__SERVE_KEY__SERVE_ECDSA;
		list[i] = &questions[i];
	}
	message.id = id;
	message.n_questions = count;
	message.questions = list;
	checks_on_message(&checks, &message);
}

/* The oldest probe comes back. */
static void come_back(bool has_leaf)
{
	struct proxy_probed result = {.has_leaf = has_leaf, .reason = "refused"};
	void (*done)(const struct proxy_probed *result, void *context) = under_way[0].done;
	void *context = under_way[0].context;

	memmove(under_way, under_way + 1, --under_way_len * sizeof(under_way[0]));
	done(&result, context);
}

START_TEST(test_answers)
{
	ask(7, 3, "main");
	ck_assert_uint_eq(under_way_len, 3);
	ck_assert_str_eq(under_way[0].sni, "a.test");
	ck_assert_str_eq(under_way[1].sni, "");
	come_back(true);
	come_back(false);
	ck_assert_uint_eq(sent, 0);
	come_back(true);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(sent_ids[0], 7);
	ck_assert_str_eq(sent_text, "leaf;refused;leaf;");
	ask(8, 0, "main");
	ck_assert_uint_eq(sent_ids[1], 8);
	ask(9, 2, "nowhere");
	ck_assert_uint_eq(sent_ids[2], 9);
	ck_assert_str_eq(sent_text, "the listener has no bound socket;the listener has no bound socket;");
}
END_TEST

START_TEST(test_few_at_once)
{
	ask(1, 300, "main"); /* more than a message may hold: the first 200 are answered */
	ask(2, 1, "main");
	while (under_way_len > 0)
		come_back(true);
	ck_assert_uint_eq(started, CHECKS_QUESTIONS_MAX + 1);
	ck_assert_uint_eq(sent, 2);
	ck_assert_uint_eq(sent_ids[0], 1);
	ck_assert_uint_eq(sent_ids[1], 2);
}
END_TEST

START_TEST(test_too_many)
{
	for (uint64_t i = 0; i < CHECKS_WAITING_MAX; i++)
		ask(i, 1, "main");
	ck_assert_uint_eq(sent, 0);
	ask(99, 2, "main");
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(sent_ids[0], 99);
	ck_assert_str_eq(sent_text, "too many checks at once;too many checks at once;");
	while (under_way_len > 0)
		come_back(true);
	ck_assert_uint_eq(sent, CHECKS_WAITING_MAX + 1);
}
END_TEST

/* What was asked on a connection that is gone is not answered, nor does it keep what is asked next from its turn. */
START_TEST(test_forgotten)
{
	ask(1, 20, "main");
	ck_assert_uint_eq(under_way_len, PROXY_PROBES_MAX);
	checks_forget(&checks);
	ask(2, 1, "main");
	ck_assert_uint_eq(under_way_len, PROXY_PROBES_MAX);
	while (under_way_len > 0)
		come_back(true);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(sent_ids[0], 2);
	ck_assert_uint_eq(started, PROXY_PROBES_MAX + 1);
	ask(3, 1, "main");
	checks_forget(&checks);
	come_back(true);
	ck_assert_uint_eq(sent, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checks");
	TCase *tcase = tcase_create("checks");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, test_answers);
	tcase_add_test(tcase, test_few_at_once);
	tcase_add_test(tcase, test_too_many);
	tcase_add_test(tcase, test_forgotten);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
