/* SPDX-License-Identifier: Apache-2.0 */
/* Waiters: who is waited for, and how it ends. */
#include "peer.h"

struct waited {
	bool done;
	enum publisher_wait_state state;
	json_t *agents;
};

static void on_waited(const struct publisher_waited *result, void *context)
{
	struct waited *waited = context;

	ck_assert(!waited->done);
	waited->done = true;
	waited->state = result->state;
	waited->agents = json_incref(result->agents);
}

static size_t count_degraded(const struct peer *peer)
{
	json_t *status = publisher_agent_status(plane.publisher, peer->id);
	size_t count = json_array_size(json_object_get(status, "degraded"));

	json_decref(status);
	return count;
}

static void report_degraded(struct peer *peer, char *id)
{
	Tlsplane__ObjectReason reason = TLSPLANE__OBJECT_REASON__INIT, *reasons[] = {&reason};
	Tlsplane__Report report = TLSPLANE__REPORT__INIT;

	reason.kind = KIND_LISTENER;
	reason.id = id;
	reason.reason = (char *)"the port is taken";
	report.n_degraded = 1;
	report.degraded = reasons;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT, &report.base);
	UNTIL(count_degraded(peer) == 1);
}

/* agent_id: whose labels the change was about, or NULL. */
static struct publisher_wait *wait_for_agent(const struct changed *changed, const char *agent_id, uint64_t timeout_ms,
                                             struct waited *waited)
{
	const char *selectors[4];
	struct publisher_wait_for wanted = {.revision = changed->revision,
	                                    .selectors = selectors,
	                                    .selectors_len = changed->selectors_len,
	                                    .agent_id = agent_id,
	                                    .timeout_ms = timeout_ms};
	struct publisher_wait *wait;

	*waited = (struct waited){.done = false};
	for (size_t i = 0; i < changed->selectors_len; i++)
		selectors[i] = changed->selectors[i];
	wait = publisher_wait_start(plane.publisher, &wanted, on_waited, waited);
	ck_assert_ptr_nonnull(wait);
	ck_assert(!waited->done); /* never from inside */
	return wait;
}

static struct publisher_wait *wait_for(const struct changed *changed, uint64_t timeout_ms, struct waited *waited)
{
	return wait_for_agent(changed, NULL, timeout_ms, waited);
}

static const char *state_of(const struct waited *waited, const char *id)
{
	size_t i;
	json_t *agent;

	json_array_foreach(waited->agents, i, agent)
	{
		if (strcmp(json_string_value(json_object_get(agent, "id")), id) == 0)
			return json_string_value(json_object_get(agent, "state"));
	}
	return "none";
}

static struct peer *following(const char *labels)
{
	struct peer *peer = peer_new(labels);

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	UNTIL(!status_bool(peer, "behind"));
	return peer;
}

START_TEST(test_nobody)
{
	struct changed changed = put_upstream("u1", "{\"env\": \"prod\"}", 80);
	struct peer *peer = following("{\"env\": \"test\"}");
	struct waited waited;

	wait_for(&changed, 5000, &waited);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	ck_assert_uint_eq(json_array_size(waited.agents), 0);
	json_decref(waited.agents);
	peer_free(peer);
}
END_TEST

