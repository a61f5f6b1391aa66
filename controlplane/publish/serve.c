/* SPDX-License-Identifier: Apache-2.0 */
/* Serve waits: for each agent one ServeCheck and one Served. Agents are found by id whenever they are looked for, so that nothing here
 * points to a session. A timer looks for who has come back, and ends it.
 *
 *   entry:  WAITING --sent--> ASKED --Served--> SERVED, NOT_SERVED
 *              ^  \--an early release--> UNSUPPORTED
 *              `----------connection lost-----'
 *   serve:  RUNNING --all are over / time / close--> ANSWERED --handle closed--> gone
 *              \______________ cancel _____________/ */
#include "serve.h"

#include "crypto/crypto.h"
#include "internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT_MAX 64 /* agents under question at once */
#define LOOK_MS 200
#define NAMES_TOLD_MAX 20

enum entry_state { ENTRY_WAITING, ENTRY_ASKED, ENTRY_SERVED, ENTRY_NOT_SERVED, ENTRY_UNSUPPORTED };

struct serve_entry {
	char id[ID_MAX + 1];
	enum entry_state state;
	uint64_t check; /* ASKED: id of the message */
	const struct publisher_serve_group *group;
	const struct session *session; /* ASKED: only to be compared, as is when it came */
	uint64_t opened_at;
	json_t *names;                 /* NOT_SERVED: what was seen; NULL without memory */
};

struct publisher_serve {
	struct publisher *publisher;
	struct publisher_serve_for wanted;
	void (*done)(const struct publisher_served *result, void *context);
	void *context;
	uint64_t until; /* loop milliseconds */
	size_t asked;
	bool answered;
	uv_timer_t timer;
	struct publisher_serve *next, **link;
	size_t len;
	struct serve_entry entries[];
};

static int compare_groups(const void *a, const void *b)
{
	return strcmp(((const struct publisher_serve_group *)a)->labels, ((const struct publisher_serve_group *)b)->labels);
}

void publisher_serve_for_deinit(struct publisher_serve_for *wanted)
{
	for (size_t i = 0; i < wanted->groups_len; i++) {
		free(wanted->groups[i].labels);
		free(wanted->groups[i].questions);
	}
	free(wanted->groups);
	*wanted = (struct publisher_serve_for){0};
}

/* The end --------------------------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct publisher_serve *serve = handle->data;
	struct publisher *publisher = serve->publisher;

	for (size_t i = 0; i < serve->len; i++)
		json_decref(serve->entries[i].names);
	publisher_serve_for_deinit(&serve->wanted);
	free(serve);
	publisher_unpin(publisher);
}

static void leave(struct publisher_serve *serve, struct serve_entry *entry, enum entry_state to)
{
	if (entry->state == ENTRY_ASKED)
		serve->publisher->checks_sent--;
	entry->state = to;
	entry->session = NULL;
}

static void end(struct publisher_serve *serve)
{
	serve->answered = true;
	for (size_t i = 0; i < serve->len; i++) {
		if (serve->entries[i].state == ENTRY_ASKED)
			leave(serve, &serve->entries[i], ENTRY_WAITING);
	}
	*serve->link = serve->next;
	if (serve->next != NULL)
		serve->next->link = serve->link;
	uv_close((uv_handle_t *)&serve->timer, on_timer_closed);
}

static const struct session *session_of(const struct publisher *publisher, const char *id)
{
	const struct agent *agent = agent_find(&publisher->agents, id);

	return agent != NULL && agent->session != NULL && session_is_current_of_agent(agent->session) ? agent->session : NULL;
}

/* New reference; NULL without memory. */
static json_t *render_entry(const struct publisher_serve *serve, const struct serve_entry *entry)
{
	switch (entry->state) {
	case ENTRY_SERVED:
		return json_pack("{s:s, s:s}", "id", entry->id, "state", "served");
	case ENTRY_NOT_SERVED:
		return json_pack("{s:s, s:s, s:O*}", "id", entry->id, "state", "not-served", "names", entry->names);
	case ENTRY_UNSUPPORTED:
		return json_pack("{s:s, s:s, s:s}", "id", entry->id, "state", "unsupported", "reason",
		                 "this release of the agent does not check what it serves");
	case ENTRY_WAITING:
	case ENTRY_ASKED:
		break;
	}
	return json_pack("{s:s, s:s, s:s}", "id", entry->id, "state", "pending", "reason",
	                 session_of(serve->publisher, entry->id) != NULL ? "no answer yet" : "not connected");
}

static void answer(struct publisher_serve *serve, enum publisher_wait_state state)
{
	struct publisher_served result = {
		.state = state, .agents = json_array(), .asked = serve->asked, .head = serve->publisher->selectors.head.revision};

	for (size_t i = 0; i < serve->len && result.agents != NULL; i++)
		(void)json_array_append_new(result.agents, render_entry(serve, &serve->entries[i]));
	serve->answered = true;
	serve->done(&result, serve->context);
	json_decref(result.agents);
	end(serve);
}

