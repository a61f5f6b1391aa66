/* SPDX-License-Identifier: Apache-2.0 */
/* Waiters: a list of the agents concerned, fixed when the wait starts, each linked from its agent, so that an ACK looks
 * only at who waits for that agent. The answer always comes from the loop, never from inside publisher_wait_start.
 *
 *     WAITING --all acked / one nacked or degraded / time / close--> ANSWERED --handle closed--> gone
 *        \__________________ cancel ________________________/ */
#include "wait.h"

#include "internal.h"

#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#define LISTED_MAX 64 /* objects that are looked through one by one */

enum entry_state { ENTRY_PENDING, ENTRY_ACKED, ENTRY_NACKED, ENTRY_DEGRADED, ENTRY_REVOKED };

struct wait_object {
	const char *collection;
	char id[ID_MAX + 1];
};

struct wait_entry {
	struct publisher_wait *wait;
	struct agent *agent; /* NULL once it was deleted */
	char id[ID_MAX + 1];
	enum entry_state state;
	struct wait_entry *next, **link; /* in agent->waits */
};

struct publisher_wait {
	struct publisher *publisher;
	struct revision revision;
	void (*done)(const struct publisher_waited *result, void *context);
	void *context;
	bool answered;
	bool refused, degraded; /* one of them */
	struct wait_object *objects; /* that were put; owned */
	size_t objects_len;
	uint32_t *slots; /* owned; finds many objects by the hash of their id: 1 + an index, 0: free. NULL: not made */
	size_t slots_len; /* a power of two */
	struct hash_key hash_key;
	uv_timer_t timer;
	struct publisher_wait *next, **link;
	size_t pending, len;
	struct wait_entry entries[];
};

static void entry_unlink(struct wait_entry *entry)
{
	if (entry->agent == NULL)
		return;
	*entry->link = entry->next;
	if (entry->next != NULL)
		entry->next->link = entry->link;
	entry->agent = NULL;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct publisher_wait *wait = handle->data;
	struct publisher *publisher = wait->publisher;

	free(wait->objects);
	free(wait->slots);
	free(wait);
	publisher_unpin(publisher);
}

static void end(struct publisher_wait *wait)
{
	wait->answered = true;
	for (size_t i = 0; i < wait->len; i++)
		entry_unlink(&wait->entries[i]);
	*wait->link = wait->next;
	if (wait->next != NULL)
		wait->next->link = wait->link;
	uv_close((uv_handle_t *)&wait->timer, on_timer_closed);
}

static const char *pending_reason(const struct agent *agent)
{
	if (agent == NULL)
		return "the agent was deleted";
	if (agent->session == NULL)
		return "not connected";
	if (agent->diverged)
		return "its state is not in this store";
	if (agent->not_durable)
		return "applied, but not durable yet";
	return "no answer yet";
}

static size_t slot_of(const struct publisher_wait *wait, const char *id)
{
	return (size_t)hash_bytes(&wait->hash_key, BYTES(id, strlen(id))) & (wait->slots_len - 1);
}

/* When something is degraded for the first time: of many agents each may report the same, and a change may have very many objects. Without
 * memory for it they are looked through. */
static void index_objects(struct publisher_wait *wait)
{
	size_t len = 1;

	while (len < 2 * wait->objects_len)
		len *= 2;
	if (crypto_hash_key(&wait->hash_key, NULL) < 0)
		return;
	wait->slots = calloc(len, sizeof(*wait->slots));
	wait->slots_len = len;
	for (size_t i = 0; i < wait->objects_len && wait->slots != NULL; i++) {
		size_t slot = slot_of(wait, wait->objects[i].id);

		while (wait->slots[slot] != 0)
			slot = (slot + 1) & (len - 1);
		wait->slots[slot] = (uint32_t)i + 1;
	}
}

static bool is_object(const struct wait_object *object, const char *kind, const char *id)
{
	return strcmp(object->id, id) == 0 && strcmp(object->collection, kind) == 0;
}

static bool is_listed(const struct publisher_wait *wait, const char *kind, const char *id)
{
	for (size_t i = 0; i < wait->objects_len; i++) {
		if (is_object(&wait->objects[i], kind, id))
			return true;
	}
	return false;
}

static bool is_indexed(const struct publisher_wait *wait, const char *kind, const char *id)
{
	for (size_t slot = slot_of(wait, id); wait->slots[slot] != 0; slot = (slot + 1) & (wait->slots_len - 1)) {
		if (is_object(&wait->objects[wait->slots[slot] - 1], kind, id))
			return true;
	}
	return false;
}

static bool is_waited_for(struct publisher_wait *wait, const json_t *reason)
{
	const char *kind = json_string_value(json_object_get(reason, "kind"));
	const char *id = json_string_value(json_object_get(reason, "id"));

	if (kind == NULL || id == NULL)
		return false;
	if (wait->slots == NULL && wait->objects_len > LISTED_MAX)
		index_objects(wait);
	return wait->slots != NULL ? is_indexed(wait, kind, id) : is_listed(wait, kind, id);
}

