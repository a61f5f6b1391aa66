/* SPDX-License-Identifier: Apache-2.0 */
/* What several objects may name (TLS options, upstream, upstream TLS): whose word holds, why, and whose doesn't. */
#include "api/resolve.h"

struct claim {
	enum decide_from from;
	const char *id; /* NULL: names none */
};

/* In the order in which they are asked: the first that names something has it, the others are passed over. */
static json_t *render_overruled(const struct claim *claims, size_t len)
{
	static const char *const why[] = {[DECIDE_FROM_SSL] = "the SSL object's word goes first",
	                                  [DECIDE_FROM_ROUTE] = "the route's word goes first",
	                                  [DECIDE_FROM_LISTENER] = "the listener's word goes first"};
	json_t *overruled = json_array();
	const struct claim *first = NULL;

	for (size_t i = 0; i < len && overruled != NULL; i++) {
		if (claims[i].id == NULL)
			continue;
		if (first == NULL)
			first = &claims[i];
		else if (json_array_append_new(overruled, json_pack("{s:s, s:s, s:s}", "id", claims[i].id, "from",
		                                                    resolve_from_word(claims[i].from), "why", why[first->from])) < 0) {
			json_decref(overruled);
			return NULL;
		}
	}
	return overruled;
}

json_t *resolve_options_overruled(const struct decision *decision)
{
	const Tlsplane__Route *route = decision->route.body;
	const struct claim claims[] = {{DECIDE_FROM_SSL, decision->ssl.tls_options},
	                               {DECIDE_FROM_ROUTE, route != NULL ? route->tls_options : NULL},
	                               {DECIDE_FROM_LISTENER, decision->listener.body->tls_options}};

	return render_overruled(claims, ARRAY_LEN(claims));
}

json_t *resolve_upstream_overruled(const struct decision *decision)
{
	const Tlsplane__Route *route = decision->route.body;
	const struct claim claims[] = {{DECIDE_FROM_ROUTE, route != NULL ? route->upstream : NULL},
	                               {DECIDE_FROM_LISTENER, decision->listener.body->upstream}};

	return render_overruled(claims, ARRAY_LEN(claims));
}

json_t *resolve_upstream_tls_overruled(const struct decision *decision)
{
	const Tlsplane__Route *route = decision->route.body;
	const struct claim claims[] = {{DECIDE_FROM_ROUTE, route != NULL ? route->upstream_tls : NULL},
	                               {DECIDE_FROM_UPSTREAM, decision->upstream.body->upstream_tls}};

	return render_overruled(claims, ARRAY_LEN(claims));
}

const char *resolve_options_reason(enum decide_from from)
{
	switch (from) {
	case DECIDE_FROM_SSL:
		return "the SSL object names them";
	case DECIDE_FROM_ROUTE:
		return "the route names them, and the SSL object none";
	case DECIDE_FROM_LISTENER:
		return "the listener names them, and neither the SSL object nor the route any";
	default:
		return "nothing names any: the object \"default\" if it is there, else \"modern\"";
	}
}

const char *resolve_upstream_reason(const struct decision *decision)
{
	if (decision->upstream_from == DECIDE_FROM_ROUTE)
		return "the route names it";
	return decision->route.id != NULL ? "the listener names it, and the route none" : "the listener names it, and there is no route";
}

const char *resolve_upstream_tls_reason(enum decide_from from)
{
	switch (from) {
	case DECIDE_FROM_ROUTE:
		return "the route names it";
	case DECIDE_FROM_UPSTREAM:
		return "the upstream names it, and the route none";
	case DECIDE_FROM_DEFAULT:
		return "the upstream speaks TLS and nothing names any: the object \"default\"";
	default:
		return "the upstream speaks TLS, nothing names any, and there is no object \"default\": what is built in";
	}
}

const char *resolve_client_reason(const struct decision *decision)
{
	const struct decide_client *client = &decision->client;

	if (client->parts_len == 0)
		return "neither the SSL object nor the options ask for a certificate";
	if (client->parts_len == 2)
		return "the SSL object's rules joined with the options': what either demands holds; of CAs the SSL object's if it names any";
	return client->parts[0] == decision->ssl.client ? "the SSL object's rules; the options have none"
	                                                : "the options' rules; the SSL object has none";
}
