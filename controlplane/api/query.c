/* SPDX-License-Identifier: Apache-2.0 */
/* A parameter is a row: name, who takes it, its parser. What no row knows is an error: a misspelt "stict=true" must not
 * pass. */
#include "api/query_rows.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Decimal digits alone, behind *text; *text moves on. At most what the store holds: beyond, its numbers are negative. */
static bool take_number(const char **text, uint64_t *ret)
{
	char *end;

	errno = 0;
	if (!isdigit((unsigned char)**text))
		return false;
	*ret = strtoull(*text, &end, 10);
	*text = end;
	return errno == 0 && *ret <= INT64_MAX;
}

static bool parse_between(const char *value, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t number;

	if (!take_number(&value, &number) || *value != 0 || number < min || number > max)
		return false;
	*ret = (uint32_t)number;
	return true;
}

static const char *parse_strict(const char *value, struct query *query)
{
	query->strict = strcmp(value, "true") == 0;
	return query->strict || strcmp(value, "false") == 0 ? NULL : "true or false";
}

static const char *parse_dry_run(const char *value, struct query *query)
{
	query->dry_run = strcmp(value, "true") == 0;
	return query->dry_run || strcmp(value, "false") == 0 ? NULL : "true or false";
}

static const char *parse_purge(const char *value, struct query *query)
{
	query->purge_keys = true;
	return strcmp(value, "keys") == 0 ? NULL : "keys";
}

static const char *parse_wait(const char *value, struct query *query)
{
	query->wait = true;
	query->served = strcmp(value, "served") == 0;
	return query->served || strcmp(value, "acked") == 0 ? NULL : "acked or served";
}

static const char *parse_timeout(const char *value, struct query *query)
{
	return parse_between(value, 1, QUERY_WAIT_SECONDS_MAX, &query->timeout_seconds) ? NULL : "seconds from 1 to 300";
}

static const char *parse_limit(const char *value, struct query *query)
{
	return parse_between(value, 1, QUERY_LIMIT_MAX, &query->limit) ? NULL : "a number from 1 to 500";
}

/* Letters of ids: the parts of a cursor are checked by whose list it is. */
static bool is_place(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && strchr("_.-", text[i]) == NULL)
			return false;
	}
	return len > 0 && len <= QUERY_AFTER_MAX && text[0] != '.' && text[0] != '-';
}

static const char *parse_cursor(const char *value, struct query *query)
{
	static const char expected[] = "the \"next\" of an earlier page";
	struct query_cursor *cursor = &query->cursor;

	if (!take_number(&value, &cursor->revision.epoch) || *value++ != '-' ||
	    !take_number(&value, &cursor->revision.number) || *value++ != '-' || !is_place(value))
		return expected;
	snprintf(cursor->after, sizeof(cursor->after), "%s", value);
	return NULL;
}

static const char *parse_id(const char *value, char id[ID_MAX + 1])
{
	if (!kind_is_id(value, strlen(value)))
		return "an id";
	snprintf(id, ID_MAX + 1, "%s", value);
	return NULL;
}

static const char *parse_agent(const char *value, struct query *query)
{
	return parse_id(value, query->handshake.agent);
}

static const char *parse_listener(const char *value, struct query *query)
{
	return parse_id(value, query->handshake.listener);
}

/* Any bytes at all: what a client may send is to be explained, not refused here. */
static const char *parse_sni(const char *value, struct query *query)
{
	if (value[0] == 0 || strlen(value) > QUERY_SNI_MAX)
		return "1 to 512 bytes; leave it out for a client that sends no server name";
	snprintf(query->handshake.sni, sizeof(query->handshake.sni), "%s", value);
	return NULL;
}

static bool is_protocol(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)text[i]))
			return false;
	}
	return len > 0 && len <= 255;
}

