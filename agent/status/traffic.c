/* SPDX-License-Identifier: Apache-2.0 */
/* Label values are ids ([a-zA-Z0-9._-]) and constants; names of TLS parameters go through text_put_label. */
#include "status/traffic.h"

#include "status/metrics.h"
#include "status/names.h"
#include "status/text.h"
#include "tls/origin.h"

#include <inttypes.h>
#include <stddef.h>

/* One row per sample; a row with help begins a metric. */
static const struct counter_row {
	const char *name, *labels, *type, *help;
	size_t offset; /* in struct proxy_counters */
} counter_rows[] = {
#define COUNTER(field) offsetof(struct proxy_counters, field)
#define ORIGIN(cause) (offsetof(struct proxy_counters, upstream_tls_failures) + (cause) * sizeof(uint64_t))
    {"tlsplane_agent_connections_accepted_total", "", "counter", "Connections accepted.",
     COUNTER(connections_accepted)},
    {"tlsplane_agent_connections", "", "gauge", "Connections open now.", COUNTER(connections_open)},
    {"tlsplane_agent_connections_refused_total", "", "counter", "Connections closed because of a limit.",
     COUNTER(connections_refused)},
    {"tlsplane_agent_connections_passthrough_total", "", "counter", "Connections handed on unopened.",
     COUNTER(passthrough)},
    {"tlsplane_agent_connections_closed_on_tighten_total", "", "counter",
     "Connections closed because new rules would refuse them.", COUNTER(closed_on_tighten)},
    {"tlsplane_agent_handshakes_total", "{result=\"ok\"}", "counter", "TLS handshakes with clients by result.",
     COUNTER(handshakes_ok)},
    {"tlsplane_agent_handshakes_total", "{result=\"failed\"}", NULL, NULL, COUNTER(handshakes_failed)},
    {"tlsplane_agent_handshakes_total", "{result=\"timed_out\"}", NULL, NULL, COUNTER(handshakes_timed_out)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"sni\"}", "counter", "Failed handshakes by cause.",
     COUNTER(failures_sni)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"client_certificate\"}", NULL, NULL,
     COUNTER(failures_client_cert)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"protocol\"}", NULL, NULL, COUNTER(failures_protocol)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"certificate\"}", NULL, NULL, COUNTER(failures_site)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"address\"}", NULL, NULL, COUNTER(failures_address)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"rejected\"}", NULL, NULL, COUNTER(failures_rejected)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"limit\"}", NULL, NULL, COUNTER(failures_limit)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"proxy_header\"}", NULL, NULL, COUNTER(failures_proxy_header)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"size\"}", NULL, NULL, COUNTER(failures_size)},
    {"tlsplane_agent_tickets_ignored_total", "", "counter", "Tickets offered, and a full handshake made instead.",
     COUNTER(tickets_ignored)},
    {"tlsplane_agent_limit_hits_total", "{limit=\"connections\"}", "counter", "Limits hit by kind.",
     COUNTER(limit_connections)},
    {"tlsplane_agent_limit_hits_total", "{limit=\"handshakes\"}", NULL, NULL, COUNTER(limit_handshakes)},
    {"tlsplane_agent_limit_hits_total", "{limit=\"handshake_rate\"}", NULL, NULL, COUNTER(limit_handshake_rate)},
    {"tlsplane_agent_limit_hits_total", "{limit=\"name_handshakes\"}", NULL, NULL, COUNTER(limit_name_handshakes)},
    {"tlsplane_agent_limit_hits_total", "{limit=\"name_rate\"}", NULL, NULL, COUNTER(limit_name_rate)},
    {"tlsplane_agent_upstream_failures_total", "", "counter", "Connections for which no upstream node could be had.",
     COUNTER(upstream_failures)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"connect\"}", "counter",
     "Failed tries of upstream nodes by cause.", COUNTER(upstream_connect_failures)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_timeout\"}", NULL, NULL, ORIGIN(ORIGIN_CAUSE_NONE)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_chain\"}", NULL, NULL, ORIGIN(ORIGIN_CAUSE_CHAIN)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_name\"}", NULL, NULL, ORIGIN(ORIGIN_CAUSE_NAME)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_pin\"}", NULL, NULL, ORIGIN(ORIGIN_CAUSE_PIN)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_revoked\"}", NULL, NULL, ORIGIN(ORIGIN_CAUSE_REVOKED)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_alert\"}", NULL, NULL, ORIGIN(ORIGIN_CAUSE_ALERT)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_protocol\"}", NULL, NULL,
     ORIGIN(ORIGIN_CAUSE_PROTOCOL)},
    {"tlsplane_agent_upstream_try_failures_total", "{cause=\"tls_profile\"}", NULL, NULL, ORIGIN(ORIGIN_CAUSE_PROFILE)},
    {"tlsplane_agent_upstream_handshakes_total", "", "counter", "Good TLS handshakes with upstream nodes.",
     COUNTER(upstream_tls_ok)},
    {"tlsplane_agent_upstream_handshakes_resumed_total", "", "counter", "Of those, how many resumed a session.",
     COUNTER(upstream_tls_resumed)},
    {"tlsplane_agent_upstream_handshakes_permissive_total", "", "counter",
     "Of those, how many did not verify and were let pass.", COUNTER(upstream_tls_permissive)},
    {"tlsplane_agent_bytes_total", "{direction=\"in\"}", "counter", "Plain bytes relayed, seen from the client.",
     COUNTER(bytes_in)},
    {"tlsplane_agent_bytes_total", "{direction=\"out\"}", NULL, NULL, COUNTER(bytes_out)},
#undef COUNTER
#undef ORIGIN
};

