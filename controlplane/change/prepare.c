/* SPDX-License-Identifier: Apache-2.0 */
/* What can be found out about a request without the store, on the uv pool: every document parsed and checked by itself,
 * all findings of all items at once. A PATCH is parsed in the transaction, where the state it merges into cannot move.
 */
#include "change/confine.h"
#include "change/rollback.h"

#include "base/memory.h"
#include "crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MADE_ID_BYTES 8

/* `code` and the request's error from what the findings say. */
static void take_findings(struct request_job *job)
{
	const struct change_feed *feed = job->request.feed;
	struct change_result *result = &job->result;

	if (result->findings.failed)
		result->code = error_nomem(&result->error);
	else if (result->findings.errors > 0 && result->code == 0)
		result->code =
			error_set(&result->error, feed != NULL && feed->refused != 0 ? feed->refused : E_INVALID,
		              "%zu error%s in the request", result->findings.errors, result->findings.errors == 1 ? "" : "s");
}

int item_parse(struct request_job *job, size_t index, json_t *document, struct error *err)
{
	const struct change_item *item = &job->request.items[index];
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	struct error error = ERROR_NULL;
	char pointer[ITEM_POINTER_MAX];
	int code =
		resource_parse(item->kind, item->id, document, &job->limits, &findings, &job->items[index].resource, &error);

	if (index > 0) /* the first is in the answer */
		resource_drop_certs(job->items[index].resource);
	item_pointer(job, index, pointer);
	findings_append(&job->result.findings, pointer, &findings);
	if (findings.errors == 0 && code == E_INVALID) /* told in words only */
		refuse(job, index, E_INVALID, "invalid", "", "%s", error.text);
	if (code != 0 && code != E_INVALID)
		return error_set(err, code, "%s", error.text);
	take_findings(job);
	confine_after(job, index, document);
	return 0;
}

static int make_id(struct change_item *item, struct error *err)
{
	uint8_t random[MADE_ID_BYTES];
	int code = crypto_random(random, sizeof(random), err);

	if (code == 0)
		crypto_hex(random, sizeof(random), item->id);
	return code;
}

static bool is_allowed(struct request_job *job, size_t index)
{
	const struct change_item *item = &job->request.items[index];

	if (!confine_kind(job, index))
		return false;
	if (item->kind == KIND_AGENT && (item->op == CHANGE_PUT || item->op == CHANGE_CREATE))
		refuse(job, index, E_METHOD, "not-writable", "", "agents come from enrolment: create a join token instead");
	else if (item->kind == KIND_JOIN_TOKEN && item->op == CHANGE_PATCH)
		refuse(job, index, E_METHOD, "not-writable", "", "a join token is never changed: delete it and create another");
	else if (item->op != CHANGE_CREATE && resource_is_preset(item->kind, item->id))
		refuse(job, index, E_CONFLICT, "read-only", "", "%s is a preset and is never changed: use another id",
		       item->id);
	else
		return true;
	return false;
}

static int prepare_item(struct request_job *job, size_t index, struct error *err)
{
	struct change_item *item = &job->request.items[index];
	int code = 0;

	if (!is_allowed(job, index))
		return 0;
	if (item->op == CHANGE_CREATE && item->id[0] == '\0')
		code = make_id(item, err);
	if (code != 0 || (item->op != CHANGE_PUT && item->op != CHANGE_CREATE))
		return code;
	code = item_parse(job, index, item->document, err);
	json_decref(TAKE_PTR(item->document)); /* it may hold a key, and there may be many */
	if (code == 0 && item->kind == KIND_JOIN_TOKEN && job->items[index].resource != NULL)
		code = join_token_prepare(job, index, err);
	return code;
}

static int compare_items(const void *left, const void *right)
{
	const struct change_item *a = *(const struct change_item *const *)left,
							 *b = *(const struct change_item *const *)right;
	int order;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	order = strcmp(a->id, b->id);
	if (order != 0)
		return order;
	return a < b ? -1 : a > b; /* the later one is the duplicate */
}

