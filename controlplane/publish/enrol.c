/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment and renewal: the CSR is read here, the change engine decides and issues, the answer goes back if anybody is
 * still there. */
#include "base/log.h"
#include "base/secret.h"
#include "crypto/authority.h"
#include "crypto/crypto.h"
#include "internal.h"
#include "session.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_SECRET_MAX 256
#define BUSY_RETRY_MS 2000

/* Outlives its session. */
struct session_request {
	struct publisher *publisher;
	struct session *session; /* NULL: it has gone */
};

/* NULL without memory. */
static struct session_request *request_new(struct session *session)
{
	struct session_request *request = malloc(sizeof(*request));

	if (request == NULL)
		return NULL;
	*request = (struct session_request){session->publisher, session};
	session->request = request;
	publisher_pin(session->publisher);
	return request;
}

void session_leave_request(struct session *session)
{
	if (session->request != NULL)
		session->request->session = NULL;
	session->request = NULL;
}

/* The session that asked, or NULL; the request is over. */
static struct session *request_end(struct session_request *request)
{
	struct session *session = request->session;

	if (session != NULL)
		session->request = NULL;
	free(request);
	return session;
}

static void refuse_busy(struct session *session, const char *what)
{
	session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_BUSY, (uint32_t)publisher_jitter(BUSY_RETRY_MS), "%s",
	               what);
}

static void refuse_enrolment(struct session *session, Tlsplane__RefusedCode code, const char *reason)
{
	session->publisher->counters.enrolments_refused++;
	if (code == TLSPLANE__REFUSED_CODE__REFUSED_BUSY)
		refuse_busy(session, reason);
	else
		session_refuse(session, code, 0, "%s", reason);
}

static void reply_enrolled(struct session *session, const struct change_enrolled *result)
{
	CLEANUP(buf_deinit) struct buf certificate = BUF_NULL;
	Tlsplane__EnrollReply message = TLSPLANE__ENROLL_REPLY__INIT;
	struct publisher *publisher = session->publisher;
	struct error err = ERROR_NULL;

	if (authority_encode_cert(result->certificate, &certificate, &err) < 0) {
		session_fail(session, &err);
		return;
	}
	publisher->counters.enrolments++;
	log_event(LOG_INFO, "agent enrolled", LOG_STR("agent", result->agent_id),
	          LOG_STR("address", channel_address(session->channel)));
	message.agent_id = (char *)result->agent_id;
	message.certificate = (ProtobufCBinaryData){certificate.len, certificate.data};
	message.ca = (ProtobufCBinaryData){publisher->ca_der_len, publisher->ca_der};
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_ENROLL_REPLY, &message.base);
	session_close(session, NULL);
}

static void on_enrolled(const struct change_enrolled *result, void *context)
{
	struct session_request *request = context;
	struct publisher *publisher = request->publisher;
	struct session *session = request_end(request);

	if (session != NULL && result->code == 0) {
		reply_enrolled(session, result);
	} else if (session != NULL) {
		if (session_may_log(session))
			log_event(LOG_WARNING, "enrolment refused", LOG_STR("address", channel_address(session->channel)),
			          LOG_ERR(&result->error));
		if (result->code == E_FORBIDDEN)
			refuse_enrolment(session, TLSPLANE__REFUSED_CODE__REFUSED_TOKEN,
			                 "the join token is unknown, expired, wrong, or was used with another key");
		else
			refuse_enrolment(session, TLSPLANE__REFUSED_CODE__REFUSED_BUSY, "enrolment failed here; try again");
	}
	publisher_unpin(publisher);
}

/* Fills *ret from the message; E_INVALID, E_SYNTAX...: the agent's fault. */
static int read_enroll(const struct session *session, const Tlsplane__Enroll *message, struct change_enrol *ret,
                       struct error *err)
{
	int rc;

