/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups return E_INTERNAL when the store fails: `error` then says how, and decide() passes the code on. */
#include "view/view.h"

#include "model/body.h"
#include "model/name.h"
#include "model/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PRESET "modern"

int view_init(struct view *source, struct store_reader *reader, const char *labels_json,
                        bool judges_client, struct error *err)
{
	*source = (struct view){.reader = reader, .judges_client = judges_client, .error = ERROR_NULL};
	return selector_from_labels(labels_json, &source->labels, err);
}

int view_init_canonical(struct view *source, struct store_reader *reader, const char *labels, struct error *err)
{
	*source = (struct view){.reader = reader, .labels = strdup(labels), .error = ERROR_NULL};
	return source->labels != NULL ? 0 : error_nomem(err);
}

static struct view_object *object_free(struct view_object *object)
{
	store_row_deinit(&object->row);
	body_free(object->body);
	free(object);
	return NULL;
}
DEFINE_CLEANUP(struct view_object, object_free);

void view_deinit(struct view *source)
{
	struct view_object *next;

	for (struct view_object *object = source->objects; object != NULL; object = next) {
		next = object->next;
		object_free(object);
	}
	free(source->labels);
	*source = (struct view){.error = ERROR_NULL};
}

static int fail(struct view *source, int code)
{
	if (code == E_NOMEM)
		return error_nomem(&source->error);
	return E_INTERNAL;
}

static bool is_held(const struct view *source, const struct store_row *row)
{
	return row->state.enabled && selector_is_match(row->state.object.selector, source->labels);
}

static void keep(struct view *source, struct view_object *object)
{
	if (object->body != NULL && object->row.state.object.kind == KIND_ROUTE) {
		object->unfiltered = *(const Tlsplane__Route *)object->body;
		object->unfiltered.n_allow_clients = 0;
	}
	object->next = source->objects;
	source->objects = object;
}

static struct view_object *find_kept(const struct view *source, enum kind kind, const char *id)
{
	for (struct view_object *object = source->objects; object != NULL; object = object->next) {
		if (object->row.state.object.kind == kind && strcmp(object->row.state.object.id, id) == 0)
			return object;
	}
	return NULL;
}

/* Also from what stands in the store's place; a row of that is borrowed. */
static int read_row(struct view *source, enum kind kind, const char *id, struct store_row *ret)
{
	const struct view_state *state = view_overlay_find(source->overlay, kind, id);

	if (state == NULL)
		return store_get(source->reader, kind, id, 0, ret, &source->error);
	if (state->row.memory == NULL)
		return E_NOT_FOUND;
	*ret = state->row;
	ret->memory = NULL;
	return 0;
}

int view_find(struct view *source, enum kind kind, const char *id,
                        const struct view_object **ret)
{
	CLEANUP(object_free) struct view_object *object = NULL;
	int r;

	*ret = find_kept(source, kind, id);
	if (*ret != NULL)
		return 0;
	object = calloc(1, sizeof(*object));
	if (object == NULL)
		return fail(source, E_NOMEM);
	r = read_row(source, kind, id, &object->row);
	if (r == E_NOT_FOUND || (r == 0 && !is_held(source, &object->row))) {
		source->error = ERROR_NULL;
		return E_NOT_FOUND;
	}
	if (r == 0)
		r = body_decode(kind_find(kind)->body, object->row.state.object.body, &object->body, &object->error);
	else
		return fail(source, r);
	if (r == E_NOMEM)
		return fail(source, r);
	*ret = object;
	keep(source, TAKE_PTR(object));
	return 0;
}

/* Candidates ------------------------------------------------------------------------------------------------------ */

struct walk {
	struct view *source;
	const char *listener_id;
	int (*fn)(const struct view_candidate *candidate, void *context);
	void *context;
	int result; /* of fn */
};

static void read_candidate(const ProtobufCMessage *body, const char *listener_id, struct view_candidate *candidate)
{
	if (body->descriptor == &tlsplane__route__descriptor) {
		const Tlsplane__Route *route = (const Tlsplane__Route *)body;

		candidate->priority = route->priority;
		candidate->is_for = decide_route_is_for(route, listener_id, &candidate->names_it);
	} else {
		candidate->priority = ((const Tlsplane__Ssl *)body)->priority;
		candidate->is_for = true;
	}
}

