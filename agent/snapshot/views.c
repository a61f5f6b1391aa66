/* SPDX-License-Identifier: Apache-2.0 */
/* A set of views from the one before: boxes of what went are taken out, those of what came are made (bundles before the
 * origin profiles that trust them), then everything that depends on several boxes. */
#include "snapshot/views.h"

#include "snapshot/references.h"
#include "snapshot/refuse.h"

#include <stdlib.h>
#include <string.h>

struct views *views_ref(struct views *views)
{
	views->count++;
	return views;
}

struct views *views_unref(struct views *views)
{
	if (views == NULL || --views->count > 0)
		return NULL;
	free(views->listeners);
	free(views->upstreams);
	origin_profile_unref(views->builtin_origin);
	for (unsigned kind = 1; kind < SNAPSHOT_KINDS; kind++)
		trie_deinit(&views->boxes[kind]);
	free(views);
	return NULL;
}

const void *views_find(const struct views *views, enum kind kind, const char *id)
{
	return trie_find(&views->boxes[kind], BYTES(id, strlen(id)));
}

static int compare_listener(const void *address, const void *element)
{
	const struct listener_view *view = element;

	return strcmp(address, view->address);
}

const struct listener_view *views_find_listener(const struct views *views, const char *address)
{
	if (views->listeners_len == 0) /* bsearch must not be given a NULL array */
		return NULL;
	return bsearch(address, views->listeners, views->listeners_len, sizeof(views->listeners[0]), compare_listener);
}

static struct views *views_start(const struct views_change *change)
{
	struct views *views = calloc(1, sizeof(*views));

	if (views == NULL)
		return NULL;
	views->count = 1;
	for (unsigned kind = 1; kind < SNAPSHOT_KINDS; kind++) {
		if (change->base != NULL)
			trie_clone(&change->base->boxes[kind], &views->boxes[kind]);
		else
			trie_init(&views->boxes[kind], &box_trie_ops, change->context->hash_key);
	}
	return views;
}

static int put_box(struct views_build *build, struct entry *entry)
{
	struct box *box;
	int r = box_make(build, entry, &box);

	if (r < 0)
		return r;
	r = trie_put(&build->views->boxes[entry->kind], box);
	box_unref(box);
	return r < 0 ? error_nomem(build->err) : 0;
}

/* Brings the boxes of one kind up to date. */
static int change_boxes(struct views_build *build, const struct views_change *change, enum kind kind)
{
	struct trie *boxes = &build->views->boxes[kind];
	int r = 0;

	for (size_t i = 0; i < change->gone->len && r == 0; i++) {
		const struct entry *entry = change->gone->items[i];

		if (entry->kind == kind && trie_find(&build->objects[kind], entry_key(entry)) == NULL &&
		    trie_remove(boxes, entry_key(entry)) == E_NOMEM)
			r = error_nomem(build->err);
	}
	for (size_t i = 0; i < change->fresh->len && r == 0; i++) {
		if (change->fresh->items[i]->kind == kind)
			r = put_box(build, change->fresh->items[i]);
	}
	return r;
}

static int renew_origin(void *value, void *context)
{
	const struct upstream_tls_box *box = value;
	struct views_build *build = context;

	return upstream_tls_box_is_current(build->views, box) ? 0 : put_box(build, box->box.entry);
}

/* Objects that stay while the bundle they trust does not. The walk is over a clone, since it changes the trie. */
static int renew_origins(struct views_build *build)
{
	struct trie walked;
	int r;

	trie_clone(&build->views->boxes[KIND_UPSTREAM_TLS], &walked);
	r = trie_each(&walked, renew_origin, build);
	trie_deinit(&walked);
	return r;
}

static const struct options_view *find_fallback(const struct views *views)
{
	const struct options_box *box = views_find(views, KIND_TLS_OPTIONS, "default");

	if (box == NULL)
		box = views_find(views, KIND_TLS_OPTIONS, "modern");
	return box != NULL ? &box->view : NULL;
}

static int add_upstream(void *value, void *context)
{
	const struct upstream_box *box = value;
	struct views *views = context;

	views->upstreams[views->upstreams_len++] = box->view.upstream;
	return 0;
}

static int compare_upstreams(const void *a, const void *b)
{
	const struct upstream *const *x = a, *const *y = b;

	return strcmp(upstream_id(*x), upstream_id(*y));
}

static int list_upstreams(struct views_build *build)
{
	struct views *views = build->views;
	const struct trie *boxes = &views->boxes[KIND_UPSTREAM];

	if (boxes->count == 0)
		return 0;
	views->upstreams = calloc(boxes->count, sizeof(views->upstreams[0]));
	if (views->upstreams == NULL)
		return error_nomem(build->err);
	(void)trie_each(boxes, add_upstream, views);
	qsort(views->upstreams, views->upstreams_len, sizeof(views->upstreams[0]), compare_upstreams);
	return 0;
}

static int wants_builtin(void *value, void *context)
{
	const struct upstream_box *box = value;

	return box->view.body->tls && box->view.body->upstream_tls == NULL;
}

/* Made once, when the first upstream asks for it: it holds the machine's CAs. */
static int share_builtin_origin(struct views_build *build)
{
	const struct views *base = build->base;
	struct error why = ERROR_NULL;
	int r;

	if (base != NULL && base->builtin_origin != NULL) {
		build->views->builtin_origin = origin_profile_ref(base->builtin_origin);
		return 0;
	}
	if (trie_each(&build->views->boxes[KIND_UPSTREAM], wants_builtin, NULL) == 0)
		return 0;
	r = origin_profile_new(NULL, NULL, &DIGEST_NULL, build->context->system_ca_file, &build->views->builtin_origin,
	                       &why);
	if (r == E_NOMEM)
		return error_nomem(build->err);
	if (r < 0)
		return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, NULL, "", "TLS with upstreams: %s",
		              why.text);
	return 0;
}

int views_new(const struct views_change *change, struct snapshot_refusal *refusal, struct views **ret,
              struct error *err)
{
	static const enum kind order[] = {KIND_CA_BUNDLE, KIND_TLS_OPTIONS, KIND_UPSTREAM_TLS,
	                                  KIND_UPSTREAM,  KIND_LISTENER,    KIND_ROUTE};
	CLEANUP(views_unref) struct views *views = views_start(change);
	struct views_build build = {change->context, change->objects, change->base, views, refusal, err};
	int r = 0;

	if (views == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < ARRAY_LEN(order) && r == 0; i++)
		r = change_boxes(&build, change, order[i]);
	if (r == 0)
		r = references_check_gone(change->objects, views, change->gone, refusal, err);
	if (r == 0)
		r = renew_origins(&build);
	if (r == 0)
		r = share_builtin_origin(&build);
	if (r == 0)
		r = list_upstreams(&build);
	if (r < 0)
		return r;
	views->fallback = find_fallback(views);
	r = views_make_listeners(&build);
	if (r == 0)
		*ret = TAKE_PTR(views);
	return r;
}
