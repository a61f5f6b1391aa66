/* SPDX-License-Identifier: Apache-2.0 */
/* Session ticket keys through the writer thread: no configuration, so no revision, no audit row; but durable before any agent hears of
 * them. What an agent loses is marked in the transaction that takes it away, so that no kill in between lets the keys live on. */
#include "change/engine.h"
#include "change/tickets.h"

#include "model/selector.h"

#include <stdlib.h>
#include <string.h>

struct ticket_job {
	struct job job;
	void (*done)(const struct error *error, void *context);
	void *context;
	struct error error; /* code 0: written */
	char *selector;
	struct store_ticket_key *keys;
	size_t len;
};

static struct ticket_job *ticket_job_free(struct ticket_job *job)
{
	if (job == NULL)
		return NULL;
	if (job->keys != NULL)
		secret_wipe(job->keys, job->len * sizeof(*job->keys));
	free(job->keys);
	free(job->selector);
	free(job);
	return NULL;
}

static int ticket_run(struct job *base, struct store_writer *writer, struct error *err)
{
	struct ticket_job *job = container_of(base, struct ticket_job, job);

	return store_put_ticket_keys(writer, job->selector, job->keys, job->len, err);
}

static void ticket_fail(struct job *base, const struct error *error)
{
	container_of(base, struct ticket_job, job)->error = *error;
}

static void ticket_finish(struct job *base)
{
	struct ticket_job *job = container_of(base, struct ticket_job, job);

	job->done(&job->error, job->context);
	ticket_job_free(job);
}

static const struct job_ops ticket_ops = {.run = ticket_run, .fail = ticket_fail, .finish = ticket_finish};

int change_ticket_keys(struct change_engine *engine, const char *selector, const struct store_ticket_key *keys, size_t len,
                       void (*done)(const struct error *error, void *context), void *context, struct error *err)
{
	struct ticket_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return error_nomem(err);
	job->job.ops = &ticket_ops;
	job->done = done;
	job->context = context;
	job->selector = strdup(selector);
	job->keys = calloc(len + 1, sizeof(*keys)); /* never of size 0 */
	if (job->selector == NULL || job->keys == NULL) {
		ticket_job_free(job);
		return error_nomem(err);
	}
	if (len > 0)
		memcpy(job->keys, keys, len * sizeof(*keys));
	job->len = len;
	engine_submit(engine, &job->job);
	return 0;
}

int tickets_lose(struct store_writer *writer, const char *labels_before, const struct resource *after, struct error *err)
{
	char *before = NULL, *now = NULL;
	int code = selector_from_labels(labels_before, &before, err);

	if (code == 0 && after != NULL)
		code = selector_from_labels(after->labels, &now, err);
	if (code == 0)
		code = store_lose_ticket_keys(writer, before, now, err);
	free(before);
	free(now);
	return code;
}
