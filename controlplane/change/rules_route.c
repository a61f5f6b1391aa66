/* SPDX-License-Identifier: Apache-2.0 */
/* What a route shares with others: its patterns (who wins is told), and the upstream that it or its listener must bring. Seen from the
 * route, and from a listener that has no upstream of its own. What is only warned of is looked for among the first LOOKS_MAX neighbours. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/selector.h"

#include <stdio.h>
#include <string.h>

#define NAMED_MAX 5 /* neighbours named in warnings per item */

struct route_call {
	struct request_job *job;
	size_t index;
	struct store_reader *reader;
	struct error *err;
	const Tlsplane__Route *route; /* the route that was written; NULL: it is a listener */
	const struct object_view *self;
	const char *pattern;
	char pointer[32]; /* of the pattern */
	bool served;      /* a listener: some route brings an upstream */
	size_t named, looked;
};

static bool is_full(const struct route_call *call)
{
	return call->named >= NAMED_MAX || call->looked >= LOOKS_MAX;
}

static const struct resource *written(const struct route_call *call)
{
	return call->job->items[call->index].resource;
}

static bool needs_upstream(const Tlsplane__Route *route)
{
	return route->upstream == NULL && route->mode != TLSPLANE__ROUTE_MODE__ROUTE_REJECT;
}

/* ---- patterns ---- */

bool rules_route_names(const Tlsplane__Route *route, const char *id)
{
	for (size_t i = 0; i < route->n_listeners; i++)
		if (strcmp(route->listeners[i], id) == 0)
			return true;
	return false;
}

static bool share_a_listener(const Tlsplane__Route *a, const Tlsplane__Route *b)
{
	for (size_t i = 0; i < a->n_listeners; i++)
		if (rules_route_names(b, a->listeners[i]))
			return true;
	return a->n_listeners == 0 || b->n_listeners == 0;
}

/* The order of the resolver: at a listener, who names it wins over who holds for all; then priority, then age. */
static bool self_wins(const struct route_call *call, const struct object_view *other, const Tlsplane__Route *theirs)
{
	const Tlsplane__Route *mine = call->route;

	if ((mine->n_listeners == 0) != (theirs->n_listeners == 0))
		return mine->n_listeners > 0;
	return uid_is_better(mine->priority, &call->self->uid, theirs->priority, &other->uid);
}

static int on_same_pattern(const struct store_row *row, void *context)
{
	struct route_call *call = context;
	const struct object_view *other = &row->state.object;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code;

	call->looked++;
	if (strcmp(other->id, call->self->id) == 0 || selector_is_exclusive(call->self->selector, other->selector))
		return is_full(call);
	code = body_decode(&tlsplane__route__descriptor, other->body, &body, call->err);
	if (code != 0)
		return code;
	if (share_a_listener(call->route, (const Tlsplane__Route *)body)) {
		call->named++;
		warn(call->job, call->index, "overlap", call->pointer,
		     "routes/%s lists \"%s\" too, for a listener of this one: where an agent holds both, %s wins (who names the "
		     "listener, then higher priority, then the younger object)",
		     other->id, call->pattern, self_wins(call, other, (const Tlsplane__Route *)body) ? "this one" : "that one");
	}
	return is_full(call);
}

static int check_patterns(struct route_call *call)
{
	CLEANUP(store_row_deinit) struct store_row self = {0};
	int code = store_get(call->reader, KIND_ROUTE, written(call)->id, 0, &self, call->err);

	call->self = &self.state.object;
	for (size_t i = 0; i < call->route->n_snis && code == 0 && !is_full(call); i++) {
		call->pattern = call->route->snis[i];
		snprintf(call->pointer, sizeof(call->pointer), "/snis/%zu", i);
		code = store_each_by_pattern(call->reader, call->pattern, on_same_pattern, call, call->err);
	}
	call->self = NULL;
	call->named = call->looked = 0;
	return code;
}

/* ---- upstreams ---- */

/* Something that was referred to; E_NOT_FOUND has been told by whoever checks references. */
static int load(struct route_call *call, enum kind kind, const char *id, ProtobufCMessage **ret)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	int code = store_get(call->reader, kind, id, 0, &row, call->err);

	return code == 0 ? body_decode(kind_find(kind)->body, row.state.object.body, ret, call->err) : code;
}

