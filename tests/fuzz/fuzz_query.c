/* SPDX-License-Identifier: Apache-2.0 */
/* The query of a request, from its bytes to what the store is asked: the first byte says what the route takes. Cursors and revisions that
 * are taken are written as they were. */
#include "api/filter.h"
#include "api/query.h"
#include "http/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum query_set sets[] = {
	QUERY_NONE, QUERY_WRITE, QUERY_WRITE | QUERY_PURGE, QUERY_PAGE, QUERY_PAGE | QUERY_LIST, QUERY_PAGE | QUERY_LIST | QUERY_SSLS,
	QUERY_PAGE | QUERY_HISTORY, QUERY_DIFF, QUERY_AUDIT, QUERY_RESOLVE};

static void check_cursor(const struct query *query)
{
	char text[QUERY_CURSOR_MAX];
	struct query_parameter parameter = {"cursor", text};
	struct findings findings = FINDINGS_NULL;
	struct query again;

	if (query->cursor.revision.number == 0)
		return;
	query_format_cursor(&query->cursor, text);
	if (query_parse(&parameter, 1, QUERY_PAGE, &findings, &again, NULL) < 0 || strcmp(again.cursor.after, query->cursor.after) != 0 ||
	    again.cursor.revision.number != query->cursor.revision.number || again.cursor.revision.epoch != query->cursor.revision.epoch)
		abort();
	findings_deinit(&findings);
}

static void ask(const struct query *query)
{
	struct error err = ERROR_NULL;
	struct filter filter;

	check_cursor(query);
	(void)filter_leaves_out(query);
	if (filter_is_needed(query, NULL) && filter_make(query, &filter, &err) == 0)
		(void)!filter_read_place(query->cursor.after, &filter.lister, &err);
}

static void check_revision(const char *text)
{
	struct revision revision, again;
	char written[QUERY_REVISION_MAX];

	(void)query_has_etag(text, "\"1-2\"");
	if (query_parse_revision(text, &revision, NULL) < 0)
		return;
	query_format_revision(revision, written);
	if (revision.epoch > 0 && (query_parse_revision(written, &again, NULL) < 0 || again.number != revision.number))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(target_deinit) struct target target = {0};
	struct query_parameter parameters[TARGET_PARAMETERS_MAX];
	struct findings findings = FINDINGS_NULL;
	struct error err = ERROR_NULL;
	struct query query;
	char *text = NULL;

	if (size == 0 || asprintf(&text, "/x?%.*s", (int)size - 1, (const char *)data + 1) < 0)
		return 0;
	check_revision(text + 3);
	if (target_parse(text, &target, &err) == 0) {
		for (size_t i = 0; i < target.parameters_len; i++)
			parameters[i] = (struct query_parameter){target.parameters[i].name, target.parameters[i].value};
		if (query_parse(parameters, target.parameters_len, sets[data[0] % ARRAY_LEN(sets)], &findings, &query, &err) == 0)
			ask(&query);
		else if (findings.errors == 0)
			abort();
	}
	findings_deinit(&findings);
	free(text);
	return 0;
}
