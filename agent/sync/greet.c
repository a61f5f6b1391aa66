/* SPDX-License-Identifier: Apache-2.0 */
/* What the link says and hears on an open channel: who the peer is, enrolment, renewal, Welcome, Refused. */
#include "base/log.h"
#include "base/secret.h"
#include "crypto/authority.h"
#include "crypto/crypto.h"
#include "sync/link_impl.h"

#include <string.h>
#include <time.h>

#define RETRY_AFTER_MAX_MS 600000
#define REFUSED_RETRY_MS 5000 /* what only a person can change */
#define HEARTBEAT_MIN_S 1
#define HEARTBEAT_MAX_S 300
#define HELD_BEAT_MS 15000
#define RENEW_AGAIN_MS 600000

/* The CA in the peer's chain that the join token names; the channel has verified the chain up to it. */
static X509 *find_pinned(const struct link *link, struct error *err)
{
	STACK_OF(X509) *chain = channel_peer_chain(link->channel);

	for (int i = 0; i < sk_X509_num(chain); i++) {
		CLEANUP(buf_deinit) struct buf der = BUF_NULL;
		uint8_t hash[SHA256_LEN];

		if (authority_encode_cert(sk_X509_value(chain, i), &der, err) < 0 ||
		    crypto_sha256(BYTES(der.data, der.len), hash, err) < 0)
			return NULL;
		if (memcmp(hash, link->token.ca_sha256, sizeof(hash)) == 0)
			return sk_X509_value(chain, i);
	}
	error_set(err, E_FORBIDDEN, "the peer does not show the CA that the join token names");
	return NULL;
}

static int check_peer(struct link *link, struct error *err)
{
	const struct identity *identity = link->config.identity;
	X509 *ca = identity_is_enrolled(identity) ? identity_ca(identity) : find_pinned(link, err);
	X509 *peer = channel_peer(link->channel);
	enum authority_role role;
	char domain[256], agent_id[65];
	int r;

	if (ca == NULL)
		return err->code;
	if (peer == NULL)
		return error_set(err, E_FORBIDDEN, "the peer shows no certificate");
	r = authority_trust_domain(ca, domain, err);
	if (r == 0)
		r = authority_read_identity(peer, domain, &role, agent_id, err);
	if (r == 0 && role != AUTHORITY_CONTROLPLANE)
		r = error_set(err, E_FORBIDDEN, "the peer is an agent (%s), not the control plane", agent_id);
	return r;
}

static ProtobufCBinaryData to_field(const struct buf *buf)
{
	return (ProtobufCBinaryData){.len = buf->len, .data = buf->data};
}

static int send_enroll(struct link *link, struct error *err)
{
	CLEANUP(buf_deinit) struct buf csr = BUF_NULL;
	Tlsplane__Enroll enroll = TLSPLANE__ENROLL__INIT;
	int r = identity_make_enroll_csr(link->config.identity, &csr, err);

	if (r < 0)
		return r;
	enroll.token_id = link->token.id;
	enroll.token_secret = (ProtobufCBinaryData){.len = link->token.secret_len, .data = link->token.secret};
	enroll.csr = to_field(&csr);
	enroll.agent_version = (char *)(uintptr_t)TLSPLANE_VERSION;
	enroll.unix_time = (uint64_t)time(NULL);
	return link_send(link, TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL, &enroll.base, err);
}

static int send_renew(struct link *link, struct error *err)
{
	CLEANUP(buf_deinit) struct buf csr = BUF_NULL;
	Tlsplane__Renew renew = TLSPLANE__RENEW__INIT;
	int r = identity_make_renew_csr(link->config.identity, &csr, err);

	if (r < 0)
		return r;
	renew.csr = to_field(&csr);
	link->renew_sent = true;
	return link_send(link, TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW, &renew.base, err);
}

void link_renew_if_due(struct link *link)
{
	uint64_t now = uv_now(link->config.loop);
	struct error err = ERROR_NULL;

	if (link->renew_sent || now < link->renew_after ||
	    !identity_is_renewal_due(link->config.identity, (int64_t)time(NULL)))
		return;
	link->renew_after = now + RENEW_AGAIN_MS;
	if (send_renew(link, &err) < 0)
		log_event(LOG_WARNING, "agent certificate can't be renewed yet", LOG_ERR(&err));
}

void link_on_open(struct link *link)
{
	const struct identity *identity = link->config.identity;
	struct error err = ERROR_NULL;
	int r = check_peer(link, &err);

	if (r < 0) {
		link_fail(link, &err);
		return;
	}
	if (!identity_is_enrolled(identity)) {
		link_set_state(link, LINK_ENROLLING);
		r = send_enroll(link, &err);
	} else if (!link->uses_next && (link->renew_first || identity_is_expired(identity, (int64_t)time(NULL)))) {
		link_set_state(link, LINK_RENEWING);
		r = send_renew(link, &err);
	} else {
		link_set_state(link, LINK_GREETING);
		link->greeted = true;
		link->config.events.on_greet(link->config.events.owner);
	}
	if (r < 0)
		link_fail(link, &err);
}

/* A new certificate is there: connect with it. */
static void reconnect_soon(struct link *link)
{
	struct error why = ERROR_NULL;

	error_set(&why, E_CLOSED, "connecting with the new certificate");
	link->soon = true;
	link->avoid_next = false;
	link->renew_first = false;
	link_fail(link, &why);
}

