/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams. `nodes` is APISIX's object {"host:port": weight}, or its array form; answers have the object, in the order
 * given. */
#include "model/fields.h"

#include "model/address.h"

#define NODES_MAX 64
#define WEIGHT_MAX 1000

static void add_node(struct field_input *in, Tlsplane__Upstream *upstream, const char *host, uint32_t port,
                     uint32_t weight)
{
	Tlsplane__Node *node = field_alloc(in, 1, sizeof(*node));

	if (node == NULL)
		return;
	tlsplane__node__init(node);
	upstream->nodes[upstream->n_nodes++] = node;
	node->host = field_copy(in, host);
	node->port = port;
	node->weight = weight;
}

static void read_member(struct field_input *in, const char *key, json_t *value, Tlsplane__Upstream *upstream)
{
	struct error reason = ERROR_NULL;
	char host[ADDRESS_HOST_MAX];
	uint16_t port;
	int64_t weight;
	int r = address_parse(key, host, &port, &reason);

	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in, "invalid-value", "%s", reason.text);
	if (field_integer(in, value, 0, WEIGHT_MAX, &weight) && r == 0)
		add_node(in, upstream, host, port, (uint32_t)weight);
}

static void read_object(struct field_input *in, json_t *value, Tlsplane__Upstream *upstream)
{
	const char *key;
	json_t *weight;

	json_object_foreach(value, key, weight)
	{
		size_t mark = field_enter(in, key);

		read_member(in, key, weight, upstream);
		field_leave(in, mark);
	}
}

/* An entry of the array form, before it is a node. */
struct entry {
	char host[ADDRESS_HOST_MAX];
	uint32_t port, weight;
	protobuf_c_boolean has_port, has_weight;
};

static void read_host(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	struct entry *entry = target;
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	int r;

	if (text == NULL)
		return;
	r = address_normalise_host(text, entry->host, &reason);
	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in, "invalid-value", "%s", reason.text);
}

static const struct field entry_rows[] = {
	{"host", read_host, NULL, .flags = FIELD_REQUIRED},
	{"port", field_read_u32, NULL, FIELD_OPTIONAL(struct entry, port), .min = 1, .max = 65535, .flags = FIELD_REQUIRED},
	{"weight", field_read_u32, NULL, FIELD_OPTIONAL(struct entry, weight), .min = 0, .max = WEIGHT_MAX,
     .flags = FIELD_REQUIRED},
};
static const struct field_table entry_table = FIELD_TABLE(entry_rows);

static void read_array(struct field_input *in, json_t *value, Tlsplane__Upstream *upstream)
{
	static const struct field as_object = {.below = &entry_table};

	for (size_t i = 0; i < json_array_size(value); i++) {
		struct entry entry = {.host = ""};
		size_t mark = field_enter_index(in, i), errors = in->findings->errors;

		field_read_object(in, &as_object, json_array_get(value, i), &entry);
		if (in->findings->errors == errors)
			add_node(in, upstream, entry.host, entry.port, entry.weight);
		field_leave(in, mark);
	}
}

static void read_nodes(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Upstream *upstream = target;
	size_t count = json_is_array(value) ? json_array_size(value) : json_object_size(value);

	if (!json_is_array(value) && !json_is_object(value)) {
		field_error(in, "wrong-type",
		            "must be an object {\"host:port\": weight}, or an array of {\"host\", \"port\", \"weight\"}");
		return;
	}
	if (count < 1 || count > NODES_MAX) {
		field_error(in, "out-of-range", "must have 1 to %d nodes, has %zu", NODES_MAX, count);
		return;
	}
	upstream->nodes = field_alloc(in, count, sizeof(*upstream->nodes));
	if (upstream->nodes == NULL)
		return;
	if (json_is_array(value))
		read_array(in, value, upstream);
	else
		read_object(in, value, upstream);
}

