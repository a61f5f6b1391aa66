/* SPDX-License-Identifier: Apache-2.0 */
/* Scripted agents on the plane's loop, that keep what they are sent and check its digests as a real one does. */
#pragma once

#include "crypto/authority.h"
#include "crypto/key.h"
#include "kept.h"
#include "net/channel.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/socket.h>

struct peer {
	char id[ID_MAX + 1];
	EVP_PKEY *key;
	X509 *certificate;
	struct channel *channel;
	bool open, closed;
	struct error why;

	/* How it behaves. */
	bool mute;      /* answers no update */
	bool not_durable; /* says so in its Hello */
	bool takes_checks;  /* says so in its Hello; answers ServeCheck with `leaf`, with none when it is 0... */
	bool hides_checks;  /* ...or not at all */
	uint8_t leaf;       /* each byte of what it sees */
	unsigned checks, checks_short; /* came; how many answers it leaves out */
	size_t questions;              /* of the newest */
	bool takes_tickets; /* says so in its Hello... */
	bool hides_tickets; /* ...but never that it holds them */
	unsigned wrong; /* so often it claims that digests are wrong */
	unsigned nacks; /* so many updates are refused */

	/* What it holds, and what it was told. */
	struct kept *kept;
	struct revision at, high;
	struct digest chain;
	struct revision begun;
	struct digest begun_chain;
	uint64_t announced, received;
	unsigned welcomes, updates, resets, drops, puts, removals, secrets, heartbeats;
	unsigned keyless; /* SSL objects that came without a key */
	bool refused;
	Tlsplane__RefusedCode refusal;
	uint32_t retry_after_ms;
	uint64_t nacked_at, updated_at; /* loop milliseconds */
	bool replied;                   /* EnrollReply or RenewReply came */
	Tlsplane__TicketKeys *tickets;  /* the newest; NULL: none came */
	unsigned ticket_messages;
};

static inline void peer_send(struct peer *peer, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	OK(channel_send(peer->channel, type, message, &test_error));
}

static inline void peer_ack(struct peer *peer, struct revision revision)
{
	Tlsplane__Ack ack = TLSPLANE__ACK__INIT;

	ack.epoch = revision.epoch;
	ack.revision = revision.number;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, &ack.base);
}

static inline void peer_nack(struct peer *peer)
{
	Tlsplane__ObjectReason reason = TLSPLANE__OBJECT_REASON__INIT, *reasons[] = {&reason};
	Tlsplane__Nack nack = TLSPLANE__NACK__INIT;

	reason.kind = KIND_UPSTREAM;
	reason.id = (char *)"u1";
	reason.field = (char *)"/nodes";
	reason.reason = (char *)"not today";
	nack.epoch = peer->begun.epoch;
	nack.revision = peer->begun.number;
	nack.code = TLSPLANE__NACK_CODE__NACK_PROFILE;
	nack.text = (char *)"refused by the test";
	nack.n_objects = 1;
	nack.objects = reasons;
	peer->nacked_at = uv_now(&plane.loop);
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK, &nack.base);
}

static inline void peer_resync(struct peer *peer, const char *selector)
{
	Tlsplane__Resync resync = TLSPLANE__RESYNC__INIT;
	char *selectors[] = {(char *)selector};

	resync.n_selectors = 1;
	resync.selectors = selectors;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_RESYNC, &resync.base);
}

static inline void peer_heartbeat(struct peer *peer)
{
	Tlsplane__Heartbeat heartbeat = TLSPLANE__HEARTBEAT__INIT;
	struct sums sums;

	kept_sum(&peer->kept, &sums);
	heartbeat.epoch = peer->at.epoch;
	heartbeat.revision = peer->at.number;
	heartbeat.n_digests = sums.len;
	heartbeat.digests = sums.list;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT, &heartbeat.base);
}

static inline void on_update_begin(struct peer *peer, const Tlsplane__UpdateBegin *begin)
{
	peer->begun = (struct revision){begin->epoch, begin->revision};
	memcpy(peer->begun_chain.bytes, begin->chain.data, DIGEST_LEN);
	peer->announced = begin->objects;
	peer->received = 0;
	peer->resets += (unsigned)begin->n_reset;
	peer->drops += (unsigned)begin->n_drop;
	for (size_t i = 0; i < begin->n_drop; i++)
		kept_drop_selector(&peer->kept, begin->drop[i]);
	for (size_t i = 0; i < begin->n_reset; i++)
		kept_drop_selector(&peer->kept, begin->reset[i]);
}

