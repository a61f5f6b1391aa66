/* SPDX-License-Identifier: Apache-2.0 */
/* Deny lists, pins, allow rules, CRLs; the alerts that clients get; open connections under other rules. */
#include "tls/trust.h"

#include "bodies.h"
#include "crls.h"
#include "crypto/cert.h"
#include "rig.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE

/* root - middle - leaf, and a stranger under the same root. */
static struct pki_cert *root, *middle, *leaf, *other;

/* A list with one value, in static memory: two at a time. */
struct one {
	uint8_t bytes[32];
	ProtobufCBinaryData data;
	Tlsplane__ClientAuth auth;
};

static void setup(void)
{
	root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = middle, .sans = "DNS:leaf.test"});
	other = pki_make(&(struct pki_spec){.name = "other", .issuer = root, .sans = "DNS:other.test"});
}

static void teardown(void)
{
	for (struct pki_cert **at = (struct pki_cert *[]){root, middle, leaf, other, NULL}; *at != NULL; at++)
		pki_free(*at);
}

static struct one *one_of(struct one *one, const uint8_t *data, size_t len)
{
	tlsplane__client_auth__init(&one->auth);
	memcpy(one->bytes, data, len);
	one->data = (ProtobufCBinaryData){len, one->bytes};
	return one;
}

static struct one *spki_of(struct one *one, const struct pki_cert *cert)
{
	uint8_t digest[32];

	ck_assert_int_eq(cert_spki_sha256(cert->cert, digest, NULL), 0);
	return one_of(one, digest, sizeof(digest));
}

static struct one *serial_of(struct one *one, const struct pki_cert *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->cert);

	return one_of(one, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
}

static void connect_as(struct trust *trust, const struct pki_cert *cert, const struct pki_cert *chain, int version, struct rig *ret)
{
	static struct profile *profile;
	static struct rig_policy policy;

	if (profile == NULL)
		profile = rig_profile(TLS1_2_VERSION, TLS1_3_VERSION, 0, 0);
	policy = (struct rig_policy){.name = "a", .profile = profile, .trust = trust};
	rig_run(&policy, &(struct shake_spec){.min = version, .max = version, .cert = cert, .chain = chain}, ret);
}

/* Why cert is refused under both versions; NONE: it is let in. The alert is the one of both. */
static enum seat_cause judge(const struct rig_rules *rules, const struct pki_cert *cert, const struct pki_cert *chain, int *ret_alert)
{
	struct trust *trust = rig_trust(rules);
	enum seat_cause causes[2];
	int alerts[2];

	for (int i = 0; i < 2; i++) {
		struct rig rig;

		connect_as(trust, cert, chain, i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION, &rig);
		causes[i] = rig.seat.cause;
		alerts[i] = rig.shake.alert;
		ck_assert(rig.shake.done == (causes[i] == SEAT_CAUSE_NONE));
		ck_assert(rig.shake.done || rig.seat.why != NULL);
		ck_assert(rig.shake.done || rig.seat.facts == NULL); /* nobody counts as verified */
		ck_assert((rig.seat.refused != NULL) == (cert != NULL && !rig.shake.done));
		rig_deinit(&rig);
	}
	ck_assert_int_eq(causes[0], causes[1]);
	if (cert != NULL) /* for none, the versions have different alerts */
		ck_assert_int_eq(alerts[0], alerts[1]);
	if (ret_alert != NULL)
		*ret_alert = alerts[1];
	trust_unref(trust);
	return causes[0];
}

START_TEST(test_deny_lists)
{
	const struct pki_cert *chain[3];
	struct one one;

	setup();
	chain[0] = leaf;
	chain[1] = middle;
	chain[2] = root;
	for (int i = 0; i < 3; i++) {
		struct rig_rules rules = {.mode = REQUIRE, .cas = {root}, .parts = {&one.auth}};

		serial_of(&one, chain[i]);
		one.auth.n_deny_serials = 1;
		one.auth.deny_serials = &one.data;
		ck_assert_int_eq(judge(&rules, leaf, middle, NULL), SEAT_CAUSE_DENIED);
		ck_assert_int_eq(judge(&rules, other, NULL, NULL), i == 2 ? SEAT_CAUSE_DENIED : SEAT_CAUSE_NONE);
		spki_of(&one, chain[i]);
		one.auth.n_deny_spkis = 1;
		one.auth.deny_spkis = &one.data;
		ck_assert_int_eq(judge(&rules, leaf, middle, NULL), SEAT_CAUSE_DENIED);
		ck_assert_int_eq(judge(&rules, other, NULL, NULL), i == 2 ? SEAT_CAUSE_DENIED : SEAT_CAUSE_NONE);
	}
	teardown();
}
END_TEST

