/* SPDX-License-Identifier: Apache-2.0 */
/* What routes make of a hello: mode, options, upstream, TLS with the upstream, limits; and open connections judged
 * again. */
#include "hello_plane.h"

#include "base/macros.h"

#include <stdio.h>
#include <string.h>

struct route_spec {
	const char *sni;
	Tlsplane__RouteMode mode;
	const char *options, *upstream, *upstream_tls;
	const char *allow; /* an IPv4 network of 8 bits: its first byte */
};

static void put_route(const char *id, const struct route_spec *spec)
{
	Tlsplane__Route route = TLSPLANE__ROUTE__INIT;
	Tlsplane__IpRange range = TLSPLANE__IP_RANGE__INIT, *ranges[] = {&range};
	char *sni = (char *)(uintptr_t)spec->sni;
	uint8_t network[4] = {0};

	route.snis = &sni;
	route.n_snis = 1;
	route.has_mode = spec->mode != TLSPLANE__ROUTE_MODE__ROUTE_TERMINATE;
	route.mode = spec->mode;
	route.tls_options = (char *)(uintptr_t)spec->options;
	route.upstream = (char *)(uintptr_t)spec->upstream;
	route.upstream_tls = (char *)(uintptr_t)spec->upstream_tls;
	if (spec->allow != NULL) {
		network[0] = (uint8_t)atoi(spec->allow);
		range.address = (ProtobufCBinaryData){4, network};
		range.prefix = 8;
		route.allow_clients = ranges;
		route.n_allow_clients = 1;
	}
	holding_put(&holding, KIND_ROUTE, id, &route);
}

/* A hello that stays, to look at what it carries. */
struct met {
	struct hello hello;
	struct shake shake;
};

static void meet(const struct shake_spec *spec, struct met *met)
{
	hello_init(&met->hello, &context, ADDRESS, &client_ip);
	shake_run(front, &met->hello.hook, spec, &met->shake);
}

static void part(struct met *met)
{
	shake_deinit(&met->shake);
	hello_deinit(&met->hello);
}

static void expect_refusal(const char *sni, enum hello_cause cause, int alert, const char *route)
{
	struct met met;

	meet(&(struct shake_spec){.sni = sni}, &met);
	ck_assert(!met.shake.done);
	ck_assert_int_eq(met.hello.cause, cause);
	ck_assert_int_eq(met.shake.alert, alert);
	ck_assert_str_eq(met.hello.route, route);
	ck_assert(!met.hello.decided);
	ck_assert_ptr_null(met.hello.upstream);
	part(&met);
}

static void only_12(Tlsplane__TlsOptions *options)
{
	options->max_version = 0x0303;
	options->has_max_handshakes = options->has_handshakes_per_second = 1;
	options->max_handshakes = 3;
	options->handshakes_per_second = 7;
	options->has_handshake_timeout_ms = 1;
	options->handshake_timeout_ms = 1500;
}

static void begin(void)
{
	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test", "*.w.test"}, .pairs = {cert_a}});
}

static void change(void)
{
	holding_begin(&holding, roots_current(context.roots)->snapshot);
}

START_TEST(test_modes)
{
	struct met met;

	begin();
	put_route("no", &(struct route_spec){.sni = "no.test", .mode = TLSPLANE__ROUTE_MODE__ROUTE_REJECT});
	put_route("near", &(struct route_spec){.sni = "near.test", .allow = "127"});
	put_route("far", &(struct route_spec){.sni = "a.test", .allow = "10"});
	publish();
	expect_refusal("no.test", HELLO_CAUSE_REJECTED, SSL_AD_ACCESS_DENIED, "no");
	expect_refusal("a.test", HELLO_CAUSE_ADDRESS, SSL_AD_ACCESS_DENIED, "far"); /* and never the listener instead */
	meet(&(struct shake_spec){.sni = "near.test"}, &met);
	ck_assert(met.shake.done);
	ck_assert_str_eq(met.hello.route, "near");
	ck_assert_str_eq(met.hello.ssl, "");
	part(&met);
	meet(&(struct shake_spec){.sni = "x.w.test"}, &met);
	ck_assert(met.shake.done);
	ck_assert_str_eq(met.hello.route, "");
	ck_assert_str_eq(met.hello.ssl, "a");
	part(&met);
	teardown();
}
END_TEST