/* Asking ---------------------------------------------------------------------------------------------------------- */

static size_t count_asked(const struct publisher_serve_group *group)
{
	return group->len < PUBLISHER_SERVE_QUESTIONS_MAX ? group->len : PUBLISHER_SERVE_QUESTIONS_MAX;
}

static const struct publisher_serve_question *question_at(const struct publisher_serve_group *group, size_t index)
{
	return &group->questions[index * group->len / count_asked(group)];
}

static void send_check(struct session *session, const struct publisher_serve_group *group, uint64_t id)
{
	Tlsplane__ServeQuestion questions[PUBLISHER_SERVE_QUESTIONS_MAX], *list[PUBLISHER_SERVE_QUESTIONS_MAX];
	Tlsplane__ServeCheck message = TLSPLANE__SERVE_CHECK__INIT;

	for (size_t i = 0; i < count_asked(group); i++) {
		const struct publisher_serve_question *question = question_at(group, i);

		tlsplane__serve_question__init(&questions[i]);
		questions[i].listener = (char *)(uintptr_t)question->listener;
		questions[i].sni = question->sni[0] != 0 ? (char *)(uintptr_t)question->sni : NULL;
		questions[i].key = question->key;
		list[i] = &questions[i];
	}
	message.id = id;
	message.n_questions = count_asked(group);
	message.questions = list;
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVE_CHECK, &message.base);
}

static const struct publisher_serve_group *find_group(const struct publisher_serve *serve, const char *labels)
{
	const struct publisher_serve_group wanted = {.labels = (char *)(uintptr_t)labels};

	if (serve->wanted.groups_len == 0)
		return NULL;
	return bsearch(&wanted, serve->wanted.groups, serve->wanted.groups_len, sizeof(wanted), compare_groups);
}

/* Nothing is to be seen on who has none of these labels: it is served by having applied it. */
static void ask(struct publisher_serve *serve, struct serve_entry *entry)
{
	struct publisher *publisher = serve->publisher;
	struct session *session = (struct session *)(uintptr_t)session_of(publisher, entry->id);

	if (session == NULL || session->state == SESSION_DIVERGED)
		return;
	entry->group = find_group(serve, session->labels);
	if (entry->group == NULL || entry->group->len == 0) {
		entry->state = ENTRY_SERVED;
	} else if (!session->takes_checks) {
		entry->state = ENTRY_UNSUPPORTED;
	} else if (publisher->checks_sent < IN_FLIGHT_MAX) {
		entry->state = ENTRY_ASKED;
		entry->session = session;
		entry->opened_at = session->opened_at;
		entry->check = ++publisher->next_check;
		publisher->checks_sent++;
		if (serve->asked < count_asked(entry->group))
			serve->asked = count_asked(entry->group);
		send_check(session, entry->group, entry->check);
	}
}

static bool is_connected_still(const struct publisher_serve *serve, const struct serve_entry *entry)
{
	const struct session *session = session_of(serve->publisher, entry->id);

	return session == entry->session && session != NULL && session->opened_at == entry->opened_at;
}

/* Asks whom it can; answers when all is known or the time is over. Always from the timer, so that no session is in anybody's hands. */
static void look(struct publisher_serve *serve)
{
	bool pending = false, failed = false;

	for (size_t i = 0; i < serve->len; i++) {
		struct serve_entry *entry = &serve->entries[i];

		if (entry->state == ENTRY_ASKED && !is_connected_still(serve, entry))
			leave(serve, entry, ENTRY_WAITING);
		if (entry->state == ENTRY_WAITING)
			ask(serve, entry);
		pending = pending || entry->state == ENTRY_WAITING || entry->state == ENTRY_ASKED;
		failed = failed || entry->state == ENTRY_NOT_SERVED || entry->state == ENTRY_UNSUPPORTED;
	}
	if (!pending)
		answer(serve, failed ? PUBLISHER_WAIT_REFUSED : PUBLISHER_WAIT_ACKED);
	else if (uv_now(serve->publisher->loop) >= serve->until)
		answer(serve, failed ? PUBLISHER_WAIT_REFUSED : PUBLISHER_WAIT_TIMEOUT);
}

static void on_timer(uv_timer_t *timer)
{
	look(timer->data);
}

static void look_soon(struct publisher_serve *serve)
{
	(void)uv_timer_start(&serve->timer, on_timer, 0, LOOK_MS); /* fails only on a closing handle */
}

/* Answers --------------------------------------------------------------------------------------------------------- */

static bool is_leaf(const Tlsplane__ServeAnswer *answer, const uint8_t sha256[32])
{
	return answer->has_leaf_sha256 && answer->leaf_sha256.len == 32 && memcmp(answer->leaf_sha256.data, sha256, 32) == 0;
}

