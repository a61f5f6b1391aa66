/* SPDX-License-Identifier: Apache-2.0 */
/* TLS options and client rules of the answer. */
#include "api/resolve.h"

#include "crypto/cert.h"
#include "model/effective.h"
#include "model/suites.h"

#include <stdlib.h>

#define SUBJECTS_MAX 32 /* listed; all are counted */
#define TLS_1_3 0x0304

static json_t *word_or_null(const char *word)
{
	return word != NULL ? json_string(word) : json_null();
}

/* Options --------------------------------------------------------------------------------------------------------- */

static json_t *render_tickets(const Tlsplane__TlsOptions *options)
{
	struct decide_tickets tickets = decide_tickets_of(options);

	return json_pack("{s:b, s:I, s:I}", "enabled", tickets.enabled, "count", (json_int_t)tickets.count, "lifetime",
	                 (json_int_t)tickets.lifetime_s);
}

static json_t *render_base(const struct decision *decision)
{
	const Tlsplane__TlsOptions *base = decision->base.body;

	return json_pack("{s:s, s:s, s:b, s:s?}", "id", decision->base.id, "from", resolve_from_word(decision->base_from),
	                 "sni_strict", base->sni_strict, "default_ssl", base->default_ssl);
}

static bool is_narrowed(const struct decision *decision)
{
	const Tlsplane__TlsOptions *options = decision->options.body;

	return decision->min != options->min_version || decision->max != options->max_version;
}

json_t *resolve_render_suites(const uint32_t *codes, size_t codes_len, uint32_t min, uint32_t max)
{
	const struct suite *suites[SUITES_IN_FORCE_MAX];
	size_t count = suites_in_force(codes, codes_len, min, max, suites);
	json_t *names = json_array();

	for (size_t i = 0; i < count && names != NULL; i++)
		if (suites[i]->tls13 ? max >= TLS_1_3 : min < TLS_1_3)
			json_array_append_new(names, json_string(suites[i]->iana));
	return names;
}

json_t *resolve_render_groups(const uint32_t *ids, size_t ids_len)
{
	const struct group *groups[SUITES_IN_FORCE_MAX];
	size_t count = groups_in_force(ids, ids_len, groups);
	json_t *names = json_array();

	for (size_t i = 0; i < count && names != NULL; i++)
		json_array_append_new(names, json_string(groups[i]->iana));
	return names;
}

/* Those of the versions that are left; of all of the options' when none is. */
static json_t *render_suites(const struct decision *decision)
{
	const Tlsplane__TlsOptions *options = decision->options.body;
	bool has_range = decision->min != 0;

	return resolve_render_suites(options->cipher_suites, options->n_cipher_suites, has_range ? decision->min : options->min_version,
	                             has_range ? decision->max : options->max_version);
}

/* Of limits and protocols what the options say themselves, and null for what they leave out; all else as it is in force. */
static int copy_words(json_t *document, const struct decision *decision, json_t *answer)
{
	static const char *const keys[] = {"alpn_protocols", "max_handshakes", "handshakes_per_second"};
	const Tlsplane__TlsOptions *options = decision->options.body;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *word = json_object_get(document, keys[i]);

		if (json_object_set_new(answer, keys[i], word != NULL ? json_incref(word) : json_null()) < 0)
			return E_NOMEM;
	}
	return json_object_set_new(answer, "cipher_suites", render_suites(decision)) < 0 ||
	               json_object_set_new(answer, "curve_preferences",
	                                   resolve_render_groups(options->curve_preferences, options->n_curve_preferences)) < 0 ||
	               json_object_set_new(answer, "prefer_server_ciphers",
	                                   json_boolean(effective_prefer_server_ciphers(options))) < 0
	           ? E_NOMEM
	           : 0;
}

json_t *resolve_render_options(const struct resolve_handshake *handshake)
{
	const struct decision *decision = &handshake->decision;
	const Tlsplane__TlsOptions *options = decision->options.body;
	bool has_range = decision->min != 0; /* else the decision ended before, or none is left */
	json_t *document = resolve_document_of(decision->options.handle), *answer;

	answer = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s*, s:o, s:f, s:o, s:o}", "id", decision->options.id, "from",
	                   resolve_from_word(decision->options_from), "reason", resolve_options_reason(decision->options_from),
	                   "min_version", word_or_null(has_range ? version_name(decision->min) : NULL), "max_version",
	                   word_or_null(has_range ? version_name(decision->max) : NULL), "narrowed_by",
	                   has_range && is_narrowed(decision) ? "ssl_protocols" : NULL, "session_tickets",
	                   render_tickets(options), "handshake_timeout", decide_handshake_timeout_ms_of(options) / 1000.0,
	                   "base", render_base(decision), "losers", resolve_options_overruled(decision));
	if (document == NULL || answer == NULL || copy_words(document, decision, answer) < 0) {
		json_decref(answer);
		answer = NULL;
	}
	json_decref(document);
	return answer;
}

