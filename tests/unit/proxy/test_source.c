/* SPDX-License-Identifier: Apache-2.0 */
/* Random sets of routes and SSL objects: what decide() finds over a snapshot is what a slow, obvious search over all of
 * them finds. */
#include "hello_plane.h"

#include "base/macros.h"
#include "proxy/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THINGS_MAX 101
#define LISTENERS 2

static const char *const listener_ids[LISTENERS] = {"l", "m"};

/* A route, or an SSL object: in the order in which they were made. */
struct thing {
	char id[24], pattern[32];
	bool is_route;
	bool named[LISTENERS]; /* routes: which listeners it names; none: all */
	int32_t priority;
};

static void random_name(char *ret, unsigned labels)
{
	*ret = '\0';
	for (unsigned i = 0; i < labels; i++) {
		char label[4];

		snprintf(label, sizeof(label), i + 1 < labels ? "%c." : "%c", 'a' + rand() % 2);
		strcat(ret, label);
	}
}

static void random_pattern(char *ret, bool is_route)
{
	char name[24];

	random_name(name, 1 + (unsigned)rand() % 3);
	switch (rand() % (is_route ? 8 : 6)) {
	case 0:
		strcpy(ret, "*");
		break;
	case 1:
	case 2:
		sprintf(ret, "*.%s", name);
		break;
	case 6:
		sprintf(ret, "**.%s", name);
		break;
	case 7:
		strcpy(ret, rand() % 4 == 0 ? "" : "**.a");
		break;
	default:
		strcpy(ret, name);
	}
}

static void put_thing(const struct thing *thing)
{
	struct ssl_spec ssl = {.snis = {thing->pattern}, .pairs = {cert_a}};
	Tlsplane__Route route = TLSPLANE__ROUTE__INIT;
	char *sni = (char *)(uintptr_t)thing->pattern, *listeners[LISTENERS];

	if (!thing->is_route) {
		holding_put_ssl(&holding, thing->id, &ssl);
		return;
	}
	for (size_t i = 0; i < LISTENERS; i++) {
		if (thing->named[i])
			listeners[route.n_listeners++] = (char *)(uintptr_t)listener_ids[i];
	}
	route.listeners = listeners;
	route.snis = &sni;
	route.n_snis = 1;
	route.has_priority = 1;
	route.priority = thing->priority;
	holding_put(&holding, KIND_ROUTE, thing->id, &route);
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t name_len = strlen(name), len = strlen(suffix);

	return name_len > len && strcmp(name + name_len - len, suffix) == 0;
}

/* How well a pattern fits: 0 not at all; an exact name best, then one label, then any depth (the longer the better),
 * then "*". */
static size_t fit(const char *pattern, const char *name)
{
	if (strcmp(pattern, name) == 0)
		return 1000;
	if (strcmp(pattern, "*") == 0)
		return *name != '\0';
	if (strncmp(pattern, "**.", 3) == 0)
		return ends_with(name, pattern + 2) ? 2 + strlen(pattern) : 0;
	if (strncmp(pattern, "*.", 2) == 0)
		return ends_with(name, pattern + 1) && strchr(name, '.') == name + strlen(name) - strlen(pattern) + 1 ? 500 : 0;
	return 0;
}

static bool is_for(const struct thing *thing, size_t listener)
{
	return thing->named[listener] || (!thing->named[0] && !thing->named[1]);
}

/* things are in order of age, so a later one wins among equals. */
static const char *slow_choice(const struct thing *things, size_t count, bool is_route, size_t listener,
                               const char *name)
{
	const struct thing *best = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct thing *at = &things[i];
		size_t level = fit(at->pattern, name), known;

		if (at->is_route != is_route || level == 0 || (is_route && !is_for(at, listener)))
			continue;
		known = best != NULL ? fit(best->pattern, name) : 0;
		if (level != known                                 ? level > known
		    : at->named[listener] != best->named[listener] ? at->named[listener]
		                                                   : at->priority >= best->priority)
			best = at;
	}
	return best != NULL ? best->id : "";
}

