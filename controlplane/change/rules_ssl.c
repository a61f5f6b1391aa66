/* SPDX-License-Identifier: Apache-2.0 */
/* What an SSL object shares with others: names (who wins is told, by the agent's own order) and the options that it is
 * served with (which may leave nothing to shake hands with). The options are known when the object names them: then it
 * is an error; without, a listener's may fit where the default's do not: then it is a warning. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/selector.h"
#include "model/suites.h"

#include <stdio.h>
#include <string.h>

#define TLS_1_0 0x0301u
#define TLS_1_2 0x0303u
#define TLS_1_3 0x0304u
#define WARNED_MAX 5 /* SSL objects named by options that fit them in part */

/* ---- options ---- */

#define NOTHING "nothing can shake hands"

/* The first version of the common range in which somebody can't shake hands, and whether there is another that fits all. */
struct misfit {
	const char *code; /* NULL: they fit */
	const char *pointer;
	const char *verdict; /* who fails... */
	const char *text;    /* ...and why */
	const char *version; /* NULL: there is none in common */
	bool partial;
};

static bool version_is_common(const Tlsplane__Ssl *ssl, const Tlsplane__TlsOptions *options, uint32_t version)
{
	if (version < options->min_version || version > options->max_version)
		return false;
	for (size_t i = 0; i < ssl->n_ssl_protocols; i++)
		if (ssl->ssl_protocols[i] == version)
			return true;
	return ssl->n_ssl_protocols == 0;
}

/* Ed25519 goes with ECDSA's suites, from TLS 1.2 on (RFC 8422). */
static bool key_fits(Tlsplane__KeyType type, const struct suite *suite, uint32_t version)
{
	if (type == TLSPLANE__KEY_TYPE__KEY_ED25519 && version < TLS_1_2)
		return false;
	return suite->auth == (type == TLSPLANE__KEY_TYPE__KEY_RSA ? SUITE_AUTH_RSA : SUITE_AUTH_ECDSA);
}

/* Up to TLS 1.2 the groups speak of the certificate's curve too (RFC 8422 5.1). An empty list has all that keys may have. */
static bool curve_is_listed(Tlsplane__KeyType type, const Tlsplane__TlsOptions *options)
{
	uint32_t group = type == TLSPLANE__KEY_TYPE__KEY_EC_P256   ? 23
	                 : type == TLSPLANE__KEY_TYPE__KEY_EC_P384 ? 24
	                 : type == TLSPLANE__KEY_TYPE__KEY_EC_P521 ? 25
	                                                           : 0;

	for (size_t i = 0; i < options->n_curve_preferences; i++)
		if (options->curve_preferences[i] == group)
			return true;
	return group == 0 || options->n_curve_preferences == 0;
}

/* An empty list has suites for all keys, from TLS 1.2 on (older versions without suites are refused with the options). */
static bool pair_has_suite(const Tlsplane__Pair *pair, const Tlsplane__TlsOptions *options, uint32_t version)
{
	for (size_t i = 0; i < options->n_cipher_suites; i++) {
		const struct suite *suite = suite_find_code(options->cipher_suites[i]);

		if (suite != NULL && suite_is_for(suite, version) && key_fits(pair->key_type, suite, version))
			return true;
	}
	return options->n_cipher_suites == 0 && version >= TLS_1_2;
}

/* From TLS 1.3 on neither suites nor groups say anything about certificates. */
static struct misfit find_misfit_in(const Tlsplane__Ssl *ssl, const Tlsplane__TlsOptions *options, uint32_t version)
{
	struct misfit misfit = {"no-common-suite", "/cert", NOTHING, "no cipher suite listed can be used with the type of this key",
	                        version_name(version), false};

	if (version == TLS_1_3)
		return (struct misfit){.code = NULL};
	for (size_t i = 0; i < ssl->n_pairs; i++) {
		if (!pair_has_suite(ssl->pairs[i], options, version))
			continue;
		if (curve_is_listed(ssl->pairs[i]->key_type, options))
			return (struct misfit){.code = NULL};
		misfit.code = "curve-not-listed";
		misfit.verdict = "a client that offers these groups and no other can't shake hands";
		misfit.text = "they speak of the certificate too (RFC 8422), and its curve is not among them; list it, or use an RSA key";
	}
	return misfit;
}

