/* SPDX-License-Identifier: Apache-2.0 */
/* The life of agents: enrolment with a join token, renewal of the certificate for a new key, and dropping the old key
 * once the new one has connected. Each is a revision like any other, through the same writer thread: that one key wins
 * a token follows from it.
 *
 * An agent has one key, or two while a renewed one has not connected yet; the first is the one that is known to work.
 */
#include "change/engine.h"

#include "base/log.h"
#include "channel.pb-c.h"
#include "crypto/authority.h"
#include "crypto/crypto.h"
#include "model/body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MADE_ID_BYTES 6
#define MADE_ID_TRIES 16
#define STRANGERS_MAX 60 /* rows of the audit trail in a window; one more sums up the rest when the next begins */
#define STRANGERS_WINDOW (UINT64_C(60) * 1000000000)

struct agent_job {
	struct job job;
	struct change_enrol enrol; /* enrolment */
	char agent_id[ID_MAX + 1]; /* renewal, confirmation; of enrolment: the result */
	EVP_PKEY *key;             /* to certify; owned */
	uint8_t spki_sha256[SHA256_LEN];
	char source[72];
	void (*done)(const struct change_enrolled *result, void *context);
	void *context;
	int code;
	struct error error;
	X509 *certificate; /* owned */
	uint8_t certificate_sha256[SHA256_LEN];
	uint64_t not_after;
	uint64_t now;
	bool is_stranger; /* the token that was shown is none of ours */
	int (*apply)(struct agent_job *job, struct store_writer *writer, struct error *err);
};

static void agent_job_free(struct agent_job *job)
{
	EVP_PKEY_free(job->key);
	X509_free(job->certificate);
	secret_wipe(&job->enrol, sizeof(job->enrol));
	job_deinit(&job->job);
	free(job);
}

/* ---- certificates ---- */

static int issue(struct agent_job *job, struct error *err)
{
	struct change_engine *engine = job->job.engine;
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	int code = authority_issue(engine->ca, engine->ca_key, AUTHORITY_AGENT, job->agent_id, job->key, (int64_t)job->now,
	                           AUTHORITY_AGENT_LIFE, &job->certificate, err);

	if (code == 0)
		code = cert_info_read(job->certificate, &info, err);
	if (code != 0)
		return code;
	memcpy(job->certificate_sha256, info.sha256, SHA256_LEN);
	memcpy(job->spki_sha256, info.spki_sha256, SHA256_LEN);
	job->not_after = (uint64_t)info.not_after;
	return 0;
}

static Tlsplane__AgentKey describe_key(struct agent_job *job)
{
	Tlsplane__AgentKey key = TLSPLANE__AGENT_KEY__INIT;

	key.spki_sha256 = (ProtobufCBinaryData){.data = job->spki_sha256, .len = SHA256_LEN};
	key.certificate_sha256 = (ProtobufCBinaryData){.data = job->certificate_sha256, .len = SHA256_LEN};
	key.not_after = job->not_after;
	return key;
}

static bool key_is(const Tlsplane__AgentKey *key, const uint8_t spki_sha256[SHA256_LEN])
{
	return key->spki_sha256.len == SHA256_LEN && memcmp(key->spki_sha256.data, spki_sha256, SHA256_LEN) == 0;
}

/* ---- objects that only this layer writes ---- */

/* Puts `body` in the place of what the object has; before: its state, or what the new object takes labels from. */
static int put_body(struct store_writer *writer, enum kind kind, const char *id, const struct resource_state *before,
                    const ProtobufCMessage *body, struct error *err)
{
	CLEANUP(buf_deinit) struct buf encoded = BUF_NULL;
	char none[] = "";
	struct resource resource = {.kind = kind,
	                            .selector = none,
	                            .labels = (char *)before->labels,
	                            .desc = (char *)before->desc,
	                            .enabled = true};
	struct store_put put = {.resource = &resource};
	int code = body_encode(body, &encoded, err);

	if (code != 0)
		return code;
	snprintf(resource.id, sizeof(resource.id), "%s", id);
	put.body = BYTES(encoded.data, encoded.len);
	code = store_put(writer, &put, NULL, err);
	return code == E_EXISTS ? 0 : code;
}

static int load(struct store_writer *writer, enum kind kind, const char *id, struct store_row *row,
                ProtobufCMessage **ret, struct error *err)
{
	int code = store_get(store_writer_reader(writer), kind, id, 0, row, err);

	return code == 0 ? body_decode(kind_find(kind)->body, row->state.object.body, ret, err) : code;
}

