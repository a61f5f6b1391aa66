/* SPDX-License-Identifier: Apache-2.0 */
/* What commands share. */
#include "ctl/ctl.h"

#include "ctl/text.h"
#include "ctl/views.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MARGIN 3 /* seconds that the answer of a wait may come late */

void ctl_deinit(struct ctl *ctl)
{
	client_free(ctl->client);
	settings_deinit(&ctl->settings);
	buf_deinit(&ctl->out);
	buf_deinit(&ctl->details);
}

/* Output ----------------------------------------------------------------------------------------------------------- */

int ctl_flush(struct ctl *ctl, struct error *err)
{
	if (ctl->out.failed)
		return error_nomem(err);
	if (fwrite(ctl->out.data, 1, ctl->out.len, stdout) != ctl->out.len || fflush(stdout) != 0) {
		if (errno == EPIPE) { /* nobody reads on: ends as any filter does */
			signal(SIGPIPE, SIG_DFL);
			raise(SIGPIPE);
		}
		return error_set(err, E_IO, "standard output: %s", strerror(errno));
	}
	buf_reset(&ctl->out);
	return 0;
}

void ctl_say(struct buf *text)
{
	if (text->len > 0)
		fwrite(text->data, 1, text->len, stderr);
	buf_reset(text);
}

int ctl_put_document(struct ctl *ctl, const json_t *document, struct error *err)
{
	char *text;

	if (isatty(STDOUT_FILENO))
		return text_put_pretty(&ctl->out, document) < 0 ? error_nomem(err) : 0;
	text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15)); /* 2.5 stays 2.5 */
	if (text == NULL)
		return error_nomem(err);
	buf_printf(&ctl->out, "%s\n", text);
	free(text);
	return 0;
}

int ctl_put_json(struct ctl *ctl, const struct answer *answer, struct error *err)
{
	if (isatty(STDOUT_FILENO))
		return ctl_put_document(ctl, answer->document, err);
	buf_put(&ctl->out, answer->body.data, answer->body.len);
	if (answer->body.len > 0 && answer->body.data[answer->body.len - 1] != '\n')
		buf_put_str(&ctl->out, "\n");
	return 0;
}

/* Of a dry run: which names would get another certificate. */
static int put_affected(struct ctl *ctl, const json_t *affected, struct error *err)
{
	const struct view *view = &view_affected;
	CLEANUP(table_deinit) struct table table = view_begin(view);
	json_int_t omitted = json_integer_value(json_object_get(affected, "omitted"));
	json_t *names = json_object_get(affected, "names"), *name;
	size_t index;
	int r = 0;

	json_array_foreach(names, index, name) {
		if (r == 0)
			r = view_put_row(view, &table, name, err);
	}
	if (r == 0 && json_array_size(names) > 0)
		r = table_print(&table, &ctl->out) < 0 ? error_nomem(err) : 0;
	if (omitted > 0)
		buf_printf(&ctl->out, "and %" JSON_INTEGER_FORMAT " more names\n", omitted);
	return r;
}

/* ", served by 3 agents, 200 of 5000 changed names looked at". */
static void put_wait(struct buf *out, const json_t *wait)
{
	const json_t *agents = json_object_get(wait, "agents"), *names = json_object_get(wait, "names");
	json_int_t count = 0;
	size_t index;
	json_t *agent;

	json_array_foreach(agents, index, agent) {
		const json_t *several = json_object_get(agent, "count"); /* what tokens with a scope are told */

		count += json_is_integer(several) ? json_integer_value(several) : 1;
	}
	buf_put_str(out, ", ");
	text_put_json(out, json_object_get(wait, "state"));
	buf_printf(out, " by %" JSON_INTEGER_FORMAT " agent%s", count, count == 1 ? "" : "s");
	if (names != NULL)
		buf_printf(out, ", %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " changed names looked at",
		           json_integer_value(json_object_get(names, "checked")), json_integer_value(json_object_get(names, "changed")));
	buf_put_str(out, "\n");
	problem_put_names(out, names);
}

