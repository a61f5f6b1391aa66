/* SPDX-License-Identifier: Apache-2.0 */
/* What of an origin's certificate is verified, and what follows. */
#include "bodies.h"
#include "crls.h"
#include "crypto/cert.h"
#include "origin_rig.h"
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENFORCED TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_ENFORCED
#define PERMISSIVE TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_PERMISSIVE
#define DISABLED TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED
#define ALL TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_ALL
#define SIGNATURE TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_SIGNATURE
#define NAME TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_NAME

static struct pki_cert *ca, *wrong;
static ProtobufCBinaryData ca_der;

static void setup(void)
{
	ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	wrong = pki_make(&(struct pki_spec){.name = "wrong", .is_ca = true});
	ca_der = bodies_der(ca);
}

static void teardown(void)
{
	free(ca_der.data);
	pki_free(ca);
	pki_free(wrong);
}

static Tlsplane__UpstreamTls body_of(Tlsplane__UpstreamVerify verify, Tlsplane__UpstreamProperties properties)
{
	Tlsplane__UpstreamTls body = TLSPLANE__UPSTREAM_TLS__INIT;

	body.n_ca = 1;
	body.ca = &ca_der;
	body.has_verify = body.has_properties = 1;
	body.verify = verify;
	body.properties = properties;
	return body;
}

/* One handshake with host; the rig keeps its plain values. */
static struct origin_rig connect_with(struct origin_profile *profile, const char *host, const char *inbound, const struct pki_cert *cert)
{
	SSL_CTX *server = origin_server(&(struct origin_spec){.cert = cert});
	struct origin_target target = {.host = host, .port = 443, .inbound_name = inbound};
	struct origin_rig rig;

	origin_rig_run(profile, NULL, &target, server, &rig);
	origin_rig_deinit(&(struct origin_rig){.client = rig.client, .server = rig.server, .seat = {.profile = rig.seat.profile}});
	rig.client = rig.server = NULL;
	SSL_CTX_free(server);
	return rig;
}

static enum origin_cause judge(const Tlsplane__UpstreamTls *body, const char *host, const struct pki_cert *cert)
{
	struct origin_profile *profile = origin_profile_of(body, NULL, 1, NULL);
	struct origin_rig rig = connect_with(profile, host, NULL, cert);
	enum origin_cause cause = rig.seat.cause;
	bool passes = cause == ORIGIN_CAUSE_NONE || (body->verify == PERMISSIVE && cause != ORIGIN_CAUSE_PROFILE);

	ck_assert_msg(rig.done == passes, "cause %d: %s", (int)cause, rig.seat.why.text);
	ck_assert(rig.seat.failed_permissive == (body->verify == PERMISSIVE && cause != ORIGIN_CAUSE_NONE));
	ck_assert((rig.seat.why.text[0] != 0) == (cause != ORIGIN_CAUSE_NONE));
	origin_profile_unref(profile);
	return cause;
}

/* verify x properties x certificate. */
START_TEST(test_matrix)
{
	enum { GOOD, WRONG_CA, WRONG_NAME, OLD, SELF, NUL, CLIENT_ONLY, CERTS };
	static const Tlsplane__UpstreamProperties properties[] = {ALL, SIGNATURE, NAME};
	static const enum origin_cause want[CERTS][3] = {
		[GOOD] = {ORIGIN_CAUSE_NONE, ORIGIN_CAUSE_NONE, ORIGIN_CAUSE_NONE},
		[WRONG_CA] = {ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_NONE},
		[WRONG_NAME] = {ORIGIN_CAUSE_NAME, ORIGIN_CAUSE_NONE, ORIGIN_CAUSE_NAME},
		[OLD] = {ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_NONE},
		[SELF] = {ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_NONE},
		[NUL] = {ORIGIN_CAUSE_NAME, ORIGIN_CAUSE_NONE, ORIGIN_CAUSE_NAME},
		[CLIENT_ONLY] = {ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_NONE},
	};
	struct pki_cert *certs[CERTS];

	setup();
	certs[GOOD] = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test"});
	certs[WRONG_CA] = pki_make(&(struct pki_spec){.issuer = wrong, .sans = "DNS:o.test"});
	certs[WRONG_NAME] = pki_make(&(struct pki_spec){.name = "o.test", .issuer = ca, .sans = "DNS:other.test"});
	certs[OLD] = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test", .not_before = -7200, .not_after = -3600});
	certs[SELF] = pki_make(&(struct pki_spec){.sans = "DNS:o.test"});
	certs[NUL] = pki_make(&(struct pki_spec){.issuer = ca, .dns_raw = "o.test\0.evil", .dns_raw_len = 12});
	certs[CLIENT_ONLY] = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test", .usage = "clientAuth"});
	for (size_t i = 0; i < CERTS; i++)
		for (size_t j = 0; j < 3; j++) {
			Tlsplane__UpstreamTls body = body_of(ENFORCED, properties[j]);

			ck_assert_msg(judge(&body, "o.test", certs[i]) == want[i][j], "certificate %zu, properties %zu", i, j);
			body.verify = PERMISSIVE;
			ck_assert_int_eq(judge(&body, "o.test", certs[i]), want[i][j]);
			body.verify = DISABLED;
			ck_assert_int_eq(judge(&body, "o.test", certs[i]), ORIGIN_CAUSE_NONE);
		}
	for (size_t i = 0; i < CERTS; i++)
		pki_free(certs[i]);
	teardown();
}
END_TEST

