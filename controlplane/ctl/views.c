/* SPDX-License-Identifier: Apache-2.0 */
/* A column is where its value stands in the document and how it is shown. */
#include "ctl/views.h"

#include "base/error.h"
#include "ctl/text.h"

#include <string.h>
#include <time.h>

#define COLUMNS_MAX 9

struct column {
	const char *heading;
	const char *path; /* "x509.not_after"; with " or " a second place */
	void (*put)(struct buf *out, const json_t *value);
};

struct view {
	const char *collection, *singular;
	struct column columns[COLUMNS_MAX]; /* ends with heading NULL */
};

/* Cells ------------------------------------------------------------------------------------------------------------ */

static void put_count(struct buf *out, const json_t *value)
{
	buf_printf(out, "%zu", json_array_size(value));
}

/* Of `status`: absent is on. */
static void put_status(struct buf *out, const json_t *value)
{
	buf_put_str(out, json_is_integer(value) && json_integer_value(value) == 0 ? "off" : "on");
}

static void put_left(struct buf *out, const json_t *value)
{
	time_t when = text_parse_time(json_string_value(value));
	long long left = (long long)when - (long long)time(NULL);

	if (when < 0)
		buf_put_str(out, "-");
	else if (left < 0)
		buf_printf(out, "ended %lldd ago", -left / 86400);
	else if (left < 2 * 86400)
		buf_printf(out, "%lldh", left / 3600);
	else
		buf_printf(out, "%lldd", left / 86400);
}

static void put_name(struct buf *out, const json_t *value)
{
	if (json_string_length(value) == 0)
		buf_put_str(out, "(no server name)");
	else
		text_put_json(out, value);
}

/* Enough digits to compare by eye. */
static void put_hash(struct buf *out, const json_t *value)
{
	const char *hash = json_string_value(value);

	text_put(out, hash != NULL ? hash : "none", hash != NULL ? strnlen(hash, 16) : 4);
}

/* Of an agent's document: the worst that is known of it. */
static void put_agent_state(struct buf *out, const json_t *agent)
{
	size_t degraded = json_array_size(json_object_get(agent, "degraded"));

	if (json_is_true(json_object_get(agent, "diverged")))
		buf_put_str(out, "diverged");
	else if (!json_is_true(json_object_get(agent, "connected")))
		buf_put_str(out, "away");
	else if (json_is_true(json_object_get(agent, "behind")))
		buf_put_str(out, json_object_get(agent, "last_nack") != NULL ? "refused" : "behind");
	else if (degraded > 0)
		buf_printf(out, "degraded (%zu)", degraded + (size_t)json_integer_value(json_object_get(agent, "degraded_more")));
	else
		buf_put_str(out, "ok");
}

/* Tables ----------------------------------------------------------------------------------------------------------- */

static const struct view views[] = {
    {"ssls", "ssl",
     {{"ID", "id", text_put_json},
      {"NAMES", "snis or sni", text_put_json},
      {"KEY", "x509.key_type", text_put_json},
      {"EXPIRES", "x509.not_after", text_put_time},
      {"STATUS", "status", put_status},
      {"SELECTOR", "selector", text_put_json},
      {"LABELS", "labels", text_put_json}}},
    {"tls_options", "tls_option",
     {{"ID", "id", text_put_json},
      {"MIN", "min_version", text_put_json},
      {"MAX", "max_version", text_put_json},
      {"ALPN", "alpn_protocols", text_put_json},
      {"CLIENTS", "client_auth.verify", text_put_json},
      {"STATUS", "status", put_status},
      {"LABELS", "labels", text_put_json}}},
    {"ca_bundles", "ca_bundle",
     {{"ID", "id", text_put_json},
      {"CERTIFICATES", "x509", put_count},
      {"CRLS", "x509_crls", put_count},
      {"STATUS", "status", put_status},
      {"SELECTOR", "selector", text_put_json},
      {"LABELS", "labels", text_put_json}}},
    {"listeners", "listener",
     {{"ID", "id", text_put_json},
      {"BIND", "bind", text_put_json},
      {"UPSTREAM", "upstream", text_put_json},
      {"TLS OPTIONS", "tls_options", text_put_json},
      {"STATUS", "status", put_status},
      {"SELECTOR", "selector", text_put_json},
      {"LABELS", "labels", text_put_json}}},
    {"upstreams", "upstream",
     {{"ID", "id", text_put_json},
      {"NODES", "nodes", text_put_json},
      {"TLS", "upstream_tls", text_put_json},
      {"STATUS", "status", put_status},
      {"SELECTOR", "selector", text_put_json},
      {"LABELS", "labels", text_put_json}}},
    {"routes", "route",
     {{"ID", "id", text_put_json},
      {"NAMES", "snis", text_put_json},
      {"MODE", "mode", text_put_json},
      {"LISTENERS", "listeners", text_put_json},
      {"UPSTREAM", "upstream", text_put_json},
      {"STATUS", "status", put_status},
      {"SELECTOR", "selector", text_put_json},
      {"LABELS", "labels", text_put_json}}},
    {"upstream_tls", "upstream_tls",
     {{"ID", "id", text_put_json},
      {"VERIFY", "verify", text_put_json},
      {"NAME", "server_name or sni_policy", text_put_json},
      {"CLIENT", "client_ssl", text_put_json},
      {"STATUS", "status", put_status},
      {"LABELS", "labels", text_put_json}}},
    {"agents", "agent",
     {{"ID", "id", text_put_json},
      {"HOST", "hostname", text_put_json},
      {"STATE", "", put_agent_state},
      {"APPLIED", "applied", text_put_json},
      {"LAST SEEN", "last_seen", text_put_time},
      {"CERTIFICATE UNTIL", "certificate_expires", text_put_time},
      {"LABELS", "labels", text_put_json}}},
    {"join_tokens", "join_token",
     {{"ID", "id", text_put_json},
      {"EXPIRES", "expires_at", text_put_time},
      {"USED BY", "used_by", text_put_json},
      {"AGENT ID", "agent_id", text_put_json},
      {"LABELS", "labels", text_put_json},
      {"DESC", "desc", text_put_json}}},
    {"tokens", "token",
     {{"ID", "id", text_put_json},
      {"ROLE", "role", text_put_json},
      {"NAMES", "scope.sni_suffixes", text_put_json},
      {"LABELS", "scope.labels", text_put_json},
      {"EXPIRES", "expires_at", text_put_time},
      {"LAST USED", "last_used_at", text_put_time},
      {"FROM", "last_used_from", text_put_json},
      {"DESC", "desc", text_put_json}}},
    {"revisions", "revision",
     {{"REVISION", "revision", text_put_json},
      {"TIME", "time", text_put_time},
      {"ACTOR", "actor", text_put_json},
      {"FROM", "source", text_put_json},
      {"CHANGES", "changes_total", text_put_json},
      {"WHAT", "summary", text_put_json}}},
};

