/* SPDX-License-Identifier: Apache-2.0 */
#include "hello_plane.h"

#include <string.h>

/* The common name served for an SNI, "" when refused. */
static const char *served(const char *sni)
{
	static char name[64];
	struct shake shake;

	run(&(struct shake_spec){.sni = sni}, &shake);
	strcpy(name, shake.done ? shake.leaf : "");
	shake_deinit(&shake);
	return name;
}

START_TEST(test_names)
{
	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_a}});
	holding_put_ssl(&holding, "wild", &(struct ssl_spec){.snis = {"*.w.test"}, .pairs = {cert_wild}});
	publish();
	ck_assert_str_eq(served("a.test"), "a");
	ck_assert_str_eq(served("A.TEST"), "a");
	ck_assert_str_eq(served("a.test."), "a");
	ck_assert_str_eq(served("x.w.test"), "wild");
	ck_assert_str_eq(served("x.y.w.test"), "tlsplane default");
	ck_assert_str_eq(served("w.test"), "tlsplane default");
	ck_assert_str_eq(served(NULL), "tlsplane default");
	ck_assert_str_eq(served("127.0.0.1"), "tlsplane default");
	holding_begin(&holding, roots_current(context.roots)->snapshot);
	holding_put_ssl(&holding, "any", &(struct ssl_spec){.snis = {"*"}, .pairs = {cert_any}});
	publish();
	ck_assert(roots_reclaim(context.roots));
	ck_assert_str_eq(served("x.y.w.test"), "any");
	ck_assert_str_eq(served(NULL), "tlsplane default"); /* "*" needs a name */
	ck_assert_str_eq(served("127.0.0.1"), "tlsplane default");
	teardown();
}
END_TEST

START_TEST(test_hostile_names)
{
	static const char *const names[] = {
	    "a.test\r\nX: y", "a\x1b[31m.test", "a.test,DNS:b.test", "\xc3\xa4.test", "*.w.test", "a..test", ".",
	    "a b.test",       "a.test:443"};

	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	holding_put_ssl(&holding, "wild", &(struct ssl_spec){.snis = {"*.w.test"}, .pairs = {cert_wild}});
	publish();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct shake shake;

		ck_assert_msg(run(&(struct shake_spec){.sni = names[i]}, &shake) == HELLO_CAUSE_SNI, "name %zu", i);
		ck_assert(!shake.done);
		ck_assert_int_eq(shake.alert, SSL_AD_UNRECOGNIZED_NAME);
		shake_deinit(&shake);
	}
	teardown();
}
END_TEST

static void be_strict(Tlsplane__TlsOptions *options)
{
	options->has_sni_strict = options->sni_strict = 1;
}

static void have_default(Tlsplane__TlsOptions *options)
{
	options->default_ssl = (char *)(uintptr_t) "b";
}

START_TEST(test_strict_and_default)
{
	struct shake shake;

	setup();
	put_frame();
	holding_put_options(&holding, "modern", be_strict);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_a}});
	holding_put_ssl(&holding, "b", &(struct ssl_spec){.snis = {"b.test"}, .pairs = {cert_b}});
	publish();
	ck_assert_str_eq(served("a.test"), "a");
	ck_assert_int_eq(run(&(struct shake_spec){.sni = "c.test"}, &shake), HELLO_CAUSE_SNI);
	ck_assert(!shake.done);
	ck_assert_int_eq(shake.alert, SSL_AD_UNRECOGNIZED_NAME);
	shake_deinit(&shake);
	ck_assert_str_eq(served(NULL), "");
	holding_begin(&holding,
	              roots_current(context.roots)->snapshot); /* the listener's options win over the default ones, whole */
	holding_put_options(&holding, "kind", have_default);
	holding_put_listener(&holding, "l", "127.0.0.1", 8443, "u", "kind", 0);
	publish();
	ck_assert_str_eq(served("c.test"), "b");
	ck_assert_str_eq(served(NULL), "b");
	ck_assert_str_eq(served("a.test"), "a");
	teardown();
}
END_TEST

