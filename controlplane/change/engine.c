/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side of the engine: takes jobs, has them prepared and rendered on the uv pool, tells callers.
 *
 * Closing: jobs under way are finished, then the writer is told to stop, then the async handle goes, then the memory.
 */
#include "change/engine.h"

#include "crypto/authority.h"
#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

void job_move(struct job *job, enum job_state to)
{
	static const unsigned allowed[] = {
		[JOB_NEW] = 1u << JOB_PREPARING | 1u << JOB_QUEUED,
		[JOB_PREPARING] = 1u << JOB_QUEUED | 1u << JOB_DONE,
		[JOB_QUEUED] = 1u << JOB_RUNNING,
		[JOB_RUNNING] = 1u << JOB_COMMITTED,
		[JOB_COMMITTED] = 1u << JOB_RENDERING | 1u << JOB_ERASING | 1u << JOB_DONE,
		[JOB_RENDERING] = 1u << JOB_ERASING | 1u << JOB_DONE,
		[JOB_ERASING] = 1u << JOB_DONE,
		[JOB_DONE] = 0,
	};

	assert((allowed[job->state] & 1u << to) != 0);
	job->state = to;
}

void job_deinit(struct job *job)
{
	for (size_t i = 0; i < job->selectors_len; i++)
		free(job->selectors[i]);
	free(job->selectors);
	job->selectors = NULL;
	job->selectors_len = 0;
}

int job_take_revision(struct job *job, struct store_writer *writer, const struct store_revision *revision,
                      struct error *err)
{
	size_t count = store_touched_count(writer);

	if (count > 0) {
		job->selectors = calloc(count, sizeof(*job->selectors));
		if (job->selectors == NULL)
			return error_nomem(err);
	}
	for (size_t i = 0; i < count; i++) {
		job->selectors[i] = strdup(store_touched(writer, i));
		if (job->selectors[i] == NULL)
			return error_nomem(err);
		job->selectors_len++;
	}
	job->revision = *revision;
	job->changed = true;
	return 0;
}

static void finish_job(struct job *job)
{
	struct change_engine *engine = job->engine;

	job_move(job, JOB_DONE);
	job->ops->finish(job);
	engine->pending--;
}

static void stop_if_done(struct change_engine *engine)
{
	if (!engine->closing || engine->pending > 0)
		return;
	uv_mutex_lock(&engine->mutex);
	engine->stop = true;
	uv_cond_signal(&engine->cond);
	uv_mutex_unlock(&engine->mutex);
}

static void queue_job(struct job *job)
{
	struct change_engine *engine = job->engine;

	job_move(job, JOB_QUEUED);
	job->next = NULL;
	uv_mutex_lock(&engine->mutex);
	*engine->queue.end = job;
	engine->queue.end = &job->next;
	uv_cond_signal(&engine->cond);
	uv_mutex_unlock(&engine->mutex);
}

static void on_prepare(uv_work_t *work)
{
	struct job *job = work->data;

	job->ops->prepare(job);
}

static void after_prepare(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct change_engine *engine = job->engine;

	assert(status == 0); /* nothing cancels */
	(void)status;
	if (job->refused)
		finish_job(job);
	else
		queue_job(job);
	stop_if_done(engine);
}

void engine_submit(struct change_engine *engine, struct job *job)
{
	assert(!engine->closing || engine->pending > 0);
	engine->pending++;
	job->engine = engine;
	if (job->ops->prepare == NULL) {
		queue_job(job);
		return;
	}
	job_move(job, JOB_PREPARING);
	job->work.data = job;
	/* Fails only without a work function. */
	if (uv_queue_work(engine->config.loop, &job->work, on_prepare, after_prepare) != 0)
		abort();
}

static void finish_batch(struct batch *batch)
{
	struct job *job = batch->jobs, *next;
	struct change_engine *engine;

	assert(job != NULL); /* a batch is made with its first */
	engine = job->engine;
	free(batch->touched);
	for (; job != NULL; job = next) { /* the batch rests in its first job: gone after the first turn */
		next = job->next;
		if (job->erases)
			erasure_wait(job);
		else
			finish_job(job);
	}
	stop_if_done(engine);
}

static void finish_erased(struct change_engine *engine)
{
	struct job *next;

	for (struct job *job = erasure_take_answered(engine); job != NULL; job = next) {
		next = job->next;
		finish_job(job);
	}
	stop_if_done(engine);
}

static void on_render(uv_work_t *work)
{
	struct batch *batch = work->data;

	for (struct job *job = batch->jobs; job != NULL; job = job->next)
		if (job->ops->render != NULL)
			job->ops->render(job);
}

static void after_render(uv_work_t *work, int status)
{
	assert(status == 0);
	(void)status;
	finish_batch(work->data);
}