	if (!kind_is_id(message->token_id, strlen(message->token_id)))
		return error_set(err, E_INVALID, "token_id is not an id");
	if (message->token_secret.len == 0 || message->token_secret.len > TOKEN_SECRET_MAX)
		return error_set(err, E_INVALID, "token_secret of %zu bytes", message->token_secret.len);
	(void)snprintf(ret->token_id, sizeof(ret->token_id), "%s", message->token_id);
	(void)snprintf(ret->source, sizeof(ret->source), "%s", channel_address(session->channel));
	rc = crypto_sha256(BYTES(message->token_secret.data, message->token_secret.len), ret->token_secret_sha256, err);
	if (rc == 0)
		rc = authority_read_csr(BYTES(message->csr.data, message->csr.len), &ret->key, err);
	if (rc == 0)
		rc = key_spki_sha256(ret->key, ret->spki_sha256, err);
	return rc;
}

void session_on_enroll(struct session *session, const ProtobufCMessage *payload)
{
	const Tlsplane__Enroll *message = (const Tlsplane__Enroll *)payload;
	struct publisher *publisher = session->publisher;
	struct change_enrol enrol = {.key = NULL};
	struct session_request *request;
	struct error err = ERROR_NULL;
	uint32_t retry_ms;

	if (session->request != NULL) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "a second Enroll");
		return;
	}
	if (!listener_admit_enrolment(&publisher->listener, uv_now(publisher->loop), &retry_ms)) {
		publisher->counters.enrolments_refused++;
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_BUSY, retry_ms, "too many enrolments at once");
		return;
	}
	log_event(LOG_DEBUG, "enrolment asked", LOG_STR("address", channel_address(session->channel)),
	          LOG_STR("version", message->agent_version), LOG_U64("agent_time", message->unix_time),
	          LOG_U64("time", publisher_unix_time()));
	if (read_enroll(session, message, &enrol, &err) < 0) {
		EVP_PKEY_free(enrol.key);
		refuse_enrolment(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, err.text);
		return;
	}
	request = request_new(session);
	if (request == NULL) {
		EVP_PKEY_free(enrol.key);
		refuse_enrolment(session, TLSPLANE__REFUSED_CODE__REFUSED_BUSY, "out of memory");
		return;
	}
	session->deadline = 0; /* now it is our turn */
	change_enrol(publisher->changes, &enrol, on_enrolled, request);
}

static void reply_renewed(struct session *session, const struct change_enrolled *result)
{
	CLEANUP(buf_deinit) struct buf certificate = BUF_NULL;
	Tlsplane__RenewReply message = TLSPLANE__RENEW_REPLY__INIT;
	struct error err = ERROR_NULL;

	if (authority_encode_cert(result->certificate, &certificate, &err) < 0) {
		session_fail(session, &err);
		return;
	}
	log_event(LOG_INFO, "agent's certificate renewed", LOG_STR("agent", session->agent->id));
	message.certificate = (ProtobufCBinaryData){certificate.len, certificate.data};
	message.ca = (ProtobufCBinaryData){session->publisher->ca_der_len, session->publisher->ca_der};
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_RENEW_REPLY, &message.base);
}

static void on_renewed(const struct change_enrolled *result, void *context)
{
	struct session_request *request = context;
	struct publisher *publisher = request->publisher;
	struct session *session = request_end(request);

	if (session != NULL && result->code == 0) {
		reply_renewed(session, result);
	} else if (session != NULL) {
		log_event(LOG_WARNING, "renewal refused", LOG_STR("agent", session->agent->id), LOG_ERR(&result->error));
		if (result->code == E_NOT_FOUND || result->code == E_FORBIDDEN)
			session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_REVOKED, 0, "agent %s was deleted",
			               session->agent->id);
		else
			refuse_busy(session, "renewal failed here; try again");
	}
	publisher_unpin(publisher);
}

void session_on_renew(struct session *session, const ProtobufCMessage *payload)
{
	const Tlsplane__Renew *message = (const Tlsplane__Renew *)payload;
	struct session_request *request;
	struct error err = ERROR_NULL;
	EVP_PKEY *key;

	if (session->request != NULL) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0,
		               "a second Renew before the first was answered");
		return;
	}
	if (authority_read_csr(BYTES(message->csr.data, message->csr.len), &key, &err) < 0) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "Renew: %s", err.text);
		return;
	}
	request = request_new(session);
	if (request == NULL) {
		EVP_PKEY_free(key);
		refuse_busy(session, "out of memory");
		return;
	}
	change_renew(session->publisher->changes, session->agent->id, key, channel_address(session->channel), on_renewed,
	             request);
}
