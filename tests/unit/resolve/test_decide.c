/* SPDX-License-Identifier: Apache-2.0 */
/* The decision step by step: what is taken from whom, what refuses with which cause and alert, and that nothing falls
 * back. */
#include "unit.h"
#include "world.h"

#include <stdio.h>

static char *any[] = {TEXT("*")}, *no_name[] = {TEXT("")}, *shop[] = {TEXT("shop.test")}, *deep[] = {TEXT("**.test")},
            *on_a[] = {TEXT("a")};
static const char *const shop_names[] = {"shop.test"}, *const wild_names[] = {"*.test"}, *const star_names[] = {"*"};

static uint8_t ten[] = {10, 0, 0, 0};
static Tlsplane__IpRange range = {.address = {4, ten}, .prefix = 8}, *ranges[] = {&range};
static const struct ip inside = {{10, 1, 2, 3}, 4}, outside = {{11, 1, 2, 3}, 4};

#define VERSIONS(low, high) .has_min_version = 1, .min_version = (low), .has_max_version = 1, .max_version = (high)

static Tlsplane__ClientAuth lost_bundle = {
    .has_verify = 1, .verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, .ca_bundle = TEXT("lost")};
static const Tlsplane__TlsOptions plain = {VERSIONS(0x0303, 0x0304)},
                                  strict = {VERSIONS(0x0303, 0x0304), .sni_strict = 1},
                                  fallback = {VERSIONS(0x0303, 0x0304), .default_ssl = TEXT("site")},
                                  dangling = {VERSIONS(0x0303, 0x0304), .default_ssl = TEXT("gone")},
                                  modern = {VERSIONS(0x0304, 0x0304)},
                                  bundled = {VERSIONS(0x0303, 0x0304), .client_auth = &lost_bundle};
static const Tlsplane__Upstream web = {.n_nodes = 0}, secure = {.tls = 1}, named = {.upstream_tls = TEXT("pinned")};
static const Tlsplane__UpstreamTls pinned = {.client_ssl = TEXT("me")};

struct bench {
	struct world world;
	struct world_ssl ssls[3];
	struct world_route routes[3];
	Tlsplane__Listener listener;
	struct decision decision;
};

/* A listener "a" with upstream "web", the options "default" = plain, one SSL object "site" for shop.test. */
static void set_up(struct bench *bench)
{
	*bench = (struct bench){.listener = {.upstream = TEXT("web")}};
	bench->world.options[0] = (struct world_object){"default", &plain, 0};
	bench->world.options[1] = (struct world_object){"strict", &strict, 0};
	bench->world.options[2] = (struct world_object){"fallback", &fallback, 0};
	bench->world.options[3] = (struct world_object){"dangling", &dangling, 0};
	bench->world.options[4] = (struct world_object){"modern", &modern, 0};
	bench->world.options[5] = (struct world_object){"bundled", &bundled, 0};
	bench->world.options[6] = (struct world_object){"bad", &plain, E_INVALID};
	bench->world.upstreams[0] = (struct world_object){"web", &web, 0};
	bench->world.upstreams[1] = (struct world_object){"secure", &secure, 0};
	bench->world.upstreams[2] = (struct world_object){"named", &named, 0};
	bench->world.upstream_tls[0] = (struct world_object){"pinned", &pinned, 0};
	bench->ssls[0] = (struct world_ssl){.id = "site", .names = shop_names, .names_len = 1};
	bench->world.ssls = bench->ssls;
	bench->world.ssls_len = 1;
	bench->world.routes = bench->routes;
}

static struct world_route *add_route(struct bench *bench, const char *id, char **snis)
{
	struct world_route *route = &bench->routes[bench->world.routes_len++];

	*route = (struct world_route){.id = id, .body = {.n_snis = 1, .snis = snis}};
	return route;
}

static const struct decision *decided(struct bench *bench, const char *name, struct ip client)
{
	struct decide_source source = world_source(&bench->world);
	struct decide_input input = {{"a", &bench->listener, NULL}, BYTES(name, strlen(name)), client};

	ck_assert_int_eq(decide(&source, &input, &bench->decision), 0);
	return &bench->decision;
}

static void check_refused(struct bench *bench, const char *name, enum decide_cause cause, uint8_t alert,
                          const char *word)
{
	const struct decision *decision = decided(bench, name, outside);

	ck_assert_int_eq(decision->outcome, DECIDE_REFUSE);
	ck_assert_msg(decision->cause == cause, "cause %d: %s", decision->cause, decision->why.text);
	ck_assert_uint_eq(decision->alert, alert);
	ck_assert_msg(strstr(decision->why.text, word) != NULL, "%s", decision->why.text);
	ck_assert_int_lt(decision->why.code, 0);
}