static inline void on_update_objects(struct peer *peer, const Tlsplane__UpdateObjects *objects)
{
	peer->removals += (unsigned)objects->n_remove;
	peer->puts += (unsigned)objects->n_put;
	peer->received += objects->n_put;
	for (size_t i = 0; i < objects->n_put; i++) {
		peer->secrets += objects->put[i]->has_secret && objects->put[i]->secret.len > 0;
		peer->keyless += objects->put[i]->kind == KIND_SSL && !objects->put[i]->has_secret;
	}
	for (size_t i = 0; i < objects->n_remove; i++)
		kept_remove(&peer->kept, objects->remove[i]->kind, objects->remove[i]->id, objects->remove[i]->selector);
	for (size_t i = 0; i < objects->n_put; i++)
		kept_put(&peer->kept, objects->put[i]);
}

static inline void on_update_end(struct peer *peer, const Tlsplane__UpdateEnd *end)
{
	struct sums sums;

	kept_sum(&peer->kept, &sums);
	peer->updates++;
	peer->updated_at = uv_now(&plane.loop);
	ck_assert_uint_le(peer->received, peer->announced);
	ck_assert(sums_are(&sums, end->digests, end->n_digests));
	if (peer->wrong > 0) {
		peer->wrong--;
		peer_resync(peer, end->digests[0]->selector);
	} else if (peer->nacks > 0) {
		peer->nacks--;
		peer_nack(peer);
	} else if (!peer->mute) {
		peer->at = peer->high = peer->begun;
		peer->chain = peer->begun_chain;
		peer_ack(peer, peer->begun);
	}
}

static inline void take_certificate(struct peer *peer, const ProtobufCBinaryData *der)
{
	X509_free(peer->certificate);
	OK(cert_parse(BYTES(der->data, der->len), &peer->certificate, &test_error));
	peer->replied = true;
}

static inline void peer_hold_tickets(struct peer *peer, uint64_t serial)
{
	Tlsplane__TicketKeysHeld held = TLSPLANE__TICKET_KEYS_HELD__INIT;

	held.serial = serial;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS_HELD, &held.base);
}

static inline void peer_forget_tickets(struct peer *peer)
{
	if (peer->tickets != NULL)
		tlsplane__ticket_keys__free_unpacked(peer->tickets, NULL);
	peer->tickets = NULL;
}

static inline void on_ticket_keys(struct peer *peer, const Tlsplane__TicketKeys *keys)
{
	size_t len = tlsplane__ticket_keys__get_packed_size(keys);
	uint8_t *packed = malloc(len);

	ck_assert(peer->takes_tickets);
	ck_assert_uint_gt(peer->welcomes, 0);
	ck_assert(peer->tickets == NULL || keys->serial > 0);
	tlsplane__ticket_keys__pack(keys, packed);
	peer_forget_tickets(peer);
	peer->tickets = tlsplane__ticket_keys__unpack(NULL, len, packed);
	free(packed);
	peer->ticket_messages++;
	if (!peer->hides_tickets)
		peer_hold_tickets(peer, keys->serial);
}

static inline void on_serve_check(struct peer *peer, const Tlsplane__ServeCheck *check)
{
	Tlsplane__ServeAnswer answers[200], *list[200];
	Tlsplane__Served served = TLSPLANE__SERVED__INIT;
	uint8_t sha256[32];

	ck_assert(peer->takes_checks);
	peer->checks++;
	peer->questions = check->n_questions;
	ck_assert_uint_le(check->n_questions, 200);
	memset(sha256, peer->leaf, sizeof(sha256));
	for (size_t i = 0; i < check->n_questions; i++) {
		tlsplane__serve_answer__init(&answers[i]);
		answers[i].has_leaf_sha256 = peer->leaf != 0;
		answers[i].leaf_sha256 = (ProtobufCBinaryData){sizeof(sha256), sha256};
		answers[i].reason = peer->leaf == 0 ? (char *)"refused" : NULL;
		list[i] = &answers[i];
	}
	served.id = check->id;
	served.n_answers = check->n_questions - peer->checks_short;
	served.answers = list;
	if (!peer->hides_checks)
		peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVED, &served.base);
}