static void only_13(Tlsplane__TlsOptions *options)
{
	options->min_version = 0x0304;
}

/* Options of the object, else of the listener, else the default; ssl_protocols narrows what was chosen. */
START_TEST(test_options)
{
	struct shake shake;

	setup();
	put_frame();
	holding_put_options(&holding, "modern", only_13);
	holding_put_options(&holding, "wide", NULL);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_a}});
	holding_put_ssl(&holding, "b", &(struct ssl_spec){.snis = {"b.test"}, .pairs = {cert_b}, .tls_options = "wide"});
	holding_put_ssl(
	    &holding, "c",
	    &(struct ssl_spec){.snis = {"c.test"}, .pairs = {cert_wild}, .tls_options = "wide", .protocols = {0x0303}});
	publish();
	run(&(struct shake_spec){.sni = "a.test", .max = TLS1_2_VERSION}, &shake);
	ck_assert(!shake.done);
	ck_assert_int_eq(shake.alert, SSL_AD_PROTOCOL_VERSION);
	shake_deinit(&shake);
	run(&(struct shake_spec){.sni = "b.test", .max = TLS1_2_VERSION}, &shake);
	ck_assert(shake.done);
	shake_deinit(&shake);
	run(&(struct shake_spec){.sni = "c.test"}, &shake);
	ck_assert(shake.done);
	ck_assert_int_eq(SSL_version(shake.server), TLS1_2_VERSION);
	shake_deinit(&shake);
	teardown();
}
END_TEST

static bool is_let_in(const char *sni, const struct pki_cert *cert, const struct pki_cert *chain, int version)
{
	struct shake shake;
	bool done;

	run(&(struct shake_spec){.sni = sni, .cert = cert, .chain = chain, .min = version, .max = version}, &shake);
	done = shake.done;
	shake_deinit(&shake);
	return done;
}

static void ask_everybody(Tlsplane__TlsOptions *options)
{
	static ProtobufCBinaryData der;
	static Tlsplane__ClientAuth auth;

	free(der.data);
	der = bodies_der(other_ca);
	tlsplane__client_auth__init(&auth);
	auth.has_verify = 1;
	auth.verify = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE;
	auth.ca = &der;
	auth.n_ca = 1;
	options->client_auth = &auth;
}

/* An mTLS site beside an open one on one listener; on both versions. */
START_TEST(test_client_auth)
{
	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	holding_put_options(&holding, "ask", ask_everybody);
	holding_put_ssl(&holding, "open", &(struct ssl_spec){.snis = {"open.test"}, .pairs = {cert_a}});
	holding_put_ssl(&holding, "mtls", &(struct ssl_spec){.snis = {"mtls.test"}, .pairs = {cert_mtls}, .client_ca = ca});
	holding_put_ssl(&holding, "asked",
	                &(struct ssl_spec){.snis = {"asked.test"}, .pairs = {cert_b}, .tls_options = "ask"});
	holding_put_ssl(
	    &holding, "both",
	    &(struct ssl_spec){.snis = {"both.test"}, .pairs = {cert_b}, .tls_options = "ask", .client_ca = ca});
	holding_put_ssl(&holding, "flat",
	                &(struct ssl_spec){.snis = {"deep.test"}, .pairs = {cert_b}, .client_ca = ca, .client_depth = 2});
	publish();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		ck_assert(is_let_in("open.test", NULL, NULL, version));
		ck_assert(is_let_in("mtls.test", client, NULL, version));
		ck_assert(is_let_in("mtls.test", far_client, middle, version));
		ck_assert(!is_let_in("mtls.test", NULL, NULL, version));
		ck_assert(!is_let_in("mtls.test", other_client, NULL, version));
		ck_assert(is_let_in("asked.test", other_client, NULL, version));
		ck_assert(!is_let_in("asked.test", client, NULL, version));
		ck_assert(is_let_in("both.test", client, NULL, version)); /* the object's CA */
		ck_assert(!is_let_in("both.test", other_client, NULL, version));
		ck_assert(!is_let_in("both.test", NULL, NULL, version));
		ck_assert(is_let_in("deep.test", far_client, middle, version));
	}
	teardown();
}
END_TEST

