/* SPDX-License-Identifier: Apache-2.0 */
/* One connection from its accept to its end. session.c draws the states.
 *
 *     session.c  life, states, messages by state      greet.c   who is it, and what does it hold: on_open, Hello
 *     follow.c   updates and their answers            enrol.c   Enroll, Renew
 *     ticket_session.c  ticket keys */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "holding.h"
#include "net/channel.h"
#include "update.h"

#include <stdbool.h>
#include <stdint.h>

struct agent;
struct publisher;
struct session_request;
struct ticket_set;

enum session_state {
	SESSION_OPENING,   /* handshake */
	SESSION_ENROLLING, /* wants a certificate */
	SESSION_EXPIRED,   /* only Renew is legal */
	SESSION_GREETING,  /* known, Hello awaited */
	SESSION_IDLE,      /* has nothing in flight */
	SESSION_SENDING,   /* an update is being streamed */
	SESSION_WAITING,   /* the update is sent, ACK or NACK awaited */
	SESSION_BACKOFF,   /* refused the newest: news or time will try again */
	SESSION_DIVERGED,  /* its state is not in this store: is sent nothing */
	SESSION_CLOSING,
	SESSION_STATES_,
};

struct session {
	struct publisher *publisher;
	struct channel *channel;
	struct agent *agent; /* NULL until its certificate is accepted */
	enum session_state state;
	bool in_handshake;            /* counted by the listener */
	bool queued;                  /* in publisher->ready */
	bool resynced;                /* since the last ACK */
	bool relabelled;              /* since the last update began */
	struct session *next, **link; /* in publisher->sessions */
	struct session *next_ready, **ready_link;

	uint8_t spki_sha256[32]; /* of its certificate */
	char *labels;            /* canonical */
	struct holding holding;
	struct update *flight;           /* SENDING, WAITING */
	struct revision refused;         /* BACKOFF: what it refused */
	struct session_request *request; /* to the change engine, unanswered */

	bool takes_tickets, takes_checks;     /* as its Hello says */
	bool owes_tickets;                    /* its ticket keys are to be sent */
	uint64_t tickets_sent, tickets_held;  /* serials, on this connection */

	uint64_t backoff_ms;
	uint64_t opened_at;    /* loop milliseconds */
	uint64_t deadline;     /* loop milliseconds: of the state; 0: none. BACKOFF: next try */
	uint64_t heard_at;     /* last message of the peer */
	uint64_t heartbeat_at; /* next one of ours; 0: not yet */
};

/* Takes fd over. */
int session_start(struct publisher *publisher, int fd, struct error *err) MUST_USE;
void session_enter(struct session *session, enum session_state state);
/* Connected and in charge of its agent: past Hello, diverged or not. */
bool session_is_current_of_agent(const struct session *session);

/* Says why and closes; logged and counted. retry_ms 0: none is sent. */
void session_refuse(struct session *session, Tlsplane__RefusedCode code, uint32_t retry_ms, const char *format, ...)
	PRINTF_LIKE(4, 5);
/* Its agent was deleted, or its key taken away. */
void session_revoke(struct session *session, const struct error *why);
/* why NULL: an orderly end; what is queued is sent first. */
void session_close(struct session *session, const struct error *why);
void session_send(struct session *session, Tlsplane__MessageType type, const ProtobufCMessage *message);
/* Closes over a failure of ours (err), which is logged. */
void session_fail(struct session *session, const struct error *err);
/* Of an agent always; of anybody else a few lines per second. */
bool session_may_log(const struct session *session);
void session_leave_queue(struct session *session); /* of the pump */
void session_on_tick(struct session *session, uint64_t now);

/* greet.c */
void session_on_open(struct session *session);
void session_on_hello(struct session *session, const ProtobufCMessage *message);
/* Something about its agent has changed in the store: deleted, keys, labels. */
void session_recheck(struct session *session);

/* follow.c */
void session_step(struct session *session);                            /* by the pump: sends what may be sent now */
void session_review(struct session *session);                          /* what it should hold may have changed */
void session_want(struct session *session, struct selector *selector); /* one that just appeared */
void session_retry(struct session *session);                           /* the back-off is over */
void session_send_heartbeat(struct session *session);
void session_on_ack(struct session *session, const ProtobufCMessage *message);
void session_on_nack(struct session *session, const ProtobufCMessage *message);
void session_on_resync(struct session *session, const ProtobufCMessage *message);
void session_on_heartbeat(struct session *session, const ProtobufCMessage *message);
void session_on_report(struct session *session, const ProtobufCMessage *message);

/* ticket_session.c */
void session_owe_tickets(struct session *session); /* the pump sends them soon */
void session_send_tickets(struct session *session);
void session_on_tickets_held(struct session *session, const ProtobufCMessage *message);
bool session_has_tickets(const struct session *session, const struct ticket_set *set);
bool session_lags_in_tickets(const struct session *session); /* one of its sets is newer than what it was sent */
void session_mark_lacking(const struct session *session);    /* its sets whose newest key its agent has not acknowledged */

/* serve.c */
void session_on_served(struct session *session, const ProtobufCMessage *message);

/* enrol.c */
void session_on_enroll(struct session *session, const ProtobufCMessage *message);
void session_on_renew(struct session *session, const ProtobufCMessage *message);
void session_leave_request(struct session *session); /* the answer will find nobody */