static inline void on_peer_message(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message,
                                   void *owner)
{
	struct peer *peer = owner;

	switch (type) {
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL_REPLY:
		snprintf(peer->id, sizeof(peer->id), "%s", ((Tlsplane__EnrollReply *)message)->agent_id);
		take_certificate(peer, &((Tlsplane__EnrollReply *)message)->certificate);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW_REPLY:
		take_certificate(peer, &((Tlsplane__RenewReply *)message)->certificate);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED:
		peer->refused = true;
		peer->refusal = ((Tlsplane__Refused *)message)->code;
		peer->retry_after_ms = ((Tlsplane__Refused *)message)->retry_after_ms;
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_WELCOME:
		peer->welcomes++;
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN:
		on_update_begin(peer, (const Tlsplane__UpdateBegin *)message);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_OBJECTS:
		on_update_objects(peer, (const Tlsplane__UpdateObjects *)message);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END:
		on_update_end(peer, (const Tlsplane__UpdateEnd *)message);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT:
		peer->heartbeats++;
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS:
		on_ticket_keys(peer, (const Tlsplane__TicketKeys *)message);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVE_CHECK:
		on_serve_check(peer, (const Tlsplane__ServeCheck *)message);
		break;
	default:
		ck_abort_msg("message type %d", (int)type);
	}
}

static inline void on_peer_open(struct channel *channel, void *owner)
{
	((struct peer *)owner)->open = true;
}

static inline void on_peer_writable(struct channel *channel, void *owner)
{
}

static inline void on_peer_close(struct channel *channel, const struct error *why, void *owner)
{
	struct peer *peer = owner;

	peer->closed = true;
	peer->open = false;
	peer->channel = NULL;
	peer->why = *why;
}

static inline int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(publisher_port(plane.publisher)),
	                              .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static const struct channel_events peer_events = {on_peer_open, on_peer_message, on_peer_writable, on_peer_close};

/* Without a certificate: to enrol. */
static inline void peer_connect_as(struct peer *peer, X509 *certificate, EVP_PKEY *key)
{
	static const char *const enroll[] = {CHANNEL_ALPN_ENROLL, NULL}, *const follow[] = {CHANNEL_ALPN, NULL};
	struct channel_tls_config config = {.certificate = certificate, .key = certificate == NULL ? NULL : key};
	struct channel_tls *tls = NULL;
	X509 *ca = NULL;
	EVP_PKEY *ca_key = NULL;

	OK(store_load_ca(plane.store, &ca, &ca_key, &test_error));
	config.ca = ca;
	config.alpn = certificate == NULL ? enroll : follow;
	OK(channel_tls_new(&config, &tls, &test_error));
	peer->open = peer->closed = peer->refused = peer->replied = false;
	OK(channel_start(&plane.loop, dial(), tls, 5000, &peer_events, peer, &peer->channel, &test_error));
	channel_tls_unref(tls);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
}

static inline void peer_connect(struct peer *peer)
{
	peer_connect_as(peer, peer->certificate, peer->key);
	UNTIL(peer->open || peer->closed);
}

static inline void peer_hello(struct peer *peer)
{
	Tlsplane__Hello hello = TLSPLANE__HELLO__INIT;
	struct sums sums;

	kept_sum(&peer->kept, &sums);
	hello.protocol = 1;
	hello.agent_version = (char *)"0.1";
	hello.openssl_version = (char *)"3.0";
	hello.hostname = (char *)"host\n1";
	hello.has_takes_ticket_keys = hello.takes_ticket_keys = peer->takes_tickets;
	hello.has_takes_serve_checks = hello.takes_serve_checks = peer->takes_checks;
	hello.has_not_durable = hello.not_durable = peer->not_durable;
	hello.epoch = peer->at.epoch;
	hello.revision = peer->at.number;
	hello.chain = (ProtobufCBinaryData){DIGEST_LEN, peer->chain.bytes};
	hello.high_water_epoch = peer->high.epoch;
	hello.high_water_revision = peer->high.number;
	hello.n_digests = sums.len;
	hello.digests = sums.list;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO, &hello.base);
}

static inline void peer_follow(struct peer *peer)
{
	unsigned welcomes = peer->welcomes;

	peer_connect(peer);
	ck_assert(peer->open);
	peer_hello(peer);
	UNTIL(peer->welcomes > welcomes || peer->refused);
}

