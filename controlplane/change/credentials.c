/* SPDX-License-Identifier: Apache-2.0 */
/* One kind of job, and what it does in the transaction. */
#include "change/credentials.h"
#include "change/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct credential_job {
	struct job job;
	int (*act)(struct credential_job *job, struct store_writer *writer, struct error *err);
	void (*done)(const struct error *error, void *context);
	void *context;
	struct error error; /* code 0: done */

	char actor[ID_MAX + 1], request_id[72], source[STORE_SOURCE_MAX + 1];
	struct store_token token; /* to make; to revoke: its id; to use: its SHA-256, time and source */
	struct change_receipt *receipt;
	struct secret *text;
	char action[256], outcome[64];
};

static struct credential_job *job_free(struct credential_job *job)
{
	if (job == NULL)
		return NULL;
	store_token_deinit(&job->token);
	free(job->receipt);
	secret_free(job->text);
	free(job);
	return NULL;
}
DEFINE_CLEANUP(struct credential_job, job_free);

static int run(struct job *base, struct store_writer *writer, struct error *err)
{
	struct credential_job *job = container_of(base, struct credential_job, job);

	return job->act(job, writer, err);
}

static void fail(struct job *base, const struct error *error)
{
	struct credential_job *job = container_of(base, struct credential_job, job);

	if (job->error.code == 0) /* a refusal stands */
		job->error = *error;
}

static void finish(struct job *base)
{
	struct credential_job *job = container_of(base, struct credential_job, job);

	if (job->done != NULL)
		job->done(&job->error, job->context);
	job_free(job);
}

static const struct job_ops credential_ops = {.run = run, .fail = fail, .finish = finish};

static struct credential_job *job_new(const struct change_caller *caller,
                                      int (*act)(struct credential_job *job, struct store_writer *writer, struct error *err),
                                      void (*done)(const struct error *error, void *context), void *context)
{
	struct credential_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->job.ops = &credential_ops;
	job->act = act;
	job->done = done;
	job->context = context;
	if (caller != NULL) {
		snprintf(job->actor, sizeof(job->actor), "%s", caller->actor);
		snprintf(job->request_id, sizeof(job->request_id), "%s", caller->request_id);
		snprintf(job->source, sizeof(job->source), "%s", caller->source);
	}
	return job;
}

/* In the transaction ---------------------------------------------------------------------------------------------- */

static int write_audit(struct credential_job *job, struct store_writer *writer, struct error *err)
{
	const struct store_author author = {job->actor, job->request_id, job->source, (uint64_t)time(NULL)};

	return store_audit(writer, &author, job->action, job->error.code == 0 ? job->outcome : error_name(job->error.code), err);
}

static int write_receipt(struct credential_job *job, struct store_writer *writer, struct error *err)
{
	struct receipt_facts facts = {
		.now = (uint64_t)time(NULL),
		.changed = true,
		.created = true,
		.id = job->token.id,
		.secret = BYTES(job->text->data, job->text->len),
	};
	struct store_revision head;
	int code;

	if (job->receipt == NULL)
		return 0;
	code = store_head(store_writer_reader(writer), &head, err);
	facts.revision = head.revision;
	return code == 0 ? receipt_write(writer, job->receipt, &facts, err) : code;
}

static int run_create(struct credential_job *job, struct store_writer *writer, struct error *err)
{
	int code = store_put_token(writer, &job->token, err);

	if (code == E_EXISTS)
		error_set(&job->error, E_CONFLICT, "%s", err->text);
	else if (code == 0)
		code = write_receipt(job, writer, err);
	return code == 0 || code == E_EXISTS ? write_audit(job, writer, err) : code;
}

/* Somebody must be able to make tokens for ever. */
static int check_lasting(struct credential_job *job, struct store_writer *writer, struct error *err)
{
	static const char admin[] = "admin";
	CLEANUP(store_token_deinit) struct store_token token = {0};
	bool others = false;
	int code = store_get_token(store_writer_reader(writer), job->token.id, &token, err);

	if (code != 0 || strcmp(token.role, admin) != 0 || token.expire_time != 0)
		return code;
	code = store_has_other_token(store_writer_reader(writer), admin, token.id, &others, err);
	if (code == 0 && !others)
		return error_set(err, E_CONFLICT, "%s is the last admin token that never expires: make another one first", token.id);
	return code;
}

