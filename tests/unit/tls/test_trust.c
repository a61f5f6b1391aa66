/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/trust.h"

#include "bodies.h"
#include "crls.h"
#include "rig.h"
#include "tls/trust_impl.h"
#include "unit.h"

#include <stdlib.h>

#define REQUIRE TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE

/* The server's verdict on a client, the same for both versions. */
static bool is_let_in(struct trust *trust, const struct pki_cert *cert, const struct pki_cert *chain, struct rig *ret)
{
	struct rig_policy policy = {.name = "a", .profile = rig_profile(TLS1_2_VERSION, TLS1_3_VERSION, 0, 0), .trust = trust};
	bool done[2];

	for (int i = 0; i < 2; i++) {
		int version = i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
		struct rig rig;

		rig_run(&policy, &(struct shake_spec){.min = version, .max = version, .cert = cert, .chain = chain}, &rig);
		done[i] = rig.shake.done;
		if (ret != NULL && i == 1)
			*ret = rig; /* for its plain values */
		rig_deinit(&rig);
	}
	ck_assert(done[0] == done[1]);
	profile_unref((struct profile *)(uintptr_t)policy.profile);
	return done[0];
}

START_TEST(test_verdicts)
{
	struct pki_cert *root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	struct pki_cert *wrong = pki_make(&(struct pki_spec){.name = "wrong", .is_ca = true});
	struct pki_cert *middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	struct pki_cert *near = pki_make(&(struct pki_spec){.name = "near", .issuer = root, .usage = "clientAuth"});
	struct pki_cert *far = pki_make(&(struct pki_spec){.name = "far", .issuer = middle});
	struct pki_cert *alien = pki_make(&(struct pki_spec){.name = "alien", .issuer = wrong});
	struct pki_cert *mail = pki_make(&(struct pki_spec){.name = "mail", .issuer = root, .usage = "emailProtection"});
	struct pki_cert *old =
		pki_make(&(struct pki_spec){.name = "old", .issuer = root, .not_before = -7200, .not_after = -3600});
	struct pki_cert *early =
		pki_make(&(struct pki_spec){.name = "early", .issuer = root, .not_before = 3600, .not_after = 7200});
	struct pki_cert *self = pki_make(&(struct pki_spec){.name = "self"});
	struct trust *deep = rig_trust(&(struct rig_rules){.mode = REQUIRE, .cas = {root}});
	struct trust *flat = rig_trust(&(struct rig_rules){.mode = REQUIRE, .cas = {root}, .flat = true});
	struct trust *partial = rig_trust(&(struct rig_rules){.mode = REQUIRE, .cas = {middle}, .depth = 4});
	struct trust *empty = rig_trust(&(struct rig_rules){.mode = REQUIRE});

	ck_assert(is_let_in(NULL, NULL, NULL, NULL)); /* nobody is asked */
	ck_assert(is_let_in(deep, near, NULL, NULL));
	ck_assert(is_let_in(deep, far, middle, NULL));
	ck_assert(is_let_in(flat, near, NULL, NULL));
	ck_assert(!is_let_in(flat, far, middle, NULL)); /* one intermediate too many */
	ck_assert(!is_let_in(deep, NULL, NULL, NULL));
	ck_assert(!is_let_in(deep, far, NULL, NULL)); /* the chain has a hole */
	ck_assert(!is_let_in(deep, alien, NULL, NULL));
	ck_assert(!is_let_in(deep, mail, NULL, NULL));
	ck_assert(!is_let_in(deep, old, NULL, NULL));
	ck_assert(!is_let_in(deep, early, NULL, NULL));
	ck_assert(!is_let_in(deep, self, NULL, NULL));
	ck_assert(!is_let_in(deep, middle, NULL, NULL)); /* a CA is no client, though OpenSSL would let it pass as one */
	ck_assert(!is_let_in(partial, far, NULL, NULL)); /* an intermediate is no anchor */
	ck_assert(!is_let_in(empty, near, NULL, NULL));
	for (struct trust **at = (struct trust *[]){deep, flat, partial, empty, NULL}; *at != NULL; at++)
		trust_unref(*at);
	for (struct pki_cert **at =
	         (struct pki_cert *[]){root, wrong, middle, near, far, alien, mail, old, early, self, NULL};
	     *at != NULL; at++)
		pki_free(*at);
}
END_TEST

