/* SPDX-License-Identifier: Apache-2.0 */
#include "api/overtaken.h"

#include "api/query.h"
#include "store/store_history.h"

#define LOOKS_MAX 1000
#define TOLD_MAX 20

struct search {
	struct store_reader *reader;
	struct revision written;
	json_t *found; /* owned; NULL: none yet */
	struct error *err;
};

static int tell(struct search *search, const struct store_change *change, uint64_t number)
{
	char text[QUERY_REVISION_MAX];

	query_format_revision((struct revision){search->written.epoch, number}, text);
	if (search->found == NULL)
		search->found = json_array();
	if (json_array_append_new(search->found, json_pack("{s:s, s:s, s:s}", "kind", kind_find(change->kind)->collection, "id", change->id,
	                                                   "revision", text)) < 0)
		return error_nomem(search->err);
	return json_array_size(search->found) < TOLD_MAX ? 0 : 1;
}

static int look(const struct store_change *change, void *context)
{
	struct search *search = context;
	const struct store_revision_filter filter = {.kind = change->kind, .id = change->id};
	struct store_revision newest = {0};
	size_t count = 0;
	int r = store_find_revisions(search->reader, &filter, &newest, 1, &count, search->err);

	if (r < 0 || count == 0 || newest.revision.number <= search->written.number)
		return r;
	return tell(search, change, newest.revision.number);
}

int overtaken_find(struct store_reader *reader, struct revision written, json_t **ret, struct error *err)
{
	struct store_walk walk = {.at = {.revision = written.number - 1}, .to = written.number, .looks = LOOKS_MAX};
	struct search search = {.reader = reader, .written = written, .err = err};
	int r = store_walk_changes(reader, &walk, look, &search, err);

	if (r < 0) {
		json_decref(search.found);
		return r;
	}
	*ret = search.found;
	return 0;
}
