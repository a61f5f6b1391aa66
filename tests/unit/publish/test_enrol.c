/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment, renewal, identity: who is let in, and who is cut off. */
#include "peer.h"
#include "publish/listener.h"

START_TEST(test_enrol)
{
	struct join join = make_join("{}");
	struct peer first = {0}, again = {0}, other = {0};

	peer_enroll(&first, &join);
	ck_assert(first.replied);
	ck_assert_uint_gt(strlen(first.id), 0);

	again.key = first.key;
	EVP_PKEY_up_ref(first.key);
	peer_enroll(&again, &join);
	ck_assert(again.replied);
	ck_assert_str_eq(again.id, first.id);

	peer_enroll(&other, &join);
	ck_assert(!other.replied && other.refused);
	ck_assert_int_eq(other.refusal, TLSPLANE__REFUSED_CODE__REFUSED_TOKEN);

	join.secret[0] ^= 1;
	peer_enroll(&first, &join);
	ck_assert_int_eq(first.refusal, TLSPLANE__REFUSED_CODE__REFUSED_TOKEN);
	ck_assert_uint_eq(counters().enrolments, 2);
	ck_assert_uint_eq(counters().enrolments_refused, 2);
	peer_deinit(&first);
	peer_deinit(&again);
	peer_deinit(&other);
}
END_TEST

START_TEST(test_enrol_only)
{
	struct peer peer = {0};
	Tlsplane__Heartbeat heartbeat = TLSPLANE__HEARTBEAT__INIT;

	peer_connect_as(&peer, NULL, NULL);
	UNTIL(peer.open);
	peer_send(&peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT, &heartbeat.base);
	UNTIL(peer.closed);
	ck_assert_int_eq(peer.refusal, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL);
	peer_deinit(&peer);
}
END_TEST

START_TEST(test_enrolment_rate)
{
	struct join join = make_join("{}");
	struct peer peers[2 * LISTENER_ENROLMENTS_PER_SECOND] = {0};
	size_t busy = 0;

	join.secret[0] ^= 1;
	for (size_t i = 0; i < ARRAY_LEN(peers); i++)
		peer_connect_to_enroll(&peers[i]);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) /* all within less than a second */
		peer_send_enroll(&peers[i], &join);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		UNTIL(peers[i].closed);
		if (peers[i].refusal != TLSPLANE__REFUSED_CODE__REFUSED_BUSY)
			continue;
		ck_assert_uint_gt(peers[i].retry_after_ms, 0);
		busy++;
	}
	ck_assert_uint_gt(busy, 0);
	ck_assert_uint_lt(busy, ARRAY_LEN(peers));
	for (size_t i = 0; i < ARRAY_LEN(peers); i++)
		peer_deinit(&peers[i]);
}
END_TEST

static void peer_renew(struct peer *peer, EVP_PKEY *key)
{
	CLEANUP(buf_deinit) struct buf csr = BUF_NULL;
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;

	OK(authority_make_csr(key, &csr, &test_error));
	renew.csr = (ProtobufCBinaryData){csr.len, csr.data};
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base);
	UNTIL(peer->replied || peer->closed);
}

START_TEST(test_renew)
{
	struct peer *peer = peer_new("{}");
	X509 *old = peer->certificate;
	EVP_PKEY *old_key = peer->key;

	X509_up_ref(old);
	peer_follow(peer);
	UNTIL(peer->updates == 1);
	peer->key = NULL;
	OK(key_generate(&peer->key, &test_error));
	peer_renew(peer, peer->key);
	ck_assert(peer->replied);
	peer_leave(peer);

	peer_connect_as(peer, old, old_key); /* good until the new one has connected */
	UNTIL(peer->open);
	peer_hello(peer);
	UNTIL(peer->welcomes == 2);
	peer_leave(peer);

	peer_follow(peer);
	ck_assert_uint_eq(peer->welcomes, 3);
	peer_leave(peer);
	linger(300);
	peer_connect_as(peer, old, old_key);
	UNTIL(peer->closed);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED);
	X509_free(old);
	EVP_PKEY_free(old_key);
	peer_free(peer);
}
END_TEST