static const char *parse_alpn(const char *value, struct query *query)
{
	static const char expected[] = "at most 16 protocol names with commas between them, as in h2,http/1.1";
	struct query_handshake *handshake = &query->handshake;
	char *rest = handshake->alpn_text, *name;

	if (strlen(value) > QUERY_SNI_MAX)
		return expected;
	memcpy(handshake->alpn_text, value, strlen(value) + 1);
	while ((name = strsep(&rest, ",")) != NULL) {
		if (!is_protocol(name) || handshake->alpn_len == QUERY_ALPN_MAX)
			return expected;
		handshake->alpn[handshake->alpn_len++] = (uint16_t)(name - handshake->alpn_text);
	}
	return NULL;
}

static const char *parse_client_ip(const char *value, struct query *query)
{
	return ip_parse(value, &query->handshake.client_ip) == 0 ? NULL : "an IP address";
}

static const char *parse_actor(const char *value, struct query *query)
{
	return parse_id(value, query->history.actor);
}

static const char *parse_kind(const char *value, struct query *query)
{
	const struct kind_info *info = kind_find_collection(value);

	if (info == NULL)
		return "the name of a collection, as in ssls";
	query->history.kind = info->kind;
	return NULL;
}

static const char *parse_object_id(const char *value, struct query *query)
{
	return parse_id(value, query->history.id);
}

static const char *parse_after(const char *value, struct query *query)
{
	query->history.has_after = true;
	return query_parse_revision(value, &query->history.after, NULL) == 0 ? NULL : "a revision: EPOCH-NUMBER or NUMBER";
}

/* "30" or "30s". */
static const char *parse_poll(const char *value, struct query *query)
{
	char digits[12];
	size_t len = strlen(value);

	if (len > 1 && value[len - 1] == 's')
		len--;
	snprintf(digits, sizeof(digits), "%.*s", (int)(len < sizeof(digits) ? len : sizeof(digits) - 1), value);
	query->history.waits = true;
	return parse_between(digits, 0, QUERY_WAIT_SECONDS_MAX, &query->history.wait_seconds) ? NULL : "seconds from 0 to 300, as in 30s";
}

static const char *parse_against(const char *value, struct query *query)
{
	query->history.has_against = true;
	return query_parse_revision(value, &query->history.against, NULL) == 0 ? NULL : "a revision: EPOCH-NUMBER or NUMBER";
}

static const char *parse_row(const char *value, struct query *query)
{
	return take_number(&value, &query->audit.after) && *value == 0 ? NULL : "the \"row\" of an earlier one";
}

static const char *parse_audit_actor(const char *value, struct query *query)
{
	return parse_id(value, query->audit.actor);
}

static const char *parse_outcome(const char *value, struct query *query)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
	size_t len = strlen(value);

	if (len == 0 || len >= sizeof(query->audit.outcome) || strspn(value, letters) != len)
		return "ok, unchanged, or the name of an error, as in forbidden";
	memcpy(query->audit.outcome, value, len + 1);
	return NULL;
}

/* Unix seconds, or RFC 3339 in UTC. */
const char *query_parse_moment(const char *value, uint64_t *ret)
{
	struct tm parts = {0};
	const char *rest = value, *end;

	if (take_number(&rest, ret) && *rest == 0)
		return NULL;
	end = strptime(value, "%Y-%m-%dT%H:%M:%S", &parts);
	if (end == NULL || strcmp(end, "Z") != 0 || parts.tm_year < 70)
		return "unix seconds, or a time as in 2026-11-21T08:00:00Z";
	*ret = (uint64_t)timegm(&parts);
	return NULL;
}

static const char *parse_since(const char *value, struct query *query)
{
	return query_parse_moment(value, &query->audit.since);
}

static const char *parse_until(const char *value, struct query *query)
{
	return query_parse_moment(value, &query->audit.until);
}

static const char *parse_audit_limit(const char *value, struct query *query)
{
	return parse_between(value, 1, QUERY_AUDIT_MAX, &query->audit.limit) ? NULL : "a number from 1 to 10000";
}

