/* SPDX-License-Identifier: Apache-2.0 */
/* Who may connect: `client` of SSL objects and `client_auth` of TLS options. `verify` is the mode, under the names that
 * Traefik, Apache Traffic Server, KrakenD and NATS use for the five of them; an SSL object that leaves it out requires a
 * verified certificate, TLS options must say. */
#include "model/rule_fields.h"

#include <string.h>
#include <strings.h>

#define PEM_MAX 65536
#define CAS_MAX 1000

/* Spellings of a mode; the first of each is what answers say. */
static const struct verify_row {
	const char *name;
	Tlsplane__ClientVerify mode;
	bool maps; /* map_identity as well */
} verify_rows[] = {
	{"none", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"request", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST},
	{"require_any", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY},
	{"verify_if_given", TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN},
	{"require", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"NoClientCert", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"RequestClientCert", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST},
	{"RequireAnyClientCert", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY},
	{"VerifyClientCertIfGiven", TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN},
	{"RequireAndVerifyClientCert", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"MODERATE", TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN},
	{"STRICT", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"0", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"1", TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN},
	{"2", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"false", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"true", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"verify_and_map", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, .maps = true},
};

static const struct verify_row *verify_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verify_rows); i++)
		if (strcasecmp(verify_rows[i].name, name) == 0)
			return &verify_rows[i];
	return NULL;
}

/* NATS writes true and false, Apache Traffic Server 0 to 2. */
static const char *verify_word(struct field_input *in, json_t *value)
{
	static const char *const numbers[] = {"0", "1", "2"};
	int64_t number;

	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (json_is_integer(value))
		return field_integer(in, value, 0, 2, &number) ? numbers[number] : NULL;
	return field_text(in, value);
}

static void read_verify(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__ClientAuth *client = target;
	const char *word = verify_word(in, value);
	const struct verify_row *row;
	char quoted[QUOTE_MAX];

	if (word == NULL)
		return;
	row = verify_find(word);
	if (row == NULL) {
		field_error(in, "invalid-value",
		            "unknown mode \"%s\"; use \"none\", \"request\", \"require_any\", \"verify_if_given\" or \"require\"",
		            field_quote(word, quoted));
		return;
	}
	client->verify = row->mode;
	client->has_verify = true;
	client->map_identity = client->has_map_identity = row->maps;
}

static json_t *write_verify(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__ClientAuth *client = source;

	for (size_t i = 0; i < ARRAY_LEN(verify_rows) && client->has_verify; i++)
		if (verify_rows[i].mode == client->verify)
			return output_text(out, verify_rows[i].name);
	return NULL;
}

static void read_ca(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__ClientAuth *client = target;

	if (field_read_pem(in, value, PEM_MAX, CAS_MAX, &in->lists[CERT_LIST_CAS]))
		field_copy_ders(in, &in->lists[CERT_LIST_CAS], &client->n_ca, &client->ca);
}

static json_t *write_ca(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__ClientAuth *client = source;

	return client->n_ca == 0 ? NULL : output_pem(out, client->ca, client->n_ca);
}

/* "verify": "verify_and_map" has said so before. */
static void read_map_identity(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	const Tlsplane__ClientAuth *client = target;
	bool said = client->has_map_identity;

	field_read_bool(in, field, value, target);
	if (said && !client->map_identity)
		field_error(in, "conflicting-fields", "\"verify\" is \"verify_and_map\", which maps identities");
}

static const char *const on_tighten_texts[] = {
	[TLSPLANE__ON_TIGHTEN__TIGHTEN_CLOSE] = "close",
	[TLSPLANE__ON_TIGHTEN__TIGHTEN_KEEP] = "keep",
};
static const struct field_words on_tighten_words = {on_tighten_texts, ARRAY_LEN(on_tighten_texts)};

#define NO_CA_FILES "no file is read by its path: PEM text in \"ca\", or \"ca_bundle\" names an object"

#define CLIENT(member) FIELD_OPTIONAL(Tlsplane__ClientAuth, member)
#define CLIENT_LIST(member) FIELD_LIST(Tlsplane__ClientAuth, member)

/* "verify" stands before "map_identity". An empty `allow` or `pins` would read as "nobody" to one and "everybody" to another. */
static const struct field client_auth_rows[] = {
	{"verify", read_verify, write_verify},
	{"ca", read_ca, write_ca},
	{"ca_bundle", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__ClientAuth, ca_bundle),
     .kind = KIND_CA_BUNDLE},
	{"depth", field_read_u32, field_write_u32, CLIENT(depth), .min = 0, .max = 100},
	{"allow", field_read_rules, field_write_rules, CLIENT_LIST(allow), .min = 1, .max = RULES_MAX},
	{"pins", field_read_sha256s, field_write_hexes, CLIENT_LIST(pins), .min = 1, .max = PINS_MAX},
	{"deny_serials", field_read_serials, field_write_hexes, CLIENT_LIST(deny_serials), .max = DENIED_MAX},
	{"deny_spki", field_read_sha256s, field_write_hexes, CLIENT_LIST(deny_spkis), .max = DENIED_MAX},
	{"stale_crls", field_read_word, field_write_word, CLIENT(allow_stale_crls), .words = &field_words_stale_crls},
	{"send_ca_names", field_read_bool, field_write_bool, CLIENT(send_ca_names)},
	{"map_identity", read_map_identity, field_write_bool, CLIENT(map_identity)},
	{"on_tighten", field_read_word, field_write_word, CLIENT(on_tighten), .words = &on_tighten_words},
	FIELD_CALLED("clientAuthType", "verify"),
	FIELD_CALLED("verify_client", "verify"),
	FIELD_CALLED("enable_mtls", "verify"),
	FIELD_ADVICE("verify_and_map", "is \"verify\": \"verify_and_map\" here"),
	FIELD_ADVICE("caFiles", NO_CA_FILES),
	FIELD_ADVICE("secretNames", NO_CA_FILES),
	FIELD_ADVICE("ca_certs", NO_CA_FILES),
	FIELD_ADVICE("ca_file", NO_CA_FILES),
	FIELD_ADVICE("verify_client_ca_certs", NO_CA_FILES),
	FIELD_CALLED("pinned_certs", "pins"),
	FIELD_ADVICE("disable_system_ca_pool", "the system's CAs are never asked about clients"),
	FIELD_ADVICE("skip_mtls_uri_regex", "a path is known only after the handshake; give the open part a name of its own"),
};

const struct field_table field_table_client_auth = FIELD_TABLE(client_auth_rows);
