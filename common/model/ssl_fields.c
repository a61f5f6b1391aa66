/* SPDX-License-Identifier: Apache-2.0 */
/* SSL objects: of type server, for the names that it lists; of type client, one pair that is shown to origins. A pair is a
 * certificate chain and its key: cert/key is the first, certs/keys are the rest by index. Keys are read and never written. A
 * certificate without a key is a pair all the same: the change layer takes the stored key with its SPKI.
 *
 * The x509 block in answers is that of the first pair; x509_more, present when there are further pairs, is the array of
 * theirs. */
#include "model/fields.h"

#include "model/body.h"
#include "model/name.h"
#include "model/ssl_pairs.h"
#include "model/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SNIS_MAX 1000

/* type ------------------------------------------------------------------------------------------------------------- */

static void read_type(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Ssl *ssl = target;
	const char *type = field_text(in, value);

	if (type == NULL)
		return;
	ssl->client_type = ssl->has_client_type = strcmp(type, "client") == 0;
	if (!ssl->client_type && strcmp(type, "server") != 0)
		field_error(in, "invalid-value", "must be \"server\" or \"client\"");
}

static json_t *write_type(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;

	return output_text(out, ssl->client_type ? "client" : "server");
}

/* sni, snis ----------------------------------------------------------------------------------------------------------
 */

static void read_name(struct field_input *in, json_t *value, Tlsplane__Ssl *ssl)
{
	const char *text = field_text(in, value);
	struct error reason = ERROR_NULL;
	char name[NAME_MAX_LEN + 1], *copy;
	int r;

	if (text == NULL)
		return;
	r = name_normalise(text, true, name, &reason);
	if (r == E_NOMEM) {
		field_fail(in, error_nomem(in->err));
		return;
	}
	if (r < 0) {
		field_error(in, "invalid-value", "%s", reason.text);
		return;
	}
	copy = field_copy(in, name);
	if (copy != NULL)
		ssl->snis[ssl->n_snis++] = copy;
}

static void read_sni(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Ssl *ssl = target;

	ssl->snis = field_alloc(in, 1, sizeof(*ssl->snis));
	if (ssl->snis == NULL)
		return;
	ssl->sni_scalar = ssl->has_sni_scalar = true;
	read_name(in, value, ssl);
}

static json_t *write_sni(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;

	return ssl->sni_scalar ? output_text(out, ssl->snis[0]) : NULL;
}

static int order_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void find_duplicate_names(struct field_input *in, const Tlsplane__Ssl *ssl)
{
	char **sorted = field_alloc(in, ssl->n_snis, sizeof(*sorted));

	if (sorted == NULL)
		return;
	memcpy(sorted, ssl->snis, ssl->n_snis * sizeof(*sorted));
	qsort(sorted, ssl->n_snis, sizeof(*sorted), order_names);
	for (size_t i = 1; i < ssl->n_snis; i++)
		if (strcmp(sorted[i - 1], sorted[i]) == 0)
			field_error(in, "duplicate", "%s stands twice", sorted[i]);
	free(sorted);
}

static void read_snis(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Ssl *ssl = target;

	if (ssl->snis != NULL) {
		field_error(in, "conflicting-fields", "\"sni\" and \"snis\" exclude each other");
		return;
	}
	if (!field_is_array(in, value, 1, SNIS_MAX))
		return;
	ssl->snis = field_alloc(in, json_array_size(value), sizeof(*ssl->snis));
	if (ssl->snis == NULL)
		return;
	for (size_t i = 0; i < json_array_size(value); i++) {
		size_t mark = field_enter_index(in, i);

		read_name(in, json_array_get(value, i), ssl);
		field_leave(in, mark);
	}
	find_duplicate_names(in, ssl);
}

static json_t *write_snis(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;
	json_t *names = ssl->sni_scalar || ssl->client_type ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < ssl->n_snis && names != NULL; i++)
		output_append(out, names, output_text(out, ssl->snis[i]));
	return names;
}

/* client -------------------------------------------------------------------------------------------------------------
 */

static void read_client(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Ssl *ssl = target;

	ssl->client = field_alloc(in, 1, sizeof(*ssl->client));
	if (ssl->client == NULL)
		return;
	tlsplane__client_auth__init(ssl->client);
	field_read_object(in, field, value, ssl->client);
}

static json_t *write_client(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;
	json_t *client = ssl->client == NULL ? NULL : output_json(out, json_object());

	if (client != NULL)
		fields_write(out, &field_table_client_auth, ssl->client, client);
	return client;
}

