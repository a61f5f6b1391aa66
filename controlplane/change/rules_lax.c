/* SPDX-License-Identifier: Apache-2.0 */
/* Options are chosen whole: an SSL object or a route that names its own takes their word on client certificates, even behind a listener
 * whose options ask more. That may be wanted (an open site beside a closed one), so it is a warning that names both sides, found from
 * whichever of the three is written: the laxer party, the listener, or the options of either. A few pairs are named, not all,
 * among the first LOOKS_MAX neighbours.
 *
 * Which of two asks less is told by the bits of resource.h: whoever lacks one that the other has. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/client_mode.h"
#include "model/selector.h"

#include <stdio.h>
#include <string.h>

#define PAIRS_MAX 5 /* named per item */
#define DEFAULT_OPTIONS "default"

struct lax_call {
	struct request_job *job;
	size_t index;
	struct store_reader *reader;
	struct error *err;
	/* The side that stands: the laxer party, or the listener. */
	enum kind fixed_kind;
	const char *fixed_id;
	const char *fixed_selector;
	const char *lax_options;
	unsigned lax_bits;
	char walked[ID_MAX + 1];    /* where a walk over options is; lax_options points here then */
	const char *strict_options; /* of the listener */
	unsigned strict_bits;
	size_t named, looked;
};

static bool is_full(const struct lax_call *call)
{
	return call->named >= PAIRS_MAX || call->looked >= LOOKS_MAX;
}

static const char *word_for(unsigned missing)
{
	if ((missing & CLIENT_DEMANDED) != 0)
		return "demands client certificates";
	return (missing & CLIENT_VERIFIED) != 0 ? "verifies client certificates" : "asks for client certificates";
}

static void warn_pair(struct lax_call *call, enum kind lax_kind, const char *lax, const char *listener)
{
	const char *pointer = call->job->items[call->index].resource->kind == KIND_TLS_OPTIONS ? "/client_auth" : "/tls_options";

	call->named++;
	warn(call->job, call->index, "lax-client-auth", pointer,
	     "listeners/%s %s (tls_options/%s), and %s/%s served there does not (tls_options/%s)", listener,
	     word_for(call->strict_bits & ~call->lax_bits), call->strict_options, kind_find(lax_kind)->collection, lax,
	     call->lax_options);
}

/* ---- the laxer party ---- */

static const char *options_of(const struct resource *resource)
{
	for (size_t i = 0; i < resource->refs_len; i++) {
		if (resource->refs[i].kind == KIND_TLS_OPTIONS)
			return resource->refs[i].id;
	}
	return NULL;
}

/* What an SSL object asks by its own words comes on top of what its options ask. */
static int add_own_bits(struct bytes encoded, unsigned *bits, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__ssl__descriptor, encoded, &body, err);
	const Tlsplane__ClientAuth *client = code == 0 ? ((const Tlsplane__Ssl *)body)->client : NULL;

	if (client != NULL)
		*bits |= client_mode_bits(client->has_verify ? client->verify : TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE);
	return code;
}

/* May the route choose for this listener? */
static int route_is_for(struct bytes encoded, const char *listener, bool *ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__route__descriptor, encoded, &body, err);
	const Tlsplane__Route *route = (const Tlsplane__Route *)body;

	if (code != 0)
		return code;
	*ret = route->n_listeners == 0 || rules_route_names(route, listener);
	return 0;
}

/* ---- the laxer party stands; a listener comes by ---- */

static int on_strict_listener(const struct store_row *row, const char *pointer, void *context)
{
	struct lax_call *call = context;

	call->looked++;
	if (row->state.enabled && !selector_is_exclusive(call->fixed_selector, row->state.object.selector))
		warn_pair(call, call->fixed_kind, call->fixed_id, row->state.object.id);
	return is_full(call);
}

/* The options that a listener names, or NULL; ret must hold ID_MAX + 1. */
static int listener_options(const struct store_row *row, char *ret, bool *ret_named, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__listener__descriptor, row->state.object.body, &body, err);
	const char *id = code == 0 ? ((const Tlsplane__Listener *)body)->tls_options : NULL;

	if (code != 0)
		return code;
	*ret_named = id != NULL;
	snprintf(ret, ID_MAX + 1, "%s", id != NULL ? id : DEFAULT_OPTIONS);
	return 0;
}

