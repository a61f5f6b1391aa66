/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher assembled: start, announce, the pump, the tick, close.
 *
 * announce reads what changed and queues the sessions that it concerns; the pump sends. It serves the queue in turns of
 * bounded work, so that neither ten thousand sessions nor a hundred thousand objects hold the loop.
 *
 * Failure modes: a refresh that fails (disk, memory) leaves everything as it was and is tried again at each tick. */
#include "publisher.h"

#include "base/log.h"
#include "crypto/crypto.h"
#include "internal.h"
#include "model/selector.h"
#include "serve.h"
#include "store/store_history.h"
#include "wait.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PUMP_SESSIONS 512 /* per turn of the loop */
#define PUMP_CHUNKS 1     /* read and encoded per turn */
#define STATUS_ROWS_PER_TICK 256

uint64_t publisher_unix_time(void)
{
	time_t now = time(NULL);

	return now < 0 ? 0 : (uint64_t)now;
}

uint64_t publisher_jitter(uint64_t ms)
{
	uint32_t random = 0;

	if (crypto_random(&random, sizeof(random), NULL) < 0)
		return ms;
	return ms / 2 + random % (ms + 1);
}

/* All but the handles, so that the store may be closed. Twice is once. */
static void unload(struct publisher *publisher)
{
	tickets_deinit(publisher);
	selector_table_deinit(&publisher->selectors);
	chunk_cache_deinit(&publisher->chunks);
	agent_registry_deinit(&publisher->agents);
	identity_unload(publisher);
	publisher->reader = store_reader_close(publisher->reader);
}

void publisher_pin(struct publisher *publisher)
{
	publisher->pins++;
}

void publisher_unpin(struct publisher *publisher)
{
	void (*on_closed)(void *owner) = publisher->on_closed;
	void *owner = publisher->owner;

	assert(publisher->pins > 0);
	if (--publisher->pins > 0)
		return;
	assert(publisher->closing && publisher->sessions == NULL && publisher->waits == NULL && publisher->serves == NULL);
	unload(publisher);
	free(publisher);
	if (on_closed != NULL)
		on_closed(owner);
}

/* The pump. ------------------------------------------------------------------------------------------------------- */

static void on_pump(uv_idle_t *idle)
{
	struct publisher *publisher = idle->data;
	uint64_t built = publisher->chunks.built;

	for (int i = 0; i < PUMP_SESSIONS && publisher->chunks.built - built < PUMP_CHUNKS; i++) {
		struct session *session = publisher->ready;

		if (session == NULL) {
			uv_idle_stop(idle);
			return;
		}
		session_leave_queue(session);
		session_step(session);
	}
}

void publisher_make_ready(struct publisher *publisher, struct session *session)
{
	if (session->queued)
		return;
	session->queued = true;
	session->next_ready = NULL;
	session->ready_link = publisher->ready_tail;
	*publisher->ready_tail = session;
	publisher->ready_tail = &session->next_ready;
	(void)uv_idle_start(&publisher->pump, on_pump); /* fails only without a callback */
}

/* News. ----------------------------------------------------------------------------------------------------------- */

/* Selectors that just got their first object: whose labels satisfy them? */
static void offer_new_selectors(struct publisher *publisher)
{
	const struct selector_table *table = &publisher->selectors;

	for (size_t i = 0; i < table->changed_len; i++) {
		if (!table->changed[i]->appeared)
			continue;
		for (struct session *session = publisher->sessions; session != NULL; session = session->next) {
			if (session_is_current_of_agent(session) && selector_is_match(table->changed[i]->text, session->labels))
				session_want(session, table->changed[i]);
		}
	}
}

static void review_all(struct publisher *publisher)
{
	for (struct session *session = publisher->sessions; session != NULL; session = session->next)
		session_review(session);
}

struct ids {
	char (*list)[ID_MAX + 1]; /* owned */
	size_t len, cap;
	const struct publisher *publisher;
};

/* Gathers the connected ones. */
static int gather_id(const char *id, void *context)
{
	struct ids *ids = context;
	size_t cap = ids->cap == 0 ? 16 : 2 * ids->cap;
	void *list;

	if (agent_find(&ids->publisher->agents, id) == NULL)
		return 0;
	if (ids->len == ids->cap) {
		list = realloc(ids->list, cap * sizeof(ids->list[0]));
		if (list == NULL)
			return E_NOMEM;
		ids->list = list;
		ids->cap = cap;
	}
	(void)snprintf(ids->list[ids->len++], ID_MAX + 1, "%s", id);
	return 0;
}

