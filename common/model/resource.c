/* SPDX-License-Identifier: Apache-2.0 */
/* An object from JSON and back: the kinds' tables put together, the checks that come after all fields, and encoding. */
#include "model/resource.h"

#include "model/body.h"
#include "model/common_fields.h"
#include "model/facet.h"
#include "model/fields.h"

#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 5
#define CERTS_KEPT_MAX 16 /* more are no part of what happens often, and would take megabytes while a change waits for its turn */

static const struct resource_kind *const resource_kinds[] = {
	&resource_ssl,       &resource_tls_options, &resource_listener,   &resource_upstream,
	&resource_ca_bundle, &resource_route,       &resource_upstream_tls, &resource_agent,
	&resource_join_token,
};

static const struct resource_kind *resource_kind_find(enum kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(resource_kinds); i++)
		if (resource_kinds[i]->kind == kind)
			return resource_kinds[i];
	return NULL;
}

/* The tables of a kind, in the order of the answer, ended by NULL. */
static void kind_tables(const struct resource_kind *kind, const struct field_table *tables[TABLES_MAX + 1])
{
	size_t count = 0;

	tables[count++] = kind->own;
	tables[count++] = kind->is_placed ? &field_table_labels : &field_table_agent_labels;
	if (kind->is_described)
		tables[count++] = &field_table_desc;
	if (kind->is_placed)
		tables[count++] = &field_table_placement;
	tables[count++] = &field_table_identity;
	tables[count] = NULL;
}

static ProtobufCMessage *body_new(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *body = calloc(1, type->sizeof_message);

	if (body != NULL)
		protobuf_c_message_init(type, body);
	return body;
}

static struct resource *resource_new(enum kind kind, const char *id)
{
	CLEANUP(resource_free) struct resource *resource = calloc(1, sizeof(*resource));

	if (resource == NULL)
		return NULL;
	resource->kind = kind;
	resource->enabled = true;
	memcpy(resource->id, id, strlen(id) + 1);
	resource->selector = strdup("");
	resource->certs = calloc(CERT_LISTS, sizeof(*resource->certs));
	return resource->selector == NULL || resource->certs == NULL ? NULL : TAKE_PTR(resource);
}

static void lists_deinit(struct cert_list *lists)
{
	for (size_t i = 0; i < CERT_LISTS; i++)
		cert_list_deinit(&lists[i]);
}

static size_t count_certs(const struct cert_list *lists)
{
	size_t count = 0;

	for (size_t i = 0; i < CERT_LISTS; i++)
		count += lists[i].len;
	return count;
}

void resource_drop_certs(struct resource *resource)
{
	if (resource == NULL || resource->certs == NULL)
		return;
	lists_deinit(resource->certs);
	free(TAKE_PTR(resource->certs));
}

struct resource *resource_free(struct resource *resource)
{
	if (resource == NULL)
		return NULL;
	for (size_t i = 0; i < resource->names_len; i++)
		free(resource->names[i]);
	free(resource->names);
	free(resource->pairs);
	free(resource->refs);
	secret_free(resource->secret);
	resource_drop_certs(resource);
	free(resource->facets);
	free(resource->host);
	free(resource->agent_id);
	free(resource->body);
	free(resource->desc);
	free(resource->labels);
	free(resource->selector);
	free(resource);
	return NULL;
}

static void input_deinit(struct field_input *in)
{
	for (size_t i = 0; i < CERT_LISTS_PAIRS; i++)
		secret_free(in->keys[i]);
}

/* Rules about identity: the object that everybody falls back to must reach everybody. */
static void find_identity(struct field_input *in, const struct resource_kind *kind)
{
	const struct resource *resource = in->resource;
	bool is_default = kind->is_placed && strcmp(resource->id, "default") == 0;

	if (resource->id[0] == '\0')
		findings_add(in->findings, FINDING_ERROR, "missing-field", "/id", "is required when the path has none");
	if (!in->builtin && resource_is_preset(kind->kind, resource->id))
		findings_add(in->findings, FINDING_ERROR, "reserved-id", "/id",
		             "\"%s\" is a preset, which can't be replaced; choose another id", resource->id);
	if (is_default && resource->selector[0] != '\0')
		findings_add(in->findings, FINDING_ERROR, "default-has-selector", "/selector",
		             "the object named \"default\" applies to all "
		             "agents and must not have a selector");
	if (is_default && !resource->enabled)
		findings_add(in->findings, FINDING_ERROR, "default-is-disabled", "/status",
		             "the object named \"default\" must not be disabled");
}

