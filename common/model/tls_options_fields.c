/* SPDX-License-Identifier: Apache-2.0 */
/* TLS options. Versions that are not given are TLSv1.3, as in the preset that holds when no options are chosen; they
 * are written into the body, so that an answer says what holds. */
#include "model/crypto_fields.h"
#include "model/client_mode.h"

#define COUNT_MAX 1000000

/* session_tickets: a bool, or an object ------------------------------------------------------------------------------- */

#define TICKETS(member) FIELD_OPTIONAL(Tlsplane__SessionTickets, member)

static const struct field tickets_rows[] = {
	{"enabled", field_read_bool, field_write_bool, TICKETS(enabled)},
	{"count", field_read_u32, field_write_u32, TICKETS(count), .min = 1, .max = 8},
	{"lifetime", field_read_u32, field_write_u32, TICKETS(lifetime_s), .min = 1, .max = 86400},
};
static const struct field_table tickets_table = FIELD_TABLE(tickets_rows);

static void read_session_tickets(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__TlsOptions *options = target;
	Tlsplane__SessionTickets *tickets = field_alloc(in, 1, sizeof(*tickets));

	options->session_tickets = tickets;
	if (tickets == NULL)
		return;
	tlsplane__session_tickets__init(tickets);
	tickets->enabled = tickets->has_enabled = true;
	if (json_is_boolean(value))
		tickets->enabled = json_is_true(value);
	else if (json_is_object(value))
		field_read_object(in, field, value, tickets);
	else
		field_error(in, "wrong-type", "must be true, false or an object");
}

static json_t *write_session_tickets(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__TlsOptions *options = source;
	const Tlsplane__SessionTickets *tickets = options->session_tickets;
	json_t *object;

	if (tickets == NULL)
		return NULL;
	if (!tickets->has_count && !tickets->has_lifetime_s)
		return output_json(out, json_boolean(!tickets->has_enabled || tickets->enabled));
	object = output_json(out, json_object());
	if (object != NULL)
		fields_write(out, &tickets_table, tickets, object);
	return object;
}

/* client_auth --------------------------------------------------------------------------------------------------------- */

static void read_client_auth(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__TlsOptions *options = target;

	options->client_auth = field_alloc(in, 1, sizeof(*options->client_auth));
	if (options->client_auth == NULL)
		return;
	tlsplane__client_auth__init(options->client_auth);
	field_read_object(in, field, value, options->client_auth);
	if (json_is_object(value) && json_object_get(value, "verify") == NULL) {
		size_t mark = field_enter(in, "verify");

		field_error(in, "missing-field", "is required");
		field_leave(in, mark);
	}
}

static json_t *write_client_auth(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__TlsOptions *options = source;
	json_t *client = options->client_auth == NULL ? NULL : output_json(out, json_object());

	if (client != NULL)
		fields_write(out, &field_table_client_auth, options->client_auth, client);
	return client;
}

/* --------------------------------------------------------------------------------------------------------------------
 */

static void finish_tls_options(struct field_input *in, json_t *document, ProtobufCMessage *body)
{
	Tlsplane__TlsOptions *options = (Tlsplane__TlsOptions *)body;

	if (!options->has_min_version)
		options->min_version = 0x0304;
	if (!options->has_max_version)
		options->max_version = 0x0304;
	options->has_min_version = options->has_max_version = true;
	options->has_builtin = options->builtin = in->builtin;
	if (options->client_auth != NULL)
		in->resource->client_bits = client_mode_bits(options->client_auth->verify);
}

static int load_tls_options(struct field_output *out, struct error *err)
{
	const Tlsplane__TlsOptions *options = (const Tlsplane__TlsOptions *)out->body;
	const Tlsplane__ClientAuth *client = options->client_auth;

	return client == NULL ? 0 : cert_list_load_ders(&out->lists[CERT_LIST_CAS], client->ca, client->n_ca, err);
}

static void find_tls_options_certs(const ProtobufCMessage *body, const struct cert_list *lists,
                                   const struct resource_limits *limits, struct findings *findings)
{
	cert_list_find_cas(&lists[CERT_LIST_CAS], "/client_auth/ca", limits, findings);
}

#define IN_CLIENT_AUTH(first, second) "is \"" first "\" and \"" second "\" in \"client_auth\" here"

#define OPTIONS(member) FIELD_OPTIONAL(Tlsplane__TlsOptions, member)