/* Adds the new key behind the one that is known to work, or in the place of itself. */
static int put_key(struct agent_job *job, struct store_writer *writer, const struct store_row *row,
                   Tlsplane__Agent *agent, struct error *err)
{
	Tlsplane__AgentKey key = describe_key(job);
	Tlsplane__AgentKey **stored = agent->keys, *keys[2] = {NULL, NULL};
	size_t stored_len = agent->n_keys;
	int code;

	keys[0] = stored_len > 0 ? stored[0] : &key;
	agent->n_keys = 1;
	if (key_is(keys[0], job->spki_sha256)) {
		keys[0] = &key;
		if (stored_len > 1) {
			keys[1] = stored[1];
			agent->n_keys = 2;
		}
	} else {
		keys[1] = &key;
		agent->n_keys = 2;
	}
	agent->keys = keys;
	code = put_body(writer, KIND_AGENT, job->agent_id, &row->state, &agent->base, err);
	agent->keys = stored; /* what body_free knows */
	agent->n_keys = stored_len;
	return code;
}

/* ---- enrolment ---- */

static int make_agent_id(struct agent_job *job, struct store_writer *writer, struct error *err)
{
	uint8_t random[MADE_ID_BYTES];
	bool used = true;
	int code = 0;

	for (int i = 0; i < MADE_ID_TRIES && used && code == 0; i++) {
		char hex[2 * MADE_ID_BYTES + 1];

		code = crypto_random(random, sizeof(random), err);
		if (code != 0)
			break;
		crypto_hex(random, sizeof(random), hex);
		snprintf(job->agent_id, sizeof(job->agent_id), "agent-%s", hex);
		code = store_agent_id_is_used(writer, job->agent_id, &used, err);
	}
	if (code == 0 && used)
		code = error_set(err, E_INTERNAL, "no free agent id found");
	return code;
}

static int fix_agent_id(struct agent_job *job, struct store_writer *writer, const Tlsplane__JoinToken *token,
                        struct error *err)
{
	bool used = false;
	int code;

	if (token->agent_id == NULL || token->agent_id[0] == '\0')
		return make_agent_id(job, writer, err);
	snprintf(job->agent_id, sizeof(job->agent_id), "%s", token->agent_id);
	code = store_agent_id_is_used(writer, job->agent_id, &used, err);
	if (code == 0 && used)
		code = error_set(err, E_FORBIDDEN, "join token %s is for agent %s, an id that was used before",
		                 job->enrol.token_id, job->agent_id);
	return code;
}

/* The same key came back: its answer was lost. */
static int enrol_again(struct agent_job *job, struct store_writer *writer, const Tlsplane__JoinToken *token,
                       struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	Tlsplane__Agent *agent;
	bool known = false;
	int code;

	if (token->used_spki_sha256.len != SHA256_LEN ||
	    memcmp(token->used_spki_sha256.data, job->enrol.spki_sha256, SHA256_LEN) != 0)
		return error_set(err, E_FORBIDDEN, "join token %s was used by %s with another key", job->enrol.token_id,
		                 token->used_by);
	snprintf(job->agent_id, sizeof(job->agent_id), "%s", token->used_by);
	code = load(writer, KIND_AGENT, job->agent_id, &row, &body, err);
	if (code == E_NOT_FOUND)
		return error_set(err, E_FORBIDDEN, "join token %s was used by %s, which is revoked", job->enrol.token_id,
		                 job->agent_id);
	if (code != 0)
		return code;
	agent = (Tlsplane__Agent *)body;
	for (size_t i = 0; i < agent->n_keys; i++)
		known = known || key_is(agent->keys[i], job->enrol.spki_sha256);
	if (!known)
		return error_set(err, E_FORBIDDEN, "join token %s: agent %s has a newer key by now", job->enrol.token_id,
		                 job->agent_id);
	code = issue(job, err);
	return code == 0 ? put_key(job, writer, &row, agent, err) : code;
}

