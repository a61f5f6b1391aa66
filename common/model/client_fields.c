/* SPDX-License-Identifier: Apache-2.0 */
/* Who may connect: `client` of SSL objects and `client_auth` of TLS options. The former always requires a certificate;
 * the latter says so by `verify`, under the names that Traefik, Apache Traffic Server, KrakenD and NATS use for the
 * five modes. */
#include "model/fields.h"

#include <string.h>
#include <strings.h>

#define PEM_MAX 65536
#define CAS_MAX 1000
#define UNAVAILABLE (-1)

/* Spellings of a mode; the first of each is what answers say. mode: of ClientVerify, or UNAVAILABLE. */
static const struct verify_row {
	const char *name;
	int mode;
} verify_rows[] = {
	{"none", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"require", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"NoClientCert", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"0", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"false", TLSPLANE__CLIENT_VERIFY__VERIFY_NONE},
	{"STRICT", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"RequireAndVerifyClientCert", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"2", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"true", TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE},
	{"request", UNAVAILABLE},
	{"RequestClientCert", UNAVAILABLE},
	{"require_any", UNAVAILABLE},
	{"RequireAnyClientCert", UNAVAILABLE},
	{"verify_if_given", UNAVAILABLE},
	{"VerifyClientCertIfGiven", UNAVAILABLE},
	{"MODERATE", UNAVAILABLE},
	{"1", UNAVAILABLE},
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
		field_error(in, "invalid-value", "unknown mode \"%s\"; use \"none\" or \"require\"", field_quote(word, quoted));
		return;
	}
	if (row->mode == UNAVAILABLE) {
		field_error(in, "unsupported", "the mode \"%s\" is not available; use \"none\" or \"require\"", row->name);
		return;
	}
	client->verify = (Tlsplane__ClientVerify)row->mode;
	client->has_verify = true;
}

static json_t *write_verify(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__ClientAuth *client = source;

	if (!client->has_verify)
		return NULL;
	return output_text(out, client->verify == TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE ? "require" : "none");
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

/* `client` has all rows but the first. */
static const struct field client_auth_rows[] = {
	{"verify", read_verify, write_verify, .flags = FIELD_REQUIRED},
	{"ca", read_ca, write_ca},
	{"ca_bundle", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__ClientAuth, ca_bundle),
     .kind = KIND_CA_BUNDLE},
	{"depth", field_read_u32, field_write_u32, FIELD_OPTIONAL(Tlsplane__ClientAuth, depth), .min = 0, .max = 100},
};

const struct field_table field_table_client_auth = FIELD_TABLE(client_auth_rows);
const struct field_table field_table_client = {client_auth_rows + 1, ARRAY_LEN(client_auth_rows) - 1};
