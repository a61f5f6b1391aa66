/* SPDX-License-Identifier: Apache-2.0 */
/* Following: updates one at a time, their answers, heartbeats. What changes while an update is in flight is in the next
 * one. */
#include "base/log.h"
#include "internal.h"
#include "session.h"
#include "wait.h"

#include <stdlib.h>

#define UPDATE_MS 60000                     /* for the answer to an update... */
#define UPDATE_BYTES_PER_SECOND (64u << 10) /* ...and what its size adds */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000

static uint64_t now_of(const struct session *session)
{
	return uv_now(session->publisher->loop);
}

static void set_update_deadline(struct session *session)
{
	session->deadline = now_of(session) + UPDATE_MS + session->flight->bytes * 1000 / UPDATE_BYTES_PER_SECOND;
}

static void set_applied(struct session *session, struct revision revision)
{
	session->agent->applied = revision;
	if (revision_compare(session->agent->crashed, revision) <= 0)
		session->agent->crashed = (struct revision){0, 0}; /* overcome */
	wait_on_applied(session->agent);
}

static void begin(struct session *session)
{
	struct publisher *publisher = session->publisher;
	struct error err = ERROR_NULL;
	int rc = update_begin(&session->holding, &publisher->selectors, &publisher->chunks, session->channel,
	                      now_of(session), &session->flight, &err);

	if (rc < 0) {
		session_fail(session, &err);
		return;
	}
	session->relabelled = false;
	session_enter(session, SESSION_SENDING);
	set_update_deadline(session);
}

static void stream(struct session *session)
{
	struct publisher *publisher = session->publisher;
	struct update *update = session->flight;
	struct error err = ERROR_NULL;
	uint64_t before = update->bytes, built = publisher->chunks.built;
	bool done = false;

	/* A chunk that had to be read is enough for one turn of the loop. */
	while (!done && channel_is_writable(session->channel) && update->bytes - before < CHUNK_BYTES && publisher->chunks.built == built) {
		if (update_continue(update, &publisher->chunks, session->channel, now_of(session), &done, &err) < 0) {
			session_fail(session, &err);
			return;
		}
	}
	publisher->counters.bytes_sent += update->bytes - before;
	if (done) {
		publisher->counters.updates_sent++;
		session_enter(session, SESSION_WAITING);
	} else if (channel_is_writable(session->channel)) {
		publisher_make_ready(publisher, session);
	}
	if (done || update->bytes > before)
		set_update_deadline(session);
}

void session_step(struct session *session)
{
	channel_cork(session->channel); /* a change is three messages to each of very many */
	if (session->owes_tickets)
		session_send_tickets(session);
	if (session->state == SESSION_IDLE && !holding_is_current(&session->holding))
		begin(session);
	if (session->state == SESSION_SENDING)
		stream(session);
	channel_uncork(session->channel);
}

void session_retry(struct session *session)
{
	session_enter(session, SESSION_IDLE);
	session_review(session);
}

void session_review(struct session *session)
{
	if (session->state == SESSION_BACKOFF &&
	    (session->relabelled || holding_has_news(&session->holding, session->refused.number)))
		session_enter(session, SESSION_IDLE);
	if (session->state != SESSION_IDLE)
		return;
	if (holding_is_current(&session->holding)) {
		if (!session->agent->not_durable) /* else its heartbeat will tell */
			set_applied(session, session->publisher->selectors.head.revision);
		return;
	}
	publisher_make_ready(session->publisher, session);
}

void session_want(struct session *session, struct selector *selector)
{
	struct error err = ERROR_NULL;

	if (holding_want(&session->holding, &session->publisher->selectors, selector, &err) < 0)
		session_fail(session, &err);
}

/* The update in flight is over; its plan has been committed or cancelled. */
static void land(struct session *session)
{
	session->flight = update_free(session->flight, &session->publisher->selectors);
}

static bool is_of_flight(const struct session *session, uint64_t epoch, uint64_t number)
{
	return revision_compare((struct revision){epoch, number}, session->flight->to) == 0;
}

void session_on_ack(struct session *session, const ProtobufCMessage *message)
{
	const Tlsplane__Ack *ack = (const Tlsplane__Ack *)message;
	struct publisher *publisher = session->publisher;
	struct revision to = session->flight->to;

	if (!is_of_flight(session, ack->epoch, ack->revision)) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "ACK of a revision that was not sent");
		return;
	}
	publisher->counters.acks++;
	if (holding_is_dropping(&session->holding)) /* the agent erased the keys too; it may have been sent new ones before that */
		session_owe_tickets(session);
	holding_commit(&session->holding, to.number);
	land(session);
	session->resynced = false;
	session->backoff_ms = 0;
	session->agent->not_durable = false;
	session->agent->last_ack_time = publisher_unix_time();
	agent_touch(&publisher->agents, session->agent);
	session_enter(session, SESSION_IDLE);
	set_applied(session, to);
	session_review(session);
}