/* Of what the agent reports as degraded, what this wait is about. New reference; NULL when nothing is, or without memory. */
static json_t *degraded_of(const struct wait_entry *entry)
{
	json_t *found = NULL, *reason;
	size_t i;

	if (entry->agent == NULL)
		return NULL;
	json_array_foreach(entry->agent->degraded, i, reason) {
		if (!is_waited_for(entry->wait, reason))
			continue;
		if (found == NULL)
			found = json_array();
		(void)json_array_append(found, reason);
	}
	return found;
}

/* New reference; NULL without memory. */
static json_t *render_entry(const struct wait_entry *entry)
{
	switch (entry->state) {
	case ENTRY_ACKED:
		return json_pack("{s:s, s:s}", "id", entry->id, "state", "acked");
	case ENTRY_NACKED:
		if (entry->agent != NULL && entry->agent->nack != NULL)
			return json_pack("{s:s, s:s, s:O*, s:O*}", "id", entry->id, "state", "nacked", "reason",
			                 json_object_get(entry->agent->nack, "text"), "objects",
			                 json_object_get(entry->agent->nack, "objects"));
		return json_pack("{s:s, s:s}", "id", entry->id, "state", "nacked");
	case ENTRY_DEGRADED:
		return json_pack("{s:s, s:s, s:o*}", "id", entry->id, "state", "degraded", "objects", degraded_of(entry));
	case ENTRY_REVOKED:
		return json_pack("{s:s, s:s}", "id", entry->id, "state", "revoked");
	case ENTRY_PENDING:
		break;
	}
	return json_pack("{s:s, s:s, s:s}", "id", entry->id, "state", "pending", "reason", pending_reason(entry->agent));
}

/* Answers and ends. Without memory for the list the state alone is answered. */
static void answer(struct publisher_wait *wait, enum publisher_wait_state state)
{
	struct publisher_waited result = {.state = state, .agents = json_array(), .head = wait->publisher->selectors.head.revision};

	for (size_t i = 0; i < wait->len && result.agents != NULL; i++)
		(void)json_array_append_new(result.agents, render_entry(&wait->entries[i]));
	wait->answered = true;
	wait->done(&result, wait->context);
	json_decref(result.agents);
	end(wait);
}

static void on_timeout(uv_timer_t *timer)
{
	struct publisher_wait *wait = timer->data;

	if (wait->refused)
		answer(wait, PUBLISHER_WAIT_REFUSED);
	else if (wait->degraded)
		answer(wait, PUBLISHER_WAIT_DEGRADED);
	else
		answer(wait, wait->pending == 0 ? PUBLISHER_WAIT_ACKED : PUBLISHER_WAIT_TIMEOUT);
}

/* From the next turn of the loop: an answer may come while sessions are being walked. */
static void answer_soon(struct publisher_wait *wait)
{
	(void)uv_timer_start(&wait->timer, on_timeout, 0, 0); /* fails only on a closing handle */
}

static void settle(struct wait_entry *entry, enum entry_state state)
{
	struct publisher_wait *wait = entry->wait;

	if (entry->state != ENTRY_PENDING)
		return;
	entry->state = state;
	wait->pending--;
	if (state == ENTRY_NACKED)
		wait->refused = true;
	if (state == ENTRY_DEGRADED)
		wait->degraded = true;
	if (wait->refused || wait->degraded || wait->pending == 0)
		answer_soon(wait);
}

/* Has agent applied what entry waits for? */
static void check_applied(struct wait_entry *entry)
{
	json_t *degraded;

	if (entry->agent == NULL || entry->agent->diverged ||
	    revision_compare(entry->agent->applied, entry->wait->revision) < 0)
		return;
	degraded = degraded_of(entry);
	settle(entry, degraded != NULL ? ENTRY_DEGRADED : ENTRY_ACKED);
	json_decref(degraded);
}

/* Did it refuse it already, before anybody waited? */
static void check_refused(struct wait_entry *entry)
{
	const struct session *session = entry->agent->session;

	if (session->state == SESSION_BACKOFF && revision_compare(session->refused, entry->wait->revision) >= 0)
		settle(entry, ENTRY_NACKED);
}

void wait_on_applied(struct agent *agent)
{
	for (struct wait_entry *entry = agent->waits; entry != NULL; entry = entry->next)
		check_applied(entry);
}

void wait_on_nack(struct agent *agent, struct revision refused)
{
	for (struct wait_entry *entry = agent->waits; entry != NULL; entry = entry->next) {
		if (revision_compare(refused, entry->wait->revision) >= 0)
			settle(entry, ENTRY_NACKED);
	}
}

