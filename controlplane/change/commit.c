/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread: takes what waits, runs it in one transaction, commits once. Whatever fails the commit fails every
 * job of the batch; nothing of it remains, and the next batch starts afresh. */
#include "change/engine.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 64
#define STATUSES_MAX 256 /* per transaction: they must not hold up a change */

static bool goes_with(const struct job *last, const struct job *job)
{
	return last == NULL || (!last->alone && !job->alone);
}

static void take_jobs(struct change_engine *engine, struct batch **ret)
{
	struct job *job = engine->queue.first, *last = NULL;

	*ret = NULL;
	if (job == NULL)
		return;
	*ret = &job->batch;
	**ret = (struct batch){.jobs = job};
	for (size_t i = 0; i < BATCH_MAX && job != NULL && goes_with(last, job); i++, job = job->next)
		last = job;
	last->next = NULL;
	engine->queue.first = job;
	if (job == NULL)
		engine->queue.end = &engine->queue.first;
}

/* When something is due that no request asks for. With the mutex held. */
static uint64_t next_due(const struct change_engine *engine)
{
	uint64_t due = engine->upkeep.due;

	if (engine->statuses.count > 0 && engine->statuses.due < due)
		due = engine->statuses.due;
	if (engine->rotation.state != ROTATION_REST && engine->rotation.due < due)
		due = engine->rotation.due;
	if (engine->erasure.waiting.first != NULL && engine->erasure.due < due)
		due = engine->erasure.due;
	return due;
}

/* Waits for something to do. False: stop. */
static bool wait_for_work(struct change_engine *engine, struct batch **ret_batch, struct status_entry **ret_statuses)
{
	bool run;

	uv_mutex_lock(&engine->mutex);
	while (engine->queue.first == NULL && !engine->stop) {
		uint64_t now = uv_hrtime(), due = next_due(engine);

		if (now >= due)
			break;
		(void)uv_cond_timedwait(&engine->cond, &engine->mutex, due - now);
	}
	run = engine->queue.first != NULL || engine->statuses.count > 0 || !engine->stop;
	take_jobs(engine, ret_batch);
	*ret_statuses = NULL;
	if (engine->stop || status_queue_is_due(&engine->statuses, uv_hrtime()))
		*ret_statuses = status_queue_take(&engine->statuses, STATUSES_MAX);
	uv_mutex_unlock(&engine->mutex);
	return run;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each selector once. Before the commit, while lack of memory can still undo all of it. */
static int collect_touched(struct batch *batch, struct error *err)
{
	size_t count = 0, unique = 0;

	for (struct job *job = batch->jobs; job != NULL; job = job->next) {
		count += job->changed ? job->selectors_len : 0;
		batch->agents_changed = batch->agents_changed || (job->changed && job->agents_changed);
		batch->has_revision = batch->has_revision || job->changed;
		if (job->changed)
			batch->head = job->revision;
	}
	if (count == 0)
		return 0;
	batch->touched = calloc(count, sizeof(*batch->touched));
	if (batch->touched == NULL)
		return error_nomem(err);
	count = 0;
	for (struct job *job = batch->jobs; job != NULL; job = job->next)
		for (size_t i = 0; i < job->selectors_len && job->changed; i++)
			batch->touched[count++] = job->selectors[i];
	qsort(batch->touched, count, sizeof(*batch->touched), compare_texts);
	for (size_t i = 0; i < count; i++)
		if (unique == 0 || strcmp(batch->touched[unique - 1], batch->touched[i]) != 0)
			batch->touched[unique++] = batch->touched[i];
	batch->touched_len = unique;
	return 0;
}

static int run_batch(struct change_engine *engine, struct batch *batch, struct status_entry *statuses,
                     struct error *err)
{
	int code = store_write_begin(engine->writer, err);

	if (code != 0) {
		status_write(statuses, NULL);
		return code;
	}
	for (struct job *job = batch != NULL ? batch->jobs : NULL; job != NULL && code == 0; job = job->next)
		code = job->ops->run(job, engine->writer, err);
	status_write(statuses, code == 0 ? engine->writer : NULL);
	if (batch != NULL && code == 0)
		code = collect_touched(batch, err);
	if (code != 0)
		store_write_rollback(engine->writer);
	else
		code = store_write_commit(engine->writer, err);
	return code;
}

static void fail_batch(struct batch *batch, const struct error *error)
{
	batch->has_revision = false;
	batch->touched_len = 0;
	for (struct job *job = batch->jobs; job != NULL; job = job->next) {
		job->changed = false;
		job->ops->fail(job, error);
	}
}

static void hand_back(struct change_engine *engine, struct batch *batch)
{
	for (struct job *job = batch->jobs; job != NULL; job = job->next)
		job_move(job, JOB_COMMITTED);
	uv_mutex_lock(&engine->mutex);
	*engine->committed_end = batch;
	engine->committed_end = &batch->next;
	uv_mutex_unlock(&engine->mutex);
	uv_async_send(&engine->async);
}

void commit_thread(void *argument)
{
	struct change_engine *engine = argument;
	struct status_entry *statuses;
	struct batch *batch;

	rotation_look(&engine->rotation, engine->writer);
	while (wait_for_work(engine, &batch, &statuses)) {
		struct error error = ERROR_NULL;
		uint64_t begun = uv_hrtime();
		int code = 0;

		for (struct job *job = batch != NULL ? batch->jobs : NULL; job != NULL; job = job->next)
			job_move(job, JOB_RUNNING);
		if (batch != NULL || statuses != NULL)
			code = run_batch(engine, batch, statuses, &error);
		if (code != 0)
			log_event(LOG_ERROR, "commit failed", LOG_ERR(&error));
		if (code != 0 && batch != NULL)
			fail_batch(batch, &error);
		if (batch != NULL)
			hand_back(engine, batch);
		rotation_look(&engine->rotation, engine->writer);
		rotation_turn(engine);
		upkeep_turn(engine);
		erasure_turn(engine);
		durations_note(&engine->turns, uv_hrtime() - begun);
	}
	uv_mutex_lock(&engine->mutex);
	engine->stopped = true;
	uv_async_send(&engine->async); /* under the mutex: the handle goes once the loop has seen `stopped` */
	uv_mutex_unlock(&engine->mutex);
}
