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

/* ---- options ---- */

struct misfit {
	const char *code; /* NULL: they fit */
	const char *pointer;
	const char *text;
};

static unsigned version_bit(uint32_t version)
{
	return version >= TLS_1_0 && version <= TLS_1_3 ? 1u << (version - TLS_1_0) : 0;
}

static unsigned versions_of(const Tlsplane__Ssl *ssl, const Tlsplane__TlsOptions *options)
{
	uint32_t min = options->has_min_version ? options->min_version : TLS_1_0;
	uint32_t max = options->has_max_version ? options->max_version : TLS_1_3;
	unsigned own = 0, range = 0;

	for (uint32_t version = TLS_1_0; version <= TLS_1_3; version++)
		if (version >= min && version <= max)
			range |= version_bit(version);
	for (size_t i = 0; i < ssl->n_ssl_protocols; i++)
		own |= version_bit(ssl->ssl_protocols[i]);
	return ssl->n_ssl_protocols > 0 ? range & own : range;
}

/* Ed25519 goes with ECDSA's suites, from TLS 1.2 on (RFC 8422). */
static bool key_fits(Tlsplane__KeyType type, const struct suite *suite, uint32_t version)
{
	if (type == TLSPLANE__KEY_TYPE__KEY_ED25519 && version < TLS_1_2)
		return false;
	return suite->auth == (type == TLSPLANE__KEY_TYPE__KEY_RSA ? SUITE_AUTH_RSA : SUITE_AUTH_ECDSA);
}

/* With one of the keys, in one of the versions below TLS 1.3. */
static bool suite_fits(const struct suite *suite, const Tlsplane__Ssl *ssl, unsigned versions)
{
	for (uint32_t version = TLS_1_0; version <= TLS_1_2; version++) {
		if ((versions & version_bit(version)) == 0 || suite == NULL || !suite_is_for(suite, version))
			continue;
		for (size_t i = 0; i < ssl->n_pairs; i++)
			if (key_fits(ssl->pairs[i]->key_type, suite, version))
				return true;
	}
	return false;
}

/* From TLS 1.3 on suites say nothing about certificates: only where it is out of reach must one of them fit a key. */
static struct misfit find_misfit(const Tlsplane__Ssl *ssl, const Tlsplane__TlsOptions *options)
{
	unsigned versions = versions_of(ssl, options);

	if (versions == 0)
		return (struct misfit){"no-common-version", "/ssl_protocols",
		                       "ssl_protocols and the versions of these options have none in common"};
	if ((versions & version_bit(TLS_1_3)) != 0 || options->n_cipher_suites == 0)
		return (struct misfit){NULL, NULL, NULL};
	for (size_t i = 0; i < options->n_cipher_suites; i++)
		if (suite_fits(suite_find_code(options->cipher_suites[i]), ssl, versions))
			return (struct misfit){NULL, NULL, NULL};
	return (struct misfit){"no-common-suite", "/cert",
	                       "no cipher suite of these options can be used with the type of this key in their common versions"};
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
	if (named)
		refuse(job, index, E_INVALID, misfit.code, misfit.pointer, "with tls_options/%s nothing can shake hands: %s",
		       id, misfit.text);
	else
		warn(job, index, misfit.code, misfit.pointer,
		     "where no listener names other options, tls_options/%s applies and nothing can shake hands: %s", id,
		     misfit.text);
	return 0;
}

struct options_call {
	struct request_job *job;
	size_t index;
	const Tlsplane__TlsOptions *options;
	struct error *err;
};

static int on_ssl_with_options(const struct store_row *row, const char *pointer, void *context)
{
	struct options_call *call = context;
	CLEANUP(body_free) ProtobufCMessage *ssl = NULL;
	struct misfit misfit;
	int code;

	if (row->state.object.kind != KIND_SSL || !row->state.enabled)
		return 0;
	code = body_decode(&tlsplane__ssl__descriptor, row->state.object.body, &ssl, call->err);
	if (code != 0)
		return code;
	misfit = find_misfit((const Tlsplane__Ssl *)ssl, call->options);
	if (misfit.code != NULL)
		refuse(call->job, call->index, E_INVALID, misfit.code, "",
		       "ssls/%s uses these options, and nothing could shake hands: %s", row->state.object.id, misfit.text);
	return 0;
}

int rules_check_options(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	struct options_call call = {job, index, NULL, err};
	int code;

	if (!job->items[index].existed)
		return 0; /* whoever came with it is checked for itself */
	code = body_decode(&tlsplane__tls_options__descriptor, BYTES(resource->body, resource->body_len), &body, err);
	if (code != 0)
		return code;
	call.options = (const Tlsplane__TlsOptions *)body;
	return store_each_referrer(reader, KIND_TLS_OPTIONS, resource->id, on_ssl_with_options, &call, err);
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

/* Higher priority, then the younger object. */
static bool self_wins(const struct names_call *call, const struct object_view *other, const Tlsplane__Ssl *body)
{
	int32_t mine = call->ssl->has_priority ? call->ssl->priority : 0;
	int32_t theirs = body->has_priority ? body->priority : 0;

	if (mine != theirs)
		return mine > theirs;
	return memcmp(call->self->uid.bytes, other->uid.bytes, UID_LEN) > 0;
}

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
	wins = self_wins(call, other, (const Tlsplane__Ssl *)body);
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
	if (code == 0)
		code = check_own_options(job, index, (const Tlsplane__Ssl *)body, reader, err);
	return code == 0 ? check_names(job, index, (const Tlsplane__Ssl *)body, reader, err) : code;
}