/* A record without an object is forgotten, so that a deleted agent is not shown as known. */
static void forget_if_deleted(struct publisher *publisher, const char *id)
{
	struct agent *agent = agent_find(&publisher->agents, id);
	struct store_row row = {0};
	struct error err = ERROR_NULL;
	int rc;

	if (agent == NULL || agent->session != NULL)
		return;
	rc = store_get(publisher->reader, KIND_AGENT, id, 0, &row, &err);
	store_row_deinit(&row);
	if (rc != E_NOT_FOUND)
		return;
	wait_on_revoked(agent);
	agent_forget(&publisher->agents, agent);
}

/* Deletions, keys and labels of agents since the last time. */
static int recheck_agents(struct publisher *publisher, uint64_t upto, struct error *err)
{
	struct ids ids = {.publisher = publisher};
	int rc = store_each_id_since(publisher->reader, KIND_AGENT, publisher->agents_read, gather_id, &ids, err);

	if (rc == 0)
		publisher->agents_read = upto;
	for (size_t i = 0; i < ids.len && rc == 0; i++) {
		struct agent *agent = agent_find(&publisher->agents, ids.list[i]);

		if (agent != NULL && agent->session != NULL)
			session_recheck(agent->session);
		forget_if_deleted(publisher, ids.list[i]);
	}
	free(ids.list);
	return rc == E_NOMEM ? error_nomem(err) : rc;
}

static void refresh(struct publisher *publisher)
{
	struct error err = ERROR_NULL;
	int rc = selector_table_refresh(&publisher->selectors, publisher->reader, &err);

	if (rc == 0) {
		offer_new_selectors(publisher);
		rc = recheck_agents(publisher, publisher->selectors.head.revision.number, &err);
		tickets_on_refresh(publisher);
		review_all(publisher);
	}
	if (rc < 0)
		log_event(LOG_ERROR, "news not read from the store, agents get it later", LOG_ERR(&err));
	if (rc == 0 && publisher->stale)
		wait_check_all(publisher);
	publisher->stale = rc < 0;
}

void publisher_announce(struct publisher *publisher, const struct change_commit *commit)
{
	/* A commit after this one may be in the store already: then it was read with the one before, and this is no news.
	 */
	if (publisher->closing || revision_compare(commit->head.revision, publisher->selectors.head.revision) <= 0)
		return;
	refresh(publisher);
}

/* Time. ----------------------------------------------------------------------------------------------------------- */

static void save_agent(struct publisher *publisher, struct agent *agent, uint64_t now)
{
	struct store_agent_status status = {0};
	struct error err = ERROR_NULL;

	agent->dirty = false;
	agent->saved_at = now;
	if (agent_make_status(agent, &status, &err) == 0)
		change_agent_status(publisher->changes, &status);
	else
		log_event(LOG_WARNING, "agent status not saved", LOG_STR("agent", agent->id), LOG_ERR(&err));
	store_agent_status_deinit(&status);
}

static struct agent *take_dirty(struct agent_registry *registry)
{
	struct agent *agent = registry->dirty;

	registry->dirty = agent->next_dirty;
	if (registry->dirty == NULL)
		registry->dirty_tail = &registry->dirty;
	agent->dirty = false;
	return agent;
}

/* In turns: an agent that was saved a moment ago goes to the end of the queue. */
static void save_agents(struct publisher *publisher, uint64_t now, size_t max)
{
	struct agent *last = NULL; /* the first one put back: there the turn ends */

	for (size_t i = 0; i < max && publisher->agents.dirty != NULL && publisher->agents.dirty != last; i++) {
		struct agent *agent = take_dirty(&publisher->agents);

		if (agent->saved_at == 0 || now - agent->saved_at >= AGENT_STATUS_MS) {
			save_agent(publisher, agent, now);
			continue;
		}
		agent_touch(&publisher->agents, agent);
		if (last == NULL)
			last = agent;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct publisher *publisher = timer->data;
	uint64_t now = uv_now(publisher->loop);

	for (struct session *session = publisher->sessions; session != NULL; session = session->next)
		session_on_tick(session, now);
	if (publisher->stale)
		refresh(publisher);
	tickets_on_tick(publisher);
	chunk_cache_sweep(&publisher->chunks, now);
	listener_on_tick(&publisher->listener, now);
	save_agents(publisher, now, STATUS_ROWS_PER_TICK);
}

/* Start and close. ------------------------------------------------------------------------------------------------ */

static void on_handle_closed(uv_handle_t *handle)
{
	publisher_unpin(handle->data);
}

static void start_handles(struct publisher *publisher)
{
	uv_handle_t *const handles[] = {(uv_handle_t *)&publisher->tick, (uv_handle_t *)&publisher->pump};

	(void)uv_timer_init(publisher->loop, &publisher->tick); /* none of these can fail */
	(void)uv_idle_init(publisher->loop, &publisher->pump);
	for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
		handles[i]->data = publisher;
		publisher_pin(publisher);
	}
	(void)uv_timer_start(&publisher->tick, on_tick, PUBLISHER_TICK_MS, PUBLISHER_TICK_MS);
}

