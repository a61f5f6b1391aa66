/* SPDX-License-Identifier: Apache-2.0 */
/* The link against a control plane of the test's own: enrols, greets, renews, keeps its distance when asked to, trusts
 * nobody else. */
#include "sync/link.h"

#include "crypto/authority.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "net/channel.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400

/* The control plane: what it is, what it has seen, how it misbehaves. */
struct peer {
	uv_tcp_t listener;
	uint16_t port;
	struct channel_tls *tls;
	X509 *ca, *cert;
	EVP_PKEY *ca_key, *key;
	int64_t issue_age; /* of the certificates it issues at enrolment */
	unsigned enrolments, hellos, renewals, expired, accepted;
	unsigned busy;    /* so many Hellos are refused first */
	bool say_expired; /* refuse Hello until something was renewed */
	bool cut_renewed; /* the first connection that shows the renewed key is cut, and from then on only that key counts */
	bool has_cut;
	uint8_t renewed[SHA256_LEN]; /* of that key */
	bool spoil_renewals;         /* what it answers to Renew can't be used */
	unsigned refused;
};

struct fixture {
	uv_loop_t loop;
	char dir[64], token_path[96], address[64];
	struct peer peer;
	struct identity *identity;
	struct link *link;
	unsigned greets, connects, disconnects, beats, messages;
	bool closed;
};

static ProtobufCBinaryData field(const struct buf *buf)
{
	return (ProtobufCBinaryData){buf->len, buf->data};
}

static void issue(struct peer *peer, ProtobufCBinaryData csr, int64_t age, struct buf *certificate, struct buf *ca)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;

	ck_assert_int_eq(authority_read_csr(BYTES(csr.data, csr.len), &key, NULL), 0);
	ck_assert_int_eq(authority_issue(peer->ca, peer->ca_key, AUTHORITY_AGENT, "agent-1", key, time(NULL) - age,
	                                 AUTHORITY_AGENT_LIFE, &cert, NULL),
	                 0);
	ck_assert_int_eq(authority_encode_cert(cert, certificate, NULL), 0);
	ck_assert_int_eq(authority_encode_cert(peer->ca, ca, NULL), 0);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void reply_enroll(struct channel *channel, struct peer *peer, const Tlsplane__Enroll *enroll)
{
	CLEANUP(buf_deinit) struct buf certificate = BUF_NULL, ca = BUF_NULL;
	Tlsplane__EnrollReply reply = TLSPLANE__ENROLL_REPLY__INIT;

	ck_assert_str_eq(enroll->token_id, "token");
	ck_assert_str_eq(channel_alpn(channel), CHANNEL_ALPN_ENROLL);
	issue(peer, enroll->csr, peer->issue_age, &certificate, &ca);
	reply.agent_id = (char *)(uintptr_t) "agent-1";
	reply.certificate = field(&certificate);
	reply.ca = field(&ca);
	peer->enrolments++;
	ck_assert_int_eq(channel_send(channel, TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL_REPLY, &reply.base, NULL), 0);
}

static void note_renewed(struct peer *peer, ProtobufCBinaryData csr)
{
	EVP_PKEY *key = NULL;

	ck_assert_int_eq(authority_read_csr(BYTES(csr.data, csr.len), &key, NULL), 0);
	ck_assert_int_eq(key_spki_sha256(key, peer->renewed, NULL), 0);
	EVP_PKEY_free(key);
}

static void reply_renew(struct channel *channel, struct peer *peer, const Tlsplane__Renew *renew)
{
	CLEANUP(buf_deinit) struct buf certificate = BUF_NULL, ca = BUF_NULL;
	Tlsplane__RenewReply reply = TLSPLANE__RENEW_REPLY__INIT;

	issue(peer, renew->csr, 0, &certificate, &ca);
	note_renewed(peer, renew->csr);
	reply.certificate = field(peer->spoil_renewals ? &ca : &certificate);
	reply.ca = field(&ca);
	peer->renewals++;
	peer->expired += channel_peer_is_expired(channel);
	ck_assert_int_eq(channel_send(channel, TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW_REPLY, &reply.base, NULL), 0);
}

