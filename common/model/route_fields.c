/* SPDX-License-Identifier: Apache-2.0 */
/* Routes. Patterns are kept in the one form that name_normalise_pattern makes, and are the names that the store finds the route by. */
#include "model/list_fields.h"

#include "model/name.h"

#define SNIS_MAX 1000
#define LISTENERS_MAX 100

#define PATTERNS "an exact name, \"*.rest\" for one label, \"**.rest\" for any depth, \"*\", or \"\" for no SNI"

static char *read_pattern(struct field_input *in, const char *text)
{
	char pattern[NAME_MAX_LEN + 1];
	struct error reason = ERROR_NULL;
	int r = name_normalise_pattern(text, pattern, &reason);

	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in, "invalid-value", "%s (a pattern is " PATTERNS ", never a regular expression)", reason.text);
	return r < 0 ? NULL : field_copy(in, pattern);
}

static void read_snis(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	field_read_texts(in, field, value, target, read_pattern);
}

static const char *const modes[] = {
	[TLSPLANE__ROUTE_MODE__ROUTE_TERMINATE] = "terminate",
	[TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH] = "passthrough",
	[TLSPLANE__ROUTE_MODE__ROUTE_REJECT] = "reject",
};

static const struct field_words mode_words = {modes, ARRAY_LEN(modes)};

/* The store finds the route by its patterns. */
static void finish_route(struct field_input *in, json_t *document, ProtobufCMessage *body)
{
	const Tlsplane__Route *route = (const Tlsplane__Route *)body;
	struct resource *resource = in->resource;

	resource->names = field_alloc(in, route->n_snis, sizeof(*resource->names));
	for (size_t i = 0; i < route->n_snis && resource->names != NULL; i++) {
		char *copy = field_copy(in, route->snis[i]);

		if (copy != NULL)
			resource->names[resource->names_len++] = copy;
	}
}

#define ROUTE(member) FIELD_OPTIONAL(Tlsplane__Route, member)

/* No `listeners` is all of them, no `allow_clients` everybody: an empty list, which may mean the opposite, is refused. */
static const struct field route_rows[] = {
	{"snis", read_snis, field_write_texts, FIELD_LIST(Tlsplane__Route, snis), .min = 1, .max = SNIS_MAX,
     .flags = FIELD_REQUIRED},
	{"listeners", field_read_refs, field_write_texts, FIELD_LIST(Tlsplane__Route, listeners), .min = 1,
     .max = LISTENERS_MAX, .kind = KIND_LISTENER},
	{"mode", field_read_word, field_write_word, ROUTE(mode), .words = &mode_words},
	{"tls_options", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__Route, tls_options), .kind = KIND_TLS_OPTIONS},
	{"upstream", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__Route, upstream), .kind = KIND_UPSTREAM},
	{"upstream_tls", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__Route, upstream_tls),
     .kind = KIND_UPSTREAM_TLS},
	{"allow_clients", field_read_ranges, field_write_ranges, FIELD_LIST(Tlsplane__Route, allow_clients),
     .min = 1, .max = CIDR_LIST_MAX},
	{"priority", field_read_i32, field_write_i32, ROUTE(priority), .min = INT32_MIN, .max = INT32_MAX},
	FIELD_CALLED("sni", "snis"),
	FIELD_CALLED("fqdn", "snis"),
	FIELD_ADVICE("rule", "is \"snis\" here: a pattern is " PATTERNS),
	FIELD_CALLED("action", "mode"),
	FIELD_ADVICE("passthrough", "is \"mode\": \"passthrough\" here"),
	FIELD_ADVICE("tunnel_route", "is \"mode\": \"passthrough\" and \"upstream\" here"),
	FIELD_CALLED("forward_route", "upstream"),
	FIELD_ADVICE("partial_blind_route", "is \"upstream\" and \"upstream_tls\" here"),
	FIELD_CALLED("ip_allow", "allow_clients"),
	FIELD_ADVICE("verify_client", "is \"client_auth\" of TLS options here, which \"tls_options\" names"),
	FIELD_ADVICE("client_cert", "is \"client_ssl\" of an object in upstream_tls here, which \"upstream_tls\" names"),
};
static const struct field_table route_table = FIELD_TABLE(route_rows);

const struct resource_kind resource_route = {
	.kind = KIND_ROUTE,
	.own = &route_table,
	.is_placed = true,
	.is_described = true,
	.has_body = true,
	.finish = finish_route,
};