static const struct field tls_options_rows[] = {
	{"min_version", field_read_version, field_write_version, OPTIONS(min_version)},
	{"max_version", field_read_version, field_write_version, OPTIONS(max_version)},
	{"cipher_suites", field_read_suites, field_write_suites, FIELD_LIST(Tlsplane__TlsOptions, cipher_suites)},
	{"curve_preferences", field_read_groups, field_write_groups, FIELD_LIST(Tlsplane__TlsOptions, curve_preferences)},
	{"alpn_protocols", field_read_alpn, field_write_texts, FIELD_LIST(Tlsplane__TlsOptions, alpn_protocols),
     .max = CRYPTO_LIST_MAX},
	{"prefer_server_ciphers", field_read_bool, field_write_bool, OPTIONS(prefer_server_ciphers)},
	{"sni_strict", field_read_bool, field_write_bool, OPTIONS(sni_strict)},
	{"default_ssl", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__TlsOptions, default_ssl), .kind = KIND_SSL},
	{"client_auth", read_client_auth, write_client_auth, .below = &field_table_client_auth},
	{"handshake_timeout", field_read_seconds, field_write_seconds, OPTIONS(handshake_timeout_ms), .min = 100,
     .max = 300000},
	{"session_tickets", read_session_tickets, write_session_tickets, .below = &tickets_table},
	{"max_handshakes", field_read_u32, field_write_u32, OPTIONS(max_handshakes), .min = 1, .max = COUNT_MAX},
	{"handshakes_per_second", field_read_u32, field_write_u32, OPTIONS(handshakes_per_second), .min = 1,
     .max = COUNT_MAX},
	{"builtin", NULL, field_write_bool, OPTIONS(builtin), .flags = FIELD_SERVER},
	FIELD_CALLED("minVersion", "min_version"),
	FIELD_CALLED("valid_tls_version_min_in", "min_version"),
	FIELD_CALLED("maxVersion", "max_version"),
	FIELD_CALLED("valid_tls_version_max_in", "max_version"),
	FIELD_ADVICE("valid_tls_versions_in", "is \"min_version\" and \"max_version\" here"),
	FIELD_CALLED("cipherSuites", "cipher_suites"),
	FIELD_CALLED("server_cipher_suite", "cipher_suites"),
	FIELD_CALLED("server_TLSv1_3_cipher_suites", "cipher_suites"),
	FIELD_CALLED("curvePreferences", "curve_preferences"),
	FIELD_CALLED("server_groups_list", "curve_preferences"),
	FIELD_CALLED("alpnProtocols", "alpn_protocols"),
	FIELD_CALLED("preferServerCipherSuites", "prefer_server_ciphers"),
	FIELD_CALLED("prefer_server_cipher_suites", "prefer_server_ciphers"),
	FIELD_CALLED("sniStrict", "sni_strict"),
	FIELD_CALLED("timeout", "handshake_timeout"),
	FIELD_CALLED("connection_rate_limit", "handshakes_per_second"),
	FIELD_ADVICE("disableSessionTickets", "is \"session_tickets\": false here"),
	FIELD_CALLED("ssl_ticket_enabled", "session_tickets"),
	FIELD_ADVICE("ssl_ticket_number", "is \"count\" in \"session_tickets\" here"),
	FIELD_ADVICE("clientAuth", IN_CLIENT_AUTH("verify", "ca_bundle")),
	FIELD_ADVICE("verify", IN_CLIENT_AUTH("verify", "ca_bundle")),
	FIELD_ADVICE("verify_and_map", "is \"verify\": \"verify_and_map\" in \"client_auth\" here"),
	FIELD_ADVICE("verify_client", IN_CLIENT_AUTH("verify", "ca_bundle")),
	FIELD_ADVICE("enable_mtls", IN_CLIENT_AUTH("verify", "ca_bundle")),
	FIELD_ADVICE("ca_file", IN_CLIENT_AUTH("ca", "ca_bundle")),
	FIELD_ADVICE("ca_certs", IN_CLIENT_AUTH("ca", "ca_bundle")),
	FIELD_ADVICE("verify_client_ca_certs", IN_CLIENT_AUTH("ca", "ca_bundle")),
	FIELD_ADVICE("pinned_certs", "is \"pins\" in \"client_auth\" here"),
	FIELD_ADVICE("disable_system_ca_pool", "the system's CAs are never asked about clients"),
	FIELD_ADVICE("ip_allow", "is \"allow_clients\" of a route here"),
};
static const struct field_table tls_options_table = FIELD_TABLE(tls_options_rows);

const struct resource_kind resource_tls_options = {
	.kind = KIND_TLS_OPTIONS,
	.own = &tls_options_table,
	.is_placed = true,
	.is_described = true,
	.has_body = true,
	.finish = finish_tls_options,
	.load = load_tls_options,
	.find = find_tls_options_certs,
};
