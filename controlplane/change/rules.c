/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold between objects, looked at when all items of a request are written, from both ends: what a changed
 * object refers to, and who refers to it. Everything is found by index; the cost is that of the change and its
 * neighbours. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "model/body.h"
#include "model/selector.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define NAMED_MAX 20 /* neighbours named per item; more are counted */

static const char *shown_selector(const char *selector)
{
	return selector[0] != '\0' ? selector : "every agent";
}

/* ---- references of a written object ---- */

static int check_ref(struct request_job *job, size_t index, const struct resource_ref *ref, struct store_reader *reader,
                     struct error *err)
{
	const struct resource *from = job->items[index].resource;
	CLEANUP(store_row_deinit) struct store_row target = {0};
	const char *collection = kind_find(ref->kind)->collection;
	int code = store_get(reader, ref->kind, ref->id, 0, &target, err);

	if (code == E_NOT_FOUND) {
		refuse(job, index, E_INVALID, "reference-missing", ref->pointer, "%s/%s does not exist", collection, ref->id);
		return 0;
	}
	if (code == 0 && ref->kind == KIND_SSL)
		code = rules_check_ssl_ref(job, index, ref, &target, err);
	if (code != 0 || !from->enabled) /* who is in nobody's holding needs nothing there */
		return code;
	if (!target.state.enabled)
		refuse(job, index, E_INVALID, "reference-disabled", ref->pointer, "%s/%s has status 0", collection, ref->id);
	else if (!selector_is_within(from->selector, target.state.object.selector))
		refuse(job, index, E_INVALID, "reference-selector", ref->pointer,
		       "%s/%s is held by fewer agents (%s) than this object (%s): its conditions must be among this object's",
		       collection, ref->id, shown_selector(target.state.object.selector), shown_selector(from->selector));
	return 0;
}

/* ---- referrers of a changed or deleted object ---- */

struct referrers_call {
	struct request_job *job;
	size_t index;
	size_t named, left_out;
};

static int on_referrer_of_deleted(const struct store_row *row, const char *pointer, void *context)
{
	struct referrers_call *call = context;
	const struct object_view *object = &row->state.object;

	if (call->named++ >= NAMED_MAX) {
		call->left_out++;
		return 0;
	}
	refuse(call->job, call->index, E_CONFLICT, "referenced", "", "%s/%s refers to it (%s)",
	       kind_find(object->kind)->collection, object->id, pointer);
	return 0;
}

static int on_referrer_of_narrowed(const struct store_row *row, const char *pointer, void *context)
{
	struct referrers_call *call = context;
	const struct object_view *object = &row->state.object;
	const struct resource *target = call->job->items[call->index].resource;
	const char *collection = kind_find(object->kind)->collection;

	if (!row->state.enabled || (target->enabled && selector_is_within(object->selector, target->selector)))
		return 0;
	if (call->named++ >= NAMED_MAX)
		call->left_out++;
	else if (!target->enabled)
		refuse(call->job, call->index, E_INVALID, "referenced", "/status", "%s/%s refers to it (%s) and is enabled",
		       collection, object->id, pointer);
	else
		refuse(call->job, call->index, E_INVALID, "referenced", "/selector",
		       "%s/%s refers to it (%s) and is held by more agents (%s) than this selector gives", collection,
		       object->id, pointer, shown_selector(object->selector));
	return 0;
}

static int check_referrers(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct change_item *item = &job->request.items[index];
	const struct item_work *work = &job->items[index];
	struct referrers_call call = {job, index, 0, 0};
	int code;

	if (!work->deleted && !work->narrowed)
		return 0;
	code = store_each_referrer(reader, item->kind, item->id,
	                           work->deleted ? on_referrer_of_deleted : on_referrer_of_narrowed, &call, err);
	if (code == 0 && call.left_out > 0)
		refuse(job, index, work->deleted ? E_CONFLICT : E_INVALID, "referenced", "", "%zu more objects refer to it",
		       call.left_out);
	return code;
}

/* ---- listeners that would take one another's port ---- */