/* The object named "default" holds for listeners that name no options; nothing refers to it there. */
static int on_any_listener(const struct store_row *row, void *context)
{
	struct lax_call *call = context;
	char options[ID_MAX + 1];
	bool named = true;
	int code = listener_options(row, options, &named, call->err);

	if (code == 0 && !named)
		return on_strict_listener(row, "", call);
	call->looked++;
	return code < 0 ? code : is_full(call);
}

static int on_asking_options(const char *id, unsigned bits, void *context)
{
	struct lax_call *call = context;
	int code;

	call->looked++;
	if ((bits & ~call->lax_bits) == 0)
		return is_full(call);
	call->strict_options = id;
	call->strict_bits = bits;
	code = store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, id, KIND_LISTENER, on_strict_listener, call, call->err);
	if (code == 0 && !is_full(call) && strcmp(id, DEFAULT_OPTIONS) == 0)
		code = store_each_listener(call->reader, on_any_listener, call, call->err);
	return code < 0 ? code : is_full(call);
}

/* One listener that the route names. */
static int look_at_listener(struct lax_call *call, const char *id)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	char options[ID_MAX + 1];
	bool named = false;
	int code = store_get(call->reader, KIND_LISTENER, id, 0, &row, call->err);

	if (code == E_NOT_FOUND) /* has been told */
		return 0;
	if (code == 0)
		code = listener_options(&row, options, &named, call->err);
	if (code == 0)
		code = store_get_asked(call->reader, options, &call->strict_bits, call->err);
	if (code != 0)
		return code;
	call->strict_options = options;
	if ((call->strict_bits & ~call->lax_bits) != 0)
		(void)on_strict_listener(&row, "", call); /* whether it is full is seen by the caller */
	else
		call->looked++;
	call->strict_options = NULL;
	return 0;
}

/* The laxer party is known whole: against all listeners that ask more, or those that a route names. */
static int warn_for_party(struct lax_call *call, struct bytes encoded)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	const Tlsplane__Route *route;
	int code = store_get_asked(call->reader, call->lax_options, &call->lax_bits, call->err);

	if (code == 0 && call->fixed_kind == KIND_SSL)
		code = add_own_bits(encoded, &call->lax_bits, call->err);
	if (code == 0 && call->fixed_kind == KIND_ROUTE)
		code = body_decode(&tlsplane__route__descriptor, encoded, &body, call->err);
	if (code != 0)
		return code;
	route = (const Tlsplane__Route *)body;
	if (route == NULL || route->n_listeners == 0)
		return store_each_asking(call->reader, on_asking_options, call, call->err);
	for (size_t i = 0; i < route->n_listeners && code == 0 && !is_full(call); i++)
		code = look_at_listener(call, route->listeners[i]);
	return code;
}

/* ---- a listener stands; what chooses laxer options comes by ---- */

static int on_lax_party(const struct store_row *row, const char *pointer, void *context)
{
	struct lax_call *call = context;
	const struct object_view *object = &row->state.object;
	unsigned options_bits = call->lax_bits;
	bool serves = true;
	int code;

	call->looked++;
	if (object->kind == KIND_SSL)
		code = add_own_bits(object->body, &call->lax_bits, call->err);
	else
		code = route_is_for(object->body, call->fixed_id, &serves, call->err);
	if (code == 0 && serves && (call->strict_bits & ~call->lax_bits) != 0 && row->state.enabled &&
	    !selector_is_exclusive(call->fixed_selector, object->selector))
		warn_pair(call, object->kind, object->id, call->fixed_id);
	call->lax_bits = options_bits;
	return code < 0 ? code : is_full(call);
}

static int each_party_with(struct lax_call *call, const char *options)
{
	static const enum kind parties[] = {KIND_SSL, KIND_ROUTE};
	int code = store_get_asked(call->reader, options, &call->lax_bits, call->err);

	for (size_t i = 0; i < ARRAY_LEN(parties) && code == 0 && (call->strict_bits & ~call->lax_bits) != 0; i++)
		code = is_full(call) ? 0
		                     : store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, options, parties[i], on_lax_party,
		                                                   call, call->err);
	return code;
}