static void refuse(struct channel *channel, Tlsplane__RefusedCode code, uint32_t retry_after_ms)
{
	Tlsplane__Refused refused = TLSPLANE__REFUSED__INIT;

	refused.code = code;
	refused.text = (char *)(uintptr_t) "not now";
	refused.has_retry_after_ms = retry_after_ms > 0;
	refused.retry_after_ms = retry_after_ms;
	ck_assert_int_eq(channel_send(channel, TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED, &refused.base, NULL), 0);
	channel_close(channel, true, NULL);
}

static bool shows_renewed(struct channel *channel, const struct peer *peer)
{
	uint8_t shown[SHA256_LEN];

	ck_assert_int_eq(cert_spki_sha256(channel_peer(channel), shown, NULL), 0);
	return memcmp(shown, peer->renewed, sizeof(shown)) == 0;
}

/* True: that was the answer. */
static bool cut_or_refuse(struct channel *channel, struct peer *peer)
{
	bool shown = shows_renewed(channel, peer);

	if (!peer->cut_renewed || (!peer->has_cut && !shown) || (peer->has_cut && shown))
		return false;
	if (shown) {
		peer->has_cut = true;
		channel_close(channel, false, NULL);
	} else {
		peer->refused++;
		refuse(channel, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED, 10);
	}
	return true;
}

static void reply_hello(struct channel *channel, struct peer *peer)
{
	Tlsplane__Welcome welcome = TLSPLANE__WELCOME__INIT;

	peer->hellos++;
	if (peer->hellos <= peer->busy) {
		refuse(channel, TLSPLANE__REFUSED_CODE__REFUSED_BUSY, 100);
		return;
	}
	if (peer->say_expired && peer->renewals == 0) {
		refuse(channel, TLSPLANE__REFUSED_CODE__REFUSED_EXPIRED, 0);
		return;
	}
	if (cut_or_refuse(channel, peer))
		return;
	welcome.epoch = 1;
	welcome.revision = 1;
	welcome.heartbeat_seconds = 1;
	ck_assert_int_eq(channel_send(channel, TLSPLANE__MESSAGE_TYPE__MESSAGE_WELCOME, &welcome.base, NULL), 0);
}

static void peer_on_open(struct channel *channel, void *owner)
{
}

static void peer_on_message(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message, void *owner)
{
	struct peer *peer = owner;

	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL)
		reply_enroll(channel, peer, (const Tlsplane__Enroll *)message);
	else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW)
		reply_renew(channel, peer, (const Tlsplane__Renew *)message);
	else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO)
		reply_hello(channel, peer);
}

static void peer_on_writable(struct channel *channel, void *owner)
{
}

static void peer_on_close(struct channel *channel, const struct error *why, void *owner)
{
}

static void on_connection(uv_stream_t *stream, int status)
{
	static const struct channel_events events = {peer_on_open, peer_on_message, peer_on_writable, peer_on_close};
	struct peer *peer = stream->data;
	struct channel *channel;
	uv_tcp_t *tcp = malloc(sizeof(*tcp));
	uv_os_fd_t fd;

	ck_assert_int_eq(uv_tcp_init(stream->loop, tcp), 0);
	ck_assert_int_eq(uv_accept(stream, (uv_stream_t *)tcp), 0);
	ck_assert_int_eq(uv_fileno((uv_handle_t *)tcp, &fd), 0);
	fd = dup(fd);
	uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
	peer->accepted++;
	ck_assert_int_eq(channel_start(stream->loop, fd, peer->tls, 5000, &events, peer, &channel, NULL), 0);
}

