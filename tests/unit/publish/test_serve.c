/* SPDX-License-Identifier: Apache-2.0 */
/* Serve waits: who is asked how much, what counts as served, and how it ends. */
#include "peer.h"

#define LEAF 7 /* what is wanted */

struct served {
	bool done;
	enum publisher_wait_state state;
	json_t *agents;
	size_t asked;
};

static void on_served(const struct publisher_served *result, void *context)
{
	struct served *served = context;

	ck_assert(!served->done);
	served->done = true;
	served->state = result->state;
	served->agents = json_incref(result->agents);
	served->asked = result->asked;
}

/* has_to false: anything but the leaf is wanted. */
static struct publisher_serve *ask(struct peer *const *peers, size_t count, const char *labels, size_t questions, bool has_to,
                                   uint64_t timeout_ms, struct served *served)
{
	struct publisher_serve_for wanted = {.groups = calloc(2, sizeof(*wanted.groups)), .groups_len = 2, .timeout_ms = timeout_ms};
	struct publisher_serve *serve;

	*served = (struct served){.done = false};
	wanted.groups[0] = (struct publisher_serve_group){strdup("zone=other"), NULL, 0};
	wanted.groups[1] = (struct publisher_serve_group){strdup(labels), calloc(questions, sizeof(*wanted.groups[1].questions)), questions};
	for (size_t i = 0; i < questions; i++) {
		struct publisher_serve_question *question = &wanted.groups[1].questions[i];

		*question = (struct publisher_serve_question){.key_type = "ecdsa", .has_from = !has_to, .has_to = has_to};
		snprintf(question->listener, sizeof(question->listener), "main");
		snprintf(question->name, sizeof(question->name), "n%zu.test", i);
		memset(has_to ? question->to : question->from, LEAF, 32);
	}
	wanted.agents = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(wanted.agents, json_pack("{s:s}", "id", peers[i]->id));
	{
		json_t *agents = wanted.agents;

		serve = publisher_serve_start(plane.publisher, &wanted, on_served, served);
		json_decref(agents);
	}
	ck_assert_ptr_nonnull(serve);
	ck_assert(!served->done); /* never from inside */
	return serve;
}

static const json_t *row_of(const struct served *served, const struct peer *peer)
{
	size_t i;
	json_t *agent;

	json_array_foreach(served->agents, i, agent)
	{
		if (strcmp(json_string_value(json_object_get(agent, "id")), peer->id) == 0)
			return agent;
	}
	return NULL;
}

static const char *state_of(const struct served *served, const struct peer *peer)
{
	return json_string_value(json_object_get(row_of(served, peer), "state"));
}

static struct peer *following(const char *labels, bool takes_checks, uint8_t leaf)
{
	struct peer *peer = peer_new(labels);

	peer->takes_checks = takes_checks;
	peer->leaf = leaf;
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	UNTIL(!status_bool(peer, "behind"));
	return peer;
}

static void expect(struct peer *peer, size_t questions, bool has_to, enum publisher_wait_state state, const char *word)
{
	struct served served;

	ask(&peer, 1, "env=prod", questions, has_to, 5000, &served);
	UNTIL(served.done);
	ck_assert_int_eq(served.state, state);
	ck_assert_str_eq(state_of(&served, peer), word);
	json_decref(served.agents);
}

START_TEST(test_what_counts)
{
	struct peer *peer = following("{\"env\": \"prod\"}", true, LEAF);

	expect(peer, 3, true, PUBLISHER_WAIT_ACKED, "served");
	ck_assert_uint_eq(peer->questions, 3);
	expect(peer, 3, false, PUBLISHER_WAIT_REFUSED, "not-served"); /* the old one is still there */
	peer->leaf = LEAF + 1;
	expect(peer, 3, true, PUBLISHER_WAIT_REFUSED, "not-served");
	expect(peer, 3, false, PUBLISHER_WAIT_ACKED, "served");
	peer->leaf = 0;
	expect(peer, 3, true, PUBLISHER_WAIT_REFUSED, "not-served");
	expect(peer, 3, false, PUBLISHER_WAIT_ACKED, "served");
	ck_assert_uint_eq(peer->checks, 6);
	peer_free(peer);
}
END_TEST

START_TEST(test_many_names)
{
	struct peer *peer = following("{\"env\": \"prod\"}", true, LEAF + 1);
	struct served served;
	const json_t *names;

	ask(&peer, 1, "env=prod", 1000, true, 5000, &served);
	UNTIL(served.done);
	ck_assert_uint_eq(peer->questions, PUBLISHER_SERVE_QUESTIONS_MAX);
	ck_assert_uint_eq(served.asked, PUBLISHER_SERVE_QUESTIONS_MAX);
	names = json_object_get(row_of(&served, peer), "names");
	ck_assert_uint_eq(json_array_size(names), 20);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(names, 1), "sni")), "n5.test"); /* each fifth */
	json_decref(served.agents);
	peer_free(peer);
}
END_TEST