/* ssl_protocols ---------------------------------------------------------------------------------------------------- */

static void read_ssl_protocols(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Ssl *ssl = target;
	bool seen[4] = {false};

	if (!field_is_array(in, value, 1, ARRAY_LEN(seen)))
		return;
	for (size_t i = 0; i < json_array_size(value); i++) {
		size_t mark = field_enter_index(in, i);
		uint16_t version = field_version(in, json_array_get(value, i));

		if (version != 0 && seen[version - 0x0301])
			field_error(in, "duplicate", "stands twice");
		else if (version != 0)
			seen[version - 0x0301] = true;
		field_leave(in, mark);
	}
	ssl->ssl_protocols = field_alloc(in, ARRAY_LEN(seen), sizeof(*ssl->ssl_protocols));
	for (uint32_t i = 0; i < ARRAY_LEN(seen) && ssl->ssl_protocols != NULL; i++)
		if (seen[i])
			ssl->ssl_protocols[ssl->n_ssl_protocols++] = 0x0301 + i;
}

static json_t *write_ssl_protocols(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;
	json_t *versions = ssl->n_ssl_protocols == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < ssl->n_ssl_protocols && versions != NULL; i++)
		output_append(out, versions, output_text(out, version_name(ssl->ssl_protocols[i])));
	return versions;
}

/* spelled ------------------------------------------------------------------------------------------------------------
 *
 * What an object means does not depend on it. APISIX's API answers a default if it was sent and else leaves it out. */

static const char *const spelled_names[] = {"status", "type"}; /* bit 0, bit 1 */

static void read_spelled_name(struct field_input *in, json_t *value, Tlsplane__Ssl *ssl)
{
	const char *text = field_text(in, value);

	for (size_t i = 0; text != NULL && i < ARRAY_LEN(spelled_names); i++) {
		if (strcmp(text, spelled_names[i]) == 0) {
			ssl->spelled |= 1u << i;
			return;
		}
	}
	if (text != NULL)
		field_error(in, "invalid-value", "must be \"status\" or \"type\"");
}

static void read_spelled(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	Tlsplane__Ssl *ssl = target;

	if (!field_is_array(in, value, 0, ARRAY_LEN(spelled_names)))
		return;
	for (size_t i = 0; i < json_array_size(value); i++) {
		size_t mark = field_enter_index(in, i);

		read_spelled_name(in, json_array_get(value, i), ssl);
		field_leave(in, mark);
	}
	ssl->has_spelled = ssl->spelled != 0;
}

static json_t *write_spelled(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Ssl *ssl = source;
	json_t *names = ssl->spelled == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 0; i < ARRAY_LEN(spelled_names) && names != NULL; i++)
		if (ssl->spelled & 1u << i)
			output_append(out, names, output_text(out, spelled_names[i]));
	return names;
}

/* x509 ---------------------------------------------------------------------------------------------------------------
 */

static json_t *write_x509(struct field_output *out, const struct field *field, const void *source)
{
	if (out->lists[0].len == 0)
		return NULL;
	return output_json(out, cert_item_render(&out->lists[0].items[0], out->lists[0].len));
}

static json_t *write_x509_more(struct field_output *out, const struct field *field, const void *source)
{
	json_t *more = out->lists[1].len == 0 ? NULL : output_json(out, json_array());

	for (size_t i = 1; i < CERT_LISTS_PAIRS && out->lists[i].len > 0 && more != NULL; i++)
		output_append(out, more, output_json(out, cert_item_render(&out->lists[i].items[0], out->lists[i].len)));
	return more;
}

/* After all fields ---------------------------------------------------------------------------------------------------
 */

static void finish_names(struct field_input *in, const Tlsplane__Ssl *ssl)
{
	struct resource *resource = in->resource;

	resource->names = field_alloc(in, ssl->n_snis, sizeof(*resource->names));
	for (size_t i = 0; i < ssl->n_snis && in->code == 0; i++) {
		resource->names[i] = field_copy(in, ssl->snis[i]);
		resource->names_len += resource->names[i] != NULL;
	}
}

static void finish_ssl(struct field_input *in, json_t *document, ProtobufCMessage *body)
{
	Tlsplane__Ssl *ssl = (Tlsplane__Ssl *)body;

	if (!ssl->client_type && json_object_get(document, "sni") == NULL && json_object_get(document, "snis") == NULL)
		findings_add(in->findings, FINDING_ERROR, "missing-field", "/snis",
		             "\"sni\" or \"snis\" is required; \"*\" serves every name");
	finish_names(in, ssl);
	ssl_finish_pairs(in, ssl);
}