/* role: what the peer's certificate says it is. */
static void start_peer(struct fixture *fixture, enum authority_role role)
{
	static const char *const alpn[] = {CHANNEL_ALPN, CHANNEL_ALPN_ENROLL, NULL};
	struct peer *peer = &fixture->peer;
	struct sockaddr_in address;
	int len = sizeof(address);

	ck_assert_int_eq(authority_make_ca("test.local", time(NULL) - 200 * DAY, &peer->ca, &peer->ca_key, NULL), 0);
	ck_assert_int_eq(key_generate(&peer->key, NULL), 0);
	ck_assert_int_eq(authority_issue(peer->ca, peer->ca_key, role, role == AUTHORITY_AGENT ? "agent-9" : NULL,
	                                 peer->key, time(NULL), 30 * DAY, &peer->cert, NULL),
	                 0);
	ck_assert_int_eq(channel_tls_new(&(struct channel_tls_config){.server = true,
	                                                              .certificate = peer->cert,
	                                                              .key = peer->key,
	                                                              .ca = peer->ca,
	                                                              .alpn = alpn,
	                                                              .allow_expired_client = true},
	                                 &peer->tls, NULL),
	                 0);
	uv_ip4_addr("127.0.0.1", 0, &address);
	uv_tcp_init(&fixture->loop, &peer->listener);
	peer->listener.data = peer;
	ck_assert_int_eq(uv_tcp_bind(&peer->listener, (struct sockaddr *)&address, 0), 0);
	ck_assert_int_eq(uv_listen((uv_stream_t *)&peer->listener, 16, on_connection), 0);
	uv_tcp_getsockname(&peer->listener, (struct sockaddr *)&address, &len);
	peer->port = ntohs(address.sin_port);
	snprintf(fixture->address, sizeof(fixture->address), "127.0.0.1:1,127.0.0.1:%u", peer->port);
}

static void write_token(struct fixture *fixture, X509 *ca)
{
	struct buf der = BUF_NULL;
	uint8_t hash[32];
	char hex[65];
	FILE *file = fopen(fixture->token_path, "w");

	ck_assert_int_eq(authority_encode_cert(ca, &der, NULL), 0);
	ck_assert_int_eq(crypto_sha256(BYTES(der.data, der.len), hash, NULL), 0);
	crypto_hex(hash, sizeof(hash), hex);
	fprintf(file, "tlsplane1.token.AAAA.%s\n", hex);
	fclose(file);
	buf_deinit(&der);
}

static void on_greet(void *owner)
{
	struct fixture *fixture = owner;
	Tlsplane__Hello hello = TLSPLANE__HELLO__INIT;
	static uint8_t chain[32];

	hello.protocol = 1;
	hello.agent_version = hello.openssl_version = (char *)(uintptr_t) "test";
	hello.chain = (ProtobufCBinaryData){32, chain};
	fixture->greets++;
	ck_assert_int_eq(link_send(fixture->link, TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO, &hello.base, NULL), 0);
}

static void on_beat(void *owner)
{
	((struct fixture *)owner)->beats++;
}

static void on_connected(void *owner)
{
	((struct fixture *)owner)->connects++;
}

static void on_message(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner)
{
	((struct fixture *)owner)->messages++;
}

static void on_disconnected(void *owner)
{
	((struct fixture *)owner)->disconnects++;
}

