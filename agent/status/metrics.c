/* SPDX-License-Identifier: Apache-2.0 */
/* Label values are ids ([a-zA-Z0-9._-]), addresses and constants: none needs escaping. */
#include "status/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	put_head(out, name, type, help);
	buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

/* One row per sample; a row with help begins a metric. */
static const struct counter_row {
	const char *name, *labels, *type, *help;
	size_t offset; /* in struct proxy_counters */
} counter_rows[] = {
#define COUNTER(field) offsetof(struct proxy_counters, field)
    {"tlsplane_agent_connections_accepted_total", "", "counter", "Connections accepted.",
     COUNTER(connections_accepted)},
    {"tlsplane_agent_connections", "", "gauge", "Connections open now.", COUNTER(connections_open)},
    {"tlsplane_agent_connections_refused_total", "", "counter", "Connections closed because of a limit.",
     COUNTER(connections_refused)},
    {"tlsplane_agent_handshakes_total", "{result=\"ok\"}", "counter", "TLS handshakes with clients by result.",
     COUNTER(handshakes_ok)},
    {"tlsplane_agent_handshakes_total", "{result=\"failed\"}", NULL, NULL, COUNTER(handshakes_failed)},
    {"tlsplane_agent_handshakes_total", "{result=\"timed_out\"}", NULL, NULL, COUNTER(handshakes_timed_out)},
    {"tlsplane_agent_handshake_versions_total", "{version=\"1.2\"}", "counter", "Good handshakes by protocol version.",
     COUNTER(handshakes_tls12)},
    {"tlsplane_agent_handshake_versions_total", "{version=\"1.3\"}", NULL, NULL, COUNTER(handshakes_tls13)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"sni\"}", "counter", "Failed handshakes by cause.",
     COUNTER(failures_sni)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"client_certificate\"}", NULL, NULL,
     COUNTER(failures_client_cert)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"protocol\"}", NULL, NULL, COUNTER(failures_protocol)},
    {"tlsplane_agent_handshake_failures_total", "{cause=\"certificate\"}", NULL, NULL, COUNTER(failures_site)},
    {"tlsplane_agent_upstream_failures_total", "", "counter",
     "Connections for which no upstream node could be reached.", COUNTER(upstream_failures)},
    {"tlsplane_agent_bytes_total", "{direction=\"in\"}", "counter", "Plain bytes relayed, seen from the client.",
     COUNTER(bytes_in)},
    {"tlsplane_agent_bytes_total", "{direction=\"out\"}", NULL, NULL, COUNTER(bytes_out)},
#undef COUNTER
};

static void put_traffic(const struct proxy *proxy, struct buf *out)
{
	struct proxy_counters counters;

	proxy_read_counters(proxy, &counters);
	for (size_t i = 0; i < ARRAY_LEN(counter_rows); i++) {
		const struct counter_row *row = &counter_rows[i];
		const uint64_t *value = (const uint64_t *)(const void *)((const char *)&counters + row->offset);

		if (row->help != NULL)
			put_head(out, row->name, row->type, row->help);
		buf_printf(out, "%s%s %" PRIu64 "\n", row->name, row->labels, *value);
	}
}

static void put_listeners(const struct proxy *proxy, const struct snapshot *snapshot, struct buf *out)
{
	put_head(out, "tlsplane_agent_listener_bound", "gauge", "1 when the listener has its socket.");
	for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
		const char *id = snapshot_listener(snapshot, i)->id;

		buf_printf(out, "tlsplane_agent_listener_bound{listener=\"%s\"} %d\n", id,
		           proxy_listener_connections(proxy, id) >= 0);
	}
	put_head(out, "tlsplane_agent_listener_connections", "gauge", "Connections open now by listener.");
	for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
		const char *id = snapshot_listener(snapshot, i)->id;
		int64_t connections = proxy_listener_connections(proxy, id);

		buf_printf(out, "tlsplane_agent_listener_connections{listener=\"%s\"} %" PRId64 "\n", id,
		           connections > 0 ? connections : 0);
	}
}

static void put_upstreams(const struct snapshot *snapshot, struct buf *out)
{
	put_head(out, "tlsplane_agent_upstream_connects_total", "counter", "Connects to upstream nodes by result.");
	for (size_t i = 0; i < snapshot_upstream_count(snapshot); i++) {
		struct upstream *upstream = snapshot_upstream(snapshot, i);
		uint64_t connected, failed;

		upstream_read_counts(upstream, &connected, &failed);
		buf_printf(out, "tlsplane_agent_upstream_connects_total{upstream=\"%s\",result=\"ok\"} %" PRIu64 "\n",
		           upstream_id(upstream), connected);
		buf_printf(out, "tlsplane_agent_upstream_connects_total{upstream=\"%s\",result=\"failed\"} %" PRIu64 "\n",
		           upstream_id(upstream), failed);
	}
}