/* An address for comparison: IPv4-mapped IPv6 is IPv4. */
struct address {
	enum { ADDRESS_V4, ADDRESS_V6, ADDRESS_TEXT } type;
	bool wildcard;
	uint8_t bytes[16];
	const char *text;
};

static struct address address_of(const char *host)
{
	static const uint8_t zeros[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct address address = {.type = ADDRESS_TEXT, .text = host};

	if (inet_pton(AF_INET, host, address.bytes) == 1) {
		address.type = ADDRESS_V4;
	} else if (inet_pton(AF_INET6, host, address.bytes) == 1) {
		address.type = ADDRESS_V6;
		if (memcmp(address.bytes, mapped, sizeof(mapped)) == 0) {
			address.type = ADDRESS_V4;
			memmove(address.bytes, address.bytes + 12, 4);
		}
	}
	address.wildcard =
		address.type != ADDRESS_TEXT && memcmp(address.bytes, zeros, address.type == ADDRESS_V4 ? 4 : 16) == 0;
	return address;
}

/* "::" takes IPv4 too, unless the system says otherwise; so it collides with everything on its port. */
static bool addresses_collide(const char *left, const char *right)
{
	struct address a = address_of(left), b = address_of(right);

	if ((a.wildcard && a.type == ADDRESS_V6) || (b.wildcard && b.type == ADDRESS_V6))
		return true;
	if (a.type != b.type)
		return false;
	if (a.type == ADDRESS_TEXT)
		return strcmp(a.text, b.text) == 0;
	return a.wildcard || b.wildcard || memcmp(a.bytes, b.bytes, a.type == ADDRESS_V4 ? 4 : 16) == 0;
}

struct binds_call {
	struct request_job *job;
	size_t index;
};

static int on_same_port(const struct store_bind *other, void *context)
{
	struct binds_call *call = context;
	const struct resource *mine = call->job->items[call->index].resource;

	if (strcmp(other->id, mine->id) == 0 || selector_is_exclusive(mine->selector, other->selector))
		return 0;
	if (addresses_collide(mine->host, other->host))
		refuse(
			call->job, call->index, E_CONFLICT, "bind-collision", "/bind",
			"listeners/%s takes port %u of %s, and an agent may hold both: give them selectors that exclude each other",
			other->id, other->port, other->host);
	return 0;
}

static int check_listener(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *listener = job->items[index].resource;
	struct binds_call call = {job, index};
	int code;

	if (!listener->enabled)
		return 0;
	code = store_each_by_port(reader, listener->port, on_same_port, &call, err);
	return code == 0 ? rules_check_bare_listener(job, index, reader, err) : code;
}

/* ---- all of them ---- */

static int check_written(struct request_job *job, size_t index, struct store_reader *reader, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	int code = 0;

	for (size_t i = 0; i < resource->refs_len && code == 0; i++)
		code = check_ref(job, index, &resource->refs[i], reader, err);
	if (code != 0)
		return code;
	switch (resource->kind) {
	case KIND_LISTENER:
		code = check_listener(job, index, reader, err);
		break;
	case KIND_SSL:
		code = rules_check_ssl(job, index, reader, err);
		if (code == 0)
			code = rules_check_ssl_users(job, index, reader, err);
		break;
	case KIND_TLS_OPTIONS:
		code = rules_check_options(job, index, reader, err);
		break;
	case KIND_ROUTE:
		code = rules_check_route(job, index, reader, err);
		break;
	case KIND_UPSTREAM:
		code = rules_check_upstream(job, index, reader, err);
		break;
	default:
		break;
	}
	return code == 0 ? rules_warn_lax(job, index, reader, err) : code;
}

int rules_check(struct request_job *job, struct store_reader *reader, struct error *err)
{
	int code = 0;

	for (size_t i = 0; i < job->request.items_len && code == 0; i++) {
		if (job->items[i].written)
			code = check_written(job, i, reader, err);
		if (code == 0)
			code = check_referrers(job, i, reader, err);
	}
	return code;
}