/* Each mode with no certificate, a good one, and one of another CA; who is let in counts as verified or not. */
START_TEST(test_modes)
{
	enum { OUT, UNVERIFIED, VERIFIED };
	const struct {
		Tlsplane__ClientVerify mode;
		int nothing, good, alien;
	} rows[] = {
		{TLSPLANE__CLIENT_VERIFY__VERIFY_NONE, UNVERIFIED, UNVERIFIED, UNVERIFIED},
		{TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST, UNVERIFIED, UNVERIFIED, UNVERIFIED},
		{TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY, OUT, UNVERIFIED, UNVERIFIED},
		{TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN, UNVERIFIED, VERIFIED, OUT},
		{TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, OUT, VERIFIED, OUT},
	};
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	struct pki_cert *good = pki_make(&(struct pki_spec){.name = "good", .issuer = ca});
	struct pki_cert *alien = pki_make(&(struct pki_spec){.name = "alien"});

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pki_cert *certs[] = {NULL, good, alien};
		const int want[] = {rows[i].nothing, rows[i].good, rows[i].alien};
		struct trust *trust = rig_trust(&(struct rig_rules){.mode = rows[i].mode, .cas = {ca}});

		for (size_t j = 0; j < 3; j++) {
			struct rig rig;
			bool in = is_let_in(trust, certs[j], NULL, &rig);

			ck_assert_msg(in == (want[j] != OUT), "mode %d, certificate %zu", (int)rows[i].mode, j);
			ck_assert_int_eq(rig.chain_len, want[j] == VERIFIED ? 2 : 0);
			if (!in)
				ck_assert_int_eq(rig.seat.cause, j == 0 ? SEAT_CAUSE_NO_CERTIFICATE : SEAT_CAUSE_UNVERIFIED);
		}
		trust_unref(trust);
	}
	pki_free(ca);
	pki_free(good);
	pki_free(alien);
}
END_TEST

/* Whoever asks OpenSSL whether an unverified peer was verified hears no. */
START_TEST(test_unverified_is_not_ok)
{
	struct pki_cert *alien = pki_make(&(struct pki_spec){.name = "alien"});
	struct trust *trust = rig_trust(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST});
	struct rig_policy policy = {.name = "a", .profile = rig_profile(TLS1_3_VERSION, TLS1_3_VERSION, 0, 0), .trust = trust};
	char identity[2000];
	struct rig rig;

	rig_run(&policy, &(struct shake_spec){.cert = alien}, &rig);
	ck_assert(rig.shake.done);
	ck_assert_int_ne(SSL_get_verify_result(rig.shake.server), X509_V_OK);
	ck_assert_int_eq(trust_map_identity(trust, rig.shake.server, identity, NULL, NULL), E_NOT_FOUND);
	rig_deinit(&rig);
	profile_unref((struct profile *)(uintptr_t)policy.profile);
	trust_unref(trust);
	pki_free(alien);
}
END_TEST

START_TEST(test_names)
{
	struct pki_cert *leaf;
	struct rig_rules rules = {.mode = REQUIRE};
	struct trust *few, *many, *hidden;
	struct rig rig;
	char name[16];

	for (int i = 0; i < 33; i++) {
		snprintf(name, sizeof(name), "ca-%d", i);
		rules.cas[i] = pki_make(&(struct pki_spec){.name = name, .is_ca = true});
	}
	leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = rules.cas[0]});
	many = rig_trust(&rules);
	rules.hide_names = true;
	hidden = rig_trust(&rules);
	rules.hide_names = false;
	pki_free((struct pki_cert *)(uintptr_t)rules.cas[32]);
	rules.cas[32] = NULL;
	few = rig_trust(&rules);
	ck_assert(is_let_in(few, leaf, NULL, NULL));
	ck_assert(!is_let_in(few, NULL, NULL, &rig));
	ck_assert_int_eq(rig.shake.ca_names, 32);
	ck_assert(is_let_in(many, leaf, NULL, NULL));
	ck_assert(!is_let_in(many, NULL, NULL, &rig));
	ck_assert_int_le(rig.shake.ca_names, 0); /* none: any CA, rather than a part of them */
	ck_assert(!is_let_in(hidden, NULL, NULL, &rig));
	ck_assert_int_le(rig.shake.ca_names, 0);
	trust_unref(few);
	trust_unref(many);
	trust_unref(hidden);
	pki_free(leaf);
	for (int i = 0; i < 32; i++)
		pki_free((struct pki_cert *)(uintptr_t)rules.cas[i]);
}
END_TEST

