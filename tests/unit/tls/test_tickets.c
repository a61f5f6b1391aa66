/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets of one policy over time: keys come and go, sessions age, clients fall from grace. The clock is the test's own. */
#include "crls.h"
#include "rig.h"
#include "ticket_keys.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIFETIME 10000

/* Stands before the C library's, for OpenSSL too. */
static time_t clock_offset, clock_per_look;

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += clock_offset;
	clock_offset += clock_per_look;
	if (ret != NULL)
		*ret = now.tv_sec;
	return now.tv_sec;
}

static struct pki_cert *ca, *client;
static struct profile *profile;
static struct rig_policy policy;

static void setup(void)
{
	ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	client = pki_make(&(struct pki_spec){.name = "client", .issuer = ca});
	profile = rig_profile(TLS1_2_VERSION, TLS1_3_VERSION, 0, 0);
	policy = (struct rig_policy){.name = "a", .profile = profile, .tickets = {true, 2, LIFETIME, NULL, ""}};
	policy.trust = rig_trust(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, .cas = {ca}});
	policy.tickets.sets = keys_make((struct keys_spec[]){{.selector = "", .keys = "A"}, {.selector = NULL}});
}

static void teardown(void)
{
	ticket_sets_unref(policy.tickets.sets);
	trust_unref(policy.trust);
	profile_unref(profile);
	pki_free(client);
	pki_free(ca);
}

static void swap_keys(const char *letters, int64_t encrypt_until, int64_t decrypt_until)
{
	ticket_sets_unref(policy.tickets.sets);
	policy.tickets.sets =
		keys_make((struct keys_spec[]){{"", letters, -100, encrypt_until, decrypt_until}, {.selector = NULL}});
}

static void swap_trust(const struct rig_rules *rules)
{
	trust_unref(policy.trust);
	policy.trust = rig_trust(rules);
}

/* One handshake; the session, if any, is the client's newest. */
static bool connect_with(int version, SSL_SESSION *session, const struct pki_cert *cert, SSL_SESSION **ret, struct rig *ret_rig)
{
	struct rig rig;
	bool resumed;

	rig_run(&policy, &(struct shake_spec){.min = version, .max = version, .cert = cert, .session = session}, &rig);
	resumed = rig_resumed(&rig);
	ck_assert(rig.seat.ignored_ticket == (rig.seat.offered_ticket && !resumed));
	if (ret != NULL)
		*ret = rig_session(&rig);
	if (ret_rig != NULL)
		*ret_rig = rig; /* for its plain values */
	rig_deinit(&rig);
	return resumed;
}

static SSL_SESSION *first_session(int version)
{
	SSL_SESSION *session;

	ck_assert(!connect_with(version, NULL, client, &session, NULL));
	ck_assert_int_eq(SSL_SESSION_is_resumable(session), 1);
	return session;
}

/* By a client that has just got it: only the server's clock counts. */
static bool offer(SSL_SESSION *session, SSL_SESSION **ret, struct rig *ret_rig)
{
	SSL_SESSION *again = SSL_SESSION_dup(session);
	bool resumed;

	SSL_SESSION_set_time(again, (long)time(NULL));
	resumed = connect_with(SSL_SESSION_get_protocol_version(session), again, client, ret, ret_rig);
	SSL_SESSION_free(again);
	return resumed;
}

static bool resumes(SSL_SESSION *session)
{
	return offer(session, NULL, NULL);
}

static char key_of(const SSL_SESSION *session)
{
	const unsigned char *ticket;
	size_t len;

	SSL_SESSION_get0_ticket(session, &ticket, &len);
	ck_assert_uint_gt(len, TICKET_NAME_LEN);
	return (char)ticket[0];
}