START_TEST(test_names)
{
	static const struct {
		const char *sans, *common_name, *host;
		bool fits;
	} rows[] = {
		{"DNS:o.test", "x", "o.test", true},
		{"DNS:O.TEST", "x", "o.test", true},
		{"DNS:*.d.test", "x", "o.d.test", true},
		{"DNS:*.d.test", "x", "a.o.d.test", false},
		{"DNS:*.d.test", "x", "d.test", false},
		{"DNS:*.test", "x", "o.test", false},       /* OpenSSL wants two labels behind a wildcard */
		{"DNS:o*.d.test", "x", "ox.d.test", false}, /* no partial wildcards */
		{"DNS:*x.d.test", "x", "ox.d.test", false},
		{"DNS:a.*.d.test", "x", "a.o.d.test", false},
		{NULL, "o.test", "o.test", false}, /* the subject is not looked at, not even without names */
		{"email:x@o.test", "o.test", "o.test", false},
		{"URI:https://o.test", "o.test", "o.test", false},
		{"IP:192.0.2.1", "x", "192.0.2.1", true},
		{"IP:192.0.2.1", "x", "192.0.2.2", false},
		{"DNS:192.0.2.1", "192.0.2.1", "192.0.2.1", false}, /* an address in a dNSName is no address */
		{"IP:2001:db8::1", "x", "2001:db8::1", true},
		{"DNS:*.0.2.1", "x", "192.0.2.1", false},
	};

	setup();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pki_cert *cert = pki_make(&(struct pki_spec){.name = rows[i].common_name, .sans = rows[i].sans, .issuer = ca});
		Tlsplane__UpstreamTls body = body_of(ENFORCED, ALL);

		ck_assert_msg(judge(&body, rows[i].host, cert) == (rows[i].fits ? ORIGIN_CAUSE_NONE : ORIGIN_CAUSE_NAME), "row %zu", i);
		pki_free(cert);
	}
	teardown();
}
END_TEST

START_TEST(test_name_policies)
{
	enum {
		HOST = TLSPLANE__NAME_POLICY__NAME_HOST,
		INBOUND = TLSPLANE__NAME_POLICY__NAME_INBOUND,
		FIXED = TLSPLANE__NAME_POLICY__NAME_FIXED,
	};
	static const struct {
		int sni_policy, verify_policy; /* -1: absent */
		const char *host, *inbound, *sni, *verified;
	} rows[] = {
		{-1, -1, "h.test", "in.test", "h.test", "h.test"},
		{HOST, -1, "192.0.2.1", "in.test", "", "192.0.2.1"}, /* never an address in SNI */
		{INBOUND, -1, "h.test", "in.test", "in.test", "in.test"},
		{INBOUND, -1, "h.test", NULL, "", "h.test"},
		{INBOUND, HOST, "h.test", "in.test", "in.test", "h.test"},
		{FIXED, -1, "h.test", "in.test", "f.test", "f.test"},
		{FIXED, INBOUND, "h.test", "in.test", "f.test", "in.test"},
		{HOST, FIXED, "h.test", "in.test", "h.test", "v.test"},
		{HOST, INBOUND, "h.test", "", "h.test", ""}, /* no name to verify by: refused */
	};

	setup();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char sans[64];
		struct pki_cert *cert, *other = pki_make(&(struct pki_spec){.sans = "DNS:other.test", .issuer = ca});
		Tlsplane__UpstreamTls body = body_of(ENFORCED, ALL);
		struct origin_profile *profile;
		struct origin_rig rig;

		snprintf(sans, sizeof(sans), "%s:%s", rows[i].verified[0] == '1' ? "IP" : "DNS", rows[i].verified[0] != 0 ? rows[i].verified : "x");
		cert = pki_make(&(struct pki_spec){.sans = sans, .issuer = ca});
		body.has_sni_policy = rows[i].sni_policy >= 0;
		body.sni_policy = (Tlsplane__NamePolicy)(rows[i].sni_policy >= 0 ? rows[i].sni_policy : HOST);
		body.has_verify_name_policy = rows[i].verify_policy >= 0;
		body.verify_name_policy = (Tlsplane__NamePolicy)(rows[i].verify_policy >= 0 ? rows[i].verify_policy : HOST);
		body.server_name = (char[]){"f.test"};
		body.verify_name = (char[]){"v.test"};
		profile = origin_profile_of(&body, NULL, 1, NULL);
		rig = connect_with(profile, rows[i].host, rows[i].inbound, cert);
		ck_assert_msg(strcmp(rig.sni, rows[i].sni) == 0, "row %zu: %s", i, rig.sni);
		ck_assert_str_eq(rig.seat.verify_name, rows[i].verified);
		ck_assert_msg(rig.done == (rows[i].verified[0] != 0), "row %zu", i);
		rig = connect_with(profile, rows[i].host, rows[i].inbound, other);
		ck_assert(!rig.done);
		ck_assert_int_eq(rig.seat.cause, ORIGIN_CAUSE_NAME);
		origin_profile_unref(profile);
		pki_free(cert);
		pki_free(other);
	}
	teardown();
}
END_TEST