static inline void peer_leave(struct peer *peer)
{
	if (peer->channel != NULL)
		channel_close(peer->channel, false, NULL);
	UNTIL(peer->channel == NULL);
}

static inline void peer_deinit(struct peer *peer)
{
	peer_leave(peer);
	kept_free_all(&peer->kept);
	peer_forget_tickets(peer);
	X509_free(peer->certificate);
	EVP_PKEY_free(peer->key);
}

/* "tlsplane1.ID.SECRET.CA" */
struct join {
	char id[ID_MAX + 1];
	uint8_t secret[32];
};

static inline void decode_base64url(const char *text, uint8_t bytes[32])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned count = 0;
	size_t len = 0;

	for (; *text != '\0' && *text != '.' && len < 32; text++) {
		bits = bits << 6 | (uint32_t)(strchr(alphabet, *text) - alphabet);
		count += 6;
		if (count >= 8) {
			count -= 8;
			bytes[len++] = (uint8_t)(bits >> count);
		}
	}
	ck_assert_uint_eq(len, 32);
}

static inline struct join make_join(const char *labels)
{
	char json[512];
	struct join join;
	struct changed changed;
	const char *text, *dot;

	snprintf(json, sizeof(json), "{\"ttl\": 600, \"labels\": %s}", labels);
	changed = change(CHANGE_CREATE, KIND_JOIN_TOKEN, "", json);
	text = json_string_value(json_object_get(changed.answer, "token"));
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(strncmp(text, "tlsplane1.", 10), 0);
	dot = strchr(text + 10, '.');
	snprintf(join.id, sizeof(join.id), "%.*s", (int)(dot - text - 10), text + 10);
	decode_base64url(dot + 1, join.secret);
	json_decref(changed.answer);
	return join;
}

static inline void peer_connect_to_enroll(struct peer *peer)
{
	if (peer->key == NULL)
		OK(key_generate(&peer->key, &test_error));
	peer_connect_as(peer, NULL, NULL);
	UNTIL(peer->open);
}

static inline void peer_send_enroll(struct peer *peer, const struct join *join)
{
	CLEANUP(buf_deinit) struct buf csr = BUF_NULL;
	Tlsplane__Enroll enroll = TLSPLANE__ENROLL__INIT;

	OK(authority_make_csr(peer->key, &csr, &test_error));
	enroll.token_id = (char *)join->id;
	enroll.token_secret = (ProtobufCBinaryData){32, (uint8_t *)join->secret};
	enroll.csr = (ProtobufCBinaryData){csr.len, csr.data};
	enroll.agent_version = (char *)"0.1";
	enroll.unix_time = 1;
	peer_send(peer, TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL, &enroll.base);
}

/* Sends Enroll and waits for the end of the connection. */
static inline void peer_enroll(struct peer *peer, const struct join *join)
{
	peer_connect_to_enroll(peer);
	peer_send_enroll(peer, join);
	UNTIL(peer->closed);
}

static inline struct peer *peer_new(const char *labels)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct join join = make_join(labels);

	peer_enroll(peer, &join);
	ck_assert_msg(peer->replied, "not enrolled: refused %d, %s", (int)peer->refusal, peer->why.text);
	return peer;
}

static inline void peer_free(struct peer *peer)
{
	peer_deinit(peer);
	free(peer);
}

/* Questions. ------------------------------------------------------------------------------------------------------- */

static inline bool is_at(const struct peer *peer, struct revision revision)
{
	return revision_compare(peer->at, revision) == 0;
}

static inline bool peer_has(const struct peer *peer, unsigned kind, const char *id)
{
	return kept_has(&peer->kept, kind, id);
}

static inline json_t *status_of(const struct peer *peer)
{
	json_t *status = publisher_agent_status(plane.publisher, peer->id);

	ck_assert_ptr_nonnull(status);
	return status;
}

static inline bool status_bool(const struct peer *peer, const char *key)
{
	json_t *status = status_of(peer);
	bool value = json_is_true(json_object_get(status, key));

	json_decref(status);
	return value;
}

static inline uint64_t status_applied(const struct peer *peer)
{
	json_t *status = status_of(peer);
	json_int_t number = json_integer_value(json_object_get(json_object_get(status, "applied"), "number"));

	json_decref(status);
	return (uint64_t)number;
}

static inline struct publisher_counters counters(void)
{
	struct publisher_counters ret;

	publisher_read_counters(plane.publisher, &ret);
	return ret;
}
