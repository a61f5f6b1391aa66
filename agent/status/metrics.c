/* SPDX-License-Identifier: Apache-2.0 */
/* Label values are ids ([a-zA-Z0-9._-]), addresses and constants: none needs escaping. */
#include "status/metrics.h"

#include "status/traffic.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define EXPIRIES_BUDGET_NS 5000000 /* of the main loop, per page */

void metrics_put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	metrics_put_head(out, name, type, help);
	buf_printf(out, "%s %" PRIu64 "\n", name, value);
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
	             {KIND_CA_BUNDLE, "ca_bundle"},
	             {KIND_ROUTE, "route"},
	             {KIND_UPSTREAM_TLS, "upstream_tls"}};
	struct revision revision = snapshot_revision(snapshot);

	put_one(out, "tlsplane_agent_epoch", "gauge", "Epoch of the snapshot that is served.", revision.epoch);
	put_one(out, "tlsplane_agent_revision", "gauge", "Revision of the snapshot that is served.", revision.number);
	metrics_put_head(out, "tlsplane_agent_objects", "gauge", "Objects held by kind.");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		buf_printf(out, "tlsplane_agent_objects{kind=\"%s\"} %zu\n", kinds[i].name,
		           snapshot_object_count(snapshot, kinds[i].kind));
}

/* Of what is held now, so a gauge goes with its object. */
static void put_expiries(const struct snapshot *snapshot, struct expiries *expiries, struct buf *out)
{
	expiries_refresh(expiries, snapshot, EXPIRIES_BUDGET_NS);
	metrics_put_head(out, "tlsplane_agent_certificate_not_after_seconds", "gauge",
	                 "When the first certificate of an SSL object expires (unix time), of those that end soonest.");
	for (size_t i = 0; i < expiries->len; i++)
		buf_printf(out, "tlsplane_agent_certificate_not_after_seconds{id=\"%s\"} %" PRIu64 "\n",
		           expiries->items[i].id, expiries->items[i].not_after);
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
		metrics_put_head(out, "tlsplane_agent_certificate_expiry_timestamp_seconds", "gauge",
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

void metrics_write(const struct status_sources *sources, struct expiries *expiries, struct buf *out)
{
	const struct snapshot *snapshot = proxy_snapshot(sources->proxy);

	metrics_put_head(out, "tlsplane_agent_build_info", "gauge", "1, with the version of the agent.");
	buf_printf(out, "tlsplane_agent_build_info{version=\"%s\"} 1\n", TLSPLANE_VERSION);
	put_one(out, "tlsplane_agent_ready", "gauge", "1 when a snapshot is served.", snapshot != NULL);
	put_sync(sources, out);
	if (snapshot != NULL) {
		put_objects(snapshot, out);
		put_expiries(snapshot, expiries, out);
	}
	traffic_write(sources->proxy, out);
	put_parsed(sources->sites, out);
	put_process(out);
}