static int load(struct publisher *publisher, uint32_t ticket_period, struct error *err)
{
	int rc = store_reader_open(publisher->store, &publisher->reader, err);

	if (rc == 0)
		rc = selector_table_init(&publisher->selectors, err);
	if (rc == 0)
		rc = chunk_cache_init(&publisher->chunks, publisher->store, publisher->reader, err);
	if (rc == 0)
		rc = agent_registry_init(&publisher->agents, err);
	if (rc == 0)
		rc = selector_table_refresh(&publisher->selectors, publisher->reader, err);
	if (rc == 0)
		rc = store_floor(publisher->reader, &publisher->selectors.floor, err);
	if (rc == 0)
		rc = tickets_init(publisher, ticket_period, err);
	if (rc == 0)
		rc = identity_load(publisher, err);
	publisher->agents_read = publisher->selectors.head.revision.number;
	return rc;
}

int publisher_start(const struct publisher_config *config, struct publisher **ret, struct error *err)
{
	struct publisher *publisher = calloc(1, sizeof(*publisher));
	int rc;

	if (publisher == NULL)
		return error_nomem(err);
	publisher->loop = config->loop;
	publisher->store = config->store;
	publisher->changes = config->changes;
	publisher->heartbeat_ms = config->heartbeat_seconds * 1000;
	publisher->ready_tail = &publisher->ready;
	publisher->listener.fd = -1;
	start_handles(publisher);
	rc = load(publisher, config->ticket_period_seconds, err);
	if (rc == 0)
		rc = listener_open(&publisher->listener, publisher, config->host, config->port, err);
	if (rc < 0) {
		publisher_close(publisher, NULL, NULL);
		unload(publisher);
		return rc;
	}
	log_event(LOG_INFO, "channel listens", LOG_STR("host", config->host), LOG_U64("port", publisher->listener.port));
	*ret = publisher;
	return 0;
}

uint16_t publisher_port(const struct publisher *publisher)
{
	return publisher->listener.port;
}

void publisher_close(struct publisher *publisher, void (*on_closed)(void *owner), void *owner)
{
	struct error why = ERROR_NULL;

	assert(!publisher->closing);
	publisher->closing = true;
	publisher->on_closed = on_closed;
	publisher->owner = owner;
	(void)error_set(&why, E_CLOSED, "the control plane stops");
	listener_close(&publisher->listener);
	for (struct session *session = publisher->sessions; session != NULL; session = session->next)
		session_close(session, &why);
	wait_close_all(publisher);
	serve_close_all(publisher);
	while (publisher->agents.dirty != NULL)
		save_agent(publisher, take_dirty(&publisher->agents), 0);
	uv_close((uv_handle_t *)&publisher->tick, on_handle_closed);
	uv_close((uv_handle_t *)&publisher->pump, on_handle_closed);
}

json_t *publisher_agent_status(const struct publisher *publisher, const char *agent_id)
{
	const struct agent *agent = agent_find(&publisher->agents, agent_id);
	const struct session *session = agent == NULL ? NULL : agent->session;

	if (agent == NULL)
		return NULL;
	return agent_render(agent, session != NULL, session != NULL && session->state != SESSION_IDLE);
}

void publisher_read_counters(const struct publisher *publisher, struct publisher_counters *ret)
{
	*ret = publisher->counters;
	ret->ticket_sets = tickets_count(&publisher->tickets);
	ret->agents_connected = ret->agents_behind = ret->agents_diverged = 0;
	for (const struct session *session = publisher->sessions; session != NULL; session = session->next) {
		if (!session_is_current_of_agent(session))
			continue;
		ret->agents_connected++;
		ret->agents_diverged += session->state == SESSION_DIVERGED;
		ret->agents_behind += session->state != SESSION_DIVERGED &&
		                      (session->state != SESSION_IDLE || !holding_is_current(&session->holding));
	}
}
