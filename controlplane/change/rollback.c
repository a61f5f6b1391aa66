/* SPDX-License-Identifier: Apache-2.0 */
/* Rolling back: finding the items, and making each what it was. Presets, agents and tokens are left as they are. */
#include "change/rollback.h"

#include "store/store_history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* An object that may differ, with the uid that it had: what comes back comes back in the order of its age. */
struct candidate {
	struct store_change object;
	struct uid uid; /* zeros: it was not there */
	bool was;
	char pointer[32]; /* into the request; "": none */
};

struct candidates {
	struct request_job *job;
	struct store_reader *reader;
	struct candidate *items; /* owned */
	size_t len, cap;
	struct error *err;
};

static void candidates_deinit(struct candidates *candidates)
{
	free(candidates->items);
}
DEFINE_CLEANUP_VALUE(struct candidates, candidates_deinit);

static uint64_t target_of(const struct request_job *job)
{
	return job->request.rollback.number;
}

static int add_candidate(struct candidates *candidates, const struct store_change *object, const char *pointer)
{
	struct candidate *candidate;
	CLEANUP(store_row_deinit) struct store_row row = {0};
	bool was = false;
	int code = store_get_state(candidates->reader, object->kind, object->id, target_of(candidates->job), &row, &was, candidates->err);

	if (code != 0)
		return code;
	if (candidates->len == candidates->cap) {
		size_t cap = candidates->cap > 0 ? 2 * candidates->cap : 64;
		void *grown = reallocarray(candidates->items, cap, sizeof(*candidates->items));

		if (grown == NULL)
			return error_nomem(candidates->err);
		candidates->items = grown;
		candidates->cap = cap;
	}
	candidate = &candidates->items[candidates->len++];
	*candidate = (struct candidate){.object = *object, .was = was};
	if (was)
		candidate->uid = row.state.object.uid;
	snprintf(candidate->pointer, sizeof(candidate->pointer), "%s", pointer);
	return 0;
}

static int on_changed(const struct store_change *change, void *context)
{
	struct candidates *candidates = context;

	if (!kind_find(change->kind)->travels || resource_is_preset(change->kind, change->id))
		return 0;
	if (candidates->job->request.items_len + candidates->len == CHANGE_ITEMS_MAX)
		return error_set(candidates->err, E_TOO_LARGE, "more than %d objects have changed since", CHANGE_ITEMS_MAX);
	return add_candidate(candidates, change, "");
}

/* What changed in (after, to] and did not between the target and `after`. */
static int find_changed(struct candidates *candidates, uint64_t after, uint64_t to)
{
	struct store_walk walk = {.at = {.revision = after}, .to = to, .looks = SIZE_MAX >> 1};

	return store_walk_changed(candidates->reader, target_of(candidates->job), &walk, on_changed, candidates, candidates->err);
}

/* The request names the objects: they become candidates, and the items are made anew. */
static int take_named(struct candidates *candidates)
{
	struct request_job *job = candidates->job;
	int code = 0;

	for (size_t i = 0; i < job->request.items_len && code == 0; i++) {
		const struct change_item *item = &job->request.items[i];
		struct store_change object = {.kind = item->kind};

		snprintf(object.id, sizeof(object.id), "%s", item->id);
		if (resource_is_preset(item->kind, item->id))
			refuse(job, i, E_CONFLICT, "read-only", "", "%s is a preset and never changes", item->id);
		else
			code = add_candidate(candidates, &object, item->pointer);
	}
	job->request.items_len = 0;
	return code;
}

static int compare_age(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int order = memcmp(a->uid.bytes, b->uid.bytes, UID_LEN);

	if (order != 0)
		return order;
	if (a->object.kind != b->object.kind)
		return a->object.kind < b->object.kind ? -1 : 1;
	return strcmp(a->object.id, b->object.id);
}

static int parse_state(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct change_item *item = &job->request.items[index];
	CLEANUP(store_row_deinit) struct store_row row = {0};
	json_t *document;
	int code = store_get(reader, item->kind, item->id, target_of(job), &row, err);

	if (code != 0)
		return code;
	document = resource_render_input(&row.state, err);
	if (document == NULL)
		return err->code != 0 ? err->code : error_nomem(err);
	code = item_parse(job, index, document, err);
	json_decref(document);
	return code;
}