/* Each party's lists count, wherever they stand; and under a mode that does not verify, too. */
START_TEST(test_pins)
{
	struct one one, two;
	Tlsplane__ClientAuth plain = TLSPLANE__CLIENT_AUTH__INIT;

	setup();
	spki_of(&one, leaf);
	one.auth.n_pins = 1;
	one.auth.pins = &one.data;
	spki_of(&two, other);
	two.auth.n_pins = 1;
	two.auth.pins = &two.data;
	for (int i = 0; i < 2; i++) {
		Tlsplane__ClientVerify mode = i == 0 ? REQUIRE : TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY;
		struct rig_rules rules = {.mode = mode, .cas = {root}, .parts = {&plain, &one.auth}};

		ck_assert_int_eq(judge(&rules, leaf, middle, NULL), SEAT_CAUSE_NONE);
		ck_assert_int_eq(judge(&rules, other, NULL, NULL), SEAT_CAUSE_PIN);
		rules.parts[0] = &two.auth; /* nobody fits both */
		ck_assert_int_eq(judge(&rules, leaf, middle, NULL), SEAT_CAUSE_PIN);
		ck_assert_int_eq(judge(&rules, other, NULL, NULL), SEAT_CAUSE_PIN);
	}
	two.auth.n_pins = 0;
	two.auth.n_deny_spkis = 1;
	two.auth.deny_spkis = &two.data;
	ck_assert_int_eq(judge(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST, .parts = {&two.auth}}, other, NULL, NULL),
	                 SEAT_CAUSE_DENIED);
	teardown();
}
END_TEST

START_TEST(test_allow)
{
	char *leaf_name = (char[]){"leaf.test"}, *any_name = (char[]){"*.test"};
	Tlsplane__PeerRule rule = TLSPLANE__PEER_RULE__INIT, wide = TLSPLANE__PEER_RULE__INIT, *rules[] = {&rule}, *wides[] = {&wide};
	Tlsplane__ClientAuth narrow = TLSPLANE__CLIENT_AUTH__INIT, broad = TLSPLANE__CLIENT_AUTH__INIT;

	setup();
	rule.n_dns = wide.n_dns = 1;
	rule.dns = &leaf_name;
	wide.dns = &any_name;
	narrow.n_allow = broad.n_allow = 1;
	narrow.allow = rules;
	broad.allow = wides;
	struct rig_rules both = {.mode = REQUIRE, .cas = {root}, .parts = {&broad, &narrow}};
	struct rig_rules one = {.mode = REQUIRE, .cas = {root}, .parts = {&broad}};

	ck_assert_int_eq(judge(&one, leaf, middle, NULL), SEAT_CAUSE_NONE);
	ck_assert_int_eq(judge(&one, other, NULL, NULL), SEAT_CAUSE_NONE);
	ck_assert_int_eq(judge(&both, leaf, middle, NULL), SEAT_CAUSE_NONE);
	ck_assert_int_eq(judge(&both, other, NULL, NULL), SEAT_CAUSE_NOT_ALLOWED);
	/* Allow rules without verification: nobody at all, not even who shows nothing. */
	one.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST;
	ck_assert_int_eq(judge(&one, leaf, middle, NULL), SEAT_CAUSE_NOT_ALLOWED);
	ck_assert_int_eq(judge(&one, NULL, NULL, NULL), SEAT_CAUSE_NO_CERTIFICATE);
	teardown();
}
END_TEST