static int encode_body(const ProtobufCMessage *body, struct resource *resource, struct error *err)
{
	CLEANUP(buf_deinit) struct buf encoded = BUF_NULL;
	size_t len;
	char *taken;
	int r = body_encode(body, &encoded, err);

	if (r < 0)
		return r;
	taken = buf_take(&encoded, &len);
	if (taken == NULL)
		return error_nomem(err);
	resource->body = (uint8_t *)taken;
	resource->body_len = len;
	return 0;
}

static int take_facets(struct field_input *in, const Tlsplane__Ssl *ssl)
{
	struct resource *resource = in->resource;
	CLEANUP(buf_deinit) struct buf facets = BUF_NULL;
	int r = facets_of_parts(resource->labels, ssl, in->lists, &facets, in->err);

	if (r < 0)
		return r;
	resource->facets = (uint8_t *)buf_take(&facets, &resource->facets_len);
	return resource->facets != NULL ? 0 : error_nomem(in->err);
}

static int read_document(struct field_input *in, const struct resource_kind *kind, json_t *document,
                         ProtobufCMessage *body)
{
	const struct field_table *tables[TABLES_MAX + 1];
	int r;

	kind_tables(kind, tables);
	fields_read(in, kind->own, document, body);
	if (in->code == 0 && kind->finish != NULL)
		kind->finish(in, document, body);
	if (in->code == 0 && kind->find != NULL)
		kind->find(body, in->lists, in->limits, in->findings);
	/* The rules of the body speak of the whole: half of it would make them say what is not so. */
	if (in->code == 0 && kind->has_body && in->findings->errors == 0)
		body_find(kind->kind, body, in->findings);
	for (size_t i = 1; tables[i] != NULL; i++)
		fields_read(in, tables[i], document, NULL);
	fields_find_unknown(in, tables, document);
	find_identity(in, kind);
	if (in->code < 0)
		return in->code;
	if (in->findings->failed)
		return error_nomem(in->err);
	if (in->findings->errors > 0)
		return error_set(in->err, E_INVALID, "%s: %zu errors", kind_find(kind->kind)->noun, in->findings->errors);
	r = kind->has_body ? encode_body(body, in->resource, in->err) : 0;
	return r == 0 ? take_facets(in, kind->kind == KIND_SSL ? (const Tlsplane__Ssl *)body : NULL) : r;
}

static int resource_parse_as(enum kind number, const char *id, json_t *document, const struct resource_limits *limits,
                             bool builtin, struct findings *findings, struct resource **ret, struct error *err)
{
	const struct resource_kind *kind = resource_kind_find(number);
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	CLEANUP(resource_free) struct resource *resource = NULL;
	struct findings found = FINDINGS_NULL;
	struct field_input in = {.id = id, .builtin = builtin, .limits = limits, .findings = &found, .err = err};
	int r;

	if (kind == NULL || strlen(id) > ID_MAX)
		return error_set(err, E_INVALID, "no such kind, or an id that is too long");
	resource = resource_new(number, id);
	body = body_new(kind_find(number)->body);
	if (resource == NULL || body == NULL)
		return error_nomem(err);
	in.resource = resource;
	in.lists = resource->certs;
	if (json_is_object(document)) {
		r = read_document(&in, kind, document, body);
	} else {
		findings_add(&found, FINDING_ERROR, "wrong-type", "", "must be an object");
		r = error_set(err, E_INVALID, "%s: not an object", kind_find(number)->noun);
	}
	input_deinit(&in);
	if (count_certs(resource->certs) > CERTS_KEPT_MAX)
		resource_drop_certs(resource);
	findings_append(findings, "", &found);
	findings_deinit(&found);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(resource);
	return 0;
}

int resource_parse(enum kind kind, const char *id, json_t *document, const struct resource_limits *limits,
                   struct findings *findings, struct resource **ret, struct error *err)
{
	return resource_parse_as(kind, id, document, limits, false, findings, ret, err);
}