START_TEST(without_routes_the_listener_serves)
{
	struct bench bench;
	const struct decision *decision;

	set_up(&bench);
	decision = decided(&bench, "shop.test", outside);
	ck_assert_int_eq(decision->outcome, DECIDE_TERMINATE);
	ck_assert_int_eq(decision->cause, DECIDE_CAUSE_NONE);
	ck_assert_ptr_null(decision->route.id);
	ck_assert_int_eq(decision->route_level, DECIDE_LEVEL_NONE);
	ck_assert_str_eq(decision->ssl.id, "site");
	ck_assert_int_eq(decision->ssl_level, DECIDE_LEVEL_EXACT);
	ck_assert_str_eq(decision->options.id, "default");
	ck_assert_int_eq(decision->options_from, DECIDE_FROM_DEFAULT);
	ck_assert_uint_eq(decision->min, 0x0303);
	ck_assert_uint_eq(decision->max, 0x0304);
	ck_assert(!decision->client.ask && !decision->upstream_speaks_tls);
	ck_assert_str_eq(decision->upstream.id, "web");
	ck_assert_int_eq(decision->upstream_from, DECIDE_FROM_LISTENER);
}
END_TEST

START_TEST(without_an_upstream_nothing_is_served)
{
	struct bench bench;

	set_up(&bench);
	bench.listener.upstream = NULL;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_NAME, 112, "listener a");
	add_route(&bench, "r", shop)->body.upstream = TEXT("web");
	ck_assert_int_eq(decided(&bench, "shop.test", outside)->outcome, DECIDE_TERMINATE);
	ck_assert_int_eq(bench.decision.upstream_from, DECIDE_FROM_ROUTE);
	check_refused(&bench, "other.test", DECIDE_CAUSE_NAME, 112, "listener a");
	bench.routes[0].body.upstream = NULL;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "neither route r");
}
END_TEST

START_TEST(a_route_rejects)
{
	struct bench bench;

	set_up(&bench);
	add_route(&bench, "no", shop)->body.mode = TLSPLANE__ROUTE_MODE__ROUTE_REJECT;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_REJECTED, 49, "no");
	ck_assert_str_eq(bench.decision.route.id, "no");
	ck_assert_int_eq(decided(&bench, "other.test", outside)->outcome, DECIDE_TERMINATE);
}
END_TEST

/* Whoever is not in the list of the route chosen gets no other, laxer route. */
START_TEST(addresses_filter_and_choose_nothing)
{
	struct bench bench;
	struct world_route *closed;

	set_up(&bench);
	closed = add_route(&bench, "closed", shop);
	closed->body.n_allow_clients = 1;
	closed->body.allow_clients = ranges;
	add_route(&bench, "open", any);
	ck_assert_int_eq(decided(&bench, "shop.test", inside)->outcome, DECIDE_TERMINATE);
	check_refused(&bench, "shop.test", DECIDE_CAUSE_ADDRESS, 49, "closed");
	ck_assert_int_eq(decided(&bench, "shop.test", (struct ip){.len = 0})->cause, DECIDE_CAUSE_ADDRESS);
	ck_assert_str_eq(decided(&bench, "other.test", outside)->route.id, "open");
	closed->body.mode = TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_ADDRESS, 49, "closed");
}
END_TEST

START_TEST(a_route_passes_through)
{
	struct bench bench;
	struct world_route *route;

	set_up(&bench);
	route = add_route(&bench, "raw", deep);
	route->body.mode = TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH;
	route->body.upstream = TEXT("secure");
	bench.world.options[0].id = NULL; /* needs no options */
	ck_assert_int_eq(decided(&bench, "a.b.test", outside)->outcome, DECIDE_PASSTHROUGH);
	ck_assert_int_eq(bench.decision.route_level, DECIDE_LEVEL_ANY_DEPTH);
	ck_assert_str_eq(bench.decision.upstream.id, "secure");
	ck_assert(!bench.decision.upstream_speaks_tls);
	ck_assert_ptr_null(bench.decision.ssl.id);
}
END_TEST

START_TEST(routes_without_a_name)
{
	struct bench bench;

	set_up(&bench);
	add_route(&bench, "any", any);
	ck_assert_ptr_null(decided(&bench, "", outside)->route.id);
	add_route(&bench, "none", no_name);
	ck_assert_str_eq(decided(&bench, "", outside)->route.id, "none");
	ck_assert_int_eq(bench.decision.route_level, DECIDE_LEVEL_NO_NAME);
	ck_assert_str_eq(decided(&bench, "x", outside)->route.id, "any");
	ck_assert_int_eq(bench.decision.route_level, DECIDE_LEVEL_ANY);
}
END_TEST