START_TEST(test_pins_and_allow)
{
	struct pki_cert *pinned, *other;
	uint8_t spki[32];
	ProtobufCBinaryData pin = {sizeof(spki), spki};
	char *uri = (char[]){"spiffe://t/o"};
	Tlsplane__PeerRule rule = TLSPLANE__PEER_RULE__INIT, *rules = &rule;
	Tlsplane__UpstreamTls body;

	setup();
	pinned = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test,URI:spiffe://t/o"});
	other = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test"});
	ck_assert_int_eq(cert_spki_sha256(pinned->cert, spki, NULL), 0);
	body = body_of(ENFORCED, ALL);
	body.n_pins = 1;
	body.pins = &pin;
	ck_assert_int_eq(judge(&body, "o.test", pinned), ORIGIN_CAUSE_NONE);
	ck_assert_int_eq(judge(&body, "o.test", other), ORIGIN_CAUSE_PIN);
	ck_assert_int_eq(judge(&body, "p.test", pinned), ORIGIN_CAUSE_NAME); /* besides all else */
	body.verify = DISABLED;
	ck_assert_int_eq(judge(&body, "p.test", pinned), ORIGIN_CAUSE_NONE);
	ck_assert_int_eq(judge(&body, "p.test", other), ORIGIN_CAUSE_PIN);
	body = body_of(ENFORCED, ALL);
	rule.n_uri = 1;
	rule.uri = &uri;
	body.n_allow = 1;
	body.allow = &rules;
	ck_assert_int_eq(judge(&body, "elsewhere.test", pinned), ORIGIN_CAUSE_NONE); /* in place of the name */
	ck_assert_int_eq(judge(&body, "o.test", other), ORIGIN_CAUSE_NAME);
	pki_free(pinned);
	pki_free(other);
	teardown();
}
END_TEST

