/* SPDX-License-Identifier: Apache-2.0 */
/* Who is chosen for a name, against a model that is slow and obvious: every pattern of every object is compared label
 * by label, and the best of all that fit is kept. Random sets of names that overlap at every level, with random
 * priorities and listeners. */
#include "model/name.h"
#include "unit.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#define QUERIES 300
#define LABELS_MAX 8
#define OBJECT_NAMES 3

static uint64_t seed;

static uint32_t pick(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

/* Few labels, so that names collide and nest. */
static void make_name(char *name, uint32_t variety)
{
	size_t labels = 1 + pick(5);

	name[0] = '\0';
	for (size_t i = 0; i < labels; i++)
		sprintf(name + strlen(name), "%sl%u", i > 0 ? "." : "", pick(variety));
}

static void make_pattern(char *pattern, uint32_t variety, bool route)
{
	char name[NAME_MAX_LEN + 1];

	make_name(name, variety);
	switch (pick(route ? 12 : 8)) {
	case 0:
		strcpy(pattern, "*");
		break;
	case 1:
	case 2:
	case 3:
		sprintf(pattern, "*.%s", name);
		break;
	case 8:
	case 9:
	case 10:
		sprintf(pattern, "**.%s", name);
		break;
	case 11:
		strcpy(pattern, "");
		break;
	default:
		strcpy(pattern, name);
	}
}

/* The model. ----------------------------------------------------------------------------------------------------- */

struct labels {
	char text[NAME_MAX_LEN + 4];
	const char *label[LABELS_MAX];
	size_t count;
};

static void split(const char *name, struct labels *ret)
{
	ret->count = 0;
	strcpy(ret->text, name);
	for (char *label = strtok(ret->text, "."); label != NULL; label = strtok(NULL, "."))
		ret->label[ret->count++] = label;
}

static bool ends_with(const struct labels *name, const struct labels *pattern)
{
	for (size_t i = 1; i < pattern->count; i++) {
		if (strcmp(name->label[name->count - i], pattern->label[pattern->count - i]) != 0)
			return false;
	}
	return true;
}

/* How well pattern fits name; 0: not at all. */
static int fit(const char *pattern_text, const char *name_text)
{
	struct labels pattern, name;

	split(pattern_text, &pattern);
	split(name_text, &name);
	if (strcmp(pattern_text, name_text) == 0)
		return 1000;
	if (name.count == 0 || pattern.count == 0)
		return 0;
	if (strcmp(pattern_text, "*") == 0)
		return 1;
	if (strcmp(pattern.label[0], "*") == 0)
		return name.count == pattern.count && ends_with(&name, &pattern) ? 900 : 0;
	if (strcmp(pattern.label[0], "**") == 0)
		return name.count >= pattern.count && ends_with(&name, &pattern) ? 10 + (int)pattern.count : 0;
	return 0;
}

struct best {
	size_t index;
	int fit;
	bool names_it;
	int32_t priority;
	struct uid uid;
};

static void consider(struct best *best, struct best candidate)
{
	bool wins;

	if (candidate.fit == 0)
		return;
	if (candidate.fit != best->fit)
		wins = candidate.fit > best->fit;
	else if (candidate.names_it != best->names_it)
		wins = candidate.names_it;
	else if (candidate.priority != best->priority)
		wins = candidate.priority > best->priority;
	else
		wins = memcmp(candidate.uid.bytes, best->uid.bytes, UID_LEN) > 0;
	if (wins)
		*best = candidate;
}

/* Random holdings. ----------------------------------------------------------------------------------------------- */

struct holding {
	struct world world;
	struct world_ssl *ssls;
	struct world_route *routes;
	char (*texts)[NAME_MAX_LEN + 4];
	char **names;
	size_t used;
};

static char *listener_lists[][2] = {{TEXT("a"), TEXT("b")}, {TEXT("b"), TEXT("c")}, {TEXT("c"), TEXT("a")}};

static char **take_names(struct holding *holding, size_t count, uint32_t variety, bool route)
{
	char **first = &holding->names[holding->used];

	for (size_t i = 0; i < count; i++) {
		char *text = holding->texts[holding->used];

		make_pattern(text, variety, route);
		holding->names[holding->used++] = text;
	}
	return first;
}

static void make_holding(size_t count, struct holding *ret)
{
	uint32_t variety = count > 1000 ? 12 : 3;
	struct holding holding = {.ssls = calloc(count, sizeof(*holding.ssls)),
	                          .routes = calloc(count, sizeof(*holding.routes)),
	                          .texts = calloc(2 * count * OBJECT_NAMES, sizeof(*holding.texts)),
	                          .names = calloc(2 * count * OBJECT_NAMES, sizeof(*holding.names))};
	size_t names = 0;

	for (size_t i = 0; names < count; i++) {
		size_t own = 1 + pick(OBJECT_NAMES);
		struct world_ssl *ssl = &holding.ssls[i];
		struct world_route *route = &holding.routes[i];

		own = own > count - names ? count - names : own;
		names += own;
		*ssl = (struct world_ssl){.id = "ssl", .names_len = own, .priority = (int32_t)pick(3) - 1};
		ssl->uid = uid_make(0, pick(4), (uint32_t)i);
		ssl->names = (const char *const *)take_names(&holding, own, variety, false);
		*route = (struct world_route){.id = "route", .uid = uid_make(0, pick(4), (uint32_t)i)};
		route->body = (Tlsplane__Route){.n_snis = own, .priority = (int32_t)pick(3) - 1};
		route->body.snis = take_names(&holding, own, variety, true);
		if (pick(3) > 0) {
			route->body.listeners = listener_lists[pick(3)];
			route->body.n_listeners = 1 + pick(2);
		}
		holding.world.ssls_len = holding.world.routes_len = i + 1;
	}
	holding.world.ssls = holding.ssls;
	holding.world.routes = holding.routes;
	*ret = holding;
}

static void free_holding(struct holding *holding)
{
	free(holding->ssls);
	free(holding->routes);
	free(holding->texts);
	free(holding->names);
}

static struct best model_ssl(const struct holding *holding, const char *name)
{
	struct best best = {.fit = 0};

	for (size_t i = 0; i < holding->world.ssls_len && name[0] != '\0'; i++) {
		const struct world_ssl *ssl = &holding->ssls[i];

		for (size_t j = 0; j < ssl->names_len; j++)
			consider(&best, (struct best){i, fit(ssl->names[j], name), false, ssl->priority, ssl->uid});
	}
	return best;
}

static struct best model_route(const struct holding *holding, const char *name, const char *listener)
{
	struct best best = {.fit = 0};

	for (size_t i = 0; i < holding->world.routes_len; i++) {
		const struct world_route *route = &holding->routes[i];
		bool names_it = false;

		for (size_t j = 0; j < route->body.n_listeners; j++)
			names_it = names_it || strcmp(route->body.listeners[j], listener) == 0;
		if (route->body.n_listeners > 0 && !names_it)
			continue;
		for (size_t j = 0; j < route->body.n_snis; j++)
			consider(&best,
			         (struct best){i, fit(route->body.snis[j], name), names_it, route->body.priority, route->uid});
	}
	return best;
}

static enum decide_level level_of(int fitness)
{
	if (fitness == 0)
		return DECIDE_LEVEL_NONE;
	return fitness == 1000  ? DECIDE_LEVEL_EXACT
	       : fitness == 900 ? DECIDE_LEVEL_ONE_LABEL
	       : fitness == 1   ? DECIDE_LEVEL_ANY
	                        : DECIDE_LEVEL_ANY_DEPTH;
}

/* As a client sends it: any case, perhaps a trailing dot; normalised as the agent does. */
static void send_name(const char *name, char *ret)
{
	char sent[NAME_MAX_LEN + 2];
	size_t len = strlen(name);

	ret[0] = '\0';
	if (len == 0)
		return;
	strcpy(sent, name);
	for (size_t i = 0; i < len; i++)
		sent[i] = (char)(sent[i] >= 'a' && sent[i] <= 'z' && pick(2) ? sent[i] - 'a' + 'A' : sent[i]);
	if (pick(4) == 0)
		sent[len++] = '.';
	ck_assert_int_eq(name_normalise_sni(BYTES(sent, len), ret, &len), 0);
}

static void compare(struct holding *holding, const char *name, const char *listener)
{
	struct best ssl = model_ssl(holding, name), route = model_route(holding, name, listener);
	struct decide_source source = world_source(&holding->world);
	Tlsplane__Listener body = {.upstream = TEXT("up")};
	char sni[NAME_MAX_LEN + 1];
	struct decide_input input = {.listener = {listener, &body, NULL}};
	struct decision decision;

	send_name(name, sni);
	input.name = BYTES(sni, strlen(sni));
	ck_assert_int_eq(decide(&source, &input, &decision), 0);
	ck_assert_int_eq(decision.outcome, DECIDE_TERMINATE);
	ck_assert_msg(decision.ssl.handle == (ssl.fit > 0 ? &holding->ssls[ssl.index] : NULL), "ssl for %s", name);
	ck_assert_int_eq(decision.ssl_level, level_of(ssl.fit));
	ck_assert_msg(decision.route.handle == (route.fit > 0 ? &holding->routes[route.index] : NULL), "route for %s",
	              name);
	ck_assert_int_eq(decision.route_level,
	                 name[0] == '\0' && route.fit > 0 ? DECIDE_LEVEL_NO_NAME : level_of(route.fit));
}

static void run(size_t names, size_t holdings)
{
	static const char *const listeners[] = {"a", "b", "c", "d"};
	static const Tlsplane__TlsOptions options = {.has_min_version = 1, .min_version = 0x0303};
	static const Tlsplane__Upstream upstream = {.n_nodes = 0};

	for (size_t i = 0; i < holdings; i++) {
		struct holding holding;

		seed = names * 1000 + i;
		make_holding(names, &holding);
		holding.world.options[0] = (struct world_object){DECIDE_DEFAULT, &options, 0};
		holding.world.upstreams[0] = (struct world_object){"up", &upstream, 0};
		for (size_t j = 0; j < QUERIES / holdings; j++) {
			char name[NAME_MAX_LEN + 1];

			make_name(name, names > 1000 ? 12 : 3);
			compare(&holding, j % 16 == 0 ? "" : name, listeners[pick(4)]);
		}
		free_holding(&holding);
	}
}

START_TEST(one_name)
{
	run(1, 100);
}
END_TEST

START_TEST(a_hundred_names)
{
	run(100, 10);
}
END_TEST

START_TEST(a_hundred_and_one_names)
{
	run(101, 10);
}
END_TEST

START_TEST(ten_thousand_names)
{
	run(10000, 1);
}
END_TEST

/* A decision asks a bounded number of keys, however many names there are. */
START_TEST(lookups_are_bounded)
{
	static const Tlsplane__TlsOptions options = {.sni_strict = 1};
	static const Tlsplane__Upstream upstream = {.n_nodes = 0};
	struct world world = {.options = {{DECIDE_DEFAULT, &options, 0}}, .upstreams = {{"up", &upstream, 0}}};
	struct decide_source source = world_source(&world);
	Tlsplane__Listener body = {.upstream = TEXT("up")};
	struct decide_input input = {.listener = {"a", &body, NULL}};
	char name[NAME_MAX_LEN + 1];
	struct decision decision;

	for (size_t i = 0; i < NAME_MAX_LEN; i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	input.name = BYTES(name, NAME_MAX_LEN);
	ck_assert_int_eq(decide(&source, &input, &decision), 0);
	ck_assert_int_eq(decision.cause, DECIDE_CAUSE_NAME);
	ck_assert_uint_le(world.lookups, 2 + 126 + 1 + 3);
}
END_TEST

UNIT_MAIN("resolve/choice", one_name, a_hundred_names, a_hundred_and_one_names, ten_thousand_names, lookups_are_bounded)