START_TEST(test_crls)
{
	enum { ROOT, MIDDLE, LEAF_REVOKED, MIDDLE_REVOKED, STALE, EARLY, FORGED, COUNT };
	ProtobufCBinaryData crls[COUNT];

	setup();
	crls[ROOT] = crls_make(&(struct pki_crl_spec){.issuer = root});
	crls[MIDDLE] = crls_make(&(struct pki_crl_spec){.issuer = middle});
	crls[LEAF_REVOKED] = crls_make(&(struct pki_crl_spec){.issuer = middle, .revoked = {other, leaf}});
	crls[MIDDLE_REVOKED] = crls_make(&(struct pki_crl_spec){.issuer = root, .revoked = {middle}});
	crls[STALE] = crls_make(&(struct pki_crl_spec){.issuer = middle, .this_update = -7200, .next_update = -3600});
	crls[EARLY] = crls_make(&(struct pki_crl_spec){.issuer = middle, .this_update = 3600, .next_update = 7200});
	crls[FORGED] = crls_make(&(struct pki_crl_spec){.issuer = middle, .signer = root});
	const struct {
		int first, second; /* -1: none */
		bool accept_stale;
		enum seat_cause leaf, other;
	} rows[] = {
		{ROOT, MIDDLE, false, SEAT_CAUSE_NONE, SEAT_CAUSE_NONE},
		{ROOT, LEAF_REVOKED, false, SEAT_CAUSE_REVOKED, SEAT_CAUSE_NONE}, /* the other has another issuer */
		{MIDDLE_REVOKED, MIDDLE, false, SEAT_CAUSE_REVOKED, SEAT_CAUSE_NONE},
		{ROOT, -1, false, SEAT_CAUSE_UNVERIFIED, SEAT_CAUSE_NONE}, /* no CRL for the leaf's issuer */
		{-1, MIDDLE, false, SEAT_CAUSE_UNVERIFIED, SEAT_CAUSE_UNVERIFIED},
		{ROOT, STALE, false, SEAT_CAUSE_UNVERIFIED, SEAT_CAUSE_NONE},
		{ROOT, STALE, true, SEAT_CAUSE_NONE, SEAT_CAUSE_NONE},
		{ROOT, LEAF_REVOKED, true, SEAT_CAUSE_REVOKED, SEAT_CAUSE_NONE},
		{ROOT, EARLY, true, SEAT_CAUSE_UNVERIFIED, SEAT_CAUSE_NONE},
		{ROOT, FORGED, true, SEAT_CAUSE_UNVERIFIED, SEAT_CAUSE_NONE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ProtobufCBinaryData held[2];
		struct rig_rules rules = {.mode = REQUIRE, .cas = {root}, .crls = held, .accept_stale = rows[i].accept_stale};

		if (rows[i].first >= 0)
			held[rules.crls_len++] = crls[rows[i].first];
		if (rows[i].second >= 0)
			held[rules.crls_len++] = crls[rows[i].second];
		ck_assert_msg(judge(&rules, leaf, middle, NULL) == rows[i].leaf, "row %zu, leaf", i);
		ck_assert_msg(judge(&rules, other, NULL, NULL) == rows[i].other, "row %zu, other", i);
	}
	for (size_t i = 0; i < COUNT; i++)
		free(crls[i].data);
	teardown();
}
END_TEST

START_TEST(test_alerts)
{
	struct pki_cert *old, *alien = pki_make(&(struct pki_spec){.name = "alien"});
	struct one pin, deny;
	ProtobufCBinaryData crls[2];
	int alert;

	setup();
	old = pki_make(&(struct pki_spec){.name = "old", .issuer = root, .not_before = -7200, .not_after = -3600});
	spki_of(&pin, leaf);
	pin.auth.n_pins = 1;
	pin.auth.pins = &pin.data;
	serial_of(&deny, other);
	deny.auth.n_deny_serials = 1;
	deny.auth.deny_serials = &deny.data;
	crls[0] = crls_make(&(struct pki_crl_spec){.issuer = root, .revoked = {other}});
	judge(&(struct rig_rules){.mode = REQUIRE, .cas = {root}}, alien, NULL, &alert);
	ck_assert_int_eq(alert, SSL_AD_UNKNOWN_CA);
	judge(&(struct rig_rules){.mode = REQUIRE, .cas = {root}}, old, NULL, &alert);
	ck_assert_int_eq(alert, SSL_AD_CERTIFICATE_EXPIRED);
	judge(&(struct rig_rules){.mode = REQUIRE, .cas = {root}}, NULL, NULL, &alert);
	ck_assert_int_eq(alert, SSL_AD_CERTIFICATE_REQUIRED);
	judge(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .crls = crls, .crls_len = 1}, other, NULL, &alert);
	ck_assert_int_eq(alert, SSL_AD_CERTIFICATE_REVOKED);
	judge(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .parts = {&deny.auth}}, other, NULL, &alert);
	ck_assert_int_eq(alert, SSL_AD_CERTIFICATE_REVOKED);
	judge(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .parts = {&pin.auth}}, other, NULL, &alert);
	ck_assert_int_eq(alert, SSL_AD_BAD_CERTIFICATE);
	free(crls[0].data);
	pki_free(old);
	pki_free(alien);
	teardown();
}
END_TEST