START_TEST(test_crls)
{
	struct pki_cert *good, *revoked;
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	Tlsplane__UpstreamTls body;
	ProtobufCBinaryData crls[2];
	static const struct {
		int crl;
		bool accept_stale;
		enum origin_cause good, revoked;
	} rows[] = {{0, false, ORIGIN_CAUSE_NONE, ORIGIN_CAUSE_REVOKED},
	            {1, false, ORIGIN_CAUSE_CHAIN, ORIGIN_CAUSE_CHAIN},
	            {1, true, ORIGIN_CAUSE_NONE, ORIGIN_CAUSE_REVOKED}};

	setup();
	good = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test"});
	revoked = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test"});
	crls[0] = crls_make(&(struct pki_crl_spec){.issuer = ca, .revoked = {revoked}});
	crls[1] = crls_make(&(struct pki_crl_spec){.issuer = ca, .revoked = {revoked}, .this_update = -7200, .next_update = -3600});
	bundle.n_certs = bundle.n_crls = 1;
	bundle.certs = &ca_der;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct origin_profile *profile;

		body = body_of(ENFORCED, ALL);
		body.n_ca = 0;
		body.ca_bundle = (char[]){"b"};
		body.has_allow_stale_crls = rows[i].accept_stale;
		body.allow_stale_crls = rows[i].accept_stale;
		bundle.crls = &crls[rows[i].crl];
		profile = origin_profile_of(&body, &bundle, 1, NULL);
		ck_assert_msg(connect_with(profile, "o.test", NULL, good).seat.cause == rows[i].good, "row %zu", i);
		ck_assert_msg(connect_with(profile, "o.test", NULL, revoked).seat.cause == rows[i].revoked || rows[i].revoked == ORIGIN_CAUSE_CHAIN,
		              "row %zu", i);
		ck_assert(!connect_with(profile, "o.test", NULL, revoked).done);
		origin_profile_unref(profile);
	}
	free(crls[0].data);
	free(crls[1].data);
	pki_free(good);
	pki_free(revoked);
	teardown();
}
END_TEST

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* System CAs alone, none where others are named, both when asked for; a file that is away refuses and says so. */
START_TEST(test_system_cas)
{
	char path[] = "/tmp/tlsplane-test-XXXXXX";
	struct pki_cert *theirs, *ours;
	struct origin_profile *profile;
	struct error why = ERROR_NULL;
	struct origin_rig rig;
	Tlsplane__UpstreamTls body = TLSPLANE__UPSTREAM_TLS__INIT;

	setup();
	close(mkstemp(path));
	write_file(path, wrong->pem);
	theirs = pki_make(&(struct pki_spec){.issuer = wrong, .sans = "DNS:o.test"});
	ours = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test"});
	profile = origin_profile_of(NULL, NULL, 1, path);
	ck_assert(origin_profile_is_usable(profile, NULL));
	ck_assert(connect_with(profile, "o.test", NULL, theirs).done);
	ck_assert_int_eq(connect_with(profile, "o.test", NULL, ours).seat.cause, ORIGIN_CAUSE_CHAIN);
	origin_profile_unref(profile);
	body = body_of(ENFORCED, ALL);
	profile = origin_profile_of(&body, NULL, 1, path);
	ck_assert(connect_with(profile, "o.test", NULL, ours).done);
	ck_assert(!connect_with(profile, "o.test", NULL, theirs).done);
	origin_profile_unref(profile);
	body.has_system_ca = body.system_ca = 1;
	profile = origin_profile_of(&body, NULL, 1, path);
	ck_assert(connect_with(profile, "o.test", NULL, ours).done);
	ck_assert(connect_with(profile, "o.test", NULL, theirs).done);
	origin_profile_unref(profile);
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			unlink(path);
		else
			write_file(path, i == 1 ? "" : "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
		profile = origin_profile_of(NULL, NULL, 1, path);
		ck_assert(!origin_profile_is_usable(profile, &why));
		ck_assert_ptr_nonnull(strstr(why.text, path));
		rig = connect_with(profile, "o.test", NULL, theirs);
		ck_assert(!rig.done);
		ck_assert_int_eq(rig.seat.cause, ORIGIN_CAUSE_PROFILE);
		origin_profile_refresh(profile);
		ck_assert(!origin_profile_is_usable(profile, NULL));
		ck_assert(!connect_with(profile, "o.test", NULL, theirs).done);
		write_file(path, wrong->pem); /* mends itself, and trusts no more than that */
		origin_profile_refresh(profile);
		ck_assert(origin_profile_is_usable(profile, NULL));
		ck_assert(connect_with(profile, "o.test", NULL, theirs).done);
		ck_assert_int_eq(connect_with(profile, "o.test", NULL, ours).seat.cause, ORIGIN_CAUSE_CHAIN);
		write_file(path, "gone bad"); /* what has been read stays */
		origin_profile_refresh(profile);
		ck_assert(connect_with(profile, "o.test", NULL, theirs).done);
		write_file(path, ca->pem); /* another holds from the next handshake on */
		origin_profile_refresh(profile);
		ck_assert(connect_with(profile, "o.test", NULL, ours).done);
		ck_assert_int_eq(connect_with(profile, "o.test", NULL, theirs).seat.cause, ORIGIN_CAUSE_CHAIN);
		origin_profile_unref(profile);
		unlink(path);
	}
	body = body_of(DISABLED, ALL); /* needs none */
	body.n_ca = 0;
	profile = origin_profile_of(&body, NULL, 1, path);
	ck_assert(origin_profile_is_usable(profile, NULL));
	origin_profile_unref(profile);
	unlink(path);
	pki_free(theirs);
	pki_free(ours);
	teardown();
}
END_TEST