static int enrol_first(struct agent_job *job, struct store_writer *writer, const struct store_row *token_row,
                       Tlsplane__JoinToken *token, struct error *err)
{
	Tlsplane__Agent agent = TLSPLANE__AGENT__INIT;
	Tlsplane__JoinToken used = *token;
	Tlsplane__AgentKey key, *keys[1] = {&key};
	struct resource_state like = {.labels = token_row->state.labels};
	int code = fix_agent_id(job, writer, token, err);

	if (code == 0)
		code = issue(job, err);
	if (code != 0)
		return code;
	key = describe_key(job);
	agent.keys = keys;
	agent.n_keys = 1;
	agent.join_token = job->enrol.token_id;
	agent.enrolled_at = job->now;
	code = put_body(writer, KIND_AGENT, job->agent_id, &like, &agent.base, err);
	if (code != 0)
		return code;
	used.has_used_spki_sha256 = 1;
	used.used_spki_sha256 = (ProtobufCBinaryData){.data = job->spki_sha256, .len = SHA256_LEN};
	used.used_by = job->agent_id;
	return put_body(writer, KIND_JOIN_TOKEN, job->enrol.token_id, &token_row->state, &used.base, err);
}

static int apply_enrol(struct agent_job *job, struct store_writer *writer, struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	Tlsplane__JoinToken *token;
	int code = load(writer, KIND_JOIN_TOKEN, job->enrol.token_id, &row, &body, err);

	job->is_stranger = code == E_NOT_FOUND;
	if (code == E_NOT_FOUND)
		return error_set(err, E_FORBIDDEN, "join token %s does not exist", job->enrol.token_id);
	if (code != 0)
		return code;
	token = (Tlsplane__JoinToken *)body;
	job->is_stranger = !secret_is_equal(BYTES(token->secret_sha256.data, token->secret_sha256.len),
	                                    BYTES(job->enrol.token_secret_sha256, SHA256_LEN));
	if (job->is_stranger)
		return error_set(err, E_FORBIDDEN, "join token %s: wrong secret", job->enrol.token_id);
	if (job->now >= token->expires_at)
		return error_set(err, E_FORBIDDEN, "join token %s has expired", job->enrol.token_id);
	if (token->used_by != NULL && token->used_by[0] != '\0')
		return enrol_again(job, writer, token, err);
	return enrol_first(job, writer, &row, token, err);
}

/* ---- renewal, confirmation ---- */

static int apply_renew(struct agent_job *job, struct store_writer *writer, struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = load(writer, KIND_AGENT, job->agent_id, &row, &body, err);

	if (code == E_NOT_FOUND)
		return error_set(err, E_FORBIDDEN, "agent %s does not exist or is revoked", job->agent_id);
	if (code == 0)
		code = issue(job, err);
	return code == 0 ? put_key(job, writer, &row, (Tlsplane__Agent *)body, err) : code;
}

static int apply_confirm(struct agent_job *job, struct store_writer *writer, struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	Tlsplane__Agent *agent, only;
	int code = load(writer, KIND_AGENT, job->agent_id, &row, &body, err);

	if (code != 0)
		return code;
	agent = (Tlsplane__Agent *)body;
	if (agent->n_keys < 2 || !key_is(agent->keys[1], job->spki_sha256))
		return 0; /* confirmed already, or renewed again */
	only = *agent;
	only.keys = agent->keys + 1;
	only.n_keys = 1;
	return put_body(writer, KIND_AGENT, job->agent_id, &row.state, &only.base, err);
}

/* ---- as jobs ---- */

static void agent_fail(struct job *base, const struct error *error)
{
	struct agent_job *job = container_of(base, struct agent_job, job);

	if (job->code == 0) {
		job->code = error->code;
		job->error = *error;
	}
}

static const char *action_of(const struct agent_job *job)
{
	if (job->apply == apply_enrol)
		return "enrol";
	return job->apply == apply_renew ? "renew" : "confirm key";
}

/* The agent's id is the actor; of an enrolment that is refused before there is one, the token's. */
static int agent_audit(struct agent_job *job, struct store_writer *writer, struct store_author *author,
                       struct error *err)
{
	char action[256];

	snprintf(action, sizeof(action), "%s %s", action_of(job),
	         job->apply == apply_enrol ? job->enrol.token_id : job->agent_id);
	author->actor = job->agent_id;
	return store_audit(writer, author, action, job->code == 0 ? "unchanged" : error_name(job->code), err);
}

/* Nobody in particular: a row as long as there are few of them. */
static int stranger_audit(struct agent_job *job, struct store_writer *writer, struct store_author *author, struct error *err)
{
	struct strangers *strangers = &job->job.engine->strangers;
	const struct store_author nobody = {.now = job->now};
	uint64_t now = uv_hrtime(), left_out = strangers->left_out;
	char action[96];
	int code = 0;

	if (strangers->rows == 0 || now - strangers->since >= STRANGERS_WINDOW) {
		*strangers = (struct strangers){.since = now};
		snprintf(action, sizeof(action), "and %" PRIu64 " more refused enrolments", left_out);
		code = left_out > 0 ? store_audit(writer, &nobody, action, error_name(E_FORBIDDEN), err) : 0;
	}
	if (strangers->rows == STRANGERS_MAX) {
		strangers->left_out++;
		return code;
	}
	strangers->rows++;
	return code == 0 ? agent_audit(job, writer, author, err) : code;
}

