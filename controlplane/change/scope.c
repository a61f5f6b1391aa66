/* SPDX-License-Identifier: Apache-2.0 */
/* Scopes: parsed, rendered, and what they cover. */
#include "change/scope.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/name.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 16
#define LABEL_MAX 256 /* bytes of a key or a value */

struct scope {
	atomic_uint count;
	char **suffixes; /* owned; normalised */
	size_t suffixes_len;
	json_t *labels; /* object of strings, or NULL; read by several threads, changed by none, its count left alone */
};

struct scope *scope_ref(struct scope *scope)
{
	if (scope != NULL)
		atomic_fetch_add(&scope->count, 1);
	return scope;
}

struct scope *scope_unref(struct scope *scope)
{
	if (scope == NULL || atomic_fetch_sub(&scope->count, 1) > 1)
		return NULL;
	for (size_t i = 0; i < scope->suffixes_len; i++)
		free(scope->suffixes[i]);
	free(scope->suffixes);
	json_decref(scope->labels);
	free(scope);
	return NULL;
}

/* Parsing --------------------------------------------------------------------------------------------------------- */

struct parse {
	struct scope *scope;
	const char *pointer; /* of the document */
	struct findings *findings;
	struct error *err;
};

static void fault(struct parse *parse, const char *code, const char *pointer, const char *detail)
{
	char full[256];

	snprintf(full, sizeof(full), "%s%s", parse->pointer, pointer);
	findings_add(parse->findings, FINDING_ERROR, code, full, "%s", detail);
}

static int parse_suffix(struct parse *parse, json_t *value, size_t index)
{
	char pointer[48], name[NAME_MAX_LEN + 1];
	struct error error = ERROR_NULL;
	int r;

	snprintf(pointer, sizeof(pointer), "/sni_suffixes/%zu", index);
	if (!json_is_string(value)) {
		fault(parse, "wrong-type", pointer, "expected a string");
		return 0;
	}
	r = name_normalise(json_string_value(value), true, name, &error);
	if (r == E_NOMEM)
		return error_nomem(parse->err);
	if (r < 0)
		fault(parse, "invalid-name", pointer, error.text);
	else if (strcmp(name, "*") == 0)
		fault(parse, "invalid-name", pointer, "\"*\" is every name; leave out the suffixes instead");
	if (r < 0)
		return 0;
	parse->scope->suffixes[parse->scope->suffixes_len] = strdup(name);
	if (parse->scope->suffixes[parse->scope->suffixes_len] == NULL)
		return error_nomem(parse->err);
	parse->scope->suffixes_len++;
	return 0;
}

static int parse_suffixes(struct parse *parse, json_t *list)
{
	size_t index;
	json_t *value;
	int r = 0;

	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > SCOPE_SUFFIXES_MAX) {
		fault(parse, json_is_array(list) ? "out-of-range" : "wrong-type", "/sni_suffixes", "expected an array of 1 to 64 names");
		return 0;
	}
	parse->scope->suffixes = calloc(json_array_size(list), sizeof(*parse->scope->suffixes));
	if (parse->scope->suffixes == NULL)
		return error_nomem(parse->err);
	json_array_foreach(list, index, value) {
		if (r == 0)
			r = parse_suffix(parse, value, index);
	}
	return r;
}

static int parse_labels(struct parse *parse, json_t *labels)
{
	const char *key;
	json_t *value;

	if (labels == NULL)
		return 0;
	if (!json_is_object(labels) || json_object_size(labels) == 0 || json_object_size(labels) > LABELS_MAX) {
		fault(parse, json_is_object(labels) ? "out-of-range" : "wrong-type", "/labels", "expected an object of 1 to 16 labels");
		return 0;
	}
	json_object_foreach(labels, key, value) {
		if (!json_is_string(value) || json_string_length(value) == 0 || json_string_length(value) > LABEL_MAX || key[0] == '\0' ||
		    strlen(key) > LABEL_MAX)
			fault(parse, "invalid-value", "/labels", "a label is a name and a text, each of 1 to 256 bytes");
	}
	parse->scope->labels = json_deep_copy(labels);
	return parse->scope->labels != NULL ? 0 : error_nomem(parse->err);
}

static void check_members(struct parse *parse, json_t *document)
{
	const char *key;
	json_t *value;

	json_object_foreach(document, key, value) {
		if (strcmp(key, "sni_suffixes") != 0 && strcmp(key, "labels") != 0)
			fault(parse, "unknown-field", "", "a scope has \"sni_suffixes\" and \"labels\" alone");
	}
	if (json_object_size(document) == 0)
		fault(parse, "missing-field", "", "\"sni_suffixes\", \"labels\" or both are required");
}

int scope_parse(json_t *document, const char *pointer, struct findings *findings, struct scope **ret, struct error *err)
{
	CLEANUP(scope_unref) struct scope *scope = calloc(1, sizeof(*scope));
	struct parse parse = {scope, pointer, findings, err};
	size_t errors = findings->errors;
	int r;

	if (scope == NULL)
		return error_nomem(err);
	atomic_init(&scope->count, 1);
	if (json_is_object(document))
		check_members(&parse, document);
	else
		fault(&parse, "wrong-type", "", "expected an object");
	r = parse_suffixes(&parse, json_object_get(document, "sni_suffixes"));
	if (r == 0)
		r = parse_labels(&parse, json_object_get(document, "labels"));
	if (r == 0 && findings->errors > errors)
		return error_set(err, E_INVALID, "the scope is not valid");
	if (r == 0)
		*ret = TAKE_PTR(scope);
	return r;
}