START_TEST(test_count)
{
	SSL_SESSION *session;
	struct rig rig;

	setup();
	for (uint32_t count = 1; count <= 8; count++) {
		policy.tickets.count = count;
		connect_with(TLS1_3_VERSION, NULL, client, &session, &rig);
		ck_assert_int_eq(rig.shake.tickets, (int)count);
		ck_assert(connect_with(TLS1_3_VERSION, session, NULL, NULL, &rig));
		ck_assert_int_eq(rig.shake.tickets, 1);
		ck_assert_int_eq(rig.chain_len, 2); /* as at the full handshake */
		SSL_SESSION_free(session);
		connect_with(TLS1_2_VERSION, NULL, client, NULL, &rig);
		ck_assert_int_eq(rig.shake.tickets, 1);
	}
	policy.tickets.enabled = false;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		connect_with(version, NULL, client, NULL, &rig);
		ck_assert_int_eq(rig.shake.tickets, 0);
	}
	policy.tickets.enabled = true;
	policy.tickets.selector = "other=1"; /* no keys for it */
	connect_with(TLS1_3_VERSION, NULL, client, NULL, &rig);
	ck_assert_int_eq(rig.shake.tickets, 0);
	ck_assert(rig.shake.done);
	teardown();
}
END_TEST

/* A session is resumed for as long as its full handshake is young enough, however often it is renewed. */
START_TEST(test_renewals_end)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session, *next;

		clock_offset = 0;
		session = first_session(version);
		ck_assert_uint_le(SSL_SESSION_get_ticket_lifetime_hint(session), LIFETIME);
		for (int round = 1; round <= 5; round++) {
			bool young = round * 3000 < LIFETIME;

			clock_offset = round * 3000;
			ck_assert_msg(connect_with(version, session, client, &next, NULL) == young, "round %d", round);
			if (young && version == TLS1_3_VERSION) /* 1.2 leaves it open at a renewal */
				ck_assert_uint_le(SSL_SESSION_get_ticket_lifetime_hint(next), (unsigned)(LIFETIME - round * 3000));
			SSL_SESSION_free(session);
			session = next;
			if (!young)
				break;
		}
		SSL_SESSION_free(session);
	}
	clock_offset = 0;
	teardown();
}
END_TEST

/* The cap of today counts, not the one that the ticket was made under. */
START_TEST(test_shorter_lifetime)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;

		clock_offset = 0;
		session = first_session(version);
		clock_offset = 3000;
		ck_assert(resumes(session));
		policy.tickets.lifetime_s = 2000;
		ck_assert(!resumes(session));
		policy.tickets.lifetime_s = LIFETIME;
		SSL_SESSION_free(session);
	}
	clock_offset = 0;
	teardown();
}
END_TEST

/* A slow handshake, or a clock that is set meanwhile: the handshake succeeds, the session is nobody's. */
START_TEST(test_ended_while_it_was_made)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;

		clock_offset = 0;
		clock_per_look = 5;
		policy.tickets.lifetime_s = 5;
		session = first_session(version);
		clock_per_look = 0;
		clock_offset += 5;
		ck_assert(!resumes(session));
		SSL_SESSION_free(session);
	}
	clock_offset = 0;
	teardown();
}
END_TEST

/* The clock of another agent, or of this one before it was set. */
START_TEST(test_clocks)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;

		clock_offset = 0;
		session = first_session(version);
		clock_offset = -200;
		ck_assert(resumes(session));
		clock_offset = -1000;
		ck_assert(!resumes(session));
		SSL_SESSION_free(session);
	}
	clock_offset = 0;
	teardown();
}
END_TEST

START_TEST(test_rotation)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *old, *next;

		swap_keys("Ab", 0, 0); /* b is published */
		old = first_session(version);
		ck_assert_int_eq(key_of(old), 'a');
		swap_keys("AB", 0, 0); /* promoted */
		ck_assert(connect_with(version, old, client, &next, NULL));
		ck_assert_int_eq(key_of(next), 'b');
		swap_keys("B", 0, 0); /* a is gone */
		ck_assert(!resumes(old));
		ck_assert(resumes(next));
		swap_keys("Bc", 0, 0);
		ck_assert(resumes(next));
		SSL_SESSION_free(old);
		SSL_SESSION_free(next);
	}
	teardown();
}
END_TEST

/* Past encrypt_until a key still opens tickets and makes none; past decrypt_until it is nothing. */
START_TEST(test_expired_key)
{
	struct rig rig;

	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;

		swap_keys("A", 0, 0);
		session = first_session(version);
		swap_keys("A", -1, 0);
		ck_assert(resumes(session));
		connect_with(version, NULL, client, NULL, &rig);
		ck_assert(rig.shake.done);
		ck_assert_int_eq(rig.shake.tickets, 0);
		ck_assert_uint_eq(rig.shake.client_error, 0);
		swap_keys("A", -2, -1);
		ck_assert(!resumes(session));
		swap_keys("a", 0, 0); /* not promoted: opens alone */
		ck_assert(resumes(session));
		SSL_SESSION_free(session);
	}
	teardown();
}
END_TEST

