/* SPDX-License-Identifier: Apache-2.0 */
/* Options are chosen whole: an SSL object that names its own takes their word on client certificates, even behind a listener whose options
 * demand one. That may be wanted (an open site beside a closed one), so it is a warning that names both sides, found from
 * whichever of the three is written: the object, the listener, or the options of either. A few pairs are named, not all,
 * among the first LOOKS_MAX neighbours. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/selector.h"

#include <string.h>

#define PAIRS_MAX 5 /* named per item */
#define DEFAULT_OPTIONS "default"

struct lax_call {
	struct request_job *job;
	size_t index;
	struct store_reader *reader;
	struct error *err;
	const char *fixed_id;       /* the side that stands: the SSL object's or the listener's id */
	const char *fixed_selector;
	const char *lax_options;    /* of the SSL object */
	char walked[ID_MAX + 1];    /* where a walk over options is; lax_options points here then */
	const char *strict_options; /* of the listener */
	size_t named, looked;
};

static bool is_full(const struct lax_call *call)
{
	return call->named >= PAIRS_MAX || call->looked >= LOOKS_MAX;
}

static void warn_pair(struct lax_call *call, const char *ssl, const char *listener)
{
	const char *pointer = call->job->items[call->index].resource->kind == KIND_TLS_OPTIONS ? "/client_auth" : "/tls_options";

	call->named++;
	warn(call->job, call->index, "lax-client-auth", pointer,
	     "listeners/%s demands client certificates (tls_options/%s), and ssls/%s served there does not (tls_options/%s)",
	     listener, call->strict_options, ssl, call->lax_options);
}

/* Does the SSL object demand certificates by its own words? */
static int has_own_client(const struct store_row *row, bool *ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__ssl__descriptor, row->state.object.body, &body, err);

	if (code == 0)
		*ret = ((const Tlsplane__Ssl *)body)->client != NULL;
	return code;
}

/* An SSL object stands; a listener with demanding options comes by. */
static int on_strict_listener(const struct store_row *row, const char *pointer, void *context)
{
	struct lax_call *call = context;

	call->looked++;
	if (row->state.enabled && !selector_is_exclusive(call->fixed_selector, row->state.object.selector))
		warn_pair(call, call->fixed_id, row->state.object.id);
	return is_full(call);
}

/* The object named "default" holds for listeners that name no options; nothing refers to it there. */
static int names_no_options(const struct store_row *row, bool *ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(&tlsplane__listener__descriptor, row->state.object.body, &body, err);

	if (code == 0)
		*ret = ((const Tlsplane__Listener *)body)->tls_options == NULL;
	return code;
}

static int on_any_listener(const struct store_row *row, void *context)
{
	struct lax_call *call = context;
	bool unnamed = false;
	int code = names_no_options(row, &unnamed, call->err);

	if (code == 0 && unnamed)
		return on_strict_listener(row, "", call);
	call->looked++;
	return code < 0 ? code : is_full(call);
}

static int on_demanding_options(const char *id, void *context)
{
	struct lax_call *call = context;
	int code;

	call->looked++;
	call->strict_options = id;
	code = store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, id, KIND_LISTENER, on_strict_listener, call, call->err);
	if (code == 0 && !is_full(call) && strcmp(id, DEFAULT_OPTIONS) == 0)
		code = store_each_listener(call->reader, on_any_listener, call, call->err);
	return code < 0 ? code : is_full(call);
}

/* A listener stands; an SSL object with options that demand nothing comes by. */
static int on_lax_ssl(const struct store_row *row, const char *pointer, void *context)
{
	struct lax_call *call = context;
	bool demands = false;
	int code = has_own_client(row, &demands, call->err);

	call->looked++;
	if (code == 0 && !demands && row->state.enabled && !selector_is_exclusive(call->fixed_selector, row->state.object.selector))
		warn_pair(call, row->state.object.id, call->fixed_id);
	return code < 0 ? code : is_full(call);
}