/* 32 of them, and more than fits on the wire. */
START_TEST(test_long_names)
{
	struct rig_rules rules = {.mode = REQUIRE};
	struct trust *trust;
	struct pki_cert *leaf;
	struct rig rig;

	for (int i = 0; i < 32; i++) {
		X509_NAME *subject = X509_NAME_new();
		char unit[61];

		for (int j = 0; j < 50; j++) {
			snprintf(unit, sizeof(unit), "%04d-%04d-%050d", i, j, 0);
			ck_assert(X509_NAME_add_entry_by_txt(subject, "OU", MBSTRING_ASC, (unsigned char *)unit, -1, -1, 0) == 1);
		}
		rules.cas[i] = pki_make(&(struct pki_spec){.subject = subject, .is_ca = true});
		X509_NAME_free(subject);
	}
	leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = rules.cas[0]});
	trust = rig_trust(&rules);
	ck_assert(is_let_in(trust, leaf, NULL, NULL));
	ck_assert(!is_let_in(trust, NULL, NULL, &rig));
	ck_assert_int_le(rig.shake.ca_names, 0);
	trust_unref(trust);
	pki_free(leaf);
	for (int i = 0; i < 32; i++)
		pki_free((struct pki_cert *)(uintptr_t)rules.cas[i]);
}
END_TEST

START_TEST(test_cache)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "a", .is_ca = true});
	ProtobufCBinaryData der = bodies_der(ca), garbage = {3, (uint8_t *)(uintptr_t) "abc"};
	struct decide_client rules = {.ask = true, .demand = true, .verify = true, .anchors = &der, .anchors_len = 1}, broken = rules,
	                     nothing = {.ask = false};
	struct digest one = {{1}}, two = {{2}}, three = {{3}};
	struct trust_cache *cache = NULL;
	struct trust *first = NULL, *same = NULL, *copy = NULL, *none = NULL;

	broken.anchors = &garbage;
	ck_assert_int_eq(trust_cache_new(8, &cache, NULL), 0);
	ck_assert_int_eq(trust_cache_get(cache, &one, &rules, &first, NULL), 0);
	ck_assert_int_eq(trust_cache_get(cache, &one, &rules, &same, NULL), 0);
	ck_assert_int_eq(trust_cache_get(cache, &two, &rules, &copy, NULL), 0); /* the same in other objects */
	ck_assert_ptr_eq(first, same);
	ck_assert_ptr_ne(first, copy);
	ck_assert(digest_is_equal(trust_digest(first), trust_digest(copy)));
	ck_assert_int_eq(trust_cache_get(cache, &three, &broken, &none, NULL), E_SYNTAX);
	ck_assert_int_eq(trust_cache_get(cache, &three, &nothing, &none, NULL), 0);
	ck_assert_ptr_null(none);
	trust_unref(first);
	trust_unref(same);
	trust_unref(copy);
	trust_cache_free(cache);
	free(der.data);
	pki_free(ca);
}
END_TEST

