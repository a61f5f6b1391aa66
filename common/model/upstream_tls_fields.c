/* SPDX-License-Identifier: Apache-2.0 */
/* How upstreams are spoken TLS with. `verify` and `properties` are Apache Traffic Server's; KrakenD's and NATS's switches are spellings of
 * DISABLED. A name given alone says where it comes from: server_name means sni_policy "name", verify_name means verify_name_policy "name",
 * and answers leave the policy out then. */
#include "model/crypto_fields.h"
#include "model/rule_fields.h"

#include "model/address.h"
#include "model/name.h"

#define PEM_MAX 65536
#define CAS_MAX 1000

static void read_ca(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__UpstreamTls *tls = target;

	if (field_read_pem(in, value, PEM_MAX, CAS_MAX, &in->lists[CERT_LIST_CAS]))
		field_copy_ders(in, &in->lists[CERT_LIST_CAS], &tls->n_ca, &tls->ca);
}

static json_t *write_ca(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__UpstreamTls *tls = source;

	return tls->n_ca == 0 ? NULL : output_pem(out, tls->ca, tls->n_ca);
}

/* verify, properties ----------------------------------------------------------------------------------------------- */

static const char *const verifies[] = {
	[TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_ENFORCED] = "ENFORCED",
	[TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_PERMISSIVE] = "PERMISSIVE",
	[TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED] = "DISABLED",
};
static const struct field_words verify_words = {verifies, ARRAY_LEN(verifies)};

static const char *const properties[] = {
	[TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_ALL] = "ALL",
	[TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_SIGNATURE] = "SIGNATURE",
	[TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_NAME] = "NAME",
};
static const struct field_words properties_words = {properties, ARRAY_LEN(properties)};

/* A switch of another system; its row stands behind that of verify, and must not contradict it: a PATCH that says "insecure": false to an
 * object that is DISABLED would else leave it so in silence. */
static void read_insecure(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__UpstreamTls *tls = target;
	bool disabled = tls->verify == TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED;

	if (!json_is_boolean(value)) {
		field_error(in, "wrong-type", "must be true or false");
		return;
	}
	if (tls->has_verify && disabled != json_is_true(value))
		field_error(in, "conflicting-fields", "true is another spelling of verify \"DISABLED\", and verify is \"%s\"",
		            verifies[tls->verify]);
	if (json_is_true(value)) {
		tls->verify = TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED;
		tls->has_verify = true;
	}
}

/* Names ------------------------------------------------------------------------------------------------------------ */

static const char *const policies[] = {
	[TLSPLANE__NAME_POLICY__NAME_HOST] = "host",
	[TLSPLANE__NAME_POLICY__NAME_INBOUND] = "inbound",
	[TLSPLANE__NAME_POLICY__NAME_FIXED] = "name",
	"sni", /* of verify_name_policy alone, where it is what holds when nothing is said */
};
#define POLICY_SNI (ARRAY_LEN(policies) - 1)
static const struct field_words sni_policy_words = {policies, POLICY_SNI};
static const struct field_words verify_policy_words = {policies, ARRAY_LEN(policies)};

static void read_verify_name_policy(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__UpstreamTls *tls = target;

	field_read_word(in, field, value, target);
	if (tls->has_verify_name_policy && (size_t)tls->verify_name_policy == POLICY_SNI) {
		tls->verify_name_policy = TLSPLANE__NAME_POLICY__NAME_HOST;
		tls->has_verify_name_policy = false;
	}
}

/* Behind the name that it stands for, the policy is not told. */
static json_t *write_policy(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__NamePolicy *policy = field_member_const(source, field->offset);

	return *policy == TLSPLANE__NAME_POLICY__NAME_FIXED ? NULL : field_write_word(out, field, source);
}

static void take_name(struct field_input *in, int r, const struct error *reason, const char *name, char **slot)
{
	if (r == E_NOMEM)
		field_fail(in, error_nomem(in->err));
	else if (r < 0)
		field_error(in, "invalid-value", "%s", reason->text);
	else
		*slot = field_copy(in, name);
}

static void read_server_name(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__UpstreamTls *tls = target;
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	char name[NAME_MAX_LEN + 1];

	if (text != NULL)
		take_name(in, name_normalise(text, false, name, &reason), &reason, name, &tls->server_name);
}

static void read_verify_name(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__UpstreamTls *tls = target;
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	char name[ADDRESS_HOST_MAX];

	if (text != NULL)
		take_name(in, address_normalise_host(text, name, &reason), &reason, name, &tls->verify_name);
}

/* A name given alone says where it comes from; "verify_name_policy": "sni" contradicts it. */
static void finish_upstream_tls(struct field_input *in, json_t *document, ProtobufCMessage *body)
{
	Tlsplane__UpstreamTls *tls = (Tlsplane__UpstreamTls *)body;

	if (tls->server_name != NULL && !tls->has_sni_policy) {
		tls->sni_policy = TLSPLANE__NAME_POLICY__NAME_FIXED;
		tls->has_sni_policy = true;
	}
	if (tls->verify_name != NULL && json_object_get(document, "verify_name_policy") == NULL) {
		tls->verify_name_policy = TLSPLANE__NAME_POLICY__NAME_FIXED;
		tls->has_verify_name_policy = true;
	}
}

static int load_upstream_tls(struct field_output *out, struct error *err)
{
	const Tlsplane__UpstreamTls *tls = (const Tlsplane__UpstreamTls *)out->body;

	return cert_list_load_ders(&out->lists[CERT_LIST_CAS], tls->ca, tls->n_ca, err);
}