static void put_sums(const struct proxy *proxy, struct buf *out)
{
	struct proxy_counters counters;

	proxy_read_counters(proxy, &counters);
	for (size_t i = 0; i < ARRAY_LEN(counter_rows); i++) {
		const struct counter_row *row = &counter_rows[i];
		const uint64_t *value = (const uint64_t *)(const void *)((const char *)&counters + row->offset);

		if (row->help != NULL)
			metrics_put_head(out, row->name, row->type, row->help);
		buf_printf(out, "%s%s %" PRIu64 "\n", row->name, row->labels, *value);
	}
}

/* {0, 0, 0} stands for all combinations beyond those that are kept. */
static void put_one_agreed(const struct proxy_agreed *agreed, void *context)
{
	bool other = agreed->version == 0;
	char text[NAMES_TEXT_MAX];
	struct buf *out = context;

	buf_put_str(out, "tlsplane_agent_handshakes_agreed_total{version=");
	text_put_label(out, other ? "other" : names_version(agreed->version, text));
	buf_put_str(out, ",suite=");
	text_put_label(out, other ? "other" : names_suite(agreed->suite, text));
	buf_put_str(out, ",group=");
	text_put_label(out, other ? "other" : names_group(agreed->group, text));
	buf_printf(out, ",resumed=\"%s\"} %" PRIu64 "\n", agreed->resumed ? "true" : "false", agreed->count);
}

/* One metric of all listeners. */
static void put_listener_metric(const struct proxy *proxy, const struct snapshot *snapshot, const char *name,
                                const char *labels,
                                uint64_t (*value)(bool bound, const struct proxy_listener_counters *counters),
                                struct buf *out)
{
	for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
		const char *id = snapshot_listener(snapshot, i)->id;
		struct proxy_listener_counters counters = {0};
		bool bound = proxy_listener_read(proxy, id, &counters);

		buf_printf(out, "%s{listener=\"%s\"%s} %" PRIu64 "\n", name, id, labels, value(bound, &counters));
	}
}

static uint64_t value_bound(bool bound, const struct proxy_listener_counters *counters)
{
	return bound;
}

static uint64_t value_connections(bool bound, const struct proxy_listener_counters *counters)
{
	return counters->connections > 0 ? (uint64_t)counters->connections : 0;
}