/* Each set opens its own tickets and no others', even where nothing else would keep them apart. */
START_TEST(test_selectors)
{
	setup();
	policy.shares_context = true;
	ticket_sets_unref(policy.tickets.sets);
	policy.tickets.sets = keys_make((struct keys_spec[]){
		{.selector = "", .keys = "A"}, {.selector = "s=1", .keys = "B"}, {.selector = "s=2", .keys = "BA"}, {.selector = NULL}});
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;

		policy.tickets.selector = "";
		session = first_session(version);
		ck_assert(resumes(session));
		policy.tickets.selector = "s=1";
		ck_assert(!resumes(session));
		policy.tickets.selector = "s=2"; /* the control: it has the key */
		ck_assert(resumes(session));
		SSL_SESSION_free(session);
	}
	teardown();
}
END_TEST

START_TEST(test_tampered)
{
	setup();
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session = first_session(version);
		const unsigned char *ticket;
		size_t len;

		SSL_SESSION_get0_ticket(session, &ticket, &len);
		for (size_t at = 0; at < len; at += at < 64 || at + 40 > len ? 1 : 37) {
			unsigned char *byte = (unsigned char *)(uintptr_t)ticket + at;
			SSL_SESSION *next;
			struct rig rig;

			*byte ^= 1;
			ck_assert_msg(!offer(session, &next, &rig), "byte %zu", at);
			ck_assert(rig.shake.done && rig.seat.ignored_ticket);
			ck_assert_int_eq(SSL_SESSION_is_resumable(next), 1); /* a new one is given */
			*byte ^= 1;
			SSL_SESSION_free(next);
		}
		ck_assert(resumes(session));
		SSL_SESSION_free(session);
	}
	teardown();
}
END_TEST

/* A client whose chain was good at the full handshake and is not today: a full handshake, where today's rules speak. */
START_TEST(test_fallen_from_grace)
{
	ProtobufCBinaryData crls[2], serial;
	Tlsplane__ClientAuth deny = TLSPLANE__CLIENT_AUTH__INIT;
	const ASN1_INTEGER *number;
	struct rig rig;

	setup();
	number = X509_get0_serialNumber(client->cert);
	serial = (ProtobufCBinaryData){(size_t)ASN1_STRING_length(number), (uint8_t *)(uintptr_t)ASN1_STRING_get0_data(number)};
	deny.n_deny_serials = 1;
	deny.deny_serials = &serial;
	crls[0] = crls_make(&(struct pki_crl_spec){.issuer = ca});
	crls[1] = crls_make(&(struct pki_crl_spec){.issuer = ca, .revoked = {client}});
	const struct rig_rules plain = {.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, .cas = {ca}};
	struct rig_rules fresh = plain, revoked = plain, stale = plain, denied = plain;
	fresh.crls = stale.crls = crls;
	revoked.crls = &crls[1];
	fresh.crls_len = revoked.crls_len = stale.crls_len = 1;
	stale.accept_stale = true;
	denied.parts[0] = &deny;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;

		clock_offset = 0;
		swap_trust(&plain);
		policy.tickets.lifetime_s = LIFETIME;
		session = first_session(version);
		swap_trust(&fresh);
		ck_assert(resumes(session));
		swap_trust(&revoked);
		ck_assert(!offer(session, NULL, &rig));
		ck_assert_int_eq(rig.seat.cause, SEAT_CAUSE_REVOKED);
		swap_trust(&denied);
		ck_assert(!offer(session, NULL, &rig));
		ck_assert_int_eq(rig.seat.cause, SEAT_CAUSE_DENIED);
		policy.tickets.lifetime_s = 365 * 86400;
		SSL_SESSION_free(session);
		swap_keys("A", 365 * 86400, 365 * 86400);
		swap_trust(&plain);
		session = first_session(version);
		clock_offset = 2 * 86400; /* the CRL's next update has passed */
		swap_trust(&fresh);
		ck_assert(!resumes(session));
		swap_trust(&stale);
		ck_assert(resumes(session));
		clock_offset = 91 * 86400; /* the certificate has expired */
		swap_trust(&plain);
		ck_assert(!resumes(session));
		SSL_SESSION_free(session);
	}
	clock_offset = 0;
	free(crls[0].data);
	free(crls[1].data);
	teardown();
}
END_TEST

