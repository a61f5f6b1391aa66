/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions with origins and the client certificate shown to them: one identity never gets another's. */
#include "bodies.h"
#include "origin_rig.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Stands before the C library's, for OpenSSL too. */
static time_t clock_offset;

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += clock_offset;
	if (ret != NULL)
		*ret = now.tv_sec;
	return now.tv_sec;
}

static struct pki_cert *ca, *cert;
static ProtobufCBinaryData ca_der;
static Tlsplane__UpstreamTls body;
static struct origin_cache *cache;

static void setup(void)
{
	ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	cert = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test,DNS:p.test"});
	ca_der = bodies_der(ca);
	tlsplane__upstream_tls__init(&body);
	body.n_ca = 1;
	body.ca = &ca_der;
	ck_assert_int_eq(origin_cache_new(64, &cache, NULL), 0);
}

static void teardown(void)
{
	origin_cache_free(cache);
	free(ca_der.data);
	pki_free(cert);
	pki_free(ca);
}

static struct origin_rig connect_with(struct origin_profile *profile, const struct origin_target *target, SSL_CTX *server)
{
	struct origin_rig rig;

	origin_rig_run(profile, cache, target, server, &rig);
	origin_rig_deinit(&(struct origin_rig){.client = rig.client, .server = rig.server, .seat = {.profile = rig.seat.profile}});
	rig.client = rig.server = NULL;
	ck_assert_msg(rig.done, "%s", rig.seat.why.text);
	return rig;
}

START_TEST(test_reuse)
{
	struct origin_target target = {.host = "o.test", .port = 443};
	struct origin_profile *profile;

	setup();
	profile = origin_profile_of(&body, NULL, 1, NULL);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_CTX *server = origin_server(&(struct origin_spec){.cert = cert, .max = version});

		target.port++;
		ck_assert(!connect_with(profile, &target, server).resumed);
		for (int i = 0; i < 5; i++)
			ck_assert(connect_with(profile, &target, server).resumed);
		SSL_CTX_free(server);
	}
	origin_profile_unref(profile);
	teardown();
}
END_TEST

/* Whatever differs in whom we talk to, and as whom, keeps sessions apart; the server itself would take them all. */
START_TEST(test_identities)
{
	struct pki_cert *alice, *bob;
	struct site *sites[2];
	struct digest digests[2] = {{{1}}, {{2}}};
	struct origin_profile *one, *two, *fixed;
	SSL_CTX *server;

	setup();
	alice = pki_make(&(struct pki_spec){.name = "alice", .issuer = ca});
	bob = pki_make(&(struct pki_spec){.name = "bob", .issuer = ca});
	sites[0] = origin_site_of(alice, NULL);
	sites[1] = origin_site_of(bob, NULL);
	one = origin_profile_of(&body, NULL, 1, NULL);
	two = origin_profile_of(&body, NULL, 2, NULL);
	body.has_verify_name_policy = 1;
	body.verify_name_policy = TLSPLANE__NAME_POLICY__NAME_FIXED;
	body.verify_name = (char[]){"p.test"};
	fixed = origin_profile_of(&body, NULL, 1, NULL); /* even with the same digest the name to verify keeps it apart */
	const struct {
		struct origin_profile *profile;
		struct origin_target target;
		const char *peer;
	} rows[] = {
		{one, {.host = "o.test", .port = 443, .client = sites[0], .client_digest = &digests[0]}, "alice"},
		{one, {.host = "o.test", .port = 443, .client = sites[1], .client_digest = &digests[1]}, "bob"},
		{one, {.host = "p.test", .port = 443, .client = sites[0], .client_digest = &digests[0]}, "alice"},
		{one, {.host = "o.test", .port = 444, .client = sites[0], .client_digest = &digests[0]}, "alice"},
		{two, {.host = "o.test", .port = 443, .client = sites[0], .client_digest = &digests[0]}, "alice"},
		{fixed, {.host = "o.test", .port = 443, .client = sites[0], .client_digest = &digests[0]}, "alice"},
		{one, {.host = "o.test", .port = 443, .client = sites[1], .client_digest = NULL}, "bob"}, /* no digest: never shared */
	};
	const size_t count = sizeof(rows) / sizeof(rows[0]);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		server = origin_server(&(struct origin_spec){.cert = cert, .client_ca = ca, .max = version});
		for (size_t i = 0; i < count; i++) {
			struct origin_rig rig = connect_with(rows[i].profile, &rows[i].target, server);

			ck_assert_msg(!rig.resumed, "row %zu", i);
			ck_assert_str_eq(rig.peer, rows[i].peer);
		}
		for (size_t i = 0; i < count; i++) {
			struct origin_rig rig = connect_with(rows[i].profile, &rows[i].target, server);

			ck_assert_msg(rig.resumed == (i + 1 < count), "row %zu", i);
			ck_assert_str_eq(rig.peer, rows[i].peer);
		}
		SSL_CTX_free(server);
		origin_cache_free(cache);
		ck_assert_int_eq(origin_cache_new(64, &cache, NULL), 0);
	}
	for (int i = 0; i < 2; i++)
		site_unref(sites[i]);
	origin_profile_unref(one);
	origin_profile_unref(two);
	origin_profile_unref(fixed);
	pki_free(alice);
	pki_free(bob);
	teardown();
}
END_TEST