static void set_up(struct fixture *fixture, enum authority_role role)
{
	memset(fixture, 0, sizeof(*fixture));
	strcpy(fixture->dir, "/tmp/tlsplane-link-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->dir));
	snprintf(fixture->token_path, sizeof(fixture->token_path), "%s/token", fixture->dir);
	ck_assert_int_eq(uv_loop_init(&fixture->loop), 0);
	start_peer(fixture, role);
	write_token(fixture, fixture->peer.ca);
	ck_assert_int_eq(identity_open(fixture->dir, &fixture->identity, NULL), 0);
}

static void start_link(struct fixture *fixture)
{
	const struct link_config config = {
	    .loop = &fixture->loop,
	    .identity = fixture->identity,
	    .controlplane = fixture->address,
	    .token_path = fixture->token_path,
	    .events = {on_greet, on_beat, on_connected, on_message, on_disconnected, fixture},
	};
	struct error err = ERROR_NULL;
	int r = link_start(&config, &fixture->link, &err);

	ck_assert_msg(r == 0, "%s", err.text);
}

static void on_link_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

static void tear_down(struct fixture *fixture)
{
	char command[128];

	link_close(fixture->link, on_link_closed, fixture);
	uv_close((uv_handle_t *)&fixture->peer.listener, NULL);
	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	ck_assert(fixture->closed);
	ck_assert_uint_eq(fixture->disconnects, fixture->greets);
	ck_assert_int_eq(uv_loop_close(&fixture->loop), 0);
	channel_tls_unref(fixture->peer.tls);
	X509_free(fixture->peer.ca);
	X509_free(fixture->peer.cert);
	EVP_PKEY_free(fixture->peer.key);
	EVP_PKEY_free(fixture->peer.ca_key);
	identity_free(fixture->identity);
	snprintf(command, sizeof(command), "rm -r %s", fixture->dir);
	ck_assert_int_eq(system(command), 0);
}

static void on_timeout(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static void run_for(struct fixture *fixture, uint64_t ms, const unsigned *counter, unsigned target)
{
	bool timed_out = false;
	uv_timer_t timer;

	uv_timer_init(&fixture->loop, &timer);
	timer.data = &timed_out;
	uv_timer_start(&timer, on_timeout, ms, 0);
	while (!timed_out && (counter == NULL || *counter < target))
		uv_run(&fixture->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

START_TEST(enrols_over_to_the_address_that_answers)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	start_link(&fixture);
	run_for(&fixture, 10000, &fixture.connects, 1);
	ck_assert_uint_eq(fixture.connects, 1);
	ck_assert_uint_eq(fixture.peer.enrolments, 1);
	ck_assert_uint_eq(fixture.peer.renewals, 0);
	ck_assert(link_is_connected(fixture.link));
	ck_assert_str_eq(identity_agent_id(fixture.identity), "agent-1");
	tear_down(&fixture);
}
END_TEST

START_TEST(renews_at_half_life_and_switches)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	fixture.peer.issue_age = AUTHORITY_AGENT_LIFE / 2 + DAY;
	start_link(&fixture);
	run_for(&fixture, 10000, &fixture.connects, 2);
	ck_assert_uint_eq(fixture.connects, 2);
	ck_assert_uint_eq(fixture.peer.renewals, 1);
	ck_assert(!identity_has_next(fixture.identity));
	ck_assert(!identity_is_renewal_due(fixture.identity, time(NULL)));
	tear_down(&fixture);
}
END_TEST

/* The control plane has let go of the old key, and the agent has not heard: it must not stay with that one. */
START_TEST(a_cut_between_the_keys_strands_nobody)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	fixture.peer.issue_age = AUTHORITY_AGENT_LIFE / 2 + DAY;
	fixture.peer.cut_renewed = true;
	start_link(&fixture);
	run_for(&fixture, 15000, &fixture.connects, 2);
	ck_assert(fixture.peer.has_cut);
	ck_assert_uint_eq(fixture.peer.refused, 1);
	ck_assert_uint_eq(fixture.connects, 2);
	ck_assert(!identity_has_next(fixture.identity));
	tear_down(&fixture);
}
END_TEST

/* There is half a life left: nothing of that is worth a connection, nor a request each time. */
START_TEST(a_renewal_that_fails_disturbs_nothing)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	fixture.peer.issue_age = AUTHORITY_AGENT_LIFE / 2 + DAY;
	fixture.peer.spoil_renewals = true;
	start_link(&fixture);
	run_for(&fixture, 10000, &fixture.peer.renewals, 1);
	run_for(&fixture, 15000, &fixture.connects, 2); /* because the peer is silent */
	run_for(&fixture, 15000, &fixture.beats, 3);
	ck_assert_uint_eq(fixture.beats, 3);
	ck_assert_uint_eq(fixture.connects, 2);
	ck_assert_uint_eq(fixture.peer.renewals, 1);
	tear_down(&fixture);
}
END_TEST

START_TEST(expired_certificate_renews_first)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	fixture.peer.issue_age = AUTHORITY_AGENT_LIFE + DAY;
	start_link(&fixture);
	run_for(&fixture, 10000, &fixture.connects, 1);
	ck_assert_uint_eq(fixture.connects, 1);
	ck_assert_uint_eq(fixture.peer.renewals, 1);
	ck_assert_uint_eq(fixture.peer.expired, 1);
	ck_assert_uint_eq(fixture.peer.hellos, 1);
	tear_down(&fixture);
}
END_TEST