static bool is_as_wanted(const struct publisher_serve_question *question, const Tlsplane__ServeAnswer *answer)
{
	if (question->has_to)
		return is_leaf(answer, question->to);
	return !question->has_from || !is_leaf(answer, question->from);
}

static json_t *render_leaf(bool has, const uint8_t *sha256)
{
	char hex[65];

	if (!has)
		return json_null();
	crypto_hex(sha256, 32, hex);
	return json_string(hex);
}

static json_t *render_name(const struct publisher_serve_question *question, const Tlsplane__ServeAnswer *answer)
{
	bool seen = answer->has_leaf_sha256 && answer->leaf_sha256.len == 32;

	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s*}", "listener", question->listener, "sni", question->name, "key_type",
	                 question->key_type, "expected", render_leaf(question->has_to, question->to), "seen",
	                 render_leaf(seen, answer->leaf_sha256.data), "reason", seen ? NULL : answer->reason);
}

static void judge(struct publisher_serve *serve, struct serve_entry *entry, const Tlsplane__Served *message)
{
	bool good = true;

	for (size_t i = 0; i < message->n_answers; i++) {
		const struct publisher_serve_question *question = question_at(entry->group, i);

		if (is_as_wanted(question, message->answers[i]))
			continue;
		good = false;
		if (entry->names == NULL)
			entry->names = json_array();
		if (json_array_size(entry->names) < NAMES_TOLD_MAX)
			(void)json_array_append_new(entry->names, render_name(question, message->answers[i]));
	}
	leave(serve, entry, good ? ENTRY_SERVED : ENTRY_NOT_SERVED);
}

static struct serve_entry *find_entry(struct publisher_serve *serve, const struct session *session, uint64_t check)
{
	for (size_t i = 0; i < serve->len; i++) {
		struct serve_entry *entry = &serve->entries[i];

		if (entry->state == ENTRY_ASKED && entry->check == check && entry->session == session)
			return entry;
	}
	return NULL;
}

/* Answers to what nobody waits for any more are fine. */
void session_on_served(struct session *session, const ProtobufCMessage *base)
{
	const Tlsplane__Served *message = (const Tlsplane__Served *)base;
	struct serve_entry *entry = NULL;
	struct publisher_serve *serve;

	for (serve = session->publisher->serves; serve != NULL; serve = serve->next) {
		entry = find_entry(serve, session, message->id);
		if (entry != NULL)
			break;
	}
	if (entry == NULL)
		return;
	if (message->n_answers != count_asked(entry->group)) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "Served: %zu answers to %zu questions",
		               message->n_answers, count_asked(entry->group));
		return;
	}
	judge(serve, entry, message);
	look_soon(serve);
}

/* The start ------------------------------------------------------------------------------------------------------- */

static struct publisher_serve *serve_new(const json_t *agents)
{
	size_t count = json_array_size(agents);
	struct publisher_serve *serve = calloc(1, sizeof(*serve) + count * sizeof(struct serve_entry));

	for (size_t i = 0; i < count && serve != NULL; i++) {
		const char *id = json_string_value(json_object_get(json_array_get(agents, i), "id"));

		if (id != NULL)
			snprintf(serve->entries[serve->len++].id, ID_MAX + 1, "%s", id);
	}
	return serve;
}

struct publisher_serve *publisher_serve_start(struct publisher *publisher, struct publisher_serve_for *wanted,
                                              void (*done)(const struct publisher_served *result, void *context), void *context)
{
	struct publisher_serve *serve = publisher->closing ? NULL : serve_new(wanted->agents);

	if (serve == NULL) {
		publisher_serve_for_deinit(wanted);
		return NULL;
	}
	serve->publisher = publisher;
	serve->wanted = *wanted;
	*wanted = (struct publisher_serve_for){0};
	serve->wanted.agents = NULL; /* was borrowed */
	if (serve->wanted.groups_len > 0)
		qsort(serve->wanted.groups, serve->wanted.groups_len, sizeof(serve->wanted.groups[0]), compare_groups);
	serve->done = done;
	serve->context = context;
	serve->until = uv_now(publisher->loop) + serve->wanted.timeout_ms;
	(void)uv_timer_init(publisher->loop, &serve->timer); /* never fails */
	serve->timer.data = serve;
	publisher_pin(publisher);
	serve->next = publisher->serves;
	serve->link = &publisher->serves;
	if (serve->next != NULL)
		serve->next->link = &serve->next;
	publisher->serves = serve;
	look_soon(serve);
	return serve;
}

void publisher_serve_cancel(struct publisher_serve *serve)
{
	if (serve != NULL && !serve->answered)
		end(serve);
}

void serve_close_all(struct publisher *publisher)
{
	while (publisher->serves != NULL)
		answer(publisher->serves, PUBLISHER_WAIT_CLOSED);
}
