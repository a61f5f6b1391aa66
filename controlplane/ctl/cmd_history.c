/* SPDX-License-Identifier: Apache-2.0 */
/* diff of revisions, rollback, watch. A rollback shows what it would do first, and is bound by If-Match to the revision that was
 * newest then: if somebody else was faster, nothing is done. */
#include "ctl/commands.h"

#include "ctl/changes.h"
#include "ctl/pages.h"
#include "ctl/text.h"
#include "ctl/views.h"
#include "model/kind.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_SECONDS 60

/* Differences ------------------------------------------------------------------------------------------------------- */

struct differences {
	struct ctl *ctl;
	json_t *items;      /* -o json: they are kept instead of told */
	bool configuration; /* the kinds of apply alone */
	const json_t *only; /* array of {kind, id}; NULL: all */
	size_t count;
};

static bool is_among(const json_t *only, const char *kind, const char *id)
{
	size_t index;
	json_t *object;

	json_array_foreach(only, index, object) {
		if (strcmp(json_string_value(json_object_get(object, "kind")), kind) == 0 &&
		    strcmp(json_string_value(json_object_get(object, "id")), id) == 0)
			return true;
	}
	return only == NULL;
}

static int on_difference(json_t *item, void *context, struct error *err)
{
	struct differences *differences = context;
	const char *kind = json_string_value(json_object_get(item, "kind")), *id = json_string_value(json_object_get(item, "id"));
	const struct kind_info *info = kind != NULL ? kind_find_collection(kind) : NULL;

	if (kind == NULL || id == NULL || !is_among(differences->only, kind, id) ||
	    (differences->configuration && (info == NULL || !info->travels)))
		return 0;
	differences->count++;
	if (differences->items != NULL)
		return json_array_append(differences->items, item) == 0 ? 0 : error_nomem(err);
	changes_put(&differences->ctl->out, kind, id, json_object_get(item, "before"), json_object_get(item, "after"));
	return 0;
}

static int check_revision(const char *text, struct error *err)
{
	size_t digits = strspn(text, "0123456789"), more = text[digits] == '-' ? strspn(text + digits + 1, "0123456789") : 0;

	if (digits > 0 && text[digits] == 0)
		return 0;
	if (digits > 0 && more > 0 && text[digits + 1 + more] == 0)
		return 0;
	return error_set(err, E_SYNTAX, "%.64s: a revision is written NUMBER or EPOCH-NUMBER", text);
}

/* From `against` (NULL: the one before) to `revision`. *ret_frame: "from" and "to" as the API has them; new reference, may be NULL. */
static int walk_differences(struct ctl *ctl, const char *revision, const char *against, struct differences *differences,
                            json_t **ret_frame, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	struct page_walk walk = {.on_item = on_difference, .context = differences};
	int r;

	buf_printf(&path, "/v1/revisions/%s/diff", revision);
	if (against != NULL)
		ctl_put_parameter(&path, "against", against);
	walk.path = buf_cstr(&path);
	if (walk.path == NULL)
		return error_nomem(err);
	r = pages_walk(ctl, &walk, err);
	*ret_frame = walk.frame;
	return r;
}

static int put_differences(struct ctl *ctl, const struct differences *differences, json_t *frame, struct error *err)
{
	json_t *document;
	int r;

	if (differences->items == NULL) {
		buf_printf(&ctl->out, "%zu object%s changed from ", differences->count, differences->count == 1 ? "" : "s");
		text_put_json(&ctl->out, json_object_get(frame, "from"));
		buf_put_str(&ctl->out, " to ");
		text_put_json(&ctl->out, json_object_get(frame, "to"));
		buf_put_str(&ctl->out, "\n");
		return 0;
	}
	document = json_pack("{s:O, s:O, s:O, s:n}", "from", json_object_get(frame, "from"), "to", json_object_get(frame, "to"), "items",
	                     differences->items, "next");
	r = document != NULL ? ctl_put_document(ctl, document, err) : error_nomem(err);
	json_decref(document);
	return r;
}

/* REVISION: what it changed. FROM TO: what changed between. */
int diff_revisions_run(struct ctl *ctl, struct error *err)
{
	const char *to = ctl->words[ctl->words_len - 1], *from = ctl->words_len > 1 ? ctl->words[0] : NULL;
	struct differences differences = {.ctl = ctl, .items = ctl->settings.is_json ? json_array() : NULL};
	json_t *frame = NULL;
	int r = check_revision(to, err);

	for (size_t i = 0; i < ctl->args.given_len && r == 0; i++) {
		if (ctl->args.given[i].option >= OPTION_FILE)
			r = error_set(err, E_SYNTAX, "--%s is for diff -f", option_table[ctl->args.given[i].option].name);
	}
	if (r == 0 && from != NULL)
		r = check_revision(from, err);
	if (r == 0)
		r = walk_differences(ctl, to, from, &differences, &frame, err);
	if (r == 0)
		r = put_differences(ctl, &differences, frame, err);
	json_decref(frame);
	json_decref(differences.items);
	return r == 0 && differences.count > 0 ? CTL_DIFFERENT : r;
}

/* Rollback ---------------------------------------------------------------------------------------------------------- */

/* "ssls/shop" -> {"kind": "ssls", "id": "shop"}. */
static int take_object(const char *word, json_t *objects, struct error *err)
{
	const char *slash = strchr(word, '/');
	const struct kind_info *info;
	char kind[32];
	json_t *object;

	snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(word, "/"), word);
	info = kind_find_collection(kind);
	if (slash == NULL || info == NULL || !info->travels || !kind_is_id(slash + 1, strlen(slash + 1)))
		return error_set(err, E_SYNTAX, "%.100s: KIND/ID is expected, as in ssls/shop", word);
	object = json_pack("{s:s, s:s}", "kind", kind, "id", slash + 1);
	return json_array_append_new(objects, object) == 0 ? 0 : error_nomem(err);
}

