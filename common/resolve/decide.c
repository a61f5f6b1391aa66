/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a decision, in the order of the drawing in decide.h. Each returns GO_ON, ENDED (the outcome stands), or
 * a negative code (no memory, or the source itself failed: no decision at all). */
#include "resolve/decide.h"

#include "model/name.h"

#include <assert.h>

enum { GO_ON = 0, ENDED = 1 };

/* RFC 8446 6.2, RFC 6066 3 */
enum {
	ALERT_ACCESS_DENIED = 49,
	ALERT_PROTOCOL_VERSION = 70,
	ALERT_INTERNAL_ERROR = 80,
	ALERT_UNRECOGNIZED_NAME = 112
};

#define VERSION_1_3 0x0304

static const struct {
	uint8_t alert;
	int code; /* of decision.why */
} causes[] = {
    [DECIDE_CAUSE_REJECTED] = {ALERT_ACCESS_DENIED, E_FORBIDDEN},
    [DECIDE_CAUSE_ADDRESS] = {ALERT_ACCESS_DENIED, E_FORBIDDEN},
    [DECIDE_CAUSE_NAME] = {ALERT_UNRECOGNIZED_NAME, E_NOT_FOUND},
    [DECIDE_CAUSE_VERSION] = {ALERT_PROTOCOL_VERSION, E_INVALID},
    [DECIDE_CAUSE_BROKEN] = {ALERT_INTERNAL_ERROR, E_UNAVAILABLE},
};

#define refuse(decision, why_refused, ...)                                                                             \
	(error_set(&(decision)->why, causes[why_refused].code, __VA_ARGS__), end_refused(decision, why_refused))

static int end_refused(struct decision *decision, enum decide_cause cause)
{
	assert(decision->outcome == DECIDE_REFUSE && decision->cause == DECIDE_CAUSE_NONE);
	decision->cause = cause;
	decision->alert = causes[cause].alert;
	return ENDED;
}

/* What a lookup of something that was referred to, or found by name, came to. */
static int take(struct decision *decision, int code, const char *noun, const char *id, const struct error *why)
{
	switch (code) {
	case 0:
		return GO_ON;
	case E_NOT_FOUND:
		return refuse(decision, DECIDE_CAUSE_BROKEN, "%s %s is not held", noun, id);
	case E_INVALID:
	case E_SYNTAX:
	case E_CORRUPT:
	case E_CRYPTO:
		return refuse(decision, DECIDE_CAUSE_BROKEN, "%s %s can't be used: %s", noun, id, why->text);
	default:
		return code;
	}
}

/* Route ----------------------------------------------------------------------------------------------------------- */

/* One search by name. `code` is of the last lookup; whatever is not E_NOT_FOUND ends the search. */
struct search {
	const struct decide_source *source;
	struct decision *decision;
	struct bytes name;
	enum decide_level level;
	struct error err;
	int code;
};

static enum decide_level level_of(struct bytes key, struct bytes name)
{
	if (key.data == name.data)
		return name.len > 0 ? DECIDE_LEVEL_EXACT : DECIDE_LEVEL_NO_NAME;
	if (key.len == 1)
		return DECIDE_LEVEL_ANY;
	return key.data[1] == '*' ? DECIDE_LEVEL_ANY_DEPTH : DECIDE_LEVEL_ONE_LABEL;
}

static void *search_end(struct search *search, struct bytes key)
{
	if (search->code == E_NOT_FOUND)
		return NULL;
	search->level = level_of(key, search->name);
	return search;
}

static void *look_up_route(struct bytes key, void *context)
{
	struct search *search = context;
	struct decision *decision = search->decision;

	search->code =
	    search->source->best_route(search->source->context, key, decision->listener.id, &decision->route, &search->err);
	return search_end(search, key);
}

