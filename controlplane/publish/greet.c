/* SPDX-License-Identifier: Apache-2.0 */
/* Greeting: who is at the other end (the certificate alone says), is it still wanted, and where in history does it
 * stand. */
#include "base/log.h"
#include "crypto/authority.h"
#include "crypto/cert.h"
#include "internal.h"
#include "model/body.h"
#include "model/selector.h"
#include "session.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 64
#define PROTOCOL_VERSION 1
#define BUSY_RETRY_MS 2000

/* The canonical text of labels as the store has them (a compact JSON object, or NULL: none). *ret is malloc'd. */
static int read_labels(const char *text, char **ret, struct error *err)
{
	const char *keys[LABELS_MAX], *values[LABELS_MAX];
	json_t *labels = text == NULL ? json_object() : json_loads(text, 0, NULL);
	const char *key;
	json_t *value;
	size_t count = 0;
	int rc = 0;

	json_object_foreach(labels, key, value)
	{
		if (count == LABELS_MAX || !json_is_string(value)) {
			rc = error_set(err, E_CORRUPT, "labels of the agent");
			break;
		}
		keys[count] = key;
		values[count++] = json_string_value(value);
	}
	if (labels == NULL)
		rc = error_set(err, E_CORRUPT, "labels of the agent");
	if (rc == 0)
		rc = selector_make(keys, values, count, ret, err);
	json_decref(labels);
	return rc;
}

/* What the store says of the agent now. */
struct standing {
	char *labels;       /* owned */
	bool has_newer_key; /* than the one shown */
	bool has_older_key;
	int64_t not_after;
	bool is_forgotten; /* the key is newer than the record, which an older copy of the store brought back */
};

/* A key that this record does not know is good when its certificate, which our CA signed for this agent, outlives all that it knows:
 * a renewal that a restored, older store has forgotten. A key that was replaced ends earlier, unless it is of a time when our
 * clock was ahead; such a one is not good before its time. */
static int read_keys(const Tlsplane__Agent *body, const struct session *session, struct standing *ret, struct error *err)
{
	CLEANUP(cert_info_deinit) struct cert_info peer = {0};
	int64_t newest = 0;
	int r;

	for (size_t i = 0; i < body->n_keys; i++) {
		const Tlsplane__AgentKey *key = body->keys[i];

		if (key->spki_sha256.len != 32 || memcmp(key->spki_sha256.data, session->spki_sha256, 32) != 0) {
			newest = (int64_t)key->not_after > newest ? (int64_t)key->not_after : newest;
			continue;
		}
		ret->has_older_key = i > 0;
		ret->has_newer_key = i + 1 < body->n_keys;
		ret->not_after = (int64_t)key->not_after;
		return 0;
	}
	r = cert_info_read(channel_peer(session->channel), &peer, err);
	if (r < 0)
		return r;
	if (peer.not_after <= newest || peer.not_before > (int64_t)publisher_unix_time())
		return error_set(err, E_FORBIDDEN, "this key is not one of the agent's");
	ret->not_after = peer.not_after;
	ret->is_forgotten = true;
	return 0;
}

/* E_NOT_FOUND: no such agent; E_FORBIDDEN: not with this key. */
static int read_standing(const struct session *session, const char *id, struct standing *ret, struct error *err)
{
	struct publisher *publisher = session->publisher;
	struct store_row row = {0};
	ProtobufCMessage *body = NULL;
	int rc = store_get(publisher->reader, KIND_AGENT, id, 0, &row, err);

	if (rc < 0)
		return rc;
	rc = body_decode(&tlsplane__agent__descriptor, row.state.object.body, &body, err);
	if (rc == 0)
		rc = read_keys((const Tlsplane__Agent *)body, session, ret, err);
	if (rc == 0)
		rc = read_labels(row.state.labels, &ret->labels, err);
	body_free(body);
	store_row_deinit(&row);
	return rc;
}

static void refuse_standing(struct session *session, const char *id, int code)
{
	if (code == E_NOT_FOUND)
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED, 0,
		               "agent %s was deleted, or never enrolled here", id);
	else if (code == E_FORBIDDEN)
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED, 0, "agent %s has another key by now", id);
	else
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_BUSY, (uint32_t)publisher_jitter(BUSY_RETRY_MS),
		               "agent %s: its record can't be read now", id);
}

static int read_identity(struct session *session, char id[65], struct error *err)
{
	X509 *peer = channel_peer(session->channel);
	enum authority_role role;
	int rc;

	if (peer == NULL)
		return error_set(err, E_UNAUTHENTICATED, "no certificate");
	rc = authority_read_identity(peer, session->publisher->trust_domain, &role, id, err);
	if (rc < 0)
		return rc;
	if (role != AUTHORITY_AGENT)
		return error_set(err, E_FORBIDDEN, "not an agent's certificate");
	return cert_spki_sha256(peer, session->spki_sha256, err);
}

