/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that erased keys are answered when nothing of them is left in the store's files: not before the write-ahead log was emptied,
 * which waits for whoever reads an older state (a backup), and can't be done while the disk refuses. The writer thread tries again and
 * again between the changes; who has waited too long is told to ask again, which is harmless. Their change stands, and agents were told of
 * it, all the while. */
#include "change/engine.h"

#include "base/log.h"

#define MS UINT64_C(1000000)
#define RETRY (200 * MS) /* each may hold up changes for a tenth of that */
#define PATIENCE (30000 * MS) /* with readers: below that of people's HTTP clients */
#define PATIENCE_DISK (1000 * MS)

static void list_add(struct job_list *list, struct job *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
}

static struct job *list_take(struct job_list *list)
{
	struct job *first = list->first;

	list->first = NULL;
	list->end = &list->first;
	return first;
}

void erasure_init(struct erasure *erasure)
{
	(void)list_take(&erasure->waiting);
	(void)list_take(&erasure->answered);
}

void erasure_wait(struct job *job)
{
	struct change_engine *engine = job->engine;
	struct erasure *erasure = &engine->erasure;

	job_move(job, JOB_ERASING);
	uv_mutex_lock(&engine->mutex);
	if (erasure->waiting.first == NULL) {
		erasure->due = erasure->begun = uv_hrtime();
	}
	list_add(&erasure->waiting, job);
	uv_cond_signal(&engine->cond);
	uv_mutex_unlock(&engine->mutex);
}

/* With the mutex held. Who came meanwhile is served by the same: their commits, too, were before the log was emptied. */
static void answer(struct change_engine *engine, int code)
{
	struct erasure *erasure = &engine->erasure;
	struct job *next;

	for (struct job *job = list_take(&erasure->waiting); job != NULL; job = next) {
		next = job->next;
		job->erase_code = code;
		list_add(&erasure->answered, job);
	}
	uv_async_send(&engine->async);
}

void erasure_turn(struct change_engine *engine)
{
	struct erasure *erasure = &engine->erasure;
	struct error err = ERROR_NULL;
	uint64_t left = 0, now;
	bool is_due;
	int code;

	uv_mutex_lock(&engine->mutex);
	is_due = erasure->waiting.first != NULL && uv_hrtime() >= erasure->due;
	uv_mutex_unlock(&engine->mutex);
	if (!is_due)
		return;
	code = store_clear_log(engine->writer, true, &left, &err);
	if (code != 0 && code != E_BUSY)
		log_event(LOG_ERROR, "keys that were erased are still in the store's log", LOG_ERR(&err));
	uv_mutex_lock(&engine->mutex);
	now = uv_hrtime();
	erasure->due = now + RETRY;
	if (code == 0 || erasure->hurried || now >= erasure->begun + (code == E_BUSY ? PATIENCE : PATIENCE_DISK))
		answer(engine, code);
	uv_mutex_unlock(&engine->mutex);
}

void erasure_hurry(struct change_engine *engine)
{
	uv_mutex_lock(&engine->mutex);
	engine->erasure.hurried = true;
	uv_mutex_unlock(&engine->mutex);
}

struct job *erasure_take_answered(struct change_engine *engine)
{
	struct job *first;

	uv_mutex_lock(&engine->mutex);
	first = list_take(&engine->erasure.answered);
	uv_mutex_unlock(&engine->mutex);
	return first;
}