/* An early release, one with other labels, one that nobody asked for. */
START_TEST(test_several)
{
	struct peer *good = following("{\"env\": \"prod\"}", true, LEAF), *old = following("{\"env\": \"prod\"}", false, 0),
				*other = following("{\"env\": \"test\"}", true, 0), *idle = following("{\"env\": \"prod\"}", true, 0);
	struct peer *const peers[] = {good, old, other};
	struct served served;

	ask(peers, 3, "env=prod", 1, true, 5000, &served);
	UNTIL(served.done);
	ck_assert_int_eq(served.state, PUBLISHER_WAIT_REFUSED);
	ck_assert_str_eq(state_of(&served, good), "served");
	ck_assert_str_eq(state_of(&served, old), "unsupported");
	ck_assert_str_eq(state_of(&served, other), "served");
	ck_assert_ptr_null(row_of(&served, idle));
	ck_assert_uint_eq(other->checks + idle->checks, 0);
	json_decref(served.agents);
	peer_free(good);
	peer_free(old);
	peer_free(other);
	peer_free(idle);
}
END_TEST

START_TEST(test_timeout)
{
	struct peer *peer = following("{\"env\": \"prod\"}", true, LEAF);
	struct served served;

	peer->hides_checks = true;
	ask(&peer, 1, "env=prod", 1, true, 400, &served);
	UNTIL(served.done);
	ck_assert_int_eq(served.state, PUBLISHER_WAIT_TIMEOUT);
	ck_assert_str_eq(state_of(&served, peer), "pending");
	ck_assert_str_eq(json_string_value(json_object_get(row_of(&served, peer), "reason")), "no answer yet");
	json_decref(served.agents);
	peer_leave(peer);
	ask(&peer, 1, "env=prod", 1, true, 400, &served);
	UNTIL(served.done);
	ck_assert_int_eq(served.state, PUBLISHER_WAIT_TIMEOUT);
	ck_assert_str_eq(json_string_value(json_object_get(row_of(&served, peer), "reason")), "not connected");
	json_decref(served.agents);
	peer_free(peer);
}
END_TEST

/* Asked on a connection that breaks, asked again on the next. */
START_TEST(test_comes_back)
{
	struct peer *peer = following("{\"env\": \"prod\"}", true, LEAF);
	struct served served;

	peer->hides_checks = true;
	ask(&peer, 1, "env=prod", 1, true, 8000, &served);
	UNTIL(peer->checks == 1);
	peer_leave(peer);
	peer->hides_checks = false;
	peer_follow(peer);
	UNTIL(served.done);
	ck_assert_uint_eq(peer->checks, 2);
	ck_assert_int_eq(served.state, PUBLISHER_WAIT_ACKED);
	json_decref(served.agents);
	peer_free(peer);
}
END_TEST

/* Another number of answers than of questions ends the channel; an answer that nobody waits for is nothing. */
START_TEST(test_bad_answers)
{
	struct peer *peer = following("{\"env\": \"prod\"}", true, LEAF);
	Tlsplane__Served unasked = TLSPLANE__SERVED__INIT;
	struct served served;

	unasked.id = 12345;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVED, &unasked.base);
	expect(peer, 2, true, PUBLISHER_WAIT_ACKED, "served");
	peer->checks_short = 1;
	ask(&peer, 1, "env=prod", 2, true, 400, &served);
	UNTIL(peer->refused);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL);
	UNTIL(served.done);
	ck_assert_int_eq(served.state, PUBLISHER_WAIT_TIMEOUT);
	json_decref(served.agents);
	peer_free(peer);
}
END_TEST

START_TEST(test_cancel_and_close)
{
	struct peer *peer = following("{\"env\": \"prod\"}", true, LEAF);
	struct served cancelled, closed;

	peer->hides_checks = true;
	publisher_serve_cancel(ask(&peer, 1, "env=prod", 1, true, 5000, &cancelled));
	ask(&peer, 1, "env=prod", 1, true, 5000, &closed);
	UNTIL(peer->checks == 1);
	plane_stop();
	ck_assert(!cancelled.done && closed.done);
	ck_assert_int_eq(closed.state, PUBLISHER_WAIT_CLOSED);
	json_decref(closed.agents);
	plane_start(false, 10);
	peer_free(peer);
}
END_TEST

int main(void)
{
	return plane_main("serve", (const TTest *const[]){test_what_counts, test_many_names, test_several, test_timeout, test_comes_back,
	                                                  test_bad_answers, test_cancel_and_close, NULL});
}