/* A CRL is parsed once for all who have it, and lives as long as somebody uses it. */
START_TEST(test_crls_are_shared)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "a", .is_ca = true});
	ProtobufCBinaryData der = bodies_der(ca), crl = crls_make(&(struct pki_crl_spec){.issuer = ca});
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	struct decide_client rules = {.ask = true, .demand = true, .verify = true, .anchors = &der, .anchors_len = 1};
	struct trust_cache *cache = NULL;
	struct trust *one = NULL, *two = NULL, *again = NULL;
	const struct trust_crl *shared;

	bundle.crls = &crl;
	bundle.n_crls = 1;
	rules.bundles[0] = (struct decide_bundle){.id = "bundle", .body = &bundle};
	ck_assert_int_eq(trust_cache_new(8, &cache, NULL), 0);
	ck_assert_int_eq(trust_cache_get(cache, &(struct digest){{1}}, &rules, &one, NULL), 0);
	ck_assert_int_eq(trust_cache_get(cache, &(struct digest){{2}}, &rules, &two, NULL), 0);
	shared = one->crls[0];
	ck_assert_ptr_eq(two->crls[0], shared);
	ck_assert_uint_eq(shared->count, 3); /* theirs, and the cache's */
	trust_unref(two);
	ck_assert_uint_eq(shared->count, 3);
	trust_cache_sweep(cache);
	ck_assert_uint_eq(shared->count, 2);
	ck_assert_int_eq(trust_cache_get(cache, &(struct digest){{1}}, &rules, &again, NULL), 0);
	ck_assert_ptr_eq(again, one); /* in use, so still there */
	trust_unref(again);
	trust_cache_free(cache);
	ck_assert_uint_eq(shared->count, 1);
	trust_unref(one);
	free(der.data);
	free(crl.data);
	pki_free(ca);
}
END_TEST

/* What is judged again at each resumption must not keep sessions apart; everything else must. */
START_TEST(test_digest)
{
	struct pki_cert *a = pki_make(&(struct pki_spec){.name = "a", .is_ca = true});
	struct pki_cert *b = pki_make(&(struct pki_spec){.name = "b", .is_ca = true});
	uint8_t hash[32] = {7};
	ProtobufCBinaryData data = {sizeof(hash), hash};
	Tlsplane__ClientAuth pins = TLSPLANE__CLIENT_AUTH__INIT, denies = TLSPLANE__CLIENT_AUTH__INIT, allows = TLSPLANE__CLIENT_AUTH__INIT,
	                     plain = TLSPLANE__CLIENT_AUTH__INIT;
	Tlsplane__PeerRule rule = TLSPLANE__PEER_RULE__INIT, *rules = &rule;
	char *cn = (char[]){"x"};

	pins.n_pins = 1;
	pins.pins = &data;
	denies.n_deny_serials = denies.n_deny_spkis = 1;
	denies.deny_serials = denies.deny_spkis = &data;
	rule.n_cn = 1;
	rule.cn = &cn;
	allows.n_allow = 1;
	allows.allow = &rules;
	const struct rig_rules base = {.mode = REQUIRE, .cas = {a}, .parts = {&plain}};
	const struct {
		struct rig_rules rules;
		bool equal;
	} rows[] = {
		{{.mode = REQUIRE, .cas = {a}, .parts = {&plain}, .hide_names = true}, true},
		{{.mode = REQUIRE, .cas = {a}, .parts = {&plain}, .map_identity = true}, true},
		{{.mode = REQUIRE, .cas = {a}, .parts = {&denies}}, true},
		{{.mode = REQUIRE, .cas = {a}, .parts = {&pins}}, false},
		{{.mode = REQUIRE, .cas = {a}, .parts = {&allows}}, false},
		{{.mode = REQUIRE, .cas = {a}, .parts = {&plain}, .depth = 2}, false},
		{{.mode = REQUIRE, .cas = {b}, .parts = {&plain}}, false},
		{{.mode = REQUIRE, .cas = {a, b}, .parts = {&plain}}, false},
		{{.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN, .cas = {a}, .parts = {&plain}}, false},
		{{.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY, .cas = {a}, .parts = {&plain}}, false},
		{{.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST, .cas = {a}, .parts = {&plain}}, false},
		{{.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_NONE}, false},
	};
	struct trust *first = rig_trust(&base);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct trust *other = rig_trust(&rows[i].rules);

		ck_assert_msg(digest_is_equal(trust_digest(first), trust_digest(other)) == rows[i].equal, "row %zu", i);
		trust_unref(other);
	}
	trust_unref(first);
	pki_free(a);
	pki_free(b);
}
END_TEST

UNIT_MAIN("tls/trust", test_verdicts, test_modes, test_unverified_is_not_ok, test_names, test_long_names, test_cache,
          test_crls_are_shared, test_digest)