static int take_candidate(const struct store_row *row, void *context)
{
	struct walk *walk = context;
	const struct object_view *object = &row->state.object;
	struct view_candidate candidate = {.id = object->id, .uid = object->uid};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int r;

	if (!is_held(walk->source, row))
		return 0;
	r = body_decode(kind_find(object->kind)->body, object->body, &body, &walk->source->error);
	if (r < 0)
		return r;
	read_candidate(body, walk->listener_id, &candidate);
	walk->result = walk->fn(&candidate, walk->context);
	return walk->result != 0;
}

static int on_row(const struct store_row *row, void *context)
{
	const struct walk *walk = context;

	if (view_overlay_find(walk->source->overlay, row->state.object.kind, row->state.object.id) != NULL)
		return 0;
	return take_candidate(row, context);
}

int view_each(struct view *source, enum kind kind, struct bytes key, const char *listener_id,
                        int (*fn)(const struct view_candidate *candidate, void *context), void *context)
{
	struct walk walk = {.source = source, .listener_id = listener_id, .fn = fn, .context = context};
	char name[NAME_MAX_LEN + 1];
	int r = 0;

	snprintf(name, sizeof(name), "%.*s", (int)key.len, (const char *)key.data);
	if (kind == KIND_ROUTE)
		r = store_each_by_pattern(source->reader, name, on_row, &walk, &source->error);
	else if (key.len > 0)
		r = store_each_by_name(source->reader, name, on_row, &walk, &source->error);
	if (r == 0 && walk.result == 0)
		r = view_overlay_each(source->overlay, kind, name, take_candidate, &walk);
	return r < 0 ? fail(source, r) : walk.result;
}

struct listener_walk {
	struct view *source;
	int (*fn)(const struct store_row *row, void *context);
	void *context;
};

static int on_listener(const struct store_row *row, void *context)
{
	const struct listener_walk *walk = context;

	if (!is_held(walk->source, row) || view_overlay_find(walk->source->overlay, KIND_LISTENER, row->state.object.id) != NULL)
		return 0;
	return walk->fn(row, walk->context);
}

int view_each_listener(struct view *source, int (*fn)(const struct store_row *row, void *context), void *context)
{
	struct listener_walk walk = {source, fn, context};
	const struct view_overlay *overlay = source->overlay;
	int r = store_each_listener(source->reader, on_listener, &walk, &source->error);

	for (size_t i = 0; overlay != NULL && i < overlay->len && r == 0; i++) {
		const struct view_state *state = &overlay->states[i];

		if (state->kind == KIND_LISTENER && state->row.memory != NULL && is_held(source, &state->row))
			r = fn(&state->row, context);
	}
	return r < 0 ? fail(source, r) : r;
}

/* As the agent ranks: routes that name the listener before those for all, then by rank. */
bool view_candidate_is_better(const struct view_candidate *a, const struct view_candidate *b)
{
	if (a->names_it != b->names_it)
		return a->names_it;
	return uid_is_better(a->priority, &a->uid, b->priority, &b->uid);
}

/* The table ------------------------------------------------------------------------------------------------------- */

struct best {
	struct view_candidate candidate;
	char id[ID_MAX + 1]; /* "": none yet */
};

static int take_better(const struct view_candidate *candidate, void *context)
{
	struct best *best = context;

	if (!candidate->is_for || (best->id[0] != 0 && !view_candidate_is_better(candidate, &best->candidate)))
		return 0;
	best->candidate = *candidate;
	snprintf(best->id, sizeof(best->id), "%s", candidate->id);
	return 0;
}

/* 0, E_NOT_FOUND, the reason for which it can't be used, or a failure. */
static int use(struct view *source, enum kind kind, const char *id, const struct view_object **ret,
               struct error *err)
{
	int r = view_find(source, kind, id, ret);

	if (r == 0 && (*ret)->body == NULL)
		return error_set(err, E_INVALID, "%s", (*ret)->error.text);
	return r;
}