static int load_ssl(struct field_output *out, struct error *err)
{
	const Tlsplane__Ssl *ssl = (const Tlsplane__Ssl *)out->body;
	int r = 0;

	for (size_t i = 0; i < ssl->n_pairs && i < CERT_LISTS_PAIRS && r == 0; i++)
		r = cert_list_load_ders(&out->lists[i], ssl->pairs[i]->chain, ssl->pairs[i]->n_chain, err);
	if (r == 0 && ssl->client != NULL)
		r = cert_list_load_ders(&out->lists[CERT_LIST_CAS], ssl->client->ca, ssl->client->n_ca, err);
	return r;
}

static void find_ssl_certs(const ProtobufCMessage *body, const struct cert_list *lists,
                           const struct resource_limits *limits, struct findings *findings)
{
	const Tlsplane__Ssl *ssl = (const Tlsplane__Ssl *)body;
	enum cert_use use = ssl->client_type ? CERT_USE_CLIENT : CERT_USE_SERVER;
	char pointer[32];

	for (size_t i = 0; i < CERT_LISTS_PAIRS; i++) {
		body_pair_pointer(i, pointer);
		cert_list_find_chain(&lists[i], pointer, use, limits, findings);
		cert_list_find_names(&lists[i], pointer, ssl, findings);
	}
	cert_list_find_cas(&lists[CERT_LIST_CAS], "/client/ca", limits, findings);
}

#define NO_FILES(name) "no file is read by its path: PEM text in \"" name "\""

/* A key is matched with the certificate before it, so "cert" stands before "key" and "certs" before "keys". */
static const struct field ssl_rows[] = {
	{"type", read_type, write_type}, /* first: the rest depends on it */
	{"sni", read_sni, write_sni},
	{"snis", read_snis, write_snis},
	{"cert", ssl_read_cert, ssl_write_cert, .flags = FIELD_REQUIRED},
	{"key", ssl_read_key, NULL},
	{"certs", ssl_read_certs, ssl_write_certs},
	{"keys", ssl_read_keys, NULL},
	{"client", read_client, write_client, .below = &field_table_client_auth},
	{"ssl_protocols", read_ssl_protocols, write_ssl_protocols},
	{"tls_options", field_read_ref, field_write_text, FIELD_TEXT(Tlsplane__Ssl, tls_options), .kind = KIND_TLS_OPTIONS},
	{"priority", field_read_i32, field_write_i32, FIELD_OPTIONAL(Tlsplane__Ssl, priority), .min = INT32_MIN, .max = INT32_MAX},
	{"spelled", read_spelled, write_spelled},
	{"x509", NULL, write_x509, .flags = FIELD_SERVER},
	{"x509_more", NULL, write_x509_more, .flags = FIELD_SERVER},
	FIELD_ADVICE("certFile", NO_FILES("cert")),
	FIELD_ADVICE("cert_file", NO_FILES("cert")),
	FIELD_ADVICE("public_key", NO_FILES("cert")),
	FIELD_ADVICE("ssl_cert_name", NO_FILES("cert")),
	FIELD_ADVICE("keyFile", NO_FILES("key")),
	FIELD_ADVICE("key_file", NO_FILES("key")),
	FIELD_ADVICE("private_key", NO_FILES("key")),
	FIELD_ADVICE("ssl_key_name", NO_FILES("key")),
	FIELD_ADVICE("ssl_ca_name", "intermediate certificates stand in \"cert\", after the leaf"),
	FIELD_ADVICE("ssl_key_dialog", "keys are given without a passphrase: openssl pkey -in key.pem"),
	FIELD_ADVICE("ca_file", "is \"ca\" (PEM text) or \"ca_bundle\" in \"client\" here"),
	FIELD_ADVICE("stores", "there are no stores: \"selector\" says who holds the object, \"default_ssl\" of TLS options "
	                       "which one is the default"),
	FIELD_ADVICE("fqdn", "is \"sni\" or \"snis\" here"),
	FIELD_ADVICE("dest_ip", "addresses are listeners' matter: \"tls_options\" of a listener, \"listeners\" of a route"),
};
static const struct field_table ssl_table = FIELD_TABLE(ssl_rows);

const struct resource_kind resource_ssl = {
	.kind = KIND_SSL,
	.own = &ssl_table,
	.is_placed = true,
	.is_described = true,
	.has_body = true,
	.finish = finish_ssl,
	.load = load_ssl,
	.find = find_ssl_certs,
};