static void on_enroll_reply(struct link *link, const Tlsplane__EnrollReply *reply)
{
	struct error err = ERROR_NULL;

	if (identity_accept_enroll(link->config.identity, &link->token, reply, &err) < 0) {
		link_fail(link, &err);
		return;
	}
	join_token_wipe(&link->token);
	log_event(LOG_INFO, "enrolled", LOG_STR("agent", identity_agent_id(link->config.identity)));
	reconnect_soon(link);
}

static void fail_renewal(struct link *link, const struct error *why)
{
	if (link->state == LINK_RENEWING) {
		link_fail(link, why);
		return;
	}
	log_event(LOG_WARNING, "agent certificate can't be renewed yet", LOG_ERR(why));
	link->renew_sent = false;
}

static void on_renew_reply(struct link *link, const Tlsplane__RenewReply *reply)
{
	struct error err = ERROR_NULL;

	if (identity_accept_renew(link->config.identity, reply, &err) < 0) {
		fail_renewal(link, &err);
		return;
	}
	log_event(LOG_INFO, "agent certificate renewed", LOG_STR("agent", identity_agent_id(link->config.identity)));
	reconnect_soon(link);
}

static void promote(struct link *link)
{
	struct error err = ERROR_NULL;

	if (!link->uses_next)
		return;
	if (identity_promote(link->config.identity, &err) < 0)
		log_event(LOG_WARNING, "renewed certificate not put in place yet", LOG_ERR(&err));
}

static void on_welcome(struct link *link, const Tlsplane__Welcome *welcome)
{
	struct link_address *address = &link->addresses[backoff_address(&link->backoff)];
	uint32_t seconds = welcome->heartbeat_seconds;

	if (seconds < HEARTBEAT_MIN_S)
		seconds = HEARTBEAT_MIN_S;
	if (seconds > HEARTBEAT_MAX_S)
		seconds = HEARTBEAT_MAX_S;
	link_set_state(link, LINK_OPEN);
	link_set_beat(link, 1000 * (uint64_t)seconds);
	backoff_reset(&link->backoff);
	address->last_failure[0] = '\0';
	link->connects++;
	promote(link);
	log_event(LOG_INFO, "connected", LOG_STR("agent", identity_agent_id(link->config.identity)),
	          LOG_STR("host", address->host), LOG_U64("port", address->port), LOG_U64("epoch", welcome->epoch),
	          LOG_U64("revision", welcome->revision));
	link->config.events.on_connected(link->config.events.owner);
	link_renew_if_due(link);
}

static void hold(struct link *link, const Tlsplane__Refused *refused)
{
	if (link->state == LINK_HELD)
		return;
	log_event(LOG_ERROR, "control plane does not know the state of this agent; serving it until the operator decides",
	          LOG_STR("detail", refused->text));
	link_set_state(link, LINK_HELD);
	link_set_beat(link, HELD_BEAT_MS);
	backoff_reset(&link->backoff);
}

static void on_refused(struct link *link, const Tlsplane__Refused *refused)
{
	struct error why = ERROR_NULL;

	if (refused->code == TLSPLANE__REFUSED_CODE__REFUSED_DIVERGED &&
	    (link->state == LINK_GREETING || link->state == LINK_OPEN || link->state == LINK_HELD)) {
		hold(link, refused);
		return;
	}
	error_set(&why, E_FORBIDDEN, "refused: %s", refused->text);
	if (refused->code == TLSPLANE__REFUSED_CODE__REFUSED_EXPIRED && !link->uses_next) {
		link->renew_first = true;
	} else if (refused->has_retry_after_ms) {
		link->floor_ms = refused->retry_after_ms < RETRY_AFTER_MAX_MS ? refused->retry_after_ms : RETRY_AFTER_MAX_MS;
	} else if (!link->uses_next && refused->code != TLSPLANE__REFUSED_CODE__REFUSED_BUSY) {
		link->floor_ms = REFUSED_RETRY_MS;
	}
	link_fail(link, &why);
}

static bool is_configuration(Tlsplane__MessageType type)
{
	return type == TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN ||
	       type == TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_OBJECTS ||
	       type == TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END || type == TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT;
}

void link_on_message(struct link *link, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	struct error why = ERROR_NULL;

	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED) {
		on_refused(link, (const Tlsplane__Refused *)message);
	} else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL_REPLY && link->state == LINK_ENROLLING) {
		on_enroll_reply(link, (const Tlsplane__EnrollReply *)message);
	} else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW_REPLY && link->renew_sent) {
		on_renew_reply(link, (const Tlsplane__RenewReply *)message);
	} else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_WELCOME && link->state == LINK_GREETING) {
		on_welcome(link, (const Tlsplane__Welcome *)message);
	} else if ((type == TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS || type == TLSPLANE__MESSAGE_TYPE__MESSAGE_SERVE_CHECK) &&
	           link->state == LINK_OPEN) {
		link->config.events.on_message(type, message, link->config.events.owner);
	} else if (is_configuration(type) && (link->state == LINK_OPEN || link->state == LINK_HELD)) {
		link->config.events.on_message(type, message, link->config.events.owner);
	} else {
		error_set(&why, E_PROTOCOL, "message type %d is not legal here", (int)type);
		link_fail(link, &why);
	}
}