static json_t *write_nodes(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Upstream *upstream = source;
	json_t *nodes = output_json(out, json_object());
	char key[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < upstream->n_nodes && nodes != NULL; i++) {
		const Tlsplane__Node *node = upstream->nodes[i];

		output_set(out, nodes, address_format(node->host, node->port, key),
		           output_json(out, json_integer(node->weight)));
	}
	return nodes;
}

/* scheme, send_proxy_protocol ---------------------------------------------------------------------------------------- */

static const char *const schemes[] = {"tcp", "tls"};
static const struct field_words scheme_words = {schemes, ARRAY_LEN(schemes)};

static const char *const proxy_versions[] = {"off", "v1", "v2"};
static const struct field_words proxy_words = {proxy_versions, ARRAY_LEN(proxy_versions)};

/* Versions may be written as numbers; "off" is kept as nothing. */
static void read_send_proxy_protocol(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Upstream *upstream = target;
	struct {
		int version;
		protobuf_c_boolean has;
	} word = {0, false};
	const struct field row = {.offset = offsetof(typeof(word), version), .has = offsetof(typeof(word), has), .words = &proxy_words};
	int64_t number;

	if (!json_is_integer(value))
		field_read_word(in, &row, value, &word);
	else if (field_integer(in, value, 1, 2, &number))
		word.version = (int)number;
	upstream->send_proxy_protocol = (uint32_t)word.version;
	upstream->has_send_proxy_protocol = word.version != 0;
}

static json_t *write_send_proxy_protocol(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Upstream *upstream = source;

	if (!upstream->has_send_proxy_protocol || upstream->send_proxy_protocol >= ARRAY_LEN(proxy_versions))
		return NULL;
	return output_text(out, proxy_versions[upstream->send_proxy_protocol]);
}

#define UPSTREAM(member) FIELD_OPTIONAL(Tlsplane__Upstream, member)
#define SECONDS field_read_seconds, field_write_seconds

/* APISIX's upstream.tls and its like. */
#define INLINE_CERTIFICATE                                                                                             \
	field_read_refused, NULL,                                                                                          \
		.advice = "no certificate stands in an upstream: PUT it as an SSL object of type \"client\", name that in "       \
				  "client_ssl of an object in upstream_tls, and name this one here in upstream_tls"

static const struct field upstream_rows[] = {
	{"nodes", read_nodes, write_nodes, .flags = FIELD_REQUIRED},
	{"connect_timeout", SECONDS, UPSTREAM(connect_timeout_ms), .min = 1, .max = 300000},
	{"scheme", field_read_word, field_write_word, UPSTREAM(tls), .words = &scheme_words},
	{"upstream_tls", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__Upstream, upstream_tls),
     .kind = KIND_UPSTREAM_TLS},
	{"send_proxy_protocol", read_send_proxy_protocol, write_send_proxy_protocol},
	{"max_fails", field_read_u32, field_write_u32, UPSTREAM(max_fails), .min = 0, .max = 100},
	{"fail_timeout", SECONDS, UPSTREAM(fail_timeout_ms), .min = 100, .max = 3600000},
	{"tls", INLINE_CERTIFICATE},
	{"client_cert", INLINE_CERTIFICATE},
	{"client_key", INLINE_CERTIFICATE},
	{"client_cert_id", INLINE_CERTIFICATE},
	{"cert", INLINE_CERTIFICATE},
	{"key", INLINE_CERTIFICATE},
	FIELD_CALLED("serversTransport", "upstream_tls"),
	FIELD_CALLED("timeout", "connect_timeout"),
	FIELD_ADVICE("type", "nodes are chosen by their weights, round robin"),
	FIELD_ADVICE("pass_host", "is \"sni_policy\" of an object in upstream_tls here"),
};
static const struct field_table upstream_table = FIELD_TABLE(upstream_rows);

const struct resource_kind resource_upstream = {
	.kind = KIND_UPSTREAM,
	.own = &upstream_table,
	.is_placed = true,
	.is_described = true,
	.has_body = true,
};
