/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: life, states, which message is legal when.
 *
 *     OPENING --+--> ENROLLING (reply, then closed)
 *               +--> EXPIRED (Renew, then the agent comes back)
 *               +--> GREETING --Hello--> IDLE --update_begin--> SENDING --UPDATE_END--> WAITING
 *                        |               ^  ^                      |                     |  |
 *                        |               |  |                      +--NACK--> <---NACK---+  |
 *                        |               |  +--news or time------------ BACKOFF             |
 *                        |               +--------------------------------ACK, Resync-------+
 *                        +--> DIVERGED (stays, is sent nothing)
 *
 *     any --> CLOSING --on_close--> gone
 *
 * Deadlines belong to states; a global tick looks at them. Whatever fails in a session closes that session alone: the
 * agent serves on and comes back. */
#include "session.h"

#include "base/log.h"
#include "internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN(state) (1u << SESSION_##state)
#define FOLLOWING (IN(IDLE) | IN(SENDING) | IN(WAITING) | IN(BACKOFF))
#define GRACE_MS 1000
#define DIVERGED_SILENCE_MS 120000
#define REVOKED_MS 500 /* to take the Refused; then it is cut */

/* To which states each may go. */
static const unsigned edges[SESSION_STATES_] = {
	[SESSION_OPENING] = IN(ENROLLING) | IN(EXPIRED) | IN(GREETING) | IN(CLOSING),
	[SESSION_ENROLLING] = IN(CLOSING),
	[SESSION_EXPIRED] = IN(CLOSING),
	[SESSION_GREETING] = IN(IDLE) | IN(DIVERGED) | IN(CLOSING),
	[SESSION_IDLE] = IN(SENDING) | IN(CLOSING),
	[SESSION_SENDING] = IN(WAITING) | IN(BACKOFF) | IN(CLOSING),
	[SESSION_WAITING] = IN(IDLE) | IN(BACKOFF) | IN(CLOSING),
	[SESSION_BACKOFF] = IN(IDLE) | IN(CLOSING),
	[SESSION_DIVERGED] = IN(CLOSING),
	[SESSION_CLOSING] = 0,
};

/* How long each may last; 0: as long as the peer lives. WAITING and BACKOFF set their own. */
static const uint32_t time_limits[SESSION_STATES_] = {
	[SESSION_ENROLLING] = 10000,
	[SESSION_EXPIRED] = 30000,
	[SESSION_GREETING] = 10000,
};

static const struct message_rule {
	Tlsplane__MessageType type;
	unsigned states;
	void (*handle)(struct session *session, const ProtobufCMessage *message);
} rules[] = {
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL, IN(ENROLLING), session_on_enroll},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, IN(EXPIRED) | IN(GREETING) | FOLLOWING | IN(DIVERGED), session_on_renew},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO, IN(GREETING), session_on_hello},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, IN(WAITING), session_on_ack},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK, IN(SENDING) | IN(WAITING), session_on_nack},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_RESYNC, IN(IDLE) | IN(WAITING), session_on_resync},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT, FOLLOWING | IN(DIVERGED), session_on_heartbeat},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_REPORT, FOLLOWING | IN(DIVERGED), session_on_report},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS_HELD, FOLLOWING, session_on_tickets_held},
	{TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVED, FOLLOWING, session_on_served},
};

void session_enter(struct session *session, enum session_state state)
{
	assert((edges[session->state] & 1u << state) != 0);
	session->state = state;
	session->deadline = time_limits[state] == 0 ? 0 : uv_now(session->publisher->loop) + time_limits[state];
}

bool session_is_current_of_agent(const struct session *session)
{
	return ((FOLLOWING | IN(DIVERGED)) & 1u << session->state) != 0;
}

/* What only a connection in use has; its agent's record stays. */
static void release(struct session *session)
{
	struct publisher *publisher = session->publisher;

	session->flight = update_free(session->flight, &publisher->selectors);
	holding_deinit(&session->holding, &publisher->selectors);
	session_leave_request(session);
	if (session->agent != NULL && session->agent->session == session) {
		session->agent->session = NULL;
		session->agent->last_seen = publisher_unix_time();
		agent_touch(&publisher->agents, session->agent);
	}
}

static void leave_handshake(struct session *session)
{
	if (!session->in_handshake)
		return;
	session->in_handshake = false;
	listener_on_handshake_done(&session->publisher->listener);
}

