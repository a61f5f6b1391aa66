/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners. `bind` is an IP address and a port; the address is kept in the one text form that inet_ntop makes. */
#include "model/list_fields.h"

#include "model/address.h"

#include <string.h>

static void read_bind(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Listener *listener = target;
	struct resource *resource = in->resource;
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	char host[ADDRESS_HOST_MAX];

	if (text == NULL)
		return;
	if (address_parse(text, host, &resource->port, &reason) < 0) {
		field_error(in, "invalid-value", "%s", reason.text);
		return;
	}
	if (!address_is_ip(host)) {
		field_error(in, "invalid-value", "the host must be an IP address: \"0.0.0.0:443\" or \"[::]:443\" for all");
		return;
	}
	resource->host = field_copy(in, host);
	listener->host = field_copy(in, host);
	listener->port = resource->port;
}

static json_t *write_bind(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Listener *listener = source;
	char text[ADDRESS_TEXT_MAX];

	return output_text(out, address_format(listener->host, listener->port, text));
}

static void read_protocol(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Listener *listener = target;
	const char *protocol = field_text(in, value);

	if (protocol == NULL)
		return;
	if (strcmp(protocol, "tcp") != 0)
		field_error(in, "invalid-value", "must be \"tcp\"");
	else
		listener->protocol = field_copy(in, protocol);
}

static void finish_listener(struct field_input *in, json_t *document, ProtobufCMessage *body)
{
	Tlsplane__Listener *listener = (Tlsplane__Listener *)body;

	if (listener->protocol == NULL)
		listener->protocol = field_copy(in, "tcp");
}

#define LIMIT(member) FIELD_OPTIONAL(Tlsplane__Listener, member), .min = 1, .max = 1000000

static const struct field listener_rows[] = {
	{"bind", read_bind, write_bind, .flags = FIELD_REQUIRED},
	{"protocol", read_protocol, field_write_text, FIELD_TEXT(Tlsplane__Listener, protocol)},
	{"upstream", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__Listener, upstream), .kind = KIND_UPSTREAM},
	{"tls_options", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__Listener, tls_options),
     .kind = KIND_TLS_OPTIONS},
	{"max_connections", field_read_u32, field_write_u32, LIMIT(max_connections)},
	{"accept_proxy_protocol", field_read_ranges, field_write_ranges,
     FIELD_LIST(Tlsplane__Listener, accept_proxy_protocol), .max = CIDR_LIST_MAX},
	{"max_handshakes", field_read_u32, field_write_u32, LIMIT(max_handshakes)},
	{"handshakes_per_second", field_read_u32, field_write_u32, LIMIT(handshakes_per_second)},
	FIELD_CALLED("tls", "tls_options"),
	FIELD_CALLED("connection_rate_limit", "handshakes_per_second"),
	FIELD_ADVICE("timeout", "is \"handshake_timeout\" of TLS options here"),
	FIELD_ADVICE("handshake_first", "TLS always comes first"),
	FIELD_ADVICE("allow_non_tls", "a listener speaks TLS alone; plain text needs a port of its own, outside"),
};
static const struct field_table listener_table = FIELD_TABLE(listener_rows);

const struct resource_kind resource_listener = {
	.kind = KIND_LISTENER,
	.own = &listener_table,
	.is_placed = true,
	.is_described = true,
	.has_body = true,
	.finish = finish_listener,
};