/* Not a byte goes to the client, and no certificate is needed. */
START_TEST(test_passthrough)
{
	const uint16_t port = 10;
	struct met met;

	begin();
	holding_put_upstream(&holding, "v", &port, 1);
	put_route("pass", &(struct route_spec){
	                      .sni = "**.pass.test", .mode = TLSPLANE__ROUTE_MODE__ROUTE_PASSTHROUGH, .upstream = "v"});
	publish();
	meet(&(struct shake_spec){.sni = "x.y.pass.test"}, &met);
	ck_assert(!met.shake.done);
	ck_assert_int_eq(met.shake.alert, -1);
	ck_assert_int_eq(SSL_want(met.shake.server), SSL_CLIENT_HELLO_CB);
	ck_assert_uint_eq(BIO_ctrl_pending(SSL_get_rbio(met.shake.client)), 0);
	ck_assert(met.hello.decided && met.hello.passthrough);
	ck_assert_int_eq(met.hello.cause, HELLO_CAUSE_NONE);
	ck_assert_str_eq(met.hello.name, "x.y.pass.test");
	ck_assert_str_eq(upstream_id(met.hello.upstream), "v");
	ck_assert_ptr_null(met.hello.origin);
	part(&met);
	teardown();
}
END_TEST

START_TEST(test_options_and_upstream)
{
	const uint16_t port = 10;
	struct met met;

	begin();
	holding_put_upstream(&holding, "v", &port, 1);
	holding_put_options(&holding, "old", only_12);
	put_route("r", &(struct route_spec){.sni = "*.w.test", .options = "old", .upstream = "v"});
	publish();
	meet(&(struct shake_spec){.sni = "x.w.test"}, &met);
	ck_assert(met.shake.done);
	ck_assert_int_eq(SSL_version(met.shake.server), TLS1_2_VERSION);
	ck_assert_str_eq(upstream_id(met.hello.upstream), "v");
	ck_assert_uint_eq(met.hello.handshake_timeout_ms, 1500);
	ck_assert_uint_eq(met.hello.limits.max_handshakes, 3);
	ck_assert_uint_eq(met.hello.limits.handshakes_per_second, 7);
	ck_assert_str_eq(met.hello.limits.bucket, "x.w.test");
	part(&met);
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert(met.shake.done);
	ck_assert_int_eq(SSL_version(met.shake.server), TLS1_3_VERSION);
	ck_assert_str_eq(upstream_id(met.hello.upstream), "u");
	ck_assert_uint_eq(met.hello.handshake_timeout_ms, 10000);
	ck_assert_uint_eq(met.hello.limits.max_handshakes, 0);
	ck_assert_str_eq(met.hello.limits.bucket, "a.test");
	part(&met);
	meet(&(struct shake_spec){.sni = "whatever.test"}, &met); /* known to nobody: one bucket for all */
	ck_assert(met.shake.done);
	ck_assert_str_eq(met.hello.limits.bucket, "");
	part(&met);
	teardown();
}
END_TEST

/* A listener without an upstream serves what routes name, and nothing else. */
START_TEST(test_listener_without_upstream)
{
	struct met met;

	begin();
	holding_put_listener(&holding, "l", "127.0.0.1", 8443, NULL, NULL, 0);
	put_route("r", &(struct route_spec){.sni = "a.test", .upstream = "u"});
	publish();
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert(met.shake.done);
	part(&met);
	expect_refusal("x.w.test", HELLO_CAUSE_SNI, SSL_AD_UNRECOGNIZED_NAME, "");
	expect_refusal(NULL, HELLO_CAUSE_SNI, SSL_AD_UNRECOGNIZED_NAME, "");
	teardown();
}
END_TEST

static void put_tls_upstream(const char *id, const char *upstream_tls, unsigned proxy_protocol)
{
	Tlsplane__Upstream upstream = TLSPLANE__UPSTREAM__INIT;
	Tlsplane__Node node = TLSPLANE__NODE__INIT, *nodes[] = {&node};
	char host[] = "127.0.0.1";

	node.host = host;
	node.port = 9;
	node.weight = 1;
	upstream.nodes = nodes;
	upstream.n_nodes = 1;
	upstream.has_tls = upstream.tls = 1;
	upstream.upstream_tls = (char *)(uintptr_t)upstream_tls;
	upstream.has_send_proxy_protocol = proxy_protocol > 0;
	upstream.send_proxy_protocol = proxy_protocol;
	holding_put(&holding, KIND_UPSTREAM, id, &upstream);
}

static void put_upstream_tls(const char *id, const char *client_ssl)
{
	Tlsplane__UpstreamTls tls = TLSPLANE__UPSTREAM_TLS__INIT;

	tls.client_ssl = (char *)(uintptr_t)client_ssl;
	holding_put(&holding, KIND_UPSTREAM_TLS, id, &tls);
}