/* All options that something names and that ask less than the listener's. */
static int each_lax_party(struct lax_call *call)
{
	int code = 0;

	call->walked[0] = '\0';
	call->lax_options = call->walked;
	while (code == 0 && !is_full(call)) {
		call->looked++;
		code = store_next_referred(call->reader, KIND_TLS_OPTIONS, call->walked, call->walked, call->err);
		if (code == 0)
			code = each_party_with(call, call->walked);
	}
	return code == E_NOT_FOUND ? 0 : code;
}

static int warn_for_listener(struct lax_call *call, const struct resource *resource)
{
	int code;

	call->strict_options = options_of(resource) != NULL ? options_of(resource) : DEFAULT_OPTIONS;
	code = store_get_asked(call->reader, call->strict_options, &call->strict_bits, call->err);
	return code == 0 && call->strict_bits != 0 ? each_lax_party(call) : code;
}

/* ---- options were written: each of their listeners, or of those that chose them, stands in turn ---- */

static void stand(struct lax_call *call, const struct object_view *object)
{
	call->fixed_kind = object->kind;
	call->fixed_id = object->id;
	call->fixed_selector = object->selector;
}

static int on_listener_of_options(const struct store_row *row, const char *pointer, void *context)
{
	struct lax_call *call = context;
	int code = 0;

	call->looked++;
	if (row->state.enabled) {
		stand(call, &row->state.object);
		code = each_lax_party(call);
	}
	return code < 0 ? code : is_full(call);
}

static int on_any_listener_of_default(const struct store_row *row, void *context)
{
	struct lax_call *call = context;
	char options[ID_MAX + 1];
	bool named = true;
	int code = listener_options(row, options, &named, call->err);

	if (code == 0 && !named)
		return on_listener_of_options(row, "", call);
	call->looked++;
	return code < 0 ? code : is_full(call);
}

static int on_party_of_options(const struct store_row *row, const char *pointer, void *context)
{
	struct lax_call *call = context;
	int code = 0;

	call->looked++;
	if (row->state.enabled) {
		stand(call, &row->state.object);
		code = warn_for_party(call, row->state.object.body);
	}
	return code < 0 ? code : is_full(call);
}

/* They may be the stricter side for their listeners, and the laxer for those that chose them. */
static int warn_for_options(struct lax_call *call, const struct resource *resource)
{
	static const enum kind parties[] = {KIND_SSL, KIND_ROUTE};
	int code = 0;

	call->strict_options = resource->id;
	call->strict_bits = resource->client_bits;
	if (call->strict_bits != 0)
		code = store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, resource->id, KIND_LISTENER,
		                                   on_listener_of_options, call, call->err);
	if (code == 0 && call->strict_bits != 0 && !is_full(call) && strcmp(resource->id, DEFAULT_OPTIONS) == 0)
		code = store_each_listener(call->reader, on_any_listener_of_default, call, call->err);
	call->lax_options = resource->id;
	for (size_t i = 0; i < ARRAY_LEN(parties) && code == 0 && !is_full(call); i++)
		code = store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, resource->id, parties[i], on_party_of_options,
		                                   call, call->err);
	return code;
}

int rules_warn_lax(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	struct lax_call call = {.job = job,
	                        .index = index,
	                        .reader = reader,
	                        .err = err,
	                        .fixed_kind = resource->kind,
	                        .fixed_id = resource->id,
	                        .fixed_selector = resource->selector};

	if (!resource->enabled)
		return 0;
	switch (resource->kind) {
	case KIND_SSL:
	case KIND_ROUTE:
		call.lax_options = options_of(resource);
		return call.lax_options == NULL ? 0 : warn_for_party(&call, BYTES(resource->body, resource->body_len));
	case KIND_LISTENER:
		return warn_for_listener(&call, resource);
	case KIND_TLS_OPTIONS:
		return warn_for_options(&call, resource);
	default:
		return 0;
	}
}
