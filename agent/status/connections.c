/* SPDX-License-Identifier: Apache-2.0 */
#include "status/connections.h"

#include "base/options.h"
#include "status/names.h"
#include "status/text.h"

#include <inttypes.h>
#include <string.h>

int connections_parse_limit(const char *text, size_t *ret, struct error *err)
{
	uint32_t limit = CONNECTIONS_LIMIT_DEFAULT;
	int r = text != NULL ? options_parse_u32(text, 0, CONNECTIONS_LIMIT_MAX, &limit, err) : 0;

	if (r < 0)
		return error_set(err, E_INVALID, "limit: a number from 0 to %d", CONNECTIONS_LIMIT_MAX);
	*ret = limit;
	return 0;
}

static void put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, ", \"%s\": ", key);
	text_put_json_or_null(out, text);
}

static void put_bool(struct buf *out, const char *key, bool value)
{
	buf_printf(out, ", \"%s\": %s", key, value ? "true" : "false");
}

static void put_number(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, ", \"%s\": %" PRIu64, key, value);
}

static void put_sha256(struct buf *out, const char *key, const uint8_t sha256[32])
{
	buf_printf(out, ", \"%s\": \"", key);
	for (size_t i = 0; i < 32; i++)
		buf_printf(out, "%02x", sha256[i]);
	buf_put_u8(out, '"');
}

static void put_client(struct buf *out, const struct proxy_conn_info *info)
{
	if (!info->has_certificate) {
		buf_put_str(out, ", \"client\": null");
		return;
	}
	buf_put_str(out, ", \"client\": {\"subject\": ");
	text_put_json(out, info->subject);
	put_bool(out, "verified", info->verified);
	put_text(out, "identity", info->identity);
	put_sha256(out, "certificate_sha256", info->certificate_sha256);
	put_sha256(out, "spki_sha256", info->spki_sha256);
	buf_put_u8(out, '}');
}

static void put_upstream_tls(struct buf *out, const struct proxy_conn_info *info)
{
	char text[NAMES_TEXT_MAX];

	if (info->upstream_version == 0) {
		buf_put_str(out, ", \"upstream_tls\": null");
		return;
	}
	buf_put_str(out, ", \"upstream_tls\": {\"version\": ");
	text_put_json(out, names_version(info->upstream_version, text));
	put_text(out, "cipher_suite", names_suite(info->upstream_suite, text));
	put_bool(out, "resumed", info->upstream_resumed);
	buf_put_u8(out, '}');
}

void connections_write_item(const struct proxy_conn_info *info, struct buf *out)
{
	char text[NAMES_TEXT_MAX];

	buf_printf(out, "{\"id\": %" PRIu64, info->id);
	put_text(out, "peer", info->peer);
	put_text(out, "via", info->via);
	put_text(out, "state", info->state);
	put_text(out, "listener", info->listener);
	put_text(out, "sni", info->sni);
	put_text(out, "route", info->route);
	put_text(out, "ssl", info->ssl);
	put_text(out, "upstream", info->upstream);
	put_text(out, "node", info->node);
	buf_printf(out, ", \"age\": %" PRIu64 ".%03" PRIu64, info->since_ms / 1000, info->since_ms % 1000);
	put_text(out, "tls_version", names_version(info->version, text));
	put_text(out, "cipher_suite", names_suite(info->suite, text));
	put_text(out, "group", names_group(info->group, text));
	put_text(out, "alpn", info->alpn);
	put_bool(out, "resumed", info->resumed);
	put_client(out, info);
	put_upstream_tls(out, info);
	put_number(out, "bytes_in", info->bytes_in);
	put_number(out, "bytes_out", info->bytes_out);
	buf_put_u8(out, '}');
}

static void write_listener(const struct proxy *proxy, const struct listener_view *listener, struct buf *out)
{
	struct proxy_listener_counters counters = {0};
	bool bound = proxy_listener_read(proxy, listener->id, &counters);

	buf_put_str(out, "{\"id\": ");
	text_put_json(out, listener->id);
	put_text(out, "address", listener->address);
	put_bool(out, "bound", bound);
	put_number(out, "connections", counters.connections > 0 ? (uint64_t)counters.connections : 0);
	put_number(out, "accepted", counters.accepted);
	put_number(out, "refused", counters.refused);
	put_number(out, "handshakes_ok", counters.handshakes_ok);
	put_number(out, "handshakes_failed", counters.handshakes_failed);
	buf_put_u8(out, '}');
}

void connections_write(const struct proxy *proxy, const struct proxy_conn_list *list, struct buf *out)
{
	const struct snapshot *snapshot = proxy_snapshot(proxy);

	buf_printf(out, "{\"connections\": %" PRIu64 ", \"listeners\": [", list->total);
	for (size_t i = 0; snapshot != NULL && i < snapshot_listener_count(snapshot); i++) {
		buf_put_str(out, i > 0 ? ",\n  " : "\n  ");
		write_listener(proxy, snapshot_listener(snapshot, i), out);
	}
	buf_put_str(out, "], \"items\": [");
	for (size_t i = 0; i < list->count; i++) {
		buf_put_str(out, i > 0 ? ",\n  " : "\n  ");
		connections_write_item(&list->items[i], out);
	}
	buf_put_str(out, "]}\n");
}