START_TEST(test_acked)
{
	struct peer *a = following("{\"env\": \"prod\"}"), *b = following("{\"env\": \"prod\"}"), *c = following("{}");
	struct changed changed;
	struct waited waited;

	a->mute = true;
	changed = put_upstream("u1", "{\"env\": \"prod\"}", 80);
	wait_for(&changed, 5000, &waited);
	UNTIL(a->updates == 2);
	UNTIL(is_at(b, changed.revision));
	linger(100);
	ck_assert(!waited.done);
	peer_ack(a, a->begun);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	ck_assert_uint_eq(json_array_size(waited.agents), 2);
	ck_assert_str_eq(state_of(&waited, a->id), "acked");
	ck_assert_str_eq(state_of(&waited, c->id), "none");
	json_decref(waited.agents);

	wait_for(&changed, 5000, &waited); /* long since */
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	json_decref(waited.agents);

	a->mute = false;
	changed = delete_upstream("u1"); /* those that held it before */
	wait_for(&changed, 5000, &waited);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	ck_assert_uint_eq(json_array_size(waited.agents), 2);
	ck_assert(!peer_has(a, KIND_UPSTREAM, "u1") && !peer_has(b, KIND_UPSTREAM, "u1"));
	json_decref(waited.agents);
	peer_free(a);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Of many objects, as of few: who reports one of them as degraded ends the wait, who reports another does not. */
START_TEST(test_degraded)
{
	static const size_t sizes[] = {1, 3, 2000};
	static struct change_item items[2000];
	struct changed changed = put_upstream("u1", "{}", 80);
	struct peer *peer = following("{}");
	const char *const selectors[] = {""};
	struct publisher_wait_for wanted = {
		.revision = changed.revision, .selectors = selectors, .selectors_len = 1, .items = items, .timeout_ms = 5000};

	report_degraded(peer, (char *)"l");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t at = 0; at <= sizes[i]; at += sizes[i] / 3 + 1) { /* where it stands; behind the last: nowhere */
			struct waited waited = {.done = false};

			for (size_t k = 0; k < sizes[i]; k++) {
				items[k] = (struct change_item){.kind = k == at ? KIND_LISTENER : KIND_UPSTREAM};
				if (k == at || k % 2 == 0)
					snprintf(items[k].id, sizeof(items[k].id), "l");
				else
					snprintf(items[k].id, sizeof(items[k].id), "l%zu", k);
			}
			wanted.items_len = sizes[i];
			ck_assert_ptr_nonnull(publisher_wait_start(plane.publisher, &wanted, on_waited, &waited));
			UNTIL(waited.done);
			ck_assert_int_eq(waited.state, at < sizes[i] ? PUBLISHER_WAIT_DEGRADED : PUBLISHER_WAIT_ACKED);
			json_decref(waited.agents);
		}
	}
	peer_free(peer);
}
END_TEST

START_TEST(test_refused)
{
	struct peer *a = following("{}"), *b = following("{}");
	struct changed changed;
	struct waited waited;
	json_t *objects;

	a->nacks = 1;
	b->mute = true;
	changed = put_upstream("u1", "{}", 80);
	wait_for(&changed, 5000, &waited);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_REFUSED);
	ck_assert_str_eq(state_of(&waited, a->id), "nacked");
	ck_assert_str_eq(state_of(&waited, b->id), "pending");
	objects = json_object_get(json_array_get(waited.agents, 0), "objects");
	if (objects == NULL)
		objects = json_object_get(json_array_get(waited.agents, 1), "objects");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(objects, 0), "field")), "/nodes");
	json_decref(waited.agents);
	peer_free(a);
	peer_free(b);
}
END_TEST

START_TEST(test_timeout)
{
	struct peer *peer = following("{}");
	struct changed changed;
	struct waited waited;

	peer->mute = true;
	changed = put_upstream("u1", "{}", 80);
	wait_for(&changed, 200, &waited);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_TIMEOUT);
	ck_assert_str_eq(state_of(&waited, peer->id), "pending");
	json_decref(waited.agents);
	peer_free(peer);
}
END_TEST

/* It comes back with what it serves and could not make durable yet: not acked before it says that it could. */
START_TEST(test_away_and_not_durable)
{
	struct peer *peer = following("{}");
	struct changed changed;
	struct waited waited;

	peer->mute = true;
	changed = put_upstream("u1", "{}", 80);
	wait_for(&changed, 5000, &waited);
	UNTIL(peer->updates == 2);
	peer->at = peer->high = peer->begun;
	peer->chain = peer->begun_chain;
	peer_leave(peer);
	peer->not_durable = true;
	peer_follow(peer);
	linger(100);
	ck_assert(!waited.done);
	ck_assert(!status_bool(peer, "durable"));
	peer_heartbeat(peer);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	json_decref(waited.agents);
	peer_free(peer);
}
END_TEST