/* Certificates that the enrolment would not issue. */
static X509 *issue(enum authority_role role, const char *id, EVP_PKEY *key, int64_t now, int64_t life)
{
	X509 *ca = NULL, *certificate = NULL;
	EVP_PKEY *ca_key = NULL;

	OK(store_load_ca(plane.store, &ca, &ca_key, &test_error));
	OK(authority_issue(ca, ca_key, role, id, key, now, life, &certificate, &test_error));
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	return certificate;
}

START_TEST(test_expired)
{
	struct peer *peer = peer_new("{}");

	X509_free(peer->certificate);
	peer->certificate = issue(AUTHORITY_AGENT, peer->id, peer->key, 1000000, 3600);
	peer_connect(peer);
	ck_assert(peer->open);
	peer_hello(peer);
	UNTIL(peer->closed);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_EXPIRED);

	peer_connect(peer);
	peer_renew(peer, peer->key);
	ck_assert(peer->replied);
	peer_leave(peer);
	peer_follow(peer);
	ck_assert_uint_eq(peer->welcomes, 1);
	peer_free(peer);
}
END_TEST

/* Its clock is ahead of ours: to the agent the certificate has expired, to us it has not. */
START_TEST(test_renew_instead_of_hello)
{
	struct peer *peer = peer_new("{}");

	peer_connect(peer);
	peer_renew(peer, peer->key);
	ck_assert(peer->replied);
	ck_assert(!peer->refused);
	peer_leave(peer);
	peer_follow(peer);
	ck_assert_uint_eq(peer->welcomes, 1);
	peer_free(peer);
}
END_TEST

START_TEST(test_impostors)
{
	struct peer *peer = peer_new("{}");
	struct peer other = {0};

	OK(key_generate(&other.key, &test_error));
	other.certificate = issue(AUTHORITY_AGENT, peer->id, other.key, (int64_t)time(NULL), 3600); /* a key nobody knows */
	peer_connect(&other);
	UNTIL(other.closed);
	ck_assert_int_eq(other.refusal, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED);
	X509_free(other.certificate);
	other.certificate = issue(AUTHORITY_AGENT, "nobody", other.key, (int64_t)time(NULL), 3600);
	peer_connect(&other);
	UNTIL(other.closed);
	ck_assert_int_eq(other.refusal, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED);
	X509_free(other.certificate);
	other.refused = false;
	other.certificate = issue(AUTHORITY_CONTROLPLANE, NULL, other.key, (int64_t)time(NULL), 3600);
	peer_connect(&other);
	UNTIL(other.closed);
	ck_assert_uint_eq(other.welcomes, 0);
	peer_deinit(&other);
	peer_free(peer);
}
END_TEST

START_TEST(test_revoke)
{
	struct peer *peer = peer_new("{}");
	struct peer *away = peer_new("{}");

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	change(CHANGE_DELETE, KIND_AGENT, peer->id, NULL);
	UNTIL(peer->closed);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED);
	ck_assert_ptr_null(publisher_agent_status(plane.publisher, peer->id));
	change(CHANGE_DELETE, KIND_AGENT, away->id, NULL);
	peer_connect(away);
	UNTIL(away->closed);
	ck_assert_int_eq(away->refusal, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED);
	peer_free(peer);
	peer_free(away);
}
END_TEST

START_TEST(test_replaced)
{
	struct peer *peer = peer_new("{}");
	struct peer twin = {0};

	peer_follow(peer);
	UNTIL(peer->updates == 1);
	memcpy(twin.id, peer->id, sizeof(twin.id));
	twin.key = peer->key;
	twin.certificate = peer->certificate;
	EVP_PKEY_up_ref(twin.key);
	X509_up_ref(twin.certificate);
	peer_follow(&twin);
	UNTIL(peer->closed);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_REPLACED);
	UNTIL(twin.updates == 1);
	ck_assert(status_bool(&twin, "connected"));
	ck_assert_uint_eq(counters().agents_connected, 1);
	peer_deinit(&twin);
	peer_free(peer);
}
END_TEST

int main(void)
{
	return plane_main("enrol", (const TTest *const[]){test_enrol, test_enrol_only, test_enrolment_rate, test_renew,
	                                                  test_expired, test_renew_instead_of_hello, test_impostors,
	                                                  test_revoke, test_replaced, NULL});
}