static void put_objects(const struct snapshot *snapshot, struct buf *out)
{
	static const struct {
		enum kind kind;
		const char *name;
	} kinds[] = {{KIND_SSL, "ssl"},
	             {KIND_TLS_OPTIONS, "tls_options"},
	             {KIND_LISTENER, "listener"},
	             {KIND_UPSTREAM, "upstream"},
	             {KIND_CA_BUNDLE, "ca_bundle"}};
	struct revision revision = snapshot_revision(snapshot);

	put_one(out, "tlsplane_agent_epoch", "gauge", "Epoch of the snapshot that is served.", revision.epoch);
	put_one(out, "tlsplane_agent_revision", "gauge", "Revision of the snapshot that is served.", revision.number);
	put_head(out, "tlsplane_agent_objects", "gauge", "Objects held by kind.");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		buf_printf(out, "tlsplane_agent_objects{kind=\"%s\"} %zu\n", kinds[i].name,
		           snapshot_object_count(snapshot, kinds[i].kind));
}

static void put_sync(const struct status_sources *sources, struct buf *out)
{
	const struct link *link = *sources->link;
	struct apply_counters counters;

	apply_read_counters(sources->apply, &counters);
	put_one(out, "tlsplane_agent_connected", "gauge", "1 when connected to the control plane.",
	        link != NULL && link_is_connected(link));
	put_one(out, "tlsplane_agent_connects_total", "counter", "Connections to the control plane made.",
	        link != NULL ? link_connect_count(link) : 0);
	put_one(out, "tlsplane_agent_updates_applied_total", "counter", "Updates applied.", counters.applied);
	put_one(out, "tlsplane_agent_updates_refused_total", "counter", "Updates refused (NACK).", counters.refused);
	put_one(out, "tlsplane_agent_resyncs_total", "counter", "Selectors asked for again because a digest was wrong.",
	        counters.resyncs);
	put_one(out, "tlsplane_agent_last_applied_timestamp_seconds", "gauge",
	        "When the last update was applied; 0: not since start.", counters.last_applied);
	put_one(out, "tlsplane_agent_not_durable", "gauge", "1 when what is served could not be made durable yet.",
	        counters.not_durable);
	put_one(out, "tlsplane_agent_degraded_objects", "gauge", "Objects that can't be as they are configured.",
	        degraded_count(sources->degraded));
	if (sources->identity != NULL && identity_is_enrolled(sources->identity)) {
		put_head(out, "tlsplane_agent_certificate_expiry_timestamp_seconds", "gauge",
		         "When the certificate towards the control plane expires.");
		buf_printf(out, "tlsplane_agent_certificate_expiry_timestamp_seconds %" PRId64 "\n",
		           identity_not_after(sources->identity));
	}
}

static void put_parsed(struct site_cache *sites, struct buf *out)
{
	uint64_t entries, hits, misses;

	site_cache_stats(sites, &entries, &hits, &misses);
	put_one(out, "tlsplane_agent_parsed_certificates", "gauge", "SSL objects that are parsed now.", entries);
	put_one(out, "tlsplane_agent_parsed_hits_total", "counter", "Handshakes that found their SSL object parsed.", hits);
	put_one(out, "tlsplane_agent_parsed_misses_total", "counter", "SSL objects parsed for a handshake or an update.",
	        misses);
}

static void put_process(struct buf *out)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file == NULL)
		return;
	if (fscanf(file, "%*u %llu", &pages) == 1)
		put_one(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
		        (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE));
	fclose(file);
}

void metrics_write(const struct status_sources *sources, struct buf *out)
{
	const struct snapshot *snapshot = proxy_snapshot(sources->proxy);

	put_head(out, "tlsplane_agent_build_info", "gauge", "1, with the version of the agent.");
	buf_printf(out, "tlsplane_agent_build_info{version=\"%s\"} 1\n", TLSPLANE_VERSION);
	put_one(out, "tlsplane_agent_ready", "gauge", "1 when a snapshot is served.", snapshot != NULL);
	put_sync(sources, out);
	if (snapshot != NULL) {
		put_objects(snapshot, out);
		put_listeners(sources->proxy, snapshot, out);
		put_upstreams(snapshot, out);
	}
	put_traffic(sources->proxy, out);
	put_parsed(sources->sites, out);
	put_process(out);
}