/* The route's, else the upstream's, else "default", else what is built in; a rotated client certificate keeps the
 * profile. */
START_TEST(test_origin)
{
	struct origin_profile *built_in, *of_upstream;
	struct met met;
	struct digest before;

	begin();
	put_tls_upstream("u", NULL, 2);
	publish();
	built_in = snapshot_builtin_origin(roots_current(context.roots)->snapshot);
	ck_assert_ptr_nonnull(built_in);
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert(met.shake.done);
	ck_assert_ptr_eq(met.hello.origin, built_in);
	ck_assert_ptr_null(met.hello.origin_site);
	ck_assert_uint_eq(met.hello.send_proxy_protocol, 2);
	part(&met);
	change();
	put_upstream_tls("default", NULL);
	publish();
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert_ptr_eq(met.hello.origin,
	                 snapshot_find_upstream_tls(roots_current(context.roots)->snapshot, NULL)->profile);
	part(&met);
	change();
	holding_put_client_ssl(&holding, "me", client, false);
	put_upstream_tls("mtls", "me");
	put_upstream_tls("other", NULL);
	put_tls_upstream("u", "mtls", 0);
	put_route("r", &(struct route_spec){.sni = "x.w.test", .upstream_tls = "other"});
	publish();
	of_upstream = snapshot_find_upstream_tls(roots_current(context.roots)->snapshot, "mtls")->profile;
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert_ptr_eq(met.hello.origin, of_upstream);
	ck_assert_ptr_nonnull(met.hello.origin_site);
	before = met.hello.origin_site_digest;
	part(&met);
	meet(&(struct shake_spec){.sni = "x.w.test"}, &met);
	ck_assert_ptr_eq(met.hello.origin,
	                 snapshot_find_upstream_tls(roots_current(context.roots)->snapshot, "other")->profile);
	ck_assert_ptr_null(met.hello.origin_site);
	part(&met);
	change();
	holding_put_client_ssl(&holding, "me", far_client, false);
	publish();
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert_ptr_eq(met.hello.origin, of_upstream);
	ck_assert(!digest_is_equal(&before, &met.hello.origin_site_digest));
	part(&met);
	teardown();
}
END_TEST

/* Without its certificate the origin is not spoken to: refused, and told once. */
START_TEST(test_broken_origin_certificate)
{
	struct failure failure;

	begin();
	holding.warm_max = 0;
	holding_put_client_ssl(&holding, "me", client, true);
	put_upstream_tls("mtls", "me");
	put_tls_upstream("u", "mtls", 0);
	publish();
	expect_refusal("a.test", HELLO_CAUSE_SITE, SSL_AD_INTERNAL_ERROR, "");
	ck_assert_ptr_nonnull(strstr(context.error.text, "client_ssl me"));
	ck_assert(failures_take(context.failures, &failure));
	ck_assert_str_eq(failure.id, "me");
	ck_assert(!failures_take(context.failures, &failure));
	teardown();
}
END_TEST

/* Certificates for origins answer to no name. */
START_TEST(test_client_type_is_never_served)
{
	struct met met;

	begin();
	holding_put_client_ssl(&holding, "me", client, false);
	publish();
	meet(&(struct shake_spec){.sni = "x.test"}, &met);
	ck_assert_str_eq(met.hello.ssl, "");
	part(&met);
	teardown();
}
END_TEST

static void put_mtls(const struct pki_cert *anchor)
{
	holding_put_ssl(&holding, "m", &(struct ssl_spec){.snis = {"m.test"}, .pairs = {cert_mtls}, .client_ca = anchor});
}

static const struct pki_cert *options_ca;

static void ask_for_options_ca(Tlsplane__TlsOptions *options)
{
	static Tlsplane__ClientAuth auth;
	static ProtobufCBinaryData der;

	free(der.data);
	der = bodies_der(options_ca);
	tlsplane__client_auth__init(&auth);
	auth.has_verify = 1;
	auth.verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
	auth.ca = &der;
	auth.n_ca = 1;
	options->client_auth = &auth;
}

static bool passes(const char *sni, const struct pki_cert *cert)
{
	struct met met;
	bool done;

	meet(&(struct shake_spec){.sni = sni, .cert = cert, .max = TLS1_2_VERSION}, &met);
	done = met.shake.done;
	part(&met);
	return done;
}