const struct view view_expiring = {"ssls", "ssl",
                                   {{"ID", "id", text_put_json},
                                    {"NAMES", "snis or sni", text_put_json},
                                    {"EXPIRES", "x509.not_after", text_put_time},
                                    {"LEFT", "x509.not_after", put_left},
                                    {"ISSUER", "x509.issuer", text_put_json}}};

const struct view view_affected = {"", "",
                                   {{"NAME", "sni", put_name},
                                    {"LISTENER", "listener", text_put_json},
                                    {"KEY", "key_type", text_put_json},
                                    {"FROM", "from", put_hash},
                                    {"TO", "to", put_hash},
                                    {"AGENTS", "agents_total", text_put_json}}};

/* "tls-options" for "tls_options". */
static bool is_word(const char *word, const char *name)
{
	for (; *word != 0 && *name != 0; word++, name++) {
		if (*word != *name && !(*word == '-' && *name == '_'))
			return false;
	}
	return *word == *name;
}

const struct view *view_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		if (is_word(word, views[i].collection) || is_word(word, views[i].singular))
			return &views[i];
	}
	return NULL;
}

const char *view_collection(const struct view *view)
{
	return view->collection;
}

void view_each_kind(void (*fn)(struct buf *out, const char *prefix, const char *word, const char *begun), struct buf *out,
                    const char *begun)
{
	for (size_t i = 0; i < ARRAY_LEN(views); i++)
		fn(out, "", views[i].collection, begun);
}

/* The value at a dotted path; "": the document itself. */
static const json_t *value_at(const json_t *document, const char *path, size_t len)
{
	char name[32];

	while (len > 0) {
		size_t step = 0;

		while (step < len && path[step] != '.' && step + 1 < sizeof(name)) {
			name[step] = path[step];
			step++;
		}
		name[step] = 0;
		document = json_object_get(document, name);
		step += step < len;
		path += step;
		len -= step;
	}
	return document;
}

static const json_t *find_value(const json_t *document, const char *path)
{
	const char *or = strstr(path, " or ");
	const json_t *value = value_at(document, path, or != NULL ? (size_t)(or - path) : strlen(path));

	return value == NULL && or != NULL ? value_at(document, or + 4, strlen(or + 4)) : value;
}

struct table view_begin(const struct view *view)
{
	struct table table = TABLE(0);

	while (table.columns < COLUMNS_MAX && view->columns[table.columns].heading != NULL)
		table.columns++;
	for (size_t i = 0; i < table.columns; i++)
		table_put_cstr(&table, view->columns[i].heading);
	return table;
}

int view_put_row(const struct view *view, struct table *table, const json_t *item, struct error *err)
{
	struct buf cell = BUF_NULL;

	for (size_t i = 0; i < table->columns; i++) {
		buf_reset(&cell);
		view->columns[i].put(&cell, find_value(item, view->columns[i].path));
		table_put(table, &cell);
	}
	buf_deinit(&cell);
	return table->cells.failed ? error_nomem(err) : 0;
}