/* A ticket that can be read and is not taken says nothing about who comes now. */
START_TEST(test_foreign_facts)
{
	struct trust *mine;

	setup();
	mine = policy.trust;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *session;
		struct rig rig;

		policy.trust = mine;
		session = first_session(version);
		policy.trust = rig_trust(&(struct rig_rules){.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN, .cas = {ca}});
		ck_assert(!connect_with(version, session, NULL, NULL, &rig));
		ck_assert(rig.shake.done);
		ck_assert_int_eq(rig.chain_len, 0);
		ck_assert(rig.seat.ignored_ticket);
		SSL_SESSION_free(session);
		trust_unref(policy.trust);
	}
	policy.trust = mine;
	teardown();
}
END_TEST

START_TEST(test_long_chain_is_not_resumed)
{
	struct pki_cert *cas[FACTS_CHAIN_MAX];

	setup();
	cas[0] = ca;
	for (int i = 1; i < FACTS_CHAIN_MAX; i++)
		cas[i] = pki_make(&(struct pki_spec){.name = (char[]){(char)('a' + i), 0}, .is_ca = true, .issuer = cas[i - 1]});
	for (int len = FACTS_CHAIN_MAX - 1; len <= FACTS_CHAIN_MAX; len++) {
		/* The rig sends one intermediate; the others are anchors too, so the path is found through the store. */
		struct rig_rules rules = {.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, .depth = 20};
		struct pki_cert *leaf = pki_make(&(struct pki_spec){.name = "far", .issuer = cas[len - 1]});
		SSL_SESSION *session;
		struct rig rig;

		for (int i = 0; i < len; i++)
			rules.cas[i] = cas[i];
		swap_trust(&rules);
		ck_assert(!connect_with(TLS1_3_VERSION, NULL, leaf, &session, &rig));
		ck_assert(rig.shake.done);
		ck_assert_msg(connect_with(TLS1_3_VERSION, session, leaf, NULL, NULL) == (len < FACTS_CHAIN_MAX), "a chain of %d", len + 1);
		SSL_SESSION_free(session);
		pki_free(leaf);
	}
	for (int i = 1; i < FACTS_CHAIN_MAX; i++)
		pki_free(cas[i]);
	teardown();
}
END_TEST

/* An open connection that was resumed: what its facts tell is judged by them; what they can't tell refuses. */
START_TEST(test_resumed_is_judged_again)
{
	ProtobufCBinaryData crls[4];
	struct pki_cert *middle, *far;

	setup();
	middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = ca});
	far = pki_make(&(struct pki_spec){.name = "far", .issuer = middle});
	crls[0] = crls_make(&(struct pki_crl_spec){.issuer = ca, .revoked = {middle}});
	crls[1] = crls_make(&(struct pki_crl_spec){.issuer = middle});
	crls[2] = crls_make(&(struct pki_crl_spec){.issuer = middle, .revoked = {middle}}); /* a serial of another issuer's */
	crls[3] = crls_make(&(struct pki_crl_spec){.issuer = ca});
	const struct rig_rules plain = {.mode = TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE, .cas = {ca}};
	struct rig_rules deeper = plain, revoked = plain, uncovered = plain, foreign = plain;
	deeper.depth = 3;
	revoked.crls = crls;
	revoked.crls_len = foreign.crls_len = 2;
	uncovered.crls = &crls[1];
	uncovered.crls_len = 1;
	foreign.crls = &crls[2];
	struct trust *same = rig_trust(&plain), *other = rig_trust(&deeper), *tight = rig_trust(&revoked);
	struct trust *gap = rig_trust(&uncovered), *apart = rig_trust(&foreign);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct shake_spec spec = {.min = version, .max = version, .cert = far, .chain = middle};
		enum seat_cause cause = SEAT_CAUSE_NONE;
		struct rig first, second;

		rig_run(&policy, &spec, &first);
		spec.session = rig_session(&first);
		rig_run(&policy, &spec, &second);
		ck_assert(!rig_resumed(&first) && rig_resumed(&second));
		ck_assert_int_eq(trust_judge(same, second.shake.server, second.seat.facts, &cause, NULL), 0);
		ck_assert_int_eq(trust_judge(other, first.shake.server, first.seat.facts, &cause, NULL), 0);
		ck_assert_int_eq(trust_judge(other, second.shake.server, second.seat.facts, &cause, NULL), E_FORBIDDEN);
		ck_assert_int_eq(cause, SEAT_CAUSE_UNVERIFIED);
		ck_assert_int_eq(trust_judge(tight, second.shake.server, second.seat.facts, &cause, NULL), E_FORBIDDEN);
		ck_assert_int_eq(cause, SEAT_CAUSE_REVOKED);
		/* Each certificate of the chain needs a CRL, its own issuer's, and that one's serials alone are its. */
		ck_assert_int_eq(trust_judge(gap, second.shake.server, second.seat.facts, &cause, NULL), E_FORBIDDEN);
		ck_assert_int_eq(cause, SEAT_CAUSE_UNVERIFIED);
		ck_assert_int_eq(trust_judge(apart, second.shake.server, second.seat.facts, &cause, NULL), 0);
		SSL_SESSION_free(spec.session);
		rig_deinit(&first);
		rig_deinit(&second);
	}
	trust_unref(same);
	trust_unref(other);
	trust_unref(tight);
	trust_unref(gap);
	trust_unref(apart);
	for (size_t i = 0; i < ARRAY_LEN(crls); i++)
		free(crls[i].data);
	pki_free(middle);
	pki_free(far);
	teardown();
}
END_TEST