void session_close(struct session *session, const struct error *why)
{
	if (session->state == SESSION_CLOSING)
		return;
	session_enter(session, SESSION_CLOSING);
	release(session);
	channel_close(session->channel, why == NULL, why);
}

void session_send(struct session *session, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	struct error err = ERROR_NULL;

	if (channel_send(session->channel, type, message, &err) < 0)
		session_close(session, &err);
}

bool session_may_log(const struct session *session)
{
	struct publisher *publisher = session->publisher;

	return session->agent != NULL || log_budget_take(&publisher->strangers, uv_now(publisher->loop));
}

/* Purged keys in the middle of an update are no failure; the agent comes back, and is sent what is there now. */
void session_fail(struct session *session, const struct error *err)
{
	if (session_may_log(session))
		log_event(err->code == E_GONE ? LOG_INFO : LOG_ERROR, "agent session failed",
		          LOG_STR("agent", session->agent == NULL ? NULL : session->agent->id),
		          LOG_STR("address", channel_address(session->channel)), LOG_ERR(err));
	session_close(session, err);
}

void session_refuse(struct session *session, Tlsplane__RefusedCode code, uint32_t retry_ms, const char *format, ...)
{
	Tlsplane__Refused message = TLSPLANE__REFUSED__INIT;
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	session->publisher->counters.connections_refused++;
	if (session_may_log(session))
		log_event(LOG_WARNING, "peer refused", LOG_STR("address", channel_address(session->channel)),
		          LOG_STR("agent", session->agent == NULL ? NULL : session->agent->id), LOG_STR("reason", text));
	message.code = code;
	message.text = text;
	message.has_retry_after_ms = retry_ms > 0;
	message.retry_after_ms = retry_ms;
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED, &message.base);
	session_close(session, NULL);
	if (code == TLSPLANE__REFUSED_CODE__REFUSED_REVOKED)
		session->deadline = uv_now(session->publisher->loop) + REVOKED_MS;
}

/* An update on its way is not finished for an agent that must not have it. */
void session_revoke(struct session *session, const struct error *why)
{
	log_event(LOG_WARNING, "agent revoked", LOG_STR("agent", session->agent->id), LOG_ERR(why));
	if (session->flight != NULL)
		session_close(session, why);
	else
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED, 0, "%s", why->text);
}

static const struct message_rule *find_rule(Tlsplane__MessageType type)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (rules[i].type == type)
			return &rules[i];
	}
	return NULL;
}

static void on_open(struct channel *channel, void *owner)
{
	struct session *session = owner;

	if (session->state == SESSION_OPENING)
		session_on_open(session);
	/* To enrol anybody may come so far: until they say something they count with those that shake hands. */
	if (session->state != SESSION_ENROLLING)
		leave_handshake(session);
}

static void on_message(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message, void *owner)
{
	struct session *session = owner;
	const struct message_rule *rule = find_rule(type);

	if (session->state == SESSION_CLOSING)
		return;
	leave_handshake(session);
	session->heard_at = uv_now(session->publisher->loop);
	if (rule != NULL && (rule->states & 1u << session->state) != 0)
		rule->handle(session, message);
	else if (session->state == SESSION_EXPIRED)
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_EXPIRED, 0, "certificate expired or not yet valid: only Renew is legal");
	else
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "message type %d is not legal here",
		               (int)type);
}

static void on_writable(struct channel *channel, void *owner)
{
	struct session *session = owner;

	if (session->state == SESSION_SENDING || session->owes_tickets)
		publisher_make_ready(session->publisher, session);
}

static void log_end(const struct session *session, const struct error *why)
{
	const char *address = channel_address(session->channel);

	if (session->agent != NULL)
		log_event(LOG_INFO, "agent disconnected", LOG_STR("agent", session->agent->id), LOG_STR("address", address),
		          LOG_STR("why", why->text));
	else if (session->state != SESSION_OPENING && why->code == E_CLOSED)
		log_event(LOG_DEBUG, "channel closed", LOG_STR("address", address), LOG_STR("why", why->text));
	else if (!session_may_log(session))
		return;
	else if (session->state != SESSION_OPENING)
		log_event(LOG_INFO, "channel closed", LOG_STR("address", address), LOG_STR("why", why->text));
	else if (why->code == E_UNAUTHENTICATED)
		log_event(LOG_WARNING, "peer refused", LOG_STR("address", address), LOG_STR("reason", why->text));
	else
		log_event(LOG_INFO, "channel handshake failed", LOG_STR("address", address), LOG_STR("why", why->text));
}

