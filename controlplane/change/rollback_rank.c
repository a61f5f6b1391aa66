/* SPDX-License-Identifier: Apache-2.0 */
/* Among equals the younger object wins, and what was deleted comes back as a new one: it may win a name now that another, younger
 * than its first self, had at the time that is rolled back to. */
#include "change/rollback.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/selector.h"
#include "store/store_history.h"

#include <string.h>

struct rank_call {
	struct request_job *job;
	size_t index;
	struct uid old;
	struct store_row self;
	int32_t priority;
	const char *name;
	size_t looked; /* of all names */
	struct error *err;
};

static int read_priority(const struct object_view *object, int32_t *ret, struct error *err)
{
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	int code = body_decode(kind_find(object->kind)->body, object->body, &body, err);

	if (code == 0)
		*ret = object->kind == KIND_SSL ? ((const Tlsplane__Ssl *)body)->priority : ((const Tlsplane__Route *)body)->priority;
	return code;
}

static bool was_there(const struct rank_call *call, const struct uid *uid)
{
	uint64_t created = 0;

	for (size_t i = 8; i < 16; i++)
		created = created << 8 | uid->bytes[i];
	return created <= call->job->request.rollback.number;
}

static int on_rival(const struct store_row *row, void *context)
{
	struct rank_call *call = context;
	const struct object_view *other = &row->state.object, *self = &call->self.state.object;
	int32_t priority = 0;
	int code;

	if (call->looked++ >= LOOKS_MAX)
		return 1;
	if (!was_there(call, &other->uid) || memcmp(other->uid.bytes, call->old.bytes, UID_LEN) < 0 ||
	    selector_is_exclusive(self->selector, other->selector))
		return 0;
	code = read_priority(other, &priority, call->err);
	if (code == 0 && priority == call->priority)
		warn(call->job, call->index, "ranking", "",
		     "%s/%s was younger than this object and won %s; now this one is the younger and wins (set priority to decide)",
		     kind_find(other->kind)->collection, other->id, call->name);
	return code;
}

static int check_names(struct rank_call *call, struct store_reader *reader)
{
	const struct resource *resource = call->job->items[call->index].resource;
	int code = read_priority(&call->self.state.object, &call->priority, call->err);

	for (size_t i = 0; i < resource->names_len && code == 0 && call->looked < LOOKS_MAX; i++) {
		call->name = resource->names[i];
		code = resource->kind == KIND_SSL ? store_each_by_name(reader, call->name, on_rival, call, call->err)
		                                  : store_each_by_pattern(reader, call->name, on_rival, call, call->err);
	}
	return code;
}

static int check_item(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	struct rank_call call = {.job = job, .index = index, .err = err};
	CLEANUP(store_row_deinit) struct store_row old = {0};
	bool was = false;
	int code = store_get_state(reader, resource->kind, resource->id, job->request.rollback.number, &old, &was, err);

	if (code != 0 || !was)
		return code;
	call.old = old.state.object.uid;
	code = store_get(reader, resource->kind, resource->id, 0, &call.self, err);
	if (code == 0)
		code = check_names(&call, reader);
	store_row_deinit(&call.self);
	return code;
}

int rollback_warn(struct request_job *job, struct store_reader *reader, struct error *err)
{
	int code = 0;

	for (size_t i = 0; i < job->request.items_len && code == 0; i++) {
		const struct item_work *work = &job->items[i];

		if (work->written && !work->existed && work->resource->enabled &&
		    (work->resource->kind == KIND_SSL || work->resource->kind == KIND_ROUTE))
			code = check_item(job, i, reader, err);
	}
	return code;
}