/* The client's TLS is not wrapped again, so such an upstream would be spoken to as the client does. */
static int check_passthrough(struct route_call *call, const char *upstream_id)
{
	CLEANUP(body_free) ProtobufCMessage *upstream = NULL;
	int code;

	if (call->route->mode != TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH || is_full(call))
		return 0;
	call->looked++;
	code = load(call, KIND_UPSTREAM, upstream_id, &upstream);
	if (code != 0)
		return code == E_NOT_FOUND ? 0 : code;
	if (!rules_upstream_speaks_tls((const Tlsplane__Upstream *)upstream))
		return 0;
	call->named++;
	warn(call->job, call->index, "passthrough-to-tls", "/upstream",
	     "upstreams/%s speaks TLS, but what this route passes through is the client's own TLS and is not wrapped again",
	     upstream_id);
	return 0;
}

static int check_named_listener(struct route_call *call, const char *id)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	const Tlsplane__Listener *listener;
	int code = load(call, KIND_LISTENER, id, &body);

	if (code != 0)
		return code == E_NOT_FOUND ? 0 : code;
	listener = (const Tlsplane__Listener *)body;
	if (listener->upstream != NULL)
		return check_passthrough(call, listener->upstream);
	refuse(call->job, call->index, E_INVALID, "no-upstream", "/upstream",
	       "listeners/%s has no upstream of its own, so this route must name one", id);
	return 0;
}

static int on_bare_listener(const struct store_row *row, void *context)
{
	struct route_call *call = context;

	call->looked++;
	if (!selector_is_exclusive(written(call)->selector, row->state.object.selector)) {
		call->named++;
		warn(call->job, call->index, "no-upstream", "/upstream",
		     "listeners/%s has no upstream of its own: what this route chooses there is refused", row->state.object.id);
	}
	return is_full(call);
}

static int check_upstream(struct route_call *call)
{
	const Tlsplane__Route *route = call->route;
	int code = 0;

	if (route->upstream != NULL)
		return check_passthrough(call, route->upstream);
	if (!needs_upstream(route))
		return 0;
	for (size_t i = 0; i < route->n_listeners && code == 0; i++)
		code = check_named_listener(call, route->listeners[i]);
	if (code == 0 && route->n_listeners == 0)
		code = store_each_bare_listener(call->reader, on_bare_listener, call, call->err);
	return code;
}

int rules_check_route(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	struct route_call call = {.job = job, .index = index, .reader = reader, .err = err};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code;

	if (!resource->enabled)
		return 0;
	code = body_decode(&tlsplane__route__descriptor, BYTES(resource->body, resource->body_len), &body, err);
	if (code != 0)
		return code;
	call.route = (const Tlsplane__Route *)body;
	code = check_upstream(&call);
	call.named = call.looked = 0;
	return code == 0 ? check_patterns(&call) : code;
}

/* ---- a listener without an upstream ---- */

/* The route names this listener, or holds for all. */
static int look_at_route(struct route_call *call, const struct store_row *row, bool names_it)
{
	const struct object_view *object = &row->state.object;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	const Tlsplane__Route *route;
	int code;

	if (!row->state.enabled || selector_is_exclusive(written(call)->selector, object->selector))
		return 0;
	code = body_decode(&tlsplane__route__descriptor, object->body, &body, call->err);
	if (code != 0)
		return code;
	route = (const Tlsplane__Route *)body;
	call->served = call->served || route->upstream != NULL;
	if (needs_upstream(route) && names_it)
		refuse(call->job, call->index, E_INVALID, "no-upstream", "/upstream",
		       "routes/%s names this listener and brings no upstream: one of both must", object->id);
	else if (needs_upstream(route) && call->named++ < NAMED_MAX)
		warn(call->job, call->index, "no-upstream", "/upstream",
		     "routes/%s brings no upstream: what it chooses here is refused", object->id);
	return 0;
}

static int on_route_that_names_it(const struct store_row *row, const char *pointer, void *context)
{
	return look_at_route(context, row, true);
}

static int on_route_for_all(const struct store_row *row, void *context)
{
	struct route_call *call = context;
	int code = look_at_route(call, row, false);

	call->looked++;
	return code < 0 ? code : is_full(call);
}

int rules_check_bare_listener(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	struct route_call call = {.job = job, .index = index, .reader = reader, .err = err};
	int code;

	for (size_t i = 0; i < resource->refs_len; i++)
		if (resource->refs[i].kind == KIND_UPSTREAM)
			return 0;
	code = store_each_referrer_of_kind(reader, KIND_LISTENER, resource->id, KIND_ROUTE, on_route_that_names_it, &call,
	                                   err);
	if (code == 0)
		code = store_each_route_anywhere(reader, on_route_for_all, &call, err);
	if (code == 0 && !call.served && !is_full(&call))
		warn(job, index, "no-upstream", "/upstream",
		     "there is none, and no route brings one to this listener: every connection is refused");
	return code;
}