/* Causes of the origin's own, and what the client says to a bad one. */
START_TEST(test_causes)
{
	struct pki_cert *cert;
	struct origin_profile *profile;
	struct origin_target target = {.host = "o.test", .port = 1};
	Tlsplane__UpstreamTls body;
	SSL_CTX *server;
	struct origin_rig rig;

	setup();
	cert = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test"});
	body = body_of(ENFORCED, ALL);
	profile = origin_profile_of(&body, NULL, 1, NULL);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) { /* it wants a client certificate */
		server = origin_server(&(struct origin_spec){.cert = cert, .client_ca = ca, .max = version});
		origin_rig_run(profile, NULL, &target, server, &rig);
		ck_assert(!rig.done);
		ck_assert_int_eq(rig.seat.cause, ORIGIN_CAUSE_ALERT);
		ck_assert_ptr_nonnull(strstr(rig.seat.why.text, "alert"));
		origin_rig_deinit(&rig);
		SSL_CTX_free(server);
	}
	server = origin_server(&(struct origin_spec){.cert = cert, .max = TLS1_1_VERSION}); /* versions don't meet */
	origin_rig_run(profile, NULL, &target, server, &rig);
	ck_assert(!rig.done && (rig.seat.cause == ORIGIN_CAUSE_ALERT || rig.seat.cause == ORIGIN_CAUSE_PROTOCOL));
	origin_rig_deinit(&rig);
	SSL_CTX_free(server);
	server = origin_server(&(struct origin_spec){.cert = wrong});
	origin_rig_run(profile, NULL, &target, server, &rig);
	ck_assert_int_eq(rig.alert, SSL_AD_UNKNOWN_CA);
	origin_rig_deinit(&rig);
	SSL_CTX_free(server);
	target.host = "p.test";
	server = origin_server(&(struct origin_spec){.cert = cert});
	origin_rig_run(profile, NULL, &target, server, &rig);
	ck_assert_int_eq(rig.alert, SSL_AD_BAD_CERTIFICATE);
	origin_rig_deinit(&rig);
	SSL_CTX_free(server);
	origin_profile_unref(profile);
	pki_free(cert);
	teardown();
}
END_TEST

START_TEST(test_parameters)
{
	struct pki_cert *cert;
	struct origin_target target = {.host = "o.test", .port = 1};
	uint32_t suite = 0x1303;
	char *alpn[] = {(char[]){"h2"}, (char[]){"http/1.1"}};
	Tlsplane__UpstreamTls body;
	struct origin_profile *profile = NULL;
	SSL_CTX *server;
	struct origin_rig rig;

	setup();
	cert = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test"});
	body = body_of(ENFORCED, ALL);
	body.has_min_version = body.has_max_version = 1;
	body.min_version = body.max_version = TLS1_3_VERSION;
	body.n_cipher_suites = 1;
	body.cipher_suites = &suite;
	body.n_alpn_protocols = 2;
	body.alpn_protocols = alpn;
	body.has_handshake_timeout_ms = 1;
	body.handshake_timeout_ms = 1234;
	profile = origin_profile_of(&body, NULL, 1, NULL);
	ck_assert_uint_eq(origin_profile_timeout_ms(profile), 1234);
	server = origin_server(&(struct origin_spec){.cert = cert, .alpn = "\x08http/1.1"});
	origin_rig_run(profile, NULL, &target, server, &rig);
	ck_assert(rig.done);
	ck_assert_str_eq(rig.alpn, "http/1.1");
	ck_assert_str_eq(SSL_get_cipher(rig.client), "TLS_CHACHA20_POLY1305_SHA256");
	origin_rig_deinit(&rig);
	SSL_CTX_free(server);
	origin_profile_unref(profile);
	profile = NULL;
	suite = 0x0005; /* RC4 */
	ck_assert_int_eq(origin_profile_new(&body, NULL, &(struct digest){{1}}, NULL, &profile, NULL), E_INVALID);
	body = body_of(ENFORCED, ALL);
	body.ca_bundle = (char[]){"b"};
	ck_assert_int_eq(origin_profile_new(&body, NULL, &(struct digest){{1}}, NULL, &profile, NULL), E_INVALID);
	ck_assert_ptr_null(profile);
	profile = origin_profile_of(NULL, NULL, 1, "/nonexistent");
	ck_assert_uint_eq(origin_profile_timeout_ms(profile), 10000);
	origin_profile_unref(profile);
	pki_free(cert);
	teardown();
}
END_TEST

UNIT_MAIN("tls/origin", test_matrix, test_names, test_name_policies, test_pins_and_allow, test_crls, test_system_cas, test_causes,
          test_parameters)
