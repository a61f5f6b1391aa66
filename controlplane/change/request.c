/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a change request: made, submitted, answered. */
#include "change/confine.h"
#include "change/scope.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY_ITEMS 10000 /* take milliseconds to free, which the loop has not */

struct change_request *change_request_new(size_t items)
{
	struct request_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->request.items = calloc(items > 0 ? items : 1, sizeof(*job->request.items));
	job->items = calloc(items > 0 ? items : 1, sizeof(*job->items));
	job->request.items_len = items;
	if (job->request.items == NULL || job->items == NULL)
		return change_request_free(&job->request);
	return &job->request;
}

void request_drop_items(struct request_job *job)
{
	for (size_t i = 0; i < job->request.items_len; i++) {
		if (job->request.items != NULL)
			json_decref(TAKE_PTR(job->request.items[i].document));
		if (job->items != NULL)
			job->items[i].resource = resource_free(job->items[i].resource);
	}
}

static void free_items(struct request_job *job)
{
	request_drop_items(job);
	for (size_t i = 0; i < job->request.items_len; i++) {
		if (job->request.items != NULL)
			free(job->request.items[i].if_match);
	}
	free(TAKE_PTR(job->request.items));
	free(TAKE_PTR(job->items));
	job->request.items_len = 0;
}

struct change_request *change_request_free(struct change_request *request)
{
	struct request_job *job;

	if (request == NULL)
		return NULL;
	job = container_of(request, struct request_job, request);
	free_items(job);
	if (request->feed != NULL)
		request->feed->free(request->feed);
	free(request->if_match);
	free(request->if_match_head);
	free(request->receipt);
	scope_unref(request->scope);
	findings_deinit(&job->result.findings);
	json_decref(job->result.answer);
	store_row_deinit(&job->row);
	secret_free(job->token_text);
	change_states_free(job->states);
	job_deinit(&job->job);
	free(job);
	return NULL;
}

void change_submit(struct change_engine *engine, struct change_request *request,
                   void (*done)(const struct change_result *result, void *context), void *context)
{
	struct request_job *job = container_of(request, struct request_job, request);

	job->job.ops = &request_ops;
	job->job.alone = request->dry_run;
	job->done = done;
	job->context = context;
	job->limits = engine->config.limits;
	engine_submit(engine, &job->job);
}

/* When several things are wrong: what the caller must mend first decides. */
static int weight(int code)
{
	static const int order[] = {E_CONFLICT, E_INVALID, E_METHOD, E_NOT_FOUND, E_EXISTS, E_PRECONDITION, E_FORBIDDEN};

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (order[i] == code)
			return (int)i + 1;
	return 0;
}

void item_pointer(const struct request_job *job, size_t index, char pointer[ITEM_POINTER_MAX])
{
	const struct change_item *item = &job->request.items[index];

	if (job->request.rollback.number != 0 && !job->rollback_named && item->pointer[0] == '\0')
		snprintf(pointer, ITEM_POINTER_MAX, "/%s/%s", kind_find(item->kind)->collection, item->id);
	else
		snprintf(pointer, ITEM_POINTER_MAX, "%s", item->pointer);
}