static int find_best(struct view *source, enum kind kind, struct bytes key, const char *listener_id,
                     const struct view_object **ret, struct error *err)
{
	struct best best = {.id = ""};
	int r = view_each(source, kind, key, listener_id, take_better, &best);

	if (r == 0)
		r = best.id[0] != 0 ? use(source, kind, best.id, ret, err) : E_NOT_FOUND;
	return r;
}

static int give_ssl(const struct view_object *object, int code, struct decide_ssl *ret, struct error *err)
{
	const Tlsplane__Ssl *body;

	if (object == NULL)
		return code;
	body = (const Tlsplane__Ssl *)object->body;
	*ret = (struct decide_ssl){.id = object->row.state.object.id, .handle = object};
	if (body == NULL)
		return code;
	if (body->client_type)
		return error_set(err, E_INVALID, "its type is client");
	ret->tls_options = body->tls_options;
	ret->client = body->client;
	for (size_t i = 0; i < body->n_ssl_protocols; i++) {
		uint16_t version = (uint16_t)body->ssl_protocols[i];

		ret->min = ret->min == 0 || version < ret->min ? version : ret->min;
		ret->max = version > ret->max ? version : ret->max;
	}
	return code;
}

static int best_ssl(void *context, struct bytes key, struct decide_ssl *ret, struct error *err)
{
	const struct view_object *object = NULL;
	int r = find_best(context, KIND_SSL, key, "", &object, err);

	return give_ssl(object, r, ret, err);
}

static int find_ssl(void *context, const char *id, struct decide_ssl *ret, struct error *err)
{
	const struct view_object *object = NULL;
	int r = use(context, KIND_SSL, id, &object, err);

	return give_ssl(object, r, ret, err);
}

static int best_route(void *context, struct bytes pattern, const char *listener_id, struct decide_route *ret,
                      struct error *err)
{
	struct view *source = context;
	const struct view_object *object = NULL;
	int r = find_best(source, KIND_ROUTE, pattern, listener_id, &object, err);

	if (object != NULL)
		*ret = (struct decide_route){
		    object->row.state.object.id,
		    source->judges_client ? (const Tlsplane__Route *)object->body : &object->unfiltered, object};
	return r;
}

static int find_options(void *context, const char *id, struct decide_options *ret, struct error *err)
{
	const struct view_object *object = NULL;
	int r = use(context, KIND_TLS_OPTIONS, id != NULL ? id : DECIDE_DEFAULT, &object, err);

	if (r == E_NOT_FOUND && id == NULL)
		r = use(context, KIND_TLS_OPTIONS, DEFAULT_PRESET, &object, err);
	if (object != NULL)
		*ret = (struct decide_options){object->row.state.object.id, (const Tlsplane__TlsOptions *)object->body, object};
	return r;
}

static int find_bundle(void *context, const char *id, struct decide_bundle *ret, struct error *err)
{
	const struct view_object *object = NULL;
	int r = use(context, KIND_CA_BUNDLE, id, &object, err);

	if (object != NULL)
		*ret = (struct decide_bundle){object->row.state.object.id, (const Tlsplane__CaBundle *)object->body, object};
	return r;
}

static int find_upstream(void *context, const char *id, struct decide_upstream *ret, struct error *err)
{
	const struct view_object *object = NULL;
	int r = use(context, KIND_UPSTREAM, id, &object, err);

	if (object != NULL)
		*ret = (struct decide_upstream){object->row.state.object.id, (const Tlsplane__Upstream *)object->body, object};
	return r;
}

static int find_upstream_tls(void *context, const char *id, struct decide_upstream_tls *ret, struct error *err)
{
	const struct view_object *object = NULL;
	int r = use(context, KIND_UPSTREAM_TLS, id, &object, err);

	if (object != NULL)
		*ret = (struct decide_upstream_tls){object->row.state.object.id, (const Tlsplane__UpstreamTls *)object->body,
		                                    object};
	return r;
}

struct decide_source view_table(struct view *source)
{
	return (struct decide_source){.best_ssl = best_ssl,
	                              .find_ssl = find_ssl,
	                              .best_route = best_route,
	                              .find_options = find_options,
	                              .find_bundle = find_bundle,
	                              .find_upstream = find_upstream,
	                              .find_upstream_tls = find_upstream_tls,
	                              .context = source};
}