static int choose_route(const struct decide_source *source, const struct decide_input *input, struct decision *decision)
{
	struct search search = {.source = source, .decision = decision, .name = input->name, .err = ERROR_NULL};
	const Tlsplane__Route *route;
	int r;

	if (name_choose_route(input->name, look_up_route, &search) == NULL) {
		decision->route = (struct decide_route){.id = NULL};
		return GO_ON;
	}
	decision->route_level = search.level;
	r = take(decision, search.code, "route", decision->route.id, &search.err);
	if (r != GO_ON)
		return r;
	route = decision->route.body;
	if (route->mode == TLSPLANE__ROUTE_MODE__ROUTE_REJECT)
		return refuse(decision, DECIDE_CAUSE_REJECTED, "route %s rejects", decision->route.id);
	if (!input->any_client && route->n_allow_clients > 0 && !cidr_has(route->allow_clients, route->n_allow_clients, &input->client))
		return refuse(decision, DECIDE_CAUSE_ADDRESS, "the client is in none of the ranges of route %s",
		              decision->route.id);
	return GO_ON;
}

/* Upstream -------------------------------------------------------------------------------------------------------- */

static int choose_upstream(const struct decide_source *source, struct decision *decision)
{
	const Tlsplane__Route *route = decision->route.body;
	const char *of_route = route != NULL ? route->upstream : NULL;
	const char *id = of_route != NULL ? of_route : decision->listener.body->upstream;
	struct error err = ERROR_NULL;

	if (id == NULL && route == NULL)
		return refuse(decision, DECIDE_CAUSE_NAME, "no route for this name, and listener %s has no upstream of its own",
		              decision->listener.id);
	if (id == NULL)
		return refuse(decision, DECIDE_CAUSE_BROKEN, "neither route %s nor listener %s names an upstream",
		              decision->route.id, decision->listener.id);
	decision->upstream_from = of_route != NULL ? DECIDE_FROM_ROUTE : DECIDE_FROM_LISTENER;
	return take(decision, source->find_upstream(source->context, id, &decision->upstream, &err), "upstream", id, &err);
}

/* The route's, else the upstream's, else the object "default", else what is built in. */
static int choose_upstream_tls(const struct decide_source *source, struct decision *decision)
{
	const Tlsplane__Route *route = decision->route.body;
	const Tlsplane__Upstream *upstream = decision->upstream.body;
	const char *of_route = route != NULL ? route->upstream_tls : NULL;
	const char *id = of_route != NULL ? of_route : upstream->upstream_tls;
	struct error err = ERROR_NULL;
	int r;

	decision->upstream_speaks_tls = id != NULL || upstream->tls;
	if (!decision->upstream_speaks_tls)
		return GO_ON;
	decision->upstream_tls_from = of_route != NULL ? DECIDE_FROM_ROUTE
	                              : id != NULL     ? DECIDE_FROM_UPSTREAM
	                                               : DECIDE_FROM_DEFAULT;
	r = source->find_upstream_tls(source->context, id != NULL ? id : DECIDE_DEFAULT, &decision->upstream_tls, &err);
	if (id == NULL && r == E_NOT_FOUND) {
		decision->upstream_tls = (struct decide_upstream_tls){.id = NULL};
		decision->upstream_tls_from = DECIDE_FROM_NONE;
		return GO_ON;
	}
	return take(decision, r, "upstream TLS", id != NULL ? id : DECIDE_DEFAULT, &err);
}

/* Termination ----------------------------------------------------------------------------------------------------- */

static int choose_base(const struct decide_source *source, struct decision *decision)
{
	const Tlsplane__Route *route = decision->route.body;
	const char *of_route = route != NULL ? route->tls_options : NULL;
	const char *id = of_route != NULL ? of_route : decision->listener.body->tls_options;
	struct error err = ERROR_NULL;
	int r = source->find_options(source->context, id, &decision->base, &err);

	decision->base_from = of_route != NULL ? DECIDE_FROM_ROUTE
	                      : id != NULL     ? DECIDE_FROM_LISTENER
	                                       : DECIDE_FROM_DEFAULT;
	return take(decision, r, "TLS options", id != NULL ? id : DECIDE_DEFAULT, &err);
}

/* SSL objects have no name for "no name". */
static void *look_up_ssl(struct bytes key, void *context)
{
	struct search *search = context;

	search->code = key.len == 0
	                   ? E_NOT_FOUND
	                   : search->source->best_ssl(search->source->context, key, &search->decision->ssl, &search->err);
	return search_end(search, key);
}