/* A client can make us hold no more than 16 KiB of certificates, whatever the mode. */
START_TEST(test_size)
{
	static char sans[30000];
	size_t at = 0;

	setup();
	for (int names = 0; names < 1000; names += 500) {
		struct pki_cert *big;
		struct trust *trust = rig_trust(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST});

		for (int i = 0; i < 500; i++)
			at += (size_t)snprintf(sans + at, sizeof(sans) - at, "%sDNS:%04d.some-name.test", at > 0 ? "," : "", names + i);
		big = pki_make(&(struct pki_spec){.name = "big", .sans = sans});
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			struct rig rig;

			connect_as(trust, big, NULL, version, &rig);
			ck_assert(rig.shake.done == (names == 0));
			rig_deinit(&rig);
		}
		trust_unref(trust);
		pki_free(big);
	}
	teardown();
}
END_TEST

static enum seat_cause judge_open(const struct rig_rules *rules, const struct rig *rig)
{
	struct trust *trust = rig_trust(rules);
	enum seat_cause cause = SEAT_CAUSE_NONE;
	struct error err = ERROR_NULL;
	int r = trust_judge(trust, rig->shake.server, rig->seat.facts, &cause, &err);

	ck_assert(r == 0 || (r == E_FORBIDDEN && cause != SEAT_CAUSE_NONE && err.text[0] != 0));
	trust_unref(trust);
	return cause;
}

/* An open connection meets every kind of tighter rules. */
START_TEST(test_judged_again)
{
	struct one one;
	ProtobufCBinaryData crls[2];
	struct trust *trust, *open;
	struct rig rig, anonymous;

	setup();
	crls[0] = crls_make(&(struct pki_crl_spec){.issuer = root});
	crls[1] = crls_make(&(struct pki_crl_spec){.issuer = middle, .revoked = {leaf}});
	trust = rig_trust(&(struct rig_rules){.mode = REQUIRE, .cas = {root}});
	open = rig_trust(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN, .cas = {root}});
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		connect_as(trust, leaf, middle, version, &rig);
		connect_as(open, NULL, NULL, version, &anonymous);
		ck_assert(rig.shake.done && anonymous.shake.done);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {root}}, &rig), SEAT_CAUSE_NONE);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_NONE}, &rig), SEAT_CAUSE_NONE);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {other}}, &rig), SEAT_CAUSE_UNVERIFIED);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE}, &rig), SEAT_CAUSE_UNVERIFIED);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .flat = true}, &rig), SEAT_CAUSE_UNVERIFIED);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .crls = crls, .crls_len = 2}, &rig),
		                 SEAT_CAUSE_REVOKED);
		spki_of(&one, middle);
		one.auth.n_deny_spkis = 1;
		one.auth.deny_spkis = &one.data;
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .parts = {&one.auth}}, &rig),
		                 SEAT_CAUSE_DENIED);
		spki_of(&one, other);
		one.auth.n_pins = 1;
		one.auth.pins = &one.data;
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .parts = {&one.auth}}, &rig), SEAT_CAUSE_PIN);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {root}}, &anonymous), SEAT_CAUSE_NO_CERTIFICATE);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN, .cas = {root}}, &anonymous),
		                 SEAT_CAUSE_NONE);
		rig_deinit(&rig);
		rig_deinit(&anonymous);
	}
	trust_unref(trust);
	trust_unref(open);
	free(crls[0].data);
	free(crls[1].data);
	teardown();
}
END_TEST

/* A key below the security level passed while nobody verified; a verifying rule refuses it, as it would in the handshake. */
START_TEST(test_weak_key_is_judged_again)
{
	struct pki_cert *weak;
	struct trust *trust = rig_trust(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST});

	setup();
	weak = pki_make(&(struct pki_spec){.name = "weak", .issuer = root, .key = "RSA-1024"});
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct rig rig;

		connect_as(trust, weak, NULL, version, &rig);
		ck_assert(rig.shake.done);
		ck_assert_int_eq(judge_open(&(struct rig_rules){.mode = REQUIRE, .cas = {root}}, &rig), SEAT_CAUSE_UNVERIFIED);
		rig_deinit(&rig);
	}
	trust_unref(trust);
	pki_free(weak);
	teardown();
}
END_TEST

UNIT_MAIN("tls/trust_rules", test_deny_lists, test_pins, test_allow, test_crls, test_alerts, test_size, test_judged_again,
          test_weak_key_is_judged_again)