static void compare(const struct thing *things, size_t count, size_t listener, const char *name)
{
	const struct snapshot *snapshot = roots_current(context.roots)->snapshot;
	const struct listener_view *view =
	    snapshot_find_listener(snapshot, listener == 0 ? "127.0.0.1:8443" : "127.0.0.1:8444");
	struct decide_input input = {
	    .listener = {view->id, view->body, view}, .name = BYTES(name, strlen(name)), .client = client_ip};
	CLEANUP(source_deinit) struct source source;
	struct decision decision;

	source_init(&source, snapshot, context.sites, context.failures);
	ck_assert_int_eq(decide(&source.table, &input, &decision), 0);
	ck_assert_int_eq(decision.outcome, DECIDE_TERMINATE);
	ck_assert_msg(strcmp(decision.route.id != NULL ? decision.route.id : "",
	                     slow_choice(things, count, true, listener, name)) == 0,
	              "route of \"%s\" at %s: %s", name, view->id, decision.route.id);
	ck_assert_msg(
	    strcmp(decision.ssl.id != NULL ? decision.ssl.id : "", slow_choice(things, count, false, listener, name)) == 0,
	    "SSL object of \"%s\": %s", name, decision.ssl.id);
}

static void start(void)
{
	setup();
	put_frame();
	holding_put_listener(&holding, "m", "127.0.0.1", 8444, "u", NULL, 0);
	holding_put_options(&holding, "modern", NULL);
	publish();
}

START_TEST(test_random_sets)
{
	static const size_t sizes[] = {1, 10, 100, 101};
	struct thing things[THINGS_MAX];
	unsigned seed = 11;

	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		srand(seed++);
		start();
		for (size_t i = 0; i < sizes[s]; i++) {
			struct thing *thing = &things[i];

			*thing = (struct thing){.is_route = rand() % 2 == 0};
			snprintf(thing->id, sizeof(thing->id), "t%zu", i);
			random_pattern(thing->pattern, thing->is_route);
			for (size_t l = 0; l < LISTENERS && thing->is_route; l++)
				thing->named[l] = rand() % 3 == 0;
			thing->priority = thing->is_route ? rand() % 3 - 1 : 0;
			holding_begin(&holding, roots_current(context.roots)->snapshot); /* each has its own age */
			put_thing(thing);
			publish();
			roots_reclaim(context.roots);
		}
		for (unsigned i = 0; i < 2000; i++) {
			char name[24];

			random_name(name, (unsigned)rand() % 6);
			compare(things, sizes[s], (size_t)rand() % LISTENERS, name);
		}
		teardown();
	}
}
END_TEST

/* What is found can be unusable: that is told apart from "not there", and noted. */
START_TEST(test_broken_site)
{
	struct failure failure;
	struct decide_ssl ssl = {.id = NULL};
	struct source source;
	struct error err = ERROR_NULL;

	start();
	holding.warm_max = 0;
	holding_begin(&holding, roots_current(context.roots)->snapshot);
	holding_put_broken_ssl(&holding, "bad", &(struct ssl_spec){.snis = {"bad.test"}, .pairs = {cert_b}});
	publish();
	source_init(&source, roots_current(context.roots)->snapshot, context.sites, context.failures);
	ck_assert_int_eq(source.table.best_ssl(&source, BYTES("none.test", 9), &ssl, &err), E_NOT_FOUND);
	ck_assert_ptr_null(ssl.id);
	ck_assert_int_lt(source.table.best_ssl(&source, BYTES("bad.test", 8), &ssl, &err), 0);
	ck_assert_str_eq(ssl.id, "bad");
	ck_assert(failures_take(context.failures, &failure));
	ck_assert_str_eq(failure.id, "bad");
	source_deinit(&source);
	teardown();
}
END_TEST

UNIT_MAIN("proxy/source", test_random_sets, test_broken_site)