START_TEST(a_route_that_names_the_listener_goes_first)
{
	struct bench bench;
	struct world_route *all, *ours;

	set_up(&bench);
	all = add_route(&bench, "all", shop);
	all->body.priority = 100;
	ours = add_route(&bench, "ours", shop);
	ours->body.n_listeners = 1;
	ours->body.listeners = on_a;
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->route.id, "ours");
	on_a[0] = TEXT("b");
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->route.id, "all");
	on_a[0] = TEXT("a");
}
END_TEST

START_TEST(options_are_chosen_whole)
{
	struct bench bench;
	struct world_route *route;

	set_up(&bench);
	bench.listener.tls_options = TEXT("strict");
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->options.id, "strict");
	ck_assert_int_eq(bench.decision.options_from, DECIDE_FROM_LISTENER);
	route = add_route(&bench, "r", shop);
	route->body.tls_options = TEXT("fallback");
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->options.id, "fallback");
	ck_assert_int_eq(bench.decision.options_from, DECIDE_FROM_ROUTE);
	bench.ssls[0].ssl.tls_options = "modern";
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->options.id, "modern");
	ck_assert_int_eq(bench.decision.options_from, DECIDE_FROM_SSL);
	ck_assert_str_eq(bench.decision.base.id, "fallback");
	ck_assert_int_eq(bench.decision.base_from, DECIDE_FROM_ROUTE);
	ck_assert_uint_eq(bench.decision.min, 0x0304);
}
END_TEST

START_TEST(names_without_a_certificate)
{
	struct bench bench;

	set_up(&bench);
	ck_assert_ptr_null(decided(&bench, "other.example", outside)->ssl.id);
	ck_assert_int_eq(bench.decision.ssl_level, DECIDE_LEVEL_NONE);
	bench.listener.tls_options = TEXT("strict");
	check_refused(&bench, "other.example", DECIDE_CAUSE_NAME, 112, "sni_strict");
	check_refused(&bench, "", DECIDE_CAUSE_NAME, 112, "sni_strict");
	bench.listener.tls_options = TEXT("fallback");
	ck_assert_str_eq(decided(&bench, "", outside)->ssl.id, "site");
	ck_assert_int_eq(bench.decision.ssl_level, DECIDE_LEVEL_DEFAULT);
	bench.listener.tls_options = TEXT("dangling");
	check_refused(&bench, "other.example", DECIDE_CAUSE_BROKEN, 80, "gone");
}
END_TEST

START_TEST(certificates_by_level)
{
	struct bench bench;

	set_up(&bench);
	bench.ssls[1] = (struct world_ssl){.id = "wild", .names = wild_names, .names_len = 1, .priority = 9};
	bench.ssls[2] = (struct world_ssl){.id = "star", .names = star_names, .names_len = 1, .priority = 10};
	bench.world.ssls_len = 3;
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->ssl.id, "site");
	ck_assert_str_eq(decided(&bench, "x.test", outside)->ssl.id, "wild");
	ck_assert_int_eq(bench.decision.ssl_level, DECIDE_LEVEL_ONE_LABEL);
	ck_assert_str_eq(decided(&bench, "y.x.test", outside)->ssl.id, "star");
	ck_assert_int_eq(bench.decision.ssl_level, DECIDE_LEVEL_ANY);
	ck_assert_ptr_null(decided(&bench, "", outside)->ssl.id);
}
END_TEST

START_TEST(versions_are_narrowed)
{
	struct bench bench;

	set_up(&bench);
	bench.ssls[0].ssl.min = bench.ssls[0].ssl.max = 0x0303;
	ck_assert_uint_eq(decided(&bench, "shop.test", outside)->max, 0x0303);
	bench.listener.tls_options = TEXT("modern");
	check_refused(&bench, "shop.test", DECIDE_CAUSE_VERSION, 70, "no version");
	bench.ssls[0].ssl.min = 0x0301;
	bench.ssls[0].ssl.max = 0x0304;
	ck_assert_uint_eq(decided(&bench, "shop.test", outside)->min, 0x0304);
}
END_TEST