static void log_nack(const struct session *session, const Tlsplane__Nack *nack)
{
	const Tlsplane__ObjectReason *first = nack->n_objects > 0 ? nack->objects[0] : NULL;
	const struct kind_info *kind = first == NULL ? NULL : kind_find(first->kind);

	log_event(LOG_WARNING, "agent refused the update", LOG_STR("agent", session->agent->id),
	          LOG_U64("epoch", nack->epoch), LOG_U64("revision", nack->revision), LOG_STR("text", nack->text),
	          LOG_STR("kind", kind == NULL ? NULL : kind->collection), LOG_STR("id", first == NULL ? NULL : first->id),
	          LOG_STR("field", first == NULL ? NULL : first->field),
	          LOG_STR("reason", first == NULL ? NULL : first->reason));
}

/* The next try of what was refused: 1 s doubling to 60 s. */
static void back_off(struct session *session)
{
	session_enter(session, SESSION_BACKOFF);
	session->backoff_ms = session->backoff_ms == 0 ? BACKOFF_FIRST_MS : 2 * session->backoff_ms;
	if (session->backoff_ms > BACKOFF_MAX_MS)
		session->backoff_ms = BACKOFF_MAX_MS;
	session->deadline = now_of(session) + publisher_jitter(session->backoff_ms);
}

void session_on_nack(struct session *session, const ProtobufCMessage *message)
{
	const Tlsplane__Nack *nack = (const Tlsplane__Nack *)message;
	struct publisher *publisher = session->publisher;
	struct error err = ERROR_NULL;
	int rc;

	if (!is_of_flight(session, nack->epoch, nack->revision)) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "NACK of a revision that was not sent");
		return;
	}
	rc = agent_take_nack(session->agent, nack, publisher_unix_time(), &err);
	if (rc == E_PROTOCOL) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "%s", err.text);
		return;
	}
	publisher->counters.nacks++;
	log_nack(session, nack);
	session->refused = session->flight->to;
	holding_cancel(&session->holding);
	land(session);
	agent_touch(&publisher->agents, session->agent);
	back_off(session);
	wait_on_nack(session->agent, session->refused);
	session_review(session);
}

/* Some selectors are sent whole, once; the second time it is beyond repair here. */
static void resync(struct session *session)
{
	if (session->resynced) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "digests came out wrong again");
		return;
	}
	session->resynced = true;
	session->publisher->counters.resyncs++;
	log_event(LOG_WARNING, "agent is sent selectors whole", LOG_STR("agent", session->agent->id));
	if (session->state == SESSION_WAITING) {
		holding_cancel(&session->holding);
		land(session);
		session_enter(session, SESSION_IDLE);
	}
	session_review(session);
}

void session_on_resync(struct session *session, const ProtobufCMessage *message)
{
	const Tlsplane__Resync *request = (const Tlsplane__Resync *)message;
	bool any = false;

	for (size_t i = 0; i < request->n_selectors; i++)
		any |= holding_doubt(&session->holding, request->selectors[i]);
	if (any)
		resync(session);
	else
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0,
		               "Resync of selectors that the agent does not hold");
}

/* Equal digests mean applied, whatever was sent or refused before. */
static void take_as_applied(struct session *session)
{
	struct publisher *publisher = session->publisher;

	holding_plan(&session->holding, &publisher->selectors);
	holding_commit(&session->holding, publisher->selectors.head.revision.number);
	if (session->state == SESSION_BACKOFF)
		session_enter(session, SESSION_IDLE);
	session_review(session);
}

void session_on_heartbeat(struct session *session, const ProtobufCMessage *message)
{
	const Tlsplane__Heartbeat *heartbeat = (const Tlsplane__Heartbeat *)message;
	bool not_durable = heartbeat->has_not_durable && heartbeat->not_durable;

	session->agent->last_seen = publisher_unix_time();
	if (session->state == SESSION_DIVERGED)
		return;
	session->agent->not_durable = not_durable;
	if (not_durable && session->state == SESSION_WAITING)
		set_update_deadline(session); /* it has applied it, and says why the ACK is late */
	if (not_durable || session->flight != NULL)
		return;
	if (holding_is_equal(&session->holding, heartbeat->digests, heartbeat->n_digests)) {
		take_as_applied(session);
	} else if (session->state == SESSION_IDLE && holding_is_current(&session->holding)) {
		holding_doubt_unequal(&session->holding, heartbeat->digests, heartbeat->n_digests);
		resync(session);
	}
}

void session_on_report(struct session *session, const ProtobufCMessage *message)
{
	struct error err = ERROR_NULL;

	if (agent_take_report(session->agent, (const Tlsplane__Report *)message, &err) < 0) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "%s", err.text);
		return;
	}
	agent_touch(&session->publisher->agents, session->agent);
}

void session_send_heartbeat(struct session *session)
{
	const struct revision head = session->publisher->selectors.head.revision;
	Tlsplane__Heartbeat message = TLSPLANE__HEARTBEAT__INIT;
	struct holding_digests *digests;

	if (!channel_is_writable(session->channel))
		return; /* what is queued says as much */
	digests = holding_digests_new(&session->holding);
	if (digests == NULL)
		return;
	message.epoch = head.epoch;
	message.revision = head.number;
	message.n_digests = digests->len;
	message.digests = digests->list;
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT, &message.base);
	free(digests);
}