int scope_load(const char *text, struct scope **ret, struct error *err)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	json_t *document = NULL;
	int r = resource_load_json(BYTES(text, strlen(text)), &document, err);

	if (r == 0)
		r = scope_parse(document, "", &findings, ret, err);
	json_decref(document);
	return r == 0 || r == E_NOMEM ? r : error_set(err, E_CORRUPT, "the scope of a token is not readable");
}

/* Rendering ------------------------------------------------------------------------------------------------------- */

json_t *scope_render(const struct scope *scope)
{
	json_t *document = json_object(), *suffixes = scope->suffixes_len > 0 ? json_array() : NULL;
	int r = document != NULL ? 0 : -1;

	for (size_t i = 0; i < scope->suffixes_len; i++)
		r |= json_array_append_new(suffixes, json_string(scope->suffixes[i]));
	if (scope->suffixes_len > 0)
		r |= json_object_set_new(document, "sni_suffixes", suffixes);
	if (scope->labels != NULL)
		r |= json_object_set_new(document, "labels", json_deep_copy(scope->labels));
	if (r == 0)
		return document;
	json_decref(document);
	return NULL;
}

char *scope_format(const struct scope *scope)
{
	json_t *document = scope_render(scope);
	char *text = document != NULL ? json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(document);
	return text;
}

/* Covering -------------------------------------------------------------------------------------------------------- */

static bool suffix_covers(const char *suffix, const char *name)
{
	bool below_only = suffix[0] == '*';
	const char *rest = below_only ? suffix + 2 : suffix;
	size_t rest_len = strlen(rest), len = strlen(name);

	if (len > rest_len && name[len - rest_len - 1] == '.')
		return strcmp(name + len - rest_len, rest) == 0;
	return !below_only && strcmp(name, rest) == 0;
}

bool scope_covers_name(const struct scope *scope, const char *name)
{
	for (size_t i = 0; i < scope->suffixes_len; i++) {
		if (suffix_covers(scope->suffixes[i], name))
			return true;
	}
	return scope->suffixes_len == 0;
}

const char *scope_first_label(const struct scope *scope, const char **ret_value)
{
	void *first = json_object_iter(scope->labels);

	if (first == NULL)
		return NULL;
	*ret_value = json_string_value(json_object_iter_value(first));
	return json_object_iter_key(first);
}

/* The first label that the object lacks, or NULL. */
static const char *find_missing_label(const struct scope *scope, const json_t *labels)
{
	const char *key;
	json_t *value;

	json_object_foreach(scope->labels, key, value) {
		const char *have = json_string_value(json_object_get(labels, key));

		if (have == NULL || strcmp(have, json_string_value(value)) != 0)
			return key;
	}
	return NULL;
}

int scope_covers_labels(const struct scope *scope, const char *labels, bool *ret, struct error *err)
{
	json_t *have;

	*ret = scope->labels == NULL;
	if (*ret || labels == NULL)
		return 0;
	have = json_loads(labels, 0, NULL);
	if (have == NULL)
		return error_nomem(err); /* the store's own text */
	*ret = find_missing_label(scope, have) == NULL;
	json_decref(have);
	return 0;
}

static bool covers_names(const struct scope *scope, const Tlsplane__Ssl *ssl)
{
	for (size_t i = 0; i < ssl->n_snis; i++) {
		if (!scope_covers_name(scope, ssl->snis[i]))
			return false;
	}
	return ssl->n_snis > 0 || scope->suffixes_len == 0;
}

int scope_covers_state(const struct scope *scope, const struct resource_state *state, bool *ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	bool covered = false;
	int r;

	if (state->object.kind != KIND_SSL) {
		*ret = false;
		return 0;
	}
	r = scope_covers_labels(scope, state->labels, &covered, err);
	if (r == 0 && covered && scope->suffixes_len > 0) {
		r = body_decode(&tlsplane__ssl__descriptor, state->object.body, &body, err);
		covered = r == 0 && covers_names(scope, (const Tlsplane__Ssl *)body);
	}
	if (r == 0)
		*ret = covered;
	return r;
}

void scope_check(const struct scope *scope, const struct resource *resource, bool scalar, struct findings *findings)
{
	json_t *labels = resource->labels != NULL ? json_loads(resource->labels, 0, NULL) : NULL;
	const char *missing = find_missing_label(scope, labels);
	char pointer[48];

	for (size_t i = 0; i < resource->names_len; i++) {
		if (scalar)
			snprintf(pointer, sizeof(pointer), "/sni");
		else
			snprintf(pointer, sizeof(pointer), "/snis/%zu", i);
		if (!scope_covers_name(scope, resource->names[i]))
			findings_add(findings, FINDING_ERROR, "outside-scope", pointer, "this token may not write %s", resource->names[i]);
	}
	if (resource->names_len == 0 && scope->suffixes_len > 0)
		findings_add(findings, FINDING_ERROR, "outside-scope", "/snis",
		             "this token is confined to names, and the object has none");
	if (missing != NULL)
		findings_add(findings, FINDING_ERROR, "outside-scope", "/labels",
		             "this token writes only what has the label %.64s that it is confined to", missing);
	json_decref(labels);
}
