/* SPDX-License-Identifier: Apache-2.0 */
/* One request inside the transaction: all items are written, then the rules between objects are checked against what
 * then stands, and the revision is ended or undone. So the order of items means nothing, and a rule has one place. */
#include "change/confine.h"
#include "change/receipt.h"
#include "change/rollback.h"
#include "change/tickets.h"

#include "base/memory.h"
#include "store/store_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PURGE_TITLE "purge keys: " /* of revisions and audit rows */

/* What refuses the request alone, against what means that the store can't go on. */
static bool is_refusal(int code)
{
	return code == E_INVALID || code == E_CONFLICT || code == E_NOT_FOUND || code == E_EXISTS || code == E_PRECONDITION;
}

static int find_before(const struct change_item *item, struct store_writer *writer, struct store_row *row,
                       bool *ret_exists, struct error *err)
{
	int code = store_get(store_writer_reader(writer), item->kind, item->id, 0, row, err);

	*ret_exists = code == 0;
	return code == E_NOT_FOUND ? 0 : code;
}

/* False: refused. is_known: it is in history at least. */
static bool check_preconditions(struct request_job *job, size_t index, const struct store_row *before, bool exists, bool is_known)
{
	const struct change_item *item = &job->request.items[index];
	const char *collection = kind_find(item->kind)->collection;
	const char *if_match = item->if_match != NULL ? item->if_match : job->request.if_match;
	char etag[64];

	if (exists && (item->op == CHANGE_CREATE || job->request.create_only || item->create_only))
		refuse(job, index, E_EXISTS, "exists", "", "%s/%s exists already", collection, item->id);
	else if (!exists && !is_known && (item->op == CHANGE_PATCH || item->op == CHANGE_DELETE))
		refuse(job, index, E_NOT_FOUND, "not-found", "", "%s/%s does not exist", collection, item->id);
	else if (!exists && if_match != NULL)
		refuse(job, index, E_PRECONDITION, "precondition-failed", "", "If-Match: %s/%s does not exist", collection,
		       item->id);
	else if (exists && item->kind == KIND_JOIN_TOKEN && item->op == CHANGE_PUT)
		refuse(job, index, E_CONFLICT, "exists", "", "a join token is never changed: delete %s and create another",
		       item->id);
	else if (exists && if_match != NULL) {
		change_format_etag(&before->state.object, etag);
		if (etag_list_has(if_match, etag))
			return true;
		refuse(job, index, E_PRECONDITION, "precondition-failed", "", "If-Match: %s/%s is at %s by now", collection,
		       item->id, etag);
	} else {
		return true;
	}
	return false;
}

/* The state as the user wrote it, changed by the patch, parsed like any input. */
static int parse_patch(struct request_job *job, size_t index, const struct store_row *before, struct error *err)
{
	json_t *current = resource_render_input(&before->state, err);
	json_t *merged;
	int code;

	if (current == NULL)
		return err->code != 0 ? err->code : error_nomem(err);
	merged = resource_merge_patch(current, job->request.items[index].document);
	json_decref(current);
	if (merged == NULL)
		return error_nomem(err);
	code = item_parse(job, index, merged, err);
	json_decref(merged);
	return code;
}

static int delete_item(struct request_job *job, size_t index, const struct store_row *before,
                       struct store_writer *writer, struct error *err)
{
	const struct change_item *item = &job->request.items[index];
	int code = 0;

	job->items[index].deleted = true;
	if (item->kind == KIND_AGENT) {
		job->job.agents_changed = true;
		code = tickets_lose(writer, before->state.labels, NULL, err);
	}
	return code == 0 ? store_delete(writer, item->kind, item->id, err) : code;
}

void request_take_standing(struct request_job *job, const struct object_view *object)
{
	const struct revision revision = {object->epoch, object->version};

	if (revision_compare(revision, job->result.standing) > 0)
		job->result.standing = revision;
}

static int write_item(struct request_job *job, size_t index, const struct store_row *before,
                      struct store_writer *writer, struct error *err)
{
	struct item_work *work = &job->items[index];
	const struct resource *resource = work->resource;
	struct store_row *row = job->row.memory == NULL ? &job->row : NULL;
	struct store_put put = {resource, BYTES(resource->body, resource->body_len), resource->secret};
	int code;

	if (resource->kind == KIND_AGENT) /* a patch of labels: keys and dates stay */
		put.body = before->state.object.body;
	work->narrowed = work->existed && (before->state.enabled != resource->enabled ||
	                                   strcmp(before->state.object.selector, resource->selector) != 0);
	work->written = true;
	code = store_put(writer, &put, row, err);
	if (code == E_EXISTS) {
		request_take_standing(job, &before->state.object);
		code = row != NULL ? store_get(store_writer_reader(writer), resource->kind, resource->id, 0, row, err) : 0;
		return code;
	}
	if (code == 0 && resource->kind == KIND_AGENT) {
		job->job.agents_changed = true;
		code = tickets_lose(writer, before->state.labels, resource, err);
	}
	return code;
}

