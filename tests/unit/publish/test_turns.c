/* SPDX-License-Identifier: Apache-2.0 */
/* Every message in every state of a session: what channel.proto's conversation does not name there is refused and ends the connection
 * (CVE-2026-30836: messages that were parsed, and handled by nobody, went past the checks). */
#include "peer.h"

#define IN(turn) (1u << (turn))
#define TYPE(name) TLSPLANE__MESSAGE_TYPE__MESSAGE_##name

/* Where an agent may stand in the conversation. */
enum turn { ENROLLING, EXPIRED, GREETING, IDLE, WAITING, DIVERGED, TURNS_ };

#define KNOWN (IN(IDLE) | IN(WAITING))

static struct {
	Tlsplane__Enroll enroll;
	Tlsplane__EnrollReply enroll_reply;
	Tlsplane__Refused refused;
	Tlsplane__Renew renew;
	Tlsplane__RenewReply renew_reply;
	Tlsplane__Hello hello;
	Tlsplane__Welcome welcome;
	Tlsplane__UpdateBegin begin;
	Tlsplane__UpdateObjects objects;
	Tlsplane__UpdateEnd end;
	Tlsplane__Ack ack;
	Tlsplane__Nack nack;
	Tlsplane__Resync resync;
	Tlsplane__Heartbeat heartbeat;
	Tlsplane__Report report;
	Tlsplane__TicketKeys keys;
	Tlsplane__TicketKeysHeld held;
	Tlsplane__ServeCheck check;
	Tlsplane__Served served;
} say = {
	TLSPLANE__ENROLL__INIT,   TLSPLANE__ENROLL_REPLY__INIT, TLSPLANE__REFUSED__INIT,          TLSPLANE__RENEW__INIT,
	TLSPLANE__RENEW_REPLY__INIT, TLSPLANE__HELLO__INIT,     TLSPLANE__WELCOME__INIT,          TLSPLANE__UPDATE_BEGIN__INIT,
	TLSPLANE__UPDATE_OBJECTS__INIT, TLSPLANE__UPDATE_END__INIT, TLSPLANE__ACK__INIT,          TLSPLANE__NACK__INIT,
	TLSPLANE__RESYNC__INIT,   TLSPLANE__HEARTBEAT__INIT,    TLSPLANE__REPORT__INIT,           TLSPLANE__TICKET_KEYS__INIT,
	TLSPLANE__TICKET_KEYS_HELD__INIT, TLSPLANE__SERVE_CHECK__INIT, TLSPLANE__SERVED__INIT,
};

static const struct row {
	Tlsplane__MessageType type;
	const ProtobufCMessage *message;
	unsigned legal; /* in these turns; none: it is the control plane's to say */
} rows[] = {
	{TYPE(ENROLL), &say.enroll.base, IN(ENROLLING)},
	{TYPE(ENROLL_REPLY), &say.enroll_reply.base, 0},
	{TYPE(REFUSED), &say.refused.base, 0},
	{TYPE(RENEW), &say.renew.base, KNOWN | IN(EXPIRED) | IN(GREETING) | IN(DIVERGED)},
	{TYPE(RENEW_REPLY), &say.renew_reply.base, 0},
	{TYPE(HELLO), &say.hello.base, IN(GREETING)},
	{TYPE(WELCOME), &say.welcome.base, 0},
	{TYPE(UPDATE_BEGIN), &say.begin.base, 0},
	{TYPE(UPDATE_OBJECTS), &say.objects.base, 0},
	{TYPE(UPDATE_END), &say.end.base, 0},
	{TYPE(ACK), &say.ack.base, IN(WAITING)},
	{TYPE(NACK), &say.nack.base, IN(WAITING)},
	{TYPE(RESYNC), &say.resync.base, KNOWN},
	{TYPE(HEARTBEAT), &say.heartbeat.base, KNOWN | IN(DIVERGED)},
	{TYPE(REPORT), &say.report.base, KNOWN | IN(DIVERGED)},
	{TYPE(TICKET_KEYS), &say.keys.base, 0},
	{TYPE(TICKET_KEYS_HELD), &say.held.base, KNOWN},
	{TYPE(SERVE_CHECK), &say.check.base, 0},
	{TYPE(SERVED), &say.served.base, KNOWN},
};

/* Required texts are there, so that nothing is refused for how it is written. */
static void fill_in(void)
{
	char *text = (char *)(uintptr_t)"x";

	say.enroll.token_id = say.enroll.agent_version = say.enroll_reply.agent_id = say.refused.text = say.nack.text = text;
	say.hello.agent_version = say.hello.openssl_version = text;
	say.refused.code = TLSPLANE__REFUSED_CODE__REFUSED_BUSY;
	say.nack.code = TLSPLANE__NACK_CODE__NACK_LIMIT;
}

static X509 *make_expired(const struct peer *peer)
{
	X509 *ca = NULL, *certificate = NULL;
	EVP_PKEY *ca_key = NULL;

	OK(store_load_ca(plane.store, &ca, &ca_key, &test_error));
	OK(authority_issue(ca, ca_key, AUTHORITY_AGENT, peer->id, peer->key, 1000000, 3600, &certificate, &test_error));
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	return certificate;
}

static void follow(struct peer *peer, bool mute)
{
	uint64_t acks = counters().acks;
	unsigned updates = peer->updates;

	peer->mute = mute;
	peer->at = (struct revision){0, 0}; /* so that there is an update to send */
	peer->chain = (struct digest){{0}};
	kept_free_all(&peer->kept);
	peer_follow(peer);
	UNTIL(peer->updates > updates);
	UNTIL(mute || counters().acks > acks);
}

static void diverge(struct peer *peer)
{
	peer->at = plane.head.revision;
	peer->chain.bytes[0] ^= 1;
	peer_follow(peer);
	ck_assert_int_eq(peer->refusal, TLSPLANE__REFUSED_CODE__REFUSED_DIVERGED);
}

static void bring_to(struct peer *peer, enum turn turn)
{
	X509 *expired;

	switch (turn) {
	case ENROLLING:
		peer_connect_as(peer, NULL, NULL);
		break;
	case EXPIRED:
		expired = make_expired(peer);
		peer_connect_as(peer, expired, peer->key);
		X509_free(expired);
		break;
	case GREETING:
		peer_connect(peer);
		break;
	case IDLE:
	case WAITING:
		follow(peer, turn == WAITING);
		break;
	default:
		diverge(peer);
	}
	UNTIL(peer->open);
}

START_TEST(test_every_message_has_its_turn)
{
	struct peer *peer = peer_new("{}");
	unsigned refused = 0;

	fill_in();
	put_upstream("u1", "{}", 80);
	for (unsigned turn = 0; turn < TURNS_; turn++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			if ((rows[i].legal & IN(turn)) != 0)
				continue;
			bring_to(peer, (enum turn)turn);
			peer_send(peer, rows[i].type, rows[i].message);
			UNTIL(peer->closed);
			ck_assert_msg(peer->refusal == (turn == EXPIRED ? TLSPLANE__REFUSED_CODE__REFUSED_EXPIRED
			                                                : TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL),
			              "message %d in turn %u: %d", (int)rows[i].type, turn, (int)peer->refusal);
			peer->refusal = TLSPLANE__REFUSED_CODE__REFUSED_TOKEN;
			refused++;
		}
	}
	ck_assert_uint_eq(refused, 93);
	ck_assert_uint_eq(counters().enrolments, 1); /* peer_new's */
	peer_free(peer);
}
END_TEST

int main(void)
{
	return plane_main("turns", (const TTest *const[]){test_every_message_has_its_turn, NULL});
}
