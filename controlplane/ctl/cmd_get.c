/* SPDX-License-Identifier: Apache-2.0 */
/* get, agents, resolve, expiring: reading. */
#include "ctl/commands.h"

#include "ctl/pages.h"
#include "ctl/text.h"
#include "ctl/views.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lists ------------------------------------------------------------------------------------------------------------ */

struct listing {
	const struct view *view;
	struct table table;
	json_t *items; /* -o json: the items instead */
};

static int on_item(json_t *item, void *context, struct error *err)
{
	struct listing *listing = context;

	if (listing->items == NULL)
		return view_put_row(listing->view, &listing->table, item, err);
	return json_array_append(listing->items, item) == 0 ? 0 : error_nomem(err);
}

/* As one page of the API: its members, the items first. */
static int put_whole(struct ctl *ctl, const struct listing *listing, json_t *frame, struct error *err)
{
	json_t *document = json_pack("{s:O}", "items", listing->items);
	int r = document == NULL || json_object_update(document, frame) < 0 ? error_nomem(err) : ctl_put_document(ctl, document, err);

	json_decref(document);
	return r;
}

static int list(struct ctl *ctl, const struct view *view, struct buf *path, struct error *err)
{
	struct listing listing = {.view = view, .table = view_begin(view), .items = ctl->settings.is_json ? json_array() : NULL};
	struct page_walk walk = {.path = buf_cstr(path), .on_item = on_item, .context = &listing};
	uint32_t limit = 0;
	int r = args_get_number(&ctl->args, OPTION_LIMIT, 1, UINT32_MAX, &limit, err);

	walk.limit = limit;
	if (r == 0 && walk.path == NULL)
		r = error_nomem(err);
	if (r == 0)
		r = pages_walk(ctl, &walk, err);
	if (r == 0 && listing.items != NULL)
		r = put_whole(ctl, &listing, walk.frame, err);
	else if (r == 0 && table_print(&listing.table, &ctl->out) < 0)
		r = error_nomem(err);
	json_decref(walk.frame);
	json_decref(listing.items);
	table_deinit(&listing.table);
	return r;
}

int list_run(struct ctl *ctl, const char *word, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	const struct view *view = view_find(word);

	buf_printf(&path, "/v1/%s", view_collection(view));
	return list(ctl, view, &path, err);
}

/* One -------------------------------------------------------------------------------------------------------------- */

static int show(struct ctl *ctl, const char *path, struct error *err)
{
	CLEANUP(answer_deinit) struct answer answer = {0};
	int r = ctl_get(ctl, path, &answer, err);

	if (r < 0)
		return r;
	if (ctl->settings.is_json)
		return ctl_put_json(ctl, &answer, err);
	text_put_lines(&ctl->out, answer.document, 0);
	return 0;
}

static int show_one(struct ctl *ctl, const struct view *view, const char *id, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;

	buf_printf(&path, "/v1/%s/", view_collection(view));
	client_put_escaped(&path, id);
	return buf_cstr(&path) != NULL ? show(ctl, (const char *)path.data, err) : error_nomem(err);
}

/* Commands --------------------------------------------------------------------------------------------------------- */

static void put_filters(struct ctl *ctl, struct buf *path)
{
	static const struct {
		enum option option;
		const char *parameter;
	} rows[] = {
	    {OPTION_SNI, "sni"},       {OPTION_TYPE, "type"},
	    {OPTION_STATUS, "status"}, {OPTION_EXPIRES_BEFORE, "expires_before"},
	    {OPTION_ISSUER, "issuer"}, {OPTION_FINGERPRINT, "fingerprint"},
	    {OPTION_SORT, "sort"},     {OPTION_KEY_TYPE, "key_type"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (args_has(&ctl->args, rows[i].option))
			ctl_put_parameter(path, rows[i].parameter, args_get(&ctl->args, rows[i].option));
	}
}

/* The API takes a label without a value too. */
static void put_labels(struct ctl *ctl, struct buf *path)
{
	const char *text;
	char pair[512];
	size_t at = 0;

	while ((text = args_next(&ctl->args, OPTION_LABEL, &at)) != NULL) {
		while (*text != 0) {
			size_t len = strcspn(text, ",");

			snprintf(pair, sizeof(pair), "%.*s", (int)len, text);
			ctl_put_parameter(path, "label", pair);
			text += len + (text[len] == ',');
		}
	}
}

static const struct view *find_view(const char *word, struct error *err)
{
	const struct view *view = view_find(word);

	if (view == NULL)
		(void)error_set(err, E_SYNTAX, "no kind %.64s: ssls, tls_options, ca_bundles, listeners, upstreams, routes, upstream_tls, "
		                               "agents, join_tokens, tokens, revisions", word);
	return view;
}

int get_run(struct ctl *ctl, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	char word[32];
	const char *slash = strchr(ctl->words[0], '/'), *id = ctl->words_len > 1 ? ctl->words[1] : slash != NULL ? slash + 1 : NULL;
	const struct view *view;

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(ctl->words[0], "/"), ctl->words[0]);
	view = find_view(word, err);
	if (view == NULL)
		return err->code;
	if (id != NULL)
		return show_one(ctl, view, id, err);
	buf_printf(&path, "/v1/%s", view_collection(view));
	put_filters(ctl, &path);
	put_labels(ctl, &path);
	return list(ctl, view, &path, err);
}

int agents_run(struct ctl *ctl, struct error *err)
{
	return ctl->words_len > 0 ? show_one(ctl, view_find("agents"), ctl->words[0], err) : list_run(ctl, "agents", err);
}

int expiring_run(struct ctl *ctl, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;

	buf_put_str(&path, "/v1/ssls");
	ctl_put_parameter(&path, "expires_before", ctl->words_len > 0 ? ctl->words[0] : "30d");
	ctl_put_parameter(&path, "sort", "expiry");
	put_labels(ctl, &path);
	return list(ctl, &view_expiring, &path, err);
}

int resolve_run(struct ctl *ctl, struct error *err)
{
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;

	buf_put_str(&path, "/v1/resolve");
	ctl_put_parameter(&path, "agent", ctl->words[0]);
	ctl_put_parameter(&path, "listener", ctl->words[1]);
	if (ctl->words_len > 2)
		ctl_put_parameter(&path, "sni", ctl->words[2]);
	if (args_has(&ctl->args, OPTION_ALPN))
		ctl_put_parameter(&path, "alpn", args_get(&ctl->args, OPTION_ALPN));
	if (args_has(&ctl->args, OPTION_CLIENT_IP))
		ctl_put_parameter(&path, "client_ip", args_get(&ctl->args, OPTION_CLIENT_IP));
	return buf_cstr(&path) != NULL ? show(ctl, (const char *)path.data, err) : error_nomem(err);
}