/* From here on this session is the agent's; one before it goes. */
static void take_over(struct session *session, int64_t not_after)
{
	struct agent *agent = session->agent;

	if (agent->session != NULL)
		session_refuse(agent->session, TLSPLANE__REFUSED_CODE__REFUSED_REPLACED, 0, "agent %s connected again",
		               agent->id);
	agent->session = session;
	agent->connected_at = agent->last_seen = publisher_unix_time();
	agent->certificate_not_after = not_after;
	(void)snprintf(agent->address, sizeof(agent->address), "%s", channel_address(session->channel));
}

static void accept_agent(struct session *session, const char *id, struct standing *standing)
{
	struct publisher *publisher = session->publisher;
	struct error err = ERROR_NULL;

	if (agent_get(&publisher->agents, publisher->reader, id, &session->agent, &err) < 0) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_BUSY, (uint32_t)publisher_jitter(BUSY_RETRY_MS), "%s",
		               err.text);
		return;
	}
	agent_ref(session->agent);
	if (channel_peer_is_expired(session->channel)) {
		log_event(LOG_WARNING, "agent's certificate has expired, or is not yet valid", LOG_STR("agent", id));
		session_enter(session, SESSION_EXPIRED);
		return;
	}
	if (standing->is_forgotten)
		log_event(LOG_WARNING, "agent's key is newer than its record; was an older copy of the store restored?",
		          LOG_STR("agent", id));
	session->labels = TAKE_PTR(standing->labels);
	if (standing->has_older_key && !standing->has_newer_key)
		change_confirm_key(publisher->changes, id, session->spki_sha256);
	session_enter(session, SESSION_GREETING);
	take_over(session, standing->not_after);
}

static void identify(struct session *session)
{
	struct standing standing = {0};
	struct error err = ERROR_NULL;
	char id[65];
	int rc = read_identity(session, id, &err);

	if (rc < 0) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "identity: %s", err.text);
		return;
	}
	rc = read_standing(session, id, &standing, &err);
	if (rc < 0)
		refuse_standing(session, id, rc);
	else
		accept_agent(session, id, &standing);
	free(standing.labels);
}

void session_on_open(struct session *session)
{
	const char *alpn = channel_alpn(session->channel);

	if (strcmp(alpn, CHANNEL_ALPN_ENROLL) == 0)
		session_enter(session, SESSION_ENROLLING);
	else if (strcmp(alpn, CHANNEL_ALPN) == 0)
		identify(session);
	else
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "ALPN");
}

void session_recheck(struct session *session)
{
	struct publisher *publisher = session->publisher;
	struct standing standing = {0};
	struct error err = ERROR_NULL;
	int rc = read_standing(session, session->agent->id, &standing, &err);

	if (rc == E_NOT_FOUND || rc == E_FORBIDDEN) {
		(void)error_set(&err, E_FORBIDDEN, "%s",
		                rc == E_NOT_FOUND ? "the agent was deleted" : "the agent has another key by now");
		session_revoke(session, &err);
	} else if (rc != 0) {
		session_fail(session, &err); /* not sure of it: it may come back when the store can be read */
	} else if (strcmp(standing.labels, session->labels) != 0) {
		char *old = session->labels;

		session->labels = TAKE_PTR(standing.labels);
		session->relabelled = true;
		log_event(LOG_INFO, "agent's labels changed", LOG_STR("agent", session->agent->id),
		          LOG_STR("labels", session->labels), LOG_STR("before", old));
		free(old);
		if (session_is_current_of_agent(session) &&
		    holding_relabel(&session->holding, &publisher->selectors, session->labels, &err) < 0)
			session_fail(session, &err);
		session_owe_tickets(session);
		session_review(session);
	}
	free(standing.labels);
}

/* Where the reported state stands in history. *ret_base: its revision, or 0 when nothing can be built on it.
 * E_DIVERGED: this store does not contain what it must contain. A state of an earlier epoch that is not in history was
 * cut off by the new epoch: that is how the operator decided. */
static int place_in_history(struct publisher *publisher, const Tlsplane__Hello *hello, uint64_t *ret_base,
                            struct error *err)
{
	const struct revision head = publisher->selectors.head.revision, at = {hello->epoch, hello->revision};
	const struct revision high = {hello->high_water_epoch, hello->high_water_revision};
	struct store_revision stored;
	int rc;