/* This machine's clock is behind: the peer says it. */
START_TEST(renews_when_the_peer_says_expired)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	fixture.peer.say_expired = true;
	start_link(&fixture);
	run_for(&fixture, 10000, &fixture.connects, 1);
	ck_assert_uint_eq(fixture.connects, 1);
	ck_assert_uint_eq(fixture.peer.renewals, 1);
	tear_down(&fixture);
}
END_TEST

START_TEST(comes_back_after_busy)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	fixture.peer.busy = 2;
	start_link(&fixture);
	run_for(&fixture, 15000, &fixture.connects, 1);
	ck_assert_uint_eq(fixture.connects, 1);
	ck_assert_uint_eq(fixture.peer.hellos, 3);
	tear_down(&fixture);
}
END_TEST

/* Silence: the peer sends no heartbeats. */
START_TEST(silent_peer_is_left)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	start_link(&fixture);
	run_for(&fixture, 15000, &fixture.connects, 2);
	ck_assert_uint_eq(fixture.connects, 2);
	ck_assert_uint_eq(fixture.beats, 2);
	tear_down(&fixture);
}
END_TEST

START_TEST(agent_posing_as_control_plane_learns_nothing)
{
	struct fixture fixture;

	set_up(&fixture, AUTHORITY_AGENT);
	start_link(&fixture);
	run_for(&fixture, 1000, NULL, 0);
	ck_assert_uint_ge(fixture.peer.accepted, 1);
	ck_assert_uint_eq(fixture.peer.enrolments, 0);
	ck_assert_uint_eq(fixture.peer.hellos, 0);
	tear_down(&fixture);
}
END_TEST

START_TEST(another_ca_learns_nothing)
{
	struct fixture fixture;
	EVP_PKEY *key = NULL;
	X509 *ca = NULL;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	ck_assert_int_eq(authority_make_ca("test.local", time(NULL), &ca, &key, NULL), 0);
	write_token(&fixture, ca);
	start_link(&fixture);
	run_for(&fixture, 1000, NULL, 0);
	ck_assert_uint_ge(fixture.peer.accepted, 1);
	ck_assert_uint_eq(fixture.peer.enrolments, 0);
	X509_free(ca);
	EVP_PKEY_free(key);
	tear_down(&fixture);
}
END_TEST

START_TEST(closing_is_possible_at_any_moment)
{
	for (unsigned turns = 0; turns < 60; turns++) {
		struct fixture fixture;

		set_up(&fixture, AUTHORITY_CONTROLPLANE);
		start_link(&fixture);
		for (unsigned i = 0; i < turns; i++)
			uv_run(&fixture.loop, UV_RUN_NOWAIT);
		tear_down(&fixture);
	}
}
END_TEST

START_TEST(addresses_are_checked)
{
	static const char *const bad[] = {"", "host", "host:0x", ":1,", "a:1,b", "a:70000"};
	struct fixture fixture;
	struct error err = ERROR_NULL;

	set_up(&fixture, AUTHORITY_CONTROLPLANE);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct link *link = NULL;

		ck_assert_msg(link_start(&(struct link_config){.loop = &fixture.loop, .controlplane = bad[i]}, &link, &err) ==
		                  E_SYNTAX,
		              "%s", bad[i]);
	}
	start_link(&fixture);
	tear_down(&fixture);
}
END_TEST

UNIT_MAIN("sync/link", enrols_over_to_the_address_that_answers, renews_at_half_life_and_switches,
          a_cut_between_the_keys_strands_nobody, a_renewal_that_fails_disturbs_nothing,
          expired_certificate_renews_first, renews_when_the_peer_says_expired, comes_back_after_busy,
          silent_peer_is_left, agent_posing_as_control_plane_learns_nothing, another_ca_learns_nothing,
          closing_is_possible_at_any_moment, addresses_are_checked)
