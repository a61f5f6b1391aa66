/* SPDX-License-Identifier: Apache-2.0 */
#include "wiring.h"

#include <time.h>

/* --- what is degraded --- */

static int send_message(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err)
{
	struct agent *agent = owner;

	if (agent->link == NULL)
		return error_set(err, E_CLOSED, "not connected");
	return link_send(agent->link, type, message, err);
}

static const struct snapshot *current_snapshot(void *owner)
{
	const struct agent *agent = owner;

	return agent->proxy != NULL ? proxy_snapshot(agent->proxy) : NULL;
}

static uint64_t unix_now(void *owner)
{
	return (uint64_t)time(NULL);
}

void wiring_on_listener_state(const char *listener_id, const char *reason, void *owner)
{
	struct agent *agent = owner;

	reporter_set(&agent->reporter, KIND_LISTENER, listener_id, reason);
}

static void on_upstream_state(struct upstream *upstream, const char *reason, void *owner)
{
	struct agent *agent = owner;

	reporter_set_upstream(&agent->reporter, upstream, reason);
}

/* A certificate that was taken on trust turned out bad when a handshake asked for it. */
void wiring_on_site_failure(const char *ssl_id, const char *reason, void *owner)
{
	struct agent *agent = owner;

	reporter_set(&agent->reporter, KIND_SSL, ssl_id, reason);
}

/* --- ports of apply --- */

static void reconnect(const struct error *why, void *owner)
{
	struct agent *agent = owner;

	if (agent->link != NULL)
		link_reconnect(agent->link, why);
}

void wiring_publish(struct snapshot *snapshot, void *owner)
{
	struct agent *agent = owner;
	const struct snapshot *before = proxy_snapshot(agent->proxy);

	reporter_before_swap(&agent->reporter, before, snapshot);
	ticket_keeper_on_update(agent->tickets, before, snapshot);
	proxy_publish(agent->proxy, snapshot);
	reporter_after_swap(&agent->reporter);
}

static void set_tickets(struct ticket_sets *sets, void *owner)
{
	struct agent *agent = owner;

	proxy_set_tickets(agent->proxy, sets);
}

static void before_ack(void *owner)
{
	struct agent *agent = owner;

	reporter_send_changes(&agent->reporter);
}

static int probe(const char *listener_id, const char *sni, enum proxy_probe_key key,
                 void (*done)(const struct proxy_probed *result, void *context), void *context, void *owner, struct error *err)
{
	struct agent *agent = owner;

	return proxy_probe(agent->proxy, listener_id, sni, key, done, context, err);
}

/* --- events of the link --- */

static void on_greet(void *owner)
{
	struct agent *agent = owner;

	apply_on_greet(agent->apply);
}

static void on_beat(void *owner)
{
	struct agent *agent = owner;

	apply_on_beat(agent->apply);
	ticket_keeper_on_beat(agent->tickets);
}

static void on_connected(void *owner)
{
	struct agent *agent = owner;

	reporter_send(&agent->reporter);
}

static void on_message(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner)
{
	struct agent *agent = owner;

	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS)
		ticket_keeper_on_message(agent->tickets, (const Tlsplane__TicketKeys *)message);
	else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVE_CHECK)
		checks_on_message(&agent->checks, (const Tlsplane__ServeCheck *)message);
	else
		apply_on_message(agent->apply, type, message);
}

static void on_disconnected(void *owner)
{
	struct agent *agent = owner;

	apply_on_disconnected(agent->apply);
	checks_forget(&agent->checks);
}

/* --- handed out --- */

static void start_reporter(struct agent *agent)
{
	const struct reporter_ports ports = {
	    .sender = {send_message, agent}, .current = current_snapshot, .now = unix_now, .owner = agent};

	reporter_start(&agent->reporter, agent->config.loop, agent->context.hash_key, &ports);
}

void wiring_start(struct agent *agent)
{
	start_reporter(agent);
	agent->checks.ports = (struct checks_ports){probe, send_message, agent};
	agent->upstream_events = (struct upstream_events){on_upstream_state, agent};
}

struct ticket_ports wiring_tickets(struct agent *agent)
{
	return (struct ticket_ports){
	    .send = send_message, .reconnect = reconnect, .set_tickets = set_tickets, .owner = agent};
}

struct apply_ports wiring_apply(struct agent *agent)
{
	return (struct apply_ports){.send = send_message,
	                            .reconnect = reconnect,
	                            .current = current_snapshot,
	                            .publish = wiring_publish,
	                            .before_ack = before_ack,
	                            .owner = agent};
}

struct link_events wiring_link(struct agent *agent)
{
	return (struct link_events){.on_greet = on_greet,
	                            .on_beat = on_beat,
	                            .on_connected = on_connected,
	                            .on_message = on_message,
	                            .on_disconnected = on_disconnected,
	                            .owner = agent};
}