/* The rotated certificate is what the origin sees at the next handshake. A profile that names one does nothing without it. */
START_TEST(test_client_certificate)
{
	struct pki_cert *middle, *before, *after;
	struct digest digests[2] = {{{1}}, {{2}}};
	struct site *sites[2];
	struct origin_target target = {.host = "o.test", .port = 443};
	struct origin_profile *profile;
	struct origin_rig rig;
	SSL_CTX *server;

	setup();
	middle = pki_make(&(struct pki_spec){.name = "middle", .issuer = ca, .is_ca = true});
	before = pki_make(&(struct pki_spec){.name = "before", .issuer = middle});
	after = pki_make(&(struct pki_spec){.name = "after", .issuer = middle, .key = "RSA-2048"});
	sites[0] = origin_site_of(before, middle);
	sites[1] = origin_site_of(after, middle);
	body.client_ssl = (char[]){"c"};
	profile = origin_profile_of(&body, NULL, 1, NULL);
	server = origin_server(&(struct origin_spec){.cert = cert, .client_ca = ca});
	for (int i = 0; i < 2; i++) {
		target.client = sites[i];
		target.client_digest = &digests[i];
		rig = connect_with(profile, &target, server);
		ck_assert(!rig.resumed);
		ck_assert_str_eq(rig.peer, i == 0 ? "before" : "after");
	}
	target.client = NULL;
	origin_rig_run(profile, cache, &target, server, &rig);
	ck_assert(!rig.done && rig.client == NULL);
	ck_assert_int_eq(rig.seat.cause, ORIGIN_CAUSE_PROFILE);
	origin_rig_deinit(&rig);
	SSL_CTX_free(server);
	origin_profile_unref(profile);
	site_unref(sites[0]);
	site_unref(sites[1]);
	pki_free(middle);
	pki_free(before);
	pki_free(after);
	teardown();
}
END_TEST

/* What was let pass unverified is not kept, nor anything where reuse is off. */
START_TEST(test_not_kept)
{
	struct origin_target target = {.host = "elsewhere.test", .port = 443};
	struct origin_profile *permissive, *off;
	SSL_CTX *server;

	setup();
	server = origin_server(&(struct origin_spec){.cert = cert});
	body.has_verify = 1;
	body.verify = TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_PERMISSIVE;
	permissive = origin_profile_of(&body, NULL, 1, NULL);
	body.verify = TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_ENFORCED;
	body.has_session_reuse = 1;
	body.session_reuse = 0;
	off = origin_profile_of(&body, NULL, 2, NULL);
	for (int i = 0; i < 3; i++)
		ck_assert(!connect_with(permissive, &target, server).resumed);
	target.host = "o.test";
	ck_assert(!connect_with(permissive, &target, server).resumed);
	ck_assert(connect_with(permissive, &target, server).resumed); /* here all holds */
	for (int i = 0; i < 3; i++)
		ck_assert(!connect_with(off, &target, server).resumed);
	SSL_CTX_free(server);
	origin_profile_unref(permissive);
	origin_profile_unref(off);
	teardown();
}
END_TEST

/* However often renewed, a session ends an hour after the chain was verified; and with the certificate. */
START_TEST(test_age)
{
	struct origin_target target = {.host = "o.test", .port = 443};
	struct pki_cert *brief;
	struct origin_profile *profile;

	setup();
	profile = origin_profile_of(&body, NULL, 1, NULL);
	brief = pki_make(&(struct pki_spec){.issuer = ca, .sans = "DNS:o.test", .not_before = -100, .not_after = 600});
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_CTX *server = origin_server(&(struct origin_spec){.cert = cert, .max = version});
		SSL_CTX *other = origin_server(&(struct origin_spec){.cert = brief, .max = version});

		clock_offset = 0;
		target.port++;
		ck_assert(!connect_with(profile, &target, server).resumed);
		for (int minutes = 15; minutes <= 60; minutes += 15) {
			clock_offset = minutes * 60;
			ck_assert_msg(connect_with(profile, &target, server).resumed == (minutes < 60), "%d minutes", minutes);
		}
		clock_offset = 0;
		target.port++;
		ck_assert(!connect_with(profile, &target, other).resumed);
		ck_assert(connect_with(profile, &target, other).resumed);
		clock_offset = 700;
		ck_assert(!connect_with(profile, &target, server).resumed);
		SSL_CTX_free(server);
		SSL_CTX_free(other);
	}
	clock_offset = 0;
	pki_free(brief);
	origin_profile_unref(profile);
	teardown();
}
END_TEST

/* Far more identities than places: the newest are there, nothing leaks (the sanitizers look). */
START_TEST(test_bounded)
{
	struct origin_target target = {.host = "o.test"};
	struct origin_profile *profile;
	SSL_CTX *server;

	setup();
	origin_cache_free(cache);
	ck_assert_int_eq(origin_cache_new(1, &cache, NULL), 0);
	profile = origin_profile_of(&body, NULL, 1, NULL);
	server = origin_server(&(struct origin_spec){.cert = cert});
	for (uint16_t port = 1; port <= 40; port++) {
		target.port = port;
		ck_assert(!connect_with(profile, &target, server).resumed);
	}
	ck_assert(connect_with(profile, &target, server).resumed);
	target.port = 1;
	ck_assert(!connect_with(profile, &target, server).resumed);
	SSL_CTX_free(server);
	origin_profile_unref(profile);
	teardown();
}
END_TEST

UNIT_MAIN("tls/origin_sessions", test_reuse, test_identities, test_client_certificate, test_not_kept, test_age, test_bounded)