START_TEST(test_bundle)
{
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	ProtobufCBinaryData der;

	setup();
	der = bodies_der(ca);
	bundle.certs = &der;
	bundle.n_certs = 1;
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	holding_put(&holding, KIND_CA_BUNDLE, "cas", &bundle);
	holding_put_ssl(&holding, "mtls",
	                &(struct ssl_spec){.snis = {"mtls.test"}, .pairs = {cert_mtls}, .client_bundle = "cas"});
	publish();
	ck_assert(is_let_in("mtls.test", client, NULL, TLS1_3_VERSION));
	ck_assert(!is_let_in("mtls.test", other_client, NULL, TLS1_3_VERSION));
	free(der.data);
	der = bodies_der(other_ca); /* from the next hello on */
	holding_begin(&holding, roots_current(context.roots)->snapshot);
	holding_put(&holding, KIND_CA_BUNDLE, "cas", &bundle);
	publish();
	ck_assert(!is_let_in("mtls.test", client, NULL, TLS1_3_VERSION));
	ck_assert(is_let_in("mtls.test", other_client, NULL, TLS1_3_VERSION));
	free(der.data);
	teardown();
}
END_TEST

static void only_p256(Tlsplane__TlsOptions *options)
{
	static uint32_t groups[] = {23};

	options->curve_preferences = groups;
	options->n_curve_preferences = 1;
}

/* The callback runs twice; what it decided first holds. */
START_TEST(test_retry)
{
	const struct shake_spec same = {.sni = "a.test", .groups = "X25519:P-256", .alpn = "\x02h2", .alpn_len = 3};
	struct shake_spec changed = same;
	struct shake shake;

	setup();
	put_frame();
	holding_put_options(&holding, "modern", only_p256);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_a}});
	holding_put_ssl(&holding, "b", &(struct ssl_spec){.snis = {"b.test"}, .pairs = {cert_b}, .client_ca = ca});
	publish();
	run(&same, &shake);
	ck_assert(shake.done);
	ck_assert_str_eq(shake.leaf, "a");
	shake_deinit(&shake);
	changed.sni_after_retry = "b.test";
	ck_assert_int_eq(run(&changed, &shake), HELLO_CAUSE_PROTOCOL);
	ck_assert(!shake.done);
	ck_assert_int_eq(shake.alert, SSL_AD_ILLEGAL_PARAMETER);
	shake_deinit(&shake);
	changed = same;
	changed.alpn_after_retry = "\x02h3";
	changed.alpn_after_retry_len = 3;
	ck_assert_int_eq(run(&changed, &shake), HELLO_CAUSE_PROTOCOL);
	ck_assert_int_eq(shake.alert, SSL_AD_ILLEGAL_PARAMETER);
	shake_deinit(&shake);
	teardown();
}
END_TEST

static void only_p384(Tlsplane__TlsOptions *options)
{
	static uint32_t group = 24;

	options->curve_preferences = &group;
	options->n_curve_preferences = 1;
}

/* The session-id context of a handshake for sni, of a client that shows its certificate when asked, where this is all there is. */
static struct digest context_of(const char *sni, const struct ssl_spec *spec, void (*change)(Tlsplane__TlsOptions *))
{
	struct digest context_id;
	struct shake shake;
	const unsigned char *id;
	unsigned len;

	put_frame();
	holding_put_options(&holding, "modern", change);
	holding_put_ssl(&holding, "a", spec);
	publish();
	run(&(struct shake_spec){.sni = sni, .cert = client}, &shake);
	ck_assert(shake.done);
	id = SSL_SESSION_get0_id_context(SSL_get0_session(shake.server), &len);
	ck_assert_uint_eq(len, DIGEST_LEN);
	memcpy(context_id.bytes, id, DIGEST_LEN);
	shake_deinit(&shake);
	return context_id;
}