static const struct parameter_row parameter_rows[] = {
    {"after", QUERY_AUDIT, parse_row},       {"actor", QUERY_AUDIT, parse_audit_actor},
    {"outcome", QUERY_AUDIT, parse_outcome}, {"since", QUERY_AUDIT, parse_since},
    {"until", QUERY_AUDIT, parse_until},     {"limit", QUERY_AUDIT, parse_audit_limit},
    {"actor", QUERY_HISTORY, parse_actor},   {"kind", QUERY_HISTORY, parse_kind},
    {"id", QUERY_HISTORY, parse_object_id},  {"after", QUERY_HISTORY, parse_after},
    {"wait", QUERY_HISTORY, parse_poll},     {"against", QUERY_DIFF, parse_against},
    {"strict", QUERY_WRITE, parse_strict},   {"wait", QUERY_WRITE, parse_wait},
    {"dry_run", QUERY_WRITE, parse_dry_run}, {"purge", QUERY_PURGE, parse_purge},
    {"timeout", QUERY_WRITE, parse_timeout}, {"limit", QUERY_PAGE, parse_limit},
    {"cursor", QUERY_PAGE, parse_cursor},    {"agent", QUERY_RESOLVE, parse_agent},
    {"listener", QUERY_RESOLVE, parse_listener}, {"sni", QUERY_RESOLVE, parse_sni},
    {"alpn", QUERY_RESOLVE, parse_alpn},     {"client_ip", QUERY_RESOLVE, parse_client_ip},
};

static const struct parameter_row *find_row(const char *name, enum query_set takes)
{
	for (size_t i = 0; i < ARRAY_LEN(parameter_rows); i++) {
		if ((parameter_rows[i].takes & takes) && strcmp(parameter_rows[i].name, name) == 0)
			return &parameter_rows[i];
	}
	for (size_t i = 0; i < query_filter_rows_len; i++) {
		if ((query_filter_rows[i].takes & takes) && strcmp(query_filter_rows[i].name, name) == 0)
			return &query_filter_rows[i];
	}
	return NULL;
}

static bool is_repeated(const struct query_parameter *parameters, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (strcmp(parameters[i].name, parameters[index].name) == 0)
			return true;
	}
	return false;
}

/* Names come from the client: cut and stripped of what is not plain. */
static void quote(const char *name, char text[33])
{
	snprintf(text, 33, "%.32s", name);
	for (; *text != 0; text++) {
		if (!isalnum((unsigned char)*text) && strchr("_.-", *text) == NULL)
			*text = '?';
	}
}

static bool is_given(const struct query_parameter *parameters, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(parameters[i].name, name) == 0)
			return true;
	}
	return false;
}

static void find_missing(const struct query_parameter *parameters, size_t count, enum query_set takes, struct findings *findings)
{
	static const char *const required[] = {"agent", "listener"};

	for (size_t i = 0; (takes & QUERY_RESOLVE) && i < ARRAY_LEN(required); i++) {
		if (!is_given(parameters, count, required[i]))
			findings_add(findings, FINDING_ERROR, "missing-parameter", "", "query parameter \"%s\" is required here",
			             required[i]);
	}
}

/* What does not go together. */
static void find_misfits(const struct query *query, struct findings *findings)
{
	const struct query_history *history = &query->history;

	if ((history->kind != 0) != (history->id[0] != 0))
		findings_add(findings, FINDING_ERROR, "bad-parameter", "", "query parameters \"kind\" and \"id\" go together");
	if (history->has_after && (history->kind != 0 || query->cursor.revision.number != 0))
		findings_add(findings, FINDING_ERROR, "bad-parameter", "",
		             "query parameter \"after\" goes with neither \"cursor\" nor \"kind\" and \"id\"");
	if (history->waits && (!history->has_after || history->actor[0] != 0))
		findings_add(findings, FINDING_ERROR, "bad-parameter", "",
		             "query parameter \"wait\" is for \"after\", without \"actor\"");
}