/* It may come back in time. */
START_TEST(test_away)
{
	struct peer *peer = following("{}");
	struct changed changed;
	struct waited waited;

	peer->mute = true;
	changed = put_upstream("u1", "{}", 80);
	wait_for(&changed, 5000, &waited);
	UNTIL(peer->updates == 2);
	peer->at = peer->high = peer->begun; /* it has applied it, but the ACK is lost */
	peer->chain = peer->begun_chain;
	peer_leave(peer);
	linger(100);
	ck_assert(!waited.done);
	peer_follow(peer);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	json_decref(waited.agents);
	peer_free(peer);
}
END_TEST

START_TEST(test_revoked)
{
	struct peer *a = following("{}"), *b = following("{}");
	struct changed changed;
	struct waited waited;

	a->mute = true;
	changed = put_upstream("u1", "{}", 80);
	wait_for(&changed, 5000, &waited);
	change(CHANGE_DELETE, KIND_AGENT, a->id, NULL);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	ck_assert_str_eq(state_of(&waited, a->id), "revoked");
	ck_assert_str_eq(state_of(&waited, b->id), "acked");
	json_decref(waited.agents);
	peer_free(a);
	peer_free(b);
}
END_TEST

/* The second time it changes nothing, and is waited for all the same. */
START_TEST(test_asked_again)
{
	struct peer *peer = following("{}");
	struct changed first, again;
	struct waited waited;

	peer->mute = true;
	first = put_upstream("u1", "{}", 80);
	UNTIL(peer->updates == 2);
	put_upstream("u2", "{\"env\": \"elsewhere\"}", 80); /* the head goes on */
	again = put_upstream("u1", "{}", 80);
	ck_assert_int_eq(revision_compare(again.revision, first.revision), 0);
	wait_for(&again, 5000, &waited);
	linger(100);
	ck_assert(!waited.done);
	peer_ack(peer, peer->begun);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	ck_assert_str_eq(state_of(&waited, peer->id), "acked");
	json_decref(waited.agents);
	peer_free(peer);
}
END_TEST

START_TEST(test_labels)
{
	struct peer *a = following("{\"env\": \"test\"}"), *b = following("{\"env\": \"test\"}");
	struct changed changed;
	struct waited waited;

	put_upstream("u1", "{\"env\": \"prod\"}", 80);
	a->mute = true;
	changed = change(CHANGE_PATCH, KIND_AGENT, a->id, "{\"labels\": {\"env\": \"prod\"}}");
	json_decref(changed.answer);
	wait_for_agent(&changed, a->id, 5000, &waited);
	UNTIL(a->updates == 2);
	linger(100);
	ck_assert(!waited.done);
	peer_ack(a, a->begun);
	UNTIL(waited.done);
	ck_assert_int_eq(waited.state, PUBLISHER_WAIT_ACKED);
	ck_assert_str_eq(state_of(&waited, a->id), "acked");
	ck_assert_str_eq(state_of(&waited, b->id), "none");
	json_decref(waited.agents);
	peer_free(a);
	peer_free(b);
}
END_TEST

START_TEST(test_cancel_and_close)
{
	struct peer *peer = following("{}");
	struct changed changed;
	struct waited cancelled, closed;

	peer->mute = true;
	changed = put_upstream("u1", "{}", 80);
	publisher_wait_cancel(wait_for(&changed, 5000, &cancelled));
	wait_for(&changed, 5000, &closed);
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
	return plane_main("wait", (const TTest *const[]){test_nobody, test_acked, test_degraded, test_refused, test_timeout, test_away,
	                                                 test_away_and_not_durable, test_revoked, test_asked_again,
	                                                 test_labels, test_cancel_and_close, NULL});
}