/* Each of name, client rules and crypto profile makes it another one; leaf, names beside and revision don't. */
START_TEST(test_session_context)
{
	struct ssl_spec spec = {.snis = {"a.test", "b.test"}};
	struct digest base, other;

	setup();
	spec.pairs[0] = cert_a;
	base = context_of("a.test", &spec, NULL);
	other = context_of("A.TEST.", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_b}}, NULL);
	ck_assert(digest_is_equal(&base, &other));
	other = context_of("b.test", &spec, NULL);
	ck_assert(!digest_is_equal(&base, &other));
	other = context_of("a.test", &(struct ssl_spec){.snis = {"a.test", "b.test"}, .pairs = {cert_a}, .client_ca = ca}, NULL);
	ck_assert(!digest_is_equal(&base, &other));
	other = context_of("a.test", &spec, only_p384);
	ck_assert(!digest_is_equal(&base, &other));
	teardown();
}
END_TEST

START_TEST(test_nothing_falls_back)
{
	struct shake shake;
	struct hello hello;

	setup();
	ck_assert_int_eq(run(&(struct shake_spec){.sni = "a.test"}, &shake), HELLO_CAUSE_SITE); /* no snapshot yet */
	ck_assert_int_eq(shake.alert, SSL_AD_INTERNAL_ERROR);
	shake_deinit(&shake);
	put_frame();
	holding_put_options(&holding, "modern", only_13);
	holding_put_ssl(&holding, "c", &(struct ssl_spec){.snis = {"c.test"}, .pairs = {cert_a}});
	publish();
	hello_init(&hello, &context, "127.0.0.1:1", &client_ip); /* a socket whose listener is gone */
	shake_run(front, &hello.hook, &(struct shake_spec){.sni = "c.test"}, &shake);
	ck_assert(!shake.done);
	ck_assert_int_eq(hello.cause, HELLO_CAUSE_SITE);
	hello_deinit(&hello);
	shake_deinit(&shake);
	teardown();
}
END_TEST

/* A certificate taken on trust that does not open when asked for: refused each time, told once, and no word about its
 * neighbour. */
START_TEST(test_site_failure)
{
	struct failure failure;
	struct shake shake;

	setup();
	put_frame();
	holding_put_options(&holding, "modern", NULL);
	holding_put_ssl(&holding, "good", &(struct ssl_spec){.snis = {"good.test"}, .pairs = {cert_a}});
	holding_put_broken_ssl(&holding, "bad", &(struct ssl_spec){.snis = {"bad.test"}, .pairs = {cert_b}});
	holding.warm_max = 0;
	publish();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(run(&(struct shake_spec){.sni = "bad.test"}, &shake), HELLO_CAUSE_SITE);
		shake_deinit(&shake);
	}
	ck_assert_str_eq(served("good.test"), "a");
	ck_assert(failures_take(context.failures, &failure));
	ck_assert_str_eq(failure.id, "bad");
	ck_assert(failure.reason[0] != 0);
	ck_assert(!failures_take(context.failures, &failure));
	teardown();
}
END_TEST

/* The old address of a listener that has moved serves what the listener serves now. */
START_TEST(test_alias)
{
	struct alias *aliases = calloc(1, sizeof(*aliases));
	const uint16_t port = 9;

	setup();
	holding_begin(&holding, NULL);
	holding_put_upstream(&holding, "u", &port, 1);
	holding_put_listener(&holding, "l", "127.0.0.1", 8444, "u", NULL, 0);
	holding_put_options(&holding, "modern", NULL);
	holding_put_ssl(&holding, "a", &(struct ssl_spec){.snis = {"a.test"}, .pairs = {cert_a}});
	strcpy(aliases->from, ADDRESS);
	strcpy(aliases->to, "127.0.0.1:8444");
	roots_publish(context.roots, holding_finish(&holding), aliases, 1);
	ck_assert_str_eq(served("a.test"), "a");
	teardown();
}
END_TEST

UNIT_MAIN("proxy/hello", test_names, test_hostile_names, test_strict_and_default, test_options, test_client_auth,
          test_bundle, test_retry, test_session_context, test_nothing_falls_back, test_site_failure, test_alias)