static int restore_item(struct request_job *job, size_t index, const struct store_row *before, struct store_writer *writer,
                        struct error *err)
{
	bool skip = true;
	int code = rollback_take(job, index, job->items[index].existed ? before : NULL, store_writer_reader(writer), &skip, err);

	if (code != 0 || skip)
		return code;
	if (job->request.items[index].op == CHANGE_DELETE)
		return delete_item(job, index, before, writer, err);
	return write_item(job, index, before, writer, err);
}

static int apply_item(struct request_job *job, size_t index, struct store_writer *writer, struct error *err)
{
	const struct change_item *item = &job->request.items[index];
	struct item_work *work = &job->items[index];
	const struct store *store = job->job.engine->config.store;
	CLEANUP(store_row_deinit) struct store_row before = {0};
	bool within = true, is_known = false;
	int code = find_before(item, writer, &before, &work->existed, err);

	if (code == 0)
		code = confine_before(job, index, store_writer_reader(writer), work->existed ? &before : NULL, &within, err);
	if (code != 0 || !within)
		return code;
	if (request_is_rollback(job))
		return restore_item(job, index, &before, writer, err);
	if (job->request.purge_keys)
		code = store_has_states(store_writer_reader(writer), item->kind, item->id, &is_known, err);
	if (code != 0 || !check_preconditions(job, index, &before, work->existed, is_known))
		return code;
	if (item->op == CHANGE_DELETE)
		return work->existed ? delete_item(job, index, &before, writer, err) : 0;
	if (item->op == CHANGE_PATCH)
		code = parse_patch(job, index, &before, err);
	if (code == 0 && work->resource != NULL && item->kind == KIND_SSL)
		code = keys_keep(job, index, store, work->existed ? &before : NULL, err);
	if (code == 0 && work->resource != NULL && item->kind == KIND_JOIN_TOKEN)
		code = join_token_check(job, index, writer, err);
	/* What is refused is written too, to be undone: only so are all findings told at once. */
	if (code != 0 || work->resource == NULL)
		return code;
	return write_item(job, index, &before, writer, err);
}

/* The store as a whole is as who asks knows it; else nothing further is worth looking at. */
static int check_head(struct request_job *job, struct store_writer *writer, struct error *err)
{
	struct change_result *result = &job->result;
	struct store_revision head;
	char etag[64];
	int code;

	if (job->request.if_match_head == NULL)
		return 0;
	code = store_head(store_writer_reader(writer), &head, err);
	if (code != 0)
		return code;
	change_format_head_etag(head.revision, etag);
	if (etag_list_has(job->request.if_match_head, etag))
		return 0;
	result->code = error_set(&result->error, E_PRECONDITION, "If-Match: the store is at %s by now", etag);
	findings_add(&result->findings, FINDING_ERROR, "precondition-failed", "", "%s", result->error.text);
	return 0;
}

static int apply_items(struct request_job *job, struct store_writer *writer, struct error *err)
{
	int code = check_head(job, writer, err);

	if (code == 0 && job->result.code == 0 && request_is_rollback(job))
		code = rollback_begin(job, store_writer_reader(writer), err);
	if (code != 0 || job->result.code != 0)
		return code;
	for (size_t i = 0; i < job->request.items_len && code == 0; i++)
		code = apply_item(job, i, writer, err);
	if (code == 0)
		code = rules_check(job, store_writer_reader(writer), err);
	if (code == 0 && request_is_rollback(job))
		code = rollback_warn(job, store_writer_reader(writer), err);
	if (code != 0)
		return code;
	if (job->result.findings.failed)
		return error_nomem(err);
	if (job->request.strict)
		findings_make_strict(&job->result.findings);
	if (job->result.findings.errors > 0 && job->result.code == 0)
		job->result.code = error_set(&job->result.error, E_INVALID, "%zu error%s in the request",
		                             job->result.findings.errors, job->result.findings.errors == 1 ? "" : "s");
	return 0;
}

/* For the audit row of what made no revision. */
static void describe(const struct change_request *request, char action[256])
{
	static const char *const words[] = {
		[CHANGE_PUT] = "put",
		[CHANGE_CREATE] = "create",
		[CHANGE_PATCH] = "patch",
		[CHANGE_DELETE] = "delete",
	};
	const struct change_item *item = &request->items[0];
	int len;

	if (request->rollback.number != 0) {
		snprintf(action, 256, "rollback to %" PRIu64, request->rollback.number);
		return;
	}
	if (request->items_len == 0) {
		snprintf(action, 256, "nothing");
		return;
	}
	len = snprintf(action, 256, "%s%s %s/%s", request->purge_keys ? PURGE_TITLE : "", words[item->op],
	               kind_find(item->kind)->collection, item->id);
	if (request->items_len > 1)
		snprintf(action + len, 256 - (size_t)len, " and %zu more", request->items_len - 1);
}