/* Client rules ---------------------------------------------------------------------------------------------------- */

static const char *mode_word(const struct decide_client *client)
{
	if (!client->ask)
		return "none";
	if (client->verify)
		return client->demand ? "require" : "verify_if_given";
	return client->demand ? "require_any" : "request";
}

static json_t *render_subject(const ProtobufCBinaryData *der)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	struct error err = ERROR_NULL;
	char *subject = NULL;
	json_t *text;

	if (cert_parse(BYTES(der->data, der->len), &cert, &err) < 0 ||
	    cert_read_name(X509_get_subject_name(cert), "subject", &subject, &err) < 0)
		return err.code == E_NOMEM ? NULL : json_null();
	text = json_string(subject);
	free(subject);
	return text != NULL ? text : json_null(); /* not UTF-8 after all */
}

/* Whose anchors: the first part that names any, as they were joined. */
static const char *anchors_bundle(const struct decide_client *client, const struct decide_ssl *ssl)
{
	for (size_t i = 0; i < client->parts_len; i++) {
		bool is_own = client->parts[i] == ssl->client;

		if (is_own == (client->anchors_from == DECIDE_FROM_SSL))
			return client->bundles[i].id;
	}
	return NULL;
}

static json_t *render_ca(const struct decision *decision)
{
	const struct decide_client *client = &decision->client;
	json_t *subjects;

	if (client->anchors_from == DECIDE_FROM_NONE)
		return json_null();
	subjects = json_array();
	for (size_t i = 0; subjects != NULL && i < client->anchors_len && i < SUBJECTS_MAX; i++) {
		if (json_array_append_new(subjects, render_subject(&client->anchors[i])) < 0) {
			json_decref(subjects);
			return NULL;
		}
	}
	return json_pack("{s:s, s:s?, s:I, s:o}", "from", client->anchors_from == DECIDE_FROM_SSL ? "ssl" : "options",
	                 "ca_bundle", anchors_bundle(client, &decision->ssl), "count", (json_int_t)client->anchors_len,
	                 "subjects", subjects);
}

/* One party's own words, canonical; the certificates of its `ca` are told above. */
static json_t *render_part(const struct view_object *object, const char *key, const char *from)
{
	json_t *document = resolve_document_of(object),
	       *words = document != NULL ? json_copy(json_object_get(document, key)) : NULL;

	json_decref(document);
	if (words == NULL)
		return NULL;
	json_object_del(words, "ca");
	if (json_object_get(words, "verify") == NULL && json_object_set_new(words, "verify", json_string("require")) < 0) {
		json_decref(words);
		return NULL;
	}
	if (json_object_set_new(words, "from", json_string(from)) < 0 ||
	    json_object_set_new(words, "id", json_string(object->row.state.object.id)) < 0) {
		json_decref(words);
		return NULL;
	}
	return words;
}

static json_t *render_parts(const struct decision *decision)
{
	const struct decide_client *client = &decision->client;
	json_t *parts = json_array();

	for (size_t i = 0; parts != NULL && i < client->parts_len; i++) {
		json_t *part = client->parts[i] == decision->ssl.client
		                   ? render_part(decision->ssl.handle, "client", "ssl")
		                   : render_part(decision->options.handle, "client_auth", "options");

		if (json_array_append_new(parts, part) < 0) {
			json_decref(parts);
			return NULL;
		}
	}
	return parts;
}

static json_t *render_crls(const struct decide_client *client)
{
	json_t *crls = json_array();

	for (size_t i = 0; crls != NULL && i < client->parts_len; i++) {
		const struct decide_bundle *bundle = &client->bundles[i];

		if (bundle->id == NULL || bundle->body->n_crls == 0)
			continue;
		if (json_array_append_new(crls, json_pack("{s:s, s:I}", "ca_bundle", bundle->id, "count",
		                                          (json_int_t)bundle->body->n_crls)) < 0) {
			json_decref(crls);
			return NULL;
		}
	}
	return crls;
}

json_t *resolve_render_client(const struct resolve_handshake *handshake)
{
	const struct decide_client *client = &handshake->decision.client;
	const char *reason = resolve_client_reason(&handshake->decision);

	if (!client->ask)
		return json_pack("{s:s, s:s}", "mode", "none", "reason", reason);
	return json_pack("{s:s, s:s, s:o, s:I, s:o, s:s, s:b, s:b, s:s, s:o}", "mode", mode_word(client), "reason", reason, "ca",
	                 render_ca(&handshake->decision), "depth", (json_int_t)client->depth, "crls", render_crls(client),
	                 "stale_crls", client->allow_stale_crls ? "accept" : "refuse", "send_ca_names",
	                 client->send_ca_names, "map_identity", client->map_identity, "on_tighten",
	                 client->keep_on_tighten ? "keep" : "close", "parts", render_parts(&handshake->decision));
}