/* The commit is announced before anything slow: agents wait for it, callers for their answers. */
static void handle_batch(struct change_engine *engine, struct batch *batch)
{
	struct change_commit commit = {batch->head, batch->touched, batch->touched_len, batch->agents_changed};
	bool render = false;

	if (batch->has_revision && engine->config.on_commit != NULL)
		engine->config.on_commit(&commit, engine->config.owner);
	for (struct job *job = batch->jobs; job != NULL; job = job->next)
		render = render || job->ops->render != NULL;
	if (!render) {
		finish_batch(batch);
		return;
	}
	for (struct job *job = batch->jobs; job != NULL; job = job->next)
		job_move(job, JOB_RENDERING);
	batch->work.data = batch;
	if (uv_queue_work(engine->config.loop, &batch->work, on_render, after_render) != 0)
		abort();
}

static void on_async_closed(uv_handle_t *handle)
{
	struct change_engine *engine = handle->data;
	void (*on_closed)(void *owner) = engine->on_closed;
	void *owner = engine->config.owner;

	status_queue_deinit(&engine->statuses);
	store_writer_close(engine->writer);
	X509_free(engine->ca);
	EVP_PKEY_free(engine->ca_key);
	uv_cond_destroy(&engine->cond);
	uv_mutex_destroy(&engine->mutex);
	free(engine);
	if (on_closed != NULL)
		on_closed(owner);
}

static void on_async(uv_async_t *async)
{
	struct change_engine *engine = async->data;
	struct batch *batch, *next;
	bool stopped;

	uv_mutex_lock(&engine->mutex);
	batch = engine->committed;
	engine->committed = NULL;
	engine->committed_end = &engine->committed;
	stopped = engine->stopped;
	uv_mutex_unlock(&engine->mutex);
	for (; batch != NULL; batch = next) {
		next = batch->next;
		handle_batch(engine, batch);
	}
	upkeep_answer(engine);
	finish_erased(engine);
	if (stopped && !uv_is_closing((uv_handle_t *)async)) {
		uv_thread_join(&engine->thread);
		uv_close((uv_handle_t *)async, on_async_closed);
	}
}

/* The SHA-256 that join tokens carry. */
static int load_ca(struct change_engine *engine, struct error *err)
{
	CLEANUP(buf_deinit) struct buf der = BUF_NULL;
	uint8_t sha256[SHA256_LEN];
	int code = store_load_ca(engine->config.store, &engine->ca, &engine->ca_key, err);

	if (code == 0)
		code = authority_encode_cert(engine->ca, &der, err);
	if (code == 0)
		code = crypto_sha256(BYTES(der.data, der.len), sha256, err);
	if (code == 0)
		crypto_hex(sha256, sizeof(sha256), engine->ca_sha256);
	return code;
}

/* All that can fail before threads and handles exist. */
static int prepare_engine(struct change_engine *engine, struct error *err)
{
	int code = load_ca(engine, err);

	if (code == 0)
		code = store_writer_open(engine->config.store, &engine->writer, err);
	if (code == 0)
		code = status_queue_init(&engine->statuses, err);
	return code;
}

static void free_unstarted(struct change_engine *engine)
{
	status_queue_deinit(&engine->statuses);
	store_writer_close(engine->writer);
	X509_free(engine->ca);
	EVP_PKEY_free(engine->ca_key);
	free(engine);
}

static int start_threads(struct change_engine *engine, struct error *err)
{
	int code = uv_mutex_init(&engine->mutex);

	if (code != 0)
		return error_set(err, E_IO, "mutex: %s", uv_strerror(code));
	code = uv_cond_init(&engine->cond);
	if (code == 0) {
		code = uv_async_init(engine->config.loop, &engine->async, on_async);
		if (code == 0)
			return 0;
		uv_cond_destroy(&engine->cond);
	}
	uv_mutex_destroy(&engine->mutex);
	return error_set(err, E_IO, "change engine: %s", uv_strerror(code));
}

int change_engine_start(const struct change_config *config, struct change_engine **ret, struct error *err)
{
	struct change_engine *engine = calloc(1, sizeof(*engine));
	int code;

	if (engine == NULL)
		return error_nomem(err);
	engine->config = *config;
	engine->queue.end = &engine->queue.first;
	engine->committed_end = &engine->committed;
	erasure_init(&engine->erasure);
	code = prepare_engine(engine, err);
	if (code == 0)
		code = start_threads(engine, err);
	if (code != 0) {
		free_unstarted(engine);
		return code;
	}
	engine->async.data = engine;
	code = uv_thread_create(&engine->thread, commit_thread, engine);
	if (code != 0) {
		uv_close((uv_handle_t *)&engine->async, on_async_closed);
		return error_set(err, E_IO, "writer thread: %s", uv_strerror(code));
	}
	*ret = engine;
	return 0;
}

void change_engine_hurry(struct change_engine *engine)
{
	erasure_hurry(engine);
}

void change_engine_close(struct change_engine *engine, void (*on_closed)(void *owner))
{
	assert(!engine->closing);
	engine->closing = true;
	engine->on_closed = on_closed;
	erasure_hurry(engine);
	stop_if_done(engine);
}

size_t change_engine_pending(const struct change_engine *engine)
{
	return engine->pending;
}

const struct durations *change_engine_turns(const struct change_engine *engine)
{
	return &engine->turns;
}