static int choose_ssl(const struct decide_source *source, const struct decide_input *input, struct decision *decision)
{
	struct search search = {.source = source, .decision = decision, .name = input->name, .err = ERROR_NULL};
	const Tlsplane__TlsOptions *base = decision->base.body;
	int r;

	if (name_choose(input->name, look_up_ssl, &search) != NULL) {
		decision->ssl_level = search.level;
		return take(decision, search.code, "SSL object", decision->ssl.id, &search.err);
	}
	decision->ssl = (struct decide_ssl){.id = NULL};
	if (base->sni_strict)
		return refuse(decision, DECIDE_CAUSE_NAME, "no certificate for this name, and sni_strict");
	if (base->default_ssl == NULL)
		return GO_ON;
	decision->ssl_level = DECIDE_LEVEL_DEFAULT;
	r = source->find_ssl(source->context, base->default_ssl, &decision->ssl, &search.err);
	return take(decision, r, "default_ssl", base->default_ssl, &search.err);
}

static int choose_options(const struct decide_source *source, struct decision *decision)
{
	const char *id = decision->ssl.tls_options;
	struct error err = ERROR_NULL;

	if (id == NULL) {
		decision->options = decision->base;
		decision->options_from = decision->base_from;
		return GO_ON;
	}
	decision->options_from = DECIDE_FROM_SSL;
	return take(decision, source->find_options(source->context, id, &decision->options, &err), "TLS options", id, &err);
}

/* Absent bounds stand for TLS 1.3, as in `modern`. */
static int narrow_versions(struct decision *decision)
{
	const Tlsplane__TlsOptions *options = decision->options.body;
	uint32_t min = options->has_min_version ? options->min_version : VERSION_1_3;
	uint32_t max = options->has_max_version ? options->max_version : VERSION_1_3;

	if (decision->ssl.min > min)
		min = decision->ssl.min;
	if (decision->ssl.max != 0 && decision->ssl.max < max)
		max = decision->ssl.max;
	if (min > max)
		return refuse(decision, DECIDE_CAUSE_VERSION, "ssl_protocols and TLS options %s have no version in common",
		              decision->options.id);
	decision->min = (uint16_t)min;
	decision->max = (uint16_t)max;
	return GO_ON;
}

static int join_client(const struct decide_source *source, struct decision *decision)
{
	struct error err = ERROR_NULL;
	int r = decide_join_client(source, &decision->ssl, &decision->options, &decision->client, &err);

	switch (r) {
	case E_NOT_FOUND:
	case E_INVALID:
	case E_SYNTAX:
	case E_CORRUPT:
	case E_CRYPTO:
		return refuse(decision, DECIDE_CAUSE_BROKEN, "%s", err.text);
	default:
		return r;
	}
}

static int decide_terminate(const struct decide_source *source, const struct decide_input *input,
                            struct decision *decision)
{
	int r = choose_base(source, decision);

	if (r == GO_ON)
		r = choose_ssl(source, input, decision);
	if (r == GO_ON)
		r = choose_options(source, decision);
	if (r == GO_ON)
		r = narrow_versions(decision);
	if (r == GO_ON)
		r = join_client(source, decision);
	if (r == GO_ON)
		r = choose_upstream_tls(source, decision);
	if (r == GO_ON)
		decision->outcome = DECIDE_TERMINATE;
	return r;
}

int decide(const struct decide_source *source, const struct decide_input *input, struct decision *ret)
{
	struct decision decision = {.outcome = DECIDE_REFUSE, .listener = input->listener};
	int r = choose_route(source, input, &decision);

	if (r == GO_ON)
		r = choose_upstream(source, &decision);
	if (r == GO_ON && decision.route.id != NULL && decision.route.body->mode == TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH)
		decision.outcome = DECIDE_PASSTHROUGH;
	else if (r == GO_ON)
		r = decide_terminate(source, input, &decision);
	if (r < 0)
		return r;
	*ret = decision;
	return 0;
}
