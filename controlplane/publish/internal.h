/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this layer share: the publisher itself. One loop owns all of it. */
#pragma once

#include "agent.h"
#include "base/log.h"
#include "chunk.h"
#include "listener.h"
#include "publisher.h"
#include "selectors.h"
#include "session.h"
#include "ticket_set.h"
#include "tickets.h"

#define PUBLISHER_TICK_MS 250

struct publisher {
	uv_loop_t *loop;
	struct store *store;
	struct change_engine *changes;
	struct store_reader *reader;
	uint32_t heartbeat_ms;

	/* The CA, and our own certificate under it. */
	X509 *ca;
	EVP_PKEY *ca_key;
	uint8_t *ca_der;
	size_t ca_der_len;
	char trust_domain[256];
	struct channel_tls *tls; /* NULL: there is no certificate to show */
	int64_t issued_at;   /* unix seconds */
	uint64_t reissue_at; /* by the loop's clock: not tried before */

	struct listener listener;
	struct selector_table selectors;
	struct tickets tickets;
	struct chunk_cache chunks;
	struct agent_registry agents;
	struct session *sessions;            /* all, in no order */
	struct session *ready, **ready_tail; /* those with something to send */
	struct publisher_wait *waits;
	struct publisher_serve *serves;
	uint64_t next_check;  /* id of the next ServeCheck */
	unsigned checks_sent; /* that are not answered */

	uv_timer_t tick;
	uv_idle_t pump;       /* active while `ready` is not empty */
	bool stale;           /* a refresh failed: tried again at each tick */
	uint64_t agents_read; /* changes of agents up to this revision are taken */
	struct publisher_counters counters;
	struct log_budget strangers; /* what is told of those who are no agent (yet) */

	uint32_t pins; /* handles, sessions, requests and waits that are not gone yet */
	bool closing;
	void (*on_closed)(void *owner);
	void *owner;
};

/* Something that outlives a call holds a pin; the last one to go after publisher_close frees the publisher. */
void publisher_pin(struct publisher *publisher);
void publisher_unpin(struct publisher *publisher);

/* A delay of ms, give or take half. */
uint64_t publisher_jitter(uint64_t ms);
uint64_t publisher_unix_time(void);
/* Queues a session for the pump. */
void publisher_make_ready(struct publisher *publisher, struct session *session);

/* identity.c */
/* CA and first certificate; without one, tls NULL, when the CA has expired. */
int identity_load(struct publisher *publisher, struct error *err) MUST_USE;
void identity_renew_if_due(struct publisher *publisher); /* before each use of publisher->tls */
void identity_unload(struct publisher *publisher);