static int audit(struct request_job *job, struct store_writer *writer, const struct store_author *author,
                 const char *outcome, struct error *err)
{
	char action[256];

	describe(&job->request, action);
	return store_audit(writer, author, action, outcome, err);
}

/* Who asked again for what stands may wait for the agents that hold it: a first wait may have failed. */
static int take_selectors(struct request_job *job, struct error *err)
{
	struct job *base = &job->job;

	base->selectors = calloc(job->request.items_len + 1, sizeof(*base->selectors));
	if (base->selectors == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < job->request.items_len; i++) {
		const struct resource *resource = job->items[i].resource;

		if (resource == NULL || !kind_find(resource->kind)->travels || !resource->enabled)
			continue;
		base->selectors[base->selectors_len] = strdup(resource->selector);
		if (base->selectors[base->selectors_len] == NULL)
			return error_nomem(err);
		base->selectors_len++;
	}
	return 0;
}

/* Nothing changed: the head is what the answer tells. */
static int end_unchanged(struct request_job *job, struct store_writer *writer, const struct store_author *author,
                         struct error *err)
{
	int code = store_head(store_writer_reader(writer), &job->result.revision, err);

	if (code == 0)
		code = take_selectors(job, err);
	return code == 0 ? audit(job, writer, author, job->result.purged > 0 ? "ok" : "unchanged", err) : code;
}

static int end_changed(struct request_job *job, struct store_writer *writer, struct error *err)
{
	job->result.changed = true;
	job->result.standing = job->result.revision.revision;
	return job_take_revision(&job->job, writer, &job->result.revision, err);
}

/* After the revision, since what nothing changed is undone. */
static int purge_keys(struct request_job *job, struct store_writer *writer, struct error *err)
{
	const struct change_item *item = &job->request.items[0];

	if (!job->request.purge_keys)
		return 0;
	job->job.erases = true;
	return store_purge_secrets(writer, item->kind, item->id, &job->result.purged, err);
}

static int end_revision(struct request_job *job, struct store_writer *writer, const struct store_author *author, struct error *err)
{
	struct error error = ERROR_NULL; /* that nothing changed is none */
	int ended = store_revision_end(writer, &job->result.revision, &error), code;

	if (ended != 0 && ended != E_EXISTS) {
		*err = error;
		return ended;
	}
	code = purge_keys(job, writer, err);
	if (code != 0)
		return code;
	return ended == 0 ? end_changed(job, writer, err) : end_unchanged(job, writer, author, err);
}

/* All checks are done: what was written for them goes. *err is filled when the store can't go on. */
static int end_dry_run(struct request_job *job, struct store_writer *writer, struct error *err)
{
	struct error error = ERROR_NULL;

	job->job.agents_changed = false;
	job->result.changed = job->result.code == 0 && store_revision_has_changes(writer);
	if (job->result.code == 0 && request_take_states(job, store_writer_reader(writer), &error) != 0)
		request_fail(job, &error);
	store_revision_abort(writer);
	return store_head(store_writer_reader(writer), &job->result.revision, err);
}

/* The summary begins with what was asked for. */
static void entitle(const struct change_request *request, struct store_writer *writer)
{
	char title[64];

	if (request->purge_keys)
		store_revision_entitle(writer, PURGE_TITLE);
	if (request->rollback.number == 0)
		return;
	snprintf(title, sizeof(title), "rollback to %" PRIu64 ": ", request->rollback.number);
	store_revision_entitle(writer, title);
}

int request_run(struct job *base, struct store_writer *writer, struct error *err)
{
	struct request_job *job = container_of(base, struct request_job, job);
	const struct change_request *request = &job->request;
	struct store_author author = {request->actor, request->request_id, request->source, job->limits.now};
	struct error error = ERROR_NULL;
	uint64_t failures = memory_failures();
	int code = store_revision_begin(writer, &author, err);

	if (code != 0)
		return code;
	entitle(request, writer);
	code = memory_judge(failures, apply_items(job, writer, &error), &error);
	if (code != 0 && is_refusal(code))
		code = error_set(&error, E_INTERNAL, "a store call was refused unexpectedly: %s", error.text);
	if (code != 0)
		request_fail(job, &error);
	job->result.created = request->items_len > 0 && job->items[0].written && !job->items[0].existed;
	if (request->dry_run)
		return end_dry_run(job, writer, err);
	if (job->result.code != 0) {
		job->job.agents_changed = false;
		store_revision_abort(writer);
		job->result.audited = true;
		return audit(job, writer, &author, error_name(job->result.code), err);
	}
	code = end_revision(job, writer, &author, err);
	if (code == 0)
		code = receipt_write_request(job, writer, err);
	code = memory_judge(failures, code, err);
	job->result.audited = code == 0;
	if (code == 0 && job->row.memory != NULL)
		change_format_etag(&job->row.state.object, job->result.etag);
	return code;
}