static int agent_run(struct job *base, struct store_writer *writer, struct error *err)
{
	struct agent_job *job = container_of(base, struct agent_job, job);
	struct store_author author = {.actor = job->agent_id, .source = job->source};
	struct store_revision revision;
	struct error error = ERROR_NULL;
	int code;

	job->now = author.now = (uint64_t)time(NULL);
	code = store_revision_begin(writer, &author, err);
	if (code != 0)
		return code;
	code = job->apply(job, writer, &error);
	if (code != 0) {
		store_revision_abort(writer);
		agent_fail(base, &error);
		return job->is_stranger ? stranger_audit(job, writer, &author, err) : agent_audit(job, writer, &author, err);
	}
	code = store_revision_end(writer, &revision, &error);
	if (code == E_EXISTS)
		return job->apply == apply_confirm ? 0 : agent_audit(job, writer, &author, err);
	if (code != 0) {
		*err = error;
		return code;
	}
	base->agents_changed = true;
	return job_take_revision(base, writer, &revision, err);
}

static void agent_finish(struct job *base)
{
	struct agent_job *job = container_of(base, struct agent_job, job);
	struct change_enrolled result = {.code = job->code, .error = job->error};

	if (job->code == 0) {
		result.certificate = job->certificate;
		snprintf(result.agent_id, sizeof(result.agent_id), "%s", job->agent_id);
	}
	if (job->done != NULL)
		job->done(&result, job->context);
	else if (job->code != 0)
		log_event(LOG_WARNING, "key not confirmed", LOG_STR("agent", job->agent_id), LOG_ERR(&job->error));
	agent_job_free(job);
}

static const struct job_ops agent_ops = {.run = agent_run, .fail = agent_fail, .finish = agent_finish};

static struct agent_job *agent_job_new(const char *source)
{
	struct agent_job *job = calloc(1, sizeof(*job));

	if (job != NULL) {
		job->job.ops = &agent_ops;
		snprintf(job->source, sizeof(job->source), "%s", source);
	}
	return job;
}

/* Told at once: there was no memory for more. */
static void answer_nomem(EVP_PKEY *key, void (*done)(const struct change_enrolled *result, void *context),
                         void *context)
{
	struct change_enrolled result = {.code = E_NOMEM};

	(void)error_nomem(&result.error);
	EVP_PKEY_free(key);
	done(&result, context);
}

void change_enrol(struct change_engine *engine, const struct change_enrol *enrol,
                  void (*done)(const struct change_enrolled *result, void *context), void *context)
{
	struct agent_job *job = agent_job_new(enrol->source);

	if (job == NULL) {
		answer_nomem(enrol->key, done, context);
		return;
	}
	job->enrol = *enrol;
	job->enrol.key = NULL;
	job->key = enrol->key;
	job->apply = apply_enrol;
	job->done = done;
	job->context = context;
	engine_submit(engine, &job->job);
}

void change_renew(struct change_engine *engine, const char *agent_id, EVP_PKEY *key, const char *source,
                  void (*done)(const struct change_enrolled *result, void *context), void *context)
{
	struct agent_job *job = agent_job_new(source);

	if (job == NULL) {
		answer_nomem(key, done, context);
		return;
	}
	snprintf(job->agent_id, sizeof(job->agent_id), "%s", agent_id);
	job->key = key;
	job->apply = apply_renew;
	job->done = done;
	job->context = context;
	engine_submit(engine, &job->job);
}

void change_confirm_key(struct change_engine *engine, const char *agent_id, const uint8_t spki_sha256[32])
{
	struct agent_job *job = agent_job_new("");

	if (job == NULL) {
		log_event(LOG_WARNING, "key not confirmed: out of memory", LOG_STR("agent", agent_id));
		return;
	}
	snprintf(job->agent_id, sizeof(job->agent_id), "%s", agent_id);
	memcpy(job->spki_sha256, spki_sha256, SHA256_LEN);
	job->apply = apply_confirm;
	engine_submit(engine, &job->job);
}