int query_parse(const struct query_parameter *parameters, size_t count, enum query_set takes, struct findings *findings,
                struct query *ret, struct error *err)
{
	struct query query = {.limit = QUERY_LIMIT};
	const struct parameter_row *row;
	const char *expected;
	char name[33];

	for (size_t i = 0; i < count; i++) {
		quote(parameters[i].name, name);
		row = find_row(parameters[i].name, takes);
		expected = row != NULL ? row->parse(parameters[i].value, &query) : NULL;
		if (row == NULL)
			findings_add(findings, FINDING_ERROR, "unknown-parameter", "", "query parameter \"%s\" is unknown here",
			             name);
		else if (!row->repeats && is_repeated(parameters, i))
			findings_add(findings, FINDING_ERROR, "repeated-parameter", "", "query parameter \"%s\" is given twice",
			             name);
		else if (expected != NULL)
			findings_add(findings, FINDING_ERROR, "bad-parameter", "", "query parameter \"%s\": expected %s", name,
			             expected);
	}
	find_missing(parameters, count, takes, findings);
	find_misfits(&query, findings);
	if (query.dry_run && query.wait)
		findings_add(findings, FINDING_ERROR, "bad-parameter", "",
		             "query parameter \"wait\" does not go with \"dry_run\": nothing will happen to wait for");
	if (query.timeout_seconds > 0 && !query.wait)
		findings_add(findings, FINDING_ERROR, "bad-parameter", "",
		             "query parameter \"timeout\" is for \"wait\", which is not given");
	if (query.timeout_seconds == 0)
		query.timeout_seconds = QUERY_WAIT_SECONDS;
	if (findings->failed)
		return error_nomem(err);
	if (findings->errors > 0)
		return error_set(err, E_SYNTAX, "bad query parameters");
	*ret = query;
	return 0;
}

void query_format_cursor(const struct query_cursor *cursor, char text[QUERY_CURSOR_MAX])
{
	snprintf(text, QUERY_CURSOR_MAX, "%" PRIu64 "-%" PRIu64 "-%s", cursor->revision.epoch, cursor->revision.number,
	         cursor->after);
}

void query_format_revision(struct revision revision, char text[QUERY_REVISION_MAX])
{
	snprintf(text, QUERY_REVISION_MAX, "%" PRIu64 "-%" PRIu64, revision.epoch, revision.number);
}

int query_parse_revision(const char *text, struct revision *ret, struct error *err)
{
	struct revision revision = {0};
	bool ok = take_number(&text, &revision.number);

	if (ok && *text == '-') {
		text++;
		revision.epoch = revision.number;
		ok = take_number(&text, &revision.number);
	}
	if (!ok || *text != 0)
		return error_set(err, E_SYNTAX, "a revision is written EPOCH-NUMBER or NUMBER");
	*ret = revision;
	return 0;
}

int query_make_id(uint64_t unix_ms, char id[ID_MAX + 1], struct error *err)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	uint8_t raw[16];
	unsigned bits = 0, have = 0;
	size_t len = 0;

	for (int i = 0; i < 6; i++)
		raw[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
	if (getrandom(raw + 6, sizeof(raw) - 6, 0) != sizeof(raw) - 6)
		return error_set(err, E_IO, "getrandom: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(raw); i++) {
		bits = (bits << 8 | raw[i]) & 0xfff;
		for (have += 8; have >= 5; have -= 5)
			id[len++] = digits[bits >> (have - 5) & 31];
	}
	id[len++] = digits[bits << (5 - have) & 31];
	id[len] = 0;
	return 0;
}

bool query_has_etag(const char *list, const char *etag)
{
	size_t len = strlen(etag);

	while (*list != 0) {
		list += strspn(list, " \t,");
		if (*list == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, etag, len) == 0)
			return true;
		list += *list == '"' ? 1 + strcspn(list + 1, "\"") : strcspn(list, ",");
		list += *list == '"';
	}
	return false;
}