/* Rules in the options and in the object: a change of either holds from the next hello on. */
START_TEST(test_rules_follow_their_objects)
{
	setup();
	put_frame();
	options_ca = ca;
	holding_put_options(&holding, "modern", ask_for_options_ca);
	put_mtls(ca);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_a}});
	publish();
	ck_assert(passes("a.test", client) && !passes("a.test", other_client) && !passes("a.test", NULL));
	ck_assert(passes("m.test", client) && !passes("m.test", other_client));
	change();
	put_mtls(other_ca);
	publish();
	ck_assert(passes("a.test", client) && !passes("a.test", other_client));
	ck_assert(!passes("m.test", client) && passes("m.test", other_client));
	change();
	options_ca = other_ca;
	holding_put_options(&holding, "modern", ask_for_options_ca);
	publish();
	ck_assert(!passes("a.test", client) && passes("a.test", other_client));
	ck_assert(!passes("m.test", client) && passes("m.test", other_client));
	teardown();
}
END_TEST

static void demand_other_key(Tlsplane__TlsOptions *options)
{
	static uint8_t pin[SHA256_LEN];
	static ProtobufCBinaryData pins = {sizeof(pin), pin};

	options_ca = ca;
	ask_for_options_ca(options);
	options->client_auth->pins = &pins;
	options->client_auth->n_pins = 1;
}

/* One object under two options: the rules of one are not those of the other, whichever were made first. */
START_TEST(test_rules_are_of_both)
{
	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	holding_put_options(&holding, "pinned", demand_other_key);
	holding_put_ssl(&holding, "m", &(struct ssl_spec){.snis = {"m.test", "n.test"}, .pairs = {cert_mtls}, .client_ca = ca});
	put_route("r", &(struct route_spec){.sni = "n.test", .options = "pinned"});
	publish();
	ck_assert(passes("m.test", client));
	ck_assert(!passes("n.test", client));
	ck_assert(passes("m.test", client));
	teardown();
}
END_TEST

static int judge(struct met *met, const SSL *ssl, const char *expected)
{
	struct error why = ERROR_NULL;
	int r =
	    hello_judge(&context, ADDRESS, met->hello.name, &client_ip, ssl, ssl != NULL ? &met->hello.seat : NULL, &why);

	if (expected != NULL)
		ck_assert_msg(strstr(why.text, expected) != NULL, "%s", why.text);
	else
		ck_assert_msg(r == 0, "%s", why.text);
	return r;
}

START_TEST(test_judge_routes)
{
	struct met met;

	begin();
	publish();
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert(met.shake.done);
	ck_assert_int_eq(judge(&met, met.shake.server, NULL), 0);
	change();
	put_route("no", &(struct route_spec){.sni = "a.test", .mode = TLSPLANE__ROUTE_MODE__ROUTE_REJECT});
	publish();
	ck_assert_int_eq(judge(&met, met.shake.server, "no"), E_FORBIDDEN);
	ck_assert_int_eq(judge(&met, NULL, "no"), E_FORBIDDEN);
	change();
	put_route("no", &(struct route_spec){.sni = "a.test", .allow = "10"});
	publish();
	ck_assert_int_eq(judge(&met, NULL, "ranges"), E_FORBIDDEN);
	change();
	put_route("no", &(struct route_spec){.sni = "a.test", .allow = "127"});
	publish();
	ck_assert_int_eq(judge(&met, NULL, NULL), 0);
	change(); /* no certificate and no listener any more: stays */
	holding_remove(&holding, KIND_ROUTE, "no");
	holding_remove(&holding, KIND_SSL, "a");
	publish();
	ck_assert_int_eq(judge(&met, met.shake.server, NULL), 0);
	change();
	holding_remove(&holding, KIND_LISTENER, "l");
	publish();
	ck_assert_int_eq(judge(&met, met.shake.server, NULL), 0);
	part(&met);
	teardown();
}
END_TEST

START_TEST(test_judge_client_rules)
{
	struct met met, unknown;

	begin();
	put_mtls(ca);
	publish();
	meet(&(struct shake_spec){.sni = "m.test", .cert = client}, &met);
	ck_assert(met.shake.done);
	meet(&(struct shake_spec){.sni = "a.test"}, &unknown);
	ck_assert(unknown.shake.done);
	ck_assert_int_eq(judge(&met, met.shake.server, NULL), 0);
	change();
	put_mtls(ca); /* the same rules in a newer object */
	publish();
	ck_assert_int_eq(judge(&met, met.shake.server, NULL), 0);
	change();
	put_mtls(other_ca);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_a}, .client_ca = ca});
	publish();
	ck_assert_int_eq(judge(&met, met.shake.server, ""), E_FORBIDDEN);
	ck_assert_int_eq(judge(&met, NULL, "demanded"), E_FORBIDDEN); /* passed through: it has shown nothing */
	ck_assert_int_eq(judge(&unknown, unknown.shake.server, ""), E_FORBIDDEN);
	part(&met);
	part(&unknown);
	teardown();
}
END_TEST

