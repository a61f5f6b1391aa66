/* SPDX-License-Identifier: Apache-2.0 */
/* Compare, and say. */
#include "ctl/plan.h"

#include "ctl/changes.h"
#include "ctl/normal.h"
#include "ctl/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SURVEY_MIN 500 /* objects of a kind */
#define SURVEY_SHARE 4 /* one in so many that are stored */

static const char *const op_words[PLAN_OPS_] = {
    [PLAN_KEEP] = "keep", [PLAN_CREATE] = "create", [PLAN_UPDATE] = "update", [PLAN_DELETE] = "delete"};

void plan_deinit(struct plan *plan)
{
	for (size_t i = 0; i < plan->len; i++) {
		json_decref(plan->steps[i].before);
		json_decref(plan->steps[i].after);
	}
	free(plan->steps);
	*plan = (struct plan){0};
}

static struct step *add_step(struct plan *plan, enum kind kind, const char *id)
{
	size_t cap = plan->cap > 0 ? plan->cap * 2 : 64;
	struct step *steps;

	if (plan->len == plan->cap) {
		steps = realloc(plan->steps, cap * sizeof(*steps));
		if (steps == NULL)
			return NULL;
		plan->steps = steps;
		plan->cap = cap;
	}
	plan->steps[plan->len] = (struct step){.kind = kind};
	snprintf(plan->steps[plan->len].id, sizeof(plan->steps->id), "%s", id);
	return &plan->steps[plan->len++];
}

static const char *word_of(enum kind kind)
{
	return kind_find(kind)->collection;
}

/* The folder ------------------------------------------------------------------------------------------------------- */

/* E_INVALID is told in details and counted, all else returned. */
static int check_one(struct ctl *ctl, struct step *step, size_t *wrong, struct error *err)
{
	CLEANUP(findings_deinit) struct findings findings = FINDINGS_NULL;
	char where[1024];
	int r = normal_make(step->kind, step->id, step->wanted->document, &findings, &step->after, err);

	if (r == 0 || findings.errors == 0)
		return r;
	snprintf(where, sizeof(where), "%s/%s (%s)", word_of(step->kind), step->id, step->wanted->file);
	problem_put_findings(&ctl->details, where, &findings);
	++*wrong;
	return r == E_NOMEM ? r : 0;
}

int plan_check(struct ctl *ctl, const struct folder *folder, struct plan *plan, struct error *err)
{
	size_t wrong = 0;
	int r = 0;

	for (size_t i = 0; i < folder->len && r == 0; i++) {
		const struct wanted *wanted = &folder->items[i];
		struct step *step = add_step(plan, wanted->kind, wanted->id);

		if (step == NULL)
			return error_nomem(err);
		step->op = PLAN_CREATE;
		step->wanted = wanted;
		r = check_one(ctl, step, &wrong, err);
	}
	if (r == 0 && wrong > 0)
		return error_set(err, E_INVALID, "%zu of %zu objects can't be right, nothing was sent", wrong, folder->len);
	return r;
}

/* The control plane ------------------------------------------------------------------------------------------------- */

/* What the control plane answers for the step's object. */
static int take_stored(struct step *step, json_t *document, struct error *err)
{
	int r = normal_make_stored(step->kind, step->id, document, step->after, &step->before, err);

	if (r == 0 && step->wanted != NULL)
		step->op = json_equal(step->before, step->after) ? PLAN_KEEP : PLAN_UPDATE;
	return r;
}

/* One object, with its ETag. When there is none, a wanted one is to be made, another is gone already. */
static int read_stored(struct ctl *ctl, struct step *step, struct error *err)
{
	CLEANUP(answer_deinit) struct answer answer = {0};
	char path[160];
	int r;

	snprintf(path, sizeof(path), "/v1/%s/%s", word_of(step->kind), step->id);
	r = ctl_get(ctl, path, &answer, err);
	if (r == E_NOT_FOUND) {
		ctl_forget_refusal(ctl, err);
		step->op = step->wanted != NULL ? PLAN_CREATE : PLAN_KEEP;
		return 0;
	}
	if (r < 0)
		return error_prefix(err, r, "%s/%s", word_of(step->kind), step->id);
	snprintf(step->etag, sizeof(step->etag), "%s", answer.etag);
	return take_stored(step, answer.document, err);
}

