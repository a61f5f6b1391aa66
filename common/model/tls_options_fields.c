/* SPDX-License-Identifier: Apache-2.0 */
/* TLS options. Versions that are not given are TLSv1.3, as in the preset that holds when no options are chosen; they
 * are written into the body, so that an answer says what holds. */
#include "model/fields.h"

#include "model/suites.h"

#define LIST_MAX 32
#define ALPN_MAX 255

static void read_version(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	uint32_t *slot = (void *)((char *)target + field->offset);
	protobuf_c_boolean *has = (void *)((char *)target + field->has);

	*slot = field_version(in, value);
	*has = *slot != 0;
}

static json_t *write_version(struct field_output *out, const struct field *field, const void *source)
{
	const uint32_t *slot = (const void *)((const char *)source + field->offset);

	return output_text(out, version_name(*slot));
}

/* cipher_suites, curve_preferences: names or integers ---------------------------------------------------------------
 */

static uint32_t read_suite(struct field_input *in, json_t *value)
{
	const struct suite *suite;
	char quoted[QUOTE_MAX];

	if (json_is_integer(value)) {
		json_int_t code = json_integer_value(value);

		suite = code < 0 || code > UINT16_MAX ? NULL : suite_find_code((uint32_t)code);
	} else if (json_is_string(value)) {
		suite = suite_find(json_string_value(value));
	} else {
		field_error(in, "wrong-type", "must be a name or an integer");
		return 0;
	}
	if (suite != NULL && suite->openssl != NULL)
		return suite->code;
	if (suite != NULL)
		field_error(in, "unsupported-cipher-suite", "%s: %s", suite->iana, suite->reason);
	else if (json_is_string(value))
		field_error(in, "unknown-cipher-suite", "unknown cipher suite \"%s\"",
		            field_quote(json_string_value(value), quoted));
	else
		field_error(in, "unknown-cipher-suite", "unknown cipher suite %lld", (long long)json_integer_value(value));
	return 0;
}

static uint32_t read_group(struct field_input *in, json_t *value)
{
	const struct group *group;
	char quoted[QUOTE_MAX];

	if (json_is_integer(value)) {
		json_int_t id = json_integer_value(value);

		group = id < 0 || id > UINT16_MAX ? NULL : group_find_id((uint32_t)id);
	} else if (json_is_string(value)) {
		group = group_find(json_string_value(value));
	} else {
		field_error(in, "wrong-type", "must be a name or an integer");
		return 0;
	}
	if (group != NULL && group->openssl != NULL)
		return group->id;
	if (group != NULL)
		field_error(in, "unsupported-group", "%s: %s", group->iana, group->reason);
	else if (json_is_string(value))
		field_error(in, "unknown-group", "unknown group \"%s\"", field_quote(json_string_value(value), quoted));
	else
		field_error(in, "unknown-group", "unknown group %lld", (long long)json_integer_value(value));
	return 0;
}

/* Code points by read_one; 0 is none. */
static void read_codes(struct field_input *in, json_t *value,
                       uint32_t (*read_one)(struct field_input *in, json_t *value), size_t *ret_count,
                       uint32_t **ret_codes)
{
	if (!field_is_array(in, value, 1, LIST_MAX))
		return;
	*ret_codes = field_alloc(in, json_array_size(value), sizeof(**ret_codes));
	for (size_t i = 0; i < json_array_size(value) && *ret_codes != NULL; i++) {
		size_t mark = field_enter_index(in, i);
		uint32_t code = read_one(in, json_array_get(value, i));

		if (code != 0)
			(*ret_codes)[(*ret_count)++] = code;
		field_leave(in, mark);
	}
}

static void read_cipher_suites(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__TlsOptions *options = target;

	read_codes(in, value, read_suite, &options->n_cipher_suites, &options->cipher_suites);
}

static json_t *write_cipher_suites(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__TlsOptions *options = source;
	json_t *names = options->n_cipher_suites == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < options->n_cipher_suites && names != NULL; i++) {
		const struct suite *suite = suite_find_code(options->cipher_suites[i]);

		output_append(out, names, suite != NULL ? output_text(out, suite->iana) : NULL);
	}
	return names;
}

static void read_curve_preferences(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__TlsOptions *options = target;

	read_codes(in, value, read_group, &options->n_curve_preferences, &options->curve_preferences);
}

static json_t *write_curve_preferences(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__TlsOptions *options = source;
	json_t *names = options->n_curve_preferences == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < options->n_curve_preferences && names != NULL; i++) {
		const struct group *group = group_find_id(options->curve_preferences[i]);

		output_append(out, names, group != NULL ? output_text(out, group->iana) : NULL);
	}
	return names;
}

/* alpn_protocols, client_auth ----------------------------------------------------------------------------------------
 */

static void read_alpn_protocols(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__TlsOptions *options = target;

	if (!field_is_array(in, value, 0, LIST_MAX))
		return;
	options->alpn_protocols = field_alloc(in, json_array_size(value), sizeof(*options->alpn_protocols));
	for (size_t i = 0; i < json_array_size(value) && options->alpn_protocols != NULL; i++) {
		size_t mark = field_enter_index(in, i);
		const char *name = field_text(in, json_array_get(value, i));
		char *copy = name == NULL ? NULL : field_copy(in, name);

		if (copy != NULL)
			options->alpn_protocols[options->n_alpn_protocols++] = copy;
		field_leave(in, mark);
	}
}

static json_t *write_alpn_protocols(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__TlsOptions *options = source;
	json_t *names = options->n_alpn_protocols == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < options->n_alpn_protocols && names != NULL; i++)
		output_append(out, names, output_text(out, options->alpn_protocols[i]));
	return names;
}

static void read_client_auth(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__TlsOptions *options = target;

	options->client_auth = field_alloc(in, 1, sizeof(*options->client_auth));
	if (options->client_auth == NULL)
		return;
	tlsplane__client_auth__init(options->client_auth);
	field_read_object(in, field, value, options->client_auth);
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
	in->resource->demands_client =
		options->client_auth != NULL && options->client_auth->verify == TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
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

#define OPTIONS(member) FIELD_OPTIONAL(Tlsplane__TlsOptions, member)

static const struct field tls_options_rows[] = {
	{"min_version", read_version, write_version, OPTIONS(min_version)},
	{"max_version", read_version, write_version, OPTIONS(max_version)},
	{"cipher_suites", read_cipher_suites, write_cipher_suites},
	{"curve_preferences", read_curve_preferences, write_curve_preferences},
	{"alpn_protocols", read_alpn_protocols, write_alpn_protocols},
	{"prefer_server_ciphers", field_read_bool, field_write_bool, OPTIONS(prefer_server_ciphers)},
	{"sni_strict", field_read_bool, field_write_bool, OPTIONS(sni_strict)},
	{"default_ssl", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__TlsOptions, default_ssl), .kind = KIND_SSL},
	{"client_auth", read_client_auth, write_client_auth, .below = &field_table_client_auth},
	{"handshake_timeout", field_read_seconds, field_write_seconds, OPTIONS(handshake_timeout_ms), .min = 100,
     .max = 300000},
	{"builtin", NULL, field_write_bool, OPTIONS(builtin), .flags = FIELD_SERVER},
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