static void keep(Tlsplane__TlsOptions *options)
{
	ask_for_options_ca(options);
	options->client_auth->has_on_tighten = 1;
	options->client_auth->on_tighten = TLSPLANE__ON_TIGHTEN__TIGHTEN_KEEP;
}

START_TEST(test_judge_keeps_when_told)
{
	struct met met;

	begin();
	publish();
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert(met.shake.done);
	change();
	options_ca = other_ca;
	holding_put_options(&holding, "modern", keep);
	publish();
	ck_assert_int_eq(judge(&met, met.shake.server, NULL), 0);
	ck_assert_int_eq(judge(&met, NULL, NULL), 0);
	part(&met);
	teardown();
}
END_TEST

static void trust_garbage(Tlsplane__TlsOptions *options)
{
	static uint8_t garbage[] = {0x30, 0};

	options_ca = ca;
	ask_for_options_ca(options);
	free(options->client_auth->ca[0].data);
	options->client_auth->ca[0] = (ProtobufCBinaryData){sizeof(garbage), memcpy(malloc(sizeof(garbage)), garbage, sizeof(garbage))};
}

/* Rules that can't be built verify nobody: neither who comes nor who is there. */
START_TEST(test_judge_broken_rules)
{
	struct met met;

	begin();
	publish();
	meet(&(struct shake_spec){.sni = "a.test", .cert = client}, &met);
	ck_assert(met.shake.done);
	change();
	holding_put_options(&holding, "modern", trust_garbage);
	publish();
	ck_assert(!passes("a.test", client));
	ck_assert_int_lt(judge(&met, met.shake.server, "client CA 0"), 0);
	part(&met);
	teardown();
}
END_TEST

/* Tickets are those of the selector of the object; without keys there are none. */
START_TEST(test_tickets)
{
	uint8_t name[TICKET_NAME_LEN] = {1}, secret[TICKET_SECRET_LEN] = {2};
	Tlsplane__TicketKeys keys = TLSPLANE__TICKET_KEYS__INIT;
	Tlsplane__TicketSet set = TLSPLANE__TICKET_SET__INIT, *sets[] = {&set};
	Tlsplane__TicketKey key = TLSPLANE__TICKET_KEY__INIT, *list[] = {&key};
	struct met met;

	begin();
	publish();
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert_int_eq(met.shake.tickets, 0);
	part(&met);
	key.name = (ProtobufCBinaryData){sizeof(name), name};
	key.secret = (ProtobufCBinaryData){sizeof(secret), secret};
	key.has_encrypt_from = 1;
	key.encrypt_from = 1;
	key.encrypt_until = key.decrypt_until = UINT32_MAX;
	set.selector = (char *)(uintptr_t) "";
	set.keys = list;
	set.n_keys = 1;
	keys.serial = 1;
	keys.sets = sets;
	keys.n_sets = 1;
	ck_assert_int_eq(ticket_sets_new(&keys, &context.tickets, NULL), 0);
	meet(&(struct shake_spec){.sni = "a.test"}, &met);
	ck_assert_int_eq(met.shake.tickets, 2);
	ck_assert_ptr_eq(met.hello.seat.sets, context.tickets);
	seat_settle(&met.hello.seat, met.shake.server, 0); /* no longer than the handshake */
	ck_assert_ptr_null(met.hello.seat.sets);
	ck_assert_ptr_null(met.hello.seat.key);
	part(&met);
	meet(&(struct shake_spec){.sni = "nobody.test"}, &met); /* the generated certificate's are those of "" */
	ck_assert_int_eq(met.shake.tickets, 2);
	part(&met);
	context.tickets = ticket_sets_unref(context.tickets);
	teardown();
}
END_TEST

UNIT_MAIN("proxy/hello_routes", test_modes, test_passthrough, test_options_and_upstream, test_listener_without_upstream,
          test_origin, test_broken_origin_certificate, test_client_type_is_never_served,
          test_rules_follow_their_objects, test_rules_are_of_both, test_judge_routes, test_judge_client_rules, test_judge_keeps_when_told,
          test_judge_broken_rules, test_tickets)