static struct misfit find_misfit(const Tlsplane__Ssl *ssl, const Tlsplane__TlsOptions *options)
{
	struct misfit first = {.code = NULL};
	bool any = false, fits = false;

	for (uint32_t version = TLS_1_0; version <= TLS_1_3; version++) {
		struct misfit misfit;

		if (!version_is_common(ssl, options, version))
			continue;
		any = true;
		misfit = find_misfit_in(ssl, options, version);
		fits = fits || misfit.code == NULL;
		if (first.code == NULL)
			first = misfit;
	}
	if (!any)
		return (struct misfit){"no-common-version", "/ssl_protocols", NOTHING,
		                       "ssl_protocols and the versions of these options have none in common", NULL, false};
	first.partial = fits;
	return first;
}

static int load_options(struct store_reader *reader, const char *id, ProtobufCMessage **ret, struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	int code = store_get(reader, KIND_TLS_OPTIONS, id, 0, &row, err);

	return code == 0 ? body_decode(&tlsplane__tls_options__descriptor, row.state.object.body, ret, err) : code;
}

/* What applies where nothing is named. */
static int load_default_options(struct store_reader *reader, const char **ret_id, ProtobufCMessage **ret,
                                struct error *err)
{
	int code = load_options(reader, "default", ret, err);

	*ret_id = "default";
	if (code == E_NOT_FOUND) {
		*ret_id = "modern";
		code = load_options(reader, "modern", ret, err);
	}
	return code;
}

static int check_own_options(struct request_job *job, size_t index, const Tlsplane__Ssl *ssl,
                             struct store_reader *reader, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *options = NULL;
	bool named = ssl->tls_options != NULL && ssl->tls_options[0] != '\0';
	const char *id = ssl->tls_options;
	struct misfit misfit;
	int code = named ? load_options(reader, id, &options, err) : load_default_options(reader, &id, &options, err);

	if (code == E_NOT_FOUND) /* a missing reference has been told */
		return 0;
	if (code != 0)
		return code;
	misfit = find_misfit(ssl, (const Tlsplane__TlsOptions *)options);
	if (misfit.code == NULL)
		return 0;
	if (misfit.partial)
		warn(job, index, misfit.code, misfit.pointer, "with tls_options/%s %s in %s: %s", id, misfit.verdict, misfit.version,
		     misfit.text);
	else if (named)
		refuse(job, index, E_INVALID, misfit.code, misfit.pointer, "with tls_options/%s %s: %s", id, misfit.verdict, misfit.text);
	else
		warn(job, index, misfit.code, misfit.pointer,
		     "where no listener names other options, tls_options/%s applies and %s: %s", id, misfit.verdict, misfit.text);
	return 0;
}

struct options_call {
	struct request_job *job;
	size_t index;
	const Tlsplane__TlsOptions *options;
	size_t warned;
	struct error *err;
};

static int on_ssl_with_options(const struct store_row *row, const char *pointer, void *context)
{
	struct options_call *call = context;
	CLEANUP(body_free) ProtobufCMessage *ssl = NULL;
	struct misfit misfit;
	int code;

	if (!row->state.enabled)
		return 0;
	code = body_decode(&tlsplane__ssl__descriptor, row->state.object.body, &ssl, call->err);
	if (code != 0)
		return code;
	misfit = find_misfit((const Tlsplane__Ssl *)ssl, call->options);
	if (misfit.code != NULL && !misfit.partial)
		refuse(call->job, call->index, E_INVALID, misfit.code, "",
		       "ssls/%s uses these options, and %s: %s", row->state.object.id, misfit.verdict, misfit.text);
	else if (misfit.code != NULL && call->warned++ < WARNED_MAX)
		warn(call->job, call->index, misfit.code, "", "ssls/%s uses these options, and %s in %s: %s", row->state.object.id,
		     misfit.verdict, misfit.version, misfit.text);
	return 0;
}

static bool lists_are_equal(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len * sizeof(*a)) == 0);
}

static bool terms_are_equal(const Tlsplane__TlsOptions *a, const Tlsplane__TlsOptions *b)
{
	return a->min_version == b->min_version && a->max_version == b->max_version &&
	       lists_are_equal(a->cipher_suites, a->n_cipher_suites, b->cipher_suites, b->n_cipher_suites) &&
	       lists_are_equal(a->curve_preferences, a->n_curve_preferences, b->curve_preferences, b->n_curve_preferences);
}