int resource_parse_builtin(const char *id, json_t *document, struct resource **ret, struct error *err)
{
	const struct resource_limits limits = {.rsa_bits_max = 4096};
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;

	return resource_parse_as(KIND_TLS_OPTIONS, id, document, &limits, true, &findings, ret, err);
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

/* The warnings that hold now, body and certificates judged again. Errors are left out: limits may have changed since.
 */
static json_t *write_warnings(struct field_output *out, const struct resource_kind *kind)
{
	struct findings found = FINDINGS_NULL;
	json_t *warnings = output_json(out, json_array());

	if (kind->find != NULL)
		kind->find(out->body, out->lists, out->limits, &found);
	body_find(kind->kind, out->body, &found);
	out->failed = out->failed || found.failed;
	for (size_t i = 0; i < found.count && warnings != NULL; i++) {
		const struct finding *finding = &found.items[i];
		json_t *warning;

		if (finding->severity != FINDING_WARNING)
			continue;
		warning = output_json(out, json_object());
		output_set(out, warning, "code", output_text(out, finding->code));
		output_set(out, warning, "pointer", output_text(out, finding->pointer));
		output_set(out, warning, "detail", output_text(out, finding->detail));
		output_append(out, warnings, warning);
	}
	findings_deinit(&found);
	return warnings;
}

static int write_document(struct field_output *out, const struct resource_kind *kind, json_t *document,
                          struct error *err)
{
	const struct field_table *tables[TABLES_MAX + 1];
	int r;

	if (out->limits != NULL && !out->is_loaded && kind->load != NULL) {
		r = kind->load(out, err);
		if (r < 0)
			return r;
	}
	kind_tables(kind, tables);
	for (size_t i = 0; tables[i] != NULL; i++)
		fields_write(out, tables[i], out->body, document);
	if (out->limits != NULL && kind->is_placed)
		output_set(out, document, "warnings", write_warnings(out, kind));
	return out->failed ? error_nomem(err) : 0;
}

static bool has_certs_of(const struct resource *parsed, const struct resource_state *state)
{
	const struct bytes body = state->object.body;

	return parsed != NULL && parsed->certs != NULL && parsed->kind == state->object.kind && parsed->body_len == body.len && body.len > 0 &&
	       memcmp(parsed->body, body.data, body.len) == 0;
}

static json_t *resource_write(const struct resource_state *state, const struct resource *parsed, const struct resource_limits *limits,
                              struct error *err)
{
	const struct resource_kind *kind = resource_kind_find(state->object.kind);
	struct cert_list lists[CERT_LISTS] = {CERT_LIST_NULL};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	struct field_output out = {.state = state, .limits = limits, .is_loaded = has_certs_of(parsed, state)};
	json_t *document;
	int r;

	if (kind == NULL) {
		(void)error_set(err, E_CORRUPT, "an object of unknown kind %u", (unsigned)state->object.kind);
		return NULL;
	}
	r = body_decode(kind_find(kind->kind)->body, state->object.body, &body, err);
	if (r < 0) {
		if (r != E_NOMEM && err != NULL)
			err->code = E_CORRUPT; /* what is stored was valid once */
		(void)error_prefix(err, r, "%s %s", kind_find(kind->kind)->noun, state->object.id);
		return NULL;
	}
	out.body = body;
	out.lists = out.is_loaded ? parsed->certs : lists;
	document = json_object();
	r = document == NULL ? error_nomem(err) : write_document(&out, kind, document, err);
	lists_deinit(lists);
	if (r < 0) {
		json_decref(document);
		return NULL;
	}
	return document;
}

json_t *resource_render(const struct resource_state *state, const struct resource_limits *limits, struct error *err)
{
	return resource_write(state, NULL, limits, err);
}

json_t *resource_render_parsed(const struct resource_state *state, const struct resource *parsed, const struct resource_limits *limits,
                               struct error *err)
{
	return resource_write(state, parsed, limits, err);
}

json_t *resource_render_input(const struct resource_state *state, struct error *err)
{
	return resource_write(state, NULL, NULL, err);
}