static void find_upstream_tls_certs(const ProtobufCMessage *body, const struct cert_list *lists,
                                    const struct resource_limits *limits, struct findings *findings)
{
	cert_list_find_cas(&lists[CERT_LIST_CAS], "/ca", limits, findings);
}

#define TLS(member) FIELD_OPTIONAL(Tlsplane__UpstreamTls, member)
#define TLS_LIST(member) FIELD_LIST(Tlsplane__UpstreamTls, member)
#define TLS_TEXT(member) FIELD_TEXT(Tlsplane__UpstreamTls, member)

#define NO_CA_FILES "no file is read by its path: PEM text in \"ca\", or \"ca_bundle\" names an object"

/* No certificate of ours stands inline. */
#define INLINE_CERTIFICATE                                                                                             \
	field_read_refused, NULL,                                                                                          \
		.advice = "the certificate that is shown to origins is an SSL object of type \"client\": PUT it in ssls and name it " \
				  "in client_ssl"

/* An empty `allow` or `pins` would read as "nobody" to one and "everybody" to another. */
static const struct field upstream_tls_rows[] = {
	{"client_ssl", field_read_ref, field_write_text, TLS_TEXT(client_ssl), .kind = KIND_SSL},
	{"ca", read_ca, write_ca},
	{"ca_bundle", field_read_ref, field_write_text, TLS_TEXT(ca_bundle), .kind = KIND_CA_BUNDLE},
	{"system_ca", field_read_bool, field_write_bool, TLS(system_ca)},
	{"depth", field_read_u32, field_write_u32, TLS(depth), .min = 0, .max = 100},
	{"verify", field_read_word, field_write_word, TLS(verify), .words = &verify_words},
	{"insecure", read_insecure, NULL},
	{"insecureSkipVerify", read_insecure, NULL},
	{"allow_insecure_connections", read_insecure, NULL},
	{"properties", field_read_word, field_write_word, TLS(properties), .words = &properties_words},
	{"sni_policy", field_read_word, write_policy, TLS(sni_policy), .words = &sni_policy_words},
	{"server_name", read_server_name, field_write_text, TLS_TEXT(server_name)},
	{"verify_name_policy", read_verify_name_policy, write_policy, TLS(verify_name_policy), .words = &verify_policy_words},
	{"verify_name", read_verify_name, field_write_text, TLS_TEXT(verify_name)},
	{"allow", field_read_rules, field_write_rules, TLS_LIST(allow), .min = 1, .max = RULES_MAX},
	{"pins", field_read_sha256s, field_write_hexes, TLS_LIST(pins), .min = 1, .max = PINS_MAX},
	{"min_version", field_read_version, field_write_version, TLS(min_version)},
	{"max_version", field_read_version, field_write_version, TLS(max_version)},
	{"cipher_suites", field_read_suites, field_write_suites, TLS_LIST(cipher_suites)},
	{"curve_preferences", field_read_groups, field_write_groups, TLS_LIST(curve_preferences)},
	{"alpn_protocols", field_read_alpn, field_write_texts, TLS_LIST(alpn_protocols), .max = CRYPTO_LIST_MAX},
	{"handshake_timeout", field_read_seconds, field_write_seconds, TLS(handshake_timeout_ms), .min = 100, .max = 300000},
	{"session_reuse", field_read_bool, field_write_bool, TLS(session_reuse)},
	{"stale_crls", field_read_word, field_write_word, TLS(allow_stale_crls), .words = &field_words_stale_crls},
	{"cert", INLINE_CERTIFICATE},
	{"key", INLINE_CERTIFICATE},
	{"client_cert", INLINE_CERTIFICATE},
	{"client_key", INLINE_CERTIFICATE},
	{"client_cert_id", INLINE_CERTIFICATE},
	{"client_certs", INLINE_CERTIFICATE},
	{"certificates", INLINE_CERTIFICATE},
	{"cert_file", INLINE_CERTIFICATE},
	{"key_file", INLINE_CERTIFICATE},
	FIELD_ADVICE("rootCAs", NO_CA_FILES),
	FIELD_ADVICE("ca_certs", NO_CA_FILES),
	FIELD_ADVICE("ca_file", NO_CA_FILES),
	FIELD_ADVICE("disable_system_ca_pool", "is \"system_ca\": false here, which is the default with \"ca\" or \"ca_bundle\""),
	FIELD_CALLED("serverName", "server_name"),
	FIELD_CALLED("client_sni_policy", "sni_policy"),
	FIELD_CALLED("verify_server_policy", "verify"),
	FIELD_CALLED("verify_server_properties", "properties"),
	FIELD_CALLED("peerCertSANs", "allow"),
	FIELD_CALLED("peerCertURI", "allow"),
	FIELD_CALLED("pinned_certs", "pins"),
	FIELD_CALLED("minVersion", "min_version"),
	FIELD_CALLED("maxVersion", "max_version"),
	FIELD_CALLED("cipherSuites", "cipher_suites"),
	FIELD_CALLED("timeout", "handshake_timeout"),
};
static const struct field_table upstream_tls_table = FIELD_TABLE(upstream_tls_rows);

const struct resource_kind resource_upstream_tls = {
	.kind = KIND_UPSTREAM_TLS,
	.own = &upstream_tls_table,
	.is_placed = true,
	.is_described = true,
	.has_body = true,
	.finish = finish_upstream_tls,
	.load = load_upstream_tls,
	.find = find_upstream_tls_certs,
};