/* The steps from `from` on. */
static int read_each(struct ctl *ctl, struct plan *plan, size_t from, struct error *err)
{
	int r = 0;

	for (size_t i = from; i < plan->len && r == 0; i++) {
		struct step *step = &plan->steps[i];

		if (i % 64 == 0)
			client_progress(ctl->client, "comparing: %zu of %zu", i, plan->len);
		if (!step->is_known)
			r = read_stored(ctl, step, err);
		plan->counts[step->op]++;
		if (step->op == PLAN_KEEP) { /* of many, few have changed */
			json_decref(TAKE_PTR(step->before));
			json_decref(TAKE_PTR(step->after));
		}
	}
	client_progress(ctl->client, NULL);
	return r;
}

/* A survey: of many objects of a kind the list is several times quicker than one by one. What differs there is read by itself all the
 * same, for its ETag. */

struct survey {
	enum kind kind;
	struct step *steps; /* of the kind */
	size_t len;
};

static int compare_id(const void *id, const void *step)
{
	return strcmp(id, ((const struct step *)step)->id);
}

static int on_listed(json_t *item, void *context, struct error *err)
{
	const struct survey *survey = context;
	const char *id = json_string_value(json_object_get(item, "id"));
	struct step *step = id != NULL ? bsearch(id, survey->steps, survey->len, sizeof(*step), compare_id) : NULL;
	int r = step != NULL ? take_stored(step, item, err) : 0;

	if (step != NULL)
		json_decref(TAKE_PTR(step->before));
	return r;
}

/* limit: 0 is all. */
static int walk_survey(struct ctl *ctl, struct survey *survey, size_t limit, json_int_t *ret_total, struct error *err)
{
	struct page_walk walk = {.limit = limit, .on_item = on_listed, .context = survey};
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/v1/%s", word_of(survey->kind));
	walk.path = path;
	r = pages_walk(ctl, &walk, err);
	*ret_total = json_integer_value(json_object_get(walk.frame, "total"));
	json_decref(walk.frame);
	return r;
}

static int make_survey(struct ctl *ctl, struct survey *survey, struct error *err)
{
	json_int_t total = 0;
	int r;

	if (survey->len < SURVEY_MIN)
		return 0;
	r = walk_survey(ctl, survey, 1, &total, err);
	if (r < 0 || (size_t)total / SURVEY_SHARE > survey->len)
		return r;
	r = walk_survey(ctl, survey, 0, &total, err);
	for (size_t i = 0; i < survey->len && r == 0; i++)
		survey->steps[i].is_known = survey->steps[i].op != PLAN_UPDATE;
	return r;
}

int plan_compare(struct ctl *ctl, struct plan *plan, struct error *err)
{
	struct survey survey;
	int r = 0;

	for (size_t i = 0; i < plan->len && r == 0; i += survey.len) {
		survey = (struct survey){.kind = plan->steps[i].kind, .steps = &plan->steps[i], .len = 1};
		while (i + survey.len < plan->len && plan->steps[i + survey.len].kind == survey.kind)
			survey.len++;
		r = make_survey(ctl, &survey, err);
	}
	return r == 0 ? read_each(ctl, plan, 0, err) : r;
}

/* Pruning ---------------------------------------------------------------------------------------------------------- */

struct pruning {
	const struct folder *folder;
	const json_t *labels;
	struct plan *plan;
	enum kind kind;
};

static bool has_labels(const json_t *document, const json_t *labels)
{
	const json_t *own = json_object_get(document, "labels");
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)labels, name, value) {
		if (!json_equal(json_object_get(own, name), value))
			return false;
	}
	return true;
}

static int on_item(json_t *item, void *context, struct error *err)
{
	const struct pruning *pruning = context;
	const char *id = json_string_value(json_object_get(item, "id"));
	struct step *step;

	if (id == NULL || !kind_is_id(id, strlen(id)) || !has_labels(item, pruning->labels) ||
	    folder_find(pruning->folder, pruning->kind, id) != NULL)
		return 0;
	step = add_step(pruning->plan, pruning->kind, id);
	if (step == NULL)
		return error_nomem(err);
	step->op = PLAN_DELETE;
	return 0;
}

static int find_prunable(struct ctl *ctl, struct pruning *pruning, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	struct page_walk walk = {.on_item = on_item, .context = pruning};
	char pair[600];
	const char *name;
	json_t *value;
	int r;

	buf_printf(&path, "/v1/%s", word_of(pruning->kind));
	json_object_foreach((json_t *)pruning->labels, name, value) {
		snprintf(pair, sizeof(pair), "%s=%s", name, json_string_value(value));
		ctl_put_parameter(&path, "label", pair);
	}
	if (buf_cstr(&path) == NULL)
		return error_nomem(err);
	walk.path = (const char *)path.data;
	r = pages_walk(ctl, &walk, err);
	json_decref(walk.frame);
	return r;
}