/* As they were before this request; *ret stays NULL when history has been purged of that. */
static int load_options_before(struct store_reader *reader, const char *id, ProtobufCMessage **ret, struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row now = {0}, before = {0};
	int code = store_get(reader, KIND_TLS_OPTIONS, id, 0, &now, err);

	if (code == 0)
		code = now.from_revision > 1 ? store_get(reader, KIND_TLS_OPTIONS, id, now.from_revision - 1, &before, err) : E_NOT_FOUND;
	if (code == 0)
		code = body_decode(&tlsplane__tls_options__descriptor, before.state.object.body, ret, err);
	return code == E_NOT_FOUND ? 0 : code;
}

/* Where these options say what they said before, who uses them has been judged: a million objects may. */
int rules_check_options(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	CLEANUP(body_free) ProtobufCMessage *body = NULL, *old = NULL;
	struct options_call call = {.job = job, .index = index, .err = err};
	const Tlsplane__TlsOptions *before;
	int code;

	if (!job->items[index].existed)
		return 0; /* whoever came with it is checked for itself */
	code = body_decode(&tlsplane__tls_options__descriptor, BYTES(resource->body, resource->body_len), &body, err);
	if (code == 0)
		code = load_options_before(reader, resource->id, &old, err);
	if (code != 0)
		return code;
	call.options = (const Tlsplane__TlsOptions *)body;
	before = (const Tlsplane__TlsOptions *)old;
	if (before == NULL || !terms_are_equal(call.options, before))
		code = store_each_referrer_of_kind(reader, KIND_TLS_OPTIONS, resource->id, KIND_SSL, on_ssl_with_options, &call, err);
	return code == 0 ? rules_check_options_anchors(job, index, before, call.options, reader, err) : code;
}

/* ---- names ---- */

struct names_call {
	struct request_job *job;
	size_t index;
	const Tlsplane__Ssl *ssl;
	const struct object_view *self;
	const char *name;
	char pointer[32];
	size_t looked; /* of all names */
	struct error *err;
};

static int on_same_name(const struct store_row *row, void *context)
{
	struct names_call *call = context;
	const struct object_view *other = &row->state.object;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	bool wins;
	int code;

	if (call->looked++ >= LOOKS_MAX)
		return 1;
	if (strcmp(other->id, call->self->id) == 0 || selector_is_exclusive(call->self->selector, other->selector))
		return 0;
	code = body_decode(&tlsplane__ssl__descriptor, other->body, &body, call->err);
	if (code != 0)
		return code;
	wins = uid_is_better(call->ssl->priority, &call->self->uid, ((const Tlsplane__Ssl *)body)->priority, &other->uid);
	warn(call->job, call->index, "overlap", call->pointer,
	     "ssls/%s lists %s too: where an agent holds both, %s wins (higher priority, then the younger object)",
	     other->id, call->name, wins ? "this one" : "that one");
	return 0;
}

static int check_names(struct request_job *job, size_t index, const Tlsplane__Ssl *ssl, struct store_reader *reader,
                       struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	CLEANUP(store_row_deinit) struct store_row self = {0};
	struct names_call call = {.job = job, .index = index, .ssl = ssl, .err = err};
	int code = store_get(reader, KIND_SSL, resource->id, 0, &self, err);

	call.self = &self.state.object;
	for (size_t i = 0; i < resource->names_len && code == 0 && call.looked < LOOKS_MAX; i++) {
		call.name = resource->names[i];
		if (ssl->has_sni_scalar && ssl->sni_scalar)
			snprintf(call.pointer, sizeof(call.pointer), "/sni");
		else
			snprintf(call.pointer, sizeof(call.pointer), "/snis/%zu", i);
		code = store_each_by_name(reader, call.name, on_same_name, &call, err);
	}
	return code;
}

int rules_check_ssl(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code;

	if (!resource->enabled)
		return 0;
	code = body_decode(&tlsplane__ssl__descriptor, BYTES(resource->body, resource->body_len), &body, err);
	if (code == 0 && ((const Tlsplane__Ssl *)body)->client_type) /* is never served */
		return 0;
	if (code == 0)
		code = check_own_options(job, index, (const Tlsplane__Ssl *)body, reader, err);
	if (code == 0)
		code = rules_check_ssl_anchors(job, index, (const Tlsplane__Ssl *)body, reader, err);
	return code == 0 ? check_names(job, index, (const Tlsplane__Ssl *)body, reader, err) : code;
}