static int find_duplicates(struct request_job *job, struct error *err)
{
	const struct change_request *request = &job->request;
	const struct change_item **sorted;

	if (request->items_len < 2)
		return 0;
	sorted = calloc(request->items_len, sizeof(const struct change_item *));
	if (sorted == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < request->items_len; i++)
		sorted[i] = &request->items[i];
	qsort(sorted, request->items_len, sizeof(const struct change_item *), compare_items);
	for (size_t i = 1; i < request->items_len; i++) {
		const struct change_item *item = sorted[i];

		if (item->id[0] != '\0' && item->kind == sorted[i - 1]->kind && strcmp(item->id, sorted[i - 1]->id) == 0)
			refuse(job, (size_t)(item - request->items), E_INVALID, "duplicate", "",
			       "%s/%s stands twice in this request", kind_find(item->kind)->collection, item->id);
	}
	free(sorted);
	return 0;
}

static int grow_items(struct request_job *job, struct error *err)
{
	size_t cap = 2 * job->request.items_len + 64;
	struct change_item *items;
	struct item_work *work;

	if (job->request.items_len == CHANGE_ITEMS_MAX)
		return error_set(err, E_TOO_LARGE, "more than %d items in one request", CHANGE_ITEMS_MAX);
	if (job->request.items_len < job->items_cap)
		return 0;
	items = realloc(job->request.items, cap * sizeof(*items));
	if (items == NULL)
		return error_nomem(err);
	job->request.items = items;
	work = realloc(job->items, cap * sizeof(*work));
	if (work == NULL)
		return error_nomem(err);
	job->items = work;
	job->items_cap = cap;
	return 0;
}

int request_add_item(struct request_job *job, size_t *ret_index, struct error *err)
{
	size_t index = job->request.items_len;
	int code = grow_items(job, err);

	if (code != 0)
		return code;
	job->request.items[index] = (struct change_item){0};
	job->items[index] = (struct item_work){0};
	job->request.items_len++;
	*ret_index = index;
	return 0;
}

/* Takes the item's parts over, also when it fails. */
static int take_item(struct request_job *job, const struct change_item *item, struct error *err)
{
	size_t index;
	int r = request_add_item(job, &index, err);

	if (r != 0) {
		json_decref(item->document);
		free(item->if_match);
		return r;
	}
	job->request.items[index] = *item;
	return prepare_item(job, index, err);
}

static int read_feed(struct request_job *job, struct error *err)
{
	struct change_feed *feed = job->request.feed;
	struct change_item item = {0};
	int r;

	while ((r = feed->next(feed, &item, &job->result.findings, err)) == 1) {
		r = take_item(job, &item, err);
		if (r < 0)
			return r;
		item = (struct change_item){0};
	}
	if (job->result.code == E_INVALID) /* said when only the first were known */
		job->result.code = 0;
	if (r == 0)
		take_findings(job);
	return r;
}

static int read_items(struct request_job *job, struct error *err)
{
	int code = 0;

	if (request_is_rollback(job))
		return rollback_prepare(job, err);
	if (job->request.feed != NULL)
		return read_feed(job, err);
	for (size_t i = 0; i < job->request.items_len && code == 0; i++)
		code = prepare_item(job, i, err);
	return code;
}

/* A large one holds the writer for long, and gives nothing for it. */
static int admit_dry_run(struct request_job *job, struct error *err)
{
	struct change_engine *engine = job->job.engine;

	if (!job->request.dry_run || job->request.items_len <= CHANGE_DRY_ITEMS_MAX)
		return 0;
	uv_mutex_lock(&engine->mutex);
	job->holds_dry_run = !engine->dry_run;
	engine->dry_run = true;
	uv_mutex_unlock(&engine->mutex);
	if (job->holds_dry_run)
		return 0;
	return error_set(err, E_UNAVAILABLE, "another dry run of more than %d objects is under way", CHANGE_DRY_ITEMS_MAX);
}

void request_prepare(struct job *base)
{
	struct request_job *job = container_of(base, struct request_job, job);
	struct error error = ERROR_NULL;
	uint64_t failures = memory_failures();
	int code;

	job->limits.now = (uint64_t)time(NULL);
	code = read_items(job, &error);
	if (code == 0)
		code = find_duplicates(job, &error);
	if (code == 0)
		code = admit_dry_run(job, &error);
	code = memory_judge(failures, code, &error);
	if (code != 0)
		request_fail(job, &error);
	if (job->request.feed != NULL) /* with what it holds */
		job->request.feed->free(TAKE_PTR(job->request.feed));
	base->refused = request_is_refused(job);
	if (base->refused)
		request_drop_items(job);
}