/* All options that SSL objects name and that demand nothing. */
static int each_lax_ssl(struct lax_call *call)
{
	const char *id = call->walked;

	call->walked[0] = '\0';
	call->lax_options = id;
	while (!is_full(call)) {
		bool demands = false;
		int code;

		call->looked++;
		code = store_next_referred(call->reader, KIND_TLS_OPTIONS, id, call->walked, call->err);

		if (code == E_NOT_FOUND)
			return 0;
		if (code == 0)
			code = store_is_demanding(call->reader, id, &demands, call->err);
		if (code == 0 && !demands)
			code = store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, id, KIND_SSL, on_lax_ssl, call, call->err);
		if (code != 0)
			return code;
	}
	return 0;
}

static const char *options_of(const struct resource *resource)
{
	for (size_t i = 0; i < resource->refs_len; i++) {
		if (resource->refs[i].kind == KIND_TLS_OPTIONS)
			return resource->refs[i].id;
	}
	return NULL;
}

static int warn_for_ssl(struct lax_call *call, const struct resource *resource)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	bool demands = false;
	int code;

	call->lax_options = options_of(resource);
	if (call->lax_options == NULL)
		return 0;
	code = body_decode(&tlsplane__ssl__descriptor, BYTES(resource->body, resource->body_len), &body, call->err);
	if (code == 0)
		code = store_is_demanding(call->reader, call->lax_options, &demands, call->err);
	if (code != 0 || demands || ((const Tlsplane__Ssl *)body)->client != NULL)
		return code;
	return store_each_demanding(call->reader, on_demanding_options, call, call->err);
}

static int warn_for_listener(struct lax_call *call, const struct resource *resource)
{
	bool demands = false;
	int code;

	call->strict_options = options_of(resource) != NULL ? options_of(resource) : DEFAULT_OPTIONS;
	code = store_is_demanding(call->reader, call->strict_options, &demands, call->err);
	return code == 0 && demands ? each_lax_ssl(call) : code;
}

/* The other side of options just written: each of their listeners, or each of their SSL objects, stands in turn. */
static int on_referrer(const struct store_row *row, const char *pointer, void *context)
{
	struct lax_call *call = context;
	const struct object_view *object = &row->state.object;
	bool demands = false;
	int code;

	call->looked++;
	if (!row->state.enabled)
		return is_full(call);
	call->fixed_id = object->id;
	call->fixed_selector = object->selector;
	if (object->kind == KIND_LISTENER) {
		code = each_lax_ssl(call);
	} else {
		code = has_own_client(row, &demands, call->err);
		if (code == 0 && !demands)
			code = store_each_demanding(call->reader, on_demanding_options, call, call->err);
	}
	return code < 0 ? code : is_full(call);
}

static int on_any_listener_of_default(const struct store_row *row, void *context)
{
	struct lax_call *call = context;
	bool unnamed = false;
	int code = names_no_options(row, &unnamed, call->err);

	if (code == 0 && unnamed)
		return on_referrer(row, "", call);
	call->looked++;
	return code < 0 ? code : is_full(call);
}

static int warn_for_options(struct lax_call *call, const struct resource *resource)
{
	if (resource->demands_client) {
		int code;

		call->strict_options = resource->id;
		code = store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, resource->id, KIND_LISTENER, on_referrer, call,
		                                   call->err);
		if (code == 0 && !is_full(call) && strcmp(resource->id, DEFAULT_OPTIONS) == 0)
			code = store_each_listener(call->reader, on_any_listener_of_default, call, call->err);
		return code;
	}
	call->lax_options = resource->id;
	return store_each_referrer_of_kind(call->reader, KIND_TLS_OPTIONS, resource->id, KIND_SSL, on_referrer, call, call->err);
}

int rules_warn_lax(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	struct lax_call call = {.job = job,
	                        .index = index,
	                        .reader = reader,
	                        .err = err,
	                        .fixed_id = resource->id,
	                        .fixed_selector = resource->selector};

	if (!resource->enabled)
		return 0;
	switch (resource->kind) {
	case KIND_SSL:
		return warn_for_ssl(&call, resource);
	case KIND_LISTENER:
		return warn_for_listener(&call, resource);
	case KIND_TLS_OPTIONS:
		return warn_for_options(&call, resource);
	default:
		return 0;
	}
}