void session_leave_queue(struct session *session)
{
	if (!session->queued)
		return;
	*session->ready_link = session->next_ready;
	if (session->next_ready != NULL)
		session->next_ready->ready_link = session->ready_link;
	else
		session->publisher->ready_tail = session->ready_link;
	session->queued = false;
}

static void on_close(struct channel *channel, const struct error *why, void *owner)
{
	struct session *session = owner;
	struct publisher *publisher = session->publisher;

	log_end(session, why);
	if (session->state == SESSION_OPENING && why->code == E_UNAUTHENTICATED)
		publisher->counters.connections_refused++;
	leave_handshake(session);
	if (session->state != SESSION_CLOSING)
		release(session);
	session_leave_queue(session);
	*session->link = session->next;
	if (session->next != NULL)
		session->next->link = session->link;
	if (session->agent != NULL)
		agent_unref(session->agent);
	free(session->labels);
	free(session);
	publisher_unpin(publisher);
}

static const struct channel_events events = {on_open, on_message, on_writable, on_close};

int session_start(struct publisher *publisher, int fd, struct error *err)
{
	struct session *session;
	int rc;

	identity_renew_if_due(publisher);
	session = publisher->tls != NULL ? calloc(1, sizeof(*session)) : NULL;
	if (session == NULL) {
		close(fd);
		return publisher->tls != NULL ? error_nomem(err) : error_set(err, E_UNAVAILABLE, "there is no certificate to show");
	}
	session->publisher = publisher;
	session->state = SESSION_OPENING;
	session->in_handshake = true;
	session->opened_at = uv_now(publisher->loop);
	rc = channel_start(publisher->loop, fd, publisher->tls, LISTENER_HANDSHAKE_MS, &events, session, &session->channel,
	                   err);
	if (rc < 0) {
		free(session);
		return rc;
	}
	session->next = publisher->sessions;
	session->link = &publisher->sessions;
	if (session->next != NULL)
		session->next->link = &session->next;
	publisher->sessions = session;
	publisher_pin(publisher);
	return 0;
}

static void on_deadline(struct session *session)
{
	struct error err = ERROR_NULL;

	if (session->state == SESSION_BACKOFF) {
		session_retry(session);
		return;
	}
	if (session->state == SESSION_CLOSING) {
		session->deadline = 0;
		channel_close(session->channel, false, NULL);
		return;
	}
	(void)error_set(&err, E_TIMEOUT,
	                session->flight == NULL ? "the agent said nothing in time" : "the update was not answered in time");
	session_close(session, &err);
}

/* Two missed heartbeats end it. What travels takes time: a session that is being sent to has its update's own deadline.
 * One that diverged had no Welcome to tell it our interval. */
static bool is_silent(const struct session *session, uint64_t now)
{
	uint64_t limit = 2ull * session->publisher->heartbeat_ms + GRACE_MS;

	if (session->state == SESSION_DIVERGED && limit < DIVERGED_SILENCE_MS)
		limit = DIVERGED_SILENCE_MS;
	return session->heartbeat_at != 0 && session->flight == NULL && now > session->heard_at + limit;
}

/* Peers that only connect must not keep agents out for as long as a handshake may take. */
static bool is_in_the_way(const struct session *session, uint64_t now)
{
	return session->in_handshake && session->state != SESSION_CLOSING && listener_is_full(&session->publisher->listener) &&
	       now - session->opened_at >= LISTENER_STALL_MS;
}

void session_on_tick(struct session *session, uint64_t now)
{
	struct error err = ERROR_NULL;

	if (is_in_the_way(session, now)) {
		(void)error_set(&err, E_TIMEOUT, "handshake stalled while others wait");
		session_close(session, &err);
	} else if (session->deadline != 0 && now >= session->deadline) {
		on_deadline(session);
	} else if (is_silent(session, now)) {
		(void)error_set(&err, E_TIMEOUT, "two heartbeats missed");
		session_close(session, &err);
	} else if (session->heartbeat_at != 0 && now >= session->heartbeat_at && session->state != SESSION_CLOSING) {
		session->heartbeat_at = now + session->publisher->heartbeat_ms;
		session_send_heartbeat(session);
	}
}
