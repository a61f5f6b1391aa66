/* SPDX-License-Identifier: Apache-2.0 */
/* No session crosses policies: policies x policies x version x (ticket, session id), and the same with the mistakes that the test must
 * see. */
#include "rig.h"
#include "ticket_keys.h"
#include "unit.h"

#define POLICIES 12

/* root1 and root2 each have a client certificate. */
static struct pki_cert *root1, *root2, *client1, *client2;
static struct profile *wide, *narrow;
static struct ticket_sets *sets;
static struct rig_policy policies[POLICIES];

static void add(size_t *count, const char *name, const struct profile *profile, const struct rig_rules *rules, const char *selector)
{
	ck_assert_uint_lt(*count, POLICIES);
	policies[(*count)++] = (struct rig_policy){.name = name,
	                                           .profile = profile,
	                                           .trust = rules != NULL ? rig_trust(rules) : NULL,
	                                           .tickets = {true, 2, 3600, sets, selector}};
}

static void setup(void)
{
	const struct rig_rules require1 = {.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, .cas = {NULL}};
	struct rig_rules rules[5] = {require1, require1, require1, require1, require1};
	size_t count = 0;

	root1 = pki_make(&(struct pki_spec){.name = "root1", .is_ca = true});
	root2 = pki_make(&(struct pki_spec){.name = "root2", .is_ca = true});
	client1 = pki_make(&(struct pki_spec){.name = "client1", .issuer = root1});
	client2 = pki_make(&(struct pki_spec){.name = "client2", .issuer = root2});
	wide = rig_profile(TLS1_2_VERSION, TLS1_3_VERSION, 0, 0);
	narrow = rig_profile(TLS1_2_VERSION, TLS1_3_VERSION, 0xC02C, 0x1302);
	sets = keys_make((struct keys_spec[]){{.selector = "", .keys = "A"}, {.selector = "site=x", .keys = "B"}, {.selector = NULL}});
	rules[0].cas[0] = rules[2].cas[0] = rules[3].cas[0] = rules[4].cas[0] = root1;
	rules[1].cas[0] = root2;
	rules[2].mode = TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN;
	rules[3].mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUEST;
	rules[4].mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY;
	add(&count, "a", wide, NULL, "");
	add(&count, "b", wide, NULL, ""); /* another name */
	add(&count, "a", narrow, NULL, "");
	add(&count, "a", wide, &rules[0], "");
	add(&count, "a", narrow, &rules[0], "");
	add(&count, "b", wide, &rules[0], "");
	add(&count, "a", wide, &rules[1], ""); /* another CA */
	add(&count, "a", wide, &rules[2], "");
	add(&count, "a", wide, &rules[3], "");
	add(&count, "a", wide, &rules[4], "");
	add(&count, "c", wide, NULL, "site=x");
	add(&count, "c", wide, &rules[0], "site=x");
	ck_assert_uint_eq(count, POLICIES);
}

static void teardown(void)
{
	for (size_t i = 0; i < POLICIES; i++)
		trust_unref(policies[i].trust);
	profile_unref(wide);
	profile_unref(narrow);
	ticket_sets_unref(sets);
	for (struct pki_cert **at = (struct pki_cert *[]){root1, root2, client1, client2, NULL}; *at != NULL; at++)
		pki_free(*at);
}

struct tally {
	int same, crossed, unauthenticated; /* crossed into a policy that demands verification, by a client without a certificate */
};

/* A session made under each policy, offered to each. */
static struct tally run_matrix(int version, bool by_id, bool shares_context, bool caches)
{
	struct tally tally = {0};

	for (size_t from = 0; from < POLICIES; from++) {
		struct rig_policy maker = policies[from];
		struct shake_spec spec = {.min = version, .max = version, .no_ticket = by_id, .cert = from == 6 ? client2 : client1};
		struct rig first;

		maker.shares_context = shares_context;
		maker.caches = caches;
		maker.tickets.enabled = !by_id;
		for (size_t to = 0; to < POLICIES; to++) {
			struct rig_policy taker = policies[to];
			struct shake_spec again = {.min = version, .max = version, .no_ticket = by_id};
			struct rig second;

			taker.shares_context = shares_context;
			taker.caches = caches;
			taker.tickets.enabled = !by_id;
			rig_run(&maker, &spec, &first); /* a session of 1.3 is for one use */
			ck_assert(first.shake.done);
			again.session = rig_session(&first);
			rig_run(&taker, &again, &second);
			if (rig_resumed(&second) && from == to)
				tally.same++;
			if (rig_resumed(&second) && from != to) {
				tally.crossed++;
				tally.unauthenticated += maker.trust == NULL && taker.trust != NULL;
			}
			SSL_SESSION_free(again.session);
			rig_deinit(&second);
			rig_deinit(&first);
		}
	}
	return tally;
}

START_TEST(test_no_ticket_crosses)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct tally tally = run_matrix(version, false, false, false);

		ck_assert_int_eq(tally.crossed, 0);
		ck_assert_int_eq(tally.same, POLICIES); /* and each policy resumes its own */
	}
	teardown();
}
END_TEST

START_TEST(test_no_session_id_resumes)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct tally tally = run_matrix(version, true, false, false);

		ck_assert_int_eq(tally.crossed + tally.same, 0);
		tally = run_matrix(version, true, true, false); /* not even with one context for all */
		ck_assert_int_eq(tally.crossed + tally.same, 0);
	}
	teardown();
}
END_TEST

/* The controls: were the contexts shared, tickets would cross; did the server keep sessions, ids would. */
START_TEST(test_mistakes_show)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct tally tickets = run_matrix(version, false, true, false), ids = run_matrix(version, true, true, true);

		ck_assert_int_gt(tickets.crossed, 0);
		ck_assert_int_gt(ids.crossed, 0);
		ck_assert_int_gt(ids.unauthenticated, 0);
		/* Even then the facts keep a ticket without a verified chain away from who demands one. */
		ck_assert_int_lt(tickets.unauthenticated, ids.unauthenticated);
	}
	teardown();
}
END_TEST

UNIT_MAIN("tls/resumption", test_no_ticket_crosses, test_no_session_id_resumes, test_mistakes_show)