static int take_objects(struct ctl *ctl, json_t **ret, struct error *err)
{
	json_t *objects = ctl->words_len > 1 ? json_array() : NULL;
	int r = 0;

	for (size_t i = 1; i < ctl->words_len && r == 0; i++)
		r = objects != NULL ? take_object(ctl->words[i], objects, err) : error_nomem(err);
	if (r == 0)
		*ret = json_incref(objects);
	json_decref(objects);
	return r;
}

/* The newest revision, and its ETag. */
static int read_head(struct ctl *ctl, struct answer *answer, struct error *err)
{
	int r = ctl_get(ctl, "/v1/revisions?limit=1", answer, err);

	if (r == 0 && (answer->revision[0] == 0 || answer->etag[0] == 0))
		return error_set(err, E_REFUSED, "the control plane does not say which revision is the newest");
	return r;
}

static int show(struct ctl *ctl, const char *head, const json_t *objects, size_t *ret_count, struct error *err)
{
	struct differences differences = {.ctl = ctl, .configuration = true, .only = objects};
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	json_t *frame = NULL;
	int r = walk_differences(ctl, ctl->words[0], head, &differences, &frame, err);

	json_decref(frame);
	if (r < 0)
		return r;
	*ret_count = differences.count;
	buf_printf(&ctl->out, "%zu object%s to change\n", differences.count, differences.count == 1 ? "" : "s");
	if (!ctl->settings.is_json)
		return ctl_flush(ctl, err);
	text = ctl->out;
	ctl->out = BUF_NULL;
	ctl_say(&text);
	return 0;
}

static int roll_back(struct ctl *ctl, const char *etag, json_t *objects, struct answer *answer, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	json_t *document = json_pack("{s:O*}", "objects", objects);
	char *body = json_dumps(document, JSON_COMPACT), key[CLIENT_KEY_LEN + 1];
	struct request request = {.method = "POST", .content_type = "application/json", .if_match = etag, .key = key};
	int r = body != NULL ? client_make_key(key, err) : error_nomem(err);

	client_extend(ctl->client, 0); /* thinking took its time */
	buf_printf(&path, "/v1/revisions/%s/rollback", ctl->words[0]);
	ctl_put_write_query(ctl, &path);
	request.path = buf_cstr(&path);
	if (r == 0 && request.path == NULL)
		r = error_nomem(err);
	if (r == 0) {
		request.body = BYTES(body, strlen(body));
		r = ctl_call(ctl, &request, answer, NULL, NULL, err);
	}
	json_decref(document);
	free(body);
	return r;
}

int rollback_run(struct ctl *ctl, struct error *err)
{
	CLEANUP(answer_deinit) struct answer head = {0}, answer = {0};
	json_t *objects = NULL;
	size_t count = 0;
	int r = check_revision(ctl->words[0], err);

	if (r == 0)
		r = take_objects(ctl, &objects, err);
	if (r == 0)
		r = read_head(ctl, &head, err);
	if (r == 0)
		r = show(ctl, head.revision, objects, &count, err);
	if (r == 0 && count > 0 && !args_has(&ctl->args, OPTION_DRY_RUN))
		r = ctl_confirm(ctl, "Roll back?", err);
	if (r == 0)
		r = roll_back(ctl, head.etag, objects, &answer, err);
	if (r == 0)
		r = ctl_put_applied(ctl, &answer, NULL, NULL, err);
	json_decref(objects);
	return r;
}

/* Watching ---------------------------------------------------------------------------------------------------------- */

static int tell_revisions(struct ctl *ctl, const json_t *items, char after[64], struct error *err)
{
	static const char *const members[] = {"revision", "time", "actor", "summary"};
	size_t index;
	json_t *item;

	json_array_foreach(items, index, item) {
		const char *revision = json_string_value(json_object_get(item, "revision"));

		if (revision == NULL)
			return error_set(err, E_REFUSED, "the control plane lists something that is no revision");
		snprintf(after, 64, "%s", revision);
		if (ctl->settings.is_json) {
			if (ctl_put_document(ctl, item, err) < 0)
				return err->code;
			continue;
		}
		for (size_t i = 0; i < ARRAY_LEN(members); i++) {
			buf_put_str(&ctl->out, i > 0 ? "  " : "");
			if (strcmp(members[i], "time") == 0)
				text_put_time(&ctl->out, json_object_get(item, members[i]));
			else
				text_put_json(&ctl->out, json_object_get(item, members[i]));
		}
		buf_put_str(&ctl->out, "\n");
	}
	return ctl_flush(ctl, err);
}

int watch_run(struct ctl *ctl, struct error *err)
{
	CLEANUP(answer_deinit) struct answer answer = {0};
	const char *begin = args_get(&ctl->args, OPTION_AFTER);
	char after[64], path[160];
	int r = begin != NULL ? check_revision(begin, err) : read_head(ctl, &answer, err);

	snprintf(after, sizeof(after), "%s", begin != NULL ? begin : answer.revision);
	while (r == 0) {
		client_extend(ctl->client, POLL_SECONDS); /* each poll has the time of --timeout besides */
		snprintf(path, sizeof(path), "/v1/revisions?after=%s&wait=%ds", after, POLL_SECONDS);
		r = ctl_get(ctl, path, &answer, err);
		if (r == 0)
			r = tell_revisions(ctl, json_object_get(answer.document, "items"), after, err);
	}
	return r;
}