int ctl_put_applied(struct ctl *ctl, const struct answer *answer, problem_item_fn *item, void *context, struct error *err)
{
	const json_t *document = answer->document, *wait = json_object_get(document, "wait");

	if (ctl->settings.is_json)
		return ctl_put_json(ctl, answer, err);
	problem_put_warnings(&ctl->out, document, item, context);
	if (json_is_true(json_object_get(document, "dry_run"))) {
		buf_put_str(&ctl->out, "dry run: it would be accepted, nothing was changed\n");
		return put_affected(ctl, json_object_get(document, "affected"), err);
	}
	buf_put_str(&ctl->out, json_is_true(json_object_get(document, "changed")) ? "applied as revision " : "unchanged at revision ");
	text_put_json(&ctl->out, json_object_get(document, "revision"));
	if (wait != NULL)
		put_wait(&ctl->out, wait);
	else
		buf_put_str(&ctl->out, "\n");
	return 0;
}

int ctl_confirm(struct ctl *ctl, const char *question, struct error *err)
{
	char line[16];

	if (!ctl->is_terminal || args_has(&ctl->args, OPTION_YES))
		return 0;
	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	if (fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y'))
		return 0;
	return error_set(err, E_CLOSED, "not confirmed, nothing was changed");
}

/* Requests --------------------------------------------------------------------------------------------------------- */

int ctl_call(struct ctl *ctl, const struct request *request, struct answer *answer, problem_item_fn *item, void *context,
             struct error *err)
{
	int r = client_call(ctl->client, request, answer, err), told = 0;

	if (r < 0 && answer->document != NULL) {
		problem_put(&ctl->details, answer->document, item, context);
		if (ctl->settings.is_json) {
			buf_reset(&ctl->out);
			told = ctl_put_json(ctl, answer, err);
		}
	}
	return told < 0 ? told : r;
}

void ctl_forget_refusal(struct ctl *ctl, struct error *err)
{
	buf_reset(&ctl->details);
	buf_reset(&ctl->out);
	*err = ERROR_NULL;
}

int ctl_get(struct ctl *ctl, const char *path, struct answer *answer, struct error *err)
{
	const struct request request = {.method = "GET", .path = path};

	return ctl_call(ctl, &request, answer, NULL, NULL, err);
}

void ctl_put_parameter(struct buf *path, const char *name, const char *value)
{
	bool is_first = path->len == 0 || memchr(path->data, '?', path->len) == NULL;

	buf_printf(path, "%c%s=", is_first ? '?' : '&', name);
	client_put_escaped(path, value);
}

bool ctl_waits(const struct ctl *ctl)
{
	const char *wait = args_get(&ctl->args, OPTION_WAIT);

	return wait != NULL && strcmp(wait, "none") != 0 && !args_has(&ctl->args, OPTION_DRY_RUN);
}

void ctl_put_write_query(const struct ctl *ctl, struct buf *path)
{
	const char *wait = args_get(&ctl->args, OPTION_WAIT);
	uint32_t left = client_seconds_left(ctl->client), seconds = left > WAIT_MARGIN ? left - WAIT_MARGIN : 1;
	char number[16];

	if (args_has(&ctl->args, OPTION_STRICT))
		ctl_put_parameter(path, "strict", "true");
	if (args_has(&ctl->args, OPTION_DRY_RUN))
		ctl_put_parameter(path, "dry_run", "true");
	if (!ctl_waits(ctl))
		return;
	snprintf(number, sizeof(number), "%u", seconds < CLIENT_WAIT_MAX ? seconds : CLIENT_WAIT_MAX);
	ctl_put_parameter(path, "wait", wait);
	ctl_put_parameter(path, "timeout", number);
}

/* "team=a,env=prod" into labels. */
static int take_pairs(const char *text, json_t *labels, struct error *err)
{
	while (*text != 0) {
		size_t len = strcspn(text, ","), name = strcspn(text, "=");
		char key[256];
		json_t *value;

		if (name == 0 || name >= len || name >= sizeof(key))
			return error_set(err, E_SYNTAX, "--label: NAME=VALUE with commas between them expected");
		snprintf(key, sizeof(key), "%.*s", (int)name, text);
		value = json_stringn(text + name + 1, len - name - 1);
		if (value == NULL || json_object_set_new(labels, key, value) < 0)
			return error_set(err, E_SYNTAX, "--label: UTF-8 expected");
		text += len + (text[len] == ',');
	}
	return 0;
}

int ctl_take_labels(const struct ctl *ctl, json_t **ret, struct error *err)
{
	json_t *labels = json_object();
	const char *text;
	size_t at = 0;
	int r = labels != NULL ? 0 : error_nomem(err);

	while (r == 0 && (text = args_next(&ctl->args, OPTION_LABEL, &at)) != NULL)
		r = take_pairs(text, labels, err);
	if (r == 0)
		*ret = json_incref(labels);
	json_decref(labels);
	return r;
}