static int run_revoke(struct credential_job *job, struct store_writer *writer, struct error *err)
{
	int code = check_lasting(job, writer, err);

	if (code == 0)
		code = store_delete_token(writer, job->token.id, err);
	if (code == E_NOT_FOUND)
		error_set(&job->error, code, "no token has the id %s", job->token.id);
	else if (code == E_CONFLICT)
		job->error = *err;
	else if (code != 0)
		return code;
	return write_audit(job, writer, err);
}

static int run_use(struct credential_job *job, struct store_writer *writer, struct error *err)
{
	return store_use_token(writer, job->token.sha256, job->token.used_time, job->token.used_from, err);
}

/* Submitting ------------------------------------------------------------------------------------------------------ */

static int copy_token(const struct store_token *from, struct store_token *ret, struct error *err)
{
	struct store_token token = *from;

	token.scope = from->scope != NULL ? strdup(from->scope) : NULL;
	token.desc = from->desc != NULL ? strdup(from->desc) : NULL;
	*ret = token;
	return (from->scope == NULL) == (token.scope == NULL) && (from->desc == NULL) == (token.desc == NULL) ? 0 : error_nomem(err);
}

int change_create_token(struct change_engine *engine, const struct change_caller *caller, const struct store_token *token,
                        const struct change_receipt *receipt, struct bytes text,
                        void (*done)(const struct error *error, void *context), void *context, struct error *err)
{
	CLEANUP(job_free) struct credential_job *job = job_new(caller, run_create, done, context);
	int code = job != NULL ? copy_token(token, &job->token, err) : error_nomem(err);

	if (code != 0)
		return code;
	job->text = secret_new_copy(text.data, text.len);
	if (receipt != NULL)
		job->receipt = change_receipt_new(receipt->token, receipt->key, receipt->request);
	if (job->text == NULL || (receipt != NULL) != (job->receipt != NULL))
		return error_nomem(err);
	snprintf(job->action, sizeof(job->action), "create tokens/%s", token->id);
	snprintf(job->outcome, sizeof(job->outcome), "ok");
	engine_submit(engine, &TAKE_PTR(job)->job);
	return 0;
}

int change_revoke_token(struct change_engine *engine, const struct change_caller *caller, const char *id,
                        void (*done)(const struct error *error, void *context), void *context, struct error *err)
{
	struct credential_job *job = job_new(caller, run_revoke, done, context);

	if (job == NULL)
		return error_nomem(err);
	snprintf(job->token.id, sizeof(job->token.id), "%s", id);
	snprintf(job->action, sizeof(job->action), "delete tokens/%s", id);
	snprintf(job->outcome, sizeof(job->outcome), "ok");
	engine_submit(engine, &job->job);
	return 0;
}

int change_use_token(struct change_engine *engine, const uint8_t sha256[32], uint64_t time, const char *from,
                     void (*done)(const struct error *error, void *context), void *context, struct error *err)
{
	struct credential_job *job = job_new(NULL, run_use, done, context);

	if (job == NULL)
		return error_nomem(err);
	memcpy(job->token.sha256, sha256, sizeof(job->token.sha256));
	job->token.used_time = time;
	snprintf(job->token.used_from, sizeof(job->token.used_from), "%s", from);
	engine_submit(engine, &job->job);
	return 0;
}

int change_audit(struct change_engine *engine, const struct change_caller *caller, const char *action, const char *outcome,
                 void (*done)(const struct error *error, void *context), void *context, struct error *err)
{
	struct credential_job *job = job_new(caller, write_audit, done, context);

	if (job == NULL)
		return error_nomem(err);
	snprintf(job->action, sizeof(job->action), "%s", action);
	snprintf(job->outcome, sizeof(job->outcome), "%s", outcome);
	engine_submit(engine, &job->job);
	return 0;
}