static int make_items(struct candidates *candidates)
{
	struct request_job *job = candidates->job;
	int code = 0;

	if (candidates->len > 0)
		qsort(candidates->items, candidates->len, sizeof(*candidates->items), compare_age);
	for (size_t i = 0; i < candidates->len && code == 0; i++) {
		const struct candidate *candidate = &candidates->items[i];
		size_t index = 0;

		code = request_add_item(job, &index, candidates->err);
		if (code != 0)
			return code;
		job->request.items[index].op = candidate->was ? CHANGE_PUT : CHANGE_DELETE;
		job->request.items[index].kind = candidate->object.kind;
		snprintf(job->request.items[index].id, sizeof(candidate->object.id), "%s", candidate->object.id);
		snprintf(job->request.items[index].pointer, sizeof(candidate->pointer), "%s", candidate->pointer);
		if (candidate->was)
			code = parse_state(job, index, candidates->reader, candidates->err);
	}
	return code;
}

static int check_target(const struct request_job *job, struct store_reader *reader, struct error *err)
{
	struct revision target = job->request.rollback;
	struct store_revision row;
	int code = store_get_revision(reader, target.number, &row, err);

	if (code == 0 && target.epoch != 0 && target.epoch != row.revision.epoch)
		code = E_NOT_FOUND;
	if (code == E_NOT_FOUND)
		return error_set(err, code, "no such revision");
	return code == 0 ? store_check_kept(reader, target.number, err) : code;
}

static int find_items(struct request_job *job, struct store_reader *reader, struct error *err)
{
	CLEANUP(candidates_deinit) struct candidates candidates = {.job = job, .reader = reader, .err = err};
	struct store_revision head;
	int code = check_target(job, reader, err);

	if (code == 0)
		code = store_head(reader, &head, err);
	if (code != 0)
		return code;
	job->rollback_seen = head.revision.number;
	job->rollback_named = job->request.items_len > 0;
	code = job->rollback_named ? take_named(&candidates) : find_changed(&candidates, target_of(job), head.revision.number);
	return code == 0 ? make_items(&candidates) : code;
}

int rollback_prepare(struct request_job *job, struct error *err)
{
	CLEANUP(store_reader_close) struct store_reader *reader = NULL;
	int code = store_reader_open(job->job.engine->config.store, &reader, err);

	if (code == 0)
		code = store_begin(reader, err);
	if (code != 0)
		return code;
	code = find_items(job, reader, err);
	store_end(reader);
	return code;
}

int rollback_begin(struct request_job *job, struct store_reader *reader, struct error *err)
{
	CLEANUP(candidates_deinit) struct candidates candidates = {.job = job, .reader = reader, .err = err};
	struct store_revision head;
	int code = store_check_kept(reader, target_of(job), err);

	if (code == 0)
		code = store_head(reader, &head, err);
	if (code != 0 || job->rollback_named || head.revision.number == job->rollback_seen)
		return code;
	code = find_changed(&candidates, job->rollback_seen, head.revision.number);
	return code == 0 ? make_items(&candidates) : code;
}

/* The very bytes, and the key of that state. */
static int take_contents(struct request_job *job, size_t index, const struct store_row *state, struct error *err)
{
	struct resource *resource = job->items[index].resource;
	struct bytes body = state->state.object.body;
	uint8_t *copy = malloc(body.len + 1);
	struct secret *secret = NULL;
	int code = copy == NULL ? error_nomem(err) : 0;

	if (code == 0 && state->sealed.len > 0)
		code = store_open_secret(job->job.engine->config.store, state, &secret, err);
	if (code != 0) {
		free(copy);
		return code;
	}
	memcpy(copy, body.len > 0 ? body.data : (const uint8_t *)"", body.len);
	resource_drop_certs(resource);
	free(resource->body);
	secret_free(resource->secret);
	resource->body = copy;
	resource->body_len = body.len;
	resource->secret = secret;
	return 0;
}

int rollback_take(struct request_job *job, size_t index, const struct store_row *before, struct store_reader *reader, bool *ret_skip,
                  struct error *err)
{
	struct change_item *item = &job->request.items[index];
	CLEANUP(store_row_deinit) struct store_row state = {0};
	bool was = false;
	int code = store_get_state(reader, item->kind, item->id, target_of(job), &state, &was, err);

	if (code != 0)
		return code;
	item->op = was ? CHANGE_PUT : CHANGE_DELETE;
	*ret_skip = true;
	if (!was && before == NULL && job->rollback_named)
		refuse(job, index, E_INVALID, "not-found", "", "%s/%s does not exist, and did not then",
		       kind_find(item->kind)->collection, item->id);
	if (!was) {
		*ret_skip = before == NULL;
		return 0;
	}
	if (before != NULL && store_states_are_equal(before, &state)) {
		request_take_standing(job, &before->state.object);
		return 0;
	}
	if (store_is_purged(&state))
		refuse(job, index, E_CONFLICT, "purged", "", "the keys that %s/%s had then were purged from history",
		       kind_find(item->kind)->collection, item->id);
	else if (job->items[index].resource != NULL) { /* else it was refused */
		*ret_skip = false;
		return take_contents(job, index, &state, err);
	}
	return 0;
}