void refuse(struct request_job *job, size_t index, int code, const char *finding, const char *pointer,
            const char *format, ...)
{
	struct change_result *result = &job->result;
	char detail[384], full[256], at[ITEM_POINTER_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	item_pointer(job, index, at);
	snprintf(full, sizeof(full), "%s%s", at, pointer);
	findings_add(&result->findings, FINDING_ERROR, finding, full, "%s", confine_detail(job, finding, detail));
	if (weight(code) > weight(result->code))
		result->code = error_set(&result->error, code, "%s", confine_detail(job, finding, detail));
}

void warn(struct request_job *job, size_t index, const char *finding, const char *pointer, const char *format, ...)
{
	char detail[384], full[256], at[ITEM_POINTER_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	item_pointer(job, index, at);
	snprintf(full, sizeof(full), "%s%s", at, pointer);
	findings_add(&job->result.findings, FINDING_WARNING, finding, full, "%s", confine_detail(job, finding, detail));
}

bool request_is_refused(const struct request_job *job)
{
	return job->result.code != 0 || job->result.findings.errors > 0;
}

void request_fail(struct request_job *job, const struct error *error)
{
	job->result.code = error->code;
	job->result.error = *error;
	job->result.changed = false;
	if (error->code == E_NOMEM) /* what was found may only look so */
		findings_deinit(&job->result.findings);
}

static void on_fail(struct job *base, const struct error *error)
{
	struct request_job *job = container_of(base, struct request_job, job);

	if (job->result.code == 0) /* a refusal stands: it was right whatever became of the others */
		request_fail(job, error);
	job->result.audited = false; /* the row is lost with the transaction */
	base->erases = false;
}

/* What only a revision gives: the version, the uid of what is new, an id that the next request will not get. */
static void strip_promises(struct request_job *job)
{
	json_t *answer = job->result.answer;

	(void)json_object_del(answer, "version");
	if (job->result.created)
		(void)json_object_del(answer, "uid");
	if (job->request.items[0].op == CHANGE_CREATE)
		(void)json_object_del(answer, "id");
}

static void on_render(struct job *base)
{
	struct request_job *job = container_of(base, struct request_job, job);
	struct error error = ERROR_NULL;
	uint64_t failures = memory_failures();

	if (job->result.code == 0 && job->row.memory != NULL) /* without memory for it the change stands, and the answer is empty */
		job->result.answer = resource_render_parsed(&job->row.state, job->items[0].resource, &job->limits, &error);
	request_drop_items(job);
	if (job->result.code != 0 || job->row.memory == NULL)
		return;
	if (memory_judge(failures, 0, &error) < 0)
		json_decref(TAKE_PTR(job->result.answer));
	if (job->request.dry_run && job->result.answer == NULL)
		request_fail(job, &error);
	if (job->request.dry_run && job->result.answer != NULL)
		strip_promises(job);
	else if (job->token_text != NULL && job->result.answer != NULL && job->result.changed)
		(void)json_object_set_new(job->result.answer, "token",
		                          json_stringn((const char *)job->token_text->data, job->token_text->len));
}

static void release_dry_run(struct request_job *job)
{
	struct change_engine *engine = job->job.engine;

	if (!job->holds_dry_run)
		return;
	uv_mutex_lock(&engine->mutex);
	engine->dry_run = false;
	uv_mutex_unlock(&engine->mutex);
}

static void on_free_items(uv_work_t *work)
{
	free_items(container_of(work, struct request_job, job.work));
}

static void on_items_freed(uv_work_t *work, int status)
{
	change_request_free(&container_of(work, struct request_job, job.work)->request);
}

static void free_finished(struct request_job *job)
{
	uv_loop_t *loop = job->job.engine->config.loop;

	if (job->request.items_len < MANY_ITEMS || uv_queue_work(loop, &job->job.work, on_free_items, on_items_freed) != 0)
		change_request_free(&job->request);
}

static int tell_unerased(int code, struct error *err)
{
	if (code == E_BUSY)
		return error_set(err, E_UNAVAILABLE,
		                 "the keys are erased, but the store's log still holds them, since somebody reads the store as it "
		                 "was before (a backup?): ask again");
	return error_set(err, code, "the keys are erased, but the store's log, which still holds them, can't be emptied: ask again");
}

static void on_finish(struct job *base)
{
	struct request_job *job = container_of(base, struct request_job, job);

	release_dry_run(job);
	if (base->erases && base->erase_code != 0)
		job->result.code = tell_unerased(base->erase_code, &job->result.error);
	job->result.selectors = (const char **)(void *)base->selectors;
	job->result.selectors_len = base->selectors_len;
	job->result.states = &job->states;
	job->result.items = job->request.items;
	job->result.items_len = job->request.items_len;
	if (job->done != NULL)
		job->done(&job->result, job->context);
	free_finished(job);
}

const struct job_ops request_ops = {
	.prepare = request_prepare,
	.run = request_run,
	.fail = on_fail,
	.render = on_render,
	.finish = on_finish,
};

void change_format_etag(const struct object_view *object, char etag[64])
{
	change_format_head_etag((struct revision){object->epoch, object->version}, etag);
}

void change_format_head_etag(struct revision head, char etag[64])
{
	snprintf(etag, 64, "\"%" PRIu64 "-%" PRIu64 "\"", head.epoch, head.number);
}