START_TEST(test_bad_keys)
{
	Tlsplane__TicketKeys keys = TLSPLANE__TICKET_KEYS__INIT;
	Tlsplane__TicketSet set = TLSPLANE__TICKET_SET__INIT, *list[] = {&set, &set};
	Tlsplane__TicketKey key = TLSPLANE__TICKET_KEY__INIT, *many[TICKET_KEYS_MAX + 1];
	uint8_t bytes[TICKET_SECRET_LEN] = {0, 1};
	struct ticket_sets *sets = NULL;
	const struct {
		size_t name, secret, keys, sets;
		int want;
	} rows[] = {
		{16, 64, 1, 1, 0}, {15, 64, 1, 1, E_INVALID}, {16, 63, 1, 1, E_INVALID}, {16, 64, TICKET_KEYS_MAX, 1, 0},
		{16, 64, TICKET_KEYS_MAX + 1, 1, E_INVALID}, {16, 64, 1, 2, E_INVALID}, {0, 0, 0, 1, 0}, {0, 0, 0, 0, 0}};

	for (size_t i = 0; i <= TICKET_KEYS_MAX; i++)
		many[i] = &key;
	set.selector = (char[]){""};
	set.keys = many;
	keys.sets = list;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		key.name = (ProtobufCBinaryData){rows[i].name, bytes};
		key.secret = (ProtobufCBinaryData){rows[i].secret, bytes};
		set.n_keys = rows[i].keys;
		keys.n_sets = rows[i].sets;
		ck_assert_int_eq(ticket_sets_new(&keys, &sets, NULL), rows[i].want);
		if (rows[i].want == 0)
			sets = ticket_sets_unref(sets);
		ck_assert_ptr_null(sets);
	}
	memset(bytes, 0, sizeof(bytes));
	key.name = (ProtobufCBinaryData){TICKET_NAME_LEN, bytes};
	key.secret = (ProtobufCBinaryData){TICKET_SECRET_LEN, bytes};
	set.n_keys = keys.n_sets = 1;
	ck_assert_int_eq(ticket_sets_new(&keys, &sets, NULL), E_INVALID);
	memset(bytes, 7, sizeof(bytes));
	ck_assert_int_eq(ticket_sets_new(&keys, &sets, NULL), E_INVALID);
	bytes[TICKET_SECRET_LEN - 1] = 8;
	ck_assert_int_eq(ticket_sets_new(&keys, &sets, NULL), 0);
	ticket_sets_unref(sets);
}
END_TEST

UNIT_MAIN("tls/tickets", test_count, test_renewals_end, test_shorter_lifetime, test_ended_while_it_was_made, test_clocks, test_rotation,
          test_expired_key, test_selectors,
          test_tampered, test_fallen_from_grace, test_foreign_facts, test_long_chain_is_not_resumed, test_resumed_is_judged_again,
          test_bad_keys)