	*ret_base = 0;
	if (revision_compare(at, head) > 0 || revision_compare(high, head) > 0)
		return error_set(err, E_DIVERGED,
		                 "it is at %" PRIu64 "/%" PRIu64 ", its high water is %" PRIu64 "/%" PRIu64
		                 ", the store ends at %" PRIu64 "/%" PRIu64,
		                 at.epoch, at.number, high.epoch, high.number, head.epoch, head.number);
	if (at.number == 0 || at.number > head.number)
		return 0;
	rc = store_get_revision(publisher->reader, at.number, &stored, err);
	if (rc < 0 && rc != E_NOT_FOUND)
		return rc;
	if (rc == 0 && stored.revision.epoch == at.epoch && memcmp(stored.chain.bytes, hello->chain.data, DIGEST_LEN) == 0)
		*ret_base = at.number;
	else if (at.epoch == head.epoch)
		return error_set(err, E_DIVERGED, "the store's revision %" PRIu64 "/%" PRIu64 " is another one", at.epoch,
		                 at.number);
	return 0;
}

/* The agent stays connected and serves on; the operator decides. */
static void diverge(struct session *session, const struct error *why)
{
	Tlsplane__Refused message = TLSPLANE__REFUSED__INIT;
	struct agent *agent = session->agent;

	log_event(LOG_ERROR, "agent's state is not in this store", LOG_STR("agent", agent->id), LOG_ERR(why));
	agent->diverged = true;
	message.code = TLSPLANE__REFUSED_CODE__REFUSED_DIVERGED;
	message.text = (char *)why->text;
	session_enter(session, SESSION_DIVERGED);
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED, &message.base);
}

static void welcome(struct session *session)
{
	const struct publisher *publisher = session->publisher;
	const struct revision head = publisher->selectors.head.revision;
	Tlsplane__Welcome message = TLSPLANE__WELCOME__INIT;
	struct agent *agent = session->agent;

	agent->diverged = false;
	message.epoch = head.epoch;
	message.revision = head.number;
	message.heartbeat_seconds = publisher->heartbeat_ms / 1000;
	message.unix_time = publisher_unix_time();
	session_enter(session, SESSION_IDLE);
	log_event(LOG_INFO, "agent connected", LOG_STR("agent", agent->id), LOG_STR("address", agent->address),
	          LOG_STR("version", agent->version), LOG_STR("labels", session->labels),
	          LOG_U64("epoch", agent->applied.epoch), LOG_U64("revision", agent->applied.number));
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_WELCOME, &message.base);
	session_send_tickets(session);
	session_review(session);
}

static int take_hello(struct session *session, const Tlsplane__Hello *hello, bool *ret_diverged, struct error *err)
{
	struct publisher *publisher = session->publisher;
	struct error why = ERROR_NULL;
	uint64_t base = 0;
	int rc;

	if (hello->chain.len != DIGEST_LEN)
		return error_set(err, E_PROTOCOL, "chain of %zu bytes", hello->chain.len);
	rc = place_in_history(publisher, hello, &base, &why);
	*ret_diverged = rc == E_DIVERGED;
	if (rc < 0 && rc != E_DIVERGED) {
		*err = why;
		return rc;
	}
	rc = agent_take_hello(session->agent, hello, err);
	if (rc == 0)
		rc = holding_report(&session->holding, &publisher->selectors, hello->digests, hello->n_digests, base, err);
	if (rc == 0)
		rc = holding_relabel(&session->holding, &publisher->selectors, session->labels, err);
	if (rc == 0 && *ret_diverged)
		*err = why;
	return rc;
}

void session_on_hello(struct session *session, const ProtobufCMessage *message)
{
	const Tlsplane__Hello *hello = (const Tlsplane__Hello *)message;
	struct publisher *publisher = session->publisher;
	struct error err = ERROR_NULL;
	bool diverged = false;
	int rc;

	if (hello->protocol != PROTOCOL_VERSION) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_VERSION, 0,
		               "protocol %" PRIu32 ": this control plane speaks %d", hello->protocol, PROTOCOL_VERSION);
		return;
	}
	rc = take_hello(session, hello, &diverged, &err);
	if (rc == E_PROTOCOL) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "Hello: %s", err.text);
		return;
	}
	if (rc < 0) {
		session_fail(session, &err);
		return;
	}
	session->takes_checks = hello->has_takes_serve_checks && hello->takes_serve_checks;
	session->takes_tickets = hello->has_takes_ticket_keys && hello->takes_ticket_keys;
	session->agent->not_durable = hello->has_not_durable && hello->not_durable;
	if (!session->agent->not_durable)
		session->agent->applied = (struct revision){hello->epoch, hello->revision};
	session->heartbeat_at = uv_now(publisher->loop) + publisher_jitter(publisher->heartbeat_ms);
	agent_touch(&publisher->agents, session->agent);
	if (diverged)
		diverge(session, &err);
	else
		welcome(session);
}