static uint64_t value_accepted(bool bound, const struct proxy_listener_counters *counters)
{
	return counters->accepted;
}

static uint64_t value_refused(bool bound, const struct proxy_listener_counters *counters)
{
	return counters->refused;
}

static uint64_t value_ok(bool bound, const struct proxy_listener_counters *counters)
{
	return counters->handshakes_ok;
}

static uint64_t value_failed(bool bound, const struct proxy_listener_counters *counters)
{
	return counters->handshakes_failed;
}

/* As counter_rows. */
static const struct listener_row {
	const char *name, *labels, *type, *help;
	uint64_t (*value)(bool bound, const struct proxy_listener_counters *counters);
} listener_rows[] = {
    {"tlsplane_agent_listener_bound", "", "gauge", "1 when the listener has its socket.", value_bound},
    {"tlsplane_agent_listener_connections", "", "gauge", "Connections open now by listener.", value_connections},
    {"tlsplane_agent_listener_accepted_total", "", "counter", "Connections accepted by listener.", value_accepted},
    {"tlsplane_agent_listener_refused_total", "", "counter", "Connections closed because of a limit, by listener.",
     value_refused},
    {"tlsplane_agent_listener_handshakes_total", ",result=\"ok\"", "counter", "TLS handshakes by listener and result.",
     value_ok},
    {"tlsplane_agent_listener_handshakes_total", ",result=\"failed\"", NULL, NULL, value_failed},
};

static void put_listeners(const struct proxy *proxy, const struct snapshot *snapshot, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(listener_rows); i++) {
		const struct listener_row *row = &listener_rows[i];

		if (row->help != NULL)
			metrics_put_head(out, row->name, row->type, row->help);
		put_listener_metric(proxy, snapshot, row->name, row->labels, row->value, out);
	}
}

static void put_connects(const struct snapshot *snapshot, struct buf *out)
{
	metrics_put_head(out, "tlsplane_agent_upstream_connects_total", "counter", "Tries of upstream nodes by result.");
	for (size_t i = 0; i < snapshot_upstream_count(snapshot); i++) {
		struct upstream *upstream = snapshot_upstream(snapshot, i);
		const char *id = upstream_id(upstream);
		uint64_t connected, failed;

		upstream_read_counts(upstream, &connected, &failed);
		buf_printf(out, "tlsplane_agent_upstream_connects_total{upstream=\"%s\",result=\"ok\"} %" PRIu64 "\n", id,
		           connected);
		buf_printf(out, "tlsplane_agent_upstream_connects_total{upstream=\"%s\",result=\"failed\"} %" PRIu64 "\n", id,
		           failed);
	}
}

static void put_health(const struct snapshot *snapshot, struct buf *out)
{
	metrics_put_head(out, "tlsplane_agent_upstream_nodes", "gauge",
	                 "Nodes of an upstream by health; those of weight 0 are left out.");
	for (size_t i = 0; i < snapshot_upstream_count(snapshot); i++) {
		struct upstream *upstream = snapshot_upstream(snapshot, i);
		const char *id = upstream_id(upstream);
		size_t nodes, down;

		upstream_read_health(upstream, &nodes, &down);
		buf_printf(out, "tlsplane_agent_upstream_nodes{upstream=\"%s\",state=\"up\"} %zu\n", id, nodes - down);
		buf_printf(out, "tlsplane_agent_upstream_nodes{upstream=\"%s\",state=\"down\"} %zu\n", id, down);
	}
}

void traffic_write(const struct proxy *proxy, struct buf *out)
{
	const struct snapshot *snapshot = proxy_snapshot(proxy);

	put_sums(proxy, out);
	metrics_put_head(out, "tlsplane_agent_handshakes_agreed_total", "counter",
	                 "Good handshakes with clients by what was agreed.");
	proxy_each_agreed(proxy, put_one_agreed, out);
	if (snapshot == NULL)
		return;
	put_listeners(proxy, snapshot, out);
	put_connects(snapshot, out);
	put_health(snapshot, out);
}
