/* SPDX-License-Identifier: Apache-2.0 */
/* A small holding in arrays, searched from end to end: the source of decisions in tests. An object of which `code` is
 * set can't be used. */
#pragma once

#include "resolve/decide.h"

#include <string.h>

#define WORLD_MAX 8
/* protobuf-c's messages have char * for their strings; nothing writes there. */
#define TEXT(literal) ((char *)(literal))

struct world_ssl {
	const char *id;
	const char *const *names;
	size_t names_len;
	int32_t priority;
	struct uid uid;
	struct decide_ssl ssl;
	int code;
};

struct world_route {
	const char *id;
	struct uid uid;
	Tlsplane__Route body;
	int code;
};

struct world_object {
	const char *id;
	const void *body; /* of the kind of the array it stands in */
	int code;
};

struct world {
	const struct world_ssl *ssls;
	size_t ssls_len;
	const struct world_route *routes;
	size_t routes_len;
	struct world_object options[WORLD_MAX], bundles[WORLD_MAX], upstreams[WORLD_MAX],
	    upstream_tls[WORLD_MAX]; /* id NULL ends */
	size_t lookups;
};

static inline bool world_is_named(const char *const *names, size_t count, struct bytes key)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(names[i]) == key.len && (key.len == 0 || memcmp(names[i], key.data, key.len) == 0))
			return true;
	}
	return false;
}

static inline int world_give_ssl(const struct world_ssl *found, struct decide_ssl *ret, struct error *err)
{
	if (found == NULL)
		return E_NOT_FOUND;
	*ret = found->ssl;
	ret->id = found->id;
	ret->handle = found;
	return found->code == 0 ? 0 : error_set(err, found->code, "made so by the test");
}

static inline int world_best_ssl(void *context, struct bytes key, struct decide_ssl *ret, struct error *err)
{
	struct world *world = context;
	const struct world_ssl *best = NULL;

	world->lookups++;
	for (size_t i = 0; i < world->ssls_len; i++) {
		const struct world_ssl *ssl = &world->ssls[i];

		if (world_is_named(ssl->names, ssl->names_len, key) &&
		    (best == NULL || uid_is_better(ssl->priority, &ssl->uid, best->priority, &best->uid)))
			best = ssl;
	}
	return world_give_ssl(best, ret, err);
}

static inline int world_find_ssl(void *context, const char *id, struct decide_ssl *ret, struct error *err)
{
	struct world *world = context;

	for (size_t i = 0; i < world->ssls_len; i++) {
		if (strcmp(world->ssls[i].id, id) == 0)
			return world_give_ssl(&world->ssls[i], ret, err);
	}
	return E_NOT_FOUND;
}

static inline int world_best_route(void *context, struct bytes pattern, const char *listener_id,
                                   struct decide_route *ret, struct error *err)
{
	struct world *world = context;
	const struct world_route *best = NULL;
	bool best_names_it = false, names_it;

	world->lookups++;
	for (size_t i = 0; i < world->routes_len; i++) {
		const struct world_route *route = &world->routes[i];

		if (!world_is_named((const char *const *)route->body.snis, route->body.n_snis, pattern) ||
		    !decide_route_is_for(&route->body, listener_id, &names_it))
			continue;
		if (best == NULL || (names_it != best_names_it ? names_it
		                                               : uid_is_better(route->body.priority, &route->uid,
		                                                               best->body.priority, &best->uid))) {
			best = route;
			best_names_it = names_it;
		}
	}
	if (best == NULL)
		return E_NOT_FOUND;
	*ret = (struct decide_route){best->id, &best->body, best};
	return best->code == 0 ? 0 : error_set(err, best->code, "made so by the test");
}

static inline int world_find(const struct world_object *objects, const char *id, const struct world_object **ret,
                             struct error *err)
{
	for (size_t i = 0; i < WORLD_MAX && objects[i].id != NULL; i++) {
		if (strcmp(objects[i].id, id) != 0)
			continue;
		*ret = &objects[i];
		return objects[i].code == 0 ? 0 : error_set(err, objects[i].code, "made so by the test");
	}
	return E_NOT_FOUND;
}

/* `ret` is one of the structs {id, body, handle}. */
#define WORLD_FINDER(name, array, type)                                                                                \
	static inline int name(void *context, const char *id, type *ret, struct error *err)                                \
	{                                                                                                                  \
		const struct world *world = context;                                                                           \
		const struct world_object *found = NULL;                                                                       \
		int r = world_find(world->array, id != NULL ? id : DECIDE_DEFAULT, &found, err);                               \
                                                                                                                       \
		if (found != NULL)                                                                                             \
			*ret = (type){found->id, found->body, found};                                                              \
		return r;                                                                                                      \
	}
WORLD_FINDER(world_find_options, options, struct decide_options)
WORLD_FINDER(world_find_bundle, bundles, struct decide_bundle)
WORLD_FINDER(world_find_upstream, upstreams, struct decide_upstream)
WORLD_FINDER(world_find_upstream_tls, upstream_tls, struct decide_upstream_tls)

static inline struct decide_source world_source(struct world *world)
{
	return (struct decide_source){.best_ssl = world_best_ssl,
	                              .find_ssl = world_find_ssl,
	                              .best_route = world_best_route,
	                              .find_options = world_find_options,
	                              .find_bundle = world_find_bundle,
	                              .find_upstream = world_find_upstream,
	                              .find_upstream_tls = world_find_upstream_tls,
	                              .context = world};
}
