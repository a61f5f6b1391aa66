/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in the Prometheus text format 0.0.4. Counts of the store are read on the pool, all else is the loop's. */
#include "api/handlers.h"

#include "api/call.h"
#include "base/durations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	put_head(out, name, type, help);
	buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static int count_objects(struct store_reader *reader, struct buf *out, struct error *err)
{
	uint64_t count;
	int r;

	put_head(out, "tlsplane_objects", "gauge", "Objects stored, by collection.");
	for (size_t i = 0; i < kind_table_len; i++) {
		r = store_count(reader, kind_table[i].kind, &count, err);
		if (r < 0)
			return r;
		buf_printf(out, "tlsplane_objects{collection=\"%s\"} %" PRIu64 "\n", kind_table[i].collection, count);
	}
	return 0;
}

/* Leaves the text in call->document, as a string. */
static void run(struct call *call, struct store_reader *reader)
{
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;
	struct store_revision head;
	int r = store_head(reader, &head, &call->error);

	if (r == 0) {
		put_value(&out, "tlsplane_store_epoch", "gauge", "Epoch of the store.", head.revision.epoch);
		put_value(&out, "tlsplane_store_revision", "gauge", "Newest revision of the store.", head.revision.number);
		r = count_objects(reader, &out, &call->error);
	}
	if (r == 0) {
		call->document = json_stringn((const char *)out.data, out.len);
		if (call->document == NULL || out.failed)
			error_nomem(&call->error);
	}
}

static void put_requests(const struct api *api, struct buf *out)
{
	static const char *const methods[] = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "other"};

	put_head(out, "tlsplane_http_requests_total", "counter",
	         "Admin API requests answered, by method and class of status.");
	for (size_t method = 0; method < API_METHODS_; method++) {
		for (size_t hundreds = 2; hundreds < 6; hundreds++) {
			if (api->answered[method][hundreds] > 0)
				buf_printf(out, "tlsplane_http_requests_total{method=\"%s\",class=\"%zuxx\"} %" PRIu64 "\n",
				           methods[method], hundreds, api->answered[method][hundreds]);
		}
	}
	put_value(out, "tlsplane_http_requests_active", "gauge", "Admin API requests under way.", api->calls_len);
}

static void put_publisher(const struct publisher *publisher, struct buf *out)
{
	struct publisher_counters c;

	publisher_read_counters(publisher, &c);
	put_value(out, "tlsplane_agents_connected", "gauge", "Agents connected now.", c.agents_connected);
	put_value(out, "tlsplane_agents_behind", "gauge",
	          "Connected agents that have not acknowledged their newest holding.", c.agents_behind);
	put_value(out, "tlsplane_agents_diverged", "gauge", "Agents that report a state that is not in this store.",
	          c.agents_diverged);
	put_value(out, "tlsplane_updates_sent_total", "counter", "Updates sent to agents.", c.updates_sent);
	put_value(out, "tlsplane_acks_total", "counter", "Updates acknowledged by agents.", c.acks);
	put_value(out, "tlsplane_nacks_total", "counter", "Updates refused by agents.", c.nacks);
	put_value(out, "tlsplane_resyncs_total", "counter", "Selectors sent again whole after a digest mismatch.",
	          c.resyncs);
	put_value(out, "tlsplane_enrolments_total", "counter", "Agents enrolled.", c.enrolments);
	put_value(out, "tlsplane_enrolments_refused_total", "counter", "Enrolments refused.", c.enrolments_refused);
	put_value(out, "tlsplane_channel_ca_expiry_timestamp_seconds", "gauge",
	          "When the CA of the channel expires: no agent connects any more (unix time).", c.ca_not_after);
	put_value(out, "tlsplane_channel_connections_refused_total", "counter", "Channel connections refused.",
	          c.connections_refused);
	put_value(out, "tlsplane_ticket_sets", "gauge", "Sets of session ticket keys, one per selector.", c.ticket_sets);
	put_value(out, "tlsplane_ticket_rotations_total", "counter", "Session ticket keys promoted.", c.ticket_rotations);
	put_value(out, "tlsplane_ticket_rotations_forced_total", "counter",
	          "Session ticket keys promoted by time, before every connected agent held them.", c.ticket_rotations_forced);
	put_value(out, "tlsplane_channel_sent_bytes_total", "counter", "Bytes sent to agents.", c.bytes_sent);
}

static void reply(struct call *call)
{
	const struct api *api = call->api;
	CLEANUP(buf_deinit) struct buf out = BUF_NULL;

	buf_put(&out, json_string_value(call->document), json_string_length(call->document));
	put_head(&out, "tlsplane_build_info", "gauge", "Version of this control plane.");
	buf_put_str(&out, "tlsplane_build_info{version=\"" TLSPLANE_VERSION "\"} 1\n");
	put_value(&out, "tlsplane_changes_pending", "gauge", "Changes submitted and not yet answered.",
	          change_engine_pending(api->config.changes));
	durations_format(api->config.turns, "tlsplane_loop_turn",
	                 "Time that the event loop did one thing after another without looking up.", &out);
	durations_format(api->config.cpu_turns, "tlsplane_loop_turn_cpu", "The processor's part of that time.", &out);
	durations_format(change_engine_turns(api->config.changes), "tlsplane_writer_turn",
	                 "Time that the thread which writes the store was busy, commit included, before it could take what came next.", &out);
	put_requests(api, &out);
	put_publisher(api->config.publisher, &out);
	if (out.failed) {
		error_nomem(&call->error);
		call_reply_error(call);
		return;
	}
	call_reply_text(call, 200, CONTENT_TYPE, BYTES(out.data, out.len));
}

void metrics_get(struct call *call)
{
	call_run(call, run, reply);
}