void wait_on_revoked(struct agent *agent)
{
	while (agent->waits != NULL) {
		struct wait_entry *entry = agent->waits;

		entry_unlink(entry);
		settle(entry, ENTRY_REVOKED);
	}
}

void wait_check_all(struct publisher *publisher)
{
	for (struct publisher_wait *wait = publisher->waits; wait != NULL; wait = wait->next) {
		for (size_t i = 0; i < wait->len; i++)
			check_applied(&wait->entries[i]);
	}
}

void wait_close_all(struct publisher *publisher)
{
	while (publisher->waits != NULL)
		answer(publisher->waits, PUBLISHER_WAIT_CLOSED);
}

static bool is_concerned(const struct session *session, const struct publisher_wait_for *wanted)
{
	if (!session_is_current_of_agent(session))
		return false;
	if (wanted->agent_id != NULL && strcmp(session->agent->id, wanted->agent_id) == 0)
		return true;
	for (size_t i = 0; i < session->holding.len; i++) {
		const struct holding_item *item = &session->holding.items[i];

		if (item->selector->asked && holding_item_is_concerned(item, wanted->revision.number))
			return true;
	}
	return false;
}

static size_t count_concerned(const struct publisher *publisher, const struct publisher_wait_for *wanted)
{
	size_t count = 0;

	for (const struct session *session = publisher->sessions; session != NULL; session = session->next)
		count += is_concerned(session, wanted);
	return count;
}

static void add_entry(struct publisher_wait *wait, struct agent *agent)
{
	struct wait_entry *entry = &wait->entries[wait->len++];

	*entry = (struct wait_entry){.wait = wait, .agent = agent, .next = agent->waits, .link = &agent->waits};
	memcpy(entry->id, agent->id, sizeof(entry->id));
	if (entry->next != NULL)
		entry->next->link = &entry->next;
	agent->waits = entry;
	wait->pending++;
}

static void mark_asked(const struct publisher *publisher, const char *const *selectors, size_t len, bool asked)
{
	for (size_t i = 0; i < len; i++) {
		struct selector *selector = selector_table_find(&publisher->selectors, selectors[i]);

		if (selector != NULL)
			selector->asked = asked;
	}
}

static int add_objects(struct publisher_wait *wait, const struct publisher_wait_for *wanted)
{
	if (wanted->items_len == 0)
		return 0;
	wait->objects = calloc(wanted->items_len, sizeof(*wait->objects));
	if (wait->objects == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < wanted->items_len; i++) {
		const struct change_item *item = &wanted->items[i];
		struct wait_object *object = &wait->objects[wait->objects_len];

		if (item->op == CHANGE_DELETE)
			continue;
		object->collection = kind_find(item->kind)->collection;
		memcpy(object->id, item->id, sizeof(object->id));
		wait->objects_len++;
	}
	return 0;
}

/* Fills the entries; NULL without memory. */
static struct publisher_wait *wait_new(struct publisher *publisher, const struct publisher_wait_for *wanted)
{
	size_t count = count_concerned(publisher, wanted);
	struct publisher_wait *wait = calloc(1, sizeof(*wait) + count * sizeof(struct wait_entry));

	if (wait == NULL || add_objects(wait, wanted) < 0) {
		free(wait);
		return NULL;
	}
	for (struct session *session = publisher->sessions; session != NULL; session = session->next) {
		if (is_concerned(session, wanted))
			add_entry(wait, session->agent);
	}
	return wait;
}

struct publisher_wait *publisher_wait_start(struct publisher *publisher, const struct publisher_wait_for *wanted,
                                            void (*done)(const struct publisher_waited *result, void *context),
                                            void *context)
{
	struct publisher_wait *wait;

	if (publisher->closing)
		return NULL;
	mark_asked(publisher, wanted->selectors, wanted->selectors_len, true);
	wait = wait_new(publisher, wanted);
	mark_asked(publisher, wanted->selectors, wanted->selectors_len, false);
	if (wait == NULL)
		return NULL;
	wait->publisher = publisher;
	wait->revision = wanted->revision;
	wait->done = done;
	wait->context = context;
	(void)uv_timer_init(publisher->loop, &wait->timer); /* never fails */
	wait->timer.data = wait;
	publisher_pin(publisher);
	wait->next = publisher->waits;
	wait->link = &publisher->waits;
	if (wait->next != NULL)
		wait->next->link = &wait->next;
	publisher->waits = wait;
	(void)uv_timer_start(&wait->timer, on_timeout, wait->pending == 0 ? 0 : wanted->timeout_ms, 0);
	for (size_t i = 0; i < wait->len; i++) {
		check_applied(&wait->entries[i]);
		check_refused(&wait->entries[i]);
	}
	return wait;
}

void publisher_wait_cancel(struct publisher_wait *wait)
{
	if (wait != NULL && !wait->answered)
		end(wait);
}