int plan_prune(struct ctl *ctl, const struct folder *folder, const json_t *labels, struct plan *plan, struct error *err)
{
	struct pruning pruning = {.folder = folder, .labels = labels, .plan = plan};
	size_t known = plan->len;
	int r = 0;

	for (size_t i = 0; i < folder->len; i++) {
		if (!has_labels(folder->items[i].document, labels))
			return error_set(err, E_SYNTAX, "%s: %s/%s lacks labels of --label: a later --prune would not find it",
			                 folder->items[i].file, word_of(folder->items[i].kind), folder->items[i].id);
	}
	for (size_t i = 0; i < kind_table_len && r == 0; i++) {
		pruning.kind = kind_table[i].kind;
		if (kind_table[i].travels)
			r = find_prunable(ctl, &pruning, err);
		if (r == E_FORBIDDEN && pruning.kind != KIND_SSL) { /* a token for names: it has made none of these */
			ctl_forget_refusal(ctl, err);
			r = 0;
		}
	}
	return r == 0 ? read_each(ctl, plan, known, err) : r;
}

/* Words ------------------------------------------------------------------------------------------------------------ */

size_t plan_changes(const struct plan *plan)
{
	return plan->counts[PLAN_CREATE] + plan->counts[PLAN_UPDATE] + plan->counts[PLAN_DELETE];
}

void plan_put(const struct plan *plan, struct buf *out)
{
	for (size_t i = 0; i < plan->len; i++) {
		const struct step *step = &plan->steps[i];

		if (step->op != PLAN_KEEP)
			changes_put(out, word_of(step->kind), step->id, step->before, step->after);
	}
	buf_printf(out, "%zu to create, %zu to update, %zu to delete, %zu unchanged\n", plan->counts[PLAN_CREATE],
	           plan->counts[PLAN_UPDATE], plan->counts[PLAN_DELETE], plan->counts[PLAN_KEEP]);
}

static json_t *or_null(json_t *document)
{
	return document != NULL ? json_incref(document) : json_null();
}

json_t *plan_render(const struct plan *plan)
{
	json_t *items = json_array();

	for (size_t i = 0; i < plan->len && items != NULL; i++) {
		const struct step *step = &plan->steps[i];
		json_t *item;

		if (step->op == PLAN_KEEP)
			continue;
		item = json_pack("{s:s, s:s, s:s, s:o, s:o}", "op", op_words[step->op], "kind", word_of(step->kind), "id", step->id,
		                 "before", or_null(step->before), "after", or_null(step->after));
		if (json_array_append_new(items, item) < 0) {
			json_decref(items);
			items = NULL;
		}
	}
	return items != NULL ? json_pack("{s:o}", "items", items) : NULL;
}

/* The request ------------------------------------------------------------------------------------------------------- */

static json_t *render_line(const struct step *step)
{
	json_t *line = json_pack("{s:s, s:s, s:s}", "op", step->wanted != NULL ? "put" : "delete", "kind", word_of(step->kind), "id",
	                         step->id);
	int r = line != NULL ? 0 : -1;

	if (r == 0 && step->wanted != NULL)
		r = json_object_set(line, "value", step->wanted->document);
	if (r == 0 && step->op == PLAN_CREATE)
		r = json_object_set_new(line, "if_none_match", json_string("*"));
	else if (r == 0 && step->op != PLAN_KEEP)
		r = json_object_set_new(line, "if_match", json_string(step->etag));
	if (r == 0)
		return line;
	json_decref(line);
	return NULL;
}

static int put_chunk(const char *text, size_t len, void *context)
{
	buf_put(context, text, len);
	return 0;
}

int plan_encode(const struct plan *plan, bool all, struct buf *out, struct error *err)
{
	for (size_t i = 0; i < plan->len; i++) {
		const struct step *step = &plan->steps[i];
		json_t *line;

		if (step->op == PLAN_KEEP && (!all || step->wanted == NULL))
			continue;
		line = render_line(step);
		if (line == NULL || json_dump_callback(line, put_chunk, out, JSON_COMPACT) < 0)
			out->failed = true;
		buf_put_str(out, "\n");
		json_decref(line);
	}
	return out->failed ? error_nomem(err) : 0;
}