START_TEST(how_upstreams_speak_tls)
{
	struct bench bench;
	struct world_route *route;

	set_up(&bench);
	bench.listener.upstream = TEXT("secure");
	ck_assert(decided(&bench, "shop.test", outside)->upstream_speaks_tls);
	ck_assert_ptr_null(bench.decision.upstream_tls.id);
	ck_assert_int_eq(bench.decision.upstream_tls_from, DECIDE_FROM_NONE);
	bench.world.upstream_tls[1] = (struct world_object){"default", &pinned, 0};
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->upstream_tls.id, "default");
	ck_assert_int_eq(bench.decision.upstream_tls_from, DECIDE_FROM_DEFAULT);
	bench.world.upstream_tls[2] = (struct world_object){"other", &pinned, 0};
	bench.listener.upstream = TEXT("named");
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->upstream_tls.id, "pinned");
	ck_assert_int_eq(bench.decision.upstream_tls_from, DECIDE_FROM_UPSTREAM);
	route = add_route(&bench, "r", shop);
	route->body.upstream_tls = TEXT("other");
	ck_assert_str_eq(decided(&bench, "shop.test", outside)->upstream_tls.id, "other");
	ck_assert_int_eq(bench.decision.upstream_tls_from, DECIDE_FROM_ROUTE);
	route->body.upstream = TEXT("web"); /* the route's word is enough: never plain instead */
	ck_assert(decided(&bench, "shop.test", outside)->upstream_speaks_tls);
	bench.world.upstream_tls[1].code = E_CRYPTO;
	route->body.upstream_tls = NULL;
	route->body.upstream = TEXT("secure");
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "made so");
}
END_TEST

START_TEST(what_is_not_held_refuses)
{
	struct bench bench;
	struct world_route *route;

	set_up(&bench);
	bench.listener.tls_options = TEXT("gone");
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "TLS options gone");
	bench.listener.tls_options = TEXT("bad");
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "made so");
	bench.listener.tls_options = TEXT("bundled");
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "CA bundle lost");
	bench.listener.tls_options = NULL;
	bench.ssls[0].ssl.tls_options = "gone";
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "TLS options gone");
	bench.ssls[0].ssl.tls_options = NULL;
	bench.ssls[0].code = E_CORRUPT;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "SSL object site");
	ck_assert_str_eq(bench.decision.ssl.id, "site");
	bench.ssls[0].code = 0;
	bench.listener.upstream = TEXT("gone");
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "upstream gone");
	route = add_route(&bench, "r", shop);
	route->body.upstream = TEXT("web");
	route->body.upstream_tls = TEXT("gone");
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "upstream TLS gone");
	route->code = E_INVALID;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "route r");
	bench.world.options[0].id = NULL;
	route->code = 0;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "TLS options default");
}
END_TEST

/* An object that can't be read is not passed over for a wildcard that can. */
START_TEST(a_broken_winner_hides_the_next_level)
{
	struct bench bench;

	set_up(&bench);
	bench.ssls[0].code = E_CRYPTO;
	bench.ssls[1] = (struct world_ssl){.id = "wild", .names = wild_names, .names_len = 1};
	bench.world.ssls_len = 2;
	check_refused(&bench, "shop.test", DECIDE_CAUSE_BROKEN, 80, "site");
	ck_assert_str_eq(decided(&bench, "x.test", outside)->ssl.id, "wild");
}
END_TEST

/* No memory, or a source that can't be read: no decision at all. */
START_TEST(a_source_that_fails)
{
	static const int codes[] = {E_NOMEM, E_IO, E_INTERNAL};

	for (size_t i = 0; i < ARRAY_LEN(codes) * 6; i++) {
		struct bench bench;
		struct decide_source source;
		struct decide_input input = {.name = BYTES("shop.test", 9)};
		int code = codes[i / 6];

		set_up(&bench);
		source = world_source(&bench.world);
		input.listener = (struct decide_listener){"a", &bench.listener, NULL};
		add_route(&bench, "r", shop)->body.upstream = TEXT("named");
		bench.ssls[0].ssl.client = &lost_bundle;
		bench.world.bundles[0] = (struct world_object){"lost", &(Tlsplane__CaBundle){.n_certs = 0}, 0};
		*(int *[]){&bench.routes[0].code,
		           &bench.ssls[0].code,
		           &bench.world.options[0].code,
		           &bench.world.upstreams[2].code,
		           &bench.world.upstream_tls[0].code,
		           &bench.world.bundles[0].code}[i % 6] = code;
		bench.decision.alert = 99;
		ck_assert_int_eq(decide(&source, &input, &bench.decision), code);
		ck_assert_uint_eq(bench.decision.alert, 99);
	}
}
END_TEST

UNIT_MAIN("resolve/decide", without_routes_the_listener_serves, without_an_upstream_nothing_is_served, a_route_rejects,
          addresses_filter_and_choose_nothing, a_route_passes_through, routes_without_a_name,
          a_route_that_names_the_listener_goes_first, options_are_chosen_whole, names_without_a_certificate,
          certificates_by_level, versions_are_narrowed, how_upstreams_speak_tls, what_is_not_held_refuses,
          a_broken_winner_hides_the_next_level, a_source_that_fails)
