/* SPDX-License-Identifier: Apache-2.0 */
/* apply -f, diff -f: a folder says what shall be. Everything is checked and shown before anything is sent; what is sent is one
 * request, which does all of it or nothing. */
#include "ctl/commands.h"

#include "ctl/folder.h"
#include "ctl/plan.h"
#include "ctl/text.h"

#include <string.h>

/* Folder, plan, and which of its steps are in the request. */
struct applying {
	struct folder folder;
	struct plan plan;
	bool all;
};

static void applying_deinit(struct applying *applying)
{
	plan_deinit(&applying->plan);
	folder_deinit(&applying->folder);
}
DEFINE_CLEANUP_VALUE(struct applying, applying_deinit);

static int load(struct ctl *ctl, struct applying *applying, struct error *err)
{
	const char *path;
	size_t at = 0;
	int r = 0;

	if (!args_has(&ctl->args, OPTION_FILE))
		return error_set(err, E_SYNTAX, "-f PATH is missing: a folder or a file with objects");
	while (r == 0 && (path = args_next(&ctl->args, OPTION_FILE, &at)) != NULL)
		r = folder_load(&applying->folder, path, err);
	if (r == 0)
		r = folder_finish(&applying->folder, err);
	if (r == 0 && applying->folder.len == 0 && !args_has(&ctl->args, OPTION_ALLOW_EMPTY))
		return error_set(err, E_SYNTAX, "there is no object in it (--allow-empty if that is meant)");
	return r;
}

static int prune(struct ctl *ctl, struct applying *applying, struct error *err)
{
	json_t *labels = NULL;
	int r = ctl_take_labels(ctl, &labels, err);

	if (r == 0 && args_has(&ctl->args, OPTION_PRUNE) && json_object_size(labels) == 0)
		r = error_set(err, E_SYNTAX, "--prune needs --label: what has these labels is this folder's");
	else if (r == 0 && !args_has(&ctl->args, OPTION_PRUNE) && json_object_size(labels) > 0)
		r = error_set(err, E_SYNTAX, "--label is for --prune");
	else if (r == 0 && json_object_size(labels) > 0)
		r = plan_prune(ctl, &applying->folder, labels, &applying->plan, err);
	json_decref(labels);
	return r;
}

static int prepare(struct ctl *ctl, struct applying *applying, struct error *err)
{
	int r = load(ctl, applying, err);

	if (r == 0)
		r = plan_check(ctl, &applying->folder, &applying->plan, err);
	if (r == 0)
		r = plan_compare(ctl, &applying->plan, err);
	return r == 0 ? prune(ctl, applying, err) : r;
}

int diff_run(struct ctl *ctl, struct error *err)
{
	CLEANUP(applying_deinit) struct applying applying = {0};
	json_t *document;
	int r;

	if (ctl->words_len > 0)
		return diff_revisions_run(ctl, err);
	r = prepare(ctl, &applying, err);
	if (r < 0)
		return r;
	if (ctl->settings.is_json) {
		document = plan_render(&applying.plan);
		r = document != NULL ? ctl_put_document(ctl, document, err) : error_nomem(err);
		json_decref(document);
	} else {
		plan_put(&applying.plan, &ctl->out);
	}
	return r == 0 && plan_changes(&applying.plan) > 0 ? CTL_DIFFERENT : r;
}

/* Applying ---------------------------------------------------------------------------------------------------------- */

/* The name of the item with this index in the request. */
static void put_item(struct buf *out, size_t index, void *context)
{
	const struct applying *applying = context;

	for (size_t i = 0; i < applying->plan.len; i++) {
		const struct step *step = &applying->plan.steps[i];

		if (step->op == PLAN_KEEP && (!applying->all || step->wanted == NULL))
			continue;
		if (index-- > 0)
			continue;
		buf_printf(out, "%s/%s", kind_find(step->kind)->collection, step->id);
		if (step->wanted == NULL)
			return;
		buf_put_str(out, " (");
		text_put_cstr(out, step->wanted->file);
		buf_put_str(out, ")");
		return;
	}
}

static int send(struct ctl *ctl, struct applying *applying, struct answer *answer, struct error *err)
{
	CLEANUP(buf_deinit) struct buf body = {.sensitive = true};
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	char key[CLIENT_KEY_LEN + 1];
	struct request request = {.method = "POST", .content_type = "application/x-ndjson", .key = key};
	int r;

	client_extend(ctl->client, 0); /* comparing, or thinking, took its time */
	applying->all = ctl_waits(ctl); /* agents may still owe what an earlier run has stored */
	buf_put_str(&path, "/v1/apply");
	ctl_put_write_query(ctl, &path);
	r = client_make_key(key, err);
	if (r == 0)
		r = plan_encode(&applying->plan, applying->all, &body, err);
	if (r < 0)
		return r;
	request.path = buf_cstr(&path);
	request.body = BYTES(body.data, body.len);
	if (request.path == NULL)
		return error_nomem(err);
	return ctl_call(ctl, &request, answer, put_item, applying, err);
}

/* The differences: to people before they are asked; a program's standard output is the API's answer alone. */
static int show(struct ctl *ctl, struct applying *applying, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	plan_put(&applying->plan, &text);
	if (text.failed)
		return error_nomem(err);
	if (ctl->settings.is_json) {
		ctl_say(&text);
		return 0;
	}
	buf_put(&ctl->out, text.data, text.len);
	return ctl_flush(ctl, err);
}

int apply_run(struct ctl *ctl, struct error *err)
{
	CLEANUP(applying_deinit) struct applying applying = {0};
	CLEANUP(answer_deinit) struct answer answer = {0};
	int r = prepare(ctl, &applying, err);

	if (r == 0)
		r = show(ctl, &applying, err);
	if (r == 0 && plan_changes(&applying.plan) > 0 && !args_has(&ctl->args, OPTION_DRY_RUN))
		r = ctl_confirm(ctl, "Apply?", err);
	if (r == 0)
		r = send(ctl, &applying, &answer, err);
	if (r < 0)
		return r;
	return ctl_put_applied(ctl, &answer, put_item, &applying, err);
}
